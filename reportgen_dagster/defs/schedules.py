"""Each schedule of a report as a Dagster schedule. A tick accepts its runs in the catalog before Dagster makes them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

from dagster import (
    DefaultScheduleStatus,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
)

from reportgen_dagster.defs.crons import as_dagster_takes
from reportgen_dagster.defs.jobs import generate_report, run_request
from reportgen_dagster.defs.keys import OWNER_TAG, schedule_name
from reportgen_dagster.defs.process import context_of_process
from reportgen_dagster.services import definitions, launching, ticks
from reportgen_dagster.services.cron import check_cron, in_words
from reportgen_dagster.services.definitions import ReportDefinition

_log = logging.getLogger(__name__)

_MISSED = {
    "skip": "missed times are skipped",
    "last": "of missed times the last is made up for",
    "all": "all missed times are made up for",
}


def report_schedules(reports: Sequence[ReportDefinition]) -> list[ScheduleDefinition]:
    """Return the schedules of these reports, each on unless it or its report is paused.

    One that Dagster would not take is left out, and its report's description tells why: the others load.
    """
    built = []
    for report in reports:
        for schedule in report.schedules:
            try:
                check_cron(schedule.cron, schedule.timezone)
                built.append(_schedule(report, schedule))
            except Exception as error:
                _log.warning("the schedule %s cannot be built", schedule.id, exc_info=error)
    return built


def _schedule(report: ReportDefinition, schedule: definitions.ScheduleDefinition) -> ScheduleDefinition:
    unchanged = ", unchanged data is skipped" if schedule.unchanged == "skip" else ""
    return ScheduleDefinition(
        name=schedule_name(schedule.id),
        job=generate_report,
        cron_schedule=as_dagster_takes(schedule.cron, schedule.timezone),
        execution_timezone=schedule.timezone,
        execution_fn=_tick(schedule.id),
        default_status=DefaultScheduleStatus.STOPPED if schedule.paused else DefaultScheduleStatus.RUNNING,
        description=f"{report.name} of {report.owner_email}: {in_words(schedule.cron)} ({schedule.timezone});"
        f" {_MISSED[schedule.missed]}{unchanged}",
        tags={OWNER_TAG: report.owner_id},
    )


def _tick(schedule_id: str) -> Callable[[ScheduleEvaluationContext], Iterator[RunRequest | SkipReason]]:
    def tick(context: ScheduleEvaluationContext) -> Iterator[RunRequest | SkipReason]:
        service = context_of_process()
        told = ticks.accept_tick(service, schedule_id, context.scheduled_execution_time)
        if told.reason:
            yield SkipReason(told.reason)
        for launch in launching.launches_of(service, told.run_ids):
            yield run_request(launch, run_key=launch.run_id)

    return tick
