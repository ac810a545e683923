"""Steps that see several rows: aggregate, distinct, top, unpivot.

What belongs here: which rows come out, in which order. What does not: windows (windows.py), pivots (pivots.py), rows of further
references (joins.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.types import ANY
from reportgen_dagster.rules.compiling.blocks import OpenBlock, SortKey
from reportgen_dagster.rules.compiling.calls import Apart, put_together, rule_of, taken_apart
from reportgen_dagster.rules.compiling.draft import Draft
from reportgen_dagster.rules.compiling.plan import ROW
from reportgen_dagster.rules.compiling.rows import first_rows, ordering, sources_of
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
from reportgen_dagster.rules.compiling.unions import chosen, common_column, converted
from reportgen_dagster.rules.functions import Function
from reportgen_dagster.rules.reading.positions import Path
from reportgen_dagster.rules.reading.steps import AggregateStep, DistinctStep, TopStep, UnpivotStep
from reportgen_dagster.rules.values.layers import BASE
from reportgen_dagster.rules.values.typed import (
    Value,
    any_value,
    binary,
    call,
    case,
    column,
    text,
    whole,
)

WRITTEN_IN_MANY_WAYS = ("number", "wide", "datetime", "cell")


def aggregate(draft: Draft, block: OpenBlock, index: int, step: AggregateStep) -> OpenBlock:
    """Make one row of each group."""
    path: Path = ("steps", index, "aggregate")
    by = found_columns(draft, block.scope, step.aggregate.by, (*path, "by"))
    measures = {
        name: taken_apart(draft, block, (*path, "measures", name)) for name in step.aggregate.measures
    }
    for name in measures:
        if name in step.aggregate.by:
            draft.refuse((*path, "measures", name), f"`{name}` is in `by` already", key=True)
    return grouped(draft, block, index, by, measures)


def found_columns(draft: Draft, scope: Scope, names: Sequence[str], path: Path) -> list[Column]:
    """Return the columns of these names; those that are not there are told."""
    return [
        draft.find(scope, name, (*path, position)) or unknown_column(name)
        for position, name in enumerate(names)
    ]


def grouped(
    draft: Draft, block: OpenBlock, index: int, by: Sequence[Column], measures: dict[str, Apart]
) -> OpenBlock:
    """Open a block with one row for each group, in the order of what they are grouped by, nulls last."""
    order = block.order_of_rows()
    opened, columns = grouping(block, index, by)

    def make(function: Function, values: Sequence[Value], distinct: bool) -> Value:  # noqa: FBT001 - as Make
        if function.aggregate is None:
            return any_value()
        return function.aggregate(values, [key.ordered() for key in order], distinct)

    opened.scope = Scope({made.name: made for made in columns}, None)
    results = []
    for name, apart in measures.items():
        scope = _with_foreign(draft, block.scope, opened.scope, apart)
        value, checks = put_together(draft, opened, apart, scope, make)
        expression = apart.expression
        opened.fail(
            checks,
            rule_of(draft, apart, name),
            columns,
        )
        sources = sources_of(block.scope, expression.columns)
        results.append(computed(opened.layers, name, value, sources))
    opened.scope = opened.scope.with_columns(results)
    return opened


def _with_foreign(draft: Draft, before: Scope, after: Scope, apart: Apart) -> Scope:
    """Tell columns that a measure uses for single rows, and go on as if they were there."""
    foreign = [name for name in apart.outside if name not in after.columns and before.find(name)]
    for name in dict.fromkeys(foreign):
        node = next(node for node in apart.tree.find_all(exp.Column) if node.name == name)
        message = (
            f"`{name}` has many values in a group; put it into `by`, or into an aggregate such as max({name})"
        )
        draft.report(apart.expression)(message, node)
    return after.with_columns([unknown_column(name) for name in foreign])


def grouping(block: OpenBlock, index: int, by: Sequence[Column]) -> tuple[OpenBlock, list[Column]]:
    """Open a block that groups the rows; return it with the columns that they are grouped by."""
    values = {made.name: settled(made.value()) for made in by}
    parts = [
        block.handed(block.layers.bind(part, name), name)
        for name, value in values.items()
        for part in key_parts(value)
    ]
    first = _first(block)

    def modify(rows: exp.Select) -> exp.Select:
        if parts:
            return rows.group_by(*parts, copy=False)
        some = exp.GT(this=call("count", exp.Star()), expression=whole(0))
        return rows.having(some, copy=False) if by else rows

    number = call("coalesce", call("min", column(ROW, BASE)), whole(0))
    opened = block.following(step=f"steps[{index}]", modify=modify, number=number)
    columns = [_group_key(block, opened, made, values[made.name], first) for made in by]
    opened.order = tuple(SortKey(opened.layers.base(part, part.name)) for part in parts)
    return opened, columns


def _group_key(
    block: OpenBlock, opened: OpenBlock, made: Column, value: Value, first: Callable[[Expr], Expr]
) -> Column:
    """Return the column of what rows are grouped by; what may be written in several ways is written as it first was."""
    value = named(block.layers, value, made.name)
    plain = replace(value, raw=None, is_whole=None, literal=None)
    plain = mapped(plain, lambda part, wish: opened.take(block, part, wish), made.name)
    if value.raw is not None and value.kind in WRITTEN_IN_MANY_WAYS:
        read = opened.layers.base(first(block.handed(value.raw, made.name)), made.name)
        plain = replace(plain, raw=read)
    key = computed(opened.layers, made.name, plain, made.sources)
    return replace(key, type=made.type, value=any_value, cell=any_value) if made.type == ANY else key


def _first(block: OpenBlock) -> Callable[[Expr], Expr]:
    """Return what takes the first of a column in a group."""
    order = block.order_of_rows()
    if len(order) == 1:
        return lambda value: call("arg_min", value, column(ROW, BASE))
    return lambda value: call("first", exp.Order(this=value, expressions=[key.ordered() for key in order]))


# rows chosen by looking at others


def distinct(draft: Draft, block: OpenBlock, index: int, step: DistinctStep) -> OpenBlock:
    """Keep the first row of each combination."""
    if step.distinct is True:
        columns = [*block.scope]
    else:
        columns = found_columns(draft, block.scope, step.distinct, ("steps", index, "distinct"))
    return _ranked(block, index, columns, 1)


def top(draft: Draft, block: OpenBlock, index: int, step: TopStep) -> OpenBlock:
    """Keep the first rows by an order, of each group; they come in that order, group by group."""
    path: Path = ("steps", index, "top")
    groups = found_columns(draft, block.scope, step.top.per, (*path, "per"))
    keys = [
        SortKey(block.layers.bind(part, f"{made.name}_order"), descending)
        for made, descending in ordering(draft, block.scope, step.top.by, (*path, "by"))
        for part in key_parts(made.value())
    ]
    before = [SortKey(part) for part in _parts(block, groups)]
    block.order = (*before, *keys, *block.order)
    if not step.top.per:
        return first_rows(block, step.top.n, index, diverts=False)
    return _ranked(block, index, groups, step.top.n)


def _parts(block: OpenBlock, columns: Sequence[Column]) -> list[Expr]:
    return [
        block.layers.bind(part, made.name) for made in columns for part in key_parts(settled(made.value()))
    ]


def _ranked(block: OpenBlock, index: int, groups: Sequence[Column], count: int) -> OpenBlock:
    """Open a block with so many rows of each group, the first in the order of the rows."""
    partition = [block.handed(part, "key") for part in _parts(block, groups)]
    order = exp.Order(expressions=[key.ordered() for key in block.order_of_rows()])
    place = exp.Window(this=call("row_number"), partition_by=partition, order=order)
    wanted = binary(exp.LTE, place, whole(count))
    return block.following(step=f"steps[{index}]", modify=lambda rows: rows.qualify(wanted, copy=False))


# columns into rows


def unpivot(draft: Draft, block: OpenBlock, index: int, step: UnpivotStep) -> OpenBlock:
    """Make a row of each of several columns."""
    path: Path = ("steps", index, "unpivot")
    body = step.unpivot
    columns = found_columns(draft, block.scope, body.columns, (*path, "columns"))
    rest = block.scope.without(body.columns)
    for key, new in (("name", body.name), ("value", body.value)):
        if new in rest.columns:
            draft.refuse((*path, key), f"there is a column `{new}` already")
    places = [exp.Tuple(expressions=[whole(number)]) for number in range(len(columns))]
    numbers = exp.Values(
        expressions=places or [exp.Tuple(expressions=[whole(0)])],
        alias=exp.TableAlias(this=exp.to_identifier("u"), columns=[exp.to_identifier("place")]),
    )
    block.scope = rest
    opened = block.following(
        step=f"steps[{index}]", modify=lambda rows: rows.join(numbers, join_type="cross", copy=False)
    )
    opened.layers.see("u")
    place = opened.layers.base(column("place", "u"), "place")
    opened.order_by([*opened.total_order(), SortKey(place)])
    names = [(_at(place, number), text(made.name)) for number, made in enumerate(columns)]
    name = Value("text", opened.layers.bind(case(*names), body.name) if names else text(""))
    value = _unpivoted(block, opened, columns, place)
    sources = _all_sources(columns)
    opened.scope = opened.scope.with_columns(
        [
            computed(opened.layers, body.name, name, ()),
            computed(opened.layers, body.value, value, sources),
        ]
    )
    return opened


def _at(place: Expr, number: int) -> Expr:
    return binary(exp.EQ, place, whole(number))


def _all_sources(columns: Sequence[Column]) -> Sources:
    return tuple(dict.fromkeys(source for made in columns for source in made.sources))


def _unpivoted(block: OpenBlock, opened: OpenBlock, columns: Sequence[Column], place: Expr) -> Value:
    carried = [opened.carried(block, made) for made in columns]
    type_ = common_column(columns)
    if type_.name == "any" or not columns:
        return any_value()
    values = [converted(opened.layers, made.value(), type_) for made in carried]
    return chosen(opened.layers, type_, [(_at(place, number), value) for number, value in enumerate(values)])
