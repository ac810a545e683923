"""The step `lookup`, and joins that only choose rows: one row stays one row.

What belongs here: which columns come along, their defaults, rows that find nothing. What does not: how keys match (matching.py),
joins that multiply rows (joins.py).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.errors import Problem
from reportgen_dagster.rules.compiling.blocks import OpenBlock
from reportgen_dagster.rules.compiling.defaults import Default, default_of
from reportgen_dagster.rules.compiling.draft import Draft, table
from reportgen_dagster.rules.compiling.file_columns import Compute, FileColumns, field_of
from reportgen_dagster.rules.compiling.matching import TIMES, Match, each_key, first_of_each, matches
from reportgen_dagster.rules.compiling.plan import TableShape
from reportgen_dagster.rules.compiling.scopes import Column, Scope, unknown_column
from reportgen_dagster.rules.expressions.gate import walk
from reportgen_dagster.rules.reading.positions import Path
from reportgen_dagster.rules.reading.steps import Join, JoinStep, Lookup, LookupStep, as_mapping
from reportgen_dagster.rules.values.layers import Joined
from reportgen_dagster.rules.values.typed import (
    Check,
    case,
    column,
    is_null,
    is_present,
    text,
    whole,
)

_SIBLINGS = ("cell_add", "cell_max", "cell_min", "cell_less", "cell_less_or_equal")


def lookup(draft: Draft, block: OpenBlock, index: int, step: LookupStep) -> OpenBlock:
    """Enrich the rows by the rows of a reference."""
    body = step.lookup
    path: Path = ("steps", index, "lookup")
    if body.match == "shared":
        return _shared(draft, block, body, path)
    found = matches(draft, block.scope, body.reference, body.keys, (*path, "match"))
    taken = taken_columns(draft, block.scope, body.reference, body.take, set(body.keys.values()), path)
    if found is None:
        block.scope = _with_unknown(block.scope, taken)
        return block
    joined = block.layers.join(*_table_and_keys(draft, body, found))
    columns = _columns_of([joined], draft, block, body, path)
    block.scope = with_taken(block.scope, columns, taken)
    if body.duplicates == "error" and not all(match.by_text for match in found):
        _judge_duplicate(draft, block, joined, body, found, path)
    _judge_missing(draft, block, joined, body, found, path)
    return block


def _table_and_keys(
    draft: Draft, body: Lookup, found: Sequence[Match]
) -> tuple[exp.Table, list[tuple[Expr, Expr]]]:
    keys = [(match.left, match.right) for match in found]
    if body.duplicates != "error":
        return first_of_each(draft, body.reference, found, body.duplicates), keys
    draft.must_be_unique(body.reference, [match.name for match in found])
    if all(match.by_text for match in found):
        return table(draft.shape(body.reference).relation), keys
    # Keys that are equal by value may differ as texts, so the engine's judgement is not enough.
    return first_of_each(draft, body.reference, found, "first"), keys


def taken_columns(
    draft: Draft,
    scope: Scope,
    reference: str,
    take: Mapping[str, str] | Sequence[str] | None,
    keys: Container[str],
    path: Path,
) -> dict[str, str] | None:
    """Return the columns that come along from a reference, new names first; None if they are not known yet."""
    shape = draft.shape(reference)
    if take is None:
        if shape.columns is None:
            return None
        taken = {name: name for name in shape.columns if name not in keys}
        return _without_clashes(draft, scope, taken, path)
    wanted = as_mapping(take if isinstance(take, dict) else tuple(take))
    for position, (new, name) in enumerate(wanted.items()):
        if shape.columns is not None and name not in shape.columns:
            at = new if isinstance(take, dict) else position
            draft.unknown((*path, "take", at), name, shape.columns)
    return _without_clashes(draft, scope, wanted, (*path, "take"))


def _without_clashes(draft: Draft, scope: Scope, taken: dict[str, str], path: Path) -> dict[str, str]:
    existing = {name.lower(): name for name in scope.names()}
    for new in taken:
        if new.lower() in existing:
            hint = f"take it under another name (`take: {{{new}_2: {taken[new]}}}`), or name those to take"
            draft.refuse(path, f"there is a column `{existing[new.lower()]}` already; {hint}")
    return {new: name for new, name in taken.items() if new.lower() not in existing}


def with_taken(scope: Scope, make: Callable[[str, str], Column], taken: Mapping[str, str] | None) -> Scope:
    """Return a scope with columns of a reference; if they are not known yet, with any that is asked for.

    Args:
        scope: The columns of the rows.
        make: Makes a column of the reference, given its name there and its new name.
        taken: New names with the reference's columns; None while they are not known.
    """
    if taken is not None:
        return scope.with_columns([make(name, new) for new, name in taken.items()])
    more = scope.more
    return replace(scope, more=lambda name: (more and more(name)) or make(name, name))


def _with_unknown(scope: Scope, taken: Mapping[str, str] | None) -> Scope:
    return with_taken(scope, lambda _, new: unknown_column(new), taken)


def _columns_of(
    joins: Sequence[Joined], draft: Draft, block: OpenBlock, body: Lookup, path: Path
) -> Callable[[str, str], Column]:
    """Return what makes a column of the row that the last key found."""
    shape = draft.shape(body.reference)

    def reach(name: str, compute: Compute, wish: str, default: Expr | None) -> Expr:
        level = max(joined.level for joined in joins)
        branches: list[tuple[Expr, Expr]] = []
        for joined in reversed(joins):
            key, value = joined.key, joined.take(compute(column(name)), wish)
            if joined.level < level:
                key, value = (block.layers.at(part, wish, joined.level) for part in (key, value))
            branches.append((is_present(key), value))
        if len(branches) == 1 and default is None:
            return block.layers.at(branches[0][1], wish, level)
        return block.layers.at(case(*branches, default=default), wish, level)

    default_for = _defaults(draft, body, path)
    columns = FileColumns(draft, body.reference, shape, block.layers, reach, default_for)
    return columns.column


def _judge_duplicate(
    draft: Draft, block: OpenBlock, joined: Joined, body: Lookup, found: Sequence[Match], path: Path
) -> None:
    """End the run where keys that differ as texts are equal by value."""
    times = joined.take(column(TIMES), "times")
    twice = block.layers.at(exp.GT(this=times, expression=whole(1)), "is_duplicate", joined.level)
    check = Check(twice, text(f"several rows of {body.reference} have this key"))
    block.fatal(check, _rule_of(draft, body, found, path), [match.own for match in found])


def _rule_of(draft: Draft, body: Lookup, found: Sequence[Match], path: Path) -> Callable[[], int]:
    names = [match.own.name for match in found]
    return lambda: draft.rule(path, names[0], f"lookup in {body.reference} by {', '.join(names)}")


def _judge_missing(
    draft: Draft, block: OpenBlock, joined: Joined, body: Lookup, found: Sequence[Match], path: Path
) -> None:
    """Give the rows for which no row was found their verdict."""
    if body.missing == "default":
        return
    nothing = block.layers.at(is_null(joined.key), "is_missing", joined.level)
    if body.missing == "drop":
        block.drop(nothing)
        return
    keys = ", ".join(f"`{match.name}`" for match in found)
    check = Check(nothing, text(f"no row of {body.reference} has this key ({keys})"))
    columns = [match.own for match in found]
    rule = _rule_of(draft, body, found, path)
    if body.missing == "fail":
        block.fatal(check, rule, columns)
    else:
        block.fail((check,), rule, columns)


# defaults


def _defaults(draft: Draft, body: Lookup, path: Path) -> Callable[[str], Default | None]:
    shape = draft.shape(body.reference)
    if body.defaults == "standard":
        numeric_if_blank = _used_as_numbers(draft)
        return lambda name: _standard(draft, body.reference, shape, name, numeric_if_blank)
    given = body.defaults or {}
    names = as_mapping(body.take if isinstance(body.take, dict) else tuple(body.take or ()))
    defaults: dict[str, Default | None] = {}
    for new, written in given.items():
        name = names.get(new, new)
        default = default_of(written)
        defaults[name] = default
        _judge_default(draft, shape, name, default, (*path, "defaults", new))
    return lambda name: defaults.get(name)


def _judge_default(draft: Draft, shape: TableShape, name: str, default: Default | None, path: Path) -> None:
    if shape.columns is not None and name not in shape.columns:
        draft.unknown(path, name, shape.columns, key=True)
        return
    field = field_of(shape, name)
    if field is not None and default is not None and default.of(field.type) is None:
        draft.refuse(path, f"the default '{default.text}' does not fit `{name}`, which is {field.type}")


def _standard(
    draft: Draft, reference: str, shape: TableShape, name: str, numeric_if_blank: Container[str]
) -> Default:
    """Return the short form's default: 0 for numbers, else a text that names the column."""
    field = field_of(shape, name)
    if field is not None:
        is_number = field.type.name in ("integer", "number", "decimal")
    else:
        kind = draft.ask(reference, shape, name, "cell")
        is_number = kind is not None and (
            kind.kind in ("integer", "number") or (kind.kind == "blank" and name in numeric_if_blank)
        )
    return Default("0" if is_number else f"MISSING_{name}")


def _used_as_numbers(draft: Draft) -> set[str]:
    """Return the columns that some expression uses as numbers, by its operators or beside a column of numbers."""
    shapes = (*draft.references.values(), draft.input)
    kinds = {name: kind.kind for shape in shapes for name, kind in shape.kinds.items()}
    found: set[str] = set()
    for expression in draft.ruleset.expressions.values():
        for node, reading in walk(expression.tree):
            if isinstance(node, exp.Column) and reading == "cell_number":
                found.add(node.name)
            elif isinstance(node, exp.Anonymous) and str(node.this) in _SIBLINGS:
                names = [child.name for child in node.expressions if isinstance(child, exp.Column)]
                if any(kinds.get(name) in ("integer", "number") for name in names):
                    found.update(names)
    return found


# the short form's lookup


def _shared(draft: Draft, block: OpenBlock, body: Lookup, path: Path) -> OpenBlock:
    """Look up by each column that both have, a later key's row before an earlier one's."""
    shape = draft.shape(body.reference)
    if shape.columns is None or block.scope.more is not None:
        block.scope = _with_unknown(block.scope, None)
        return block
    keys = [name for name in block.scope.names() if name in shape.columns]
    if not keys:
        message = _no_shared_key(body.reference, block.scope.names(), shape.columns)
        if draft.ruleset.form == "short":
            draft.problems[Problem(message, source=body.reference)] = None
        else:
            draft.refuse((*path, "match"), message)
        block.scope = _with_unknown(block.scope, None)
        return block
    joins = []
    for key in keys:
        found = matches(draft, block.scope, body.reference, {key: key}, (*path, "match")) or []
        joins.append(block.layers.join(*_table_and_keys(draft, body, found)))
    taken = {name: name for name in shape.columns if name not in keys}
    make = _columns_of(joins, draft, block, body, path)
    block.scope = with_taken(block.scope, make, taken)
    return block


def _no_shared_key(reference: str, own: Iterable[str], columns: Sequence[str]) -> str:
    folded = {name.lower(): name for name in own}
    close = [name for name in columns if name.lower() in folded]
    hint = f"; `{close[0]}` and `{folded[close[0].lower()]}` differ by case" if close else ""
    return f"no column is in both the input and the {reference}, so there is no key to look rows up by{hint}"


# joins that only choose rows


def choose(draft: Draft, block: OpenBlock, index: int, step: JoinStep) -> OpenBlock:
    """Keep the rows that have a row in the reference (`semi`), or that have none (`anti`)."""
    body: Join = step.join
    found = matches(draft, block.scope, body.reference, body.keys, ("steps", index, "join", "match"))
    if found is None:
        return block
    relation = draft.shape(body.reference).relation
    keys = each_key(draft, relation, found, f"{body.reference}_keys")
    joined = block.layers.join(
        keys, [(match.left, column(f"key{number}")) for number, match in enumerate(found, start=1)]
    )
    lacks = is_null(joined.key) if body.how == "semi" else is_present(joined.key)
    block.drop(block.layers.at(lacks, "is_left_out", joined.level))
    return block
