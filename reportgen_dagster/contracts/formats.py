"""How dates and times are written: formats with the directives of `strptime`, checked and turned into patterns.

What belongs here: what a format may say and which texts have its shape. What does not: casting (casts.py). DuckDB's own parser
takes blanks, missing digits and much else; the pattern beside it makes it strict.
"""

from __future__ import annotations

import datetime
import re
from typing import Literal

Kind = Literal["date", "time", "datetime"]
MAX_FORMAT = 100
_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_MONTHS = tuple(datetime.date(2000, month, 1).strftime("%B") for month in range(1, 13))
_ISO_DATE = f"{_YEAR}-[0-9]{{2}}-[0-9]{{2}}"
_ISO_TIME = r"(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
_OFFSET = "[+-](?:0[0-9]|1[0-4]):?[0-5][0-9]"
ISO: dict[Kind, str] = {
    "date": _ISO_DATE,
    "time": _ISO_TIME,
    "datetime": f"{_ISO_DATE}[T ]{_ISO_TIME}",
}
ZONE = "(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])"
_DIGITS = {"d": 2, "m": 2, "H": 2, "I": 2, "M": 2, "S": 2, "f": 6}
_SHAPES = {
    "Y": _YEAR,
    "y": "[0-9]{2}",
    "b": "(?i:" + "|".join(name[:3] for name in _MONTHS) + ")",
    "B": "(?i:" + "|".join(_MONTHS) + ")",
    "p": "(?i:am|pm)",
    "z": _OFFSET,
    "%": "%",
}
_OF_DATES = frozenset("YymbBd")
_OF_TIMES = frozenset("HIMSfp")
_PART = re.compile(r"%(.?)|([^%]+)", re.DOTALL)


def format_problem(layout: str, kind: Kind) -> str:
    """Return what is wrong with a format for dates, times or both, or nothing."""
    if layout == "any":
        return "the format `any` would guess; write the format out, as `%d/%m/%Y`"
    if len(layout) > MAX_FORMAT:
        return f"a format has at most {MAX_FORMAT} characters"
    letters = [mark for mark, literal in _PART.findall(layout) if not literal and mark != "%"]
    allowed = _allowed(kind)
    for letter in letters:
        if letter not in allowed:
            known = " ".join(f"%{one}" for one in sorted(allowed))
            return f"`%{letter}` is not available in the format of a {kind}; there are {known}"
        if letters.count(letter) > 1:
            return f"`%{letter}` stands twice in the format"
    return _incomplete(frozenset(letters), kind)


def _allowed(kind: Kind) -> frozenset[str]:
    if kind == "date":
        return _OF_DATES
    return _OF_TIMES if kind == "time" else _OF_DATES | _OF_TIMES | {"z"}


def _incomplete(letters: frozenset[str], kind: Kind) -> str:
    if kind != "time":
        for names, what in (({"Y", "y"}, "year"), ({"m", "b", "B"}, "month"), ({"d"}, "day")):
            if len(letters & names) != 1:
                return f"the format names the {what} {'not at all' if not letters & names else 'twice'}"
    if kind == "date":
        return ""
    if ("p" in letters) != ("I" in letters) or len(letters & {"H", "I"}) != 1:
        return "the format names the hour as `%H`, or as `%I` together with `%p`"
    return ""


def layout_pattern(layout: str) -> str:
    """Return the pattern of the texts that have a valid format's shape.

    A number has one or two digits, as in Python's `strptime`, but two where other digits follow or come before.
    """
    parts: list[tuple[str, str]] = _PART.findall(layout)
    shapes = []
    for place, (letter, literal) in enumerate(parts):
        if literal:
            shapes.append(re.escape(literal))
        elif letter in _SHAPES:
            shapes.append(_SHAPES[letter])
        else:
            beside = [parts[other] for other in (place - 1, place + 1) if 0 <= other < len(parts)]
            most = _DIGITS[letter]
            least = most if any(map(_has_digit_beside, beside)) else 1
            shapes.append(f"[0-9]{{{least},{most}}}")
    return "".join(shapes)


def _has_digit_beside(part: tuple[str, str]) -> bool:
    letter, literal = part
    return (
        letter in _DIGITS or letter in "Yy" if not literal else literal[0].isdigit() or literal[-1].isdigit()
    )


def parsed(text: str, layout: str | None, kind: Kind) -> datetime.date | datetime.time | datetime.datetime:
    """Read a constant of a schema, written in ISO 8601 or in the field's format.

    Raises:
        ValueError: If it is neither.
    """
    if re.fullmatch(ISO[kind] + (f"{ZONE}?" if kind == "datetime" else ""), text):
        return _from_iso(text, kind)
    if layout is None or not re.fullmatch(layout_pattern(layout), text):
        raise ValueError(f"'{text[:40]}' is no {kind}")
    moment = datetime.datetime.strptime(text, layout)
    return _of_kind(moment, kind)


def _from_iso(text: str, kind: Kind) -> datetime.date | datetime.time | datetime.datetime:
    if kind == "date":
        return datetime.date.fromisoformat(text)
    if kind == "time":
        return datetime.time.fromisoformat(text)
    return _of_kind(datetime.datetime.fromisoformat(text), kind)


def _of_kind(moment: datetime.datetime, kind: Kind) -> datetime.date | datetime.time | datetime.datetime:
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    if kind == "date":
        return moment.date()
    return moment.time() if kind == "time" else moment
