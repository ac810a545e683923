"""What is wrong in one expression, and the hint at the nearest name.

What belongs here: data of refusals. What does not: places in files (reading/positions.py), what is refused (gate.py).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

# What other languages call the date; here it is the run's.
_PRESENT = ("now", "current_date", "current_timestamp", "current_time", "curdate", "getdate", "sysdate")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in an expression, at an offset in its text."""

    message: str
    offset: int = 0


class ExpressionError(Exception):
    """An expression was refused; `faults` tells why, all of it."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        """Carry every fault."""
        self.faults = tuple(faults)
        super().__init__(self.faults[0].message)


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the hint at the most similar name, or nothing."""
    candidates = list(names)
    close = difflib.get_close_matches(name, candidates, n=1)
    if not close:
        close = [other for other in candidates if other.lower() == name.lower()][:1]
    return f"; did you mean `{close[0]}`?" if close else ""


def meant(name: str, names: Iterable[str]) -> str:
    """Return the hint at what an unknown name in an expression means here, or at the most similar one, or nothing."""
    if name.lower() in _PRESENT:
        return "; the date of the run is `today()`"
    return nearest(name, names)
