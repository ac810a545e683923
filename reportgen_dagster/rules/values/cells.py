"""How the text of a cell reads as a number.

What belongs here: the grammar of numbers in SQL, and columns as values. What does not: finding a column's kind (kinds.py).

DuckDB's own cast reads that grammar and a little more (`1_000`, `+-5`, `inf`, `nan`), which is shut out here.
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import (
    EXACT,
    LARGEST_INTEGER,
    Value,
    all_of,
    binary,
    call,
    case,
    false,
    is_null,
    negated,
    text,
    try_cast,
    whole,
)

_WHOLE = r"[\s\x0B]*[+-]?[0-9]+[\s\x0B]*"
_FOREIGN = ("_", "+-")


def cast_of(raw: Expr) -> Expr:
    """Return the DOUBLE of a text, null where DuckDB reads no number.

    No number begins with a letter; a failing cast costs fifteen times as much as telling that beforehand.
    """
    return case((binary(exp.LT, raw, text(":")), try_cast(raw, "DOUBLE")))


def number_of(raw: Expr, number: Expr) -> Expr:
    """Return the DOUBLE of a cell's text, null where the text is no number.

    Args:
        raw: The text.
        number: A name for `cast_of` the text.
    """
    plain = [negated(call("contains", raw, text(part))) for part in _FOREIGN]
    return case((all_of((call("isfinite", number), *plain)), number))


def is_written_whole(raw: Expr) -> Expr:
    """Test that a text is written as a whole number of 64 bits."""
    number = try_cast(raw, "BIGINT")
    limits = exp.Between(this=number, low=whole(-LARGEST_INTEGER), high=whole(LARGEST_INTEGER))
    return call("coalesce", all_of((call("regexp_full_match", raw, text(_WHOLE)), limits)), false())


def number_value(layers: Layers, raw: Expr, number: Expr, largest: float) -> Value:
    """Make a value of a text and its DOUBLE; exact whole numbers are kept apart where they may exceed DOUBLE."""
    if largest <= EXACT:
        return Value("number", number, largest, lambda: is_written_whole(raw))
    integer = layers.bind(case((is_written_whole(raw), try_cast(raw, "BIGINT"))), "whole")
    return Value("wide", number, largest, integer=integer)


def read_text(layers: Layers, raw: Expr, name: str, largest: float) -> Value:
    """Read texts one by one: each is a number or stays a text."""
    raw = layers.bind(raw, name)
    number = layers.bind(cast_of(raw), f"{name}_number")
    number = layers.bind(number_of(raw, number), f"{name}_number")
    plain = layers.bind(case((is_null(number), raw)), f"{name}_text")
    return Value("cell", exp.Null(), number=number_value(layers, raw, number, largest), text=plain)


def is_number(layers: Layers, raw: Expr) -> Expr:
    """Test that a text reads as a number."""
    value = read_text(layers, raw, "tested", 0.0)
    found = value.number.sql if value.number else exp.Null()
    tested = layers.bind(raw, "tested")
    return case((is_null(tested), exp.Null()), default=negated(is_null(found)))
