"""Each function does what its entry in the reference says, on every cell, and fails on none."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import zoneinfo
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import duckdb
import pytest
from sqlglot import exp, parse_one

from reportgen_dagster.contracts.types import Type
from reportgen_dagster.rules.expressions.evaluation import Environment, Evaluator
from reportgen_dagster.rules.expressions.gate import parse_expression
from reportgen_dagster.rules.functions import FUNCTIONS, Function, argument_problems
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.patterns import zone_problem
from reportgen_dagster.rules.values.typed import (
    DIALECT,
    Value,
    any_of,
    column,
    false,
    sql_type,
    type_of,
    value_of_type,
)
from tests.rules.evaluating import RUN_DATE, Null, problems, written
from tests.rules.harness import FailedRunError, rules, run, run_long

EXAMPLE_TABLE = (["name", "x"], [["a", "1"], ["b", "2"], ["c", "2"], ["d", None]])
SCALAR = [name for name, function in FUNCTIONS.items() if function.role == "scalar"]
AGGREGATES = [name for name, function in FUNCTIONS.items() if function.role == "aggregate"]
WINDOWS = [name for name, function in FUNCTIONS.items() if function.role == "window"]


def measure(expression: str, table: object = EXAMPLE_TABLE) -> str | None:
    """Return what an aggregate makes of a table."""
    found = run_long(f"steps: [{{aggregate: {{measures: {{m: {expression!r}}}}}}}]", table)
    return found.rows[0][0]


def over(expression: str, table: object = EXAMPLE_TABLE, options: str = "order_by: [x]") -> list[str | None]:
    """Return what a window column is on each row of a table."""
    text = f"steps: [{{window: {{{options}, columns: {{w: {expression!r}}}}}}}]"
    return run_long(text, table).column("w")


def test_the_table_is_complete_and_names_are_plain() -> None:
    assert len(FUNCTIONS) > 150
    assert all(name == name.lower() and name.isidentifier() for name in FUNCTIONS)
    assert all(
        not function.summary.endswith("..") and function.summary[-1] == "." for function in FUNCTIONS.values()
    )


@pytest.mark.parametrize("name", SCALAR)
def test_the_worked_example_of_a_scalar_holds(name: str) -> None:
    function = FUNCTIONS[name]
    assert f"{name}(" in function.example
    assert written(function.example) == function.example_result


@pytest.mark.parametrize("name", AGGREGATES)
def test_the_worked_example_of_an_aggregate_holds(name: str) -> None:
    function = FUNCTIONS[name]
    assert f"{name}(" in function.example
    assert measure(function.example) == function.example_result


@pytest.mark.parametrize("name", AGGREGATES)
def test_an_aggregate_over_a_whole_partition_is_the_same_on_each_row(name: str) -> None:
    function = FUNCTIONS[name]
    assert over(function.example) == [function.example_result] * 4


@pytest.mark.parametrize("name", WINDOWS)
def test_the_worked_example_of_a_window_function_holds(name: str) -> None:
    function = FUNCTIONS[name]
    assert f"{name}(" in function.example
    assert " | ".join(str(cell) for cell in over(function.example)) == function.example_result


@pytest.mark.parametrize("name", [name for name, function in FUNCTIONS.items() if function.alias_of])
def test_another_name_is_the_same_function(name: str) -> None:
    function, meant = FUNCTIONS[name], FUNCTIONS[FUNCTIONS[name].alias_of]
    same = replace(
        function, name=meant.name, alias_of="", example=meant.example, example_result=meant.example_result
    )
    assert same == replace(meant, translates_to=same.translates_to)


# no value aborts a query

ODD_CELLS = [
    "0", "-1", "3.7", "1e300", "-1e300", "9223372036854775807", "x", "é😀", "2024-01-31", "0001-01-01", "9999-12-31",
    "2024-13-01", " ", "", "1e-300", "100000", "-99999", "inf", "31.01.2024", "%Y", "(", "\\", "0000-01-01", None,
]  # fmt: skip
ODD: dict[str, list[object]] = {
    "text": ODD_CELLS,
    "integer": [0, 1, -1, 7, 40, 2**31, -(2**31), 10**12, 2**63 - 1, 1 - 2**63, None],
    "number": [0.0, -0.5, 1.0, 2.5, 1e15, -1e16, 1e300, -1e300, 1e-300, 1.7e308, 55555.0, None],
    "decimal": [Decimal("0"), Decimal("-0.005"), Decimal("12.345"), Decimal(10**34), -Decimal(10**34), None],
    "boolean": [True, False, None],
    "date": [dt.date(1, 1, 1), dt.date(9999, 12, 31), dt.date(2024, 2, 29), None],
    "datetime": [dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59), dt.datetime(2024, 3, 31, 2, 30), None],
    "time": [dt.time(0, 0), dt.time(23, 59, 59), None],
}  # fmt: skip
WRITTEN_OUT = {
    "digits": "1", "pattern": "'(a|[0-9]+)'", "literal": "'x'", "format": "'%d.%m.%Y'", "unit": "'month'",
    "zone": "'Europe/Zurich'", "precision": "9", "share": "0.5", "positive": "2",
}  # fmt: skip
TYPES_FOR = {
    "text": ["text"], "number": ["integer", "number", "decimal"], "count": ["integer", "number"], "boolean": ["boolean"],
    "date": ["date", "datetime", "text"], "datetime": ["date", "datetime", "text"], "time": ["time", "datetime", "text"],
    "any": ["text", "integer", "number", "decimal", "boolean", "date", "datetime", "time"],
    "same": ["text", "integer", "number", "decimal", "date", "datetime", "time"], "cell": ["text", "integer", "number"],
}  # fmt: skip
CONNECTION = duckdb.connect(config={"threads": 1})
DECIMAL = Type("decimal", 38, 3)


class Columns:
    """Columns `a`, `b`, ... of types over a relation of their odd values."""

    def __init__(self, layers: Layers, types: Sequence[str]) -> None:
        self.layers = layers
        self.types = {chr(ord("a") + place): name for place, name in enumerate(types)}

    def names(self) -> Sequence[str]:
        return [*self.types]

    def column(self, name: str) -> Value | None:
        if name not in self.types:
            return None
        return value_of_type(type_named(self.types[name]), self.layers.base(column(name, "i"), name))

    cell = column


def type_named(name: str) -> Type:
    return DECIMAL if name == "decimal" else Type(name)  # type: ignore[arg-type]  # names of types


def compute(expression: str, types: Sequence[str]) -> tuple[list[tuple[object, ...]], list[str]]:
    """Compute an expression on all combinations of odd values: rows of result and whether it is an error; problems."""
    layers = Layers()
    columns = Columns(layers, types)
    found: list[str] = []
    evaluator = Evaluator(
        layers, columns, Environment({}, RUN_DATE), lambda message, _: found.append(message)
    )
    value = evaluator.evaluate(parse_expression(expression))
    failed = any_of(check.condition for check in value.checks) if value.checks else false()
    typed = exp.Cast(this=value.sql, to=sql_type(type_of(value)))
    outputs = [("value", typed), ("failed", exp.Anonymous(this="coalesce", expressions=[failed, false()]))]
    few = "(SELECT * FROM {} LIMIT 4)"
    tables = [
        few.format(odd_table(type_name)) if place > 1 else odd_table(type_name)
        for place, type_name in enumerate(types)
    ]
    given = ", ".join(f"{table} AS t{name}" for name, table in zip(columns.types, tables, strict=True))
    shown = ", ".join(f"t{name}.odd AS {name}" for name in columns.types)
    relation = f"(SELECT {shown} FROM {given})" if given else "(SELECT 1 AS one)"  # noqa: S608 - names of types
    source = parse_one(relation, dialect=DIALECT)
    base = exp.select().from_(exp.alias_(source, "i", table=True))
    return CONNECTION.execute(layers.select(outputs, base).sql(DIALECT)).fetchall(), found


def odd_table(type_name: str) -> str:
    """Return the table of a type's odd values."""
    sql = sql_type(type_named(type_name)).sql(DIALECT)
    CONNECTION.execute(f"CREATE TABLE IF NOT EXISTS odd_{type_name} (odd {sql})")
    if CONNECTION.execute(f"SELECT count(*) FROM odd_{type_name}").fetchall() == [(0,)]:  # noqa: S608 - names of types
        insert = f"INSERT INTO odd_{type_name} VALUES (?)"  # noqa: S608 - names of types
        CONNECTION.executemany(insert, [[odd] for odd in ODD[type_name]])
    return f"odd_{type_name}"


def variants(function: Function) -> list[tuple[str, list[str]]]:
    """Return calls of a function with a column for each argument, for each combination of types."""
    arguments = function.arguments_for(len(function.arguments))
    plain = [argument for argument in arguments if argument.sort not in WRITTEN_OUT]
    choices = [TYPES_FOR[argument.sort][: 1 if place > 1 else None] for place, argument in enumerate(plain)]
    alike = {argument.sort for argument in plain} == {"same"}
    combined = [(one,) * len(plain) for one in TYPES_FOR["same"]] if alike else itertools.product(*choices)
    calls = []
    for types in combined:
        names = iter("abcdef")
        given = [WRITTEN_OUT.get(argument.sort) or next(names) for argument in arguments]
        calls.append((f"{function.name}({', '.join(given)})", list(types)))
    return calls


@pytest.mark.parametrize("name", [name for name in SCALAR if not FUNCTIONS[name].alias_of])
def test_no_value_of_any_type_aborts_the_query(name: str) -> None:
    accepted = 0
    for call, types in variants(FUNCTIONS[name]):
        rows, found = compute(call, types)
        accepted += not found
        kept = [cell for cell, failed in rows if not failed]
        assert all(math.isfinite(cell) for cell in kept if isinstance(cell, float)), call
    assert accepted


@pytest.mark.parametrize("topic", sorted({FUNCTIONS[name].topic for name in SCALAR}))
def test_no_cell_aborts_the_query_of_a_formula(topic: str) -> None:
    formulas = []
    for name in SCALAR:
        function = FUNCTIONS[name]
        if function.topic != topic or any(argument.sort == "boolean" for argument in function.arguments):
            continue
        given = [
            WRITTEN_OUT.get(argument.sort, cell)
            for argument, cell in zip(function.arguments_for(len(function.arguments)), "abcdef", strict=False)
        ]
        formulas.append(f"{name}({', '.join(given)})")
    rows = [[one, other, "2", "3", "4", "5"] for one in ODD_CELLS for other in ODD_CELLS[::4]]
    assert len(run(rules(*formulas), [*"abcdef"], rows).rows) == len(rows)


# nulls


@pytest.mark.parametrize("name", [name for name in SCALAR if not FUNCTIONS[name].alias_of])
def test_a_null_argument_makes_null_unless_the_reference_says_otherwise(name: str) -> None:
    function = FUNCTIONS[name]
    says_otherwise = {
        "coalesce", "if", "if_error", "is_blank", "greatest", "least", "concat", "concat_ws", "nullif", "cell_nullif",
        "age_in_years", "clamp",
    }  # fmt: skip
    arguments = function.arguments_for(len(function.arguments) - function.optional)
    if name in says_otherwise or not arguments or arguments[0].sort in WRITTEN_OUT:
        return
    given = ["x"] + [SAMPLES.get(argument.sort) or WRITTEN_OUT[argument.sort] for argument in arguments[1:]]
    assert written(f"{name}({', '.join(given)})", x=Null(NULLS[arguments[0].sort])) is None


SAMPLES = {
    "text": "'2'", "number": "2", "count": "2", "any": "'2'", "same": "'2'", "cell": "'2'", "date": "'2024-01-31'",
    "datetime": "'2024-01-31'", "time": "'10:00:00'",
}  # fmt: skip
NULLS = {
    "text": Type("text"), "number": Type("number"), "count": Type("integer"), "any": Type("text"), "same": Type("text"),
    "cell": Type("text"), "date": Type("date"), "datetime": Type("datetime"), "time": Type("time"),
}  # fmt: skip


def test_min_and_max_of_several_skip_nulls() -> None:
    assert written("max(x, 3, y)", x=Null(Type("integer")), y=2) == "3"
    assert written("min(x, 3, y)", x=Null(Type("integer")), y=2) == "2"
    assert written("max(x, y)", x=Null(Type("integer")), y=Null(Type("integer"))) is None
    assert written("max(d, '2024-02-01')", d=dt.date(2024, 1, 31)) == "2024-02-01"
    assert written("max(a, b)", a=Decimal("1.50"), b=2) == "2.00"


# rounding


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("round(2.5)", "3"), ("round(-2.5)", "-3"), ("round(1.005, 2)", "1.01"), ("round(2.675, 2)", "2.68"),
        ("round(-1.005, 2)", "-1.01"), ("round(0.285, 2)", "0.29"), ("round(1.0049999, 2)", "1"), ("round(15, -1)", "20"),
        ("round(-14, -1)", "-10"), ("round(14.9, -1)", "10"), ("round(5, 3)", "5"),
        ("round(1234567890123.455, 2)", "1234567890123.46"),
        ("round(1e300, 2)", "1e+300"), ("round(1e-9, 9)", "1e-09"),
    ],
)  # fmt: skip
def test_round_is_half_away_from_zero_by_the_digits_that_are_written(expression: str, expected: str) -> None:
    assert written(expression) == expected


def test_round_keeps_decimals_and_whole_numbers_exact() -> None:
    assert written("round(d, 2)", d=Decimal("12345678901234567890.125")) == "12345678901234567890.13"
    assert written("round(d, -2)", d=Decimal("150.000")) == "200"
    assert written("round(n, -1)", n=2**62 + 1) == "4611686018427387910"
    assert str(written("round(n, -1)", n=2**63 - 1)).startswith("!the result is too large")
    assert str(written("abs(n)", n=-(2**63))).startswith("!the result is too large")


# dates


def test_dates_keep_their_type() -> None:
    assert written("add_days(d, 1)", d=dt.datetime(2024, 1, 31, 10, 0)) == "2024-02-01T10:00:00"
    assert written("date_trunc('hour', d)", d=dt.datetime(2024, 1, 31, 10, 30)) == "2024-01-31T10:00:00"
    assert written("add_months(d, 1) - d", d=dt.date(2024, 1, 31)) == "29"
    assert written("today()") == RUN_DATE.isoformat()
    assert written("age_in_years(d)", d=dt.date(2000, 3, 16)) == "23"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("add_workdays('2024-02-03', 0)", "2024-02-03"), ("add_workdays('2024-02-03', 1)", "2024-02-05"),
        ("add_workdays('2024-02-03', -1)", "2024-02-02"), ("add_workdays('2024-02-05', -1)", "2024-02-02"),
        ("add_workdays('2024-02-02', 6)", "2024-02-12"), ("add_workdays('2024-02-12', -6)", "2024-02-02"),
        ("workdays_between('2024-02-03', '2024-02-05')", "0"), ("workdays_between('2024-02-08', '2024-02-01')", "-5"),
        ("add_days('9999-12-31', 1)", "!the date is outside the years 1 to 9999"),
        ("add_days('2024-01-31', 1e18)", "!the date is outside the years 1 to 9999"),
        ("add_days('2024-01-31', 0.5)", "!a whole number is needed"),
        ("make_date(2023, 2, 29)", "!there is no such date"),
        ("from_zone('2024-03-31T02:30:00', 'Europe/Zurich')", "!there is no such local time: the clock was put forward"),
        ("from_zone('2024-10-27T02:30:00', 'Europe/Zurich')", "2024-10-27T01:30:00"),
        ("parse_date('31.02.2024', '%d.%m.%Y')", "!not a date in the given format"),
    ],
)  # fmt: skip
def test_dates_at_their_edges(expression: str, expected: str) -> None:
    assert written(expression) == expected


def test_every_time_zone_that_is_accepted_works() -> None:
    zones = [zone for zone in sorted(zoneinfo.available_timezones()) if not zone_problem(zone)]
    assert len(zones) > 400
    marks = ", ".join("timezone(?, TIMESTAMP '2024-01-31 10:00:00')" for _ in zones)
    assert len(CONNECTION.execute(f"SELECT {marks}", zones).fetchall()[0]) == len(zones)
    for zone in ("", "localtime", "../etc/passwd", "Europe/Zuerich", "posix/UTC", "/etc/localtime"):
        assert "is no time zone" in zone_problem(zone)


# what must be written out


@pytest.mark.parametrize(
    ("name", "literals", "position"),
    [
        ("round", [None, None], 1), ("round", [None, 99], 1), ("regex_matches", [None, "(?=a)"], 1),
        ("regex_extract", [None, "(a)", 2], 2), ("regexp_replace", [None, "a", "\\1"], 2), ("date_trunc", ["moon", None], 0),
        ("to_zone", [None, "Mars/Base"], 1), ("format_date", [None, "%Q"], 1), ("quantile", [None, 1.5], 1),
        ("ntile", [0], 0), ("decimal", [None, 39, 2], 1),
    ],
)  # fmt: skip
def test_what_must_be_written_out_is_judged(
    name: str, literals: list[str | int | None], position: int
) -> None:
    assert set(argument_problems(FUNCTIONS[name], literals)) == {position}


def test_arguments_of_the_wrong_type_are_told_before_any_row() -> None:
    assert problems("year(5)") == (
        "`year`: `date` must be a date, or a text such as '2024-01-31', not a number",
    )
    assert "makes one" in problems("abs(x > 1)", x=1)[0]
    assert "is not a date" in problems("year('soon')")[0]


# aggregates


def decimals(*cells: str, type_: str = "decimal, precision: 38, scale: 9") -> tuple[str, list[list[str]]]:
    schema = f"input: {{schema: {{fields: [{{name: x, type: {type_}}}]}}}}"
    return schema, [[cell] for cell in cells]


def gathered(expression: str, *cells: str, type_: str = "decimal, precision: 38, scale: 9") -> str | None:
    schema, rows = decimals(*cells, type_=type_)
    text = f"{schema}\nsteps: [{{aggregate: {{measures: {{m: {expression!r}}}}}}}]"
    return run_long(text, (["x"], rows)).rows[0][0]


def test_sums_of_decimals_are_exact_and_never_overflow_in_silence() -> None:
    large = "1" * 28 + ".123456789"
    assert gathered("sum(x)", large, large, "-0.000000001") == "2" * 28 + ".246913577"
    assert gathered("sum(x)", "0.1", "0.2", "0.3", type_="decimal, precision: 9, scale: 1") == "0.6"
    with pytest.raises(FailedRunError, match="more than 38 digits"):
        gathered("sum(x)", *["9" * 29] * 20)


def test_averages_of_decimals_are_exact() -> None:
    assert gathered("avg(x)", "1", "2", "2") == "1.6666666667"
    assert gathered("avg(x)", "-1", "-2", "-2") == "-1.6666666667"
    whole = "12345678901234567890"
    assert gathered("avg(x)", f"{whole}.000000001", f"{whole}.000000002") == f"{whole}.0000000015"
    assert gathered("median(x)", "0.000000001", "0.000000002") == "0.0000000015"


def test_sums_of_whole_numbers_past_64_bits_are_an_error() -> None:
    largest = str(2**63 - 1)
    assert measure("sum(x)", (["x"], [[largest], ["-1"]])) == str(2**63 - 2)
    with pytest.raises(FailedRunError, match="too large for a whole number"):
        measure("sum(x)", (["x"], [[largest], ["1"]]))


def test_aggregates_of_nothing() -> None:
    nothing = (["name", "x"], [["a", None]])
    assert measure("count(x)", nothing) == "0"
    for name in ("sum", "avg", "min", "max", "median", "stddev", "first", "mode"):
        assert measure(f"{name}(number(x))", nothing) is None


def test_distinct_counts_equal_values_once() -> None:
    assert measure("sum(distinct x)") == "3"
    assert measure("count(distinct x)") == "2"
    table = (["name", "x"], [["b", "1"], ["a", "1"], ["b", "1"]])
    assert measure("string_agg(distinct name)", table) == "a,b"
    assert measure("string_agg(name)", table) == "b,a,b"


def test_order_dependent_aggregates_follow_the_rows() -> None:
    table = (["name", "x"], [["c", "2"], ["a", "1"], ["b", "1"], ["c", None]])
    assert [measure(one, table) for one in ("first(name)", "last(name)", "min_by(name, x)", "max_by(name, x)", "mode(name)")] == [
        "c", "c", "a", "c", "c",
    ]  # fmt: skip


def test_windows_within_partitions_and_frames() -> None:
    table = (["g", "x"], [["p", "1"], ["q", "10"], ["p", "3"], ["q", "20"], ["p", "2"]])
    options = "partition_by: [g], order_by: [x]"
    assert over("running_sum(x)", table, options) == ["1", "10", "6", "30", "3"]
    assert over("moving_sum(x, 2)", table, options) == ["1", "10", "5", "30", "3"]
    assert over("lag(x)", table, options) == [None, None, "2", "10", "1"]
    assert over("sum(x)", table, options) == ["6", "30", "6", "30", "6"]
    assert over("rank()", table, "order_by: [g]") == ["1", "4", "1", "4", "1"]
