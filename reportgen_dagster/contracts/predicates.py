"""pandera's built-in checks as SQL conditions.

A check is read by its public name and statistics, so that one schema serves pandas frames and relations. What does
not belong here: running anything.
"""

from __future__ import annotations

import datetime
import decimal
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sqlglot import exp
from sqlglot.expressions import Expr

if TYPE_CHECKING:
    import pandera.pandas as pa

Statistics = Mapping[str, Any]


def holds(column: Expr, check: pa.Check) -> Expr:
    """Return the condition that a cell meets which keeps the check; null where the cell is null.

    Raises:
        SchemaDefinitionError: If the check is not one of pandera's own or has no meaning row by row.
    """
    from pandera.errors import SchemaDefinitionError

    render = _RENDERED.get(check.name or "")
    if render is None:
        raise SchemaDefinitionError(f"check {check.name!r} is not one that a relation can be checked with")
    return render(column, check.statistics or {})


def literal(value: Any) -> Expr:
    """Write a Python value as SQL, exactly: floats as DOUBLE, decimals as DECIMAL, dates and times by their own types."""
    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if isinstance(value, float):
        return exp.cast(exp.Literal.string(repr(value)), "double")
    if isinstance(value, int | decimal.Decimal):
        return _exact(value)
    if isinstance(value, datetime.datetime):
        return exp.cast(exp.Literal.string(value.isoformat(" ")), "timestamp")
    if isinstance(value, datetime.date):
        return exp.cast(exp.Literal.string(value.isoformat()), "date")
    if isinstance(value, datetime.time):
        return exp.cast(exp.Literal.string(value.isoformat()), "time")
    return exp.Literal.string(str(value))


def _exact(value: int | decimal.Decimal) -> Expr:
    number = exp.Literal.number(format(abs(value), "f") if isinstance(value, decimal.Decimal) else abs(value))
    return exp.Neg(this=number) if value < 0 else number


def _compared(node: type[exp.Binary], statistic: str) -> Callable[[Expr, Statistics], Expr]:
    return lambda column, given: node(this=column, expression=literal(given[statistic]))


def _in_range(column: Expr, given: Statistics) -> Expr:
    lower = exp.GTE if given.get("include_min", True) else exp.GT
    upper = exp.LTE if given.get("include_max", True) else exp.LT
    return exp.and_(
        lower(this=column, expression=literal(given["min_value"])),
        upper(this=column.copy(), expression=literal(given["max_value"])),
    )


def _listed(column: Expr, values: Any) -> Expr:
    return exp.In(this=column, expressions=[literal(value) for value in sorted(values, key=repr)])


def _matched(column: Expr, pattern: str | re.Pattern[str], prefix: str) -> Expr:
    r"""Match by RE2, whose `$` is the end of the text as Python's `\Z` is."""
    text = pattern.pattern if isinstance(pattern, re.Pattern) else pattern
    whole = re.fullmatch(r"\^\(\?:(.*)\)\\Z", text, re.DOTALL)
    if whole is not None:
        return exp.Anonymous(this="regexp_full_match", expressions=[column, exp.Literal.string(whole[1])])
    return exp.Anonymous(
        this="regexp_matches", expressions=[column, exp.Literal.string(f"{prefix}(?:{text})")]
    )


def _length(column: Expr, given: Statistics) -> Expr:
    length = exp.Length(this=column)
    if given.get("exact_value") is not None:
        return exp.EQ(this=length, expression=literal(given["exact_value"]))
    bounds: list[Expr] = []
    if given.get("min_value") is not None:
        bounds.append(exp.GTE(this=length.copy(), expression=literal(given["min_value"])))
    if given.get("max_value") is not None:
        longest = literal(given["max_value"])
        # Bytes are counted in no time, and there are at least as many of them as characters.
        byte_count = exp.Anonymous(this="strlen", expressions=[column.copy()])
        few_bytes = exp.LTE(this=byte_count, expression=longest.copy())
        bounds.append(exp.paren(exp.or_(few_bytes, exp.LTE(this=length.copy(), expression=longest))))
    return exp.and_(*bounds)


_RENDERED: dict[str, Callable[[Expr, Statistics], Expr]] = {
    "equal_to": _compared(exp.EQ, "value"),
    "not_equal_to": _compared(exp.NEQ, "value"),
    "greater_than": _compared(exp.GT, "min_value"),
    "greater_than_or_equal_to": _compared(exp.GTE, "min_value"),
    "less_than": _compared(exp.LT, "max_value"),
    "less_than_or_equal_to": _compared(exp.LTE, "max_value"),
    "in_range": _in_range,
    "isin": lambda column, given: _listed(column, given["allowed_values"]),
    "notin": lambda column, given: exp.Not(this=_listed(column, given["forbidden_values"])),
    "str_matches": lambda column, given: _matched(column, given["pattern"], "^"),
    "str_contains": lambda column, given: _matched(column, given["pattern"], ""),
    "str_startswith": lambda column, given: exp.Anonymous(
        this="starts_with", expressions=[column, literal(given["string"])]
    ),
    "str_endswith": lambda column, given: exp.Anonymous(
        this="suffix", expressions=[column, literal(given["string"])]
    ),
    "str_length": _length,
}
AVAILABLE = frozenset(_RENDERED)
