"""Answers about reports and their runs, as the original contract names their members."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from reportgen_dagster.services.runs import RunView
from reportgen_dagster.settings import Settings

State = Literal["accepted", "running", "succeeded", "failed", "cancelled"]
Stage = Literal["waiting", "ingest", "validate", "transform", "publish", "done"]
Trigger = Literal["api", "schedule", "data", "dagster"]


class TaskAccepted(BaseModel):
    """A report that will be made, whatever is killed from now on."""

    task_id: str
    status: State
    status_url: str = Field(examples=["/api/task-status/3f2b8c5a9d1e4f70a6b2c4d8e0f19375/"])
    download_url: str = Field(examples=["/api/download-report/3f2b8c5a9d1e4f70a6b2c4d8e0f19375/"])


class TaskState(BaseModel):
    """A report that is not ready yet."""

    task_id: str
    status: State


class TaskEnded(TaskState):
    """A report that was not made."""

    error: str | None = Field(description="Why, in words to act on.")


class Links(BaseModel):
    """Where else to look."""

    self: str
    download: str
    downloads: dict[str, str] = Field(description="Each file of the report by its format, once made.")
    rejects: str | None = Field(description="Null if no row was rejected.")
    dagster: str | None = Field(description="The last attempt with its log in the Dagster UI, for operators.")


class TaskStatus(TaskEnded):
    """How far a report is."""

    stage: Stage
    progress: int = Field(description="0 to 100.")
    rows: int | None = Field(description="Rows of the report, once made.")
    rejected: int | None = Field(description="Rows of the input that are in the rejects instead.")
    dagster_run_id: str | None
    links: Links


class RunItem(TaskStatus):
    """A run in a list."""

    report_name: str
    trigger: Trigger
    schedule_id: str | None
    parameters: dict[str, Any] = Field(description="As they were given.")
    run_date: date = Field(description="What `today()` is; of a schedule its due date.")
    due_at: datetime | None = Field(description="The tick that it belongs to, of a schedule.")
    accepted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    problem: dict[str, Any] | None = Field(
        description="Why it failed, as data: code, fault (request, data or service), detail, hint, problems."
    )


class ScheduleAccepted(BaseModel):
    """A scheduled report, and the run that was accepted with it."""

    message: str
    task_id: str
    report_name: str
    cron: str
    next_run: datetime | None


def status_path(run_id: str) -> str:
    """Return where the status of a run is."""
    return f"/api/task-status/{run_id}/"


def download_path(run_id: str) -> str:
    """Return where the report of a run is."""
    return f"/api/download-report/{run_id}/"


def error_text(run: RunView) -> str | None:
    """Return why a run failed and how to mend it; None if it did not."""
    return error_words(run.error)


def error_words(error: Mapping[str, Any] | None) -> str | None:
    """Return what an error of a run says and how to mend it; None if there is none."""
    if error is None:
        return None
    detail, hint = str(error["detail"]), str(error.get("hint") or "")
    return f"{detail.rstrip('.')}. {hint}" if hint else detail


def task_status(run: RunView, settings: Settings) -> TaskStatus:
    """Show a run to its owner."""
    return TaskStatus(
        task_id=run.id,
        status=run.state,
        error=error_text(run),
        stage=run.stage,
        progress=run.progress,
        rows=run.row_count,
        rejected=run.reject_count,
        dagster_run_id=run.dagster_run_id,
        links=Links(
            self=status_path(run.id),
            download=download_path(run.id),
            downloads={name: f"{download_path(run.id)}?format={name}" for name in run.formats or ()}
            if run.state == "succeeded"
            else {},
            rejects=f"/api/v1/runs/{run.id}/rejects" if run.has_rejects else None,
            dagster=f"{settings.dagster_ui_url}/runs/{run.dagster_run_id}" if run.dagster_run_id else None,
        ),
    )


def run_item(run: RunView, settings: Settings) -> RunItem:
    """Show a run in a list."""
    return RunItem(
        **dict(task_status(run, settings)),
        report_name=run.report_name,
        trigger=run.trigger,
        schedule_id=run.schedule_id,
        parameters=run.parameters,
        run_date=run.run_date,
        due_at=run.due_at,
        accepted_at=run.accepted_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        problem=run.error,
    )
