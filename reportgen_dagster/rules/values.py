"""Typed SQL values: what an expression is worth on a row, and what can go wrong with it.

What belongs here: builders of sqlglot nodes, `Value`, checks. What does not: what an operator or a
function means (operators.py, scalar.py).

A value never fails in the database. What makes it void on a row stands beside it as a check; a row on which one is true is
rejected.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sqlglot import exp
from sqlglot.expressions import Expr

Kind = Literal["null", "integer", "number", "wide", "text", "boolean", "cell"]
EXACT = 2.0**53 - 1  # whole numbers up to here are exact as DOUBLE, and none beyond looks like one of them
LARGEST_INTEGER = 2**63 - 1
LARGEST_NUMBER = 1.7e308
DIALECT = "duckdb"


def call(name: str, *arguments: Expr) -> Expr:
    """Call a DuckDB function."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def text(value: str) -> Expr:
    """Write a text."""
    return exp.Literal.string(value)


def whole(value: int) -> Expr:
    """Write a whole number."""
    literal = exp.Literal.number(str(abs(value)))
    return exp.Neg(this=literal) if value < 0 else literal


def integer_literal(value: int) -> Expr:
    """Write a whole number as BIGINT, so that nothing computed with it alone overflows in 32 bits."""
    return cast(whole(value), "BIGINT")


def literal_integer(node: Expr) -> int | None:
    """Return the number that `integer_literal` wrote, None for anything else."""
    if isinstance(node, exp.Neg):
        inner = literal_integer(node.this)
        return -inner if inner is not None else None
    plain = node.this if isinstance(node, exp.Cast) else None
    return int(str(plain.this)) if isinstance(plain, exp.Literal) and str(plain.this).isdigit() else None


def double(value: float) -> Expr:
    """Write a floating-point number; the exponent makes DuckDB read it as DOUBLE."""
    digits = repr(abs(value))
    literal = exp.Literal.number(digits if "e" in digits else f"{digits}e0")
    return exp.Neg(this=literal) if value < 0 else literal


def column(name: str, table: str | None = None) -> Expr:
    """Name a column, quoted."""
    return exp.column(exp.to_identifier(name, quoted=True), table=exp.to_identifier(table) if table else None)


def _wrapped(node: Expr) -> Expr:
    return exp.Paren(this=node) if isinstance(node, (exp.Binary, exp.Not, exp.Neg, exp.Between)) else node


def binary(operator: type[exp.Binary], left: Expr, right: Expr) -> Expr:
    """Join two expressions by an operator, in parentheses where needed."""
    return operator(this=_wrapped(left), expression=_wrapped(right))


def negated(condition: Expr) -> Expr:
    """Negate a condition."""
    return exp.Not(this=_wrapped(condition))


def is_null(value: Expr) -> Expr:
    """Test for null."""
    return exp.Is(this=_wrapped(value), expression=exp.Null())


def is_present(value: Expr) -> Expr:
    """Test for not null."""
    return exp.Not(this=is_null(value))


def true() -> Expr:
    """Write true."""
    return exp.Boolean(this=True)


def false() -> Expr:
    """Write false."""
    return exp.Boolean(this=False)


def case(*branches: tuple[Expr, Expr], default: Expr | None = None) -> Expr:
    """Write CASE WHEN ... END."""
    return exp.Case(ifs=[exp.If(this=test, true=value) for test, value in branches], default=default)


def cast(value: Expr, to: str) -> Expr:
    """Cast where the cast cannot fail."""
    return exp.Cast(this=value, to=_type(to))


def try_cast(value: Expr, to: str) -> Expr:
    """Cast, null where it fails."""
    return exp.TryCast(this=value, to=_type(to))


def _type(name: str) -> exp.DataType:
    return exp.DataType(this=exp.DataType.Type[{"HUGEINT": "INT128", "INTEGER": "INT"}.get(name, name)])


def all_of(conditions: Iterable[Expr]) -> Expr:
    """Join conditions by AND; true when there is none."""
    return _joined(exp.And, conditions, true())


def any_of(conditions: Iterable[Expr]) -> Expr:
    """Join conditions by OR; false when there is none."""
    return _joined(exp.Or, conditions, false())


def _joined(operator: type[exp.Binary], conditions: Iterable[Expr], none: Expr) -> Expr:
    joined: Expr | None = None
    for condition in conditions:
        part = exp.Paren(this=condition) if isinstance(condition, (exp.And, exp.Or)) else condition
        joined = part if joined is None else operator(this=joined, expression=part)
    return none if joined is None else joined


@dataclass(frozen=True, slots=True)
class Check:
    """A condition that makes the row an error when it is true, and the reason."""

    condition: Expr
    reason: Expr


@dataclass(frozen=True, slots=True)
class Value:
    """What an expression is worth on each row.

    Attributes:
        kind: `integer` is BIGINT, `number` DOUBLE, `text` VARCHAR, `boolean` BOOLEAN. `wide` is a number whose whole values
            may exceed what DOUBLE holds exactly. `cell` is a number on some rows and a text on others. `null` is always null.
        sql: The value; of a `wide` its DOUBLE; null for `cell`.
        largest: No magnitude is larger; for numbers.
        is_whole: Builds the condition "on this row the number is a whole number by its type", for `number`; None: on no row.
        integer: BIGINT, or null where it is not whole, for `wide`.
        number: The number, null where it is a text, for `cell`.
        text: The text, null where it is a number, for `cell`.
        required: A text on a row is an error as soon as something is computed with it (`cell_number`).
        checks: What makes a row an error, in the order of evaluation.
    """

    kind: Kind
    sql: Expr
    largest: float = math.inf
    is_whole: Callable[[], Expr] | None = None
    integer: Expr | None = None
    number: Value | None = None
    text: Expr | None = None
    required: bool = False
    checks: tuple[Check, ...] = ()

    def with_checks(self, *groups: Sequence[Check]) -> Value:
        """Return the value with these checks before its own."""
        before = tuple(check for group in groups for check in group)
        return replace(self, checks=before + self.checks) if before else self

    def without_checks(self) -> Value:
        """Return the value alone."""
        return replace(self, checks=()) if self.checks else self


def null_value() -> Value:
    """Return the value that is always null."""
    return Value("null", exp.Null(), largest=0.0)


def guarded(checks: Sequence[Check], condition: Expr) -> tuple[Check, ...]:
    """Let checks count only where a condition is true."""
    return tuple(Check(all_of((condition, check.condition)), check.reason) for check in checks)


def present(value: Value) -> Expr:
    """Test that a value is not null."""
    if value.kind == "cell" and value.number is not None and value.text is not None:
        return any_of((is_present(value.number.sql), is_present(value.text)))
    return is_present(value.sql)
