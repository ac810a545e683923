"""What stands under `dialect` and `schema` in rules: Data Package's Table Dialect and Table Schema, as far as they are available.

What belongs here: the shape of both. What does not: what makes a schema impossible (`problems.py`), what it means for a
cell (`contract.py`). Keys have the standards' names in files and snake_case names in Python.
"""

from __future__ import annotations

import codecs
import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    field_validator,
)
from pydantic.alias_generators import to_camel

from reportgen_dagster.contracts.types import Type

MAX_FIELDS = 5_000
MAX_LISTED = 10_000
MAX_PRECISION = 38
DEFAULT_SCALE = 9
FieldType = Literal["string", "integer", "number", "decimal", "boolean", "date", "time", "datetime"]
Severity = Literal["error", "warn"]
Scalar = StrictBool | StrictInt | StrictFloat | StrictStr

# What the standards have and rules have not, with what to do instead.
LEFT_OUT: dict[str, str] = {
    "nullSequence": "list it in `schema.missingValues`",
    "headerRows": "the header is the first line that is no comment",
    "headerJoin": "the header is one line",
    "commentRows": "name `commentChar` instead",
    "fieldsMatch": "fields are found by name; a file may have more columns",
    "categories": "use `constraints.enum`",
    "jsonSchema": "there are no JSON values",
    "rdfType": "it means nothing here",
}


def _number_as_text(value: object) -> object:
    """Take a number where a text is meant: YAML reads `name: 2024` as a number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return value


def _one_as_list(value: object) -> object:
    return [value] if isinstance(value, (str, int, float)) and not isinstance(value, bool) else value


def threshold_of(written: int | str) -> float:
    """Return a threshold as number: a count from 1 or a share below 1.

    Args:
        written: A count, or a percentage as `1%`.

    Raises:
        ValueError: If it is neither.
    """
    if isinstance(written, int) and not isinstance(written, bool) and written >= 0:
        return float(written)
    found = re.fullmatch(r"([0-9]{1,2}(?:\.[0-9]{1,6})?) ?%", str(written))
    if found is None:
        raise ValueError("write a count, or a percentage below 100 such as '1%'")
    return float(Decimal(found[1]) / 100)


def _valid_threshold(value: int | str) -> int | str:
    threshold_of(value)
    return value


def _one_mark(value: str) -> str:
    if len(value) != 1 or not value.isascii() or value in "\r\n\0":
        raise ValueError("write one ASCII character, no line end")
    return value


def text_encoding(value: str) -> str:
    """Return the name of an encoding of text.

    Raises:
        ValueError: If it is none.
    """
    try:
        codec = codecs.lookup(value)
    except (LookupError, ValueError):
        raise ValueError(f"no encoding is called {value[:40]!r}") from None
    if not getattr(codec, "_is_text_encoding", True):
        raise ValueError(f"{value[:40]!r} is no encoding of text")
    return value


Name = Annotated[str, BeforeValidator(_number_as_text), Field(min_length=1, max_length=300)]
Names = Annotated[list[Name], BeforeValidator(_one_as_list), Field(min_length=1, max_length=100)]
Word = Annotated[str, BeforeValidator(_number_as_text), Field(max_length=300)]
Mark = Annotated[str, AfterValidator(_one_mark)]
Threshold = Annotated[StrictInt | StrictStr, AfterValidator(_valid_threshold)]


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=False, validate_by_alias=True
    )


class Dialect(_Model):
    """How a file is written. What is left out is found in the file, and the decision is shown."""

    delimiter: Mark | None = Field(
        None, description="Between cells; found among `,` `;` tab and `|` if left out."
    )
    quote_char: str | None = Field(
        None, description='Around cells, `"` by default; empty: cells are never quoted.'
    )
    double_quote: StrictBool = Field(default=True, description="Two quotes inside a quoted cell are one.")
    escape_char: Mark | None = Field(
        None, description="Before a quote inside a quoted cell, instead of doubling it."
    )
    line_terminator: Literal["\n", "\r\n", "\r"] | None = Field(
        None, description="For other readers of the rules: every kind of line end is understood."
    )
    skip_initial_space: StrictBool = Field(
        default=False, description="Blanks behind a delimiter are not part of the cell."
    )
    header: StrictBool = Field(
        default=True, description="The first line names the columns; otherwise the fields do."
    )
    comment_char: Mark | None = Field(None, description="Lines that begin with it are left out.")
    case_sensitive_header: StrictBool = Field(
        default=True,
        description="If false, a field also types a column whose name differs by case; the field's name counts.",
    )
    encoding: str | None = Field(None, description="As `utf-8` or `cp1252`; found in the file if left out.")
    decimal_char: Mark | None = Field(
        None, description="Decimal mark of fields that name none, `.` by default."
    )
    group_char: Mark | None = Field(
        None, description="Mark between groups of three digits, for fields that name none."
    )

    @field_validator("quote_char")
    @classmethod
    def _quote_is_a_mark(cls, value: str | None) -> str | None:
        return _one_mark(value) if value else value

    @field_validator("encoding")
    @classmethod
    def _encoding_is_known(cls, value: str | None) -> str | None:
        return None if value is None else text_encoding(value)


class Constraints(_Model):
    """What every cell of a column keeps. A missing cell breaks `required` only."""

    required: StrictBool = Field(default=False, description="No cell is missing.")
    unique: StrictBool = Field(
        default=False, description="No two cells are equal; missing cells do not count."
    )
    minimum: Scalar | None = Field(None, description="No value is smaller.")
    maximum: Scalar | None = Field(None, description="No value is larger.")
    exclusive_minimum: Scalar | None = Field(None, description="Every value is larger.")
    exclusive_maximum: Scalar | None = Field(None, description="Every value is smaller.")
    min_length: StrictInt | None = Field(None, ge=0, description="No text has fewer characters.")
    max_length: StrictInt | None = Field(None, ge=0, description="No text has more characters.")
    pattern: str | None = Field(
        None, min_length=1, description="A regular expression that matches the whole text."
    )
    enum: list[Scalar] | None = Field(
        None, min_length=1, max_length=MAX_LISTED, description="The values there may be."
    )


class SchemaField(_Model):
    """A column: its type, how its values are written, and what they keep."""

    name: Name = Field(description="The column's name in the file.")
    type: FieldType | None = Field(
        None, description="`string` if left out; for the report, any type if left out."
    )
    format: str | None = Field(
        None,
        description="For date, time and datetime a format as `%d/%m/%Y` (ISO 8601 by default); for string `email`, `uri`,"
        " `uuid` or `binary`.",
    )
    title: str | None = Field(None, description="For people.")
    description: str | None = Field(None, description="For people.")
    example: Any = Field(None, description="For people.")
    precision: StrictInt | None = Field(
        None, ge=1, le=MAX_PRECISION, description=f"All digits of a decimal, {MAX_PRECISION} by default."
    )
    scale: StrictInt | None = Field(
        None,
        ge=0,
        le=MAX_PRECISION,
        description=f"A decimal's digits behind the point: {DEFAULT_SCALE} by default, 0 where only `precision` is given.",
    )
    decimal_char: Mark | None = Field(None, description="Decimal mark, the dialect's by default.")
    group_char: Mark | None = Field(
        None, description="Mark between groups of three digits, the dialect's by default."
    )
    bare_number: StrictBool = Field(
        default=True,
        description="If false, what stands before and behind the number is left out, as in `$95` or `95%`.",
    )
    true_values: list[Word] | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="What is true: `true`, `True`, `TRUE`, `1` by default.",
    )
    false_values: list[Word] | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="What is false: `false`, `False`, `FALSE`, `0` by default.",
    )
    constraints: Constraints = Field(default_factory=Constraints, description="What every cell keeps.")
    severity: Severity = Field(
        "error",
        description="`warn`: broken constraints are counted and shown, and the row stays; a text that is not of the type is an"
        " error all the same.",
    )
    threshold: Threshold | None = Field(
        None,
        description="So many rows may break the type and each constraint, as a count or a percentage; one more fails the run.",
    )


class ForeignTarget(_Model):
    """The reference and its columns that a foreign key points to."""

    resource: Name = Field(description="The reference's name.")
    fields: Names = Field(description="Its columns, as many as the key has.")


class ForeignKey(_Model):
    """Columns whose values are there in a reference; a row with a missing value in one of them is not judged."""

    fields: Names = Field(description="The columns.")
    reference: ForeignTarget = Field(description="Where their values are.")


class Schema(_Model):
    """The columns of a file and what they keep. A file may have more columns; they keep their inferred types."""

    fields: list[SchemaField] = Field(min_length=1, max_length=MAX_FIELDS, description="The columns.")
    missing_values: list[Word] = Field(
        default_factory=lambda: [""], max_length=100, description="Texts that mean that there is no value."
    )
    primary_key: Names | None = Field(
        None, description="Columns that are never missing and whose values together are there only once."
    )
    unique_keys: list[Names] = Field(
        default_factory=list,
        max_length=100,
        description="Further groups of columns whose values are there only once.",
    )
    foreign_keys: list[ForeignKey] = Field(
        default_factory=list, max_length=100, description="Columns whose values are there in a reference."
    )


def type_of_field(field: SchemaField, *, untyped: Literal["text", "any"] = "text") -> Type:
    """Return what a field's values are.

    Args:
        field: The field.
        untyped: What a field without `type` is: a text in the files that are read, any type in the report.
    """
    if field.type is None:
        return Type(untyped)
    if field.type == "decimal":
        if field.precision is not None:
            return Type("decimal", field.precision, field.scale or 0)
        return Type("decimal", MAX_PRECISION, DEFAULT_SCALE if field.scale is None else field.scale)
    return Type("text" if field.type == "string" else field.type)
