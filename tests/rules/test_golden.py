"""Rules in, rows out: what the short form means, on small tables in a real DuckDB."""

from __future__ import annotations

from pathlib import Path

import pytest

from reportgen_dagster.rules.compiling.plan import Reference, Rule
from reportgen_dagster.rules.reading.loading import load_ruleset
from tests.rules.harness import Cell, parse_csv, rules, run, value

EXAMPLES = Path(__file__).parents[2] / "rules"
TRADE = {
    "outfield1": "field1 + field2",
    "outfield2": "refdata1",
    "outfield3": "refdata2 + refdata3",
    "outfield4": "field3 * max(field5, refdata4)",
    "outfield5": "max(field5, refdata4)",
}
TRADE_INPUT = parse_csv(
    "field1,field2,field3,field4,field5,refkey1,refkey2\n"
    "a,b,2.5,x,4,k1,q2\n"
    "c,d,10,x,1.5,k2,none\n"
    "e,f,-3,x,0.1,none,none\n"
    "g,h,1e2,x,007,,\n"
)
TRADE_REFERENCE = parse_csv(
    "refkey1,refkey2,refdata1,refdata2,refdata3,refdata4\nk1,q1,one,A,B,3\nk2,q2,two,C,,5.25\n"
)


def test_the_trade_example() -> None:
    result = run(rules(**TRADE), *TRADE_INPUT, reference=TRADE_REFERENCE)
    assert result.errors == [None] * 4
    missing = ("MISSING_refdata1", "MISSING_refdata2MISSING_refdata3")
    assert result.rows == [
        ("ab", "two", None, "13.125", "5.25"),
        ("cd", "two", None, "52.5", "5.25"),
        ("ef", *missing, "-0.30000000000000004", "0.1"),
        ("gh", *missing, "700", "7"),
    ]
    assert [str(column.type) for column in result.plan.columns] == [
        "text",
        "text",
        "text",
        "number",
        "number",
    ]
    assert result.plan.columns[3].sources == (
        ("input", "field3"),
        ("input", "field5"),
        ("reference", "refdata4"),
    )
    assert result.plan.references == (Reference("reference", (("refkey1",), ("refkey2",))),)


def test_the_trade_example_over_a_reference_with_only_a_header() -> None:
    result = run(rules(**TRADE), *TRADE_INPUT, reference=(TRADE_REFERENCE[0], []))
    assert [row[1:] for row in result.rows[:2]] == [
        ("MISSING_refdata1", "MISSING_refdata2MISSING_refdata3", "10", "4"),
        ("MISSING_refdata1", "MISSING_refdata2MISSING_refdata3", "15", "1.5"),
    ]


def test_known_kinds_cost_one_cast_and_no_guards() -> None:
    sql = run(rules(**TRADE), *TRADE_INPUT, reference=TRADE_REFERENCE).plan.text_sql
    assert sql.count('"field3" AS DOUBLE') == 1
    assert sql.count('"field5" AS DOUBLE') == 1
    assert "REGEXP" not in sql
    assert "ISFINITE" not in sql
    assert "CONCAT" not in sql


def test_the_row_of_the_last_key_counts_as_a_whole() -> None:
    head = ["k1", "k2", "data"]
    reference = (head, [["a", "x", "first"], ["b", "y", None]])
    result = run(rules("data", "k1"), ["k1", "k2"], [["a", "y"], ["a", "none"], ["none", None]], reference)
    assert result.column("out0") == [None, "first", "MISSING_data"]
    assert result.column("out1") == ["a", "a", "none"]


def test_keys_match_as_text() -> None:
    result = run(
        rules("d"), ["k"], [["7"], ["07"], [" 7"], ["a"], ["A"]], (["k", "d"], [["7", "x"], ["a", "y"]])
    )
    assert result.column("out0") == ["x", "MISSING_d", "MISSING_d", "y", "MISSING_d"]


@pytest.mark.parametrize(
    ("cells", "default"),
    [(["1", "2.5"], "0"), (["1", None], "0"), (["1", "x"], "MISSING_d"), ([None, None], "MISSING_d")],
)
def test_the_default_is_zero_only_for_numbers(cells: list[Cell], default: str) -> None:
    reference = (["k", "d"], [[str(number), cell] for number, cell in enumerate(cells)])
    assert run(rules("d"), ["k"], [["none"]], reference).column("out0") == [default]


def test_names_that_differ_by_case_stay_apart() -> None:
    result = run(rules("Amount + amount"), ["k", "Amount"], [["a", "1"]], (["k", "amount"], [["a", "2"]]))
    assert result.column("out0") == ["3"]


def test_a_formula_sees_the_files_and_not_other_outputs() -> None:
    result = run(rules(a="b", b="a", c="a + b"), ["a", "b"], [["x", "y"]])
    assert result.rows == [("y", "x", "xy")]


def test_columns_may_be_words_of_sql_and_of_the_compiler() -> None:
    names = ["select", "value", "order", "cells", "_error", "date"]
    formula = "select + value + order + cells + _error + date"
    result = run(rules(formula, _error="order * 2"), names, [["1", "2", "3", "4", "5", "6"]])
    assert result.rows == [("21", "6")]


@pytest.mark.parametrize(
    ("formula", "cells", "expected"),
    [
        ("a", {"a": "007"}, "007"),
        ("a + 8", {"a": "007"}, "15"),
        ("a + b", {"a": "x", "b": "y"}, "xy"),
        ("a + b", {"a": "x", "b": "1"}, "!a text and a number"),
        ("a + b", {"a": "x", "b": None}, None),
        ("a * b", {"a": "x", "b": None}, None),
        ("a * b", {"a": "x", "b": "2"}, "!text where a number is needed"),
        ("a * 2", {"a": "x"}, "!text where a number is needed"),
        ("a == b", {"a": "x", "b": "1"}, "false"),
        ("a != b", {"a": "x", "b": "1"}, "true"),
        ("a == '7'", {"a": "7"}, "false"),
        ("a == 7", {"a": "7.0"}, "true"),
        ("a == b", {"a": None, "b": "1"}, None),
        ("a < b", {"a": "9", "b": "10"}, "true"),
        ("a < b", {"a": "x", "b": "10"}, "!a text and a number"),
        ("a < b", {"a": "Z", "b": "a"}, "true"),
        ("max(a, b)", {"a": "9", "b": "10"}, "10"),
        ("max(a, b)", {"a": "9", "b": None}, None),
        ("max(a, b)", {"a": "x", "b": "y"}, "y"),
        ("max(a, b)", {"a": "x", "b": "1"}, "!a text and a number"),
        ("a / b", {"a": "1", "b": "0"}, "!division by zero"),
        ("a // b", {"a": "1", "b": "0"}, "!division by zero"),
        ("a % b", {"a": "1", "b": "0"}, "!division by zero"),
        ("a / b if b != 0 else 0", {"a": "1", "b": "0"}, "0"),
        ("b == 0 or a / b > 1", {"a": "1", "b": "0"}, "true"),
        ("b != 0 and a / b > 1", {"a": "1", "b": "0"}, "false"),
        ("a / 2", {"a": "7"}, "3.5"),
        ("a // 2", {"a": "-7"}, "-4"),
        ("a % 3", {"a": "-7"}, "2"),
        ("a % -3", {"a": "7"}, "-2"),
        ("1.0 // 0.1", {}, "9"),
        ("a ** 2", {"a": "-3"}, "9"),
        ("a ** 0.5", {"a": "-1"}, "!the result is not a finite number"),
        ("-a ** 2", {"a": "3"}, "-9"),
        ("a ** -1", {"a": "4"}, "0.25"),
        ("2 ** 3 ** 2", {}, "512"),
        ("a * a", {"a": "3037000500"}, "!the result is too large for a whole number of 64 bits"),
        ("a + 1", {"a": "9223372036854775807"}, "!the result is too large for a whole number of 64 bits"),
        ("a + 1", {"a": "9007199254740993"}, "9007199254740994"),
        ("a ** 1", {"a": "9007199254740993"}, "9007199254740993"),
        ("coalesce(a + b, a)", {"a": "0", "b": "9007199254740993"}, "9007199254740993"),
        ("a * 10", {"a": "1e308"}, "!the result is not a finite number"),
        ("round(a)", {"a": "2.5"}, "2"),
        ("round(a)", {"a": "3.5"}, "4"),
        ("round(a, 2)", {"a": "2.675"}, "2.67"),
        ("round(a, 2)", {"a": "1.115"}, "1.11"),
        ("round(a, -2)", {"a": "250"}, "200"),
        ("round(a, -2)", {"a": "350"}, "400"),
        ("0.1 + 0.2", {}, "0.30000000000000004"),
        ("a * 1", {"a": "15.0"}, "15"),
        ("a * 1.5", {"a": "10"}, "15"),
        ("a * 1", {"a": "1e20"}, "1e+20"),
        ("0 * a", {"a": "-5.5"}, "0"),
        ("1 < a < 3", {"a": "2"}, "true"),
        ("1 < a < 3", {"a": "3"}, "false"),
        ("a in ['x', 7]", {"a": "7"}, "true"),
        ("a not in ['x', 7]", {"a": "y"}, "true"),
        ("a is None", {"a": None}, "true"),
        ("a is not None", {"a": None}, "false"),
        ("a if a is not None else 'none'", {"a": None}, "none"),
        ("a if a != 'x' else 1 + 1", {"a": "007"}, "007"),
        ("a if a != 'x' else 1 + 1", {"a": "x"}, "2"),
        ("'big' if a > 9 else 'mid' if a > 5 else 'small'", {"a": "7"}, "mid"),
        ("(a if b == 'yes' else 2) * 3", {"a": "007", "b": "yes"}, "21"),
        ("a > 1 and b > 1", {"a": "0", "b": None}, "false"),
        ("a > 1 and b > 1", {"a": "2", "b": None}, None),
        ("not a == 1", {"a": "1"}, "false"),
        ("(a > 1) == (b > 1)", {"a": "0", "b": "0"}, "true"),
        ("abs(a)", {"a": "-1.5"}, "1.5"),
        ("+a", {"a": "007"}, "7"),
        ("'it''s'", {}, "its"),
        ('"it\'s " + a', {"a": "x"}, "it's x"),
        ("upper(a)", {"a": "007"}, "007"),
        ("length(a) + 1", {"a": "007"}, "4"),
        ("a * 2", {"a": "1_000"}, "!text where a number is needed"),
        ("a * 2", {"a": "inf"}, "!text where a number is needed"),
        ("a * 2", {"a": "0x1F"}, "!text where a number is needed"),
        ("a * 2", {"a": " 7 "}, "14"),
        ("a * 2", {"a": "2e3"}, "4000"),
        ("sqrt(a)", {"a": "-1"}, "!a negative number has no square root"),
        ("ln(a)", {"a": "0"}, "!a logarithm needs a number above 0"),
        ("year(a)", {"a": "31.12.2024"}, "!not a date such as 2024-01-31"),
        ("add_days(a, b)", {"a": "2024-01-31", "b": "1.5"}, "!a whole number is needed"),
        ("add_months(a, 999999)", {"a": "2024-01-31"}, "!the date is outside the years 1 to 9999"),
        ("number(a) + 1", {"a": "x"}, "!text where a number is needed"),
        ("repeat(a, 99999)", {"a": "abc"}, "!the text would be longer than 100000 characters"),
        ("replace(a, '', 'x')", {"a": "abc"}, "abc"),
        ("left(a, -1)", {"a": "abc"}, ""),
        ("a + ' ' + b + ' (' + 'x' + ')'", {"a": "p", "b": "q"}, "p q (x)"),
        ("True", {}, "true"),
        ("None", {}, None),
        ("5", {}, "5"),
        ("-2.50", {}, "-2.5"),
        ("1e16", {}, "1e+16"),
        ("2000000000 + 2000000000", {}, "4000000000"),
        ("max(2000000000, 1) * 3", {}, "6000000000"),
    ],
)
def test_cells(formula: str, cells: dict[str, Cell], expected: Cell) -> None:
    assert value(formula, **cells) == expected


def test_an_error_names_formula_reason_and_values() -> None:
    result = run(rules("a", "a / b"), ["a", "b"], [["1", "0"], ["it's", "2"], ["4", None]])
    assert result.errors == [
        "0\x1fdivision by zero\x1fa='1', b='0'",
        "0\x1ftext where a number is needed\x1fa='it's', b='2'",
        None,
    ]
    assert result.rows[2] == ("4", None)
    assert result.plan.rules == (Rule("[1].formula", "out1", "a / b"),)


def test_the_first_failing_formula_counts() -> None:
    result = run(rules("1 / a", "2 / a"), ["a"], [["0"]])
    assert [error and error[0] for error in result.errors] == ["0"]


def test_a_long_value_is_cut_in_the_error() -> None:
    error = run(rules("a * 2"), ["a"], [["x" * 5000]]).errors[0]
    assert error is not None
    assert len(error) < 300


def test_an_input_without_rows() -> None:
    assert run(rules("a * 2", "b"), ["a", "b"], []).rows == []


def test_many_operators_in_a_row() -> None:
    assert value(" + ".join(["a"] * 400), a="2") == "800"
    assert value(" * ".join(["a"] * 300), a="1") == "1"
    assert value(" + ".join(["a"] * 100), a="x") == "x" * 100
    assert value(" + ".join(["a"] * 60), a="9007199254740993") == str(9007199254740993 * 60)
    assert value(" and ".join(["a == 1"] * 300), a="1") == "true"


def test_a_thousand_outputs() -> None:
    result = run(rules(*(f"a * {number} + b" for number in range(1000))), ["a", "b"], [["2", "0.5"]])
    assert result.rows[0][999] == "1998.5"


@pytest.mark.parametrize("folder", sorted(EXAMPLES.glob("*/rules.yaml")), ids=lambda path: path.parent.name)
def test_the_examples_of_the_repository(folder: Path) -> None:
    files = {
        name: parse_csv((folder.parent / f"{name}.csv").read_text())
        for name in ("input", "reference", "expected")
    }
    result = run(load_ruleset(folder.read_text()), *files["input"], reference=files["reference"])
    kept = [row for row, error in zip(result.rows, result.errors, strict=True) if error is None]
    assert [column.name for column in result.plan.columns] == files["expected"][0]
    assert kept == [tuple(row) for row in files["expected"][1]]
