"""Totals and charts are over all rows, exact, and the same each time: pandas agrees."""

from __future__ import annotations

import datetime
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reportgen_dagster.engine.connection import open_connection
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.pages.chart_data import MAX_CATEGORIES, MAX_POINTS, OTHER, ChartData, chart_data
from reportgen_dagster.engine.pages.rows import Rows
from reportgen_dagster.engine.pages.sums import sums_of
from reportgen_dagster.engine.pages.totals import totals_of
from reportgen_dagster.rules.reading.presentation import Chart
from tests.engine.pages.making import table

COUNT = 5_000
KINDS = {
    "n": pa.int64(),
    "d": pa.decimal128(18, 4),
    "f": pa.float64(),
    "day": pa.date32(),
    "at": pa.timestamp("us"),
}


def _columns(seed: int = 1) -> dict[str, list[Any]]:
    chosen = random.Random(seed)  # noqa: S311 - test data
    day = datetime.date(2026, 1, 1)

    def some(make: Any) -> list[Any]:
        return [None if chosen.random() < 0.1 else make() for _ in range(COUNT)]

    return {
        "group": some(lambda: chosen.choice(["north", "south", "east", ""])),
        "many": some(lambda: f"k{int(chosen.paretovariate(0.5)) % 300}"),
        "n": some(lambda: chosen.randrange(-(2**62), 2**62)),
        "d": some(lambda: Decimal(chosen.randrange(-(10**17), 10**17)).scaleb(-4)),
        "f": some(lambda: chosen.uniform(-1, 1) * 10 ** chosen.randrange(-8, 9)),
        "day": some(lambda: day + datetime.timedelta(days=chosen.randrange(4_000))),
        "at": some(
            lambda: datetime.datetime(2026, 1, 1) + datetime.timedelta(seconds=chosen.randrange(10**6))
        ),
    }


COLUMNS = _columns()
FRAME = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in COLUMNS.items()})


@contextmanager
def _rows(folder: Path, columns: Mapping[str, Sequence[Any]], *, group: int = 700) -> Iterator[Rows]:
    path = folder / "rows.parquet"
    pq.write_table(table(columns, KINDS), path, row_group_size=group)
    with (
        open_connection([], work=folder, limits=Limits(memory="200MB")) as connection,
        Rows(path, connection) as rows,
    ):
        yield rows


def _chart(rows: Rows, **chart: Any) -> ChartData:
    told = Chart.model_validate(chart)
    return chart_data(rows, told, sums_of(rows, [told.y])[told.y], str)


def test_totals_are_those_of_pandas(tmp_path: Path) -> None:
    told: dict[str, Any] = {
        "n": "sum",
        "d": "average",
        "f": "sum",
        "day": "minimum",
        "at": "maximum",
        "group": "count",
    }
    with _rows(tmp_path, COLUMNS) as rows:
        found = totals_of(rows, told, sums_of(rows, ["n", "d", "f"]))
    known = {name: FRAME[name].dropna() for name in told}
    assert found["n"] == sum(known["n"])
    assert found["d"] == Context(prec=80).divide(sum(known["d"]), Decimal(len(known["d"])))
    assert found["f"] == pytest.approx(math.fsum(known["f"]), rel=1e-15)
    assert (found["day"], found["at"]) == (min(known["day"]), max(known["at"]))
    assert found["group"] == len(known["group"])


def test_sums_of_doubles_do_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    found = set()
    for seed in range(3):
        values = list(COLUMNS["f"])
        random.Random(seed).shuffle(values)  # noqa: S311 - test data
        with _rows(tmp_path, {"f": values}, group=100 + 1_000 * seed) as rows:
            found.add(totals_of(rows, {"f": "sum"}, sums_of(rows, ["f"]))["f"])
    assert len(found) == 1


@pytest.mark.parametrize(
    "values", [[1e308, 1e308, -1e308], [5e-324, 5e-324], [0.1] * 10, [0.0, -0.0], [1e300, 1e-300]]
)
def test_very_large_and_very_small_doubles_are_added_up(tmp_path: Path, values: list[float]) -> None:
    with _rows(tmp_path, {"f": values}) as rows:
        found = totals_of(rows, {"f": "sum"}, sums_of(rows, ["f"]))["f"]
    assert found == pytest.approx(float(sum(map(Decimal, values))), rel=1e-15)


def test_a_sum_that_no_double_holds_is_none(tmp_path: Path) -> None:
    with _rows(tmp_path, {"f": [1e308] * 5}) as rows:
        assert totals_of(rows, {"f": "sum"}, sums_of(rows, ["f"])) == {"f": None}


def test_a_sum_of_more_than_38_digits_hides_no_other_total(tmp_path: Path) -> None:
    wide = pa.decimal128(38, 0)
    rows = table({"w": [Decimal(9) * 10**37] * 3, "n": [1, 2, 3]}, {"w": wide})
    path = tmp_path / "rows.parquet"
    pq.write_table(rows, path)
    with (
        open_connection([], work=tmp_path, limits=Limits(memory="200MB")) as connection,
        Rows(path, connection) as opened,
    ):
        sums = sums_of(opened, ["w", "n"])
        assert totals_of(opened, {"w": "sum", "n": "sum"}, sums) == {"w": None, "n": 6}
        data = chart_data(opened, Chart(kind="bar", x="n", y="w"), sums["w"], str)
        assert (data.series, data.notes) == ((), ("Its sums have more than 38 digits.",))


def test_bars_are_the_sums_of_groups_as_they_come_in_the_report(tmp_path: Path) -> None:
    with _rows(tmp_path, COLUMNS) as rows:
        data = _chart(rows, kind="bar", x="group", y="d")
    sums = FRAME.groupby("group", dropna=False, sort=False)["d"].agg(lambda part: sum(part.dropna()))
    assert list(data.categories) == [None if pd.isna(name) else name for name in sums.index]
    (series,) = data.series
    assert (series.name, list(series.values)) == (None, list(sums))
    assert data.notes == ()


def test_bars_of_many_values_are_the_largest_and_the_rest(tmp_path: Path) -> None:
    with _rows(tmp_path, COLUMNS) as rows:
        data = _chart(rows, kind="bar", x="many", y="n")
    sums = FRAME.groupby("many", dropna=False)["n"].agg(lambda part: sum(part.dropna())).to_dict()
    sums = {None if pd.isna(name) else name: value for name, value in sums.items()}
    largest = sorted(sums, key=lambda name: -abs(sums[name]))[: MAX_CATEGORIES - 1]
    assert list(data.categories) == [*largest, OTHER]
    rest = sum(value for name, value in sums.items() if name not in largest)
    assert list(data.series[0].values) == [*(sums[name] for name in largest), rest]
    assert data.notes == (f"Other: all but the 29 largest of {len(sums)} values of many.",)


def test_bars_by_another_column_have_a_sum_for_each_pair(tmp_path: Path) -> None:
    with _rows(tmp_path, COLUMNS) as rows:
        data = _chart(rows, kind="bar", x="group", y="d", by="many")
    assert data.series[-1].name is OTHER
    assert len(data.series) == 8
    for series in data.series[:-1]:
        for category, value in zip(data.categories, series.values, strict=True):
            same = FRAME[
                (FRAME["group"].isna() if category is None else FRAME["group"] == category)
                & (FRAME["many"].isna() if series.name is None else FRAME["many"] == series.name)
            ]["d"].dropna()
            assert value == (sum(same) if len(same) else None)
    whole = sum(value for series in data.series for value in series.values if value is not None)
    assert whole == sum(FRAME["d"].dropna())


def test_a_line_of_many_points_shows_some_of_them_and_says_so(tmp_path: Path) -> None:
    with _rows(tmp_path, COLUMNS) as rows:
        data = _chart(rows, kind="line", x="day", y="d")
    sums = FRAME.groupby("day")["d"].agg(lambda part: sum(part.dropna()) if part.notna().any() else None)
    days = list(data.categories)
    assert days[-1] is None  # nulls come last
    assert days[:-1] == sorted(days[:-1])
    assert len(days) <= MAX_POINTS + 1
    assert days[0] == min(sums.index)
    for day, value in zip(days[:-1], data.series[0].values, strict=False):
        assert value == sums[day]
    assert data.notes == (f"One of 2 points is drawn; there are {len(sums) + 1} values of day.",)


def test_a_pie_has_its_largest_slices_first_and_shows_nothing_below_zero(tmp_path: Path) -> None:
    columns = {"x": [f"s{number}" for number in range(14)], "n": list(range(14))}
    with _rows(tmp_path, columns) as rows:
        data = _chart(rows, kind="pie", x="x", y="n")
        assert list(data.categories[:3]) == ["s13", "s12", "s11"]
        assert data.categories[-1] is OTHER
        assert list(data.series[0].values) == [*range(13, 4, -1), 10]
    with _rows(tmp_path, {"x": ["a", "b"], "n": [1, -1]}) as rows:
        data = _chart(rows, kind="pie", x="x", y="n")
    assert (data.kind, data.notes) == ("bar", ("Drawn as bars, since a pie cannot show values below zero.",))


def test_a_column_that_is_null_everywhere_has_no_sum(tmp_path: Path) -> None:
    columns = {"x": pa.array([None, None], pa.string()), "g": ["a", "b"]}
    with _rows(tmp_path, columns) as rows:
        assert rows.types()["x"].name == "null"
        sums = sums_of(rows, ["x"])
        assert totals_of(rows, {"x": "average"}, sums) == {"x": None}
        assert _chart(rows, kind="bar", x="g", y="x").series[0].values == (None, None)


@pytest.mark.parametrize("values", [[1e300, 1.0], [1e-300, 0.0]])
def test_what_no_axis_shows_is_not_drawn(tmp_path: Path, values: list[float]) -> None:
    with _rows(tmp_path, {"group": ["a", "b"], "f": values}) as rows:
        data = _chart(rows, kind="bar", x="group", y="f")
    assert (data.series, data.notes) == ((), ("Its sums are too large or too small to draw.",))
