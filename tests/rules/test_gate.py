"""What the gate of expressions tells: whole messages with their places, and its bounds at their edges.

What belongs here: each message word for word, offsets, bounds, how columns are read. What does not: what parses and what does not
(test_expressions.py). `make mutants` changes the gate in every small way and counts which changes these tests notice.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

import pytest
from sqlglot import exp

from reportgen_dagster.contracts.types import Type
from reportgen_dagster.rules.expressions import (
    Context,
    ExpressionError,
    Use,
    aggregate_calls,
    arguments_of,
    columns_of,
    function_of,
    literal_of,
    offset_of,
    parse_expression,
    target_type,
    uses_of,
    walk,
)
from reportgen_dagster.rules.sql_syntax import allow_nesting, is_plain_name

_TYPES = "the types are text, integer, number, decimal(p, s), boolean, date, time, datetime"
_AGGREGATE = (
    "is an aggregate of many rows; it stands in the measures of a step `aggregate`, or in the columns of a step `window`"
)
_WINDOW = "is a window function; it stands in the columns of a step `window`"
_DIGITS = "a decimal has 1 to 38 digits, and no more of them behind the point"
_LIKE = "the pattern of `like` must be a text, written out; for a part use contains(text, part)"
_ROUND = "`round`: `digits` must be a whole number from -15 to 15, written out"
_PARAMETER = "; parameters are described under `parameters:`"
_DISTINCT = "`distinct` stands only in an aggregate of one value, such as count(distinct x)"


def told(text: str, context: Context = "scalar", parameters: tuple[str, ...] = ()) -> list[tuple[int, str]]:
    """Return what is told of a refused expression, each with its offset."""
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text, context, parameters)
    return [(fault.offset, fault.message) for fault in caught.value.faults]


def not_allowed(name: str, hint: str = "") -> str:
    """Return how a construct is refused."""
    return f"`{name}` is not allowed in an expression{f'; {hint}' if hint else ''}"


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("x + a & b", 0, not_allowed("BitwiseAnd")),
        ("x = ~ a", 6, not_allowed("BitwiseNot")),
        ("map {}", 0, not_allowed("Struct")),
        ("1 + a ** b", 4, not_allowed("Pow", "use power(a, b)")),
        ("x + s.upper(a)", 4, not_allowed("Dot")),
        ("x || (y, z)", 6, not_allowed("Tuple", "a list stands only behind `in`")),
        ("x || [y]", 6, not_allowed("Array", "a list stands only behind `in`, in round brackets")),
        ("x = (select y)", 12, not_allowed("Subquery", "there are no subqueries")),
        ("x + t.a", 4, "a column is named by its name alone"),
        ("upper(t.a)", 6, "a column is named by its name alone"),
        ('x + "upper"(a)', 4, "a function is called by its name alone"),
        ("x or a is true", 5, "only `is null` and `is not null`; write `x` or `not x` for a condition"),
        ("x or a in (select 1)", 5, "there are no subqueries"),
        ("x or a in b", 5, "behind `in` stands a list, such as (1, 2, 3)"),
        ("x or a not in ()", 9 - 4, "behind `in` stands a list, such as (1, 2, 3)"),
        ("x or a between symmetric 1 and 2", 5, "`between symmetric` is not allowed"),
        ("x or a like b", 5, _LIKE),
        ("x or a ilike 5", 5, _LIKE),
        ("x or a not like 'y' || b", 5, _LIKE),
        (f"x or a like '{'%' * 201}'", 5, "a pattern has at most 200 characters"),
        ("x or a ilike '" + "%" * 201 + "'", 5, "a pattern has at most 200 characters"),
    ],
)
def test_a_construct_is_refused_at_its_place(text: str, offset: int, message: str) -> None:
    assert told(text) == [(offset, message)]


@pytest.mark.parametrize(
    ("text", "offset", "near"),
    [
        ("a + ) b", 4, ")"),
        ("a b c", 4, "c"),
        ("+ a = ", 4, "="),
        ("(a", 1, "a"),
        ("case a end", 7, "end"),
        ("cast(a)", 6, ")"),
        ("a\n+ ) b", 4, ")"),
        ("a +\n\n   b c\n", 10, "c"),
        ("a 'x\ny'", 2, "'x y'"),
        (f"a b '{'x' * 38}'", 4, f"'{'x' * 38}'"),
        (f"a b '{'x' * 39}'", 4, f"'{'x' * 39}"),
        (f"a b {'x' * 41}", 4, "x" * 40),
    ],
)
def test_a_slip_of_syntax_is_told_with_the_word_at_hand(text: str, offset: int, near: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    (fault,) = caught.value.faults
    assert fault.message in (f"this is no expression, near `{near}`", not_allowed("Alias"))
    assert (fault.offset, fault.message) == (offset, f"this is no expression, near `{near}`")
