"""Generate, watch and download reports, and schedule them: the original contract."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from api_gateway.dependencies import ContextDep, LauncherDep, ReaderDep, RunnerDep, WriterDep
from api_gateway.documentation import multipart_body, problems
from api_gateway.downloads import file_response, guarded_response
from api_gateway.idempotency import PROBLEMS as KEY_PROBLEMS
from api_gateway.idempotency import IdempotencyDep
from api_gateway.multipart import Form, FormShape, has_body, read_form
from api_gateway.reports.schemas import (
    ScheduleAccepted,
    TaskAccepted,
    TaskEnded,
    TaskState,
    TaskStatus,
    download_path,
    error_text,
    status_path,
    task_status,
)
from reportgen_dagster.errors import BadRequestError, MissingInputError, Problem
from reportgen_dagster.formats import FORMATS, media_type
from reportgen_dagster.services import runs, schedules
from reportgen_dagster.services.accounts import Caller
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.idempotency import Once
from reportgen_dagster.services.runs import RunView
from reportgen_dagster.services.schedules import ScheduleView

router = APIRouter(prefix="/api", tags=["reports"])

PARAMETERS = "parameters"
GENERATE_SHAPE = FormShape(
    files={"input": "input", "reference": "reference"},
    objects=(PARAMETERS,),
    rules="rules",
    any_reference=True,
)
SCHEDULE_SHAPE = FormShape(
    files={"input_file": "input", "reference_file": "reference"},
    rules="rules_file",
    fields=("cron", "report_name", "timezone"),
    objects=(PARAMETERS,),
    any_reference=True,
)
_PARAMETERS = 'Values of the rules\' parameters, as a JSON object: {"desk": "FX", "since": "2024-01-31"}.'


def _file_content(name: str) -> dict[str, Any]:
    if name == "json":
        rows = {"type": "array", "items": {"type": "object"}}
        return {"schema": rows, "example": [{"name": "one", "double": 2}]}
    return {"schema": {"type": "string", "format": "binary"}}


_DOWNLOAD_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The report.",
        "content": {media_type(name): _file_content(name) for name in FORMATS},
    },
    202: {"description": "It is not ready yet.", "model": TaskState},
    206: {"description": "The asked range of the report."},
    304: {"description": "The client has it (If-None-Match)."},
    409: {"description": "It failed or was cancelled, and why (plain JSON).", "model": TaskEnded},
    **problems(400, 401, 404, 416, 503, status_400="A format that there is not."),
}

_NAMES = ", ".join(FORMATS)
FormatQuery = Annotated[
    str | None,
    Query(
        alias="format",
        json_schema_extra={"enum": list(FORMATS)},
        description=f"One of the formats that the run made, of {_NAMES}; default: csv if it made that, else its first.",
    ),
]
GuardQuery = Annotated[
    Literal["spreadsheet"] | None,
    Query(
        description="`spreadsheet`: a quotation mark stands before cells of CSV that would be taken for formulas."
    ),
]
FormatsQuery = Annotated[
    str | None,
    Query(
        description=f"What the report is made as, with commas between: {_NAMES}. Default: what the rules say, else csv.",
        examples=["csv,xlsx"],
    ),
]


@router.post(
    "/generate-report",
    response_description="Accepted: the report will be made.",
    status_code=202,
    responses={
        **problems(
            400,
            401,
            408,
            413,
            415,
            429,
            503,
            507,
            status_400="Something is missing, or rules and files do not fit; `errors` lists it all.",
        ),
        **KEY_PROBLEMS,
    },
    openapi_extra=multipart_body(
        {
            "input": "The CSV to report on; default: the last upload.",
            "reference": "The CSV to look up in; default: the last upload.",
            "rules": "The rules; default: the last upload.",
        },
        {PARAMETERS: _PARAMETERS},
        more_files="Any other part is a reference of that name.",
    ),
)
async def generate_report(
    request: Request,
    caller: RunnerDep,
    context: ContextDep,
    launcher: LauncherDep,
    idempotency: IdempotencyDep,
    formats: FormatsQuery = None,
) -> TaskAccepted:
    """Generate a report. What is left out is the caller's last upload; what is sent is for this run only.

    Parts with other names are references of that name; `parameters` is a JSON object with values of the rules' parameters.
    202 means that the report will be made, even if everything is killed a moment later.
    """
    form = await read_form(request, context, caller.user_id, GENERATE_SHAPE) if has_body(request) else Form()
    once = await idempotency.once(caller, form, _task_accepted)
    run = await run_in_threadpool(
        runs.accept_run,
        context,
        caller.user_id,
        files=form.files,
        rules=form.rules,
        parameters=form.objects.get(PARAMETERS),
        formats=_named(formats),
        once=once,
    )
    launcher.launch_soon(run.id)
    return _task_accepted(run)


def _task_accepted(run: RunView) -> TaskAccepted:
    return TaskAccepted(
        task_id=run.id, status=run.state, status_url=status_path(run.id), download_url=download_path(run.id)
    )


@router.get(
    "/task-status/{task_id}",
    response_description="State, progress, counts and links.",
    responses=problems(401, 404, 503),
)
def show_task_status(task_id: str, caller: ReaderDep, context: ContextDep) -> TaskStatus:
    """Show how far a report is."""
    return task_status(runs.find_run(context, caller.user_id, task_id), context.settings)


@router.get("/download-report-view", response_class=FileResponse, responses=_DOWNLOAD_ANSWERS)
@router.head("/download-report-view", include_in_schema=False)
def download_latest_report(
    request: Request,
    caller: ReaderDep,
    context: ContextDep,
    task_id: Annotated[str | None, Query(description="Default: the run that was accepted last.")] = None,
    format_: FormatQuery = None,
    guard: GuardQuery = None,
) -> Response:
    """Download the caller's latest report, or the one of a task."""
    return _download(request, context, caller, task_id, format_, guard)


@router.get("/download-report/{task_id}", response_class=FileResponse, responses=_DOWNLOAD_ANSWERS)
@router.head("/download-report/{task_id}", include_in_schema=False)
def download_report(
    task_id: str,
    request: Request,
    caller: ReaderDep,
    context: ContextDep,
    format_: FormatQuery = None,
    guard: GuardQuery = None,
) -> Response:
    """Download the report of a task."""
    return _download(request, context, caller, task_id, format_, guard)


@router.post(
    "/trigger-scheduled-report",
    response_description="The schedule stands and a first report will be made.",
    status_code=201,
    responses={
        **problems(
            400,
            401,
            408,
            413,
            415,
            429,
            503,
            507,
            status_400="A bad cron expression (which field, and why), a missing or wrong file, or rules with problems.",
        ),
        **KEY_PROBLEMS,
    },
    openapi_extra=multipart_body(
        {
            "input_file": "The CSV to report on.",
            "reference_file": "The CSV to look up in; rules without a reference need none.",
            "rules_file": "The rules.",
        },
        {
            "cron": "Five fields: minute, hour, day of month, month, day of week.",
            "report_name": "The same name again replaces the schedule; default: one is made.",
            "timezone": "An IANA name such as Europe/Berlin; default: UTC.",
            PARAMETERS: _PARAMETERS,
        },
        required=("input_file", "rules_file", "cron"),
        more_files="Any other part is a reference of that name.",
    ),
)
async def trigger_scheduled_report(
    request: Request,
    caller: WriterDep,
    context: ContextDep,
    launcher: LauncherDep,
    idempotency: IdempotencyDep,
    formats: FormatsQuery = None,
) -> ScheduleAccepted:
    """Make a report now and then by a cron schedule, from these files and rules.

    The same `report_name` again replaces files, rules, parameters and times of the caller's schedule, and resumes it if it was
    paused. Parts with other names are references of that name. What `today()` is in a run is the day that it was due, in the
    schedule's time zone.
    """
    form = await read_form(request, context, caller.user_id, SCHEDULE_SHAPE)
    once = await idempotency.once(caller, form, _schedule_accepted)
    made = await run_in_threadpool(_put_schedule, context, caller, form, _named(formats), once)
    launcher.launch_soon(made[1].id)
    return _schedule_accepted(made)


def _schedule_accepted(made: tuple[ScheduleView, RunView]) -> ScheduleAccepted:
    schedule, run = made
    return ScheduleAccepted(
        message="Scheduled; a first report is being made.",
        task_id=run.id,
        report_name=schedule.report_name,
        cron=schedule.cron,
        next_run=schedule.next_run,
    )


def _named(formats: str | None) -> list[str] | None:
    return [name.strip() for name in formats.split(",")] if formats is not None else None


def _put_schedule(
    context: Context, caller: Caller, form: Form, formats: list[str] | None, once: Once | None
) -> tuple[ScheduleView, RunView]:
    missing = [
        *(["input_file"] if "input" not in form.files else []),
        *(["rules_file"] if form.rules is None else []),
        *(["cron"] if not form.fields.get("cron") else []),
    ]
    if missing or form.rules is None:
        raise MissingInputError(problems=[Problem("is missing", path=name) for name in missing])
    try:
        return schedules.put_schedule(
            context,
            caller.user_id,
            report_name=form.fields.get("report_name") or None,
            cron=form.fields["cron"],
            timezone=form.fields.get("timezone") or "UTC",
            files=form.files,
            rules=form.rules,
            parameters=form.objects.get(PARAMETERS),
            formats=formats,
            once=once,
        )
    except MissingInputError as error:
        parts = {name: part for part, name in SCHEDULE_SHAPE.files.items()}
        wanted = [parts.get(problem.path, problem.path) for problem in error.problems]
        raise MissingInputError(problems=[Problem("is missing", path=part) for part in wanted]) from None


def _download(
    request: Request,
    context: Context,
    caller: Caller,
    task_id: str | None,
    format_: str | None,
    guard: Literal["spreadsheet"] | None,
) -> Response:
    if format_ is not None and format_ not in FORMATS:
        raise BadRequestError(
            problems=[Problem(f"there is no such format; there are {_NAMES}", path="format")]
        )
    run = runs.find_run(context, caller.user_id, task_id or None)
    if run.state in ("accepted", "running"):
        waiting = TaskState(task_id=run.id, status=run.state)
        return JSONResponse(waiting.model_dump(), status_code=202, headers={"Retry-After": "1"})
    if run.state != "succeeded":
        ended = TaskEnded(task_id=run.id, status=run.state, error=error_text(run))
        return JSONResponse(ended.model_dump(), status_code=409)
    file = runs.report_file(context, caller.user_id, run.id, format_)
    return guarded_response(request, file) if guard is not None else file_response(request, file)
