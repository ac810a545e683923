"""Names for values that are used more than once: each name is a column of a nested SELECT.

What belongs here: giving names, nesting SELECTs, joining a table at a level, leaving out what nothing uses. What does not: what a
value means (typed.py), which tables there are (compiling/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.values.typed import (
    DIALECT,
    all_of,
    binary,
    column,
    columns_of,
    has_columns,
    place_of,
    whole,
)

BASE = "i"  # what a query calls the rows that it begins with
JoinKind = Literal["left", "inner", "full"]
Base = exp.Select | Callable[[frozenset[str]], exp.Select]
MAX_LEVELS = 2_000  # the database takes seconds for more
_MOST_NODES = 2_000  # of a value that is written out for the check of what cannot work on any row
LONG = 128  # levels of many steps; each level hands on all columns, so that a table costs less than many more levels
DEEP = 16  # levels; from here on every one hands on only what is used above it, and checks are folded


class Names:
    """Gives out names that differ by more than case, as DuckDB folds it."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        """Begin with the names that are taken already."""
        self.taken = {name.lower() for name in taken}

    def new(self, wish: str) -> str:
        """Return the wished name, or the first free one that begins with it."""
        name, number = wish, 1
        while name.lower() in self.taken:
            number += 1
            name = f"{wish}_{number}"
        self.taken.add(name.lower())
        return name


class Joined:
    """A table that is joined to the rows at a level; what is computed of it alone is computed before the join."""

    def __init__(
        self,
        alias: str,
        table: exp.Table | exp.Subquery,
        keys: Sequence[tuple[Expr, Expr]],
        names: Names,
        level: int,
    ) -> None:
        """Join a table.

        Args:
            alias: What the query calls it.
            table: The table.
            keys: Each expression of the rows, with the one of the table that must equal it.
            names: Gives names to the table's columns.
            level: The level at which it is joined.
        """
        self.alias = alias
        self.level = level
        self.kind: JoinKind = "left"
        self._table = table
        self._names = names
        self._taken: dict[str, Expr] = {}
        self._known: dict[str, str] = {}
        self._keys = [(left, self.take(right, "key")) for left, right in keys]

    def take(self, value: Expr, name: str) -> Expr:
        """Return a value that is computed of the table alone, as a column for its level."""
        key = key_of(value)
        if key not in self._known:
            wish = value.name if isinstance(value, exp.Column) else name
            self._known[key] = self._names.new(wish)
            self._taken[self._known[key]] = value
        return column(self._known[key], self.alias)

    @property
    def row_keys(self) -> list[Expr]:
        """Return what of the rows must equal the table's keys."""
        return [left for left, _ in self._keys]

    @property
    def key(self) -> Expr:
        """Return the table's first key, which is null where no row was found."""
        return self._keys[0][1]

    def onto(self, select: exp.Select, used: set[tuple[str, str]], rows: str) -> exp.Select:
        """Return a SELECT with the table joined; `rows` qualifies columns of the rows that have no table."""
        used = used | {(self.alias, right.name) for _, right in self._keys}
        taken = [_aliased(item) for item in self._taken.items() if (self.alias, item[0]) in used]
        source = exp.select(*taken, copy=False).from_(self._table.copy(), copy=False)
        same = all_of(binary(exp.EQ, _qualified(left, rows), right.copy()) for left, right in self._keys)
        return select.join(source.subquery(self.alias, copy=False), on=same, join_type=self.kind, copy=False)


@dataclass(slots=True)
class _Level:
    """The values that one SELECT names, over tables that are joined there."""

    named: dict[str, Expr] = field(default_factory=dict)
    joins: list[Joined] = field(default_factory=list)


class Layers:
    """Gives names to values that are used more than once; each name is a column of a nested SELECT.

    So a cell is cast once, no expression is written twice, and no expression grows deep.
    """

    def __init__(self, *, joins_first: bool = False) -> None:
        """Begin without names.

        Args:
            joins_first: Tables may be joined to the rows as they are, before anything is computed.
        """
        self.joins_first = joins_first
        self.names = Names()
        self._levels: list[_Level] = [_Level()]
        self._level_of: dict[str, int] = {}
        self._visible: dict[str, int] = {BASE: 0}
        self._known: dict[str, Expr] = {}
        self._constant: dict[str, Expr | None] = {}

    @property
    def is_deep(self) -> bool:
        """Tell whether there are so many levels that what all of them hand on must be kept small."""
        return len(self._levels) > DEEP

    @property
    def is_long(self) -> bool:
        """Tell whether what comes next had better begin a query of its own."""
        return len(self._levels) > LONG

    @property
    def is_too_deep(self) -> bool:
        """Tell whether there are more levels than the database can do."""
        return len(self._levels) > MAX_LEVELS

    @property
    def lowest(self) -> Mapping[str, Expr]:
        """Return the values that are computed from the columns that the query begins with, by name."""
        return self._levels[0].named

    def base(self, value: Expr, name: str) -> Expr:
        """Name a value that is computed from the columns that the query begins with."""
        return self.at(value, name, 0)

    def bind(self, value: Expr, name: str = "value") -> Expr:
        """Name a value, unless it is a name or a literal already."""
        plain = value.this if isinstance(value, (exp.Neg, exp.Cast)) else value
        if isinstance(plain, exp.Column) and plain is not value:
            plain = value
        if isinstance(plain, (exp.Column, exp.Literal, exp.Null, exp.Boolean)):
            return value
        return self.at(value, name, self._level_for(value))

    def at(self, value: Expr, name: str, level: int) -> Expr:
        """Name a value at a level: of columns of tables that are joined there, or of names below it."""
        key = f"{level} {key_of(value)}"
        if key not in self._known:
            unique = self.names.new(name)
            self._reach(level)
            self._levels[level].named[unique] = value
            self._level_of[unique] = level
            self._known[key] = column(unique)
        return self._known[key]

    def join(
        self, table: exp.Table | exp.Subquery, keys: Sequence[tuple[Expr, Expr]], *, kind: JoinKind = "left"
    ) -> Joined:
        """Join a table at the lowest level that knows the keys.

        A left join that nothing is taken of is left out, so a key must not be there twice in the table.
        """
        unnamed = [(self._unnamed(left), right) for left, right in keys]
        if all(self._level_for(left, lowest=0) == 0 for left, _ in unnamed):
            keys = unnamed
        level = max((self._level_for(left, lowest=0) for left, _ in keys), default=0)
        alias = f"r{len(self._visible)}"
        names = Names() if level == 0 else self.names
        joined = Joined(alias, table, keys, names, level)
        joined.kind = kind
        self._reach(level)
        self._levels[level].joins.append(joined)
        self._visible[alias] = level
        return joined

    def see(self, alias: str) -> None:
        """Take note of a further table that the query begins with."""
        self._visible[alias] = 0

    def _unnamed(self, value: Expr) -> Expr:
        """Return the column that a name only repeats, so that tables are joined as low as possible."""
        is_name = isinstance(value, exp.Column) and not value.table
        if self.joins_first and is_name and self._level_of.get(value.name) == 0:
            meant = self._levels[0].named[value.name]
            return meant if isinstance(meant, exp.Column) else value
        return value

    def _reach(self, level: int) -> None:
        while len(self._levels) <= level:
            self._levels.append(_Level())

    def _level_for(self, value: Expr, lowest: int = 1) -> int:
        levels = [
            self._visible[table] if table else self._level_of[name] + 1
            for table, name in map(place_of, columns_of(value))
        ]
        return max(levels, default=lowest)

    def constant(self, value: Expr) -> Expr | None:
        """Return a value with all names replaced by what they stand for, None if it depends on rows or gets too long."""
        if not has_columns(value):
            return value
        copied = value.copy()
        root = exp.Paren(this=copied)
        for found in [*root.find_all(exp.Column)]:
            meant = self._constant_of(found)
            if meant is None:
                return None
            found.replace(exp.Paren(this=meant.copy()))
        return root if sum(1 for _ in root.walk()) <= _MOST_NODES else None

    def meant(self, value: Expr) -> Expr:
        """Return what a name stands for; anything else as it is."""
        if not isinstance(value, exp.Column) or value.table or value.name not in self._level_of:
            return value
        return self._levels[self._level_of[value.name]].named[value.name]

    def _constant_of(self, found: exp.Column) -> Expr | None:
        if found.table or not self._level_of.get(found.name):
            return None  # the lowest level names what depends on rows, also without columns: count(*)
        if found.name not in self._constant:
            named = self._levels[self._level_of[found.name]].named[found.name]
            self._constant[found.name] = self.constant(named)
        return self._constant[found.name]

    def select(
        self,
        outputs: Iterable[tuple[str, Expr]],
        base: Base,
        *,
        where: Expr | None = None,
        order: Sequence[exp.Ordered] = (),
        given: Mapping[str, Expr] = MappingProxyType({}),
    ) -> exp.Select:
        """Return the SELECT of the outputs over all layers.

        Args:
            outputs: Names and values.
            base: Has the FROM of the rows that the query begins with; or makes it, given the columns of `BASE` that are used.
            where: Which rows to select.
            order: What orders the rows.
            given: Names whose value is a column of the rows that the query begins with.
        """
        columns = [*outputs]
        others = [*([where] if where is not None else []), *order]
        kept, used = self._used([*(value for _, value in columns), *others], given)
        if callable(base):
            base = base(frozenset(name for table, name in used if table == BASE))
        inner = self._joined(base, self._levels[0], used, BASE)
        cells = [_aliased(item) for item in kept[0].items()] or [whole(1)]
        inner = inner.select(*cells, copy=False)
        handed = self._handed([*(value for _, value in columns), *others], kept, used)
        number = 0
        for level, named, names in zip(self._levels[1:], kept[1:], handed, strict=True):
            joins = [joined for joined in level.joins if self._matters(joined, used)]
            if not named and not joins:
                continue
            below, number = f"layer{number}", number + 1
            cells = [*_handing(names, below if joins else None), *map(_aliased, named.items())]
            outer = exp.select(*(cells or [whole(1)]), copy=False)
            outer = outer.from_(inner.subquery(below, copy=False), copy=False)
            inner = self._joined(outer, level, used, below)
        selected = exp.select(*map(_aliased, columns), copy=False)
        selected = selected.from_(inner.subquery("cells", copy=False), copy=False)
        if where is not None:
            selected = selected.where(_qualified(where, "cells"), copy=False)
        # Without its table a name would mean what the query gives under that name.
        keys = [_qualified(key, "cells") for key in order]
        return selected.order_by(*keys, copy=False) if keys else selected

    def _handed(
        self, outputs: Iterable[Expr], kept: Sequence[dict[str, Expr]], used: set[tuple[str, str]]
    ) -> list[list[str] | None]:
        """Return for each level but the lowest what of those below is used above it; None: all, as there are few levels.

        The database would find out by itself, but only after it has handed everything through every level.
        """
        if not self.is_deep:
            return [None] * (len(kept) - 1)
        needed = {name for value in outputs for table, name in _columns(value) if not table}
        handed: list[list[str] | None] = []
        for level, named in zip(self._levels[:0:-1], kept[:0:-1], strict=True):
            needed -= named.keys()
            handed.append(sorted(needed))
            joins = [joined for joined in level.joins if self._matters(joined, used)]
            keys = [key for joined in joins for key in joined.row_keys]
            needed |= {
                name for value in (*named.values(), *keys) for table, name in _columns(value) if not table
            }
        return handed[::-1]

    @staticmethod
    def _matters(joined: Joined, used: set[tuple[str, str]]) -> bool:
        return joined.kind != "left" or any(table == joined.alias for table, _ in used)

    def _joined(self, select: exp.Select, level: _Level, used: set[tuple[str, str]], rows: str) -> exp.Select:
        for joined in level.joins:
            if self._matters(joined, used):
                select = joined.onto(select, used, rows)
        return select

    def _used(
        self, values: Iterable[Expr], given: Mapping[str, Expr]
    ) -> tuple[list[dict[str, Expr]], set[tuple[str, str]]]:
        """Return what each level must name, and every column that is used, with its table."""
        used = {found for value in values for found in _columns(value)}
        kept: list[dict[str, Expr]] = []
        for level in reversed(self._levels):
            named = {
                name: given.get(name, value) for name, value in level.named.items() if ("", name) in used
            }
            for value in named.values():
                used |= _columns(value)
            for joined in level.joins:
                if self._matters(joined, used):
                    used |= {found for key in joined.row_keys for found in _columns(key)}
            kept.append(named)
        return kept[::-1], used


def sql_text(selected: exp.Select, *, pretty: bool = False) -> str:
    """Return a query of the compiler's making as SQL; writing it changes nothing of the tree, and a copy of it is large."""
    return selected.sql(DIALECT, pretty=pretty, copy=False)


def key_of(value: Expr) -> str:
    """Return what tells an expression from others."""
    # Most are columns, and writing one as SQL takes a while.
    return ".".join(place_of(value)) if isinstance(value, exp.Column) else value.sql(DIALECT)


def _columns(value: Expr) -> set[tuple[str, str]]:
    return {place_of(found) for found in columns_of(value)}


def _handing(names: Sequence[str] | None, below: str | None) -> list[Expr]:
    """Return what hands on columns of the level below; None: all of them."""
    if names is not None:
        return [column(name, below) for name in names]
    return [exp.Column(this=exp.Star(), table=exp.to_identifier(below)) if below else exp.Star()]


def _qualified(value: Expr, table: str) -> Expr:
    copied = value.copy()
    for found in copied.find_all(exp.Column):
        if not found.table:
            found.set("table", exp.to_identifier(table))
    return copied


def _aliased(item: tuple[str, Expr]) -> Expr:
    name, value = item
    return exp.Alias(this=value, alias=exp.Identifier(this=name, quoted=True))
