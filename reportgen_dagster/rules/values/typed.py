"""Typed SQL values: what an expression is worth on a row, and what can go wrong with it.

What belongs here: builders of sqlglot nodes, `Value`, checks. What does not: what an operator or a
function means (operators.py, functions/).

A value never fails in the database. What makes it void on a row stands beside it as a check; a row on which one is true is
rejected.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.types import ANY, Type

Kind = Literal[
    "null",
    "integer",
    "number",
    "wide",
    "decimal",
    "text",
    "boolean",
    "date",
    "time",
    "datetime",
    "cell",
    "any",
]
EXACT = 2.0**53 - 1  # whole numbers up to here are exact as DOUBLE, and none beyond looks like one of them
LARGEST_INTEGER = 2**63 - 1
LARGEST_NUMBER = 1.7e308
DIALECT = "duckdb"
MAX_PRECISION = 38  # digits of a decimal
MAX_TEXT = 100_000  # characters of a text that is made of others
TEXT_TOO_LONG = f"the text would be longer than {MAX_TEXT} characters"
_SQL_TYPES = {
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "time": "TIME",
    "datetime": "TIMESTAMP",
}


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
    return exp.Column(
        this=exp.Identifier(this=name, quoted=True), table=exp.to_identifier(table) if table else None
    )


def place_of(found: exp.Column) -> tuple[str, str]:
    """Return table, if any, and name of a column of the compiler's making; sqlglot's properties take several times as long."""
    table: exp.Identifier | None = found.args.get("table")
    return "" if table is None else table.args["this"], found.args["this"].args["this"]


def columns_of(value: Expr) -> Iterable[exp.Column]:
    """Return the columns that an expression is made of; most expressions are one themselves, and a search takes a while."""
    return (value,) if isinstance(value, exp.Column) else value.find_all(exp.Column)


def has_columns(value: Expr) -> bool:
    """Tell whether an expression is made of columns."""
    return any(True for _ in columns_of(value))


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


def cast(value: Expr, to: str | exp.DataType) -> Expr:
    """Cast where the cast cannot fail."""
    return exp.Cast(this=value, to=_type(to))


def try_cast(value: Expr, to: str | exp.DataType) -> Expr:
    """Cast, null where it fails."""
    return exp.TryCast(this=value, to=_type(to))


def _type(name: str | exp.DataType) -> exp.DataType:
    if isinstance(name, exp.DataType):
        return name
    return exp.DataType(this=exp.DataType.Type[{"HUGEINT": "INT128", "INTEGER": "INT"}.get(name, name)])


def decimal_type(precision: int, scale: int) -> exp.DataType:
    """Name the type of decimals with so many digits, so many of them behind the point."""
    digits = [exp.DataTypeParam(this=exp.Literal.number(str(number))) for number in (precision, scale)]
    return exp.DataType(this=exp.DataType.Type.DECIMAL, expressions=digits)


def sql_type(type_: Type) -> exp.DataType:
    """Name the database's type of a type's values; a `cell`, `null` or `any` is a text."""
    if type_.name == "decimal":
        return decimal_type(type_.precision, type_.scale)
    return _type(_SQL_TYPES.get(type_.name, "VARCHAR"))


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
        kind: `integer` is BIGINT, `number` DOUBLE, `decimal` DECIMAL(precision, scale), `text` VARCHAR, `boolean` BOOLEAN, `date`
            DATE, `time` TIME, `datetime` TIMESTAMP. `wide` is a number whose whole values may exceed what DOUBLE holds
            exactly. `cell` is a number on some rows and a text on others. `null` is always null. `any` is not known before
            data and fits everywhere.
        sql: The value; of a `wide` its DOUBLE; null for `cell`.
        largest: No magnitude is larger; for numbers.
        is_whole: Builds the condition "on this row the number is a whole number by its type", for `number`; None: on no row.
        integer: BIGINT, or null where it is not whole, for `wide`.
        number: The number, null where it is a text, for `cell`.
        text: The text, null where it is a number, for `cell`.
        required: A text on a row is an error as soon as something is computed with it (`cell_number`).
        checks: What makes a row an error, in the order of evaluation.
        precision: All digits of a `decimal`.
        scale: Its digits behind the point.
        raw: The text that the value was read from, if no contract types it: it is written, and used as text, as it was read.
        literal: The value, if it is written out in the rules.
        is_made: It is a cell that an earlier step computed: texts made of such ones again and again grow without end if nothing
            bounds them.
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
    precision: int = 0
    scale: int = 0
    raw: Expr | None = None
    literal: str | int | float | Decimal | bool | None = None
    is_made: bool = False

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


class UnfitError(Exception):
    """Operands do not go together, by their types; the message says why and how to mend it."""


def any_value() -> Value:
    """Return the value of which nothing is known before data."""
    return Value("any", exp.Null())


def type_of(value: Value) -> Type:
    """Return the type that a column of the value has."""
    if value.kind == "decimal":
        return Type("decimal", value.precision, value.scale)
    return Type("number" if value.kind == "wide" else value.kind)


def value_of_type(type_: Type, sql: Expr, raw: Expr | None = None) -> Value:
    """Return the value of a column of a type.

    Args:
        type_: The type; a `cell` counts as a text.
        sql: The value, of the database's type `sql_type` names.
        raw: The text it was read from, if no contract types it.
    """
    if type_.name == "null":
        return null_value()
    if type_.name == "any":
        return any_value()
    if type_.name == "cell":
        return Value("text", sql, raw=raw)
    largest = float(LARGEST_INTEGER) if type_.name == "integer" else math.inf
    if type_.name == "decimal":
        largest = 10.0 ** (type_.precision - type_.scale)
    return Value(type_.name, sql, largest, precision=type_.precision, scale=type_.scale, raw=raw)


def common_type(types: Sequence[Type]) -> Type:
    """Return the narrowest type that holds the values of all types; text if they have nothing in common, `any` if unknown."""
    names = {type_.name for type_ in types} - {"null"}
    if "any" in names:
        return ANY
    if len(names) <= 1:
        return _same_type([type_ for type_ in types if type_.name != "null"])
    if names <= {"integer", "decimal"}:
        return _same_type([Type("decimal", 19, 0) if type_.name == "integer" else type_ for type_ in types])
    if names <= {"integer", "decimal", "number"}:
        return Type("number")
    return Type("datetime" if names == {"date", "datetime"} else "text")


def _same_type(types: Sequence[Type]) -> Type:
    if not types:
        return Type("null")
    if types[0].name != "decimal":
        return types[0]
    decimals = [type_ for type_ in types if type_.name == "decimal"]
    scale = max(type_.scale for type_ in decimals)
    whole_digits = max(type_.precision - type_.scale for type_ in decimals)
    return Type("decimal", min(whole_digits + scale, MAX_PRECISION), scale)


def guarded(checks: Sequence[Check], condition: Expr) -> tuple[Check, ...]:
    """Let checks count only where a condition is true."""
    return tuple(Check(all_of((condition, check.condition)), check.reason) for check in checks)


def present(value: Value) -> Expr:
    """Test that a value is not null."""
    if value.kind == "cell" and value.number is not None and value.text is not None:
        return any_of((is_present(value.number.sql), is_present(value.text)))
    return is_present(value.sql)
