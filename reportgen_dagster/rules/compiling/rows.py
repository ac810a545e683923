"""Steps that look at each row by itself: derive, filter, select, rename, drop, sort, limit.

What belongs here: what such a step does to columns, verdicts and order. What does not: lookups (lookups.py), steps that see other
rows (relations.py, windows.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.compiling.blocks import OpenBlock, SortKey, evaluated, judge
from reportgen_dagster.rules.compiling.draft import Draft
from reportgen_dagster.rules.compiling.scopes import (
    Column,
    Scope,
    Sources,
    computed,
    key_parts,
    renamed,
    unknown_column,
)
from reportgen_dagster.rules.reading.positions import Path
from reportgen_dagster.rules.reading.ruleset import Expression
from reportgen_dagster.rules.reading.steps import (
    DeriveStep,
    DropStep,
    FilterStep,
    LimitStep,
    RenameStep,
    SelectStep,
    SortStep,
    UnreadStep,
    as_mapping,
)
from reportgen_dagster.rules.values import operators
from reportgen_dagster.rules.values.typed import call, false, negated, whole


def derive(draft: Draft, block: OpenBlock, index: int, step: DeriveStep) -> OpenBlock:
    """Add or replace columns; each may use those above it."""
    for name in step.derive:
        path: Path = ("steps", index, "derive", name)
        expression = draft.expression(path)
        copied = _copied(block.scope, expression)
        column = renamed(copied, name) if copied else _computed(draft, block, path, name)
        block.scope = block.scope.with_columns([column])
    return block


def _copied(scope: Scope, expression: Expression) -> Column | None:
    """Return the column that an expression only repeats."""
    tree: Expr = expression.tree
    while isinstance(tree, exp.Paren):
        tree = tree.this
    return scope.find(tree.name) if isinstance(tree, exp.Column) else None


def _computed(draft: Draft, block: OpenBlock, path: Path, name: str) -> Column:
    expression = draft.expression(path)
    value = evaluated(draft, block, path)
    if value.required:
        number = operators.as_number(block.layers, value)
        judge(draft, block, path, number.checks)
        value = number.without_checks()
    return computed(block.layers, name, value, sources_of(block.scope, expression.columns))


def sources_of(scope: Scope, names: Sequence[str]) -> Sources:
    """Return the files' columns that columns are made of, each once."""
    found = [column for column in map(scope.find, names) if column is not None]
    return tuple(dict.fromkeys(source for column in found for source in column.sources))


def keep(draft: Draft, block: OpenBlock, index: int, step: FilterStep) -> OpenBlock:
    """Keep the rows on which a condition is true."""
    path: Path = ("steps", index, step.kind)
    expression = draft.expression(path)
    condition = draft.evaluator(block.layers, block.scope, expression).condition(expression.tree)
    judge(draft, block, path, condition.checks)
    if condition.kind != "any":
        block.drop(block.layers.bind(negated(call("coalesce", condition.sql, false())), "is_left_out"))
    return block


# columns


def select(draft: Draft, block: OpenBlock, index: int, step: SelectStep) -> OpenBlock:
    """Keep columns, in the order in which they are named."""
    path: Path = ("steps", index, "select")
    block.scope = Scope(selected(draft, block.scope, step.select, path))
    return block


def selected(
    draft: Draft, scope: Scope, columns: dict[str, str] | tuple[str, ...], path: Path
) -> dict[str, Column]:
    """Return columns under their new names; those that are not there are told."""
    found: dict[str, Column] = {}
    for position, (new, name) in enumerate(as_mapping(columns).items()):
        at = new if isinstance(columns, dict) else position
        column = draft.find(scope, name, (*path, at))
        found[new] = renamed(column or unknown_column(new), new)
    return found


def rename(draft: Draft, block: OpenBlock, index: int, step: RenameStep) -> OpenBlock:
    """Give columns other names where they are."""
    path: Path = ("steps", index, "rename")
    scope = block.scope
    for old in step.rename:
        draft.find(scope, old, (*path, old), key=True)
    kept = {name.lower() for name in scope.names() if name not in step.rename}
    for old, new in step.rename.items():
        if new.lower() in kept:
            draft.refuse((*path, old), f"there is a column `{new}` already")
    columns = {
        step.rename.get(name, name): renamed(column, step.rename.get(name, name))
        for name, column in scope.columns.items()
    }
    more = scope.more
    opened = scope.without(step.rename).more
    if more is not None:
        unseen = {new: old for old, new in step.rename.items() if new not in columns}
        columns |= {new: renamed(more(old) or unknown_column(new), new) for new, old in unseen.items()}
    block.scope = Scope(columns, opened, scope.families)
    return block


def drop(draft: Draft, block: OpenBlock, index: int, step: DropStep) -> OpenBlock:
    """Leave columns out."""
    path: Path = ("steps", index, "drop")
    for position, name in enumerate(step.drop):
        draft.find(block.scope, name, (*path, position))
    block.scope = block.scope.without(step.drop)
    return block


def unread(_: Draft, block: OpenBlock, __: int, step: UnreadStep) -> OpenBlock:
    """Go on behind a step that cannot be read: any column may be there, unless such a step leaves them alone."""
    if not step.unread.keeps_columns:
        block.scope = Scope().opened()
    return block


# order


def sort(draft: Draft, block: OpenBlock, index: int, step: SortStep) -> OpenBlock:
    """Order the rows; what they were ordered by before decides between equals."""
    path: Path = ("steps", index, "sort")
    keys = tuple(sort_keys(draft, block, step.sort, path))
    block.order = (*keys, *block.order)
    return block


def sort_keys(draft: Draft, block: OpenBlock, names: Sequence[str], path: Path) -> Iterator[SortKey]:
    """Return what `-total` and the like order by."""
    for column, descending in ordering(draft, block.scope, names, path):
        for part in key_parts(column.value()):
            yield SortKey(block.layers.bind(part, f"{column.name}_order"), descending)


def ordering(draft: Draft, scope: Scope, names: Sequence[str], path: Path) -> Iterator[tuple[Column, bool]]:
    """Return the columns that `-total` and the like name, and whether the largest comes first."""
    for position, written in enumerate(names):
        descending = written.startswith("-") and written not in scope.columns
        name = written.removeprefix("-") if descending else written
        column = draft.find(scope, name, (*path, position))
        if column is not None:
            yield column, descending


def limit(_: Draft, block: OpenBlock, index: int, step: LimitStep) -> OpenBlock:
    """Keep the first rows."""
    return first_rows(block, step.limit, index, diverts=block.diverts)


def first_rows(block: OpenBlock, count: int, index: int, *, diverts: bool) -> OpenBlock:
    """Open a block with the first rows of another."""
    order = [key.ordered() for key in block.order_of_rows()]
    return block.following(
        step=f"steps[{index}]",
        diverts=diverts,
        modify=lambda rows: rows.order_by(*order, copy=False).limit(whole(count), copy=False),
    )
