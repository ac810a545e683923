"""The step `pivot`: values become columns.

What belongs here: which columns there are, the question at the data if only data can tell. What does not: aggregates themselves.

First the rows are grouped by what makes a row and by the value; each group has one row then, which is put where it belongs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.compiling.blocks import OpenBlock
from reportgen_dagster.rules.compiling.calls import UNNAMED, taken_apart
from reportgen_dagster.rules.compiling.draft import Draft, table
from reportgen_dagster.rules.compiling.plan import STATE, OutputColumn, PivotQuestion
from reportgen_dagster.rules.compiling.relations import WRITTEN_IN_MANY_WAYS, found_columns, grouped, grouping
from reportgen_dagster.rules.compiling.scopes import (
    Column,
    Scope,
    Sources,
    computed,
    key_parts,
    mapped,
    named,
    settled,
    unknown_column,
)
from reportgen_dagster.rules.reading.positions import Path
from reportgen_dagster.rules.reading.steps import MAX_PIVOTED, PivotStep
from reportgen_dagster.rules.values import operators
from reportgen_dagster.rules.values.layers import BASE
from reportgen_dagster.rules.values.typed import binary, call, case, column, is_null, is_present, text, whole

_ALONE = UNNAMED


def pivot(draft: Draft, block: OpenBlock, index: int, step: PivotStep) -> OpenBlock:
    """Make columns of the values of a column."""
    path: Path = ("steps", index, "pivot")
    body = step.pivot
    by = found_columns(draft, block.scope, body.by, (*path, "by"))
    across = draft.find(block.scope, body.column, (*path, "column"))
    values = body.values
    if isinstance(values, str):
        aparts = {_ALONE: taken_apart(draft, block, (*path, "values"))}
    else:
        aparts = {name: taken_apart(draft, block, (*path, "values", name)) for name in values}
    counts = frozenset(name for name, apart in aparts.items() if apart.is_count)
    measured = grouped(draft, block, index, [*by, *([across] if across else [])], dict(aparts))
    names = body.columns if body.columns is not None else draft.pivot_values.get(index)
    if across is None:
        return _unknown(measured, index, by, ())
    made = measured.scope.columns[body.column]
    key = measured.offer(_key(measured, made), "pivoted")
    if body.columns is None:
        _hold(draft, measured, index, made, key, names)
    if names is None:
        return _unknown(measured, index, by, _families(measured, step))
    return _spread(draft, measured, step, index, names, key, counts)


def _key(block: OpenBlock, made: Column) -> Expr:
    """Return the text that names the column a row belongs to."""
    value = settled(made.value())
    if value.kind in WRITTEN_IN_MANY_WAYS:
        value = replace(value, raw=None)
    return block.layers.bind(operators.written(block.layers, value), "pivoted")


def _hold(
    draft: Draft, block: OpenBlock, index: int, made: Column, key: str, names: Sequence[str] | None
) -> None:
    """Make sure that the block is the same before and after the question is answered, and ask it."""
    for found in block.scope:
        mapped(named(block.layers, settled(found.value()), found.name), block.handed, found.name)
    block.scanned_once = False
    block.holds_all = True
    parts = [block.handed(part, "key") for part in key_parts(settled(made.value()))]
    if names is not None or draft.pivot is not None:
        return
    pivoted = column(key, BASE)
    rows = exp.select(pivoted, *parts).distinct().from_(exp.alias_(table(block.table), BASE, table=True))
    rows = rows.where(is_present(pivoted))
    if block.has_state:
        rows = rows.where(is_null(column(STATE, BASE)))
    asked = exp.select(column(key)).from_(rows.subquery("asked"))
    order = [exp.Ordered(this=column(part.name), nulls_first=False) for part in parts]
    asked = asked.order_by(*order) if order else asked
    draft.pivot = PivotQuestion(index, asked.sql("duckdb"))
    draft.pivot_block = block.number


def _families(measured: OpenBlock, step: PivotStep) -> tuple[OutputColumn, ...]:
    """Describe the columns that the values will make: one family for each aggregate."""
    across = measured.scope.columns[step.pivot.column]
    called = f"<values of {across.name}>"
    return tuple(
        OutputColumn(
            called if made.name == _ALONE else f"{called}_{made.name}",
            made.type,
            _made_of(made, across.sources),
        )
        for made in _measures(measured, step)
    )


def _measures(measured: OpenBlock, step: PivotStep) -> list[Column]:
    return [made for made in measured.scope if made.name not in (*step.pivot.by, step.pivot.column)]


def _made_of(made: Column, across: Sources) -> Sources:
    return tuple(dict.fromkeys((*made.sources, *across)))


def _unknown(
    block: OpenBlock, index: int, by: Sequence[Column], families: tuple[OutputColumn, ...]
) -> OpenBlock:
    """Open a block of which only the columns that make a row are known, and what the others will be made of.

    It groups as the one will that knows all: so the block before gives the same names in both plans, whose tables are the same.
    """
    sources = tuple(dict.fromkeys(source for family in families for source in family.sources))
    makers = [block.scope.columns[made.name] for made in by if made.name in block.scope.columns]
    opened, columns = grouping(block, index, makers)
    known = {made.name: made for made in columns}
    opened.scope = Scope(known, lambda name: replace(unknown_column(name), sources=sources), families)
    return opened


def _spread(
    draft: Draft,
    measured: OpenBlock,
    step: PivotStep,
    index: int,
    names: Sequence[str],
    key: str,
    counts: frozenset[str],
) -> OpenBlock:
    path: Path = ("steps", index, "pivot")
    body = step.pivot
    by = [measured.scope.columns[name] for name in body.by if name in measured.scope.columns]
    values = _measures(measured, step)
    if len(names) * len(values) > MAX_PIVOTED:
        draft.refuse(
            path,
            f"{len(names):,} values of `{body.column}` would make {len(names) * len(values):,} columns, and {MAX_PIVOTED:,} may",
        )
        return _unknown(measured, index, by, ())
    opened, columns = grouping(measured, index, by)
    place = _Place(measured, opened, column(key, BASE), measured.scope.columns[body.column].sources)
    found: dict[str, Column] = {made.name: made for made in columns}
    folded = {name.lower(): name for name in found}
    for name in dict.fromkeys(names):
        for made in values:
            called = name if made.name == _ALONE else f"{name}_{made.name}"
            before = folded.setdefault(called.lower(), called)
            if called in found:
                draft.refuse(path, f"two columns would be called `{called}`")
            elif before != called:
                draft.refuse(
                    path,
                    _clash(
                        body.column, before, called, is_found=body.columns is None and before not in body.by
                    ),
                )
            found[called] = place.column(called, name, made, is_count=made.name in counts)
    opened.scope = Scope(found)
    return opened


def _clash(column_name: str, before: str, called: str, *, is_found: bool) -> str:
    """Say that the names of two pivoted columns are too much alike."""
    hint = f"; lower({column_name}) in a `derive` before makes them one" if is_found else ""
    return f"the columns `{before}` and `{called}` differ only by case{hint}"


@dataclass(frozen=True, slots=True)
class _Place:
    """Puts what the only row of a group has where it belongs."""

    measured: OpenBlock
    opened: OpenBlock
    key: Expr
    sources: Sources

    def column(self, called: str, name: str, made: Column, *, is_count: bool) -> Column:
        """Return the column of one value of the key; where there is no row a count is 0."""

        def place(part: Expr, wish: str) -> Expr:
            # Not by FILTER: the database makes room for the arguments of all aggregates once for each that has one.
            here = binary(exp.EQ, self.key.copy(), text(name))
            chosen = call("any_value", case((here, self.measured.handed(part, wish))))
            return self.opened.layers.base(call("coalesce", chosen, whole(0)) if is_count else chosen, called)

        value = mapped(named(self.measured.layers, settled(made.value()), made.name), place, called)
        return computed(self.opened.layers, called, value, _made_of(made, self.sources))
