"""Datasets as a resource: add versions, look at them, expect new ones in time, delete."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response
from starlette.concurrency import run_in_threadpool

from api_gateway.bodies import json_body
from api_gateway.conditions import NOT_MODIFIED, IfMatchDep, PreconditionDep, shown, tagged
from api_gateway.datasets.schemas import (
    DatasetItem,
    Expectation,
    FirstRows,
    Profile,
    VersionAdded,
    VersionItem,
    dataset_item,
    expectation_item,
    first_rows,
    version_added,
    version_item,
)
from api_gateway.dependencies import ContextDep, ReaderDep, WriterDep
from api_gateway.documentation import multipart_body, problems
from api_gateway.downloads import file_response
from api_gateway.idempotency import PROBLEMS as KEY_PROBLEMS
from api_gateway.idempotency import IdempotencyDep
from api_gateway.multipart import FormShape, read_form
from api_gateway.paging import DEFAULT_LIMIT, CursorQuery, LimitQuery, Page, page
from api_gateway.paths import NamePath, VersionPath, path_of
from reportgen_dagster.errors import MissingInputError
from reportgen_dagster.services import datasets
from reportgen_dagster.services.datasets import VersionView
from reportgen_dagster.services.fitting import judge_for_any_rules
from reportgen_dagster.services.names import checked_name

router = APIRouter(prefix="/api/v1/datasets", tags=["datasets"])

VERSION_SHAPE = FormShape(files={"file": "file"})
_NOT_LOOKED_AT = "It was not looked at yet, which takes a few seconds; or it cannot be read, and why."


@router.get("", response_description="A page of datasets.", responses=problems(400, 401, 503))
def list_datasets(
    request: Request,
    response: Response,
    caller: ReaderDep,
    context: ContextDep,
    limit: LimitQuery = DEFAULT_LIMIT,
    cursor: CursorQuery = None,
) -> Page[DatasetItem]:
    """List the caller's datasets by name, each with its latest version."""
    found, cursor = datasets.page_of_datasets(context, caller.user_id, limit=limit, cursor=cursor)
    return page(request, response, [dataset_item(one) for one in found], cursor)


@router.get(
    "/{name}",
    response_model=DatasetItem,
    response_description="The dataset.",
    responses={**NOT_MODIFIED, **problems(401, 404, 503)},
)
def get_dataset(name: NamePath, request: Request, caller: ReaderDep, context: ContextDep) -> Response:
    """Show a dataset: its latest version, and when new ones are expected."""
    found = datasets.get_dataset(context, caller.user_id, name)
    return shown(request, dataset_item(found), found.fingerprint)


@router.delete(
    "/{name}",
    status_code=204,
    response_description="It is gone.",
    responses=problems(401, 404, 409, 412, 503, status_409="Reports are made of it; the detail names them."),
)
def delete_dataset(name: NamePath, caller: WriterDep, context: ContextDep, expected: IfMatchDep) -> None:
    """Delete a dataset that no report is made of. Runs keep the versions that they were made of."""
    datasets.delete_dataset(context, caller.user_id, name, expected=expected)


@router.post(
    "/{name}/versions",
    status_code=201,
    response_description="The file is durable, and the latest version.",
    responses={
        200: {"description": "The latest version has these bytes already.", "model": VersionAdded},
        **problems(
            400, 401, 408, 413, 415, 429, 503, 507, status_400="The file cannot be used, or none was sent."
        ),
        **KEY_PROBLEMS,
    },
    openapi_extra=multipart_body(
        {"file": "The CSV; perhaps compressed by gzip or zstd."}, required=("file",)
    ),
)
async def add_dataset_version(
    name: NamePath,
    request: Request,
    response: Response,
    caller: WriterDep,
    context: ContextDep,
    idempotency: IdempotencyDep,
) -> VersionAdded:
    """Make a file the latest version of a dataset, which is made if there is none.

    The same bytes again are no new version. Reports that follow the dataset use it from their next run on, and those that run
    on new data run.
    """
    plain = checked_name(name, "dataset")
    notes: list[str] = []
    form = await read_form(request, context, caller.user_id, VERSION_SHAPE, judge=judge_for_any_rules(notes))
    if "file" not in form.files:
        raise MissingInputError("Send the file as the part `file`.")

    def show(version: VersionView) -> VersionAdded:
        return version_added(plain, version, notes[0] if notes else None)

    def headers(version: VersionView) -> dict[str, str]:
        return {"Location": path_of("datasets", plain, "versions", version.number)}

    def status(version: VersionView) -> int:
        return 201 if version.received_at == version.created_at else 200

    once = await idempotency.once(caller, form, show, headers, status)
    version = await run_in_threadpool(
        datasets.add_version, context, caller.user_id, plain, form.files["file"], once=once
    )
    response.status_code = status(version)
    response.headers.update(headers(version))
    return show(version)


@router.get(
    "/{name}/versions",
    response_description="A page of versions.",
    responses=problems(400, 401, 404, 503),
)
def list_dataset_versions(
    name: NamePath,
    request: Request,
    response: Response,
    caller: ReaderDep,
    context: ContextDep,
    limit: LimitQuery = DEFAULT_LIMIT,
    cursor: CursorQuery = None,
) -> Page[VersionItem]:
    """List the versions of a dataset, the latest first."""
    found, cursor = datasets.page_of_versions(context, caller.user_id, name, limit=limit, cursor=cursor)
    return page(request, response, [version_item(name, one) for one in found], cursor)


@router.get(
    "/{name}/versions/{version}",
    response_description="The version.",
    responses=problems(400, 401, 404, 503),
)
def get_dataset_version(
    name: NamePath, version: VersionPath, caller: ReaderDep, context: ContextDep
) -> VersionItem:
    """Show a version of a dataset."""
    return version_item(name, datasets.get_version(context, caller.user_id, name, version))


@router.get(
    "/{name}/versions/{version}/profile",
    response_description="What the version holds.",
    responses=problems(400, 401, 404, 409, 503, status_409=_NOT_LOOKED_AT),
)
def get_dataset_profile(
    name: NamePath, version: VersionPath, caller: ReaderDep, context: ContextDep
) -> Profile:
    """Tell what all rows of a version hold: types, empty cells, distinct values, the least and the greatest."""
    return Profile.model_validate(datasets.get_profile(context, caller.user_id, name, version))


@router.get(
    "/{name}/versions/{version}/rows",
    response_description="The first rows.",
    responses=problems(400, 401, 404, 409, 503, status_409=_NOT_LOOKED_AT),
)
def get_dataset_rows(
    name: NamePath, version: VersionPath, caller: ReaderDep, context: ContextDep
) -> FirstRows:
    """Show the first rows of a version. `POST /api/v1/preview` shows more of them, also after steps of rules."""
    return first_rows(datasets.get_profile(context, caller.user_id, name, version))


@router.get(
    "/{name}/versions/{version}/content",
    response_class=FileResponse,
    responses={
        200: {"description": "The file.", "content": {"text/csv": {"schema": {"type": "string"}}}},
        206: {"description": "The asked range of the file."},
        **NOT_MODIFIED,
        **problems(400, 401, 404, 416, 503),
    },
)
@router.head("/{name}/versions/{version}/content", include_in_schema=False)
def download_dataset_version(
    name: NamePath, version: VersionPath, request: Request, caller: ReaderDep, context: ContextDep
) -> Response:
    """Download a version, byte for byte as it came."""
    return file_response(request, datasets.version_file(context, caller.user_id, name, version))


@router.get(
    "/{name}/versions/{version}/rejects",
    response_class=FileResponse,
    responses={
        200: {"description": "The rejects.", "content": {"text/csv": {"schema": {"type": "string"}}}},
        206: {"description": "The asked range of the rejects."},
        **NOT_MODIFIED,
        **problems(
            *(400, 401, 404, 409, 416, 503),
            status_404="No such version, or every row of it can be read.",
            status_409=_NOT_LOOKED_AT,
        ),
    },
)
@router.head("/{name}/versions/{version}/rejects", include_in_schema=False)
def download_dataset_rejects(
    name: NamePath, version: VersionPath, request: Request, caller: ReaderDep, context: ContextDep
) -> Response:
    """Download the rows of a version that cannot be read, each with its line and the reason, as CSV.

    Every report of it has them among its rejects, unless its rules say that the file is written otherwise.
    """
    return file_response(request, datasets.version_rejects(context, caller.user_id, name, version))


@router.get(
    "/{name}/expectation",
    response_model=Expectation,
    response_description="When new versions are expected.",
    responses={
        **NOT_MODIFIED,
        **problems(401, 404, 503, status_404="No such dataset, or nobody minds when it gets new versions."),
    },
)
def get_expectation(name: NamePath, request: Request, caller: ReaderDep, context: ContextDep) -> Response:
    """Tell when new versions of a dataset are expected."""
    found = datasets.get_expectation(context, caller.user_id, name)
    return shown(request, expectation_item(found), found.fingerprint)


@router.put(
    "/{name}/expectation",
    response_description="When new versions are expected from now on.",
    dependencies=json_body,
    responses=problems(
        400,
        401,
        404,
        412,
        413,
        415,
        503,
        status_400="A cron expression, time zone or number that is not valid.",
    ),
)
def put_expectation(
    name: NamePath,
    body: Expectation,
    response: Response,
    caller: WriterDep,
    context: ContextDep,
    expected: PreconditionDep,
) -> Expectation:
    """Say when new versions of a dataset are expected. Operators see late ones by the dataset's check in Dagster."""
    put = datasets.put_expectation(context, caller.user_id, name, expected=expected, **body.model_dump())
    response.headers.update(tagged(put.fingerprint))
    return expectation_item(put)


@router.delete(
    "/{name}/expectation",
    status_code=204,
    response_description="Nobody minds any more.",
    responses=problems(401, 404, 412, 503),
)
def delete_expectation(name: NamePath, caller: WriterDep, context: ContextDep, expected: IfMatchDep) -> None:
    """Expect no new versions of a dataset any more. Doing it twice is no error."""
    datasets.expect_dataset(context, caller.user_id, name, cron=None, expected=expected)
