"""Format codes of cells, as spreadsheets know them: `#,##0.00`, `0.0%`, `dd.mm.yyyy`, `@`.

What belongs here: which codes there are and what they mean. What does not: writing a value by one (engine/pages/values.py); a
spreadsheet takes the code as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

MAX_CODE = 200
MAX_DIGITS = 30
CURRENCIES = "$€£¥₣₤₩₪₫₹₺₽₿"
_LITERAL = rf'"[^"]*"|[{CURRENCIES} ]'
_NUMBER = re.compile(
    rf"(?P<prefix>(?:{_LITERAL})*)(?P<whole>#,##0|0+)(?:\.(?P<decimals>0*)(?P<optional>#*)(?<!\.))?"
    rf"(?P<suffix>(?P<percent> ?%)?(?:{_LITERAL})*)"
)
_TEMPORAL = re.compile(r'(?P<token>y+|m+|d+|h+|s+)|"(?P<quoted>[^"]*)"|(?P<mark>[-./:, ])', re.IGNORECASE)
_TOKENS = ("yyyy", "yy", "mmmm", "mmm", "mm", "m", "dd", "d", "hh", "h", "ss")
_EXAMPLES = "such as `#,##0.00`, `0.0%`, `dd.mm.yyyy`, `hh:mm` or `@`"

Unit = Literal["year", "month", "day", "hour", "minute", "second"]
_UNITS: dict[str, Unit] = {"y": "year", "m": "month", "d": "day", "h": "hour", "s": "second"}
_DATE: tuple[Unit, ...] = ("year", "month", "day")


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How a number is written.

    Attributes:
        prefix: The text between its sign and its first digit.
        suffix: The text behind it.
        whole: Digits before the point, at least.
        is_grouped: Thousands are told apart.
        decimals: Digits behind the point.
        optional: Further ones, left out where they are zero.
        is_percentage: It is written times a hundred.
    """

    prefix: str = ""
    suffix: str = ""
    whole: int = 1
    is_grouped: bool = False
    decimals: int = 0
    optional: int = 0
    is_percentage: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """A part of a date or a time.

    Attributes:
        unit: Which part.
        width: With how many digits at least; months of 3 and 4 are words, short and whole.
    """

    unit: Unit
    width: int


@dataclass(frozen=True, slots=True)
class TemporalFormat:
    """How a date or a time is written: its parts in order, texts as they are."""

    parts: tuple[Token | str, ...]

    @property
    def has_date(self) -> bool:
        """Tell whether a time of day has not all that is written."""
        return any(isinstance(part, Token) and part.unit in _DATE for part in self.parts)

    @property
    def has_time(self) -> bool:
        """Tell whether a day has not all that is written."""
        return any(isinstance(part, Token) and part.unit not in _DATE for part in self.parts)


@dataclass(frozen=True, slots=True)
class TextFormat:
    """`@`: the value as it stands in the report's CSV file."""


CellFormat = NumberFormat | TemporalFormat | TextFormat


@lru_cache(maxsize=4_096)
def cell_format(code: str) -> CellFormat:
    """Return what a code means.

    Raises:
        ValueError: If it is none; the message tells what there is.
    """
    if len(code) > MAX_CODE:
        raise ValueError(f"a format has at most {MAX_CODE} characters")
    if code == "@":
        return TextFormat()
    number = _NUMBER.fullmatch(code)
    found = _number(number) if number is not None else _temporal(code)
    if found is None:
        raise ValueError(f"`{code[:60]}` is no format, {_EXAMPLES}")
    return found


def _number(match: re.Match[str]) -> NumberFormat:
    decimals, optional = len(match["decimals"] or ""), len(match["optional"] or "")
    is_grouped = match["whole"] == "#,##0"
    whole = 1 if is_grouped else len(match["whole"])
    if max(whole, decimals + optional) > MAX_DIGITS:
        raise ValueError(f"a format has at most {MAX_DIGITS} digits on each side of the point")
    prefix, suffix = match["prefix"].replace('"', ""), match["suffix"].replace('"', "")
    return NumberFormat(prefix, suffix, whole, is_grouped, decimals, optional, bool(match["percent"]))


def _temporal(code: str) -> TemporalFormat | None:
    """Return what a code of dates and times means; None if it is none."""
    found = [*_TEMPORAL.finditer(code)]
    tokens = [match["token"].lower() for match in found if match["token"]]
    is_whole = sum(len(match[0]) for match in found) == len(code)
    if not tokens or not is_whole or any(token not in _TOKENS for token in tokens):
        return None
    parts: list[Token | str] = []
    number = 0
    for match in found:
        if match["token"]:
            parts.append(Token(_unit(tokens, number), len(match["token"])))
            number += 1
        else:
            parts.append(match["quoted"] or match["mark"] or "")
    return TemporalFormat(tuple(parts))


def _unit(tokens: Sequence[str], number: int) -> Unit:
    """Return what a token stands for: `mm` behind hours or before seconds is minutes, as in spreadsheets."""
    before = tokens[number - 1] if number else ""
    behind = tokens[number + 1] if number + 1 < len(tokens) else ""
    if tokens[number] in ("m", "mm") and (before.startswith("h") or behind.startswith("s")):
        return "minute"
    return _UNITS[tokens[number][0]]
