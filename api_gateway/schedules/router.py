"""Schedules as a resource: list, get, pause, resume, delete.

They are made with their reports, by `PUT /api/v1/reports/{name}` or `POST /api/trigger-scheduled-report/`.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api_gateway.dependencies import ContextDep, ReaderDep, WriterDep
from api_gateway.documentation import problems
from api_gateway.paging import DEFAULT_LIMIT, CursorQuery, LimitQuery, Page, page
from api_gateway.schedules.schemas import ScheduleDetail, ScheduleItem, schedule_detail, schedule_item
from reportgen_dagster.services import schedules

router = APIRouter(prefix="/api/v1/schedules", tags=["schedules"])


@router.get("", response_description="A page of schedules.", responses=problems(400, 401, 503))
def list_schedules(
    request: Request,
    response: Response,
    caller: ReaderDep,
    context: ContextDep,
    limit: LimitQuery = DEFAULT_LIMIT,
    cursor: CursorQuery = None,
) -> Page[ScheduleItem]:
    """List the caller's schedules, oldest first, each with its next and its last run."""
    found, cursor = schedules.page_of_schedules(context, caller.user_id, limit=limit, cursor=cursor)
    items = [schedule_item(schedule, context.settings) for schedule in found]
    return page(request, response, items, cursor)


@router.get("/{schedule_id}", response_description="The schedule.", responses=problems(401, 404, 503))
def get_schedule(schedule_id: str, caller: ReaderDep, context: ContextDep) -> ScheduleDetail:
    """Show a schedule with its next ten times and what became of its last ten runs."""
    schedule = schedules.get_schedule(context, caller.user_id, schedule_id)
    last_runs = schedules.last_runs(context, caller.user_id, schedule.id)
    return schedule_detail(schedule, last_runs, context.settings)


@router.post(
    "/{schedule_id}/pause", response_description="The schedule, paused.", responses=problems(401, 404, 503)
)
def pause_schedule(schedule_id: str, caller: WriterDep, context: ContextDep) -> ScheduleItem:
    """Stop a schedule's ticks until it is resumed. Acts at once; pausing twice is no error."""
    schedule = schedules.pause(context, caller.user_id, schedule_id)
    return schedule_item(schedule, context.settings)


@router.post(
    "/{schedule_id}/resume", response_description="The schedule, ticking.", responses=problems(401, 404, 503)
)
def resume_schedule(schedule_id: str, caller: WriterDep, context: ContextDep) -> ScheduleItem:
    """Let a schedule tick again, from its next time on."""
    schedule = schedules.resume(context, caller.user_id, schedule_id)
    return schedule_item(schedule, context.settings)


@router.delete(
    "/{schedule_id}", status_code=204, response_description="It is gone.", responses=problems(401, 404, 503)
)
def delete_schedule(schedule_id: str, caller: WriterDep, context: ContextDep) -> None:
    """Delete a schedule. Its runs and their reports stay."""
    schedules.delete_schedule(context, caller.user_id, schedule_id)
