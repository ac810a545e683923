"""Sizes and spans of time as people write them, as `512MB` and `2h`, read without importing anything heavy."""

from __future__ import annotations

import re

_UNITS = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3}
_SPANS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}


def byte_count(text: str) -> int:
    """Return the number of bytes of a text like `512MB` (powers of 1000, as DuckDB counts).

    Raises:
        ValueError: If it is not a whole number followed by B, KB, MB or GB.
    """
    match = re.fullmatch(r"\s*(\d+)\s*(B|KB|MB|GB)\s*", text, re.IGNORECASE)
    if not match:
        raise ValueError(f"{text!r} is not a size such as 512MB or 2GB")
    return int(match[1]) * _UNITS[match[2].upper()]


def second_count(text: str) -> int:
    """Return the number of seconds of a text like `90s`, `10m`, `2h` or `1d`.

    Raises:
        ValueError: If it is not a whole number followed by s, m, h or d.
    """
    match = re.fullmatch(r"\s*(\d{1,9})\s*([smhd])\s*", text)
    if not match:
        raise ValueError(f"{text!r} is not a span of time such as 90s, 10m, 2h or 1d")
    return int(match[1]) * _SPANS[match[2]]


def span_text(seconds: int) -> str:
    """Return a number of seconds in the largest unit that needs no fraction, as `second_count` reads it."""
    unit = next(unit for unit, size in _SPANS.items() if seconds % size == 0)
    return f"{seconds // _SPANS[unit]}{unit}"
