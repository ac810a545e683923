"""About how wide texts are in DejaVu Sans, the font of paper and charts.

What belongs here: measuring. What does not: what fits (layout.py, charts.py).
"""

from __future__ import annotations

import unicodedata

LETTER = 0.63  # of the font's size
_DIGIT, _NARROW, _WIDE = 0.64, 0.34, 1.0
_NARROW_LETTERS = frozenset(" .,:;'|!ijl()[]-/\u00a0")
_WIDE_LETTERS = frozenset("mwMW@%")


def em(text: str) -> float:
    """Return about how wide a text is, in the font's size."""
    return sum(map(_letter, text))


def cut_to(text: str, width: float) -> str:
    """Return as much of a text as is not wider, in the font's size."""
    if len(text) <= width or em(text) <= width:
        return text
    room = width - _WIDE
    for place, letter in enumerate(text):
        room -= _letter(letter)
        if room < 0:
            return f"{text[:place]}…"
    return text


def _letter(letter: str) -> float:
    if letter in _NARROW_LETTERS:
        return _NARROW
    if letter.isascii():
        return _DIGIT if letter.isdigit() else _WIDE if letter in _WIDE_LETTERS else LETTER
    if unicodedata.east_asian_width(letter) in ("W", "F"):
        return _WIDE
    return 0.0 if unicodedata.combining(letter) else LETTER
