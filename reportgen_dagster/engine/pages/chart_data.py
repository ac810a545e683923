"""What charts show: sums over all rows of a report, for at most as many values as can be told apart.

What belongs here: computing them. What does not: how a chart is drawn (charts.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
from sqlglot import exp

from reportgen_dagster.engine.pages.rows import Rows, column, source
from reportgen_dagster.engine.pages.sums import Number, Sum
from reportgen_dagster.rules.reading.presentation import Chart

MAX_CATEGORIES = 30
MAX_SLICES = 10
MAX_SERIES = 8
MAX_POINTS = 2_000
_LEAST, _MOST = 1e-100, 1e100  # sums of which the axis can be drawn
_TABLE = "pages:chart"
_COUNTS = """
SELECT count(DISTINCT x) + max((x IS NULL)::INTEGER), count(DISTINCT line) + max((line IS NULL)::INTEGER), min(total)
FROM "pages:chart"
"""
# The largest come first; `place` of `x` is the order on the axis of a line.
_CELLS = """
WITH categories AS (
    SELECT x, row_number() OVER (
        ORDER BY CASE WHEN $by_size THEN abs(sum(total)) END DESC NULLS LAST,
            CASE WHEN $by_value THEN x END NULLS LAST, min(seen)
    ) AS place
    FROM "pages:chart" GROUP BY x
), lines AS (
    SELECT line, row_number() OVER (ORDER BY abs(sum(total)) DESC NULLS LAST, min(seen)) AS place
    FROM "pages:chart" GROUP BY line
)
SELECT least(categories.place, $categories) AS category, least(lines.place, $lines) AS series,
    arg_min(chart.x, chart.seen), arg_min(chart.line, chart.seen), sum(chart.total), min(chart.seen)
FROM "pages:chart" AS chart
JOIN categories ON categories.x IS NOT DISTINCT FROM chart.x
JOIN lines ON lines.line IS NOT DISTINCT FROM chart.line
WHERE (categories.place - 1) % $step = 0 OR categories.place = $last
GROUP BY category, series
"""


class Other:
    """Stands for all values that a chart does not show for themselves."""


OTHER = Other()


@dataclass(frozen=True, slots=True)
class Series:
    """A line, or the bars of one colour.

    Attributes:
        name: The value of `by` that it stands for; None is null.
        values: The sum of each category; None if there is none.
    """

    name: Any
    values: tuple[Number | None, ...]


@dataclass(frozen=True, slots=True)
class ChartData:
    """What a chart shows.

    Attributes:
        kind: `bar`, `line` or `pie`.
        categories: The values of `x`, in order.
        series: What is shown of each; one series without `by`, none if there is nothing to show.
        notes: What is to be known of it, in words.
    """

    kind: str
    categories: tuple[Any, ...] = ()
    series: tuple[Series, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Bounds:
    """How many values of `x` and of `by` are shown, of how many."""

    categories: int
    category_count: int
    series_count: int

    @property
    def other_category(self) -> int | None:
        return self.categories if self.category_count > self.categories else None

    @property
    def other_series(self) -> int | None:
        return MAX_SERIES if self.series_count > MAX_SERIES else None


def chart_data(rows: Rows, chart: Chart, measure: Sum, count: Callable[[int], str]) -> ChartData:
    """Return what a chart shows.

    Args:
        rows: The report.
        chart: What the rules say.
        measure: How its `y` is added up.
        count: Writes how many there are of something.
    """
    names = [name for name in (chart.x, chart.y, chart.by) if name is not None]
    try:
        with rows.table(_TABLE, _grouped(rows, chart, measure), names):
            return _shown(rows, chart, measure, count)
    except duckdb.OutOfRangeException:
        return ChartData(chart.kind, notes=("Its sums have more than 38 digits.",))


def _grouped(rows: Rows, chart: Chart, measure: Sum) -> exp.Select:
    """Select the sum of each combination, and the first row that has it."""
    keys = {"x": column(chart.x)} | ({"line": column(chart.by)} if chart.by else {})
    named = [exp.alias_(key.copy(), name) for name, key in keys.items()]
    if not chart.by:
        named.append(exp.alias_(exp.cast(exp.Null(), "VARCHAR"), "line"))
    total = exp.alias_(measure.total.copy(), "total")
    seen = exp.alias_(exp.Min(this=rows.number), "seen")
    return exp.select(*named, total, seen).from_(source()).group_by(*keys.values())


def _shown(rows: Rows, chart: Chart, measure: Sum, write: Callable[[int], str]) -> ChartData:
    ((count, series_count, least),) = rows.fetched(_COUNTS)
    if not count:
        return ChartData(chart.kind, notes=("There are no rows to draw.",))
    notes = []
    kind = chart.kind
    if kind == "pie" and least is not None and least < 0:
        kind = "bar"
        notes.append("Drawn as bars, since a pie cannot show values below zero.")
    is_line, is_value = kind == "line", not pa.types.is_string(rows.schema.field(chart.x).type)
    most = count if is_line else MAX_SLICES if kind == "pie" else MAX_CATEGORIES
    bounds = _Bounds(most, count, series_count)
    step = math.ceil(count * min(series_count, MAX_SERIES) / MAX_POINTS) if is_line else 1
    given = {"by_size": not is_line, "by_value": is_line and is_value, "lines": MAX_SERIES}
    cells = rows.fetched(_CELLS, {**given, "categories": most, "step": step, "last": count})
    notes += _notes(chart, bounds, step, write)
    return _drawable(_Grid(cells, measure, bounds).data(kind, notes, by_value=is_value))


def _drawable(data: ChartData) -> ChartData:
    """Return what a chart shows, or only why it cannot be drawn."""
    sums = [abs(float(value)) for line in data.series for value in line.values if value]
    if data.kind == "pie" and not sums:
        return ChartData(data.kind, notes=("There is nothing to draw: all values are zero.",))
    largest = max(sums, default=1.0)
    if not _LEAST <= largest <= _MOST:
        return ChartData(data.kind, notes=("Its sums are too large or too small to draw.",))
    return data


def _notes(chart: Chart, bounds: _Bounds, step: int, write: Callable[[int], str]) -> Iterator[str]:
    if step > 1:
        yield f"One of {write(step)} points is drawn; there are {write(bounds.category_count)} values of {chart.x}."
    if bounds.other_category:
        largest, all_there_are = write(bounds.categories - 1), write(bounds.category_count)
        yield f"Other: all but the {largest} largest of {all_there_are} values of {chart.x}."
    if bounds.other_series:
        largest, all_there_are = write(MAX_SERIES - 1), write(bounds.series_count)
        yield f"Other: all but the {largest} largest of {all_there_are} values of {chart.by}."


class _Grid:
    """The sums of categories by series."""

    def __init__(self, cells: Sequence[tuple[Any, ...]], measure: Sum, bounds: _Bounds) -> None:
        self._sums = {(cell[0], cell[1]): measure.read(cell[4]) for cell in cells}
        self._categories = _first_seen(cells, 0, 2, bounds.other_category)
        self._series = _first_seen(cells, 1, 3, bounds.other_series)
        self._is_cut = bounds.other_category is not None

    def data(self, kind: str, notes: Sequence[str], *, by_value: bool) -> ChartData:
        if kind == "line":
            places = sorted(self._categories)
        elif kind == "pie" or (self._is_cut and not by_value):
            places = sorted(self._categories, key=lambda place: (self._categories[place][0] is OTHER, place))
        else:
            places = _in_order(self._categories, by_value=by_value)
        lines = _in_order(self._series, by_value=False)
        series = tuple(
            Series(self._series[line][0], tuple(self._sums.get((place, line)) for place in places))
            for line in lines
        )
        return ChartData(kind, tuple(self._categories[place][0] for place in places), series, tuple(notes))


def _first_seen(
    cells: Sequence[tuple[Any, ...]], place: int, value: int, other: int | None
) -> dict[int, tuple[Any, int]]:
    """Return of each place the value, and the first row that has it."""
    found: dict[int, tuple[Any, int]] = {}
    for cell in cells:
        before = found.get(cell[place])
        if before is None or cell[5] < before[1]:
            found[cell[place]] = (OTHER if cell[place] == other else cell[value], cell[5])
    return found


def _in_order(found: Mapping[int, tuple[Any, int]], *, by_value: bool) -> list[int]:
    """Return places by their values, or as they come in the report; nulls last, and then the rest."""

    def key(place: int) -> tuple[Any, ...]:
        value, seen = found[place]
        rank = 2 if value is OTHER else 1 if value is None and by_value else 0
        return (rank, value if by_value and not rank else seen)

    return sorted(found, key=key)
