"""Section `Long form`, `Null and error semantics`: SQL's, stated one by one on the reference page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.language.asking import Asking

PAGE = Path(__file__).parents[2] / "docs" / "rules" / "language.md"
CONTRACT = """input:
  schema:
    fields:
      - {name: i, type: integer}
      - {name: n, type: number}
      - {name: d, type: decimal, precision: 38, scale: 2}
      - {name: t, type: string}
      - {name: z, type: integer}
      - {name: b, type: boolean}
"""
DATA = "i,n,d,t,z,b\n7,2.5,1.10,abc,,\n"


def values(ask: Asking, asked: dict[str, str | None], data: str = DATA) -> None:
    assert dict(zip(asked, ask.values([*asked], data, CONTRACT), strict=True)) == asked


def test_null_in_arithmetic_comparison_and_joining_is_null(ask: Asking) -> None:
    # null in arithmetic and text joining
    nulls = [
        "i + z",
        "z * 0",
        "z / i",
        "i // z",
        "-z",
        "t || z",
        "z = z",
        "z < 1",
        "upper(nullif(t, 'abc'))",
        "z in (1, 2)",
    ]
    values(ask, {f"({text}) is null": "true" for text in nulls})


def test_logic_is_three_valued(ask: Asking) -> None:
    # Null and error semantics are SQL's
    asked: dict[str, str | None] = {
        "(b and true) is null": "true", "b and false": "false", "b or true": "true", "(b or false) is null": "true",
        "(not b) is null": "true", "(1 in (2, null)) is null": "true", "1 in (1, null)": "true", "z is distinct from 1": "true",
    }  # fmt: skip
    values(ask, asked)


def test_a_filter_leaves_out_what_is_null(ask: Asking) -> None:
    # Null and error semantics are SQL's
    assert ask.steps("filter: n > 1", "n,k\n2,a\n,b\n") == ["n,k", "2,a"]
    assert ask.steps("filter: not n > 1", "n,k\n2,a\n,b\n1,c\n") == ["n,k", "1,c"]


def test_aggregates_skip_nulls(ask: Asking) -> None:
    # Null and error semantics are SQL's
    measures = "{c: count(*), d: count(x), s: sum(x), a: avg(x), m: max(x), u: count(distinct x)}"
    assert ask.steps(f"aggregate: {{measures: {measures}}}", "x,y\n1,\n,\n3,\n1,\n") == [
        "c,d,s,a,m,u",
        f"4,3,5,{5 / 3},3,2",
    ]
    assert ask.steps(f"aggregate: {{measures: {measures}}}", "x,y\n") == ["c,d,s,a,m,u", "0,0,,,,0"]


def test_division_by_zero_is_an_error_on_that_row(ask: Asking) -> None:
    # division by zero (an error on that row)
    asked = ["1 / 0", "i / (i - 7)", "n / 0", "d / 0", "i // 0", "i % 0", "n % 0", "d // 0", "d % 0"]
    values(ask, dict.fromkeys(asked))
    rejects = ask.rejected("derive: {a: 1 / x}", "x\n1\n0\n2\n")
    assert [(row["_line"], row["_reason"]) for row in rejects] == [("3", "division by zero")]


def test_an_error_in_what_is_not_needed_is_none(ask: Asking) -> None:
    # Null and error semantics are SQL's
    asked: dict[str, str | None] = {
        "case when i = 0 then 0 else 1 end": "1", "case when i <> 7 then 1 / (i - 7) else 5 end": "5",
        "i = 7 or 1 / (i - 7) > 1": "true",
        "i <> 7 and 1 / (i - 7) > 1": "false", "coalesce(i, 1 / (i - 7))": "7", "if(i = 7, 1, 1 / (i - 7))": "1",
    }  # fmt: skip
    values(ask, asked)


def test_whole_number_division(ask: Asking) -> None:
    # integer division
    asked: dict[str, str | None] = {
        "i // 2": "3",
        "-i // 2": "-3",
        "-i % 2": "-1",
        "i / 2": "3.5",
        "i % -2": "1",
    }
    values(ask, asked)


def test_rounding_is_half_away_from_zero(ask: Asking) -> None:
    # rounding half away from zero
    asked: dict[str, str | None] = {
        "round(n)": "3", "round(-n)": "-3", "round(i / 2)": "4", "round(0.125, 2)": "0.13", "round(-0.125, 2)": "-0.13",
        "round(d + 0.05, 1)": "1.2", "cast(n as integer)": "3", "cast(-n as integer)": "-3", "round(15, -1)": "20",
        "cast(d * 0.5 as decimal(9, 1))": "0.6", "cast(2.345 as decimal(9, 2))": "2.35",
    }  # fmt: skip
    values(ask, asked)


def test_decimals_are_exact(ask: Asking) -> None:
    # decimals exact
    data = "i,n,d,t,z,b\n3,0,0.10,x,,\n"
    asked: dict[str, str | None] = {
        "d + d + d = 0.3": "true", "d * 3": "0.30", "d * 0.1": "0.010", "d + 0.2": "0.30", "d - i": "-2.90", "d * d": "0.0100",
        "cast('12345678901234567890.12' as decimal(30, 2)) + 0.01": "12345678901234567890.13", "max(d, 0.05)": "0.10",
        "coalesce(d, 0.5)": "0.10", "case when d > 0 then d else 0.5 end": "0.10", "-d": "-0.10", "abs(-d)": "0.10",
        "round(d / 3, 4)": "0.0333",
    }  # fmt: skip
    values(ask, asked, data)
    cents = "input: {schema: {fields: [{name: d, type: decimal, precision: 9, scale: 2}]}}\n"
    steps = "steps: [{aggregate: {measures: {s: sum(d), a: avg(d)}}}]"
    assert ask.long(cents + steps, "d\n" + "0.10\n" * 1000).lines[1].split(",")[0] == "100.00"


def test_overflow_is_an_error_on_that_row(ask: Asking) -> None:
    # overflow (an error on that row)
    data = f"i,n,d,t,z,b\n{2**63 - 1},1.7e308,{'9' * 36}.99,x,,\n"
    asked = [
        "i + 1",
        "i * 2",
        "-i - 2",
        "n * 10",
        "n + n",
        "power(10, 400)",
        "d + 1",
        "d * 10",
        "exp(1000)",
        "cast(n as integer)",
    ]
    values(ask, dict.fromkeys(asked), data)
    values(ask, {"i + 0": str(2**63 - 1), "i - 1": str(2**63 - 2)}, data)


def test_a_sum_that_overflows_fails_the_run(ask: Asking) -> None:
    # overflow
    told = ask.failing_steps("aggregate: {measures: {s: sum(i)}}", f"i\n{2**63 - 1}\n1\n")
    assert "steps[0].aggregate.measures.s" in told


def test_texts_compare_by_code_point(ask: Asking) -> None:
    # comparison of text
    asked: dict[str, str | None] = {
        "'B' < 'a'": "true", "'10' < '9'": "true", "'a' = 'A'": "false", "'a' = 'a '": "false", "'z' < 'é'": "true",
        "max('a', 'B', 'é')": "é", "'' = ''": "true", "'e\u0301' = 'é'": "false",
    }  # fmt: skip
    values(ask, asked)
    assert ask.steps("sort: t", "t\nb\né\nB\na\n")[1:] == ["B", "a", "b", "é"]


def test_numbers_of_all_kinds_compare_by_exact_value(ask: Asking) -> None:
    # Null and error semantics are SQL's
    data = f"i,n,d,t,z,b\n{2**53 + 1},{2**53},{2**53}.50,x,,\n"
    values(
        ask,
        {
            "i = n": "false",
            "i > n": "true",
            "i > d": "true",
            "d > i - 1": "true",
            "n = 9007199254740992": "true",
        },
        data,
    )


def test_nulls_sort_last(ask: Asking) -> None:
    # sort order of nulls
    assert ask.steps("sort: -x", "x,y\n,a\n1,b\n2,c\n")[1:] == ["2,c", "1,b", ",a"]
    window = "window: {order_by: -x, columns: {r: row_number()}}"
    assert ask.steps(window, "x,y\n,a\n1,b\n2,c\n")[1:] == [",a,3", "1,b,2", "2,c,1"]


def test_there_is_no_time_zone_but_functions_convert(ask: Asking) -> None:
    # time zones.
    fields = "input: {schema: {fields: [{name: m, type: datetime}]}}"
    asked = ["m", "to_zone(m, 'Europe/Zurich')", "from_zone(m, 'Europe/Zurich')", "date(m)", "hour(m)"]
    found = ask.values(asked, "m\n2024-07-01T12:00:00+02:00\n", fields)
    assert [str(value).replace("T", " ") for value in found] == [
        "2024-07-01 10:00:00", "2024-07-01 12:00:00", "2024-07-01 08:00:00", "2024-07-01", "10",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        "null in arithmetic",
        "division by zero",
        "`//`, `%`",
        "half away from zero",
        "decimals",
        "overflow",
        "texts compared",
        "time zone",
        "nulls are last",
    ],
)
def test_the_reference_page_states_each(words: str) -> None:
    # the reference page states each
    assert words in PAGE.read_text()
