"""Named reports as a resource: put, get, pause, resume, delete, and their runs."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from api_gateway.bodies import DefinitionRoute, json_body
from api_gateway.conditions import NOT_MODIFIED, IfMatchDep, PreconditionDep, shown, tagged
from api_gateway.dependencies import ContextDep, LauncherDep, ReaderDep, RunnerDep, WriterDep
from api_gateway.documentation import problems
from api_gateway.idempotency import PROBLEMS as KEY_PROBLEMS
from api_gateway.idempotency import IdempotencyDep
from api_gateway.named_reports.schemas import (
    ReportDefinition,
    ReportItem,
    ReportListItem,
    RunWish,
    report_item,
    report_list_item,
)
from api_gateway.paging import DEFAULT_LIMIT, CursorQuery, LimitQuery, Page, page
from api_gateway.paths import NamePath, path_of
from api_gateway.reports.schemas import RunItem, run_item
from reportgen_dagster.services import report_runs, reports
from reportgen_dagster.services.runs import RunView

router = APIRouter(prefix="/api/v1/reports", tags=["reports"], route_class=DefinitionRoute)


@router.get("", response_description="A page of reports.", responses=problems(400, 401, 503))
def list_reports(
    request: Request,
    response: Response,
    caller: ReaderDep,
    context: ContextDep,
    limit: LimitQuery = DEFAULT_LIMIT,
    cursor: CursorQuery = None,
) -> Page[ReportListItem]:
    """List the caller's reports by name, each with its last run."""
    found, cursor = reports.page_of_reports(context, caller.user_id, limit=limit, cursor=cursor)
    items = [report_list_item(one, context.settings) for one in found]
    return page(request, response, items, cursor)


@router.put(
    "/{name}",
    response_description="The report as it is now.",
    dependencies=json_body,
    responses={
        201: {"description": "The report was made.", "model": ReportItem},
        **problems(
            400,
            401,
            404,
            409,
            412,
            413,
            415,
            503,
            status_400="Something in it does not fit or cannot be used; `errors` lists it all.",
            status_404="There is no such ruleset, dataset or version of yours; `errors` names them all.",
            status_409="What it is made of was deleted at the same moment.",
        ),
    },
)
def put_report(
    name: NamePath,
    body: ReportDefinition,
    response: Response,
    caller: WriterDep,
    context: ContextDep,
    expected: PreconditionDep,
) -> ReportItem:
    """Make a report, or say anew what it is: rules over datasets, when by itself, and where it goes.

    All of it at once, or nothing. Rules, columns and parameters are checked together first. What is left out is not
    kept from before: a report is what was put last, with its schedules.
    """
    report = reports.put_report(context, caller.user_id, name, body.wish(), expected=expected)
    if report.created_at == report.updated_at:
        response.status_code = 201
        response.headers["Location"] = path_of("reports", report.name)
    response.headers.update(tagged(report.fingerprint))
    return report_item(report)


@router.get(
    "/{name}",
    response_model=ReportItem,
    response_description="The report.",
    responses={**NOT_MODIFIED, **problems(401, 404, 503)},
)
def get_report(name: NamePath, request: Request, caller: ReaderDep, context: ContextDep) -> Response:
    """Show a report as it was put, with its schedules."""
    report = reports.get_report(context, caller.user_id, name)
    return shown(request, report_item(report), report.fingerprint)


@router.delete(
    "/{name}",
    status_code=204,
    response_description="It is gone.",
    responses=problems(401, 404, 412, 503),
)
def delete_report(name: NamePath, caller: WriterDep, context: ContextDep, expected: IfMatchDep) -> None:
    """Delete a report with its schedules. Its runs and their files stay."""
    reports.delete_report(context, caller.user_id, name, expected=expected)


@router.post("/{name}/pause", response_description="The report, paused.", responses=problems(401, 404, 503))
def pause_report(name: NamePath, response: Response, caller: WriterDep, context: ContextDep) -> ReportItem:
    """Let a report run neither by its schedules nor on new data until it is resumed. Pausing twice is no error."""
    report = reports.pause_report(context, caller.user_id, name)
    response.headers.update(tagged(report.fingerprint))
    return report_item(report)


@router.post(
    "/{name}/resume",
    response_description="The report, as it runs by itself.",
    responses=problems(401, 404, 503),
)
def resume_report(name: NamePath, response: Response, caller: WriterDep, context: ContextDep) -> ReportItem:
    """Let a paused report run by itself again; times of the pause are not made up for."""
    report = reports.resume_report(context, caller.user_id, name)
    response.headers.update(tagged(report.fingerprint))
    return report_item(report)


@router.post(
    "/{name}/runs",
    status_code=202,
    response_description="Accepted: the report will be made.",
    dependencies=json_body,
    responses={**problems(400, 401, 404, 413, 415, 429, 503), **KEY_PROBLEMS},
)
async def run_report(
    name: NamePath,
    caller: RunnerDep,
    context: ContextDep,
    launcher: LauncherDep,
    idempotency: IdempotencyDep,
    response: Response,
    body: RunWish | None = None,
) -> RunItem:
    """Run a report now, paused or not, with the versions of this moment.

    202 means that it will be made, even if everything is killed a moment later.
    """

    def show(run: RunView) -> RunItem:
        return run_item(run, context.settings)

    def headers(run: RunView) -> dict[str, str]:
        return {"Location": show(run).links.self}

    once = await idempotency.once(caller, body, show, headers)
    run_date = body.run_date if body else None
    run = await run_in_threadpool(
        report_runs.run_report, context, caller.user_id, name, run_date=run_date, once=once
    )
    launcher.launch_soon(run.id)
    response.headers.update(headers(run))
    return show(run)


@router.get("/{name}/runs", response_description="A page of runs.", responses=problems(400, 401, 404, 503))
def list_report_runs(
    name: NamePath,
    request: Request,
    response: Response,
    caller: ReaderDep,
    context: ContextDep,
    limit: LimitQuery = DEFAULT_LIMIT,
    cursor: CursorQuery = None,
) -> Page[RunItem]:
    """List the runs of a report, the last accepted first, whatever started them."""
    found, cursor = report_runs.page_of_runs(context, caller.user_id, name, limit=limit, cursor=cursor)
    return page(request, response, [run_item(run, context.settings) for run in found], cursor)
