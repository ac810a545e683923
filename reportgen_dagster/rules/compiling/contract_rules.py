"""The contracts of the input and of the report as verdicts on rows.

What belongs here: which condition breaks which rule, keys that are there twice, foreign keys. What does not: what a
constraint means (contracts/), contracts of references (the engine validates them as tables).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.contract import (
    Contract,
    ContractField,
    ForeignKeyRule,
    RowCheck,
    UniqueRule,
    misfits,
    output_contract,
    reported_contract,
)
from reportgen_dagster.contracts.types import Type
from reportgen_dagster.rules.compiling.blocks import OpenBlock
from reportgen_dagster.rules.compiling.draft import Draft, table
from reportgen_dagster.rules.compiling.file_columns import field_of
from reportgen_dagster.rules.compiling.matching import each_key, matches
from reportgen_dagster.rules.compiling.plan import INPUT, Rule, UniqueKey
from reportgen_dagster.rules.compiling.scopes import Column, settled
from reportgen_dagster.rules.expressions.faults import nearest
from reportgen_dagster.rules.reading.positions import Path
from reportgen_dagster.rules.values.typed import (
    all_of,
    call,
    column,
    is_null,
    is_present,
    whole,
)

_SCHEMA: Path = ("input", "schema")


def judge_input(draft: Draft, block: OpenBlock) -> None:
    """Give every row that breaks the input's contract its verdict."""
    contract = draft.input.contract
    if contract is None:
        return
    if draft.input.columns is not None:
        _judge_header(draft, contract, draft.input.columns)
    known = [field for field in contract.fields if block.scope.find(field.name) is not None]
    values, raws = {}, {}
    for field in known:
        made = block.scope.columns.get(field.name) or block.scope.find(field.name)
        if made is None:
            continue
        values[field.name], raws[field.name] = settled(made.value()).sql, made.key()
        _judge_type(draft, block, field, values[field.name], raws[field.name])
        for message in misfits(field, made.type) if field.type.name == "any" else ():
            draft.refuse((INPUT,), f"the contract of the input: {message}")
    for check in contract.row_checks(values, raws):
        _judge(draft, block, INPUT, check)
    for unique in contract.unique:
        _judge_unique(draft, block, unique, raws)
    for foreign in contract.foreign_keys:
        _judge_foreign(draft, block, foreign)


def _judge_header(draft: Draft, contract: Contract, columns: Sequence[str]) -> None:
    missing = {field.name: field for field in contract.fields if field.name not in columns}
    for problem in contract.column_problems(columns):
        hint = next(
            (
                nearest(name, columns)
                for name in missing
                if f"`{name}`" in problem and not missing[name].optional
            ),
            "",
        )
        draft.refuse(_SCHEMA, f"{problem} in the input{hint}")


def _judge_type(draft: Draft, block: OpenBlock, field: ContractField, value: Expr, raw: Expr) -> None:
    if field.type.name in ("text", "any"):
        return
    told = field.cast(raw)
    broken = all_of((is_present(raw), is_null(value)))
    rule = Rule(INPUT, field.name, told.rule, told.reason, threshold=field.threshold)
    block.broken(broken, draft.add_rule(rule))


def _judge(draft: Draft, block: OpenBlock, place: str, check: RowCheck) -> None:
    rule = Rule(place, check.column, check.rule, check.reason, check.severity, check.threshold)
    number = draft.add_rule(rule)
    # Not bound to a name: where no row is broken, the names would be computed for nothing.
    if place != INPUT:
        block.told(check.broken, number)
    elif check.severity == "warn":
        block.warned(check.broken, number)
    else:
        block.broken(check.broken, number)


# keys


def _judge_unique(draft: Draft, block: OpenBlock, unique: UniqueRule, raws: Mapping[str, Expr]) -> None:
    """Number the keys that are there more than once, and tell each row the number of its key."""
    if any(name not in raws for name in unique.columns):
        return
    keys = [_key_of(draft, name) for name in unique.columns]
    grouped = [exp.alias_(key, f"key{number}", quoted=True) for number, key in enumerate(keys, start=1)]
    seen = (
        exp.select(*grouped)
        .from_(table(draft.input.relation))
        .where(all_of(is_present(key) for key in keys))
        .group_by(*(key.copy() for key in keys))
        .having(exp.GT(this=call("count", exp.Star()), expression=whole(1)))
    )
    number = exp.Sub(this=exp.Window(this=call("row_number")), expression=whole(1))
    duplicates = draft.prepare(
        exp.select(exp.Star(), exp.alias_(number, "number")).from_(seen.subquery("keys")),
        "duplicates",
        reads_input=True,
    )
    pairs = [
        (_own_key(block, name), column(f"key{number}")) for number, name in enumerate(unique.columns, start=1)
    ]
    joined = block.layers.join(duplicates, pairs)
    found = block.layers.at(joined.take(column("number"), "number"), "duplicate", joined.level)
    rule = Rule(
        INPUT, ", ".join(unique.columns), unique.rule, unique.reason, unique.severity, unique.threshold
    )
    name = block.add(f"_duplicate{len(draft.unique)}", found)
    draft.unique.append(UniqueKey(name, draft.add_rule(rule), duplicates.name))


def _key_of(draft: Draft, name: str) -> Expr:
    field = field_of(draft.input, name)
    return column(name) if field is None else field.cast(column(name)).value


def _own_key(block: OpenBlock, name: str) -> Expr:
    found = block.scope.columns[name]
    return found.value().sql if found.is_typed else found.key()


def _judge_foreign(draft: Draft, block: OpenBlock, foreign: ForeignKeyRule) -> None:
    keys = dict(zip(foreign.columns, foreign.reference_columns, strict=True))
    path: Path = (*_SCHEMA, "foreignKeys")
    found = matches(draft, block.scope, foreign.reference, keys, path)
    if found is None:
        return
    relation = draft.shape(foreign.reference).relation
    listed = each_key(draft, relation, found, f"{foreign.reference}_keys")
    joined = block.layers.join(
        listed, [(match.left, column(f"key{number}")) for number, match in enumerate(found, start=1)]
    )
    missing = block.layers.at(
        all_of((*(is_present(match.left) for match in found), is_null(joined.key))),
        "is_unknown",
        joined.level,
    )
    rule = Rule(INPUT, ", ".join(foreign.columns), foreign.rule, foreign.reason)
    block.broken(missing, draft.add_rule(rule))


# the report


def judge_output(draft: Draft, block: OpenBlock, columns: Sequence[Column]) -> None:
    """Count the rows of the report that break its contract."""
    output, given, ruleset = draft.ruleset.document.output, draft.given_contract, draft.ruleset
    schema = output.schema_ if output is not None else None
    if given is None and schema is None:
        return
    named = {column_.name: column_ for column_ in columns}
    wanted = {field.name for field in (given or schema or Contract()).fields}
    types: dict[str, Type] = {}
    read: list[str] = []
    for name, column_ in named.items():
        value = column_.value() if name in wanted else None
        types[name] = column_.type
        if value is not None and value.raw is not None:
            read.append(name)
    if given is not None:
        contract, messages = reported_contract(given, types, read)
        for message in messages:
            draft.refuse(("output",), f"the contract of the report: {message}")
    elif schema is not None:
        contract, problems = output_contract(schema, types, read)
        for path, message in problems:
            if not ruleset.is_wrong("output", "schema", *path[:2]):
                draft.refuse(("output", "schema", *path), message)
    draft.contract = contract
    values = {
        field.name: _as(field.type, named[field.name])
        for field in contract.fields
        if field.name in named and types[field.name].name != "any"
    }
    for check in contract.row_checks(values):
        _judge(draft, block, "output", check)


def _as(type_: Type, column_: Column) -> Expr:
    value = column_.value()
    if type_.name == "text" and value.raw is not None:
        return value.raw
    return settled(value).sql
