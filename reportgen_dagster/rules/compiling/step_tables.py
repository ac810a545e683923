"""The result of every step as queries, for who wants to see that they are of the types that were told.

What belongs here: rendering them beside the plan's own queries. What does not: binding them (engine/step_results.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from sqlglot.expressions import Expr

from reportgen_dagster.rules.compiling.blocks import OpenBlock
from reportgen_dagster.rules.compiling.draft import Draft
from reportgen_dagster.rules.compiling.plan import INPUT, OutputColumn, StepResult, StepTables
from reportgen_dagster.rules.compiling.scopes import Scope, settled
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import Value

Typed = Callable[[Layers, Value], Expr]
_Told = tuple[Callable[[], Value], str, OutputColumn]


def step_tables(
    draft: Draft,
    blocks: Sequence[OpenBlock],
    results: Iterable[tuple[StepResult, OpenBlock, Scope]],
    report: Iterable[tuple[Value, OutputColumn]],
    typed: Typed,
) -> StepTables | None:
    """Render the results of steps; None if the columns of a file are not known.

    Call it after the plan's own queries were rendered: it asks for the values of columns that those do not need.

    Args:
        draft: The plan, which has no problems.
        blocks: Its blocks, as far as they can be rendered.
        results: What is told of each step, its block and its columns.
        report: What the report's columns are worth in the last block, and what is told of each.
        typed: Gives a value the type that its column promises.
    """
    files = {INPUT: draft.input.columns, **{name: shape.columns for name, shape in draft.references.items()}}
    known = {name: columns for name, columns in files.items() if columns is not None}
    if len(known) < len(files):
        return None
    found: dict[int, dict[int, _Told]] = {block.number: {} for block in blocks}
    for result, block, scope in results:
        if block.number in found:
            for column, told in zip(scope, result.columns, strict=True):
                found[block.number].setdefault(id(column), (column.value, result.path, told))
    columns = {number: [*of.values()] for number, of in found.items()}
    columns[blocks[-1].number] += [(partial(settled, value), "output", told) for value, told in report]
    values = {}
    for block in reversed(blocks):
        outputs = [typed(block.layers, settled(value())) for value, _, _ in columns[block.number]]
        values[block.number] = block.checked(outputs, in_order=block is blocks[-1] and block.number > 0)
    return StepTables(
        known,
        values,
        {number: tuple((path, told) for _, path, told in of) for number, of in columns.items()},
    )
