"""Decimals are exact: the database against Python's own, to the last digit."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reportgen_dagster.contracts.types import Type
from tests.rules.evaluating import Null, evaluate, problems, written

EXACT = Context(prec=120)
LARGEST = Decimal("9" * 38)
TOO_MANY = "!the result has more than 38 digits"


@pytest.mark.parametrize(
    ("expression", "cells", "expected"),
    [
        ("a + b", {"a": Decimal("0.10"), "b": Decimal("0.20")}, "0.30"),
        ("a * 3", {"a": Decimal("0.10")}, "0.30"),
        ("a * 0.1", {"a": Decimal("0.10")}, "0.010"),
        ("a - 1e-3", {"a": Decimal("1.00")}, "0.999"),
        ("a / 3", {"a": Decimal("10.00")}, "3.3333333333"),
        ("a / 3", {"a": Decimal("20.00")}, "6.6666666667"),
        ("a / 3", {"a": Decimal("-20.00")}, "-6.6666666667"),
        ("1 / a", {"a": Decimal("8.00")}, "0.1250000000"),
        ("a / b", {"a": Decimal("1.00"), "b": Decimal("0.00")}, "!division by zero"),
        ("a / 0", {"a": Decimal("1.00")}, "!division by zero"),
        ("a // 0.3", {"a": Decimal("1.00")}, "3"),
        ("a % 0.3", {"a": Decimal("1.00")}, "0.10"),
        ("a % 0.3", {"a": Decimal("-1.00")}, "-0.10"),
        ("a // b", {"a": Decimal("1.00"), "b": Decimal("0.00")}, "!division by zero"),
        ("a + b", {"a": LARGEST, "b": 1}, TOO_MANY),
        ("a * a", {"a": LARGEST}, TOO_MANY),
        ("a - 1 + 1", {"a": LARGEST}, str(LARGEST)),
        ("a / 0.00000001", {"a": LARGEST}, TOO_MANY),
        ("a * b", {"a": Decimal("0.1000"), "b": 0.5}, "0.05"),
        ("-a", {"a": Decimal("0.10")}, "-0.10"),
        ("-a", {"a": Decimal("0." + "1" * 38)}, "-0." + "1" * 38),
        ("abs(a)", {"a": Decimal("-0.10")}, "0.10"),
        ("a / b", {"a": Null(Type("decimal", 9, 2)), "b": Decimal("0.00")}, None),
        ("a + b", {"a": Null(Type("decimal", 38, 0)), "b": LARGEST}, None),
        ("a < b", {"a": LARGEST, "b": Decimal("0." + "1" * 38)}, "false"),
        ("a > b", {"a": EXACT.minus(LARGEST), "b": Decimal("0." + "1" * 38)}, "false"),
        ("case when a > 1 then a else 0.125 end", {"a": Decimal("1.00")}, "0.125"),
        ("coalesce(a, 0)", {"a": Null(Type("decimal", 9, 2))}, "0.00"),
    ],
)
def test_decimals_are_exact(expression: str, cells: dict[str, object], expected: str | None) -> None:
    assert written(expression, **cells) == expected


def test_a_product_of_too_many_places_is_told_before_data() -> None:
    small = Decimal("0." + "1" * 20)
    assert problems("a * b", a=small, b=small) == (
        "`a * b`: the product has 40 digits behind the point, and a decimal at most 38; round a factor before",
    )


@st.composite
def decimals(draw: Any) -> Decimal:
    scale = draw(st.integers(0, 12))
    digits = draw(st.one_of(st.integers(1, 16), st.integers(1, 38)))
    number = draw(st.integers(-(10**digits - 1), 10**digits - 1))
    with localcontext(EXACT):
        return Decimal(number).scaleb(-scale)


def _expected(operator: str, left: Decimal, right: Decimal, scale: int) -> str:
    with localcontext(EXACT):
        if operator in "/%//" and right == 0:
            return "!division by zero"
        result = {
            "+": lambda: left + right,
            "-": lambda: left - right,
            "*": lambda: left * right,
            "//": lambda: left // right,
            "%": lambda: left % right,
            "/": lambda: (left / right).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP),
        }[operator]()
        digits = result.scaleb(scale).to_integral_value()
        shown = f"{Decimal(digits).scaleb(-scale):.{scale}f}"
        return TOO_MANY if abs(digits) >= 10**38 else shown.removeprefix("-") if digits == 0 else shown


@settings(max_examples=80, deadline=None)
@given(decimals(), decimals(), st.sampled_from(["+", "-", "*", "/", "//", "%"]))
def test_decimals_agree_with_python(left: Decimal, right: Decimal, operator: str) -> None:
    answer = evaluate(f"a {operator} b", a=left, b=right)
    assert answer.problems == ()
    scale = int(answer.type.rpartition(",")[2].rstrip(")"))
    expected = _expected(operator, left, right, scale)
    if operator in ("/", "//", "%") and answer.written == TOO_MANY:
        # a division may also need more digits on its way than its result has
        with localcontext(EXACT):
            assert max(abs(left), abs(right)) >= Decimal(10) ** 13
        return
    assert answer.written == expected, (left, operator, right)


@settings(max_examples=40, deadline=None)
@given(decimals(), decimals(), st.sampled_from(["<", "<=", "=", "<>", ">", ">="]))
def test_comparisons_agree_with_python(left: Decimal, right: Decimal, operator: str) -> None:
    expected = {
        "<": left < right, "<=": left <= right, "=": left == right, "<>": left != right, ">": left > right,
        ">=": left >= right,
    }[operator]  # fmt: skip
    assert written(f"a {operator} b", a=left, b=right) == str(expected).lower()
