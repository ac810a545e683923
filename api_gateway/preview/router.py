"""The first rows after any step of rules, over a sample or over datasets. Nothing is kept of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from api_gateway.bodies import RulesInJsonRoute, json_body
from api_gateway.dependencies import ContextDep, ReaderDep, for_readers
from api_gateway.documentation import multipart_body, problems
from api_gateway.errors import StalledError
from api_gateway.multipart import Form, FormShape, read_form
from api_gateway.preview.schemas import PreviewBody, PreviewItem, PreviewOptions
from reportgen_dagster.errors import MissingInputError, Problem
from reportgen_dagster.services import preview, rulesets
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.parameters import plain_parameters
from reportgen_dagster.services.preview_inputs import dataset_files
from reportgen_dagster.services.reports import Pick
from reportgen_dagster.services.uploads import RulesText, rules_text

router = APIRouter(prefix="/api/v1/preview", tags=["preview"], route_class=RulesInJsonRoute)

PARAMETERS = "parameters"
SAMPLE_SECONDS = 120
_FOLDER = "preview"
_OPTIONS = ("step", "rows", "run_date")
SAMPLE_SHAPE = FormShape(
    files={"input": "input"}, rules="rules", fields=_OPTIONS, objects=(PARAMETERS,), any_reference=True
)
_EXAMPLE_RULES = """version: 1
parameters:
  desk: {type: text, default: FX}
steps:
  - filter: desk = :desk
  - derive: {gross: price * quantity}
"""
_WRONG = "Rules, files or parameters are wrong, or it takes more than 2 seconds or too much memory."


@router.post(
    "",
    response_description="The first rows.",
    dependencies=json_body,
    responses=problems(
        400,
        401,
        404,
        413,
        415,
        429,
        503,
        507,
        status_400=_WRONG,
        status_404="There is no such ruleset, dataset or version of yours.",
    ),
)
def preview_datasets(body: PreviewBody, caller: ReaderDep, context: ContextDep) -> PreviewItem:
    """Show the first rows that rules make of datasets, after any step, within 2 seconds.

    Of a large input only the beginning is looked at.
    """
    picks = {name: Pick(pick.dataset, pick.version) for name, pick in body.inputs.items()}
    rules = _rules(context, caller.user_id, body)
    with preview.place(caller.user_id), context.store.work_folder(_FOLDER) as folder:
        files = dataset_files(context, caller.user_id, picks, folder)
        return _shown(rules, files, body, plain_parameters(body.parameters))


def _rules(context: Context, owner_id: str, body: PreviewBody) -> RulesText:
    if body.ruleset is not None:
        return rulesets.get_version(context, owner_id, body.ruleset.name, body.ruleset.version).rules
    given = body.rules
    text, syntax = (given.text, given.syntax) if given else ("", "yaml")
    return rules_text(text.encode(errors="replace"), f"rules.{syntax}", syntax)


@router.post(
    "/sample",
    dependencies=for_readers,
    response_description="The first rows.",
    responses=problems(400, 401, 408, 413, 415, 429, 503, 507, status_400=_WRONG),
    openapi_extra=multipart_body(
        {
            "rules": "The rules, as .json, .yaml or .yml.",
            "input": "The CSV, or its beginning: at most 16 MB.",
        },
        {
            PARAMETERS: "Values of the rules' parameters, as a JSON object.",
            "step": "After so many steps; 0: the input as it is read; left out: the report.",
            "rows": "At most so many, up to 1000; default: 10.",
            "run_date": "What `today()` is, as 2026-11-28; default: the present date in UTC.",
        },
        required=("rules", "input"),
        more_files="Any other part is a reference of that name.",
        examples={"rules": _EXAMPLE_RULES, "step": "1"},
    ),
)
async def preview_sample(request: Request, caller: ReaderDep, context: ContextDep) -> PreviewItem:
    """Show the first rows that rules make of files that are sent along, after any step, within 2 seconds."""
    with preview.place(caller.user_id), context.store.work_folder(_FOLDER) as folder:
        form = await _read_in_time(request, context, caller.user_id, folder)
        return await run_in_threadpool(_of_sample, form)


async def _read_in_time(request: Request, context: Context, owner_id: str, folder: Path) -> Form:
    """Read samples; whoever sends them too slowly gives his place to others."""
    try:
        async with asyncio.timeout(SAMPLE_SECONDS):
            return await read_form(request, context, owner_id, SAMPLE_SHAPE, samples=folder)
    except TimeoutError:
        raise StalledError(f"The samples did not come within {SAMPLE_SECONDS} seconds.") from None


def _of_sample(form: Form) -> PreviewItem:
    missing = [
        *(["rules"] if form.rules is None else []),
        *(["input"] if "input" not in form.samples else []),
    ]
    if missing or form.rules is None:
        raise MissingInputError(problems=[Problem("is missing", path=name) for name in missing])
    return _shown(form.rules, form.samples, _options(form.fields), form.objects.get(PARAMETERS, {}))


def _options(fields: Mapping[str, str]) -> PreviewOptions:
    """Read the short texts of a form; an empty one counts as left out.

    Raises:
        RequestValidationError: With every one that cannot be used.
    """
    try:
        return PreviewOptions.model_validate({name: text for name, text in fields.items() if text})
    except ValidationError as error:
        raise RequestValidationError(
            [{**wrong, "loc": ("body", *wrong["loc"])} for wrong in error.errors()]
        ) from None


def _shown(
    rules: RulesText, files: Mapping[str, Path], options: PreviewOptions, parameters: Mapping[str, Any]
) -> PreviewItem:
    found = preview.preview(
        rules,
        files,
        step=options.step,
        rows=options.rows,
        parameters=parameters,
        run_date=options.run_date,
    )
    return PreviewItem.model_validate(found, from_attributes=True)
