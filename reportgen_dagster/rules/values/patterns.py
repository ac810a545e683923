"""Regular expressions, date formats and time zones that rules may use: literal and bounded.

They mean the same to Python and to DuckDB. DuckDB's RE2 takes time linear in the text; what it does not know (looking around,
references back) is refused here, by name.
"""

from __future__ import annotations

import re
import zoneinfo

from reportgen_dagster.contracts.patterns import syntax_problem

MAX_PATTERN = 200
MAX_REPEAT = 100
_ESCAPES = frozenset("dDwWsSbB.\\+*?()[]{}|^$-/tnr\"'#&@!%,:;<=>~` _")
_DATE_LETTERS = frozenset("YmdHMSjyBbAaIpf%")
_ZONE = r"[A-Z][A-Za-z0-9_+-]*(/[A-Z][A-Za-z0-9_+-]*){0,2}"


def pattern_problem(pattern: str) -> str:
    """Return what is wrong with a regular expression, or nothing."""
    if len(pattern) > MAX_PATTERN:
        return f"a pattern has at most {MAX_PATTERN} characters"
    if re.search(r"\(\?(?!:)", re.sub(r"\\.", "", pattern)):
        return "a pattern has groups `(...)` and `(?:...)` only"
    escapes = re.findall(r"\\(.?)", pattern, re.DOTALL)
    foreign = next((mark for mark in escapes if mark not in _ESCAPES or not mark), None)
    if foreign is not None:
        return f"`\\{foreign}` is not available in a pattern"
    return _repetition_problem(pattern) or syntax_problem(pattern)


def _repetition_problem(pattern: str) -> str:
    counts = [int(digits) for pair in re.findall(r"\{(\d*),?(\d*)\}", pattern) for digits in pair if digits]
    if any(count > MAX_REPEAT for count in counts):
        return f"a part repeats at most {MAX_REPEAT} times"
    if len(counts) > 4 or re.search(r"[*+?}][+]|\[\[|&&|\|\||--|~~", re.sub(r"\\.", "", pattern)):
        return "the pattern is too involved"
    return ""


def group_count(pattern: str) -> int:
    """Return how many groups a valid pattern has."""
    return re.compile(pattern).groups


def replacement_problem(replacement: str, pattern: str) -> str:
    """Return what is wrong with what a pattern is replaced by, or nothing."""
    if len(replacement) > MAX_PATTERN:
        return f"a replacement has at most {MAX_PATTERN} characters"
    for mark in re.findall(r"\\(.?)", replacement, re.DOTALL):
        if mark != "\\" and not (mark.isascii() and mark.isdigit() and int(mark) <= group_count(pattern)):
            return f"`\\{mark}` names no group of the pattern"
    return ""


def date_format_problem(layout: str) -> str:
    """Return what is wrong with a date format, or nothing."""
    if len(layout) > MAX_PATTERN:
        return f"a format has at most {MAX_PATTERN} characters"
    if not layout:
        return "a format is not empty"
    for mark in re.findall(r"%(.?)", layout, re.DOTALL):
        if mark not in _DATE_LETTERS or not mark:
            return f"`%{mark}` is not available; there are {' '.join(f'%{one}' for one in sorted(_DATE_LETTERS))}"
    return ""


def zone_problem(zone: str) -> str:
    """Return what is wrong with the name of a time zone, or nothing."""
    if re.fullmatch(_ZONE, zone, re.ASCII) and len(zone) <= MAX_PATTERN:
        try:
            zoneinfo.ZoneInfo(zone)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
            pass
        else:
            return ""
    return f"`{zone[:60]}` is no time zone; write one such as 'Europe/Zurich' or 'UTC'"
