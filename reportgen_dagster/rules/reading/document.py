"""The two forms of a rules file as models: which keys there are and what may stand under them.

What belongs here: the shape of a file and of all but its steps. What does not: the shape of a step (steps.py), what an expression
may say (expressions/), what several keys mean together (loading.py), columns (compiling/).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, RootModel, field_validator

from reportgen_dagster.contracts.models import Dialect, Schema
from reportgen_dagster.rules.reading.output import Output
from reportgen_dagster.rules.reading.presentation import Presentation
from reportgen_dagster.rules.reading.steps import (
    MAX_COLUMNS,
    STEPS,
    Aggregate,
    AggregateStep,
    AnyStep,
    Append,
    AppendStep,
    DeriveStep,
    DistinctStep,
    DropStep,
    FilterStep,
    FrozenModel,
    Join,
    JoinStep,
    LimitStep,
    Lookup,
    LookupStep,
    Name,
    Phrase,
    Pivot,
    PivotStep,
    RenameStep,
    Scalar,
    SelectStep,
    SortStep,
    Step,
    Top,
    TopStep,
    Unpivot,
    UnpivotStep,
    Window,
    WindowStep,
    as_mapping,
    formula_text,
    references_of,
)

MAX_STEPS = 500
_SHARE = re.compile(r"[0-9]+(\.[0-9]+)?%")
ParameterType = Literal["text", "integer", "number", "decimal", "boolean", "date", "datetime"]


class ShortRule(FrozenModel):
    """One column of the report and how it is made."""

    output: Name = Field(description="Name of the column in the report.")
    formula: Annotated[
        str, BeforeValidator(formula_text, json_schema_input_type=str | float), Field(min_length=1)
    ] = Field(description="How it is made, in the syntax of a Python expression.")


class ShortForm(RootModel[Annotated[tuple[ShortRule, ...], Field(min_length=1, max_length=MAX_COLUMNS)]]):
    """The short form: a list of `{output, formula}`."""


def _parameter_type(value: object) -> object:
    return "text" if value == "string" else value


class Parameter(FrozenModel):
    """A value that each run may be given; expressions use it as `:name`."""

    type: Annotated[
        ParameterType,
        BeforeValidator(_parameter_type, json_schema_input_type=ParameterType | Literal["string"]),
    ] = Field(description="What it is.")
    default: Scalar = Field(default=None, description="What it is when a run is given none.")
    description: Phrase | None = Field(default=None, description="What it is for.")


class Input(FrozenModel):
    """How the input is written, and what it must hold."""

    description: Phrase | None = Field(default=None, description="What the file is.")
    dialect: Dialect | None = Field(default=None, description="How the file is written; found when left out.")
    schema_: Schema | None = Field(default=None, alias="schema", description="The input's contract.")


class ReferenceFile(Input):
    """How a reference is written, and what it must hold."""


def _empty_if_none(value: object) -> object:
    return {} if value is None else value


class Rejects(FrozenModel):
    """What becomes of rows that cannot be used."""

    policy: Literal["divert", "fail"] = Field(
        default="divert",
        description="`divert`: the report is made from the other rows. `fail`: one such row fails the run.",
    )
    max: Annotated[int, Field(strict=True, ge=0)] | str | None = Field(
        default=None,
        description="How many rows may be diverted, as a count or a share such as `1%`; more fail the run.",
    )

    @field_validator("max")
    @classmethod
    def _is_count_or_share(cls, value: int | str | None) -> int | str | None:
        if isinstance(value, str) and not (_SHARE.fullmatch(value) and float(value[:-1]) <= 100):
            raise ValueError("a count such as 100, or a percentage such as 1%, is expected here")
        return value

    @property
    def limit(self) -> int | str | None:
        """How many rows may be rejects, as it is written; None: any number."""
        return 0 if self.policy == "fail" else self.max

    def allowed(self, rows: int) -> float | None:
        """Return how many of `rows` input rows may be rejects, or None for any number."""
        limit = self.limit
        return rows * float(limit[:-1]) / 100 if isinstance(limit, str) else limit


class LongForm(FrozenModel):
    """The long form: files, steps, output."""

    version: Literal[1] = Field(description="The version of the language.")
    title: Phrase | None = Field(default=None, description="What the report is called.")
    description: Phrase | None = Field(default=None, description="What the report is for.")
    parameters: dict[str, Parameter] = Field(
        default_factory=dict, max_length=MAX_COLUMNS, description="Values that each run may be given."
    )
    input: Input | None = Field(default=None, description="How the input is written, and its contract.")
    references: dict[
        str,
        Annotated[
            ReferenceFile, BeforeValidator(_empty_if_none, json_schema_input_type=ReferenceFile | None)
        ],
    ] = Field(default_factory=dict, max_length=MAX_COLUMNS, description="Further files by their names.")
    steps: tuple[AnyStep, ...] = Field(
        default=(),
        max_length=MAX_STEPS,
        description="What is done, in order; each step sees the columns that the last one left.",
    )
    output: Output | None = Field(default=None, description="What is written; all columns, if left out.")
    presentation: Presentation = Field(
        default=Presentation(), description="How the report looks on HTML and PDF pages."
    )
    rejects: Rejects = Field(default=Rejects(), description="What becomes of rows that cannot be used.")

    @property
    def reference_names(self) -> tuple[str, ...]:
        """Return the references that the rules describe or use, in order, each once."""
        used = (name for step in self.steps for name in references_of(step))
        foreign = (
            key.reference.resource
            for file in (self.input, *self.references.values())
            if file is not None and file.schema_ is not None
            for key in file.schema_.foreign_keys
        )
        return tuple(dict.fromkeys((*self.references, *used, *foreign)))

    def as_written(self) -> dict[str, Any]:
        """Return plain data as a user would write it: in order, without what is left at its default."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def rules_schema() -> dict[str, Any]:
    """Return the JSON Schema of rules files, both forms."""
    schema = RootModel[ShortForm | LongForm].model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Rules of a report",
    }


__all__ = [
    "MAX_COLUMNS", "MAX_STEPS", "STEPS", "Aggregate", "AggregateStep", "AnyStep", "Append", "AppendStep", "DeriveStep",
    "DistinctStep", "DropStep", "FilterStep", "Input", "Join", "JoinStep", "LimitStep", "LongForm", "Lookup", "LookupStep",
    "Output", "Parameter", "ParameterType", "Pivot", "PivotStep", "ReferenceFile", "Rejects", "RenameStep", "SelectStep",
    "ShortForm", "ShortRule", "SortStep", "Step", "Top", "TopStep", "Unpivot", "UnpivotStep", "Window", "WindowStep",
    "as_mapping", "rules_schema",
]  # fmt: skip
