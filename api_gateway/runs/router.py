"""Runs as a resource: find, show, cancel and repeat them, and their files; links that download without a token.

Live events of a run are in events.py.
"""

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
from api_gateway.idempotency import IdempotencyDep
from api_gateway.paging import DEFAULT_LIMIT, CursorQuery, LimitQuery, Page, page
from api_gateway.reports.schemas import RunItem, State, Trigger, run_item
from api_gateway.runs.schemas import (
    ArtifactItem,
    CheckItem,
    RunShown,
    artifact_item,
    check_item,
    run_shown,
)
from api_gateway.times import Moment
from reportgen_dagster.catalog.runs import RunFilter
from reportgen_dagster.services import cancelling, links, manifests, rerunning, run_details, runs
from reportgen_dagster.services.manifests import Manifest
from reportgen_dagster.services.runs import RunView

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
    response: Response,
    caller: ReaderDep,
    context: ContextDep,
    limit: LimitQuery = DEFAULT_LIMIT,
    cursor: CursorQuery = None,
    report: Annotated[
        str | None, Query(description="Only runs of the report of this name.", examples=["margin"])
    ] = None,
    state: Annotated[State | None, Query(description="Only runs in this state.")] = None,
    trigger: Annotated[Trigger | None, Query(description="Only runs that were accepted for this.")] = None,
    accepted_after: Annotated[
        Moment | None,
        Query(
            description="Only runs accepted at that time or later (RFC 3339).",
            examples=["2026-11-01T00:00:00Z"],
        ),
    ] = None,
    accepted_before: Annotated[
        Moment | None,
        Query(description="Only runs accepted earlier (RFC 3339).", examples=["2026-12-01T00:00:00Z"]),
    ] = None,
) -> Page[RunItem]:
    """List the caller's runs, the last accepted first, whatever started them."""
    wanted = RunFilter(
        report_name=report,
        state=state,
        trigger=trigger,
        accepted_after=accepted_after,
        accepted_before=accepted_before,
    )
    found, cursor = runs.list_runs(context, caller.user_id, wanted=wanted, limit=limit, cursor=cursor)
    return page(request, response, [run_item(run, context.settings) for run in found], cursor)


@router.get("/{run_id}", response_description="The run.", responses=problems(401, 404, 503))
def get_run(run_id: str, caller: ReaderDep, context: ContextDep) -> RunShown:
    """Show a run with everything that belongs to it: pinned files and rules, counts, deliveries, where else to look."""
    return run_shown(run_details.get_run(context, caller.user_id, run_id), context.settings)


@router.get(
    "/{run_id}/artifacts",
    response_description="The files of the report; none before the run succeeded.",
    responses=problems(401, 404, 503, status_404="No such run, or its files were old and removed."),
)
def list_run_artifacts(run_id: str, caller: ReaderDep, context: ContextDep) -> Page[ArtifactItem]:
    """List the files that a run made, the main one first, each with its digest and where it can be downloaded."""
    found = run_details.list_artifacts(context, caller.user_id, run_id)
    return Page(items=[artifact_item(run_id, one) for one in found])


@router.get(
    "/{run_id}/checks",
    response_description="The checks; none before the run ended, and none of a cancelled one.",
    responses=problems(401, 404, 503),
)
def list_run_checks(run_id: str, caller: ReaderDep, context: ContextDep) -> Page[CheckItem]:
    """List what was checked of a run: the contract of each file and of the report, and that nothing was rejected."""
    found = run_details.list_checks(context, caller.user_id, run_id)
    return Page(items=[check_item(one) for one in found])


@router.get(
    "/{run_id}/manifest",
    response_description="The manifest.",
    responses=problems(
        401,
        404,
        409,
        503,
        status_404="No such run, or its files were old and removed.",
        status_409="The run has no report: it is not finished, failed or was cancelled.",
    ),
)
def get_run_manifest(run_id: str, caller: ReaderDep, context: ContextDep) -> Manifest:
    """Return all that a run's files follow from, and their digests: the same bytes can be made of it again elsewhere.

    `reportgen run --manifest manifest.json --input trades.csv` does so, and tells whether they are the same.
    """
    return manifests.manifest_of(context, caller.user_id, run_id)


@router.post(
    "/{run_id}/rerun",
    status_code=202,
    response_description="Accepted: the report will be made again.",
    responses=problems(
        400,
        401,
        404,
        409,
        422,
        429,
        503,
        status_400="An Idempotency-Key that cannot be one.",
        status_409="The run's files were old and removed, or a request with the same Idempotency-Key is just being carried out.",
    ),
)
async def rerun(
    run_id: str, caller: RunnerDep, context: ContextDep, launcher: LauncherDep, idempotency: IdempotencyDep
) -> RunItem:
    """Make a report again: a new run with the same files, rules, parameters, date and formats, whatever became of the first."""

    def show(run: RunView) -> RunItem:
        return run_item(run, context.settings)

    once = await idempotency.once(caller, None, show)
    run = await run_in_threadpool(rerunning.rerun, context, caller.user_id, run_id, once=once)
    launcher.launch_soon(run.id)
    return show(run)


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

    Nothing is made that stays: ask again for another one. Whoever has the link can use it. One of this service ends with the
    session that asked for it; one of the storage only runs out.
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
