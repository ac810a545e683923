"""What the operators of the language mean on cells: on numbers, texts, nulls, and columns that hold both.

What belongs here: the table "Cells" of docs/rules/language.md, comparing and choosing among values of any type. What does not:
arithmetic itself (numbers.py, temporal.py), syntax, problems that types alone can tell (evaluation.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import reduce

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.values import decimals, numbers, temporal
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import (
    MAX_TEXT,
    TEXT_TOO_LONG,
    Check,
    UnfitError,
    Value,
    all_of,
    any_of,
    any_value,
    binary,
    call,
    case,
    cast,
    decimal_type,
    false,
    guarded,
    is_present,
    negated,
    null_value,
    present,
    text,
    true,
    whole,
)

NEEDS_NUMBER = "text where a number is needed"
TEXT_AND_NUMBER = "a text and a number"
NUMERIC = ("integer", "number", "wide", "decimal")
SIMPLE = ("boolean", *temporal.KINDS)
_LONGEST_FIGURE = 400  # characters of anything but a text
_WORDS = {
    "null": "null", "integer": "a number", "number": "a number", "wide": "a number", "decimal": "a number", "text": "a text",
    "boolean": "a boolean", "date": "a date", "time": "a time", "datetime": "a datetime", "cell": "a text or number",
    "any": "anything",
}  # fmt: skip


def word_for(value: Value) -> str:
    """Name the kind of a value in a sentence."""
    return _WORDS[value.kind]


def number_part(value: Value) -> Value | None:
    """Return what a value is worth as a number, None if it never is one."""
    if value.kind in NUMERIC:
        return replace(value, checks=(), raw=None) if value.checks or value.raw is not None else value
    return value.number if value.kind == "cell" else None


def text_part(value: Value) -> Expr | None:
    """Return what a value is worth as a text, None if it never is one."""
    return value.sql if value.kind == "text" else value.text


def _null_number() -> Value:
    return Value("number", cast(exp.Null(), "DOUBLE"), 0.0)


def _checks(values: Sequence[Value]) -> tuple[Check, ...]:
    return tuple(check for value in values for check in value.checks)


def _mixture(values: Sequence[Value], faulty: Expr, reason: str) -> Check:
    """Make the check that all values are there and the mixture of them is faulty."""
    there = [present(value) for value in values if value.kind != "null"]
    return Check(all_of((*there, faulty)), text(reason))


def _is_text(values: Sequence[Value]) -> Expr:
    parts = [text_part(value) for value in values]
    return any_of(is_present(part) for part in parts if part is not None)


def _is_number(values: Sequence[Value]) -> Expr:
    parts = [number_part(value) for value in values]
    return any_of(is_present(part.sql) for part in parts if part is not None)


def _text_check(values: Sequence[Value]) -> tuple[Check, ...]:
    """Make the check that no operand of an arithmetic is a text; a null operand comes first."""
    if all(text_part(value) is None for value in values):
        return ()
    return (_mixture(values, _is_text(values), NEEDS_NUMBER),)


def arithmetic(layers: Layers, values: Sequence[Value], build: Callable[..., Value]) -> Value:
    """Compute with numbers: null where an operand is null, an error where one is a text.

    Raises:
        UnfitError: If an operand is by its type neither.
    """
    before = _checks(values)
    for value in values:
        if value.kind in SIMPLE:
            raise UnfitError(f"a number is needed, not {word_for(value)}")
    if any(value.kind == "any" for value in values):
        return any_value().with_checks(before)
    if any(value.kind == "null" for value in values):
        return null_value().with_checks(before)
    if any(text_part(value) is not None for value in values):
        values = [_named(layers, value) for value in values]
    mixture = _text_check(values)
    parts = [number_part(value) for value in values]
    found = [part for part in parts if part is not None]
    result = build(*found) if len(found) == len(parts) else _null_number()
    return replace(result, raw=None, literal=None).with_checks(before, mixture)


def as_number(layers: Layers, value: Value) -> Value:
    """Return a value as a number; a text on a row is an error."""
    if value.kind in ("null", "any"):
        return replace(_null_number(), largest=math.inf).with_checks(value.checks)
    return arithmetic(layers, [value], lambda number: number)


def as_text(layers: Layers, value: Value) -> Value:
    """Return a value as the text that it is written as."""
    checks = as_number(layers, value).checks if value.required else value.checks
    return Value("text", written(layers, value), checks=checks)


def written(layers: Layers, value: Value) -> Expr:
    """Write a value as it is written into the report: as it was read, if it was read and no contract types it."""
    if value.raw is not None:
        return value.raw
    if value.kind in ("null", "any"):
        return cast(exp.Null(), "VARCHAR")
    if value.kind == "boolean":
        return cast(value.sql, "VARCHAR")
    if value.kind in temporal.KINDS:
        return temporal.written(value)
    number, plain = number_part(value), text_part(value)
    parts = ([plain] if plain is not None else []) + ([numbers.written(layers, number)] if number else [])
    return parts[0] if len(parts) == 1 else call("coalesce", *parts)


def _numeric_only(values: Sequence[Value]) -> bool:
    return any(value.required for value in values)


def _both_kinds(values: Sequence[Value]) -> tuple[Check, ...]:
    """Make the check that texts and numbers are not mixed; a null operand comes first."""
    texts = [value for value in values if text_part(value) is not None]
    figures = [value for value in values if number_part(value) is not None]
    if not texts or not figures or (len(values) == 1):
        return ()
    return (_mixture(values, all_of((_is_text(values), _is_number(values))), TEXT_AND_NUMBER),)


def _joined(layers: Layers, number: Value | None, plain: Expr | None) -> Value:
    """Make one value of what it is as a number and as a text."""
    if plain is None:
        return number if number is not None else _null_number()
    if number is None:
        return Value("text", plain)
    part = numbers.bound(layers, number.without_checks())
    return Value("cell", exp.Null(), number=part, text=layers.bind(plain), checks=number.checks)


def join_texts(layers: Layers, values: Sequence[Value]) -> Value:
    """Join values as the texts that they are written as; null if one is null, an error where that is too long."""
    sides = [as_text(layers, value) for value in values]
    joined = sides[0].sql
    for side in sides[1:]:
        joined = exp.DPipe(this=joined, expression=side.sql)
    checks = _checks(sides)
    if _are_short(values):
        return Value("text", joined, checks=checks)
    short_enough, too_long = _fitting(layers, joined)
    return Value("text", short_enough, checks=(*checks, too_long))


def _are_short(values: Sequence[Value]) -> bool:
    """Tell whether nothing that is made of these by joining them can be too long."""
    lengths = [_length_at_most(value) for value in values]
    return sum(lengths) <= MAX_TEXT


def _length_at_most(value: Value) -> float:
    if isinstance(value.literal, str):
        return len(value.literal)
    is_read = value.raw is not None or value.kind in ("text", "cell")
    return math.inf if is_read else _LONGEST_FIGURE


def _fitting(layers: Layers, joined: Expr) -> tuple[Expr, Check]:
    """Return a text, null where it is too long, and the check of that; its bytes are counted first, which takes no time."""
    name = layers.bind(joined, "joined")
    few_bytes = binary(exp.LTE, call("strlen", name), whole(MAX_TEXT))
    fits = layers.bind(
        case((few_bytes, true()), default=binary(exp.LTE, call("length", name), whole(MAX_TEXT))), "fits"
    )
    return case((fits, name)), Check(negated(fits), text(TEXT_TOO_LONG))


def add_cells(layers: Layers, values: Sequence[Value]) -> Value:
    """Add numbers, join texts, from left to right."""
    return reduce(lambda left, right: _add_two(layers, left, right), values)


def _add_two(layers: Layers, left: Value, right: Value) -> Value:
    pair = (left, right)
    if _numeric_only(pair) or any(value.kind in ("null", "any", *SIMPLE) for value in pair):
        return arithmetic(layers, pair, lambda a, b: numbers.linear(layers, exp.Add, a, b))
    numbers_of = [number_part(value) for value in pair]
    texts = [text_part(value) for value in pair]
    total: Value | None = None
    joined: Expr | None = None
    if numbers_of[0] is not None and numbers_of[1] is not None:
        total = numbers.linear(layers, exp.Add, numbers_of[0], numbers_of[1])
    if texts[0] is not None and texts[1] is not None:
        joined = exp.DPipe(this=texts[0], expression=texts[1])
    too_long: tuple[Check, ...] = ()
    if joined is not None and any(value.is_made for value in pair):
        joined, check = _fitting(layers, joined)
        too_long = (check,)
    return _joined(layers, total, joined).with_checks(_checks(pair), _both_kinds(pair), too_long)


def extreme(layers: Layers, values: Sequence[Value], operator: type[exp.Binary]) -> Value:
    """Return the largest (`operator` GTE) or smallest (LTE) value, null if one is null."""
    if any(value.kind in ("null", "any", *SIMPLE) for value in values) or _numeric_only(values):
        return arithmetic(
            layers, values, lambda *found: reduce(lambda a, b: numbers.extreme(layers, operator, a, b), found)
        )
    figures = [part for part in map(number_part, values) if part is not None]
    texts = [part for part in map(text_part, values) if part is not None]
    number = plain = None
    if len(figures) == len(values):
        number = reduce(lambda a, b: numbers.extreme(layers, operator, a, b), figures)
    if len(texts) == len(values):
        plain = reduce(lambda a, b: _extreme_text(layers, operator, a, b), texts)
    return _joined(layers, number, plain).with_checks(_checks(values), _both_kinds(values))


def _extreme_text(layers: Layers, operator: type[exp.Binary], left: Expr, right: Expr) -> Expr:
    left, right = layers.bind(left), layers.bind(right)
    other = exp.LT if operator is exp.GTE else exp.GT
    return case((binary(operator, left, right), left), (binary(other, left, right), right))


def _simple_comparison(operator: type[exp.Binary], left: Value, right: Value) -> Expr:
    """Compare two values of one type that is neither text nor number; a date counts as its midnight."""
    if {left.kind, right.kind} == {"date", "datetime"}:
        left, right = temporal.as_datetime(left), temporal.as_datetime(right)
    if left.kind != right.kind:
        raise UnfitError(f"{word_for(left)} is compared with {word_for(right)}")
    return binary(operator, left.sql, right.sql)


def equal(layers: Layers, left: Value, right: Value) -> Value:
    """Compare for equality: a text and a number are different."""
    pair = (left, right)
    before = _checks(pair)
    if any(value.kind in ("null", "any") for value in pair):
        return Value("boolean", cast(exp.Null(), "BOOLEAN"), checks=before)
    if left.kind in SIMPLE or right.kind in SIMPLE:
        return Value("boolean", _simple_comparison(exp.EQ, left, right), checks=before)
    parts = _comparisons(layers, exp.EQ, left, right)
    both_sorts = any(text_part(value) is not None for value in pair) and any(
        number_part(value) is not None for value in pair
    )
    if both_sorts:
        parts.append(case((all_of(present(value) for value in pair), false())))
    return Value("boolean", parts[0] if len(parts) == 1 else call("coalesce", *parts), checks=before)


def order(layers: Layers, left: Value, right: Value, operator: type[exp.Binary]) -> Value:
    """Compare by size; a text with a number is an error."""
    pair = (left, right)
    before = _checks(pair)
    if any(value.kind in ("null", "any") for value in pair):
        return Value("boolean", cast(exp.Null(), "BOOLEAN"), checks=before)
    if left.kind in SIMPLE or right.kind in SIMPLE:
        return Value("boolean", _simple_comparison(operator, left, right), checks=before)
    parts = _comparisons(layers, operator, left, right)
    mixture = _text_check(pair) if _numeric_only(pair) else _both_kinds(pair)
    sql = call("coalesce", *parts) if len(parts) > 1 else (parts or [cast(exp.Null(), "BOOLEAN")])[0]
    return Value("boolean", sql, checks=before + mixture)


def _comparisons(layers: Layers, operator: type[exp.Binary], left: Value, right: Value) -> list[Expr]:
    parts: list[Expr] = []
    figures = (number_part(left), number_part(right))
    if figures[0] is not None and figures[1] is not None:
        parts.append(numbers.compare(layers, operator, figures[0], figures[1]))
    texts = (text_part(left), text_part(right))
    if texts[0] is not None and texts[1] is not None:
        parts.append(binary(operator, texts[0], texts[1]))
    return parts


def is_in(layers: Layers, value: Value, items: Sequence[Value]) -> Value:
    """Tell whether a value equals one of several."""
    found = [equal(layers, value.without_checks(), item) for item in items]
    return Value("boolean", any_of(one.sql for one in found), checks=value.checks + _checks(found))


def negation(value: Value) -> Value:
    """Negate true and false; null stays null."""
    return replace(value, sql=negated(value.sql))


def connect(layers: Layers, values: Sequence[Value], operator: type[exp.And | exp.Or]) -> Value:
    """Join by `and` or `or`; an error of a later side counts only where the sides before it do not decide."""
    join, decided = (all_of, false()) if operator is exp.And else (any_of, true())
    so_far, checks = values[0].sql, values[0].checks
    for value in values[1:]:
        if value.checks:
            so_far = layers.bind(so_far, "decided")
            open_still = call("coalesce", binary(exp.NEQ, so_far, decided), true())
            checks += guarded(value.checks, layers.bind(open_still, "needed"))
        so_far = join((so_far, value.sql))
    return Value("boolean", so_far, checks=checks)


def choose(layers: Layers, branches: Sequence[tuple[Value, Value]], default: Value) -> Value:
    """Return the value of the first true condition; errors count only in what is evaluated.

    Raises:
        UnfitError: If the values have no type in common.
    """
    conditions = [layers.bind(condition.sql, "condition") for condition, _ in branches]
    checks: tuple[Check, ...] = ()
    reached: list[Expr] = []
    for name, (condition, value) in zip(conditions, branches, strict=True):
        checks += _reached(condition.checks, reached)
        if value.checks:
            checks += _reached(value.checks, [*reached, call("coalesce", name, false())])
        reached.append(negated(call("coalesce", name, false())))
    checks += _reached(default.checks, reached)
    pairs = [(name, value.without_checks()) for name, (_, value) in zip(conditions, branches, strict=True)]
    return _merged(layers, pairs, default.without_checks()).with_checks(checks)


def _reached(checks: Sequence[Check], conditions: Sequence[Expr]) -> tuple[Check, ...]:
    return guarded(checks, all_of(conditions)) if checks and conditions else tuple(checks)


def _merged(layers: Layers, branches: Sequence[tuple[Expr, Value]], default: Value) -> Value:
    values = [value for _, value in branches] + [default]
    kinds = {value.kind for value in values} - {"null"}
    if "any" in kinds:
        return any_value()
    if not kinds:
        return replace(null_value(), required=any(value.required for value in values))
    if kinds & set(SIMPLE):
        return _merged_simple(branches, default, kinds)
    number = plain = None
    found = [part for part in map(number_part, values) if part is not None]
    if found:
        nothing = _nothing_among(found)
        figures = [(name, number_part(value) or nothing) for name, value in branches]
        number = numbers.choose(layers, figures, number_part(default) or nothing)
    if any(text_part(value) is not None for value in values):
        texts = [(name, text_part(value) or _null_text()) for name, value in branches]
        plain = case(*texts, default=text_part(default) or _null_text())
    return replace(_joined(layers, number, plain), required=any(value.required for value in values))


def _nothing_among(figures: Sequence[Value]) -> Value:
    """Return the null that leaves whole numbers and decimals what they are."""
    kinds = {value.kind for value in figures}
    if decimals.aligned(figures) is None and kinds != {"integer"}:
        return _null_number()
    if "decimal" in kinds:
        return Value("decimal", cast(exp.Null(), decimal_type(1, 0)), 0.0, precision=1)
    return Value("integer", cast(exp.Null(), "BIGINT"), 0.0)


def _merged_simple(branches: Sequence[tuple[Expr, Value]], default: Value, kinds: Collection[str]) -> Value:
    if kinds == {"date", "datetime"}:
        branches = [(name, temporal.as_datetime(value)) for name, value in branches]
        default = temporal.as_datetime(default)
    elif len(kinds) > 1:
        words = sorted({word_for(value) for value in (*(value for _, value in branches), default)} - {"null"})
        raise UnfitError(f"one value is {words[0]}, another is {words[1]}")
    kind = next(value.kind for value in (*(value for _, value in branches), default) if value.kind != "null")
    return Value(kind, case(*((name, value.sql) for name, value in branches), default=default.sql))


def _null_text() -> Expr:
    return cast(exp.Null(), "VARCHAR")


def first_present(layers: Layers, values: Sequence[Value]) -> Value:
    """Return the first value that is not null; errors count only in what is evaluated."""
    named = [_named(layers, value) for value in values]
    branches = [
        (
            Value("boolean", false() if value.kind == "null" else present(value), checks=value.checks),
            value.without_checks(),
        )
        for value in named
    ]
    return choose(layers, branches, null_value())


def _named(layers: Layers, value: Value) -> Value:
    if value.kind in NUMERIC:
        return numbers.bound(layers, value)
    return value if value.kind in ("cell", "null", "any") else replace(value, sql=layers.bind(value.sql))
