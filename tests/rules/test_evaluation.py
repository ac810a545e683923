"""What expressions of the long form are worth, on typed cells in a real DuckDB."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reportgen_dagster.contracts.types import BOOLEAN, DATE, INTEGER, NUMBER, TEXT, Type
from tests.rules.evaluating import Null, Read, Unknown, evaluate, problems, written

LARGEST = 2**63 - 1
LOWEST = -(2**63)
JANUARY = dt.date(2024, 1, 31)
MOMENT = dt.datetime(2024, 1, 31, 10, 30)


@pytest.mark.parametrize(
    ("expression", "cells", "expected"),
    [
        ("a + b", {"a": 2, "b": 3}, "5"),
        ("a + b", {"a": 2, "b": 0.5}, "2.5"),
        ("a - b * 2", {"a": 10, "b": 3}, "4"),
        ("a + b", {"a": LARGEST, "b": 1}, "!the result is too large for a whole number of 64 bits"),
        ("a * b", {"a": LARGEST, "b": LARGEST}, "!the result is too large for a whole number of 64 bits"),
        ("a + 1 - 1", {"a": LARGEST - 1}, str(LARGEST - 1)),
        ("-a", {"a": LARGEST}, str(-LARGEST)),
        ("-a", {"a": LOWEST}, "!the result is too large for a whole number of 64 bits"),
        ("a / b", {"a": 7, "b": 2}, "3.5"),
        ("a / b", {"a": 6, "b": 2}, "3"),
        ("a / b", {"a": 7, "b": 0}, "!division by zero"),
        ("a / b", {"a": 7.5, "b": 0.0}, "!division by zero"),
        ("a / b", {"a": Null(INTEGER), "b": 0}, None),
        ("a // b", {"a": 7, "b": 2}, "3"),
        ("a // b", {"a": -7, "b": 2}, "-3"),
        ("a // b", {"a": -7.5, "b": 2}, "-3"),
        ("a // b", {"a": 7, "b": 0}, "!division by zero"),
        ("a // b", {"a": LOWEST, "b": -1}, "!the result is too large for a whole number of 64 bits"),
        ("a // b", {"a": LOWEST, "b": 1}, str(LOWEST)),
        ("a // -1", {"a": 5}, "-5"),
        ("a % b", {"a": 7, "b": 3}, "1"),
        ("a % b", {"a": -7, "b": 3}, "-1"),
        ("a % b", {"a": 7, "b": -3}, "1"),
        ("a % b", {"a": LOWEST, "b": -1}, "0"),
        ("a % -1", {"a": LOWEST}, "0"),
        (
            "floor_divide(a, b)",
            {"a": LOWEST, "b": -1},
            "!the result is too large for a whole number of 64 bits",
        ),
        ("floor_divide(a, -1)", {"a": LOWEST}, "!the result is too large for a whole number of 64 bits"),
        ("floor_divide(a, b)", {"a": LOWEST + 1, "b": -1}, str(LARGEST)),
        ("floor_divide(a, b)", {"a": Null(INTEGER), "b": -1}, None),
        ("floor_divide(a, b)", {"a": LOWEST, "b": 0}, "!division by zero"),
        ("floor_divide(a, b)", {"a": LOWEST, "b": 3}, "-3074457345618258603"),
        ("floor_modulo(a, b)", {"a": LOWEST, "b": 3}, "1"),
        ("floor_modulo(a, b)", {"a": LOWEST, "b": -1}, "0"),
        ("floor_modulo(a, -1)", {"a": LOWEST}, "0"),
        ("floor_modulo(a, b)", {"a": Null(INTEGER), "b": -1}, None),
        (
            "floor_divide(case when b < 0 then a else 0.5 end, b)",
            {"a": LOWEST, "b": -1},
            "!the result is too large for a whole number of 64 bits",
        ),
        ("floor_modulo(case when b < 0 then a else 0.5 end, b)", {"a": LOWEST, "b": -1}, "0"),
        ("a % b", {"a": -7.5, "b": 2.0}, "-1.5"),
        ("a % b", {"a": 7.5, "b": 0.0}, "!division by zero"),
        ("a * 10", {"a": 1e308}, "!the result is not a finite number"),
        ("a + null", {"a": 1}, None),
        ("(a + 1) * 2", {"a": 1}, "4"),
        ("- 2 + a", {"a": 1}, "-1"),
        ("0.1 + 0.2", {}, "0.30000000000000004"),
    ],
)
def test_arithmetic(expression: str, cells: dict[str, object], expected: str | None) -> None:
    assert written(expression, **cells) == expected


@pytest.mark.parametrize(
    ("expression", "cells", "expected"),
    [
        ("a < b", {"a": 9, "b": 10}, "true"),
        ("a < b", {"a": "9", "b": "10"}, "false"),
        ("a < b", {"a": "Z", "b": "a"}, "true"),
        ("a = b", {"a": 2**53 + 1, "b": float(2**53)}, "false"),
        ("a > b", {"a": 2**53 + 1, "b": float(2**53)}, "true"),
        ("a >= b", {"a": LARGEST, "b": 9.3e18}, "false"),
        ("a = b", {"a": Decimal("1.50"), "b": Decimal("1.5000")}, "true"),
        ("a = 1.5", {"a": Decimal("1.50")}, "true"),
        ("a > 0.1", {"a": Decimal("0.10000000000000000001")}, "true"),
        ("a = 5", {"a": Decimal("5.00")}, "true"),
        ("a == b", {"a": "x", "b": "x"}, "true"),
        ("a != b", {"a": "x", "b": "x"}, "false"),
        ("a <> null", {"a": "x"}, None),
        ("a = b", {"a": "x", "b": Null(TEXT)}, None),
        ("a is null", {"a": Null(DATE)}, "true"),
        ("a is not null", {"a": 0}, "true"),
        ("a is distinct from b", {"a": "x", "b": Null(TEXT)}, "true"),
        ("a is not distinct from b", {"a": Null(TEXT), "b": Null(TEXT)}, "true"),
        ("a is not distinct from null", {"a": 1}, "false"),
        ("a between 1 and 3", {"a": 3}, "true"),
        ("a not between 1 and 3", {"a": 3}, "false"),
        ("a between 1 and null", {"a": 0}, "false"),
        ("a in (1, 2, 3)", {"a": 2}, "true"),
        ("a in (1, null)", {"a": 2}, None),
        ("a not in ('x', 'y')", {"a": "z"}, "true"),
        ("a in (1.5, 2)", {"a": 1.5}, "true"),
        ("a like 'T-%'", {"a": "T-007"}, "true"),
        ("a like 'T_7'", {"a": "Tü7"}, "true"),
        ("a not like '%7'", {"a": "T-007"}, "false"),
        ("a ilike 't-%'", {"a": "T-007"}, "true"),
        ("a like '%a%b%c'", {"a": "xa.b\nbc"}, "true"),
        ("a like '%a.b%c%'", {"a": "aXbcc"}, "false"),
        ("a like '%'", {"a": Null(TEXT)}, None),
        ("not a", {"a": True}, "false"),
        ("a and b", {"a": Null(BOOLEAN), "b": False}, "false"),
        ("a or b", {"a": Null(BOOLEAN), "b": True}, "true"),
        ("a and b", {"a": Null(BOOLEAN), "b": True}, None),
        ("a = b", {"a": True, "b": False}, "false"),
        ("a <> 0 and 1 / a > 0", {"a": 0}, "false"),
        ("a = 0 or 1 / a > 0", {"a": 0}, "true"),
        ("1 / a > 0 and a <> 0", {"a": 0}, "!division by zero"),
    ],
)
def test_conditions(expression: str, cells: dict[str, object], expected: str | None) -> None:
    assert written(expression, **cells) == expected


def test_many_wildcards_take_no_time() -> None:
    assert written(f"a like '{'%a' * 20}%b'", a="a" * 50_000) == "false"


@pytest.mark.parametrize(
    ("expression", "cells", "expected"),
    [
        ("a > date '2024-01-30'", {"a": JANUARY}, "true"),
        ("a > '2024-01-30'", {"a": JANUARY}, "true"),
        ("a in ('2024-01-30', '2024-01-31')", {"a": JANUARY}, "true"),
        ("a < '2024-01-31T00:00:01'", {"a": JANUARY}, "true"),
        ("a > b", {"a": MOMENT, "b": JANUARY}, "true"),
        ("a = datetime '2024-01-31 10:30:00'", {"a": MOMENT}, "true"),
        ("a > time '10:00'", {"a": dt.time(10, 30)}, "true"),
        ("a - b", {"a": JANUARY, "b": dt.date(2023, 12, 31)}, "31"),
        ("a - '2024-01-01'", {"a": JANUARY}, "30"),
        ("a + 1", {"a": JANUARY}, "2024-02-01"),
        ("1 + a", {"a": JANUARY}, "2024-02-01"),
        ("a - b", {"a": JANUARY, "b": 31}, "2023-12-31"),
        ("a + b", {"a": JANUARY, "b": LARGEST}, "!the date is outside the years 1 to 9999"),
        ("a + b", {"a": JANUARY, "b": Null(INTEGER)}, None),
        ("a", {"a": MOMENT}, "2024-01-31T10:30:00"),
        ("a", {"a": dt.time(10, 30)}, "10:30:00"),
        ("a || '!'", {"a": JANUARY}, "2024-01-31!"),
        ("case when true then a else '2024-02-29' end", {"a": JANUARY}, "2024-01-31"),
        ("case when false then a else '2024-02-29' end", {"a": JANUARY}, "2024-02-29"),
        ("case a when '2024-01-31' then 1 else 2 end", {"a": JANUARY}, "1"),
    ],
)
def test_dates(expression: str, cells: dict[str, object], expected: str | None) -> None:
    assert written(expression, **cells) == expected


@pytest.mark.parametrize(
    ("expression", "cells", "expected"),
    [
        ("case when a > 1 then 'big' else 'small' end", {"a": 2}, "big"),
        ("case when a > 1 then 'big' end", {"a": 1}, None),
        ("case a when 1 then 'one' when 2 then 'two' else 'many' end", {"a": 2}, "two"),
        ("case when a <> 0 then 1 / a else 0 end", {"a": 0}, "0"),
        ("case when a = 0 then 1 / a else 0 end", {"a": 0}, "!division by zero"),
        ("coalesce(a, 1 / a)", {"a": 5}, "5"),
        ("coalesce(a, b)", {"a": Null(NUMBER), "b": 2}, "2"),
        ("a || b", {"a": "x", "b": 1.5}, "x1.5"),
        ("a || b", {"a": "x", "b": Null(TEXT)}, None),
        ("a || 'b' || 'c'", {"a": "a"}, "abc"),
        ("upper(a)", {"a": "x"}, "X"),
    ],
)
def test_choices_and_texts(expression: str, cells: dict[str, object], expected: str | None) -> None:
    assert written(expression, **cells) == expected


@pytest.mark.parametrize(
    ("expression", "cells", "expected"),
    [
        ("cast(a as integer)", {"a": "007"}, "7"),
        ("cast(a as integer)", {"a": "9007199254740993"}, "9007199254740993"),
        ("cast(a as integer)", {"a": "2.5"}, "3"),
        ("cast(a as integer)", {"a": -2.5}, "-3"),
        ("cast(a as integer)", {"a": 2.4}, "2"),
        ("cast(a as integer)", {"a": Decimal("2.5")}, "3"),
        ("cast(a as integer)", {"a": 1e30}, "!the result is too large for a whole number of 64 bits"),
        ("cast(a as integer)", {"a": "x"}, "!text where a number is needed"),
        ("cast(a as integer)", {"a": True}, "1"),
        ("cast(a as number)", {"a": "1e2"}, "100"),
        ("cast(a as number)", {"a": "nan"}, "!text where a number is needed"),
        ("cast(a as number)", {"a": "1_000"}, "!text where a number is needed"),
        ("cast(a as double)", {"a": "0x1F"}, "!text where a number is needed"),
        ("cast(a as decimal(9, 2))", {"a": "1.005"}, "1.01"),
        ("cast(a as decimal(9, 2))", {"a": 5}, "5.00"),
        ("cast(a as decimal(4, 2))", {"a": 100}, "!too large for decimal(4,2)"),
        ("cast(0.1 as decimal(20, 18))", {}, "0.100000000000000000"),
        ("cast(a as text) || '!'", {"a": 1.0}, "1!"),
        ("cast(a as text)", {"a": Decimal("1.50")}, "1.50"),
        ("cast(a as date)", {"a": "2024-01-31"}, "2024-01-31"),
        ("cast(a as date)", {"a": "31.01.2024"}, "!not a date such as 2024-01-31"),
        ("cast(a as date)", {"a": "2024-02-30"}, "!not a date such as 2024-01-31"),
        ("cast(a as date)", {"a": MOMENT}, "2024-01-31"),
        ("cast(a as datetime)", {"a": JANUARY}, "2024-01-31T00:00:00"),
        ("cast(a as time)", {"a": MOMENT}, "10:30:00"),
        ("cast(a as boolean)", {"a": "TRUE"}, "true"),
        ("cast(a as boolean)", {"a": "yes"}, "!neither true nor false"),
        ("cast(null as date)", {}, None),
        ("cast(a as varchar)", {"a": Read("1.50", "number")}, "1.50"),
    ],
)
def test_casts(expression: str, cells: dict[str, object], expected: str | None) -> None:
    assert written(expression, **cells) == expected


@pytest.mark.parametrize(
    ("expression", "cells", "expected"),
    [
        ("a", {"a": Read("1.50", "number")}, "1.50"),
        ("a * 2", {"a": Read("1.50", "number")}, "3"),
        ("a || ''", {"a": Read("1.50", "number")}, "1.50"),
        ("a = '1.50'", {"a": Read("1.50", "number")}, "true"),
        ("a in ('7', '8')", {"a": Read("7", "integer")}, "true"),
        ("a = 1.5", {"a": Read("1.50", "number")}, "true"),
        ("coalesce(a, 'none')", {"a": Read(None, "integer")}, "none"),
        ("coalesce(a, 0)", {"a": Read("1.50", "number")}, "1.5"),
        ("case when a > 1 then a else 'x' end", {"a": Read("1.50", "number")}, "1.50"),
        ("-a", {"a": Read("1.50", "number")}, "-1.5"),
        ("a", {"a": Read("2024-01-31 10:00", "datetime")}, "2024-01-31 10:00"),
        ("length(a)", {"a": Read("1.50", "number")}, "4"),
    ],
)
def test_what_was_read_is_written_as_it_was_read(
    expression: str, cells: dict[str, object], expected: str
) -> None:
    assert written(expression, **cells) == expected


@pytest.mark.parametrize(
    ("expression", "cells", "problem"),
    [
        (
            "traded > 5",
            {"traded": JANUARY},
            "`traded > 5` compares a date with a number; write a date as date '2024-01-31'",
        ),
        (
            "a > '31/01/2024'",
            {"a": JANUARY},
            "`a > '31/01/2024'`: '31/01/2024' is not a date such as 2024-01-31",
        ),
        (
            "a > b",
            {"a": JANUARY, "b": "x"},
            "`a > b` compares a date with a text; cast(x as date) reads a text",
        ),
        (
            "a = 5",
            {"a": "x"},
            "`a = 5` compares a text with a number; write a text in quotes, as '5', or read the text by number(...)",
        ),
        ("a > '5'", {"a": 5}, "`a > '5'` compares a number with a text; write a number without quotes"),
        (
            "a = true",
            {"a": 1},
            "`a = TRUE` compares a number with a boolean; write `x` or `not x` for a condition",
        ),
        (
            "a + b",
            {"a": "x", "b": "y"},
            "`a + b` adds a text; texts are joined by `||`, and number(...) reads a text as a number",
        ),
        ("a * 2", {"a": "x"}, "`a * 2` computes with a text; number(...) reads a text as a number"),
        ("a * 2", {"a": JANUARY}, "`a * 2`: nothing is multiplied with or divided by a date or time"),
        ("a + b", {"a": JANUARY, "b": JANUARY}, "`a + b`: two dates cannot be added"),
        ("a + 0.5", {"a": JANUARY}, "`a + 0.5`: only whole days are added to a date or taken from it"),
        ("amout + 1", {"amount": 1}, "unknown column `amout`; did you mean `amount`?"),
        ("not a", {"a": 1}, "`a` is a number; a condition is true or false, such as `x > 0`"),
        (
            "case when a then 1 end",
            {"a": "x"},
            "`a` is a text; a condition is true or false, such as `x > 0`",
        ),
        (
            "case when true then a else 1 end",
            {"a": "x"},
            "`CASE WHEN TRUE THEN a ELSE 1 END`: one value is a text, another is a number; text(...) makes a text of it",
        ),
        (
            "case when true then a else 1 end",
            {"a": JANUARY},
            "`CASE WHEN TRUE THEN a ELSE 1 END`: one value is a date, another is a number",
        ),
        ("cast(a as date)", {"a": 5}, "`CAST(a AS DATE)`: a number cannot be cast to date"),
        (
            "date '2024-02-30'",
            {},
            "`date '2024-02-30'`: '2024-02-30' is not a date such as 2024-01-31",
        ),
        ("abs(a)", {"a": "x"}, "`abs`: `number` must be a number, not a text"),
    ],
)
def test_types_that_do_not_fit_are_told(expression: str, cells: dict[str, object], problem: str) -> None:
    assert problems(expression, **cells) == (problem,)


def test_every_problem_of_an_expression_is_told() -> None:
    assert len(problems("(a + 1) * (b > 2) - unknown", a="x", b="y")) == 4


@pytest.mark.parametrize(
    "expression",
    [
        "a + 1", "a || 'x'", "a > date '2024-01-31'", "a = 'x'", "a like 'x'", "a in (1, 'x')", "cast(a as date) - 1",
        "case when a then a else 1 end", "coalesce(a, 'x')", "upper(a)", "abs(a)", "a and not a", "-a", "a between 1 and 2",
        "left('abc', a)", "a // 2 % 3", "max(a, 1)",
    ],
)  # fmt: skip
def test_what_is_not_known_fits_everywhere(expression: str) -> None:
    assert problems(expression, a=Unknown()) == ()


@pytest.mark.parametrize(
    ("expression", "cells", "type_"),
    [
        ("a + 1", {"a": 1}, "integer"),
        ("a + 1.5", {"a": 1}, "number"),
        ("a / 2", {"a": 1}, "number"),
        ("a + 1.5", {"a": Decimal("1.0000")}, "decimal(19,4)"),
        ("a * b", {"a": Decimal("1.0000"), "b": 1.5}, "number"),
        ("a * b", {"a": Decimal("1.0000"), "b": 2}, "decimal(37,4)"),
        ("case when true then a end", {"a": Decimal("1.0000")}, "decimal(18,4)"),
        ("case when true then a else 0 end", {"a": Decimal("1.0000")}, "decimal(18,4)"),
        ("case when true then 1 end", {}, "integer"),
        ("a + 1", {"a": JANUARY}, "date"),
        ("a - a", {"a": JANUARY}, "integer"),
        ("a > 1", {"a": 1}, "boolean"),
        ("a || 'x'", {"a": 1}, "text"),
        ("a", {"a": Null(Type("time"))}, "time"),
        ("a + 1", {"a": Unknown()}, "any"),
        ("cast(a as decimal(5, 1))", {"a": Unknown()}, "decimal(5,1)"),
    ],
)
def test_types_flow(expression: str, cells: dict[str, object], type_: str) -> None:
    assert evaluate(expression, **cells).type == type_


def test_parameters_are_typed_literals() -> None:
    given: dict[str, object] = {"least": Decimal("0.10"), "desk": "A%", "day": JANUARY}
    assert written("a * :least", given, a=Decimal("3.00")) == "0.3000"
    assert written("a like :desk", given, a="ABC") == "true"
    assert written("a + 1 > :day", given, a=JANUARY) == "true"
    assert problems("a > :day", given, a=5) == (
        "`a > :day` compares a number with a date; write a date as date '2024-01-31'",
    )


def test_long_chains_and_deep_nesting_are_evaluated() -> None:
    assert written("a" + " + 1" * 400, a=0) == "400"
    assert written("(" * 99 + "a" + ")" * 99, a=1) == "1"
    assert written("case when a > 0 then " * 60 + "a" + " end" * 60, a=1) == "1"


EXTREMES: dict[str, list[object]] = {
    "i": [0, 1, -1, 7, LARGEST, LOWEST, 2**53 + 1, Null(INTEGER)],
    "n": [0.0, -0.5, 2.5, 1e308, -1e308, 1e-308, 9.3e18, Null(NUMBER)],
    "d": [
        Decimal("0.00"),
        Decimal("-12.34"),
        Decimal("9" * 38),
        Decimal("0." + "9" * 30),
        Decimal("1" * 20 + ".5"),
    ],
    "t": ["", "x", "007", "1e5", "2024-01-31", "true", "99999999999999999999", "é😀", Null(TEXT)],
    "b": [True, False, Null(BOOLEAN)],
    "day": [dt.date(1, 1, 1), dt.date(9999, 12, 31), JANUARY, Null(DATE)],
    "at": [MOMENT, dt.datetime(9999, 12, 31, 23, 59, 59, 999_999)],
}
TYPES = [
    "text",
    "integer",
    "number",
    "decimal(38, 9)",
    "decimal(5, 2)",
    "boolean",
    "date",
    "time",
    "datetime",
]
ANYTHING = st.sampled_from([*EXTREMES, "0", "1", "-1", "0.5", "1e-30", "'x'", "null", "date '2024-01-31'"])
FIGURES = st.sampled_from(
    [
        "i",
        "n",
        "d",
        "0",
        "3",
        "-1",
        "0.5",
        "1e-30",
        "null",
        "cast(t as decimal(20, 4))",
        "day - date '2024-01-31'",
    ]
)


def expressions(leaves: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner),
            st.builds(
                "({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "/", "//", "%", "||"]), inner
            ),
            st.builds("(- {})".format, inner),
            st.builds("cast({} as {})".format, inner, st.sampled_from(TYPES)),
            st.builds("case when {} < {} then {} else {} end".format, inner, inner, inner, inner),
            st.builds("coalesce({}, {})".format, inner, inner),
            st.builds("({} between {} and {})".format, inner, inner, inner),
            st.builds(
                "({} is not distinct from {} or {} in ({}, {}))".format, inner, inner, inner, inner, inner
            ),
        ),
        max_leaves=6,
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.one_of(expressions(ANYTHING), expressions(FIGURES), expressions(FIGURES)),
    st.fixed_dictionaries({name: st.sampled_from(cells) for name, cells in EXTREMES.items()}),
)
def test_no_expression_aborts_the_query(expression: str, cells: dict[str, object]) -> None:
    answer = evaluate(expression, **cells)
    assert answer.problems or answer.written is None or isinstance(answer.written, str)


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("time '24:00'", "`time '24:00'`: '24:00' is not a time"),
        ("datetime '2024-02-30'", "`datetime '2024-02-30'`: "),
        ("date '0000-01-01'", "`date '0000-01-01'`: "),
        ("date '2024-01-31' > a", "`date '2024-01-31' > a` compares a date with a number"),
        ("cast(a as date) > 5", "`CAST(a AS DATE)`: "),
        (":p > 'x'", "`:p > 'x'` "),
    ],
)
def test_problems_show_dates_as_they_are_written(expression: str, shown: str) -> None:
    assert problems(expression, {"p": 5}, a=5)[0].startswith(shown)


@pytest.mark.parametrize(
    ("type_", "read"),
    [
        ("date", "0000-01-01"), ("date", "0000-12-31"), ("time", "24:00"), ("time", "24:00:00"), ("time", "10:60"),
        ("datetime", "2024-01-31T24:00"), ("datetime", "2024-01-31 24:00:00"), ("datetime", "0000-01-01"),
        ("datetime", "0000-01-01T10:00"),
    ],
)  # fmt: skip
def test_there_is_no_year_0_and_no_24_o_clock(type_: str, read: str) -> None:
    found = written(f"cast(a as {type_})", a=read)
    assert found is not None
    assert found.startswith("!not a ")


@pytest.mark.parametrize("read", ["0001-01-01", "0010-01-01", "0100-12-31", "1000-01-01", "9999-12-31"])
def test_the_years_run_from_1_to_9999(read: str) -> None:
    assert written("cast(a as date)", a=read) == read


TOO_LONG = "!the text would be longer than 100000 characters"


@pytest.mark.parametrize(
    ("expression", "cells", "expected"),
    [
        ("length(a || b)", {"a": "x" * 60_000, "b": "y" * 60_000}, TOO_LONG),
        ("length(a || b)", {"a": "x" * 60_000, "b": "y" * 40_000}, "100000"),
        ("length(a || a)", {"a": "\U0001f600" * 50_000}, "100000"),
        ("length(a || a)", {"a": "\U0001f600" * 50_001}, TOO_LONG),
        ("length(a || b)", {"a": "x" * 100_001, "b": Null(TEXT)}, None),
        ("length(a || b)", {"a": Read("9" * 60_000, "text"), "b": Read("9" * 60_000, "text")}, TOO_LONG),
        ("'a' || 1 || 'b'", {}, "a1b"),
    ],
)
def test_joined_texts_are_bounded(expression: str, cells: dict[str, object], expected: str | None) -> None:
    assert written(expression, **cells) == expected
