"""Re-execution in the Dagster UI: a finished run is made anew as a run of its own, of the same versions."""

from __future__ import annotations

import pytest
from dagster import DagsterInstance, JobExecutionResult, ReexecutionOptions, execute_job, reconstructable
from sqlalchemy import text

from reportgen_dagster.defs.jobs import generate_report, run_config
from reportgen_dagster.defs.keys import report_key
from reportgen_dagster.services import cancelling, runs
from tests.definitions.conftest import Ann

STEPS = {"claim", "ingest", "validate", "transform", "publish"}


def execute(run_id: str, instance: DagsterInstance) -> JobExecutionResult:
    return execute_job(
        reconstructable(generate_report),
        instance=instance,
        run_config=run_config(run_id),
        raise_on_error=False,
    )


def reexecute(first: JobExecutionResult, instance: DagsterInstance, *steps: str) -> JobExecutionResult:
    return execute_job(
        reconstructable(generate_report),
        instance=instance,
        run_config=first.dagster_run.run_config,
        reexecution_options=ReexecutionOptions(first.run_id, steps),
        raise_on_error=False,
    )


def made_steps(result: JobExecutionResult) -> set[str]:
    return {event.step_key for event in result.all_events if event.is_step_success}


def all_runs(ann: Ann) -> list[runs.RunView]:
    return runs.list_runs(ann.context, ann.id)[0]


def test_a_finished_run_is_made_anew_as_a_run_of_its_own(ann: Ann, stored: DagsterInstance) -> None:
    run_id = ann.accept()
    first = execute(run_id, stored)
    again = reexecute(first, stored)
    assert again.success
    assert made_steps(again) == STEPS, "whoever re-executes wants it to be made, not taken over"
    new, old = all_runs(ann)
    assert (old.id, new.trigger, new.state) == (run_id, "dagster", "succeeded")
    assert ann.report(new.id) == ann.report(old.id)
    (told, _) = stored.fetch_materializations(report_key(ann.id, "default"), limit=5).records
    assert (told.run_id, told.asset_materialization.description) == (again.run_id, f"Run {new.id}")


def test_a_run_that_was_cancelled_is_made_by_a_re_execution(ann: Ann, stored: DagsterInstance) -> None:
    run_id = ann.accept()
    cancelling.cancel_run(ann.context, ann.id, run_id)
    assert reexecute(execute(run_id, stored), stored).success
    assert [run.state for run in all_runs(ann)] == ["succeeded", "cancelled"]


def test_a_re_execution_of_a_run_that_waits_carries_out_that_one(ann: Ann, stored: DagsterInstance) -> None:
    run_id = ann.accept()
    parent = stored.create_run_for_job(generate_report, run_config=run_config(run_id))
    again = execute_job(
        reconstructable(generate_report),
        instance=stored,
        run_config=run_config(run_id),
        reexecution_options=ReexecutionOptions(parent.run_id),
    )
    assert again.success
    assert [(run.id, run.state) for run in all_runs(ann)] == [(run_id, "succeeded")]


def test_a_run_whose_files_are_gone_says_so(ann: Ann, stored: DagsterInstance) -> None:
    first = execute(ann.accept(), stored)
    with ann.context.catalog.transaction() as session:  # as `remove_old_files` notes it
        session.execute(text("UPDATE runs SET expired_at = now()"))
    again = reexecute(first, stored)
    (failed,) = [event for event in again.all_events if event.is_step_failure]
    assert "were old and are gone" in failed.step_failure_data.user_failure_data.description
    assert len(all_runs(ann)) == 1


@pytest.mark.parametrize("steps", [("transform", "publish")])
def test_single_steps_make_nothing(ann: Ann, stored: DagsterInstance, steps: tuple[str, ...]) -> None:
    first = execute(ann.accept(), stored)
    assert not reexecute(first, stored, *steps).success
    assert len(all_runs(ann)) == 1
    assert len(stored.fetch_materializations(report_key(ann.id, "default"), limit=5).records) == 1
