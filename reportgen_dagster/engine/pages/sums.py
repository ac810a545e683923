"""Adding up columns exactly, in any order.

What belongs here: what is added up, and what number the sum is. What does not: queries (totals.py, chart_data.py).

Sums of doubles depend on the order in which threads add them up. So they are added as whole numbers of 128 bits, in a unit that
leaves room for all rows: more exact than doubles, and the same each time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa
from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.engine.pages.rows import Rows, column, source

Number = int | float | Decimal
_ROOM_BITS = 120  # of the 127 that HUGEINT has
_MOST_SHIFT = 1_000  # 2 to the power of it is still a double
_EXACT = Context(prec=80)


@dataclass(frozen=True, slots=True)
class Sum:
    """How a column is added up.

    Attributes:
        total: The sum as an aggregate.
        shift: Of doubles: by how many bits it is shifted to the left.
    """

    total: Expr
    shift: int | None = None

    def read(self, total: Any) -> Number | None:
        """Return the number that a sum is, or a sum of such sums; None if it is more than a double holds."""
        if total is None or self.shift is None:
            return total  # type: ignore[no-any-return]  # a whole number or a decimal
        try:
            return math.ldexp(float(int(total)), -self.shift)
        except OverflowError:
            return None


def sums_of(rows: Rows, names: Iterable[str]) -> dict[str, Sum]:
    """Return how columns are added up; those of doubles are looked through for their largest value."""
    types = {name: rows.schema.field(name).type for name in names}
    doubles = [name for name, type_ in types.items() if pa.types.is_floating(type_)]
    shifts = _shifts(rows, doubles) if doubles else {}
    return {name: _sum(name, type_, shifts.get(name)) for name, type_ in types.items()}


def average(total: Number | None, count: int) -> Number | None:
    """Return the mean of numbers that were added up."""
    if total is None or not count:
        return None
    return total / count if isinstance(total, float) else _EXACT.divide(Decimal(total), Decimal(count))


def _sum(name: str, type_: pa.DataType, shift: int | None) -> Sum:
    if shift is not None:
        scaled = exp.Mul(this=column(name), expression=_double(2.0**shift))
        return Sum(exp.Sum(this=exp.cast(scaled, "HUGEINT")), shift)
    is_number = pa.types.is_integer(type_) or pa.types.is_decimal(type_)
    # A column that is no number is null on all rows.
    return Sum(exp.Sum(this=column(name) if is_number else exp.cast(exp.Null(), "BIGINT")))


def _shifts(rows: Rows, names: list[str]) -> dict[str, int]:
    largest = [
        exp.alias_(exp.Max(this=exp.Abs(this=column(name))), f"v{number}")
        for number, name in enumerate(names)
    ]
    with rows.query(exp.select(*largest).from_(source()), names) as found:
        (values,) = found.fetchall()
    needed = rows.count.bit_length()
    return {
        name: max(-_MOST_SHIFT, min(_MOST_SHIFT, _ROOM_BITS - needed - math.frexp(value or 1.0)[1]))
        for name, value in zip(names, values, strict=True)
    }


def _double(value: float) -> Expr:
    return exp.cast(exp.Literal.string(repr(value)), "DOUBLE")
