"""What pages say, as plain texts: the same for HTML and PDF.

What belongs here: which facts, figures, charts, checks, rejects and rows are shown, and in which words. What does not: markup and
looks (templates/), how values are written (values.py), how rows are read (table.py) and charts drawn (charts.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from reportgen_dagster.engine.pages.chart_data import ChartData, chart_data
from reportgen_dagster.engine.pages.charts import Labels, drawn
from reportgen_dagster.engine.pages.rows import Rows
from reportgen_dagster.engine.pages.sums import sums_of
from reportgen_dagster.engine.pages.table import TableColumn, first_rows, is_right
from reportgen_dagster.engine.pages.texts import shown
from reportgen_dagster.engine.pages.totals import totals_of
from reportgen_dagster.engine.pages.values import Values, Writer
from reportgen_dagster.engine.pages.wish import PagesWish, RunFacts
from reportgen_dagster.rules.reading.cell_formats import NumberFormat, cell_format
from reportgen_dagster.rules.reading.presentation import Chart, Total

MAX_FIGURES = 12
MAX_FAILURES = 30
MAX_WARNINGS = 30
_PHRASE, _NAME, _TEXT = 300, 120, 4_000  # characters of a title, of a name, of a description
_NOTHING = "\u2013"
_SAMPLE = 120  # characters of a cell of the rejects
_REJECT_COLUMNS = {
    "_line": "Line",
    "_column": "Column",
    "_rule": "Rule",
    "_value": "Value",
    "_reason": "Reason",
}


@dataclass(frozen=True, slots=True)
class Told:
    """A fact or a figure: what it is, and its value."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class DrawnChart:
    """A chart: its title, its picture as SVG (empty if there is nothing to draw), what it shows in words, notes."""

    title: str
    svg: str
    alt: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """How a file kept its contract.

    Attributes:
        file: Which file.
        verdict: In words.
        look: `kept`, `warned` or `broken`.
        failures: Column, check, what was found and on how many rows, each.
    """

    file: str
    verdict: str
    look: str
    failures: tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Content:
    """Everything on the pages.

    Attributes:
        title: What stands at the top.
        description: What the report is for.
        facts: What is known of the run.
        figures: Key figures.
        charts: The charts.
        checks: How files kept their contracts.
        warnings: What an operator should look at.
        rejects: What became of rows that could not be used, in words.
        broken: What rows broke beside contracts: step, column, rule and on how many rows, each.
        reject_names: The columns of the rejects that are shown.
        reject_rows: The first few rejects.
        columns: The columns of the table that are shown.
        column_count: How many the report has.
        row_count: How many rows the report has.
        whole_table: Where all of them are.
        total_label: What the row of totals is called; empty if there is none.
        footer: What stands at the bottom.
        count: Writes how many there are of something.
    """

    title: str
    description: str
    facts: tuple[Told, ...]
    figures: tuple[Told, ...]
    charts: tuple[DrawnChart, ...]
    checks: tuple[Check, ...]
    warnings: tuple[str, ...]
    rejects: str
    broken: tuple[tuple[str, str, str, str], ...]
    reject_names: tuple[str, ...]
    reject_rows: tuple[tuple[str, ...], ...]
    columns: tuple[TableColumn, ...] = field(repr=False)
    column_count: int
    row_count: int
    whole_table: str
    total_label: str
    footer: str
    count: Writer

    @property
    def table_notes(self) -> list[str]:
        """Return what the table does not show, and where that is."""
        rows = len(self.columns[0].cells) if self.columns else 0
        notes = []
        if not self.row_count:
            notes.append("The report has no rows.")
        if rows < self.row_count:
            notes.append(
                f"These are the first {self.count(rows)} rows. The whole table has {self.count(self.row_count)} rows;"
                f" it is {self.whole_table}."
            )
        if len(self.columns) < self.column_count:
            notes.append(
                f"These are the first {self.count(len(self.columns))} of {self.count(self.column_count)} columns;"
                f" the others are {self.whole_table}."
            )
        return notes

    @property
    def total_cells(self) -> list[str]:
        """Return the row of totals, with its name in the first cell that is free; empty if there is none."""
        cells = [column.total for column in self.columns]
        if not any(cells):
            return []
        if "" in cells:
            cells[cells.index("")] = self.total_label
        return cells

    @property
    def looks(self) -> list[bool]:
        """Tell of each column whether it stands on the right."""
        return [column.is_right for column in self.columns]


def content(rows: Rows, wish: PagesWish, *, most_rows: int, most_columns: int, most_cells: int) -> Content:
    """Compute and write what is shown.

    Args:
        rows: The report.
        wish: What is to be shown.
        most_rows: Rows of the table, at most.
        most_columns: Its columns, at most.
        most_cells: Its cells, at most; a wide table shows fewer rows.
    """
    return _Making(rows, wish).content(most_rows, most_columns, most_cells)


class _Making:
    """Makes the content of one report."""

    def __init__(self, rows: Rows, wish: PagesWish) -> None:
        self._rows = rows
        self._wish = wish
        self._presentation = wish.presentation
        self._values = Values(wish.presentation.locale)
        self._count = self._values.count
        self._told = wish.presentation.told
        self._formats = {name: cell_format(code) for name, code in wish.presentation.formats.items()}
        added = [name for name, total in self._told.items() if total in ("sum", "average")]
        measures = [chart.y for chart in self._presentation.charts]
        self._amounts = frozenset((*added, *measures))
        self._sums = sums_of(rows, dict.fromkeys((*added, *measures)))

    def content(self, most_rows: int, most_columns: int, most_cells: int) -> Content:
        wish, facts = self._wish, self._wish.facts
        totals = self._totals()
        names = self._rows.names[:most_columns]
        count = min(most_rows, max(1, most_cells // max(1, len(names))))
        rejected = _shown_rejects(facts)
        return Content(
            title=shown(self._presentation.title or wish.title or facts.report, _PHRASE),
            description=shown(wish.description, _TEXT),
            facts=tuple(self._facts()),
            figures=tuple(self._figures(totals)),
            charts=tuple(self._chart(chart) for chart in self._presentation.charts),
            checks=tuple(self._checks()),
            warnings=tuple(shown(warning, _TEXT) for warning in facts.warnings[:MAX_WARNINGS]),
            rejects=self._rejects(),
            broken=tuple(self._broken()),
            reject_names=tuple(_REJECT_COLUMNS[name] for name in rejected),
            reject_rows=tuple(
                tuple(shown(row.get(name, ""), _SAMPLE) for name in rejected) for row in facts.reject_samples
            ),
            columns=tuple(self._table(names, count, totals)),
            column_count=len(self._rows.names),
            row_count=self._rows.count,
            whole_table=shown(wish.whole_table, _PHRASE),
            total_label=self._total_label(),
            footer=f"{shown(facts.report, _NAME)}, {self._values.moment(facts.made_at)}",
            count=self._count,
        )

    def _writer(self, name: str) -> Writer:
        type_ = self._rows.schema.field(name).type
        return self._values.writer(type_, self._formats.get(name), is_amount=name in self._amounts)

    # facts and figures

    def _facts(self) -> Iterator[Told]:
        facts = self._wish.facts
        yield Told("Report", shown(facts.report, _NAME))
        yield Told("Made", self._values.moment(facts.made_at))
        yield Told("Run", shown(facts.run_id, _NAME))
        yield Told("Rules", shown(facts.rules, _NAME))
        for file in facts.files:
            rows = "1 row" if file.row_count == 1 else f"{self._count(file.row_count)} rows"
            role = "Input" if file.role == "input" else f"Reference {shown(file.role, _NAME)}"
            yield Told(role, f"{shown(file.name, _NAME)}, {rows}")

    def _figures(self, totals: Mapping[str, str]) -> Iterator[Told]:
        yield Told("Rows", self._count(self._rows.count))
        for name in list(totals)[: MAX_FIGURES - 1]:
            word = _word(self._told[name])
            yield Told(f"{shown(name, _NAME)}{f' ({word})' if word else ''}", totals[name] or _NOTHING)

    def _totals(self) -> dict[str, str]:
        found = totals_of(self._rows, self._told, self._sums)
        return {name: self._total(name, value) for name, value in found.items()}

    def _total(self, name: str, value: Any) -> str:
        if value is None:
            return ""
        total, type_ = self._told[name], self._rows.schema.field(name).type
        if total == "count":
            return self._count(value)
        if total == "average" and not isinstance(self._formats.get(name), NumberFormat):
            told = NumberFormat(is_grouped=True, decimals=2) if pa.types.is_integer(type_) else None
            return self._values.writer(type_, told)(value)
        return self._writer(name)(value)

    def _total_label(self) -> str:
        if not self._told:
            return ""
        return "Total" if set(self._told.values()) <= {"sum", "count"} else "All rows"

    # charts

    def _chart(self, chart: Chart) -> DrawnChart:
        data = chart_data(self._rows, chart, self._sums[chart.y], self._count)
        told = f"{chart.y} by {chart.x}{f' and {chart.by}' if chart.by else ''}"
        notes = tuple(shown(note, _TEXT) for note in data.notes)
        svg = drawn(data, self._labels(chart)) if data.series else ""
        return DrawnChart(
            shown(chart.title or told, _PHRASE), svg, shown(self._alt(chart, data, told), _TEXT), notes
        )

    def _alt(self, chart: Chart, data: ChartData, told: str) -> str:
        """Tell a chart to those who do not see it."""
        return (
            f"{data.kind.capitalize()} chart: {told}, {self._count(len(data.categories))} values of {chart.x}"
        )

    def _labels(self, chart: Chart) -> Labels:
        told = self._formats.get(chart.y)
        known = told if isinstance(told, NumberFormat) else NumberFormat()

        def axis(decimals: int) -> Writer:
            last = max(0, decimals - 2) if known.is_percentage else decimals
            wish = NumberFormat(known.prefix, known.suffix, 1, True, last, 0, known.is_percentage)  # noqa: FBT003
            return self._values.writer(pa.float64(), wish)

        return Labels(
            x=self._writer(chart.x),
            by=self._writer(chart.by or chart.x),
            y=self._writer(chart.y),
            axis=axis,
            share=self._values.writer(pa.float64(), NumberFormat(decimals=1, suffix="%", is_percentage=True)),
            x_title=shown(chart.x, _NAME),
            y_title=shown(chart.y, _NAME),
        )

    # checks and rejects

    def _checks(self) -> Iterator[Check]:
        for file, found in self._wish.facts.contracts.items():
            failures = found["failures"]
            look = "broken" if not found["passed"] else "warned" if failures else "kept"
            verdict = "kept, with warnings" if look == "warned" else look
            told = tuple(self._failure(one) for one in failures[:MAX_FAILURES])
            yield Check(shown(file, _NAME), verdict, look, told)

    def _failure(self, one: Mapping[str, Any]) -> tuple[str, str, str, str]:
        column, check, message = (shown(str(one[key]), _PHRASE) for key in ("column", "check", "message"))
        return column, check, message, self._count(one["count"]) if one["count"] else ""

    def _rejects(self) -> str:
        facts = self._wish.facts
        used = (
            f"{self._count(facts.used_count)} of {self._count(facts.input_count)} rows of the input were used"
        )
        if not facts.reject_count:
            return f"{used}; none was rejected."
        more = len(facts.reject_samples)
        first = f", of which the first {more} follow" if 0 < more < facts.reject_count else ""
        were = "was" if facts.reject_count == 1 else "were"
        return f"{used}, {self._count(facts.reject_count)} {were} rejected{first}."

    def _broken(self) -> Iterator[tuple[str, str, str, str]]:
        """Tell what steps could not do with rows; what broke a contract stands with the contract."""
        facts = self._wish.facts
        for one in [one for one in facts.broken if one["step"] not in facts.contracts][:MAX_FAILURES]:
            step, column, rule = (shown(str(one[key]), _PHRASE) for key in ("step", "column", "rule"))
            yield step, column, rule, self._count(one["count"])

    # the table

    def _table(self, names: Sequence[str], count: int, totals: Mapping[str, str]) -> Iterator[TableColumn]:
        writers = {name: self._writer(name) for name in names}
        found = first_rows(self._rows, writers, self._presentation.sort, count)
        for name, cells in found.items():
            type_ = self._rows.schema.field(name).type
            word = _word(self._told[name]) if name in self._told else ""
            total = " ".join(part for part in (word, totals.get(name, "")) if part)
            if pa.types.is_floating(type_) and name not in self._formats:
                cells = self._values.aligned(cells)
            yield TableColumn(shown(name, _NAME), is_right(type_), cells, total if totals.get(name) else "")


def _word(total: Total) -> str:
    """Return what stands beside a total; a sum needs no word."""
    return "" if total == "sum" else total


def _shown_rejects(facts: RunFacts) -> list[str]:
    """Return the columns of the rejects that say something."""
    samples = facts.reject_samples
    return [name for name in _REJECT_COLUMNS if any(row.get(name) for row in samples)]
