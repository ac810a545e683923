"""What is no formula is refused with a place and a reason, whatever it tries."""

from __future__ import annotations

import threading
import time

import pytest

from reportgen_dagster.errors import RulesError
from reportgen_dagster.rules.expressions.formulas import translate
from reportgen_dagster.rules.expressions.gate import ExpressionError, parse_expression
from reportgen_dagster.rules.reading.loading import load_ruleset
from tests.rules.harness import rules

HOSTILE = [
    "__import__('os').system('id')",
    "().__class__.__bases__",
    "a.__class__",
    "a.upper()",
    "'x'.join(a)",
    "lambda: 1",
    "(lambda x: x)(1)",
    "import os",
    "from os import path",
    "a[0]",
    "a[1:2]",
    "[x for x in a]",
    "{x for x in a}",
    "(x for x in a)",
    "{1: 2}",
    "[1, 2]",
    "(1, 2)",
    "(y := 5)",
    "y = 5",
    "f'{a}'",
    "f'{a.__class__}'",
    "a; b",
    "a\nb",
    "print(a)",
    "eval('1')",
    "exec('1')",
    "open('/etc/passwd')",
    "getattr(a, 'b')",
    "globals()",
    "await a",
    "yield a",
    "max(*a)",
    "max(a, key=b)",
    "round(a, digits=2)",
    "a @ b",
    "a & b",
    "a | b",
    "a ^ b",
    "a << 2",
    "~a",
    "1j",
    "b'bytes'",
    "...",
    "SELECT 1",
    "(SELECT 1)",
    "read_csv('/etc/passwd')",
    "read_text('/etc/passwd')",
    "getenv('HOME')",
    "query('select 1')",
    "current_setting('x')",
    "COPY t TO 'x'",
    "ATTACH 'x'",
    "a ++",
    "a # comment",
    "a /* b */",
    "a\0b",
    "'a\\0b'",
    "'\\ud800'",
    "",
    "   ",
    "(",
    "a +",
    "'never closed",
    "a ? b : c",
    "a b",
    "$1",
    "a := 1",
    "1e999",
    "99999999999999999999",
    "sleep_ms(1000)",
    "random()",
    "uuid()",
    "error('x')",
    "UPPER(a)",
    "max(a)",
    "max()",
    "abs(a, b)",
    "round(a, b)",
    "round(a, 1.5)",
    "round(a, 99)",
    "regex_matches(a, b)",
    "regex_matches(a, '(')",
    "regex_matches(a, '(?=x)')",
    "regex_matches(a, '(?P<n>x)')",
    "regex_matches(a, '(a)\\\\1')",
    "regex_matches(a, 'a{1000}')",
    "regex_matches(a, 'a{100}{100}')",
    "regex_extract(a, '(x)', 2)",
    "regex_replace(a, 'x', '\\\\3')",
    "format_date(a, '%Q')",
    "a if b else c",
    "a and b",
    "not a",
    "(a > b) + 1",
    "max(a > b, 1)",
    "a == None",
    "a in [None]",
    "a in b",
    "a in []",
    "a is b",
    "a == True",
    "- " * 5000 + "a",
    "not " * 2400 + "a",
    "a" + " + a" * 2400,
    "a ** " * 1900 + "a",
    "a if a == 1 else " * 580 + "a",
    "(" * 101 + "a" + ")" * 101,
    "abs(" * 101 + "a" + ")" * 101,
    "[" * 5000,
    "a" * 10_001,
    "x" * 20_000,
]


@pytest.mark.parametrize("formula", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_formula_is_refused(formula: str) -> None:
    begun = time.monotonic()
    with pytest.raises(ExpressionError) as caught:
        translate(formula)
    assert caught.value.faults
    assert all(fault.message and "\n" not in fault.message for fault in caught.value.faults)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "expression",
    [
        "a; b", "a as b", "(select 1)", "select 1", "from t", "values (1)", "a -- b", "a /* b */", "read_csv('x')",
        "getenv('x')", "count(*)", "*", "t.*", "t.a", "a[1]", "[1, 2]", "{'a': 1}", "a::int",
        "interval 1 day", "x -> x + 1", "$1", "?", ":x", "e'a'", "a is true", "exists(select 1)", "f(a := 1)",
        "f(distinct a)", "upper(a) over ()", "unnest(a)", "set x = 1", "copy t to 'x'", "attach 'x'", "pragma x",
        "upper(a, b)", "", "   ", "'x", '"x', "a\0", "{{ j }}",
        "COLUMNS(*)", "a collate x", "a at time zone 'x'", "try(a)", "not", "(" * 101 + "1" + ")" * 101,
        "case when true then " * 101 + "1" + " end" * 101, "1" + " + 1" * 2400, "x" * 10_001,
    ],
)  # fmt: skip
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ExpressionError):
        parse_expression(expression)


def _nested(depth: int) -> str:
    return "abs(" * depth + "a" + ")" * depth


def _deep(frames: int, then: object) -> None:
    if frames:
        _deep(frames - 1, then)
    else:
        then()


def test_nesting_100_works_inside_a_deep_stack_and_101_is_refused() -> None:
    seen: list[object] = []

    def work() -> None:
        seen.append(load_ruleset(f"- {{output: x, formula: '{_nested(100)}'}}").to_yaml())
        seen.append(load_ruleset(str(seen[0])).to_yaml())
        try:
            load_ruleset(f"- {{output: x, formula: '{_nested(101)}'}}")
        except RulesError as error:
            seen.append(error.problems[0].message)

    thread = threading.Thread(target=lambda: _deep(400, work))
    thread.start()
    thread.join()
    assert seen[0] == seen[1]
    assert seen[2] == "nested deeper than 100 levels"


@pytest.mark.parametrize(
    "formula",
    [
        "max(1, " * 100 + "a" + ")" * 100,
        "1 + (" * 99 + "a" + ")" * 99,
        "(a * 2 - (" * 40 + "a" + "))" * 40,
        "(b if a == 1 else (" * 40 + "c" + "))" * 40,
        "not (" * 90 + "a == 1" + ")" * 90,
        "upper(" * 100 + "a" + ")" * 100,
    ],
)
def test_what_nests_within_the_bound_reloads(formula: str) -> None:
    ruleset = rules(formula)
    assert load_ruleset(ruleset.to_yaml()).to_yaml() == ruleset.to_yaml()
