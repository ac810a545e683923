"""How wide texts are in DejaVu Sans, the font of paper and charts: ASCII exactly, the rest about.

What belongs here: measuring. What does not: what fits (layout.py, charts.py).
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

LETTER = 0.63  # of the font's size, in the mean
# From the blank to the tilde, in thousandths of the font's size, as the font has them.
_ASCII = (
    *(318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337),
    *(636, 636, 636, 636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531),
    *(1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863, 748, 787),
    *(603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838, 500),
    *(500, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612),
    *(635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838),
)
_SMALL, _CAPITAL, _WIDE = 0.66, 0.8, 1.03


def em(text: str) -> float:
    """Return how wide a text is, in the font's size."""
    return sum(map(_letter, text))


def cut_to(text: str, width: float) -> str:
    """Return as much of a text as is not wider, in the font's size."""
    if em(text) <= width:
        return text
    room = width - _WIDE
    for place, letter in enumerate(text):
        room -= _letter(letter)
        if room < 0:
            return f"{text[:place]}…"
    return text


@lru_cache(maxsize=4_096)
def _letter(letter: str) -> float:
    base = unicodedata.normalize("NFKD", letter)[0]
    if " " <= base <= "~":
        return _ASCII[ord(base) - ord(" ")] / 1_000
    if unicodedata.combining(letter) or unicodedata.category(letter) == "Cf":
        return 0.0
    if unicodedata.east_asian_width(letter) in ("W", "F", "A"):
        return _WIDE
    return _CAPITAL if letter.isupper() else _SMALL
