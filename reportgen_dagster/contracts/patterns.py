"""Regular expressions of contracts: literal, bounded, and the same in Python's and DuckDB's eyes.

What belongs here: which patterns there may be, and those of string formats. What does not: matching.
"""

from __future__ import annotations

import re

MAX_PATTERN = 500
MAX_REPEAT = 1000
_ESCAPES = frozenset("dDwWsSbB.\\+*?()[]{}|^$-/tnrf\"'#&@!%,:;<=>~` _")

# The formats of Table Schema's strings.
STRING_FORMATS = {
    "email": r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+",
    "uri": r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+",
    "uuid": r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
    "binary": r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?",
}


def pattern_problem(pattern: str) -> str:
    """Return what is wrong with a regular expression, or nothing."""
    if len(pattern) > MAX_PATTERN:
        return f"a pattern has at most {MAX_PATTERN} characters"
    bare = re.sub(r"\\.", "", pattern, flags=re.DOTALL)
    if re.search(r"\(\?(?!:)", bare):
        return "a pattern has groups `(...)` and `(?:...)` only"
    for mark in re.findall(r"\\(.?)", pattern, re.DOTALL):
        if mark not in _ESCAPES or not mark:
            return f"`\\{mark}` is not available in a pattern"
    return _repetition_problem(bare) or syntax_problem(pattern)


def _repetition_problem(bare: str) -> str:
    if re.search(r"[*+?}][+]|\[\[|&&|\|\||--|~~", bare):
        return "the pattern is too involved"
    groups = 1
    largest = 1
    for before, low, high in re.findall(r"(.)\{(\d*),?(\d*)\}", bare, re.DOTALL):
        count = max(int(digits) for digits in (low, high, "1") if digits)
        groups *= count if before == ")" else 1
        largest = max(largest, 1 if before == ")" else count)
    if groups * largest > MAX_REPEAT:
        return f"a part repeats at most {MAX_REPEAT} times"
    return ""


def syntax_problem(pattern: str) -> str:
    """Return why a regular expression cannot be read, or nothing."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"this is no pattern: {error}"
    return ""


def whole(pattern: str) -> re.Pattern[str]:
    r"""Return the pattern that matches a whole text only; `\d`, `\w`, `\s` mean ASCII, as they do for DuckDB."""
    return re.compile(rf"^(?:{pattern})\Z", re.ASCII)
