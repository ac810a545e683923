"""Before a run, every step's columns are validated by pandera, schema only, against what users are told of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reportgen_dagster.contracts.types import INTEGER
from reportgen_dagster.engine.step_results import refuse_other_results
from reportgen_dagster.errors import ServiceError
from reportgen_dagster.rules.compiling.kinds import ColumnKind
from reportgen_dagster.rules.compiling.plan import Plan
from reportgen_dagster.rules.reading.loading import load_ruleset
from reportgen_dagster.services.rules_problems import dry_plan, plan_problems

RULES = """version: 1
input:
  schema:
    fields: [{name: day, type: date}, {name: amount, type: decimal, precision: 9, scale: 2}, {name: n, type: integer}, {name: t}]
    primaryKey: n
    foreignKeys: [{fields: n, reference: {resource: r, fields: k}}]
references:
  r: {schema: {fields: [{name: k, type: integer}, {name: v, type: number}]}}
steps:
  - derive: {a: amount * n, b: n / 2, c: day + 1, d: n > 1, e: "null"}
  - lookup: {reference: r, match: {n: k}, take: [v]}
  - filter: v > 1
  - sort: -a
  - limit: 100
  - aggregate: {by: [day], measures: {s: sum(amount), k: count(*), f: first(b), g: first(d)}}
  - window: {partition_by: [day], columns: {w: running_sum(s), r: row_number()}}
  - unpivot: {columns: [s, w], name: nm, value: vl}
  - pivot: {by: [day], column: nm, values: {p: sum(vl)}, columns: [s, w]}
  - append: {reference: r, columns: {k: k}}
  - distinct: true
"""


def checked(text: str, **known: object) -> Plan:
    plan = dry_plan(load_ruleset(text), known.pop("columns", None), **known)  # type: ignore[arg-type]  # of a test's making
    assert plan_problems(plan) == []
    return plan


def test_contracts_alone_are_enough_to_validate_every_step() -> None:
    tables = checked(RULES).step_tables
    assert tables is not None
    steps = [step for told in tables.columns.values() for step, _ in told]
    assert {f"steps[{number}]" for number in (0, 1, 4, 5, 6, 7, 8, 9, 10)} <= {*steps}


def test_sample_files_are_enough_too() -> None:
    text = "version: 1\nsteps:\n  - derive: {b: a + 1}\n  - pivot: {by: [b], column: c, values: count(*)}\n  - limit: 3\n"
    kinds = {"input": {"a": ColumnKind("integer", 9.0, "integer"), "c": ColumnKind("text", 0.0, "text")}}
    assert checked(text, columns={"input": ["a", "c"]}, kinds=kinds).step_tables is not None


def test_a_step_that_gives_another_type_than_promised_is_our_fault() -> None:
    plan = checked(RULES)
    assert plan.step_tables is not None
    told = [
        (step, replace(column, type=INTEGER) if column.name == "c" else column)
        for step, column in plan.step_tables.columns[0]
    ]
    wrong = replace(
        plan, step_tables=replace(plan.step_tables, columns={**plan.step_tables.columns, 0: (*told,)})
    )
    with pytest.raises(ServiceError, match=r"steps\[0\], column c"):
        refuse_other_results(wrong)


def test_a_query_that_does_not_bind_is_our_fault() -> None:
    plan = checked(RULES)
    assert plan.step_tables is not None
    with pytest.raises(ServiceError):
        refuse_other_results(
            replace(plan, step_tables=replace(plan.step_tables, values={0: "SELECT nothing"}))
        )
