"""Use case: everything that can be told of rules before a row is read: their plan for files of which only headers are known.

What the compiler finds is `rules/`; here is what it is given, and the trying of what only a database can judge.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from reportgen_dagster.contracts.contract import Contract, contract_of
from reportgen_dagster.errors import Problem
from reportgen_dagster.rules.compiling.compile import compile_ruleset
from reportgen_dagster.rules.compiling.kinds import ColumnKind
from reportgen_dagster.rules.compiling.plan import INPUT, Plan, TableShape
from reportgen_dagster.rules.reading.ruleset import Ruleset


def rules_problems(ruleset: Ruleset, columns: Mapping[str, Sequence[str]] | None) -> list[Problem]:
    """Return every problem that rules have by themselves, and with the columns of files.

    Args:
        ruleset: The rules.
        columns: The columns of each file whose header is known.
    """
    return plan_problems(dry_plan(ruleset, columns))


def plan_problems(plan: Plan) -> list[Problem]:
    """Return the problems of a plan, and those of its constants that a database finds by trying them.

    Raises:
        ServiceError: If a step's query does not give what the compiler promises of it, which is no fault of the rules.
    """
    if plan.step_tables is not None:
        from reportgen_dagster.engine.step_results import refuse_other_results  # pandera and DuckDB

        refuse_other_results(plan)
    if not plan.constant_checks:
        return list(plan.problems)
    from reportgen_dagster.engine.trying import which_hold  # DuckDB, which most rules do not need here

    held = which_hold([condition for condition, _ in plan.constant_checks])
    tried = [problem for (_, problem), wrong in zip(plan.constant_checks, held, strict=True) if wrong]
    found = [*plan.problems, *(problem for problem in tried if problem not in plan.problems)]
    return sorted(found, key=lambda problem: (problem.line or sys.maxsize, problem.column or 0))


def dry_plan(
    ruleset: Ruleset,
    columns: Mapping[str, Sequence[str]] | None,
    *,
    kinds: Mapping[str, Mapping[str, ColumnKind]] | None = None,
    parameters: Mapping[str, Any] | None = None,
    run_date: date | None = None,
    until: int | None = None,
) -> Plan:
    """Compile rules for files of which at most the columns, their contracts and the kinds of cells are known.

    Where a contract or a survey gives types, the plan has the results of all steps as well.

    Args:
        ruleset: The rules.
        columns: The columns of each file whose header is known.
        kinds: What the columns of surveyed files hold.
        parameters: Values in the types that the rules declare.
        run_date: What `today()` is.
        until: Only the steps before this number.
    """
    names = (INPUT, *ruleset.reference_names)
    shapes = {
        name: _shape(ruleset, name, (columns or {}).get(name), (kinds or {}).get(name, {})) for name in names
    }
    is_typed = bool(kinds) or any(shape.contract for shape in shapes.values())

    def compiled(files: Mapping[str, TableShape]) -> Plan:
        return compile_ruleset(
            ruleset,
            input=files[INPUT],
            references={name: shape for name, shape in files.items() if name != INPUT},
            parameters=parameters,
            run_date=run_date,
            until=until,
            with_steps=is_typed,
        )

    plan = compiled(shapes)
    if not is_typed or plan.problems or plan.step_tables:
        return plan
    # Of a file without a header at hand the contract names columns; rules that use others are judged when it is there.
    return replace(
        plan, step_tables=compiled({name: _closed(shape) for name, shape in shapes.items()}).step_tables
    )


def _closed(shape: TableShape) -> TableShape:
    if shape.columns is not None or shape.contract is None:
        return shape
    return replace(shape, columns=tuple(field.name for field in shape.contract.fields))


def _shape(
    ruleset: Ruleset, name: str, columns: Sequence[str] | None, kinds: Mapping[str, ColumnKind]
) -> TableShape:
    known = None if columns is None else tuple(columns)
    return TableShape(relation=name, columns=known, kinds=kinds, contract=_contract(ruleset, name))


def _contract(ruleset: Ruleset, name: str) -> Contract | None:
    """Return the contract that rules have for a file, if they have one."""
    document = ruleset.document
    described = document.input if name == INPUT else document.references.get(name)
    if described is None or described.schema_ is None:
        return None
    return contract_of(described.schema_, described.dialect)
