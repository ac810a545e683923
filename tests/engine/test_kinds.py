"""What a column holds is judged by every row, never by a sample."""

from __future__ import annotations

import math
from collections.abc import Sequence

import duckdb
import pyarrow as pa
import pytest

from reportgen_dagster.rules.compiling.kinds import SAMPLE_ROWS, ColumnKind, find_kinds, kinds_sql, read_kinds
from reportgen_dagster.rules.compiling.plan import Asked

BOTH: frozenset[Asked] = frozenset(("type", "cell"))
LATE = SAMPLE_ROWS + 5


def kind_of(cells: Sequence[str | None], asked: frozenset[Asked] = BOTH) -> ColumnKind:
    """Judge a column in all ways and see that they agree."""
    with duckdb.connect() as connection:
        connection.register("data", pa.table({"x": pa.array(cells, pa.string())}))
        connection.register("longer", pa.table({"x": pa.array([*cells, *[None] * LATE], pa.string())}))

        def query(sql: str) -> Sequence[object]:
            return connection.execute(sql).fetchall()[0]

        found = find_kinds(query, "data", {"x": asked})["x"]
        assert find_kinds(query, "longer", {"x": asked})["x"] == found  # empty cells do not count
        whole = read_kinds({"x": asked}, query(kinds_sql("data", {"x": asked})))["x"]
    assert (found.type, found.largest) == (whole.type, whole.largest) or asked != BOTH
    assert found.kind == whole.kind or {found.kind, whole.kind} == {"integer", "number"}  # `-0` is both
    return found


@pytest.mark.parametrize(
    ("cells", "type_name"),
    [
        (["1", "-20", "0", "9223372036854775807", None], "integer"),
        (["-9223372036854775808"], "integer"),
        (["1", "00123"], "text"),
        (["1", "-0"], "number"),
        (["1", "+1"], "text"),
        (["1", " 1"], "text"),
        (["1", "1_000"], "text"),
        (["1", "0x1F"], "text"),
        (["1", "9223372036854775808"], "number"),
        (["1", "1.0"], "number"),
        (["1.5", "-0.25", "1e3", "2E-7", "0"], "number"),
        (["1.5", ".5"], "text"),
        (["1.5", "5."], "text"),
        (["1.5", "01.5"], "text"),
        (["1.5", "1e400"], "text"),
        (["1.5", "nan"], "text"),
        (["1.5", "inf"], "text"),
        (["1,5"], "text"),
        (["true", "false", None], "boolean"),
        (["true", "True"], "text"),
        (["true", "1"], "text"),
        (["2024-01-31", "0001-01-01", "9999-12-31"], "date"),
        (["2024-01-31", "2024-02-30"], "text"),
        (["2024-1-31"], "text"),
        (["2024/01/31"], "text"),
        (["0000-01-01"], "text"),
        (["epoch"], "text"),
        (["2024-01-31T10:00:00", "2024-01-31 23:59:59.123456"], "datetime"),
        (["2024-01-31 10:00:00", "2024-01-31"], "text"),
        (["2024-01-31 24:00:00"], "text"),
        (["2024-01-31 10:00:00Z"], "text"),
        (["2024-01-31 10:00:00+01"], "text"),
        (["2024-02-30 10:00:00"], "text"),
        ([None, None], "null"),
        ([], "null"),
        (["x"], "text"),
    ],
)
def test_types_hold_for_every_cell(cells: list[str | None], type_name: str) -> None:
    assert kind_of(cells).type == type_name


@pytest.mark.parametrize(
    ("early", "late", "type_name", "kind"),
    [
        ("1", "x", "text", "mixed"),
        ("1", "007", "text", "integer"),
        ("1", "2.5", "number", "number"),
        ("1.5", "x", "text", "mixed"),
        ("2024-01-31", "x", "text", "text"),
        ("2024-01-31", "5", "text", "mixed"),
        ("true", "yes", "text", "text"),
        ("x", "1", "text", "mixed"),
        (None, "1", "integer", "integer"),
        (None, "x", "text", "text"),
        (None, "2024-01-31", "date", "text"),
        ("1", None, "integer", "integer"),
    ],
)  # fmt: skip
def test_a_type_that_changes_late_widens(
    early: str | None, late: str | None, type_name: str, kind: str
) -> None:
    found = kind_of([early] * LATE + [late])
    assert (found.type, found.kind) == (type_name, kind)


@pytest.mark.parametrize("rows", [SAMPLE_ROWS - 1, SAMPLE_ROWS, SAMPLE_ROWS + 1])
def test_the_last_row_counts_where_the_first_look_ends(rows: int) -> None:
    assert kind_of([*["1"] * (rows - 1), "x"]).type == "text"
    assert kind_of(["1"] * rows) == ColumnKind("integer", 1.0, "integer")


def test_few_rows_are_looked_at_once() -> None:
    asked: list[str] = []
    with duckdb.connect() as connection:
        connection.register("data", pa.table({"x": ["1", "2"], "y": ["a", None]}))

        def query(sql: str) -> Sequence[object]:
            asked.append(sql)
            return connection.execute(sql).fetchall()[0]

        found = find_kinds(query, "data", dict.fromkeys("xy", frozenset(("type",))))
    assert ([kind.type for kind in found.values()], len(asked)) == (["integer", "text"], 1)


def test_magnitudes_are_known() -> None:
    assert kind_of(["-7", "3"]).largest == 7
    assert kind_of(["1.5", "-2.5e3"]).largest == 2500
    assert kind_of(["9223372036854775807"]).kind == "number"
    assert kind_of(["x", "12"], frozenset(("cell",))) == ColumnKind("mixed", 12.0, "text")


def test_what_nobody_asked_is_open() -> None:
    found = kind_of(["x", "12"], frozenset(("type",)))
    assert (found.type, found.kind) == ("text", "mixed")
    assert math.isinf(found.largest)


def test_cells_read_as_numbers_in_the_short_form_where_types_do_not() -> None:
    assert kind_of(["007", " 8 ", "+9"]) == ColumnKind("integer", 9.0, "text")
    assert kind_of([".5", "5."]).kind == "number"


def test_nothing_is_asked_of_nobody() -> None:
    assert find_kinds(lambda sql: pytest.fail(sql), "data", {"x": frozenset()}) == {}
