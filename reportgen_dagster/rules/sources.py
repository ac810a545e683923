"""The files as one row of cells: the input's columns and, for each row, what the reference gives.

What belongs here: lookups with their defaults, columns as values. What does not: formulas (compile.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.cells import is_written_whole, number_value, read_text
from reportgen_dagster.rules.kinds import ColumnKind
from reportgen_dagster.rules.layers import Layers, Names
from reportgen_dagster.rules.values import (
    EXACT,
    Value,
    binary,
    case,
    column,
    double,
    is_present,
    null_value,
    text,
    try_cast,
    whole,
)

INPUT = "input"
_UNKNOWN = ColumnKind("mixed", float("inf"))


@dataclass(frozen=True, slots=True)
class TableShape:
    """A file as the compiler sees it.

    Attributes:
        relation: Name of the table or view; its columns are texts, null where the cell is empty.
        columns: Its columns.
        kinds: What columns hold, for those that kinds.py asks for; an unknown kind is decided row by row.
    """

    relation: str
    columns: tuple[str, ...]
    kinds: Mapping[str, ColumnKind]


@dataclass(frozen=True, slots=True)
class LookupKey:
    """A column that rows of a reference are looked up by."""

    reference: str
    key: str


class Sources:
    """Gives the columns of the files as values, and the FROM that they come from."""

    def __init__(
        self,
        layers: Layers,
        table: TableShape,
        references: Sequence[tuple[str, TableShape]],
        numeric_if_blank: Iterable[str],
    ) -> None:
        """Begin without any column.

        Args:
            layers: Where columns get their names.
            table: The input.
            references: At most one reference, with its name.
            numeric_if_blank: Reference columns whose default is 0 where no cell tells.
        """
        self.layers = layers
        self.table = table
        self.name: str = references[0][0] if references else ""
        self.reference: TableShape | None = references[0][1] if references else None
        self.own = frozenset(table.columns)
        self.numeric_if_blank = frozenset(numeric_if_blank)
        shared = self.reference.columns if self.reference else ()
        self.keys = tuple(name for name in table.columns if name in set(shared))
        self._raw: dict[str, Expr] = {}
        self._values: dict[str, Value] = {}
        self._taken: dict[str, Expr] = {}
        self._inner = Names(self.reference.columns if self.reference else ())

    def source(self, name: str) -> tuple[str, str]:
        """Return file and column of a column."""
        return (INPUT if name in self.own else self.name, name)

    def lookups(self) -> tuple[LookupKey, ...]:
        """Return the keys in the order in which they count."""
        return tuple(LookupKey(self.name, key) for key in self.keys)

    def raw(self, name: str) -> Expr:
        """Return a column as its cells are written."""
        if name not in self._raw:
            if name in self.own:
                found = column(name, "i")
            else:
                self._taken[name] = column(name)
                default = "0" if self._default_is_number(name) else f"MISSING_{name}"
                found = self._looked_up(name, text(default))
            self._raw[name] = self.layers.base(found, name)
        return self._raw[name]

    def value(self, name: str) -> Value:
        """Return a column as what its cells count as."""
        if name not in self._values:
            self._values[name] = self._read(name)
        return self._values[name]

    def _kind(self, name: str) -> ColumnKind:
        shape = self.table if name in self.own else self.reference
        return shape.kinds.get(name, _UNKNOWN) if shape else _UNKNOWN

    def _default_is_number(self, name: str) -> bool:
        kind = self._kind(name).kind
        return kind in ("integer", "number") or (kind == "blank" and name in self.numeric_if_blank)

    def _read(self, name: str) -> Value:
        kind = self._kind(name)
        if kind.kind == "text":
            return Value("text", self.raw(name))
        if kind.kind == "blank":
            return self._read_blank(name)
        if kind.kind == "mixed":
            return read_text(self.layers, self.raw(name), name, kind.largest)
        to = "BIGINT" if kind.kind == "integer" else "DOUBLE"
        number = self._cast(name, to)
        if kind.kind == "integer":
            return Value("integer", number, kind.largest)
        if kind.largest <= EXACT:
            return Value("number", number, kind.largest, lambda: is_written_whole(self.raw(name)))
        return number_value(self.layers, self.raw(name), number, kind.largest)

    def _read_blank(self, name: str) -> Value:
        if name in self.own:
            return null_value()
        if not self._default_is_number(name):
            return Value("text", self.raw(name))
        return Value(
            "integer", self.layers.base(try_cast(self._default_only(name), "BIGINT"), f"{name}_number"), 0.0
        )

    def _default_only(self, name: str) -> Expr:
        self._taken[name] = column(name)
        return self._looked_up(name, text("0"))

    def _cast(self, name: str, to: str) -> Expr:
        if name in self.own:
            return self.layers.base(try_cast(column(name, "i"), to), f"{name}_number")
        inner = self._inner.new(f"{name}_number")
        self._taken[inner] = try_cast(column(name), to)
        default = whole(0) if to == "BIGINT" else double(0.0)
        return self.layers.base(self._looked_up(inner, default), f"{name}_number")

    def _looked_up(self, name: str, default: Expr) -> Expr:
        """Return a column of the row that the last key found, or the default where no key found one."""
        branches = [
            (is_present(column(self.keys[position], f"r{position + 1}")), column(name, f"r{position + 1}"))
            for position in reversed(range(len(self.keys)))
        ]
        return case(*branches, default=default) if branches else default

    def base(self) -> exp.Select:
        """Return the FROM with its joins; ask last, when every column that is needed has been asked for."""
        select = exp.select().from_(exp.alias_(_table(self.table), "i", table=True))
        if self.reference is None or not self._taken:
            return select
        for position, key in enumerate(self.keys, start=1):
            taken = [column(key)] + [
                value if isinstance(value, exp.Column) else exp.alias_(value, name, quoted=True)
                for name, value in self._taken.items()
            ]
            row = exp.select(*taken).from_(_table(self.reference)).subquery(f"r{position}")
            same = binary(exp.EQ, column(key, "i"), column(key, f"r{position}"))
            select = select.join(row, on=same, join_type="left")
        return select


def _table(shape: TableShape) -> exp.Table:
    return exp.Table(this=exp.to_identifier(shape.relation, quoted=True))
