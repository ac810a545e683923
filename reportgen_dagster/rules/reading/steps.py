"""The steps of the long form as models: one for each kind.

What belongs here: which keys a step has and what may stand under them. What does not: what a step does (compiling/), what its
expressions may say (expressions/gate.py), what several keys mean together (loading.py).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    Tag,
)

MAX_COLUMNS = 5_000
MAX_PIVOTED = 1_000  # columns that one pivot makes
MAX_NAME = 300
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")


class FrozenModel(BaseModel):
    """A part of a rules file: unchangeable, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def name_text(value: object) -> object:
    """Take a number where a name is meant, as it is written: YAML reads `2024` as a number."""
    return str(value) if _is_number(value) else value


def formula_text(value: object) -> object:
    """Take a number where a formula is meant: YAML reads `formula: 5` as a number."""
    return repr(value) if _is_number(value) else value


def expression_text(value: object) -> object:
    """Take a number, true or false where an expression is meant; a number keeps its digits, as `0.50`."""
    if isinstance(value, bool):
        return str(value).lower()
    if not _is_number(value):
        return value
    return str(value) if _PLAIN_NUMBER.fullmatch(str(value)) else repr(value)


def _listed_unless_shared(value: object) -> object:
    return value if value == "shared" else _listed(value)


def _value_text(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else name_text(value)


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) or _is_number(value) else value


Key = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
Name = Annotated[
    str,
    BeforeValidator(name_text, json_schema_input_type=str | float),
    Field(min_length=1, max_length=MAX_NAME),
]
Phrase = Annotated[str, BeforeValidator(name_text, json_schema_input_type=str | float)]
ExpressionText = Annotated[
    str, BeforeValidator(expression_text, json_schema_input_type=str | float | bool), Field(min_length=1)
]
CellText = Annotated[str, BeforeValidator(_value_text, json_schema_input_type=str | float | bool)]
NameList = Annotated[tuple[Name, ...], Field(min_length=1, max_length=MAX_COLUMNS)]
Names = Annotated[tuple[Name, ...], Field(max_length=MAX_COLUMNS)]
OneOrMore = Annotated[
    NameList, BeforeValidator(_listed, json_schema_input_type=str | float | list[str | float])
]
AnyNumber = Annotated[Names, BeforeValidator(_listed, json_schema_input_type=str | float | list[str | float])]
ColumnMapping = Annotated[dict[Key, Name], Field(min_length=1, max_length=MAX_COLUMNS)]
SharedOrColumns = Annotated[
    Literal["shared"] | ColumnMapping | NameList,
    BeforeValidator(
        _listed_unless_shared,
        json_schema_input_type=Literal["shared"] | ColumnMapping | str | float | list[str | float],
    ),
]
Expressions = Annotated[dict[Key, ExpressionText], Field(min_length=1, max_length=MAX_COLUMNS)]
Scalar = StrictBool | StrictInt | StrictFloat | StrictStr | None
Count = Annotated[int, Field(strict=True, ge=0, lt=2**63)]


class Step(FrozenModel):
    """What every step may carry beside its kind.

    Attributes:
        kind: The key that makes it this step.
    """

    kind: ClassVar[str]
    name: Phrase | None = Field(default=None, description="What the step is called in messages and graphs.")
    description: Phrase | None = Field(default=None, description="What the step is for.")


class Lookup(FrozenModel):
    """Which reference, by which columns, and what comes along."""

    reference: Name = Field(description="Which reference.")
    match: SharedOrColumns = Field(
        description="Each column with the reference's column that it must equal, or a list of columns that both have. "
        "`shared`: each column that both files have is a key of its own, as in the short form."
    )
    take: dict[Key, Name] | Names | None = Field(
        default=None,
        description="The reference's columns to add: a list, or each new name with the reference's column. All but the keys, "
        "if left out.",
    )
    defaults: Literal["standard"] | dict[Key, Scalar] | None = Field(
        default=None,
        description="What an added column holds where no row was found, else null. `standard`: 0 or `MISSING_<column>`, as in "
        "the short form.",
    )
    missing: Literal["default", "reject", "fail", "drop"] = Field(
        default="default",
        description="What happens to a row without a match: it stays with defaults, is a reject, fails the run, is left out.",
    )
    duplicates: Literal["error", "first", "last"] = Field(
        default="error", description="What happens when the reference has a key twice."
    )

    @property
    def keys(self) -> dict[str, str]:
        """Return each column with the reference's column; empty with `match: shared`."""
        return {} if self.match == "shared" else as_mapping(self.match)


class LookupStep(Step):
    """The step `lookup`: enriches rows by key, never multiplies them."""

    kind = "lookup"
    lookup: Lookup


class Join(FrozenModel):
    """Which reference, by which columns, and how."""

    reference: Name = Field(description="Which reference.")
    match: ColumnMapping | OneOrMore = Field(
        description="Each column with the reference's column that it must equal, or a list of columns that both have."
    )
    how: Literal["inner", "left", "full", "semi", "anti"] = Field(
        default="inner",
        description="Which rows stay: with a match, all, all of both; `semi` and `anti` only choose rows.",
    )
    take: dict[Key, Name] | Names | None = Field(
        default=None,
        description="The reference's columns to add: a list, or each new name with the reference's column. All but the keys, "
        "if left out.",
    )

    @property
    def keys(self) -> dict[str, str]:
        """Return each column with the reference's column."""
        return as_mapping(self.match)


class JoinStep(Step):
    """The step `join`: joins the rows of a reference; may multiply rows."""

    kind = "join"
    join: Join


class FilterStep(Step):
    """The step `filter`: keeps the rows on which a condition is true."""

    kind = "filter"
    filter: ExpressionText = Field(description="The condition.")


class DeriveStep(Step):
    """The step `derive`: adds or replaces columns."""

    kind = "derive"
    derive: Expressions = Field(
        description="Each column with its expression, which may use names above it in the same step."
    )


class SelectStep(Step):
    """The step `select`: keeps columns, in this order."""

    kind = "select"
    select: ColumnMapping | OneOrMore = Field(
        description="The columns to keep: a list, or each new name with its column."
    )


class RenameStep(Step):
    """The step `rename`: gives columns other names, in place."""

    kind = "rename"
    rename: ColumnMapping = Field(description="Each old name with the new one.")


class DropStep(Step):
    """The step `drop`: leaves columns out."""

    kind = "drop"
    drop: OneOrMore = Field(description="The columns to leave out.")


class Aggregate(FrozenModel):
    """By what rows are grouped, and what is computed of each group."""

    by: AnyNumber = Field(
        default=(), description="The columns that make a group; none: all rows are one group."
    )
    measures: dict[Key, ExpressionText] = Field(
        default_factory=dict,
        max_length=MAX_COLUMNS,
        description="Each new column with its expression of aggregates.",
    )


class AggregateStep(Step):
    """The step `aggregate`: one row for each group."""

    kind = "aggregate"
    aggregate: Aggregate


class Window(FrozenModel):
    """Which rows a window sees, in which order, and what is computed."""

    partition_by: AnyNumber = Field(
        default=(), description="The columns whose equal values make a window; none: all rows."
    )
    order_by: AnyNumber = Field(
        default=(),
        description="The columns that order a window's rows, `-` before a name for descending; none: row order.",
    )
    columns: Expressions = Field(
        description="Each new column with its expression of window functions or aggregates."
    )


class WindowStep(Step):
    """The step `window`: adds columns that see other rows."""

    kind = "window"
    window: Window


class Top(FrozenModel):
    """How many rows, by which order, of which groups."""

    n: Annotated[int, Field(strict=True, ge=1, lt=2**63)] = Field(description="How many rows to keep.")
    by: OneOrMore = Field(description="The columns that order, `-` before a name for the largest first.")
    per: AnyNumber = Field(default=(), description="Keep so many for each combination of these columns.")


class TopStep(Step):
    """The step `top`: keeps the first rows by an order, of each group."""

    kind = "top"
    top: Top


class DistinctStep(Step):
    """The step `distinct`: keeps the first row of each combination."""

    kind = "distinct"
    distinct: Literal[True] | OneOrMore = Field(
        description="The columns that make the combination; `true`: all columns."
    )


class Pivot(FrozenModel):
    """Which values become columns, and what stands in them."""

    by: AnyNumber = Field(default=(), description="The columns that make a row; none: one row.")
    column: Name = Field(description="The column whose values become columns.")
    values: Expressions | ExpressionText = Field(
        description="The aggregate that stands in each new column, or several by name."
    )
    columns: Annotated[tuple[CellText, ...], Field(min_length=1, max_length=MAX_PIVOTED)] | None = Field(
        default=None,
        description="The values that become columns, in order; all that there are, sorted, if left out.",
    )


class PivotStep(Step):
    """The step `pivot`: makes columns of values."""

    kind = "pivot"
    pivot: Pivot


class Unpivot(FrozenModel):
    """Which columns become rows."""

    columns: OneOrMore = Field(description="The columns that become rows.")
    name: Name = Field(default="name", description="The new column with the names of the columns.")
    value: Name = Field(default="value", description="The new column with their values.")


class UnpivotStep(Step):
    """The step `unpivot`: makes rows of columns."""

    kind = "unpivot"
    unpivot: Unpivot


class Append(FrozenModel):
    """Whose rows follow."""

    reference: Name = Field(description="Which reference.")
    columns: ColumnMapping | None = Field(
        default=None,
        description="Each column with the reference's column that goes into it; those of one name, if left out.",
    )


class AppendStep(Step):
    """The step `append`: adds the rows of a reference at the end."""

    kind = "append"
    append: Append


class SortStep(Step):
    """The step `sort`: orders rows; stable, nulls last."""

    kind = "sort"
    sort: OneOrMore = Field(description="The columns that order, `-` before a name for descending.")


class LimitStep(Step):
    """The step `limit`: keeps the first rows."""

    kind = "limit"
    limit: Count = Field(description="How many rows to keep.")


class Unread(FrozenModel):
    """What can be told of a step that is none."""

    reference: str | None = None
    keeps_columns: bool = False


class UnreadStep(Step):
    """Stands for a step whose shape is wrong, so that the others can be judged. No file has it.

    Attributes:
        unread: The reference that it reads, and whether its kind leaves the columns as they are.
    """

    kind = "unread"
    unread: Unread


STEPS: dict[str, type[Step]] = {
    step.kind: step
    for step in (
        LookupStep, JoinStep, FilterStep, DeriveStep, SelectStep, RenameStep, DropStep, AggregateStep, WindowStep, TopStep,
        DistinctStep, PivotStep, UnpivotStep, AppendStep, SortStep, LimitStep,
    )
}  # fmt: skip


def _kind_of(step: object) -> str | None:
    """Return the kind of a step that is still plain data, or a model already."""
    if isinstance(step, Step):
        return step.kind
    return next((kind for kind in STEPS if kind in step), None) if isinstance(step, dict) else None


AnyStep = Annotated[
    Annotated[LookupStep, Tag("lookup")]
    | Annotated[JoinStep, Tag("join")]
    | Annotated[FilterStep, Tag("filter")]
    | Annotated[DeriveStep, Tag("derive")]
    | Annotated[SelectStep, Tag("select")]
    | Annotated[RenameStep, Tag("rename")]
    | Annotated[DropStep, Tag("drop")]
    | Annotated[AggregateStep, Tag("aggregate")]
    | Annotated[WindowStep, Tag("window")]
    | Annotated[TopStep, Tag("top")]
    | Annotated[DistinctStep, Tag("distinct")]
    | Annotated[PivotStep, Tag("pivot")]
    | Annotated[UnpivotStep, Tag("unpivot")]
    | Annotated[AppendStep, Tag("append")]
    | Annotated[SortStep, Tag("sort")]
    | Annotated[LimitStep, Tag("limit")],
    Discriminator(_kind_of),
]


def as_mapping(columns: dict[str, str] | tuple[str, ...]) -> dict[str, str]:
    """Return new names with the columns that they are, also of a list, where both are the same."""
    return dict(columns) if isinstance(columns, dict) else {name: name for name in columns}


def references_of(step: Any) -> tuple[str, ...]:
    """Return the references that a step reads."""
    body = getattr(step, step.kind)
    named = body.reference if isinstance(body, (Lookup, Join, Append, Unread)) else None
    return (named,) if named else ()
