"""Upload rules and files. A 2xx means that they are on disk, hashed and in the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from api_gateway.dependencies import ContextDep, WriterDep
from api_gateway.documentation import multipart_body, problems
from api_gateway.examples import FORM_RULES
from api_gateway.idempotency import PROBLEMS as KEY_PROBLEMS
from api_gateway.idempotency import IdempotencyDep
from api_gateway.multipart import FormShape, read_form
from api_gateway.uploads.schemas import FilesUploaded, FileUploaded, RulesUploaded
from reportgen_dagster.errors import MissingInputError
from reportgen_dagster.formats import Syntax
from reportgen_dagster.services import check, uploads
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.fitting import judge_by_last_rules
from reportgen_dagster.services.idempotency import Once
from reportgen_dagster.services.uploads import RulesText

router = APIRouter(prefix="/api", tags=["uploads"])

RULES_SHAPE = FormShape(rules="file")
FILES_SHAPE = FormShape(files={"input": "input", "reference": "reference"})


@router.post(
    "/upload-rules",
    response_description="The rules are checked, durable and the last upload.",
    responses={
        **problems(
            400,
            401,
            408,
            413,
            415,
            429,
            503,
            status_400="The rules have problems; `errors` lists every one with its place.",
        ),
        **KEY_PROBLEMS,
    },
    openapi_extra=multipart_body(
        {"file": "Rules as .json, .yaml or .yml."}, required=("file",), examples={"file": FORM_RULES}
    ),
)
async def upload_rules(
    request: Request,
    caller: WriterDep,
    context: ContextDep,
    idempotency: IdempotencyDep,
    type_: Annotated[
        Syntax | None,
        Query(alias="type", description="For a file whose name does not end in .json, .yaml or .yml."),
    ] = None,
) -> RulesUploaded:
    """Upload rules. They are checked here, and become the caller's last rules."""
    form = await read_form(request, context, caller.user_id, RULES_SHAPE, rules_type=type_)
    if form.rules is None:
        raise MissingInputError("Send the rules as the part `file`.")
    once = await idempotency.once(caller, form, _rules_uploaded)
    return await run_in_threadpool(_accept_rules, context, caller.user_id, form.rules, once)


@router.post(
    "/upload-files",
    response_description="The files are durable and the last upload.",
    responses={
        **problems(
            400, 401, 408, 413, 415, 429, 503, 507, status_400="A file cannot be used, or none was sent."
        ),
        **KEY_PROBLEMS,
    },
    openapi_extra=multipart_body({"input": "The CSV to report on.", "reference": "The CSV to look up in."}),
)
async def upload_files(
    request: Request, caller: WriterDep, context: ContextDep, idempotency: IdempotencyDep
) -> FilesUploaded:
    """Upload an input, a reference or both. Each becomes the caller's last one."""
    judge = judge_by_last_rules(context, caller.user_id)
    form = await read_form(request, context, caller.user_id, FILES_SHAPE, judge=judge)
    if not form.files:
        raise MissingInputError("Send a file as the part `input`, `reference` or both.")
    once = await idempotency.once(caller, form, _files_uploaded)
    accepted = await run_in_threadpool(uploads.accept_files, context, caller.user_id, form.files, once=once)
    return _files_uploaded(accepted)


def _files_uploaded(accepted: Mapping[str, Mapping[str, Any]]) -> FilesUploaded:
    return FilesUploaded(
        message="Stored.", **{name: FileUploaded.model_validate(kept) for name, kept in accepted.items()}
    )


def _accept_rules(context: Context, owner_id: str, rules: RulesText, once: Once | None) -> RulesUploaded:
    check.check_report(rules, None)
    return _rules_uploaded(uploads.accept_rules(context, owner_id, rules, once=once))


def _rules_uploaded(accepted: Mapping[str, Any]) -> RulesUploaded:
    return RulesUploaded(message="Checked and stored.", **accepted)
