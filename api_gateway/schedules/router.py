"""Schedules as a resource: list, pause, resume, delete. They are made by `POST /api/trigger-scheduled-report/`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api_gateway.dependencies import ContextDep, ReaderDep, WriterDep
from api_gateway.documentation import problems
from api_gateway.paging import DEFAULT_LIMIT, MAX_LIMIT, Page, next_link
from api_gateway.schedules.schemas import ScheduleItem, schedule_item
from reportgen_dagster.services import schedules

router = APIRouter(prefix="/api/v1/schedules", tags=["schedules"])


@router.get("", response_description="A page of schedules.", responses=problems(400, 401, 503))
def list_schedules(
    request: Request,
    response: Response,
    caller: ReaderDep,
    context: ContextDep,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(description="From the `next` link of the page before.")] = None,
) -> Page[ScheduleItem]:
    """List the caller's schedules, oldest first."""
    found, cursor = schedules.page_of_schedules(context, caller.user_id, limit=limit, cursor=cursor)
    return Page(
        items=[schedule_item(schedule, context.settings) for schedule in found],
        next=next_link(request, response, cursor),
    )


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
