"""`like` and `ilike`, in time linear in the text.

What belongs here: patterns of `like`. What does not: regular expressions (patterns.py).

The database's own `like` tries every place for every `%`: a pattern with many of them could take forever. Such a pattern
becomes a regular expression.
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.values.typed import call, text

_MANY = 2


def like(value: Expr, pattern: str, *, ignore_case: bool) -> Expr:
    """Build the test that a text is like a pattern: `%` is any part, `_` any character."""
    if pattern.count("%") <= _MANY:
        kind = exp.ILike if ignore_case else exp.Like
        return kind(this=value, expression=text(pattern))
    parts = {"%": ".*", "_": "."}
    expression = "".join(parts.get(mark) or _escaped(mark) for mark in pattern)
    return call("regexp_full_match", value, text(expression), text("is" if ignore_case else "s"))


def _escaped(mark: str) -> str:
    plain = mark.isalnum() or mark.isspace() or not mark.isascii()
    return mark if plain else f"\\{mark}"
