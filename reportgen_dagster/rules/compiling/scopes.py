"""Columns as steps see them: ordered, named, typed, each with its value only when somebody asks for it.

What belongs here: columns, scopes, taking a value from one query into the next. What does not: how columns of files are read
(file_columns.py), what steps do to a scope (rows.py, relations.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.types import ANY, Type
from reportgen_dagster.rules.compiling.plan import OutputColumn
from reportgen_dagster.rules.values import operators
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import (
    EXACT,
    Value,
    any_value,
    call,
    case,
    cast,
    has_columns,
    is_null,
    null_value,
    text,
    type_of,
    whole,
)

Sources = tuple[tuple[str, str], ...]
Naming = Callable[[Expr, str], Expr]


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a step can use.

    Attributes:
        name: Its name.
        type: What it holds.
        sources: File and column of all that it is made of.
        value: What it is worth; ask only if it is used.
        cell: What the short form's functions take it for.
        key: The text that a lookup's key matches by, where not both sides are typed.
        is_typed: A contract or a computation gave it its type, so that keys may be matched by value.
        plain: What it is worth where it is only written: with as few names as possible.
    """

    name: str
    type: Type
    sources: Sources
    value: Callable[[], Value]
    cell: Callable[[], Value]
    key: Callable[[], Expr]
    is_typed: bool = False
    plain: Callable[[], Value] | None = None

    def as_output(self, *, is_written: bool = False) -> OutputColumn:
        """Describe it; one that is written holds texts where its type is not one of the database's."""
        loose = is_written and self.type.name in ("any", "cell", "null")
        return OutputColumn(self.name, Type("text") if loose else self.type, self.sources)

    def final(self) -> Value:
        """Return what it is worth where it leaves the query."""
        return (self.plain or self.value)()


@dataclass(frozen=True, slots=True)
class Scope:
    """Columns in order, and perhaps more whose names are not known before data.

    Attributes:
        columns: The columns by their names, in order.
        more: Makes a column of any other name, if there may be more.
        families: What is known of those more: columns that a pivot makes, called `<values of quarter>` as only data tell names.
    """

    columns: Mapping[str, Column] = field(default_factory=dict)
    more: Callable[[str], Column | None] | None = None
    families: tuple[OutputColumn, ...] = ()

    def __iter__(self) -> Iterator[Column]:
        """Go through the known columns."""
        return iter(self.columns.values())

    def find(self, name: str) -> Column | None:
        """Return a column, None if there is none of this name."""
        found = self.columns.get(name)
        return found if found is not None or self.more is None else self.more(name)

    def names(self) -> Sequence[str]:
        """Return the names that are known."""
        return tuple(self.columns)

    def column(self, name: str) -> Value | None:
        """Return what a column is worth."""
        found = self.find(name)
        return found.value() if found else None

    def cell(self, name: str) -> Value | None:
        """Return what the short form's functions take a column for."""
        found = self.find(name)
        return found.cell() if found else None

    def with_columns(self, columns: Iterable[Column]) -> Scope:
        """Return the scope with columns added, or replaced in place where there are such names."""
        return replace(self, columns={**self.columns, **{column.name: column for column in columns}})

    def opened(self) -> Scope:
        """Return the scope with any other column, of which nothing is known."""
        return replace(self, more=self.more or unknown_column)

    def without(self, names: Iterable[str]) -> Scope:
        """Return the scope without some columns."""
        left_out = frozenset(names)
        more = self.more
        return Scope(
            {name: column for name, column in self.columns.items() if name not in left_out},
            more and (lambda name: None if name in left_out else more(name)),
            self.families,
        )


def once(make: Callable[[], Value]) -> Callable[[], Value]:
    """Return a function that makes the value the first time that it is asked for."""
    made: list[Value] = []

    def ask() -> Value:
        if not made:
            made.append(make())
        return made[0]

    return ask


def computed(
    layers: Layers, name: str, value: Value, sources: Sources, *, read: Callable[[], Expr] | None = None
) -> Column:
    """Return the column of a value that was computed.

    Args:
        layers: Where the value gets a name if something is computed with it.
        name: The column's name.
        value: Its value, without checks.
        sources: What it is made of.
        read: The text that keys match by, if it is not the written one.
    """
    ask = once(lambda: named(layers, value, name))
    return Column(
        name,
        type_of(value),
        sources,
        ask,
        lambda: replace(as_cell(layers, ask()), is_made=True),
        read or (lambda: operators.written(layers, ask())),
        is_typed=value.raw is None and value.kind != "text",
        plain=lambda: value,
    )


def unknown_column(name: str) -> Column:
    """Return a column of which nothing but its name is known."""
    nothing = any_value()
    return Column(name, ANY, (), lambda: nothing, lambda: nothing, lambda: cast(exp.Null(), "VARCHAR"))


def renamed(column: Column, name: str) -> Column:
    """Return a column under another name."""
    return replace(column, name=name)


def mapped(value: Value, naming: Naming, name: str, *, also_constants: bool = False) -> Value:
    """Return a value, without checks, with each of its parts passed through a function.

    Args:
        value: The value.
        naming: Takes an expression and a wish for its name.
        name: What the value is called.
        also_constants: Do so with parts that name no column, too; literals and null stay.
    """

    def part(sql: Expr | None, wish: str) -> Expr | None:
        if sql is None or isinstance(sql, (exp.Literal, exp.Null)):
            return sql
        return naming(sql, wish) if also_constants or has_columns(sql) else sql

    is_whole = value.is_whole
    return replace(
        value,
        sql=part(value.sql, name) or value.sql,
        integer=part(value.integer, f"{name}_whole"),
        number=value.number and mapped(value.number, naming, f"{name}_number", also_constants=also_constants),
        text=part(value.text, f"{name}_text"),
        raw=part(value.raw, f"{name}_read"),
        is_whole=is_whole and (lambda: naming(is_whole(), f"{name}_is_whole")),
        checks=(),
    )


def named(layers: Layers, value: Value, name: str) -> Value:
    """Return a value, without checks, each part of which has a name."""
    return mapped(value, layers.bind, name)


def as_cell(layers: Layers, value: Value) -> Value:
    """Return a typed value as the short form's functions know values: numbers, texts, true and false."""
    if value.kind == "decimal":
        return Value("number", cast(value.sql, "DOUBLE"), value.largest)
    if value.kind in ("date", "time", "datetime"):
        return Value("text", operators.written(layers, value))
    return value if value.raw is None else replace(value, raw=None)


def key_parts(value: Value) -> list[Expr]:
    """Return what tells values of a column apart and orders them; nothing if all are null."""
    if value.kind in ("null", "any"):
        return [value.raw] if value.raw is not None and value.kind == "any" else []
    if value.kind == "wide" and value.integer is not None and value.largest > EXACT:
        return [value.sql, value.integer]
    if value.kind == "cell" and value.number is not None and value.text is not None:
        return [*key_parts(value.number), value.text]
    return [value.sql]


def settled(value: Value) -> Value:
    """Return a value whose kind fits a column: what is not known before data counts as nothing, but keeps its text."""
    if value.kind == "any" and value.raw is not None:
        return Value("text", value.raw, raw=value.raw)
    return null_value() if value.kind == "any" else value


def shown(columns: Iterable[Column], longest: int) -> list[Expr]:
    """Return the texts that tell the values of columns, as `field3='abc', field5=null`."""
    found: list[Expr] = []
    for column in columns:
        plain = column.key()
        quoted = call("concat", text("'"), call("left", plain, whole(longest)), text("'"))
        found += [
            text(f"{', ' if found else ''}{column.name}="),
            case((is_null(plain), text("null")), default=quoted),
        ]
    return found or [text("")]
