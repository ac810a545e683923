"""What stands under `output` in rules: columns and their contract, formats, how CSV is written.

What belongs here: the shape of it. What does not: which columns there are (compiling/), how a format is written (engine/).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, model_validator

from reportgen_dagster.contracts.models import Mark, Schema, text_encoding
from reportgen_dagster.formats import FORMATS, Format
from reportgen_dagster.rules.reading.steps import ColumnMapping, FrozenModel, NameList

Quoting = Literal["needed", "texts", "all"]


def _one_as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class OutputDialect(FrozenModel):
    """How CSV is written, in the words of Data Package's Table Dialect; other formats have no such choice."""

    delimiter: Mark = Field(default=",", description="Between cells.")
    decimal_char: Literal[".", ","] = Field(
        default=".", alias="decimalChar", description="Decimal mark of columns that hold numbers."
    )
    line_terminator: Literal["\n", "\r\n"] = Field(
        default="\n", alias="lineTerminator", description="Behind each row."
    )
    header: StrictBool = Field(default=True, description="The first line names the columns.")
    encoding: Annotated[str, AfterValidator(text_encoding)] = Field(
        default="utf-8",
        description="As `cp1252`; `utf-8-sig` begins with a byte order mark, by which Excel knows UTF-8.",
    )
    quoting: Quoting = Field(
        default="needed",
        description="Which cells are in quotes: those that need it, all but numbers, dates and true or false, or all.",
    )
    compression: Literal["gzip"] | None = Field(default=None, description="The file is packed.")

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.delimiter == '"':
            raise ValueError('cells are quoted with `"`, so that it cannot stand between them')
        if self.delimiter == self.decimal_char == ",":
            raise ValueError("`delimiter` is the decimal mark, too; use `;` between cells")
        return self


class Output(FrozenModel):
    """What is written."""

    columns: ColumnMapping | NameList | None = Field(
        default=None,
        description="The report's columns in order: a list, or each new name with the column it is. All, if left out.",
    )
    schema_: Schema | None = Field(default=None, alias="schema", description="The report's contract.")
    formats: Annotated[
        tuple[Format, ...],
        BeforeValidator(_one_as_list, json_schema_input_type=Format | tuple[Format, ...]),
        Field(min_length=1, max_length=len(FORMATS)),
    ] = Field(
        default=("csv",),
        description="Which files each run makes, the first one for downloads that name none; a run or a report may name others.",
    )
    dialect: OutputDialect = Field(default=OutputDialect(), description="How CSV is written.")
    guard: Literal["spreadsheet"] | None = Field(
        default=None,
        description="`spreadsheet`: a quotation mark stands before each cell of CSV that a spreadsheet would take for a formula.",
    )
