"""Columns of files: the text of a cell, what it counts as by contract or over the whole file, what the short form takes it for.

What belongs here: from a file's text to a value. What does not: how a row of a file comes beside another one (lookups.py,
relations.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.contract import ContractField
from reportgen_dagster.contracts.types import ANY, TEXT, Type
from reportgen_dagster.rules.compiling.defaults import Default
from reportgen_dagster.rules.compiling.draft import Draft
from reportgen_dagster.rules.compiling.kinds import ColumnKind
from reportgen_dagster.rules.compiling.plan import Asked, TableShape
from reportgen_dagster.rules.compiling.scopes import Column, as_cell, once, unknown_column
from reportgen_dagster.rules.values.cells import is_written_whole, number_value, read_text
from reportgen_dagster.rules.values.layers import BASE, Layers
from reportgen_dagster.rules.values.typed import (
    EXACT,
    Value,
    any_value,
    binary,
    column,
    double,
    null_value,
    text,
    try_cast,
    value_of_type,
    whole,
)

Compute = Callable[[Expr], Expr]
Reach = Callable[[str, Compute, str, Expr | None], Expr]
DATABASE_TYPES = {"integer": "BIGINT", "number": "DOUBLE", "date": "DATE", "datetime": "TIMESTAMP"}


@dataclass(frozen=True, slots=True)
class FileColumns:
    """Makes the columns of a file.

    Attributes:
        draft: The plan in the making.
        file: The file's name.
        shape: The file.
        layers: Where values get names.
        reach: Given a column of the file, what to compute of its text, a wish for a name and what it is on rows that the file
            has no row for: returns a name for it.
        default_of: What a column is on such rows; None: null.
    """

    draft: Draft
    file: str
    shape: TableShape
    layers: Layers
    reach: Reach
    default_of: Callable[[str], Default | None] = lambda _: None

    def column(self, name: str, called: str = "") -> Column:
        """Return a column of the file, perhaps under another name; nothing is known of one that is not there."""
        if self.shape.columns is not None and name not in self.shape.columns:
            return unknown_column(called or name)
        field = field_of(self.shape, name)
        type_ = field.type if field is not None else self._inferred(name)
        value = once(lambda: self._typed(name))
        return Column(
            called or name,
            type_,
            ((self.file, name),),
            value,
            once(lambda: self._cell(name)),
            lambda: self._raw(name),
            is_typed=field is not None and field.type.name != "text",
            plain=value if field is not None else lambda: self._copied(name, type_, value),
        )

    def _default(self, name: str) -> Default | None:
        return self.default_of(name)

    def _raw(self, name: str) -> Expr:
        default = self._default(name)
        return self.reach(name, lambda raw: raw, name, text(default.text) if default else None)

    def _copied(self, name: str, type_: Type, value: Callable[[], Value]) -> Value:
        """Return what a column is worth that is only written; one that no step computes with is text unless types are wanted."""
        is_asked = type_ != ANY and name in self.draft.asked.get(self.file, {})
        if is_asked or "types" in self.draft.forms:
            return value()
        raw = self._raw(name)
        return Value("text", raw, raw=raw)

    def _ask(self, name: str, what: Asked) -> ColumnKind | None:
        return self.draft.ask(self.file, self.shape, name, what)

    # by type

    def _inferred(self, name: str) -> Type:
        kind = self.shape.kinds.get(name)
        if kind is None or kind.type == "any":
            return ANY
        default = self._default(name)
        return Type(kind.type) if default is None else default.widened(Type(kind.type))

    def _typed(self, name: str) -> Value:
        field = field_of(self.shape, name)
        if field is not None:
            return self._by_contract(name, field)
        kind = self._ask(name, "type")
        type_ = self._inferred(name)
        raw = self._raw(name)
        if kind is None or type_ == ANY:
            return replace(any_value(), raw=raw)
        if type_.name == "null":
            return replace(null_value(), raw=None)
        if type_ == TEXT:
            return Value("text", raw, raw=raw)
        default = self._default(name)
        sql = self.reach(
            name, self._read_as(type_), f"{name}_{type_.name}", default.of(type_) if default else None
        )
        value = value_of_type(type_, sql, raw)
        if type_.name not in ("integer", "number") or not math.isfinite(kind.largest):
            return value
        return replace(value, largest=max(kind.largest, default.magnitude if default else 0.0))

    @staticmethod
    def _read_as(type_: Type) -> Compute:
        if type_.name == "boolean":
            return lambda raw: binary(exp.EQ, raw, text("true"))
        return lambda raw: try_cast(raw, DATABASE_TYPES[type_.name])

    def _by_contract(self, name: str, field: ContractField) -> Value:
        default = self._default(name)
        if field.type == TEXT:
            return Value("text", self._raw(name))
        given = default.of(field.type) if default else None
        sql = self.reach(name, lambda raw: field.cast(raw)[0], f"{name}_{field.type.name}", given)
        return value_of_type(field.type, sql)

    # as the short form's functions take it

    def _cell(self, name: str) -> Value:
        field = field_of(self.shape, name)
        if field is not None and field.type != TEXT:
            return as_cell(self.layers, self._by_contract(name, field))
        kind = self._ask(name, "cell")
        raw = self._raw(name)
        if kind is None:
            return any_value()
        default = self._default(name)
        if default is not None and kind.kind != "mixed":
            return self._cell_or_default(name, kind, default)
        if kind.kind == "text":
            return Value("text", raw)
        if kind.kind == "blank":
            return null_value()
        if kind.kind == "mixed":
            largest = max(kind.largest, default.magnitude if default else 0.0)
            return read_text(self.layers, raw, name, largest)
        return self._figure(name, kind.largest, None, is_whole=kind.kind == "integer")

    def _cell_or_default(self, name: str, kind: ColumnKind, default: Default) -> Value:
        """Return what a cell counts as where a default stands for rows that are not there."""
        raw = self._raw(name)
        largest = max(kind.largest, default.magnitude)
        if not default.is_number:
            if kind.kind in ("text", "blank"):
                return Value("text", raw)
            return read_text(self.layers, raw, name, largest)
        if kind.kind == "text":
            return read_text(self.layers, raw, name, largest)
        is_whole = kind.kind in ("integer", "blank") and default.integer is not None
        return self._figure(name, largest, default, is_whole=is_whole)

    def _figure(self, name: str, largest: float, default: Default | None, *, is_whole: bool) -> Value:
        to = "BIGINT" if is_whole else "DOUBLE"
        given: Expr | None = None
        if default is not None:
            given = whole(default.integer or 0) if is_whole else double(default.number)
        number = self.reach(name, lambda raw: try_cast(raw, to), f"{name}_number", given)
        if is_whole:
            return Value("integer", number, largest)
        if largest <= EXACT:
            return Value("number", number, largest, lambda: is_written_whole(self._raw(name)))
        return number_value(self.layers, self._raw(name), number, largest)


def field_of(shape: TableShape, name: str) -> ContractField | None:
    """Return what types a column by the file's contract, if that does."""
    if shape.contract is None:
        return None
    field = shape.contract.field(name)
    return None if field is None or field.type.name == "any" else field


def input_columns(draft: Draft, layers: Layers) -> FileColumns:
    """Return what makes the columns of the input."""

    def reach(name: str, compute: Compute, wish: str, _: Expr | None) -> Expr:
        return layers.base(compute(column(name, BASE)), wish)

    return FileColumns(draft, "input", draft.input, layers, reach)
