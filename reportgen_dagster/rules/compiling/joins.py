"""The steps that bring rows of a reference: `join` and `append`.

What belongs here: joins that may multiply rows, rows behind rows. What does not: lookups and joins that only choose rows
(lookups.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.types import ANY, Type
from reportgen_dagster.rules.compiling.blocks import OpenBlock, SortKey
from reportgen_dagster.rules.compiling.draft import Draft
from reportgen_dagster.rules.compiling.file_columns import Compute, FileColumns
from reportgen_dagster.rules.compiling.lookups import choose, taken_columns, with_taken
from reportgen_dagster.rules.compiling.matching import Match, matches, number_name, numbered_rows
from reportgen_dagster.rules.compiling.plan import ROW
from reportgen_dagster.rules.compiling.scopes import Column, Scope, as_cell, once, unknown_column
from reportgen_dagster.rules.compiling.unions import common_column, converted, first_there
from reportgen_dagster.rules.reading.positions import Path
from reportgen_dagster.rules.reading.steps import AppendStep, JoinStep
from reportgen_dagster.rules.values import operators
from reportgen_dagster.rules.values.layers import BASE, JoinKind, Layers
from reportgen_dagster.rules.values.typed import (
    LARGEST_INTEGER,
    Value,
    call,
    column,
    null_value,
    whole,
)


def join(draft: Draft, block: OpenBlock, index: int, step: JoinStep) -> OpenBlock:
    """Join the rows of a reference."""
    body = step.join
    if body.how in ("semi", "anti"):
        return choose(draft, block, index, step)
    path: Path = ("steps", index, "join")
    shape = draft.shape(body.reference)
    found = matches(draft, block.scope, body.reference, body.keys, (*path, "match"))
    taken = taken_columns(draft, block.scope, body.reference, body.take, set(body.keys.values()), path)
    last = call("coalesce", column(ROW, BASE), whole(LARGEST_INTEGER))
    opened = block.following(step=f"steps[{index}]", number=last if body.how == "full" else None)
    number = number_name(shape)
    rows = numbered_rows(shape, number).subquery("numbered")
    keys = [(block.handed(match.left, match.own.name), match.right) for match in found or ()]
    kinds: Mapping[str, JoinKind] = {"inner": "inner", "left": "left", "full": "full"}
    joined = opened.layers.join(rows, keys or [(whole(1), whole(1))], kind=kinds[body.how])

    def reach(name: str, compute: Compute, wish: str, _: Expr | None) -> Expr:
        return opened.layers.base(joined.take(compute(column(name)), wish), wish)

    columns = FileColumns(draft, body.reference, shape, opened.layers, reach)
    if body.how == "full":
        opened.scope = opened.scope.with_columns(
            _merged(opened, opened.scope.columns.get(match.own.name), columns, match) for match in found or ()
        )
    place = opened.layers.base(joined.take(column(number), "place"), "place")
    opened.order_by([*opened.total_order(), SortKey(place)])
    opened.scope = with_taken(opened.scope, columns.column, taken)
    return opened


def _merged(opened: OpenBlock, own: Column | None, columns: FileColumns, match: Match) -> Column:
    """Return the key's column of a full join, where rows of both sides may stand alone."""
    other = columns.column(match.name)
    if own is None:
        return unknown_column(match.own.name)
    pair = (own, other)
    type_ = common_column(pair)
    if type_ == ANY:
        return unknown_column(own.name)

    def value() -> Value:
        return first_there(
            opened.layers, type_, [converted(opened.layers, made.value(), type_) for made in pair]
        )

    return _made(opened.layers, own.name, type_, pair, value)


def _made(
    layers: Layers, name: str, type_: Type, made_of: tuple[Column, ...], make: Callable[[], Value]
) -> Column:
    value = once(make)
    sources = dict.fromkeys(source for column_ in made_of for source in column_.sources)
    return Column(
        name,
        type_,
        tuple(sources),
        value,
        lambda: as_cell(layers, value()),
        lambda: operators.written(layers, value()),
        is_typed=all(column_.is_typed for column_ in made_of),
    )


# rows behind rows


class _Union:
    """The rows of a block, and behind them those of a reference; columns are added as they are used."""

    def __init__(self, block: OpenBlock, opened: Layers, rows: exp.Subquery, number: str) -> None:
        self.block = block
        self.opened = opened
        self.layers = Layers()  # of the reference
        self._rows = rows
        self._number = self.layers.base(column(number, BASE), number)
        self._columns: dict[str, tuple[Expr, Expr]] = {}

    def base(self, used: frozenset[str]) -> exp.Select:
        """Return the SELECT of the rows of both, with the columns that are used."""
        columns = {name: pair for name, pair in self._columns.items() if name in used}
        first = self.block.reading(None)
        above = first(used) if callable(first) else first
        above = above.select(
            *(exp.alias_(own, name, quoted=True) for name, (own, _) in columns.items()), copy=False
        )
        source = exp.select().from_(self._rows.copy(), copy=False)
        below = self.layers.select([(name, other) for name, (_, other) in columns.items()], source)
        both = exp.Union(this=above, expression=below, distinct=False)
        return exp.select().from_(exp.Subquery(this=both, alias=exp.TableAlias(this=exp.to_identifier(BASE))))

    def add(self, name: str, own: Expr, other: Expr) -> Expr:
        """Add a column: a value of the block's rows, and one of the reference's."""
        key = f"{name}_{len(self._columns)}"
        self._columns[key] = (self.block.handed(own, name), other)
        return self.opened.base(column(key, BASE), name)

    def order(self) -> tuple[tuple[SortKey, ...], Expr]:
        """Return what orders the rows: those of the block first; and their number."""
        part = self.add("part", whole(0), whole(1))
        keys = [SortKey(self.add("key", key.value, exp.Null()), key.descending) for key in self.block.order]
        self._columns[ROW] = (column(ROW, BASE), self._number)
        return (SortKey(part), *keys), self.opened.base(column(ROW, BASE), ROW)


def append(draft: Draft, block: OpenBlock, index: int, step: AppendStep) -> OpenBlock:
    """Add the rows of a reference behind the others."""
    path: Path = ("steps", index, "append")
    body = step.append
    shape = draft.shape(body.reference)
    number = number_name(shape)
    opened = block.following(step=f"steps[{index}]")
    opened.layers = Layers()
    union = _Union(block, opened.layers, numbered_rows(shape, number).subquery(BASE), number)
    opened.base = union.base
    order, opened.row = union.order()
    opened.order_by(order)

    def reach(name: str, compute: Compute, wish: str, _: Expr | None) -> Expr:
        return union.layers.base(compute(column(name, BASE)), wish)

    others = FileColumns(draft, body.reference, shape, union.layers, reach)
    pairs = _paired(draft, block.scope, body.columns, shape.columns, path)
    columns = [
        _stacked(
            union, name, block.scope.find(name) if is_own else None, others.column(other) if other else None
        )
        for name, (is_own, other) in pairs.items()
    ]
    is_open = block.scope.more is not None or (shape.columns is None and body.columns is None)
    more = unknown_column if is_open else None
    opened.scope = Scope({made.name: made for made in columns}, more, block.scope.families)
    return opened


def _paired(
    draft: Draft, scope: Scope, given: Mapping[str, str] | None, columns: tuple[str, ...] | None, path: Path
) -> dict[str, tuple[bool, str | None]]:
    """Return for each column whether the rows have it, and which column of the reference goes into it."""
    for own, name in (given or {}).items():
        if columns is not None and name not in columns:
            draft.unknown((*path, "columns", own), name, columns)
    known = columns or ()
    pairs: dict[str, tuple[bool, str | None]] = {}
    for name in scope.names():
        other = given.get(name) if given is not None else (name if name in known or columns is None else None)
        pairs[name] = (True, other if columns is None or other in known else None)
    for own, name in (given or {name: name for name in known}).items():
        if own not in pairs and (columns is None or name in known):
            pairs[own] = (scope.more is not None, name)
    return pairs


def _stacked(union: _Union, name: str, own: Column | None, other: Column | None) -> Column:
    """Return the column that holds the values of both; null where one has none."""
    made_of = tuple(made for made in (own, other) if made is not None)
    type_ = common_column(made_of)
    if type_ == ANY:
        return replace(unknown_column(name), sources=tuple(s for made in made_of for s in made.sources))

    def value() -> Value:
        nothing = null_value()
        above = converted(union.block.layers, own.value() if own else nothing, type_)
        below = converted(union.layers, other.value() if other else nothing, type_)
        raw: Expr | None = None
        if above.raw is not None or below.raw is not None:
            raw = union.add(name, _written(union.block.layers, above), _written(union.layers, below))
        sql = union.add(name, above.sql, below.sql)
        return replace(above, sql=sql, raw=raw, largest=max(above.largest, below.largest))

    return _made(union.opened, name, type_, made_of, value)


def _written(layers: Layers, value: Value) -> Expr:
    return value.raw if value.raw is not None else operators.written(layers, value)
