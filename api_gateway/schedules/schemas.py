"""Answers about schedules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from api_gateway.reports.schemas import RunItem, run_item
from reportgen_dagster.services.runs import RunView
from reportgen_dagster.services.schedules import ScheduleView
from reportgen_dagster.settings import Settings


class ScheduleItem(BaseModel):
    """A scheduled report."""

    id: str
    report_name: str
    name: str = Field(description="What it is called among the schedules of its report.")
    cron: str
    words: str = Field(description="The cron expression in plain English.")
    timezone: str
    missed: Literal["skip", "last", "all"] = Field(
        description="What becomes of times while Dagster was away: none of them runs, the last one, or all."
    )
    unchanged: Literal["run", "skip"] = Field(
        description="Whether it runs where rules and data are those of the last report."
    )
    parameters: dict[str, Any] = Field(description="What each of its runs is given.")
    paused: bool
    next_run: datetime | None = Field(description="Null while it is paused.")
    last_run: RunItem | None = Field(description="Its last run and how that ended.")
    created_at: datetime


class ScheduleDetail(ScheduleItem):
    """A scheduled report by itself."""

    next_runs: list[datetime] = Field(
        description="The next ten times; of a paused one those that it would run at.",
        examples=[["2026-11-30T05:00:00Z", "2026-12-01T05:00:00Z"]],
    )
    last_runs: list[RunItem] = Field(description="The last ten runs and how they ended, the latest first.")


def schedule_item(schedule: ScheduleView, settings: Settings) -> ScheduleItem:
    """Show a schedule to its owner."""
    return ScheduleItem(**_members(schedule, settings))


def schedule_detail(
    schedule: ScheduleView, last_runs: Sequence[RunView], settings: Settings
) -> ScheduleDetail:
    """Show a schedule by itself to its owner."""
    return ScheduleDetail(
        **_members(schedule, settings),
        next_runs=[moment.astimezone(UTC) for moment in schedule.next_runs()],
        last_runs=[run_item(run, settings) for run in last_runs],
    )


def _members(schedule: ScheduleView, settings: Settings) -> dict[str, Any]:
    return {
        "id": schedule.id,
        "report_name": schedule.report_name,
        "name": schedule.name,
        "cron": schedule.cron,
        "words": schedule.words,
        "timezone": schedule.timezone,
        "missed": schedule.missed,
        "unchanged": schedule.unchanged,
        "parameters": schedule.parameters,
        "paused": schedule.paused,
        "next_run": schedule.next_run,
        "last_run": run_item(schedule.last_run, settings) if schedule.last_run else None,
        "created_at": schedule.created_at,
    }
