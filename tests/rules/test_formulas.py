"""What formulas of the short form say in the long form."""

from __future__ import annotations

import pytest

from reportgen_dagster.rules.expressions.formulas import translate
from reportgen_dagster.rules.expressions.gate import ExpressionError, parse_expression


@pytest.mark.parametrize(
    ("formula", "expression"),
    [
        ("a", "a"),
        ("field1 + field2", "cell_add(field1, field2)"),
        (
            "field3 * max(field5, refdata4)",
            "cell_number(field3) * cell_max(cell_number(field5), cell_number(refdata4))",
        ),
        ("round(a, 2)", "round_half_even(cell_number(a), 2)"),
        (
            "a // 2 % b ** c",
            "floor_modulo(floor_divide(cell_number(a), 2), power(cell_number(b), cell_number(c)))",
        ),
        ("a == 'x' and not b < 1", "cell_equal(a, 'x') and not cell_less(cell_number(b), 1)"),
        ("a if b == 1 else 'x'", "case when cell_equal(b, 1) then as_read(a) else 'x' end"),
        ("a if b == 1 else 5", "case when cell_equal(b, 1) then as_read(a) else text(5) end"),
        ("1 if a == 1 else 2", "case when cell_equal(a, 1) then 1 else 2 end"),
        ("a + b if c == 1 else 5", "case when cell_equal(c, 1) then cell_add(a, b) else 5 end"),
        ("a > b if c == 1 else 5", "case when cell_equal(c, 1) then text(cell_less(b, a)) else text(5) end"),
        ("(a if b == 1 else None) + 1", "case when cell_equal(b, 1) then cell_number(a) else null end + 1"),
        (
            "(a if b == 1 else 1) if c == 1 else 2",
            "case when cell_equal(c, 1) then case when cell_equal(b, 1) then as_read(a) else text(1) end else text(2) end",
        ),
        ("coalesce(a, 0)", "coalesce(as_read(a), text(0))"),
        ("coalesce(a, 0) * 2", "coalesce(cell_number(a), 0) * 2"),
        ("(0 if a is None else 'x') * 2", "case when a is null then 0 else cell_number('x') end * 2"),
        ("upper(a)", "upper(a)"),
        (
            "upper(a if b == 1 else c)",
            "upper(case when cell_equal(b, 1) then as_read(a) else as_read(c) end)",
        ),
        ("a is None", "a is null"),
        ("year(a)", "year(as_read(a))"),
        ("a in ['x', 1]", "cell_in(a, 'x', 1)"),
        ("select + 1", 'cell_number("select") + 1'),
    ],
)
def test_a_formula_is_translated(formula: str, expression: str) -> None:
    assert translate(formula).expression == expression
    parse_expression(expression)


@pytest.mark.parametrize(
    ("formula", "message", "offset"),
    [
        ("1 + sum(a)", "`sum` computes over many rows; a formula sees one row", 4),
        ("row_number()", "`row_number` computes over many rows; a formula sees one row", 0),
        ("max(a)", "`max` takes 2 or more arguments, not 1: max(value, value, ...)", 0),
        ("1 + mx(a, b)", "unknown function `mx`; did you mean `max`?", 4),
        ("UPPER(a)", "unknown function `UPPER`; did you mean `upper`?", 0),
        ("a + -'x'", "a text stands where a number is needed; number(...) reads a text as a number", 5),
        ("1 if a else 2", "a condition must be a comparison, such as `x != 0` or `x == 'yes'`", 5),
        ("a / 0", "division by zero", 4),
        ("a.b", "attributes (`a.b`) are not allowed", 0),
    ],
)
def test_what_is_no_formula_is_refused_at_its_place(formula: str, message: str, offset: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        translate(formula)
    assert (message, offset) in [(fault.message, fault.offset) for fault in caught.value.faults]


def test_columns_are_told_with_their_first_places() -> None:
    assert translate("b + a * b").columns == {"b": 0, "a": 4}


@pytest.mark.parametrize(
    "formula",
    [
        "max(1, " * 100 + "a" + ")" * 100,
        "1 + (" * 99 + "a" + ")" * 99,
        "(b if a == 1 else (" * 40 + "c" + "))" * 40,
        "(a + 1 if b == 1 else " * 90 + "c" + ")" * 90,
        "coalesce(" * 99 + "a" + ", 1)" * 99,
        "upper(" * 100 + "a" + ")" * 100,
    ],
)
def test_what_nests_within_the_bound_is_an_expression(formula: str) -> None:
    parse_expression(translate(formula).expression)
