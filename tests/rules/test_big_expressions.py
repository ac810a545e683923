"""Long chains and wide results: what the bounds allow runs, in a plan that does not grow with the square of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reportgen_dagster.contracts.contract import contract_of
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.rules.compiling.compile import compile_ruleset
from reportgen_dagster.rules.compiling.plan import TableShape
from reportgen_dagster.rules.reading.loading import load_ruleset
from tests.engine.making import make_long

FIELDS = (
    "input: {schema: {fields: [{name: i, type: integer}, {name: n, type: number}, "
    "{name: d, type: decimal, precision: 8, scale: 2}]}}\n"
)


def derived(expression: str) -> str:
    return f'{FIELDS}steps:\n  - derive: {{x: "{expression}"}}\noutput: {{columns: [x]}}\n'


@pytest.mark.parametrize(
    ("term", "operator", "count", "expected"),
    [
        ("i", "*", 300, "1"),
        ("i", "//", 120, "1"),
        ("i", "%", 120, "0"),
        ("n", "*", 300, "1"),
        ("n", "/", 300, "1"),
        ("d", "-", 200, "-198.00"),
        ("d", "//", 40, "1"),
    ],
)
def test_a_long_chain_is_computed(
    tmp_path: Path, term: str, operator: str, count: int, expected: str
) -> None:
    made = make_long(tmp_path, derived(f" {operator} ".join([term] * count)), "i,n,d\n1,1,1.00\n")
    assert made.lines == ["x", expected]


def test_the_first_step_of_a_chain_that_fails_tells_the_reason(tmp_path: Path) -> None:
    chain = "i" + " * i" * 30 + " + n / (i - 5)" + " * i" * 30
    made = make_long(tmp_path, derived(chain), "i,n,d\n1,1,1.00\n9,1,1.00\n5,1,1.00\n")
    assert [
        row["_reason"] for row in made.rejects or []
    ] == [  # 5 overflows before anything is divided by zero
        "the result is too large for a whole number of 64 bits"
    ] * 2


def test_the_plan_of_a_chain_grows_in_proportion() -> None:
    def length(count: int) -> int:
        ruleset = load_ruleset(f"version: 1\nsteps:\n  - derive: {{x: '{' * '.join(['n'] * count)}'}}\n")
        plan = compile_ruleset(ruleset, input=TableShape("input", ("n",)), references={})
        return len(plan.text_sql)

    assert length(200) < 2.5 * length(100)


def test_what_is_too_long_for_the_database_is_refused_in_words() -> None:
    ruleset = load_ruleset("version: 1\n" + derived(" / ".join(["d"] * 400)))
    given = ruleset.document.input
    assert given is not None
    shape = TableShape("input", ("i", "n", "d"), contract=contract_of(given.schema_, given.dialect))
    (problem,) = compile_ruleset(ruleset, input=shape, references={}).problems
    assert "more than 2,000 calculations" in problem.message


@pytest.mark.parametrize("values", ["sum(n)", "count(*)", "first(n)"])
def test_a_wide_pivot_needs_little_memory(tmp_path: Path, values: str) -> None:
    columns = ", ".join(f"v{number}" for number in range(600))
    step = f"steps:\n  - pivot: {{by: [k], column: p, values: {values}, columns: [{columns}]}}\n"
    made = make_long(tmp_path, step, "k,p,n\na,v1,1\nb,v599,1\n", limits=Limits(memory="300MB"))
    nothing = "0" if values == "count(*)" else ""
    assert [line.split(",")[2] for line in made.lines] == ["v1", "1", nothing]
    assert made.lines[2].endswith(",1")


@pytest.mark.parametrize("between", ["", "  - limit: 1\n"])
def test_texts_do_not_double_without_end(tmp_path: Path, between: str) -> None:
    steps = ["  - derive: {c0: \"cell_add(note, '')\"}\n"]
    steps += [f'  - derive: {{c{i + 1}: "cell_add(c{i}, c{i})"}}\n{between}' for i in range(18)]
    made = make_long(tmp_path, "steps:\n" + "".join(steps) + "  - select: [c18]\n", "note\nx\n")
    assert made.lines == ["c18"]
    assert [row["_reason"] for row in made.rejects or []] == [
        "the text would be longer than 100000 characters"
    ]
