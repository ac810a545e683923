"""What happens to a run, told live as server-sent events; whoever was cut off gets what he missed."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from api_gateway.dependencies import ContextDep, FollowerDep, ReaderDep
from api_gateway.documentation import problems
from api_gateway.following import Stream
from api_gateway.reports.schemas import Stage, State, error_words
from reportgen_dagster.services import runs
from reportgen_dagster.services.run_events import RunEventView

router = APIRouter(prefix="/api/v1/runs", tags=["runs"])

RETRY_MILLISECONDS = 2_000
# After that the client comes again, by itself, and shows its token anew.
STREAM_SECONDS = 300.0
_EXAMPLE = """retry: 2000

id: 1
event: accepted
data: {"task_id":"0123456789abcdef0123456789abcdef","status":"accepted","stage":"waiting","progress":0,"rows":null,\
"rejected":null,"error":null,"at":"2026-11-29T10:00:00Z"}

id: 2
event: progress
data: {"task_id":"0123456789abcdef0123456789abcdef","status":"running","stage":"transform","progress":60,"rows":1200000,\
"rejected":null,"error":null,"at":"2026-11-29T10:00:03Z"}

"""
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The events, as they happen.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
    },
    **problems(
        400,
        401,
        404,
        429,
        503,
        status_400="A Last-Event-ID that is none of ours.",
        status_429="You have too many streams open; see Retry-After.",
    ),
}


class RunEventItem(BaseModel):
    """One thing that happened to a run: the data of an event."""

    task_id: str
    status: State
    stage: Stage
    progress: int = Field(description="0 to 100.")
    rows: int | None = Field(description="Rows read so far; of a success: rows of the report.")
    rejected: int | None = Field(description="Rows of the input that are in the rejects instead.")
    error: str | None = Field(description="Why it failed or was cancelled, in words to act on.")
    at: datetime

    @classmethod
    def of(cls, event: RunEventView) -> RunEventItem:
        """Show an event."""
        return cls(
            task_id=event.run_id,
            status="running" if event.kind in ("stage", "progress") else event.kind,
            stage=event.stage,
            progress=event.progress,
            rows=event.rows,
            rejected=event.rejected,
            error=error_words(event.error),
            at=event.at,
        )


async def _stream(
    run_id: str, caller: ReaderDep, context: ContextDep, follower: FollowerDep
) -> AsyncIterator[Stream]:
    run = await run_in_threadpool(runs.find_run, context, caller.user_id, run_id)
    with follower.watching(caller, run.id) as stream:
        await follower.look_for([run.id])
        yield stream


@router.get("/{run_id}/events", response_class=EventSourceResponse, responses=_ANSWERS)
async def watch_run(
    stream: Annotated[Stream, Depends(_stream)],
    last_event_id: Annotated[
        int,
        Header(
            ge=0,
            alias="Last-Event-ID",
            description="The id of the last event that arrived; those after it are told.",
        ),
    ] = 0,
) -> AsyncIterable[ServerSentEvent]:
    """Watch a run: server-sent events `accepted`, `stage`, `progress`, and at last `succeeded`, `failed` or `cancelled`.

    The first stream begins with what happened already. After a cut, `Last-Event-ID` brings what was missed, from any gateway. The
    stream ends after the last event; before that it ends after five minutes at most, and is to be opened again, or a few seconds
    after the session or API token that it was opened with. A run that lost its worker is `accepted` once more. Where streams do
    not pass, `GET /api/v1/runs/{run_id}` tells the same at any moment.
    """
    yield ServerSentEvent(retry=RETRY_MILLISECONDS)
    async for event in stream.events(last_event_id, seconds=STREAM_SECONDS):
        yield ServerSentEvent(data=RunEventItem.of(event), event=event.kind, id=str(event.number))
