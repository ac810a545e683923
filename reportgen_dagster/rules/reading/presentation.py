"""How a report looks on pages for people: the block `presentation` of a rules file as models.

What belongs here: which keys there are and what may stand under them. What does not: what format codes mean (cell_formats.py),
whether columns fit (compiling/presenting.py), drawing (engine/pages/).
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from reportgen_dagster.rules.reading.cell_formats import cell_format
from reportgen_dagster.rules.reading.steps import (
    MAX_COLUMNS,
    AnyNumber,
    FrozenModel,
    Key,
    Name,
    name_text,
)

MAX_CHARTS = 20
MAX_TITLE = 300
_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,2}")

Total = Literal["sum", "average", "minimum", "maximum", "count"]


def _is_format(code: str) -> str:
    cell_format(code)
    return code


def _is_locale(name: str) -> str:
    from babel import localedata  # a tenth of a second that other rules do without

    known = localedata.normalize_locale(name.replace("-", "_")) if _LOCALE.fullmatch(name) else None
    if known is None:
        raise ValueError(f"`{name[:60]}` is no locale that is known, such as en, de or pt_BR")
    return known


FormatCode = Annotated[
    str,
    BeforeValidator(name_text, json_schema_input_type=str | float),
    AfterValidator(_is_format),
]
Title = Annotated[
    str, Field(max_length=MAX_TITLE), BeforeValidator(name_text, json_schema_input_type=str | float)
]


class Chart(FrozenModel):
    """A chart: the sums of a column for each value of another one."""

    kind: Literal["bar", "line", "pie"] = Field(description="What it looks like.")
    x: Name = Field(description="The column whose values stand side by side, or are the slices of a pie.")
    y: Name = Field(description="The column whose sums are shown.")
    by: Name | None = Field(
        default=None, description="The column whose values are lines or bars of their own."
    )
    title: Title | None = Field(
        default=None, description="What is above it; made of the columns' names, if left out."
    )


class Presentation(FrozenModel):
    """How the report looks on HTML and PDF pages; its formats hold for spreadsheets, too."""

    title: Title | None = Field(
        default=None, description="What is at the top; the title of the rules, if left out."
    )
    locale: Annotated[str, AfterValidator(_is_locale)] = Field(
        default="en", description="How numbers and dates are written on pages, as `de` or `pt_BR`."
    )
    formats: dict[Key, FormatCode] = Field(
        default_factory=dict,
        max_length=MAX_COLUMNS,
        description="Columns with the format code of their cells, as `#,##0.00`, `0.0%`, `dd.mm.yyyy` or `@`.",
    )
    totals: Annotated[dict[Key, Total], Field(max_length=MAX_COLUMNS)] | AnyNumber = Field(
        default=(),
        description="Columns of which the sum is told: a list, or each column with what is told of it.",
    )
    sort: AnyNumber = Field(
        default=(),
        description="The columns that order the table on pages, `-` before a name for descending; as in the rules, if none.",
    )
    charts: Annotated[tuple[Chart, ...], Field(max_length=MAX_CHARTS)] = Field(
        default=(), description="The charts, in order."
    )

    @property
    def told(self) -> dict[str, Total]:
        """Return each column of `totals` with what is told of it."""
        return dict(self.totals) if isinstance(self.totals, dict) else dict.fromkeys(self.totals, "sum")
