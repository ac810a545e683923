"""Random expressions of the long form, each with what it means in plain Python.

Values are int, Decimal, str, bool, datetime.date or None. What does not belong here: steps (`steps.py`).
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from hypothesis import strategies as st

LARGEST = 2**63 - 1
Row = Mapping[str, Any]
Schema = Mapping[str, str]


class RowError(Exception):
    """The expression fails on this row."""


@dataclass(frozen=True)
class Spec:
    """An expression: how it is written, what it gives, what it is worth on a row."""

    text: str
    type: str
    value: Callable[[Row], Any]


def _whole(value: int) -> int:
    if abs(value) > LARGEST:
        raise RowError
    return value


def _divided(left: int, right: int) -> int:
    if right == 0:
        raise RowError
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _rest(left: int, right: int) -> int:
    return left - right * _divided(left, right)


def _moved(date: datetime.date, days: int) -> datetime.date:
    try:
        return date + datetime.timedelta(days=days)
    except OverflowError:
        raise RowError from None


def _lifted(function: Callable[..., Any], *parts: Spec) -> Callable[[Row], Any]:
    """Null where one of the operands is; operands fail from left to right."""

    def value(row: Row) -> Any:
        found = [part.value(row) for part in parts]
        return None if any(one is None for one in found) else function(*found)

    return value


def written(value: Any) -> str:
    """Write a value as it stands in a report."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime.date) else str(value)


def quoted(name: str) -> str:
    """Name a column; a pivot names some by any text."""
    return name if re.fullmatch("[a-z][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def literal(value: Any) -> str:
    """Write a value as a literal."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, datetime.date):
        return f"date '{value.isoformat()}'"
    if isinstance(value, Decimal):
        return f"cast('{value}' as decimal(12,2))"
    return f"({value})" if isinstance(value, int) and value < 0 else str(value).lower()


INTEGERS = st.sampled_from([-3, -1, 0, 1, 2, 7, 10, 3_000_000_000, 2**62])
DECIMALS = st.integers(-99_999, 99_999).map(lambda cents: Decimal(cents).scaleb(-2))
TEXTS = st.sampled_from(["a", "b", "B", "ab", "x y", "é", "10", "9", "it's", "\u03b1"])
DATES = st.dates(datetime.date(2019, 12, 30), datetime.date(2024, 3, 1))
VALUES = {"integer": INTEGERS, "decimal": DECIMALS, "text": TEXTS, "date": DATES, "boolean": st.booleans()}


@st.composite
def expressions(draw: st.DrawFn, schema: Schema, wanted: str, depth: int = 2) -> Spec:
    """Draw an expression of a type over columns."""
    names = [name for name, kind in schema.items() if kind == wanted]
    options = ["literal", *(["column"] * 3 if names else [])]
    if depth:
        options += ["case", "coalesce", *_OWN[wanted]]
    choice = draw(st.sampled_from(options))
    if choice == "literal":
        value = draw(VALUES[wanted])
        return Spec(literal(value), wanted, lambda _: value)
    if choice == "column":
        name = draw(st.sampled_from(names))
        return Spec(quoted(name), wanted, lambda row: row[name])

    def part(kind: str) -> Spec:
        return draw(expressions(schema, kind, depth - 1))

    if choice == "case":
        return _case(part("boolean"), part(wanted), part(wanted), wanted)
    if choice == "coalesce":
        return _coalesce(part(wanted), part(wanted), wanted)
    return _BUILDERS[choice](draw, part)


def _case(test: Spec, yes: Spec, no: Spec, wanted: str) -> Spec:
    return Spec(
        f"case when {test.text} then {yes.text} else {no.text} end",
        wanted,
        lambda row: yes.value(row) if test.value(row) else no.value(row),
    )


def _coalesce(first: Spec, second: Spec, wanted: str) -> Spec:
    def value(row: Row) -> Any:
        found = first.value(row)
        return second.value(row) if found is None else found

    return Spec(f"coalesce({first.text}, {second.text})", wanted, value)


_Draw = Callable[..., Any]
_Part = Callable[[str], Spec]


def _infix(
    mark: str, kind: str, operand: str, function: Callable[..., Any]
) -> Callable[[_Draw, _Part], Spec]:
    def build(_: _Draw, part: _Part) -> Spec:
        left, right = part(operand), part(operand)
        return Spec(f"({left.text} {mark} {right.text})", kind, _lifted(function, left, right))

    return build


def _call(name: str, kind: str, operand: str, function: Callable[..., Any]) -> Callable[[_Draw, _Part], Spec]:
    def build(_: _Draw, part: _Part) -> Spec:
        inner = part(operand)
        return Spec(f"{name}({inner.text})", kind, _lifted(function, inner))

    return build


def _extreme(name: str, pick: Callable[..., Any], kind: str) -> Callable[[_Draw, _Part], Spec]:
    """Nulls are skipped."""

    def build(_: _Draw, part: _Part) -> Spec:
        parts = [part(kind), part(kind)]

        def value(row: Row) -> Any:
            found = [one for one in [inner.value(row) for inner in parts] if one is not None]
            return pick(found) if found else None

        return Spec(f"{name}({parts[0].text}, {parts[1].text})", kind, value)

    return build


def _to_integer(_: _Draw, part: _Part) -> Spec:
    inner = part("decimal")
    return Spec(
        f"cast({inner.text} as integer)",
        "integer",
        _lifted(lambda value: int(value.quantize(Decimal(1), ROUND_HALF_UP)), inner),
    )


def _to_text(_: _Draw, part: _Part) -> Spec:
    inner = part("integer")
    return Spec(f"cast({inner.text} as text)", "text", _lifted(str, inner))


def _plus_days(draw: _Draw, part: _Part) -> Spec:
    inner, days = part("date"), draw(st.integers(-400, 400))
    return Spec(f"({inner.text} + ({days}))", "date", _lifted(lambda date: _moved(date, days), inner))


def _compared(draw: _Draw, part: _Part) -> Spec:
    kind = draw(st.sampled_from(["integer", "decimal", "text", "date"]))
    mark, function = draw(st.sampled_from(sorted(_COMPARISONS.items())))
    left, right = part(kind), part(kind)
    return Spec(f"({left.text} {mark} {right.text})", "boolean", _lifted(function, left, right))


def _is_null(draw: _Draw, part: _Part) -> Spec:
    inner = part(draw(st.sampled_from(["integer", "text", "date"])))
    return Spec(f"({inner.text} is null)", "boolean", lambda row: inner.value(row) is None)


def _listed(draw: _Draw, part: _Part) -> Spec:
    inner, items = part("text"), draw(st.lists(TEXTS, min_size=1, max_size=3))
    listed = ", ".join(literal(item) for item in items)
    return Spec(f"({inner.text} in ({listed}))", "boolean", _lifted(lambda found: found in items, inner))


def _between(_: _Draw, part: _Part) -> Spec:
    inner, low, high = part("integer"), part("integer"), part("integer")

    def value(row: Row) -> bool | None:
        found = [one.value(row) for one in (inner, low, high)]
        sides = [None if found[0] is None or found[1] is None else found[0] >= found[1]]
        sides.append(None if found[0] is None or found[2] is None else found[0] <= found[2])
        return False if False in sides else None if None in sides else True

    return Spec(f"({inner.text} between {low.text} and {high.text})", "boolean", value)


def _connected(word: str, decides: bool) -> Callable[[_Draw, _Part], Spec]:  # noqa: FBT001 - the value that ends it
    def build(_: _Draw, part: _Part) -> Spec:
        left, right = part("boolean"), part("boolean")

        def value(row: Row) -> bool | None:
            first = left.value(row)
            if first is decides:
                return decides
            second = right.value(row)
            if second is decides:
                return decides
            return None if first is None or second is None else not decides

        return Spec(f"({left.text} {word} {right.text})", "boolean", value)

    return build


def _negated(_: _Draw, part: _Part) -> Spec:
    inner = part("boolean")
    return Spec(f"(not {inner.text})", "boolean", _lifted(lambda found: not found, inner))


_COMPARISONS: dict[str, Callable[..., bool]] = {
    "=": lambda left, right: left == right,
    "<>": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    ">=": lambda left, right: left >= right,
}
_OWN = {
    "integer": ["add", "subtract", "multiply", "divide", "rest", "length", "largest", "to_integer", "days"],
    "decimal": ["add_decimal", "largest_decimal"],
    "text": ["join", "upper", "to_text", "smallest_text"],
    "date": ["plus_days"],
    "boolean": ["compared", "is_null", "listed", "between", "and", "or", "not"],
}
_BUILDERS: dict[str, Callable[[Any, _Part], Spec]] = {
    "add": _infix("+", "integer", "integer", lambda a, b: _whole(a + b)),
    "subtract": _infix("-", "integer", "integer", lambda a, b: _whole(a - b)),
    "multiply": _infix("*", "integer", "integer", lambda a, b: _whole(a * b)),
    "divide": _infix("//", "integer", "integer", _divided),
    "rest": _infix("%", "integer", "integer", _rest),
    "length": _call("length", "integer", "text", len),
    "largest": _extreme("max", max, "integer"),
    "to_integer": _to_integer,
    "days": _infix("-", "integer", "date", lambda a, b: (a - b).days),
    "add_decimal": _infix("+", "decimal", "decimal", lambda a, b: a + b),
    "largest_decimal": _extreme("max", max, "decimal"),
    "join": _infix("||", "text", "text", lambda a, b: a + b),
    "upper": _call("upper", "text", "text", str.upper),
    "to_text": _to_text,
    "smallest_text": _extreme("min", min, "text"),
    "plus_days": _plus_days,
    "compared": _compared,
    "is_null": _is_null,
    "listed": _listed,
    "between": _between,
    "and": _connected("and", decides=False),
    "or": _connected("or", decides=True),
    "not": _negated,
}
