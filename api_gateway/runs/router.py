"""Runs as a resource: list them, cancel one, download what they rejected, and links that download without a token."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from api_gateway.dependencies import ContextDep, LauncherDep, ReaderDep, RunnerDep
from api_gateway.documentation import problems
from api_gateway.downloads import file_response
from api_gateway.paging import DEFAULT_LIMIT, MAX_LIMIT, Page, next_link
from api_gateway.reports.schemas import RunItem, run_item
from reportgen_dagster.services import cancelling, links, runs

router = APIRouter(prefix="/api/v1/runs", tags=["runs"])
open_router = APIRouter(tags=["runs"])


class DownloadLink(BaseModel):
    """An address at which a file can be downloaded without a token, by anybody who has it."""

    url: str = Field(description="Of the storage itself where it can, else of this service.")
    expires_at: datetime = Field(description="Five minutes after it was asked for.")

    @classmethod
    def of(cls, link: links.Link) -> DownloadLink:
        """Show a link."""
        return cls(url=link.url, expires_at=link.expires_at)


@router.get("", response_description="One page of runs.", responses=problems(400, 401, 503))
def list_runs(
    request: Request,
    caller: ReaderDep,
    context: ContextDep,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(description="From the `next` link of the page before.")] = None,
) -> Page[RunItem]:
    """List the caller's runs, the last accepted first, whatever started them."""
    found, cursor = runs.list_runs(context, caller.user_id, limit=limit, cursor=cursor)
    return Page(
        items=[run_item(run, context.settings) for run in found],
        next=next_link(request.scope["path"], limit, cursor),
    )


@router.get("/{run_id}", response_description="The run.", responses=problems(401, 404, 503))
def get_run(run_id: str, caller: ReaderDep, context: ContextDep) -> RunItem:
    """Show a run: how far it is, how it ended, and why."""
    return run_item(runs.find_run(context, caller.user_id, run_id), context.settings)


@router.post(
    "/{run_id}/cancel",
    response_description="The run, cancelled.",
    responses=problems(
        401, 404, 409, 503, status_409="It is finished: succeeded, failed or cancelled before."
    ),
)
async def cancel_run(run_id: str, caller: RunnerDep, context: ContextDep, launcher: LauncherDep) -> RunItem:
    """Cancel a run, whether it waits or works.

    Nothing of it is published from now on; its process ends within two seconds.
    """
    run = await run_in_threadpool(cancelling.cancel_run, context, caller.user_id, run_id)
    launcher.end_soon(run.id)
    return run_item(run, context.settings)


@router.get(
    "/{run_id}/rejects",
    response_class=FileResponse,
    responses={
        200: {"description": "The rejects.", "content": {"text/csv": {"schema": {"type": "string"}}}},
        206: {"description": "The asked range of the rejects."},
        304: {"description": "The client has it (If-None-Match)."},
        **problems(401, 404, 416, 503, status_404="No such run, or it rejected nothing."),
    },
)
@router.head("/{run_id}/rejects", include_in_schema=False)
def download_rejects(run_id: str, request: Request, caller: ReaderDep, context: ContextDep) -> Response:
    """Download the rows that a run rejected, each with its line and the reason, as CSV."""
    return file_response(request, runs.rejects_file(context, caller.user_id, run_id))


@router.post(
    "/{run_id}/links",
    response_description="The link.",
    responses=problems(
        400,
        401,
        404,
        409,
        503,
        status_400="A format that there is not.",
        status_409="The run has no report: it is not finished, failed or was cancelled.",
    ),
)
def link_report(
    run_id: str,
    caller: ReaderDep,
    context: ContextDep,
    format_: Annotated[
        str | None,
        Query(
            alias="format",
            description="Which of the files that the run made; default: csv if it made that, else its first.",
        ),
    ] = None,
) -> DownloadLink:
    """Make a link that downloads a report without a token, for five minutes.

    Whoever has the link can use it. One of this service ends with the session that asked for it; one of the storage
    only runs out.
    """
    return DownloadLink.of(links.link_to_report(context, caller, run_id, format_))


@router.post(
    "/{run_id}/rejects/links",
    response_description="The link.",
    responses=problems(401, 404, 503, status_404="No such run, or it rejected nothing."),
)
def link_rejects(run_id: str, caller: ReaderDep, context: ContextDep) -> DownloadLink:
    """Make a link that downloads the rows that a run rejected without a token, for five minutes."""
    return DownloadLink.of(links.link_to_rejects(context, caller, run_id))


@open_router.get(
    f"{links.PATH}{{token}}",
    response_class=FileResponse,
    responses={
        200: {"description": "The file."},
        206: {"description": "The asked range of the file."},
        304: {"description": "The client has it (If-None-Match)."},
        **problems(404, 416, 503, status_404="The link opens nothing, or not any more."),
    },
)
@open_router.head(f"{links.PATH}{{token}}", include_in_schema=False)
def download_linked(token: str, request: Request, context: ContextDep) -> Response:
    """Download what a link is for. The link is all that is needed, and is good for nothing else."""
    return file_response(request, links.linked_file(context, token))
