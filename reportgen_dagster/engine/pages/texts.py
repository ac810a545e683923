"""Texts of users as pages show them: nothing in them that a reader cannot see, and no more of them than fits.

What belongs here: characters and lengths. What does not: escaping, which the templates do for all that they are given.
"""

from __future__ import annotations

import re

REPLACED = "\ufffd"
SOFT_BREAK = "\u200b"
# Control characters, marks that turn the direction of text, halves of characters, what is no character at all.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
    "|[" + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(1, 17)) + "]"
)
_BLANKS = re.compile(r"[\t\n\x0b\x0c\r\x85\u2028\u2029]+")


def shown(text: str, longest: int) -> str:
    """Return a text on one line, the beginning of a very long one."""
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    if cut.isascii() and cut.isprintable():
        return cut
    return _UNSEEN.sub(REPLACED, _BLANKS.sub(" ", cut))


def breakable(text: str, longest: int) -> str:
    """Return a text whose words may be broken after so many characters, for a column that is not wide enough."""
    if len(text) <= longest:
        return text
    return re.sub(rf"\S{{{longest}}}(?=\S)", rf"\g<0>{SOFT_BREAK}", text)
