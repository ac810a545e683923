"""Answers about schedules."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from api_gateway.reports.schemas import RunItem, run_item
from reportgen_dagster.services.schedules import ScheduleView
from reportgen_dagster.settings import Settings


class ScheduleItem(BaseModel):
    """A scheduled report."""

    id: str
    report_name: str
    cron: str
    timezone: str
    parameters: dict[str, Any] = Field(description="What each of its runs is given.")
    paused: bool
    next_run: datetime | None = Field(description="Null while it is paused.")
    last_run: RunItem | None = Field(description="Its last run and how that ended.")
    created_at: datetime


def schedule_item(schedule: ScheduleView, settings: Settings) -> ScheduleItem:
    """Show a schedule to its owner."""
    return ScheduleItem(
        id=schedule.id,
        report_name=schedule.report_name,
        cron=schedule.cron,
        timezone=schedule.timezone,
        parameters=schedule.parameters,
        paused=schedule.paused,
        next_run=schedule.next_run,
        last_run=run_item(schedule.last_run, settings) if schedule.last_run else None,
        created_at=schedule.created_at,
    )
