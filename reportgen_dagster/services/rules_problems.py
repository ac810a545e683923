"""Use case: everything that can be told of rules before a row is read: their plan for files of which only headers are known.

What the compiler finds is `rules/`; here is what it is given, and the trying of what only a database can judge.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from reportgen_dagster.contracts.types import ANY
from reportgen_dagster.errors import Problem
from reportgen_dagster.rules.compiling.compile import compile_ruleset
from reportgen_dagster.rules.compiling.kinds import ColumnKind
from reportgen_dagster.rules.compiling.plan import INPUT, Plan, TableShape
from reportgen_dagster.rules.reading.ruleset import Ruleset, file_path


def rules_problems(ruleset: Ruleset, columns: Mapping[str, Sequence[str]] | None) -> list[Problem]:
    """Return every problem that rules have by themselves, and with the columns of files.

    Args:
        ruleset: The rules.
        columns: The columns of each file whose header is known.
    """
    return plan_problems(dry_plan(ruleset, columns, is_shown=False))


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
    from reportgen_dagster.engine.trying import failing_constants  # DuckDB, which most rules do not need here

    found = dict.fromkeys((*plan.problems, *failing_constants(plan)))
    return sorted(found, key=lambda problem: (problem.line or sys.maxsize, problem.column or 0))


def dry_plan(
    ruleset: Ruleset,
    columns: Mapping[str, Sequence[str]] | None,
    *,
    kinds: Mapping[str, Mapping[str, ColumnKind]] | None = None,
    parameters: Mapping[str, Any] | None = None,
    run_date: date | None = None,
    until: int | None = None,
    is_shown: bool = True,
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
        is_shown: The plan is for more than its problems; if not, it may be that of files with the contracts' columns alone.
    """
    names = (INPUT, *ruleset.reference_names)
    shapes = {
        name: _shape(ruleset, name, (columns or {}).get(name), (kinds or {}).get(name, {})) for name in names
    }
    is_typed = bool(kinds) or any(shape.contract for shape in shapes.values())

    def compiled(files: Mapping[str, TableShape], *, with_queries: bool = True) -> Plan:
        return compile_ruleset(
            ruleset,
            input=files[INPUT],
            references={name: shape for name, shape in files.items() if name != INPUT},
            parameters=parameters,
            run_date=run_date,
            until=until,
            with_steps=is_typed,
            with_queries=with_queries,
        )

    closed_shapes = {name: _closed(shape) for name, shape in shapes.items()}
    if closed_shapes == shapes:
        return compiled(shapes, with_queries=is_shown or not is_typed)
    # Of a file without a header at hand the contract names columns; rules that use others are judged when it is there.
    closed = compiled(closed_shapes, with_queries=False)
    if closed.step_tables and not is_shown:
        return closed
    plan = compiled(shapes, with_queries=is_shown)
    return plan if plan.problems else replace(plan, step_tables=closed.step_tables)


def _closed(shape: TableShape) -> TableShape:
    if shape.columns is not None or shape.contract is None:
        return shape
    return replace(shape, columns=tuple(field.name for field in shape.contract.fields))


def _shape(
    ruleset: Ruleset, name: str, columns: Sequence[str] | None, kinds: Mapping[str, ColumnKind]
) -> TableShape:
    """Return the shape of a file; a column is of any type while its field is wrong, any column is there while the dialect is."""
    contract = ruleset.contract(name)
    if ruleset.is_wrong(*file_path(name), "dialect"):
        columns, kinds = None, {}
    loose = {field.name for field in contract.fields if field.type == ANY} if contract else ()
    known = None if columns is None else tuple(columns)
    sure = {column: kind for column, kind in kinds.items() if column not in loose}
    return TableShape(relation=name, columns=known, kinds=sure, contract=contract)
