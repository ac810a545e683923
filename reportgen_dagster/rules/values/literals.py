"""Values that are written out: literals of expressions, values of parameters.

What belongs here: from Python's values to typed SQL. What does not: reading them from text (parameters.py).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

from reportgen_dagster.rules.values import decimals, numbers, temporal
from reportgen_dagster.rules.values.typed import Value, double, false, integer_literal, null_value, text, true


def literal_value(value: object) -> Value:
    """Write out a value of Python: a text, number, Decimal, boolean, date, datetime, time, or None."""
    if value is None:
        return null_value()
    if isinstance(value, bool):
        return Value("boolean", true() if value else false(), literal=value)
    if isinstance(value, int):
        return integer_value(value)
    if isinstance(value, float):
        return Value("number", double(value), abs(value), literal=Decimal(repr(value)))
    if isinstance(value, Decimal):
        return decimals.of_literal(value) or literal_value(float(value))
    if isinstance(value, (dt.date, dt.time)):
        return temporal.moment(value)
    return Value("text", text(str(value)), literal=str(value))


def integer_value(value: int) -> Value:
    """Write out a whole number of 64 bits."""
    made = Value("integer", integer_literal(abs(value)), float(abs(value)), literal=abs(value))
    return replace(numbers.negate(made), literal=value) if value < 0 else made
