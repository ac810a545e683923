"""Sizes as people write them, as `512MB`. What belongs here: reading them, without importing anything heavy."""

from __future__ import annotations

import re

_UNITS = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3}


def byte_count(text: str) -> int:
    """Return the number of bytes of a text like `512MB` (powers of 1000, as DuckDB counts).

    Raises:
        ValueError: If it is not a whole number followed by B, KB, MB or GB.
    """
    match = re.fullmatch(r"\s*(\d+)\s*(B|KB|MB|GB)\s*", text, re.IGNORECASE)
    if not match:
        raise ValueError(f"{text!r} is not a size such as 512MB or 2GB")
    return int(match[1]) * _UNITS[match[2].upper()]
