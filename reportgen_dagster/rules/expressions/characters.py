"""Characters that no expression may hold, because nobody sees them, and what they are called.

What belongs here: which these are. What does not: where they are refused (sql_syntax.py, python_syntax.py).
"""

from __future__ import annotations

import re
import unicodedata

SURROGATE = re.compile("[\ud800-\udfff]")
# Control characters but tabs and line ends, marks of the direction of writing, the byte order mark.
UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def character(letter: str) -> str:
    """Name a character that cannot be seen."""
    code = f"U+{ord(letter):04X}"
    if SURROGATE.match(letter):
        return f"the lone surrogate {code}"
    name = unicodedata.name(letter, "")
    return f"{code} ({name})" if name else f"the control character {code}"
