"""Which cells a spreadsheet takes for a formula, and how they become inert: a quotation mark before them.

What belongs here: the rule, for the engine's writers and for downloads alike. What does not: files whose cells have a type, as
Excel's; there a text is a text.

The list of first characters is OWASP's (https://owasp.org/www-community/attacks/CSV_Injection), with their full-width forms, also
behind blanks and a byte order mark, which spreadsheets skip.
"""

from __future__ import annotations

import re

GUARD = "'"
# Both patterns mean the same to Python's `re` and to RE2, which Arrow uses.
_BLANK = "[ \u00a0\u200b\ufeff]*"
FORMULA_PATTERN = f"^{_BLANK}[=+\\-@\uff1d\uff0b\uff0d\uff20\t\r\n]"
NUMBER_PATTERN = r"^[+\-]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)([eE][+\-]?[0-9]+)?%?$"

_FORMULA = re.compile(FORMULA_PATTERN)
_NUMBER = re.compile(NUMBER_PATTERN)


def is_formula(cell: str) -> bool:
    """Tell whether a spreadsheet may take a cell for a formula; a number is none, whatever its sign."""
    return bool(_FORMULA.match(cell)) and not _NUMBER.match(cell)


def inert(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"{GUARD}{cell}" if is_formula(cell) else cell
