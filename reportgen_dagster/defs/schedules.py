"""Each scheduled report as a Dagster schedule. A tick accepts a run in the catalog before Dagster is asked to make it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dagster import (
    DefaultScheduleStatus,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
)

from reportgen_dagster.defs.jobs import generate_report, run_config
from reportgen_dagster.defs.keys import OWNER_TAG, RUN_ID_TAG, schedule_name
from reportgen_dagster.defs.process import context_of_process
from reportgen_dagster.services import schedules
from reportgen_dagster.services.schedules import ReportDefinition


def report_schedules(reports: Sequence[ReportDefinition]) -> list[ScheduleDefinition]:
    """Return one schedule for each report, on unless its owner paused it."""
    return [
        ScheduleDefinition(
            name=schedule_name(report.schedule_id),
            job=generate_report,
            cron_schedule=report.cron,
            execution_timezone=report.timezone,
            execution_fn=_tick(report),
            default_status=DefaultScheduleStatus.STOPPED if report.paused else DefaultScheduleStatus.RUNNING,
            description=f"{report.report_name} of {report.owner_email}",
        )
        for report in reports
    ]


def _tick(report: ReportDefinition) -> Callable[[ScheduleEvaluationContext], RunRequest | SkipReason]:
    def tick(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
        run_id = schedules.accept_tick(
            context_of_process(), report.schedule_id, context.scheduled_execution_time
        )
        if run_id is None:
            return SkipReason("The schedule is paused or was deleted.")
        tags = {RUN_ID_TAG: run_id, OWNER_TAG: report.owner_id}
        return RunRequest(run_key=run_id, run_config=run_config(run_id), tags=tags)

    return tick
