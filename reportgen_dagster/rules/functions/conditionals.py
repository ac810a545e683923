"""Functions that choose between values.

What belongs here: choosing, greatest and least, nulls, errors. What does not: `case`, `and`, `or` (operators.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.functions.given import checks_of, converted, is_unknown
from reportgen_dagster.rules.functions.table import Function, alias, scalar
from reportgen_dagster.rules.values import decimals, numbers, operators
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import (
    Value,
    any_of,
    any_value,
    binary,
    call,
    case,
    common_type,
    false,
    negated,
    null_value,
    text,
    true,
    type_of,
    value_of_type,
)


def kept(layers: Layers, value: Value) -> Value:
    """Give a value a name, because it is needed more than once."""
    if value.kind in ("any", "null", "cell"):
        return value
    if value.kind in ("integer", "number", "wide"):
        return numbers.bound(layers, value)
    return replace(value, sql=layers.bind(value.sql))


def extreme(name: Literal["greatest", "least"], layers: Layers, values: Sequence[Value]) -> Value:
    """Return the largest or smallest value that is not null."""
    there = [value for value in values if value.kind != "null"]
    before = checks_of(values)
    if is_unknown(values):
        return any_value().with_checks(before)
    if not there:
        return null_value().with_checks(before)
    if len(there) == 1:
        return there[0].without_checks().with_checks(before)
    there = decimals.aligned(there) or there
    wanted = common_type([type_of(value) for value in there])
    same = [converted(layers, value, wanted) for value in there]
    made = value_of_type(wanted, call(name, *(value.sql for value in same)))
    return replace(made, largest=max(value.largest for value in same)).with_checks(
        checks_of([value for value in values if value.kind == "null"]), checks_of(same)
    )


def chosen(layers: Layers, values: Sequence[Value]) -> Value:
    """Return the second value where the first is true, else the third; null without a third."""
    return operators.choose(layers, [(values[0], values[1])], values[2] if len(values) > 2 else null_value())


def nullif(layers: Layers, values: Sequence[Value]) -> Value:
    """Return the first value, null where it equals the second."""
    if is_unknown(values):
        return replace(values[0], checks=checks_of(values))
    value = kept(layers, values[0].without_checks())
    same = operators.equal(layers, value, values[1])
    return operators.choose(layers, [(same, null_value())], value).with_checks(values[0].checks)


def if_error(layers: Layers, values: Sequence[Value]) -> Value:
    """Return the first value, the second on rows where the first is an error."""
    first, second = values
    if not first.checks:
        return first
    failed = layers.bind(_failed(first), "failed")
    return operators.choose(layers, [(Value("boolean", failed), second)], first.without_checks())


def _failed(value: Value) -> Expr:
    return call("coalesce", any_of(check.condition for check in value.checks), false())


def is_blank(_: Layers, values: Sequence[Value]) -> Value:
    """Tell whether there is nothing but spaces."""
    blank = call("coalesce", binary(exp.EQ, call("trim", values[0].sql), text("")), true())
    return Value("boolean", blank, checks=values[0].checks)


def null_if_blank(layers: Layers, values: Sequence[Value]) -> Value:
    """Return a text, null where it is nothing but spaces."""
    plain = layers.bind(values[0].sql)
    full = negated(binary(exp.EQ, call("trim", plain), text("")))
    return Value("text", case((full, plain)), checks=values[0].checks)


_ENTRIES = scalar(
    "conditionals",
    (
        ("coalesce", "value:same value:same...", "as its arguments",
         "The first value that is not null; what stands behind it is not evaluated.",
         "coalesce(null, 'none')", "none", operators.first_present),
        ("nullif", "value:same other:same", "as its arguments",
         "The value, but null where it equals the other.",
         "coalesce(nullif('n/a', 'n/a'), 'none')", "none", nullif),
        ("if", "condition:boolean then:same else:same?", "as its arguments",
         "The second where the condition is true, the third where it is false or null; an error in what is not chosen does not"
         " count.",
         "if(2 > 1, 'yes', 'no')", "yes", chosen),
        ("if_error", "value:same instead:same", "as its arguments",
         "The value, but the other on rows where the value is an error.",
         "if_error(number('n/a'), 0)", "0", if_error),
        ("is_blank", "text:text", "true or false",
         "Whether there is nothing (also null), or nothing but spaces.",
         "is_blank('  ')", "true", is_blank),
        ("null_if_blank", "text:text", "text",
         "The text, but null where it is nothing but spaces.",
         "coalesce(null_if_blank('  '), 'none')", "none", null_if_blank),
    ),
)  # fmt: skip
_BY_NAME = {entry.name: entry for entry in _ENTRIES}
ENTRIES: tuple[Function, ...] = (
    *_ENTRIES,
    alias("ifnull", _BY_NAME["coalesce"], "ifnull(null, 'none')"),
    alias("nvl", _BY_NAME["coalesce"], "nvl(null, 'none')"),
    alias("iff", _BY_NAME["if"], "iff(2 > 1, 'yes', 'no')"),
)
