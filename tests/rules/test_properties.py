"""Random formulas over random cells agree with plain Python, row by row."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reportgen_dagster.errors import RulesError
from reportgen_dagster.rules.reading.loading import Ruleset
from tests.rules.harness import rules, run
from tests.rules.oracle import expected, shown

NAMES = ("a", "b", "c")
WHOLES = ["0", "1", "-1", "2", "3", "007", " 7 ", "-4", "10", "+5", "64"]
DECIMALS = ["0.5", "2.5", "-1.5", "1e3", "2.675", "0.1", "-0.0", "1e-5", "0.125", "3.0"]
LARGE = [
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "99999999999999999999",
    "1e300",
    "3037000500",
]
TEXTS = [
    "x",
    "abc",
    "",
    "B",
    "é",
    "1_000",
    "inf",
    "nan",
    "0x1F",
    "--5",
    "+-5",
    "1e999",
    "12a",
    "a'b",
    " ",
    "😀",
]
POOLS = [
    WHOLES,
    DECIMALS,
    WHOLES + DECIMALS,
    TEXTS,
    WHOLES + TEXTS,
    LARGE + WHOLES,
    LARGE + DECIMALS,
    LARGE + TEXTS,
]


@st.composite
def tables(draw: Any) -> list[list[str | None]]:
    count = draw(st.integers(1, 8))
    columns = []
    for _ in NAMES:
        pool = [cell or None for cell in draw(st.sampled_from(POOLS))]
        cells = st.sampled_from([*pool, None]) if draw(st.booleans()) else st.sampled_from(pool)
        columns.append(draw(st.lists(cells, min_size=count, max_size=count)))
    return [list(row) for row in zip(*columns, strict=True)]


LITERALS = st.sampled_from([0, 1, 2, 3, 7, 10, 0.5, 2.5, 1e16, 2**62, 100, "x", "abc", "7"])
LEAVES = st.one_of(
    st.sampled_from(NAMES).map(lambda name: ("name", name)), LITERALS.map(lambda value: ("literal", value))
)


def values(depth: int) -> st.SearchStrategy[tuple]:
    if depth == 0:
        return LEAVES
    inner, conditions_ = values(depth - 1), conditions(depth - 1)
    operators = st.sampled_from(["+", "+", "-", "*", "/", "//", "%", "**"])
    digits = st.sampled_from([0, 1, 2, 3, -1, -2]).map(lambda count: ("digits", count))
    return st.one_of(
        LEAVES,
        st.tuples(st.just("binary"), operators, inner, inner),
        st.tuples(st.just("if"), conditions_, inner, inner),
        st.tuples(st.just("call"), st.sampled_from(["max", "min"]), inner, inner),
        st.tuples(st.just("call"), st.sampled_from(["max", "min"]), inner, inner, inner),
        st.tuples(st.just("call"), st.sampled_from(["abs", "round", "upper", "length", "neg"]), inner),
        st.tuples(st.just("call"), st.just("round"), inner, digits),
        st.tuples(st.just("call"), st.just("coalesce"), inner, inner),
    )


def conditions(depth: int) -> st.SearchStrategy[tuple]:
    inner = values(max(depth - 1, 0))
    comparisons = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
    simple = st.one_of(
        st.tuples(st.just("compare"), comparisons, inner, inner),
        st.tuples(st.just("null"), st.just(""), inner),
        st.tuples(st.just("in"), st.just(""), inner, inner, inner),
    )
    if depth <= 0:
        return simple
    deeper = conditions(depth - 1)
    return st.one_of(
        simple,
        st.tuples(st.sampled_from(["and", "or"]), deeper, deeper),
        st.tuples(st.just("not"), st.just(""), deeper),
    )


FORMULAS = st.one_of(values(1), values(2), values(3), conditions(2))


def loaded(formula: tuple) -> Ruleset | None:
    """Load a formula; None if it is refused because a part of it can never work."""
    try:
        return rules(shown(formula))
    except RulesError as error:
        told = {problem.message.partition(";")[0] for problem in error.problems}
        assert told <= {"a text stands where a number is needed", "division by zero"}, shown(formula)
        return None


def is_straight(formula: tuple) -> bool:
    """Tell whether every part of a formula counts on every row."""
    return (
        formula[0] not in ("if", "and", "or")
        and formula[1] != "coalesce"
        and all(is_straight(part) for part in formula[1:] if isinstance(part, tuple))
    )


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables(), st.lists(FORMULAS, min_size=1, max_size=3))
def test_formulas_mean_what_python_means(table: list[list[str | None]], formulas: list[tuple]) -> None:
    for formula in formulas:
        ruleset = loaded(formula)
        if ruleset is None:
            continue
        result = run(ruleset, NAMES, table)
        found = ["!" if cell and cell.startswith("!") else cell for cell in result.column("out0")]
        wanted = [expected(formula, dict(zip(NAMES, row, strict=True))) for row in table]
        assert found == wanted, (shown(formula), table, result.plan.text_sql)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables(), FORMULAS)
def test_a_row_does_not_depend_on_the_other_rows(table: list[list[str | None]], formula: tuple) -> None:
    ruleset = loaded(formula)
    assume(ruleset is not None)
    together = run(ruleset, NAMES, table).column("out0")
    alone = [run(ruleset, NAMES, [row]).column("out0")[0] for row in table[:3]]
    assert [cell if cell is None or cell[0] != "!" else "!" for cell in together[:3]] == [
        cell if cell is None or cell[0] != "!" else "!" for cell in alone
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables(), st.one_of(values(1), values(2), conditions(1)))
def test_what_is_refused_works_on_no_row(table: list[list[str | None]], formula: tuple) -> None:
    assume(loaded(formula) is None and is_straight(formula))
    full = [row for row in table if None not in row]
    assert {expected(formula, dict(zip(NAMES, row, strict=True))) for row in full} <= {"!", None}
