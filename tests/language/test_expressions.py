"""Section `Long form`, `Expressions`."""

from __future__ import annotations

import json
import threading

import pytest

from reportgen_dagster.rules.functions import FUNCTIONS
from reportgen_dagster.rules.reading.loading import load_ruleset
from tests.language.asking import Asking, Command, refused, refused_expression


def test_expressions_are_sql_scalar_expressions(ask: Asking) -> None:
    # SQL scalar expressions (`case`, `between`, `in`, `like`, `is null`, `cast`, `coalesce`, arithmetic, comparison, `and/or/not`
    asked = {
        "case when x > 1 then 'a' when x = 1 then 'b' else 'c' end": "b", "case x when 2 then 'a' end is null": "true",
        "x between 1 and 3": "true", "x not between 2 and 3": "true", "x in (2, 1)": "true", "t not in ('b', 'c')": "true",
        "t like '_b%'": "true", "t not like 'b%'": "true", "z is null": "true", "x is not null": "true",
        "cast(x as text) || cast('2' as integer)": "12", "coalesce(z, x)": "1", "-x + 2 * (3 - 1)": "3",
        "x <> 2 and x <= 1 and x >= 1 and not x < 1": "true", "x > 1 or x = 1": "true", "T": "abc",
    }  # fmt: skip
    del asked["T"]
    assert dict(zip(asked, ask.values([*asked], "x,t,z\n1,abc,\n"), strict=True)) == asked


def test_aggregates_stand_in_aggregate_and_window_functions_in_window(ask: Asking) -> None:
    # aggregates in `aggregate`, window functions in `window`)
    assert ask.steps("aggregate: {measures: {s: sum(x)}}", "x\n1\n2\n") == ["s", "3"]
    assert ask.steps("window: {columns: {r: row_number()}}", "x\n1\n2\n") == ["x,r", "1,1", "2,2"]
    for step, expression, words in (
        ("derive", "sum(x)", "aggregate"), ("filter", "count(*) > 1", "aggregate"), ("derive", "row_number()", "window"),
        ("aggregate", "row_number()", "window"), ("aggregate", "sum(max(x))", "sum"), ("derive", "max(x)", "max"),
    ):  # fmt: skip
        assert words in refused_expression(expression, step)


def test_double_equals_and_exclamation_mark_are_accepted(ask: Asking) -> None:
    # with `==` and `!=` accepted
    assert ask.values(["x == 1", "x != 1", "x = 1", "x <> 1"]) == ["true", "false", "true", "false"]


def test_max_and_min_of_several_are_greatest_and_least_nulls_skipped(ask: Asking) -> None:
    # and `max`/`min` of several arguments for greatest/least (nulls skipped).
    asked = [
        "max(x, 5, 3)",
        "min(x, 5, 3)",
        "max(x, z)",
        "min(z, x)",
        "coalesce(max(z, z), 'none')",
        "max('a', 'b')",
    ]
    assert ask.values(asked, "x,z\n4,\n") == ["5", "3", "4", "4", "none", "b"]
    assert ask.steps("aggregate: {measures: {a: max(x), b: 'max(min(x), 2)'}}", "x\n1\n3\n") == ["a,b", "3,2"]


def test_division_is_never_whole_number_division(ask: Asking) -> None:
    # `/` is never whole-number division
    contract = "input: {schema: {fields: [{name: i, type: integer}, {name: d, type: decimal, precision: 9, scale: 2}]}}"
    found = ask.values(["7 / 2", "i / 2", "6 / 2", "1 / i", "d / 2", "i / d"], "i,d\n7,3.50\n", contract)
    assert [float(value or "nan") for value in found] == pytest.approx([3.5, 3.5, 3, 1 / 7, 1.75, 2])


def test_whole_division_and_remainder_are_sqls(ask: Asking) -> None:
    # `//` and `%` are SQL's (toward zero, sign of the left side).
    asked = {
        "-7 // 2": -3,
        "7 // -2": -3,
        "-7 % 3": -1,
        "7 % -3": 1,
        "x // 2": -3,
        "x % 3": -1,
        "x % -3": -1,
        "-7.5 // 2": -3,
        "7.5 % -2": 1.5,
    }
    found = ask.values([*asked], "x\n-7\n")
    assert {text: float(value or "nan") for text, value in zip(asked, found, strict=True)} == asked


def test_a_measure_may_compute_with_aggregates(ask: Asking) -> None:
    # A measure may compute with aggregates (`round(sum(a) / count(*), 2)`, `count(distinct x)`, `sum(case ...)`)
    measures = {
        "a": "round(sum(a) / count(*), 2)", "b": "count(distinct x)", "c": "sum(case when a > 1 then 1 else 0 end)",
        "d": "sum(a * 2) + max(a) - 1", "e": "k || '-' || count(*)",
    }  # fmt: skip
    step = json.dumps({"aggregate": {"by": ["k"], "measures": measures}})
    assert ask.steps(step, "k,a,x\nq,1,u\nq,2,v\nq,2,u\n") == ["k,a,b,c,d,e", "q,1.67,2,2,11,q-3"]


def test_a_window_column_may_be_an_aggregate_over_its_partition(ask: Asking) -> None:
    # a window column may be an aggregate over its partition.
    window = (
        'window: {partition_by: k, order_by: a, columns: {t: sum(a), p: "a / sum(a)", c: count(distinct a)}}'
    )
    assert ask.steps(window, "k,a\nx,1\nx,3\ny,2\n") == [
        "k,a,t,p,c",
        "x,1,4,0.25,2",
        "x,3,4,0.75,2",
        "y,2,2,1,1",
    ]


def test_plus_on_text_is_refused_with_the_hint(ask: Asking) -> None:
    # `+` on text is refused with the hint `||`.
    assert "||" in ask.refused_steps("derive: {a: t + 'x'}", "t\nabc\n")
    assert "||" in refused_or_checked("'a' + 'b'")


def refused_or_checked(expression: str) -> str:
    """Return why an expression is refused before any file is there."""
    from reportgen_dagster.services.rules_problems import dry_plan, plan_problems

    ruleset = load_ruleset(f"version: 1\nsteps: {json.dumps([{'derive': {'new': expression}}])}")
    plan = dry_plan(ruleset, {}, kinds={}, parameters=None, run_date=None)
    return "\n".join(map(str, plan_problems(plan)))


def test_single_quotes_are_text_and_double_quotes_name_a_column(ask: Asking) -> None:
    # Text is in single quotes; double quotes name a column.
    assert ask.values(["'x'", '"x"', '"unit price" + 1', "'it''s'"], "x,unit price\n1,2\n") == [
        "x",
        "1",
        "3",
        "it's",
    ]
    assert "unknown column `nosuch`" in ask.refused_steps("derive: {a: '\"nosuch\"'}", "x\n1\n")


def test_functions_come_from_one_table_of_these_topics() -> None:
    # Functions come from one table: text, numbers, dates and times, regular expressions, conditionals, conversion,
    # aggregates, windows. The table is data: name, arguments, result, one line, one worked example.
    topics = {function.topic for function in FUNCTIONS.values()}
    assert topics == {
        "text", "numbers", "dates and times", "regular expressions", "conditionals", "conversion", "aggregates", "windows",
        "short form",
    }  # fmt: skip
    for name, function in FUNCTIONS.items():
        assert function.name == name
        assert function.result
        assert "\n" not in function.summary
        assert f"{name}(" in function.example
        assert isinstance(function.example_result, str)
        assert isinstance(function.arguments, tuple)


def test_a_function_that_is_not_in_the_table_is_refused_with_the_nearest() -> None:
    # Functions come from one table
    assert "did you mean `upper`?" in refused_expression("uper(x)")
    for name in (
        "getenv",
        "read_csv",
        "pg_sleep",
        "current_setting",
        "random",
        "now",
        "query",
        "version",
        "nextval",
    ):
        assert name in refused_expression(f"{name}('x')")


def test_the_reference_page_and_the_command_are_made_from_the_table(reportgen: Command) -> None:
    # The reference page, the `reportgen functions` command and the tests of every example are made from it.
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "rules" / "functions.md").read_text()
    listed = reportgen("functions").out
    for function in FUNCTIONS.values():
        assert function.signature in listed
        assert function.summary.replace("|", "\\|") in page
    told = reportgen("functions", "round").out
    assert f"{FUNCTIONS['round'].example}  ->  {FUNCTIONS['round'].example_result}" in told


def test_a_sample_of_the_worked_examples_holds_in_a_whole_run(ask: Asking) -> None:
    # the tests of every example are made from it. (Every example: tests/rules/test_functions.py.)
    some = [
        function
        for function in FUNCTIONS.values()
        if function.role == "scalar" and not function.uses_run_date
    ]
    found = ask.values([function.example for function in some])
    assert [value for value in found] == [function.example_result for function in some]  # noqa: C416


@pytest.mark.parametrize(
    "expression",
    [
        "(select 1)", "x in (select 1)", "exists (select 1)", "select 1", "drop table t", "1; select 2",
        "read_text('/etc/passwd')",
        "getenv('HOME')", "current_setting('threads')", "x from t", "pragma version", "attach 'x'", "copy t to 'x'",
        "load httpfs",
        "read_csv('http://x')", "$1", "?", "@x", "x[1]", "[1]", "{a: 1}", "x.y", "x -> 1", "x := 1", "* ", "columns('.*')",
        "interval 1 day", "x::integer[]", "sum(x) over ()", "x collate nocase", "x as y", "1 -- c\n; 2", "x at time zone 'UTC'",
        "unnest([1])", "try_cast(x as blob)", "cast(x as blob)", "x similar to 'a'", "x ~ 'a'",
        "/*+ hint */ select 1", "lambda x: x",
    ],
)  # fmt: skip
def test_nothing_else_parses(expression: str) -> None:
    # Nothing else parses: no subquery, no table function, no statement, nothing that reads a file, the environment, settings
    # or the network.
    assert "steps[0].derive.new" in refused_expression(expression)


def test_a_file_may_have_1_mib() -> None:
    # Bounds, checked before parsing: file 1 MiB
    rules = '[{"output": "a", "formula": "x"}]'
    load_ruleset(rules.ljust(2**20), syntax="json")
    assert "1 MiB" in refused(rules.ljust(2**20 + 1), version=False, syntax="json")
    assert "1 MiB" in refused("# é" + "é" * 2**19, version=False)
    # Before parsing: it is no YAML either, and only its size is told.
    assert refused("{" * (2**20 + 1), version=False) == "rules.yaml  the rules file is larger than 1 MiB"


def test_an_expression_may_have_10000_characters() -> None:
    # expression 10,000 characters
    load_ruleset(f"version: 1\nsteps: [{{derive: {{a: \"'{'x' * 9_998}'\"}}}}]")
    assert "10,000 characters" in refused_expression(f"'{'x' * 9_999}'")
    # Before parsing: it is no expression either, and only its size is told.
    (told,) = refused_expression("(" * 10_001).splitlines()
    assert "10,000 characters" in told


def test_an_expression_may_nest_100_deep_also_in_the_stack_of_a_thread(ask: Asking) -> None:
    # nesting 100 (set the recursion limit for it, and test it inside a web request's stack)
    def deep(levels: int) -> str:
        return "(" * levels + "x" + ")" * levels

    assert "100" in refused_expression(deep(101))
    assert "100" in refused_expression("abs(" * 101 + "x" + ")" * 101)
    assert "100" in refused_expression("case when true then " * 101 + "1" + " end" * 101)
    told: list[str | None] = []

    def run() -> None:
        told.extend(ask.values([deep(99), "abs(" * 98 + "x" + ")" * 98, "not (" * 49 + "x > 5" + ")" * 49]))

    worker = threading.Thread(target=run)  # requests are worked off in threads
    worker.start()
    worker.join()
    assert told == ["1", "1", "true"]


def test_rules_may_have_500_steps(ask: Asking) -> None:
    # steps 500
    made = ask.steps("\n".join(["derive: {x: x + 1}"] * 500), "x\n1\n")
    assert made == ["x", "501"]
    assert "500" in refused("steps:\n" + "  - derive: {x: x + 1}\n" * 501)


def test_a_place_may_have_5000_columns() -> None:
    # columns 5,000
    def derive(count: int) -> str:
        return json.dumps({"version": 1, "steps": [{"derive": {f"c{n}": "1" for n in range(count)}}]})

    load_ruleset(derive(5_000), syntax="json")
    assert "5,000" in refused(derive(5_001), version=False, syntax="json")
