"""The step `window`: columns that see other rows of their partition.

What belongs here: partition, order, columns. What does not: what a window function means (functions/).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.compiling.blocks import OpenBlock, SortKey
from reportgen_dagster.rules.compiling.calls import put_together, rule_of, taken_apart
from reportgen_dagster.rules.compiling.draft import Draft
from reportgen_dagster.rules.compiling.relations import found_columns
from reportgen_dagster.rules.compiling.rows import ordering, sources_of
from reportgen_dagster.rules.compiling.scopes import computed, key_parts, settled
from reportgen_dagster.rules.functions import Function
from reportgen_dagster.rules.reading.positions import Path
from reportgen_dagster.rules.reading.steps import WindowStep
from reportgen_dagster.rules.values.typed import Value, any_value


def window(draft: Draft, block: OpenBlock, index: int, step: WindowStep) -> OpenBlock:
    """Add columns that see the other rows of a partition."""
    path: Path = ("steps", index, "window")
    body = step.window
    groups = found_columns(draft, block.scope, body.partition_by, (*path, "partition_by"))
    partition = [
        block.handed(block.layers.bind(part, column.name), column.name)
        for column in groups
        for part in key_parts(settled(column.value()))
    ]
    keys = [
        SortKey(block.handed(block.layers.bind(part, column.name), column.name), descending)
        for column, descending in ordering(draft, block.scope, body.order_by, (*path, "order_by"))
        for part in key_parts(settled(column.value()))
    ]
    order_of_rows = block.order_of_rows()

    def ordered(*, to_the_last: bool = True) -> list[Expr]:
        return [key.ordered() for key in (*keys, *(order_of_rows if to_the_last else ()))]

    def over(aggregate: Expr) -> Expr:
        return exp.Window(this=aggregate, partition_by=[part.copy() for part in partition])

    def make(function: Function, values: Sequence[Value], distinct: bool) -> Value:  # noqa: FBT001 - as Make
        if function.window is not None:
            order = ordered(to_the_last=not function.has_peers)
            return function.window(values, [part.copy() for part in partition], order)
        if function.aggregate is None:
            return any_value()
        return function.aggregate(values, ordered(), distinct, over)

    aparts = {name: taken_apart(draft, block, (*path, "columns", name)) for name in body.columns}
    opened = block.following(step=f"steps[{index}]")
    results = []
    for name, apart in aparts.items():
        value, checks = put_together(draft, opened, apart, opened.scope, make)
        columns = [found for found in map(opened.scope.find, apart.expression.columns) if found]
        opened.fail(
            checks,
            rule_of(draft, apart, name),
            columns,
        )
        sources = sources_of(block.scope, apart.expression.columns)
        results.append(computed(opened.layers, name, value, sources))
    opened.scope = opened.scope.with_columns(results)
    return opened
