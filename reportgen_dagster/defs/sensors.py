"""The sensors that keep catalog and Dagster in step: launch what is accepted, end what died, tell what a kill kept silent.

Two more bring events into the catalog: a report's new data, and what operators switch or cancel here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    RunStatusSensorContext,
    SensorEvaluationContext,
    SkipReason,
    run_status_sensor,
    sensor,
)
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorStatus
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from reportgen_dagster.defs import events
from reportgen_dagster.defs.jobs import generate_report, run_request
from reportgen_dagster.defs.keys import ARTIFACT_TAG, RUN_ID_TAG, SCHEDULE_PREFIX, report_key
from reportgen_dagster.defs.process import context_of_process
from reportgen_dagster.services import (
    attempts,
    launching,
    publications,
    reaper,
    report_runs,
    switches,
)
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.publications import Reportable

INTERVAL_SECONDS = 5
RECENT_MATERIALIZATIONS = 50


@sensor(
    job=generate_report,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Launches accepted runs that have no live Dagster run: the gateway or Dagster was away.",
)
def launch_accepted_runs(context: SensorEvaluationContext) -> Iterator[RunRequest]:
    """Ask for a Dagster run for each accepted run that has none; those that wait in Dagster's queue step back for others."""
    service = context_of_process()
    launches = reaper.launchable(service)
    in_dagster = _with_live_dagster_run(context.instance, [launch.run_id for launch in launches])
    reaper.mark_waiting(service, sorted(in_dagster))
    for launch in launches:
        if launch.run_id not in in_dagster:
            launched = reaper.mark_launched(service, launch.run_id, None)
            yield run_request(launch, run_key=f"{launch.run_id}:{launched}")


def _with_live_dagster_run(instance: DagsterInstance, run_ids: Collection[str]) -> set[str]:
    if not run_ids:
        return set()
    living = RunsFilter(tags={RUN_ID_TAG: list(run_ids)}, statuses=NOT_FINISHED_STATUSES)
    return {run.tags[RUN_ID_TAG] for run in instance.get_runs(living)}


@sensor(
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Ends or relaunches runs whose worker gives no sign of life any more.",
)
def reap_lost_runs(_context: SensorEvaluationContext) -> SkipReason:
    """Let the catalog's reaper look; it starts nothing itself."""
    told = reaper.reap(context_of_process())
    return SkipReason("; ".join(told) or "Every running report is alive.")


@sensor(
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Writes the asset events of reports that were published by a worker that was killed right after.",
)
def report_published_runs(context: SensorEvaluationContext) -> SkipReason:
    """Write what is missing, once for each artifact."""
    service = context_of_process()
    published = publications.unreported(service)
    failures = []
    for reportable in published:
        try:
            _report(service, context.instance, reportable)
        except Exception as error:
            # One run that cannot be told of must not silence the others; the tick still ends as failed.
            failures.append(error)
    if failures:
        raise failures[0]
    return SkipReason(
        f"Reported: {len(published):,}." if published else "Every published report is reported."
    )


def _report(service: Context, instance: DagsterInstance, reportable: Reportable) -> None:
    if not _is_reported(instance, reportable):
        for event in events.of_run(service, reportable.run_id, instance):
            instance.report_runless_asset_event(event)
        _note(instance, reportable)
    publications.mark_reported(service, reportable.run_id)


def _is_reported(instance: DagsterInstance, published: Reportable) -> bool:
    key = report_key(published.owner_id, published.report_name)
    records = instance.fetch_materializations(key, limit=RECENT_MATERIALIZATIONS).records
    tags = [record.asset_materialization.tags or {} for record in records if record.asset_materialization]
    return any(tag.get(ARTIFACT_TAG) == published.artifact_id for tag in tags)


def _note(instance: DagsterInstance, published: Reportable) -> None:
    run = instance.get_run_by_id(published.dagster_run_id) if published.dagster_run_id else None
    if run is not None:
        instance.report_engine_event(
            "The report was published before this run's process was killed; its events were written later.",
            run,
        )


@sensor(
    job=generate_report,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Runs reports that want to when a dataset has a new version and no newer one came for their time.",
)
def run_on_new_data(_context: SensorEvaluationContext) -> Iterator[RunRequest | SkipReason]:
    """Accept a run for each report with new data; it is in the catalog before Dagster is asked."""
    service = context_of_process()
    accepted = report_runs.accept_on_new_data(service)
    if not accepted:
        yield SkipReason("No dataset that a report waits for has a new version.")
    for launch in launching.launches_of(service, accepted):
        reaper.mark_launched(service, launch.run_id, None)
        yield run_request(launch, run_key=launch.run_id)


@sensor(
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Pauses and resumes schedules in the catalog as operators switch them off and on here.",
)
def take_over_switches(context: SensorEvaluationContext) -> SkipReason:
    """Bring what operators switched by hand into the catalog, where the owner sees it."""
    told = switches.take_over(context_of_process(), lambda: _by_hand(context.instance))
    return SkipReason(" ".join(told) or "Nobody switched a schedule by hand.")


def _by_hand(instance: DagsterInstance) -> dict[tuple[str, str], str]:
    """Return the status of each schedule that was switched by hand, by code location and schedule."""
    states = instance.all_instigator_state(
        instigator_type=InstigatorType.SCHEDULE,
        instigator_statuses={InstigatorStatus.RUNNING, InstigatorStatus.STOPPED},
    )
    return {
        (
            state.repository_selector.location_name,
            state.instigator_name.removeprefix(SCHEDULE_PREFIX),
        ): state.status.value
        for state in states
        if state.instigator_name.startswith(SCHEDULE_PREFIX)
    }


@run_status_sensor(
    run_status=DagsterRunStatus.CANCELED,
    monitor_all_code_locations=True,
    default_status=DefaultSensorStatus.RUNNING,
    description="Cancels the accepted run of a Dagster run that an operator cancelled.",
)
def cancel_with_dagster(context: RunStatusSensorContext) -> None:
    """Bring an operator's decision into the catalog, also for a run that no worker had started."""
    run = context.dagster_run
    attempts.cancel(context_of_process(), run.run_id, run.tags.get(RUN_ID_TAG))
