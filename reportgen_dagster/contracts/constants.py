"""The constants of a schema (`minimum: 0`, `enum: [...]`) as Python values of the field's type.

What belongs here: reading them. What does not: comparing (predicates.py).
"""

from __future__ import annotations

import datetime
import math
import re
from decimal import Decimal

from reportgen_dagster.contracts.casts import Notation
from reportgen_dagster.contracts.formats import parsed
from reportgen_dagster.contracts.types import Type

Constant = str | int | float | Decimal | bool | datetime.date | datetime.time | datetime.datetime
LARGEST_INTEGER = 2**63 - 1
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


def constant(written: bool | float | str, type_: Type, notation: Notation) -> Constant:  # noqa: FBT001 - a value
    """Return what a written constant means for a field.

    Args:
        written: As the rules file has it.
        type_: The field's type.
        notation: How the field's values are written.

    Raises:
        ValueError: If it is no value of the type.
    """
    if type_.name == "boolean":
        return _boolean(written, notation)
    if type_.name in ("integer", "number", "decimal"):
        return _number(written, type_)
    if type_.name in ("date", "time", "datetime"):
        return parsed(written_text(written), notation.layout, type_.name)
    return written_text(written)


def written_text(written: object) -> str:
    """Return a constant as a person writes it."""
    return str(written).lower() if isinstance(written, bool) else str(written)


def _boolean(written: object, notation: Notation) -> bool:
    if isinstance(written, bool):
        return written
    if str(written) in notation.true_values:
        return True
    if str(written) in notation.false_values:
        return False
    raise ValueError(f"'{str(written)[:40]}' is no boolean")


def _number(written: object, type_: Type) -> int | float | Decimal:
    if isinstance(written, bool) or not _NUMBER.fullmatch(str(written)):
        raise ValueError(f"'{written_text(written)[:40]}' is no {type_.name}")
    exact = Decimal(str(written))
    if type_.name == "number":
        if not math.isfinite(float(exact)):
            raise ValueError(f"{str(written)[:40]} is too large")
        return float(exact)
    if type_.name == "integer":
        if exact != exact.to_integral_value() or abs(exact) > LARGEST_INTEGER:
            raise ValueError(f"{str(written)[:40]} is no integer of 64 bits")
        return int(exact)
    return _decimal(exact, type_)


def _decimal(exact: Decimal, type_: Type) -> Decimal:
    fits = abs(exact) < Decimal(10) ** (type_.precision - type_.scale)
    if not fits or exact != round(exact, type_.scale):
        raise ValueError(f"{str(exact)[:40]} does not fit {type_}")
    return exact
