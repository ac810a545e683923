"""JSON as the API takes it: no name twice in an object, no NaN, no whole number of more than 64 bits.

What belongs here: what plain JSON readers let pass. What does not: rules, which have places (rules/reading/positions.py).
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

_LONGEST_INTEGER = len(str(-(2**63)))
_SHOWN = 60


def read_json(text: str | bytes) -> Any:
    """Return what JSON says.

    Raises:
        ValueError: If it is none or has something of the above; the message names it.
    """
    try:
        return json.loads(
            text, object_pairs_hook=_without_twins, parse_int=_integer, parse_constant=_no_constant
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name[:_SHOWN]!r} is there twice")
        found[name] = value
    return found


def _integer(text: str) -> int:
    if len(text) > _LONGEST_INTEGER or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f"{text[:_SHOWN]} is a whole number of more than 64 bits; a decimal may be a text")
    return int(text)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
