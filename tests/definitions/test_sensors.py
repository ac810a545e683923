"""The sensors that bring events into the catalog, evaluated as Dagster's daemon does it."""

from __future__ import annotations

import pytest
from dagster import DagsterEventType, DagsterInstance, build_run_status_sensor_context, build_sensor_context
from dagster._core.events import DagsterEvent
from sqlalchemy import text

from reportgen_dagster.defs import sensors
from reportgen_dagster.defs.jobs import generate_report, run_config
from reportgen_dagster.defs.retention import remove_old_files
from reportgen_dagster.services import datasets, reports, rulesets
from reportgen_dagster.services.reports import Pick, ReportWish
from tests.definitions.conftest import EXAMPLE, RULES, Ann


def sql(ann: Ann, statement: str) -> None:
    with ann.context.catalog.transaction() as session:
        session.execute(text(statement))


def follow(ann: Ann) -> None:
    """A report that runs on new data, and was made an hour ago."""
    for name, upload in ann.files().items():
        datasets.add_version(ann.context, ann.id, name, upload)
    rulesets.put_ruleset(ann.context, ann.id, "margin", RULES)
    files = {"input": Pick("input"), "reference": Pick("reference")}
    wish = ReportWish(Pick("margin"), files, on_new_data=True, settle_seconds=1)
    reports.put_report(ann.context, ann.id, "daily", wish)
    sql(ann, "UPDATE reports SET created_at = created_at - interval '1 hour'")
    sql(ann, "UPDATE dataset_versions SET created_at = created_at - interval '2 hours'")


def asked_for(instance: DagsterInstance) -> list[str]:
    with build_sensor_context(instance=instance) as context:
        data = sensors.run_on_new_data.evaluate_tick(context)
    assert bool(data.run_requests) != bool(data.skip_message)
    return [request.tags["reportgen/run_id"] for request in data.run_requests or ()]


def test_new_data_are_run_once_for_each_report_that_waits_for_them(
    ann: Ann, instance: DagsterInstance
) -> None:
    follow(ann)
    assert asked_for(instance) == []
    body = (EXAMPLE / "input.csv").read_bytes()
    datasets.add_version(
        ann.context, ann.id, "input", ann.files(input=body + body.splitlines()[-1] + b"\n")["input"]
    )
    sql(ann, "UPDATE dataset_versions SET created_at = created_at - interval '2 seconds' WHERE number = 2")
    (run_id,) = asked_for(instance)
    run = ann.run(run_id)
    assert (run.trigger, run.report_name, run.state) == ("data", "daily", "accepted")
    assert asked_for(instance) == []


def test_a_run_that_was_cancelled_in_dagster_is_cancelled_in_the_catalog(
    ann: Ann, instance: DagsterInstance
) -> None:
    run_id = ann.accept()
    run = instance.create_run_for_job(
        generate_report, run_config=run_config(run_id), tags={"reportgen/run_id": run_id}
    )
    event = DagsterEvent(DagsterEventType.PIPELINE_CANCELED.value, generate_report.name)
    with build_run_status_sensor_context(
        sensor_name="cancel_with_dagster", dagster_event=event, dagster_instance=instance, dagster_run=run
    ) as context:
        sensors.cancel_with_dagster(context)
    assert ann.run(run_id).state == "cancelled"


def test_what_is_old_is_removed_and_the_tick_says_how_much(
    ann: Ann, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reportgen_dagster.defs.process import context_of_process

    monkeypatch.setenv("REPORTGEN_RETENTION_DAYS", "30")
    context_of_process.cache_clear()
    run_id = ann.accept()
    assert generate_report.execute_in_process(run_config=run_config(run_id), instance=instance).success
    with build_sensor_context(instance=instance) as context:
        assert "the files of 0 runs" in str(remove_old_files.evaluate_tick(context).skip_message)
    sql(ann, "UPDATE runs SET finished_at = finished_at - interval '31 days'")
    sql(ann, "UPDATE runs SET accepted_at = accepted_at - interval '31 days'")
    with build_sensor_context(instance=instance) as context:
        assert "the files of 1 runs" in str(remove_old_files.evaluate_tick(context).skip_message)
