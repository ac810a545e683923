"""What Dagster sees of reports of the long form: contracts of each file as checks, parameters, and rejects of failed runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import AssetCheckEvaluation, AssetCheckKey, DagsterInstance, ExecuteInProcessResult

from reportgen_dagster.defs.jobs import generate_report, run_config
from reportgen_dagster.defs.keys import (
    CONTRACT_CHECK,
    INPUT_CHECK,
    REJECTS_CHECK,
    contract_check,
    report_key,
)
from reportgen_dagster.services import runs, uploads
from tests.definitions.conftest import Ann

RULES = """
version: 1
parameters:
  factor: {{type: integer, default: 1}}
input:
  schema:
    fields:
      - {{name: desk, type: string, title: Desk, description: who traded}}
      - {{name: amount, type: integer, constraints: {{minimum: 0}}}}
      - {{name: note, type: string, constraints: {{maxLength: 3}}, severity: warn}}
references:
  desks:
    schema: {{primaryKey: id, fields: [{{name: id, type: string}}, {{name: name, type: string}}]}}
steps:
  - lookup: {{reference: desks, match: {{desk: id}}}}
  - derive: {{total: "amount * :factor", day: today()}}
output:
  schema: {{fields: [{{name: total, type: integer, description: what it is worth, constraints: {{maximum: {most}}}}}]}}
rejects: {{policy: {policy}, max: {limit}}}
"""
INPUT = b"desk,amount,note\nd1,5,abc\nd1,-1,abc\nd2,7,abcdef\n"
DESKS = b"id,name\nd1,FX\nd2,rates\n"


def _accept(
    ann: Ann,
    *,
    policy: str = "divert",
    most: int = 1000,
    limit: str = "null",
    given: bytes = INPUT,
    desks: bytes = DESKS,
    parameters: Mapping[str, Any] | None = None,
) -> str:
    files = {
        name: uploads.receive(ann.context, f"{name}.csv", [body], role=name)
        for name, body in (("input", given), ("desks", desks))
    }
    rules = uploads.RulesText("rules.yaml", RULES.format(policy=policy, most=most, limit=limit), "yaml")
    return runs.accept_run(ann.context, ann.id, files=files, rules=rules, parameters=parameters).id


def _execute(run_id: str, instance: DagsterInstance) -> ExecuteInProcessResult:
    return generate_report.execute_in_process(
        run_config=run_config(run_id), instance=instance, raise_on_error=False
    )


def _check(instance: DagsterInstance, ann: Ann, name: str) -> AssetCheckEvaluation:
    key = AssetCheckKey(report_key(ann.id, "default"), name)
    (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
    return record.event.dagster_event.asset_check_evaluation_data


def test_a_report_is_made_with_its_parameters_and_its_date(ann: Ann, instance: DagsterInstance) -> None:
    run_id = _accept(ann, parameters={"factor": 3})
    assert _execute(run_id, instance).success
    run = ann.run(run_id)
    assert (run.input_count, run.row_count, run.reject_count) == (3, 2, 1)
    day = run.run_date.isoformat()
    assert ann.report(run_id) == (
        f"desk,amount,note,name,total,day\nd1,5,abc,FX,15,{day}\nd2,7,abcdef,rates,21,{day}\n"
    )
    event = instance.get_latest_materialization_event(report_key(ann.id, "default"))
    metadata = event.asset_materialization.metadata
    types = {column.name: column.type for column in metadata["dagster/column_schema"].schema.columns}
    assert (types["total"], types["day"], types["name"]) == ("integer", "date", "text")
    words = {column.name: column.description for column in metadata["dagster/column_schema"].schema.columns}
    assert (words["total"], words["desk"], words["day"]) == ("what it is worth", "Desk: who traded", None)
    assert metadata["parameters"].data == {"factor": 3}
    assert metadata["run date"].value == day
    lineage = metadata["dagster/column_lineage"].lineage.deps_by_column
    assert [dep.column_name for dep in lineage["name"]] == ["name"]


def test_each_files_contract_is_a_check_with_its_severity(ann: Ann, instance: DagsterInstance) -> None:
    _execute(_accept(ann), instance)
    given = _check(instance, ann, INPUT_CHECK)
    assert (given.passed, given.severity.name) == (False, "ERROR")
    failures = {failure["column"]: failure for failure in given.metadata["failures"].data}
    assert (failures["amount"]["severity"], failures["amount"]["count"]) == ("error", 1)
    assert (failures["note"]["severity"], failures["note"]["count"]) == ("warn", 1)
    assert _check(instance, ann, contract_check("desks")).passed
    assert _check(instance, ann, CONTRACT_CHECK).passed
    rejects = _check(instance, ann, REJECTS_CHECK)
    assert (rejects.passed, rejects.severity.name) == (False, "WARN")


def test_rejects_that_the_rules_allow_break_no_check(ann: Ann, instance: DagsterInstance) -> None:
    assert _execute(_accept(ann, limit="40%"), instance).success
    check = _check(instance, ann, REJECTS_CHECK)
    assert check.passed
    assert check.description == "1 of 3 rows (33.3%) were diverted; the rules allow 40%."
    told = [check.metadata[name].value for name in ("rows rejected", "share of rows", "limit")]
    assert told == [1, "33.3%", "40%"]
    assert check.metadata["samples"].data[0]["_line"] == "3"


def test_rejects_that_the_rules_say_nothing_of_are_a_warning(ann: Ann, instance: DagsterInstance) -> None:
    assert _execute(_accept(ann), instance).success
    check = _check(instance, ann, REJECTS_CHECK)
    assert (check.passed, check.severity.name) == (False, "WARN")
    assert check.description == "1 of 3 rows (33.3%) were diverted; the rules name no limit."
    assert check.metadata["limit"].value == "none"


def test_rejects_beyond_what_the_rules_allow_fail_check_and_run(ann: Ann, instance: DagsterInstance) -> None:
    assert not _execute(_accept(ann, limit="1%"), instance).success
    check = _check(instance, ann, REJECTS_CHECK)
    assert (check.passed, check.severity.name) == (False, "ERROR")
    told = [check.metadata[name].value for name in ("rows rejected", "share of rows", "limit")]
    assert told == [1, "33.3%", "1%"]


def test_rejects_of_a_failed_run_stay_downloadable(ann: Ann, instance: DagsterInstance) -> None:
    run_id = _accept(ann, policy="fail")
    assert not _execute(run_id, instance).success
    run = ann.run(run_id)
    assert (run.state, run.has_rejects, run.reject_count) == ("failed", True, 1)
    assert "rejects" in run.error["detail"]
    rejects = runs.rejects_file(ann.context, ann.id, run_id).path.read_text()
    assert rejects.count("\n") == 2
    assert "d1,-1,abc" in rejects
    check = _check(instance, ann, REJECTS_CHECK)
    assert (check.passed, check.severity.name) == (False, "ERROR")
    assert check.metadata["samples"].data[0]["_line"]
    given = _check(instance, ann, contract_check("input"))
    assert (given.passed, given.metadata["failures"].data[0]["count"]) == (False, 1)


def test_a_report_that_breaks_its_contract_fails_its_check(ann: Ann, instance: DagsterInstance) -> None:
    run_id = _accept(ann, most=6)
    assert not _execute(run_id, instance).success
    assert ann.run(run_id).error["code"] == "contract-broken"
    check = _check(instance, ann, CONTRACT_CHECK)
    assert (check.passed, check.severity.name) == (False, "ERROR")
    assert "total" in check.description


def test_a_reference_that_breaks_its_contract_fails_its_check(ann: Ann, instance: DagsterInstance) -> None:
    run_id = _accept(ann, desks=DESKS + b"d1,again\n")
    assert not _execute(run_id, instance).success
    assert ann.run(run_id).state == "failed"
    assert not _check(instance, ann, contract_check("desks")).passed
