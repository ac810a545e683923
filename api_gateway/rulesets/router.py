"""Rulesets as a resource: put versions, get them in either syntax, check and explain rules, delete."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from api_gateway.bodies import ANY_RULES_BODY, JSON_TYPE, RULES_BODY, YAML_TYPE, read_rules
from api_gateway.conditions import (
    NOT_MODIFIED,
    IfMatchDep,
    PreconditionDep,
    not_modified,
    shown,
    tagged,
)
from api_gateway.dependencies import ContextDep, ReaderDep, WriterDep, for_readers
from api_gateway.documentation import problems
from api_gateway.paging import DEFAULT_LIMIT, CursorQuery, LimitQuery, Page, page
from api_gateway.paths import NamePath, VersionPath, path_of
from api_gateway.rulesets.schemas import (
    RulesChecked,
    RulesetItem,
    RulesExplained,
    problem_item,
    ruleset_item,
)
from reportgen_dagster.errors import Problem, RulesError
from reportgen_dagster.formats import Syntax
from reportgen_dagster.services import check, rulesets
from reportgen_dagster.services.accounts import Caller
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.fitting import files_named
from reportgen_dagster.services.uploads import RulesText

router = APIRouter(prefix="/api/v1/rulesets", tags=["rulesets"])

AsQuery = Annotated[
    Syntax | None,
    Query(
        alias="as",
        description="In which syntax; default: the one that Accept names, else the one that it was put in.",
    ),
]
_TYPES: dict[Syntax, str] = {"yaml": YAML_TYPE, "json": JSON_TYPE}
_WRONG_RULES = "The rules have problems; `errors` lists every one with its place."
_TEXT_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The rules; as they were put where the syntax is the same, without comments where it is not.",
        "content": {
            YAML_TYPE: {"schema": {}},
            JSON_TYPE: {"schema": {"type": ["array", "object"]}},
        },
    },
    **NOT_MODIFIED,
    **problems(400, 401, 404, 503),
}


@router.get("", response_description="A page of rulesets.", responses=problems(400, 401, 503))
def list_rulesets(
    request: Request,
    response: Response,
    caller: ReaderDep,
    context: ContextDep,
    limit: LimitQuery = DEFAULT_LIMIT,
    cursor: CursorQuery = None,
) -> Page[RulesetItem]:
    """List the caller's rulesets by name, each at its latest version."""
    found, cursor = rulesets.page_of_rulesets(context, caller.user_id, limit=limit, cursor=cursor)
    return page(request, response, [ruleset_item(one) for one in found], cursor)


@router.post(
    "/check",
    dependencies=for_readers,
    response_description="What is wrong with the rules, if anything is.",
    responses=problems(
        400,
        401,
        413,
        415,
        503,
        status_400="There is no body. What is wrong with rules is no error here: 200 tells it.",
    ),
    openapi_extra=ANY_RULES_BODY,
)
async def check_rules(request: Request) -> RulesChecked:
    """Check rules without keeping them: every problem at once, each with its place."""
    return await run_in_threadpool(_checked, await _rules_or_problem(request))


async def _rules_or_problem(request: Request) -> RulesText | RulesError:
    try:
        return await read_rules(request)
    except RulesError as error:
        return error


def _checked(rules: RulesText | RulesError) -> RulesChecked:
    if isinstance(rules, RulesError):
        return _refused(rules)
    try:
        facts = check.check_report(rules, None)
    except RulesError as error:
        return _refused(error)
    return RulesChecked(valid=True, problems=[], files=list(files_named(facts)), formats=list(facts.formats))


def _refused(error: RulesError) -> RulesChecked:
    found = [problem_item(problem) for problem in error.problems or (Problem(error.detail),)]
    return RulesChecked(valid=False, problems=found, files=[], formats=[])


@router.post(
    "/explain",
    dependencies=for_readers,
    response_description="What the rules mean.",
    responses=problems(400, 401, 413, 415, 503, status_400=_WRONG_RULES),
    openapi_extra=RULES_BODY,
)
async def explain_rules(request: Request) -> RulesExplained:
    """Explain rules without keeping them: long form, graph, columns after each step, SQL, and what each column is made of."""
    rules = await read_rules(request)
    return RulesExplained.model_validate(await run_in_threadpool(check.explain, rules))


@router.put(
    "/{name}",
    response_description="The latest version, which has this text.",
    responses={
        201: {"description": "The ruleset was made.", "model": RulesetItem},
        **problems(400, 401, 412, 413, 415, 429, 503, status_400=_WRONG_RULES),
    },
    openapi_extra=RULES_BODY,
)
async def put_ruleset(
    name: NamePath,
    request: Request,
    response: Response,
    caller: WriterDep,
    context: ContextDep,
    expected: PreconditionDep,
) -> RulesetItem:
    """Make rules the latest version of a ruleset, which is made if there is none. The same text again is no new version.

    Reports that follow the ruleset use it from their next run on.
    """
    rules = await read_rules(request)
    put = await run_in_threadpool(rulesets.put_rules, context, caller.user_id, name, rules, expected=expected)
    response.status_code = 201 if put.is_made else 200
    response.headers.update(tagged(put.head.fingerprint))
    if put.is_made:
        response.headers["Location"] = path_of("rulesets", put.head.name)
    return ruleset_item(put.head)


@router.get(
    "/{name}",
    response_model=RulesetItem,
    response_description="The ruleset at its latest version.",
    responses={**NOT_MODIFIED, **problems(401, 404, 503)},
)
def get_ruleset(name: NamePath, request: Request, caller: ReaderDep, context: ContextDep) -> Response:
    """Show a ruleset at its latest version."""
    head = rulesets.get_head(context, caller.user_id, name)
    return shown(request, ruleset_item(head), head.fingerprint)


@router.delete(
    "/{name}",
    status_code=204,
    response_description="It is gone.",
    responses=problems(401, 404, 409, 412, 503, status_409="Reports are made by it; the detail names them."),
)
def delete_ruleset(name: NamePath, caller: WriterDep, context: ContextDep, expected: IfMatchDep) -> None:
    """Delete a ruleset that no report is made by. Runs keep the version that they were made by."""
    rulesets.delete_ruleset(context, caller.user_id, name, expected=expected)


@router.get("/{name}/text", response_class=Response, responses=_TEXT_ANSWERS)
def get_ruleset_text(
    name: NamePath, request: Request, caller: ReaderDep, context: ContextDep, syntax: AsQuery = None
) -> Response:
    """Get the rules of a ruleset at its latest version, as YAML or JSON."""
    return _text(request, context, caller, name, None, syntax)


@router.get(
    "/{name}/explain",
    response_description="What the rules mean.",
    responses=problems(
        400, 401, 404, 503, status_400="This version of the software does not take these rules any more."
    ),
)
def explain_ruleset(name: NamePath, caller: ReaderDep, context: ContextDep) -> RulesExplained:
    """Explain a ruleset at its latest version: long form, graph, columns, SQL, and what each column is made of."""
    rules = rulesets.get_version(context, caller.user_id, name).rules
    return RulesExplained.model_validate(check.explain(rules))


@router.get(
    "/{name}/versions",
    response_description="A page of versions.",
    responses=problems(400, 401, 404, 503),
)
def list_ruleset_versions(
    name: NamePath,
    request: Request,
    response: Response,
    caller: ReaderDep,
    context: ContextDep,
    limit: LimitQuery = DEFAULT_LIMIT,
    cursor: CursorQuery = None,
) -> Page[RulesetItem]:
    """List the versions of a ruleset, the latest first."""
    found, cursor = rulesets.page_of_versions(context, caller.user_id, name, limit=limit, cursor=cursor)
    return page(request, response, [ruleset_item(one) for one in found], cursor)


@router.get(
    "/{name}/versions/{version}",
    response_model=RulesetItem,
    response_description="The version.",
    responses={**NOT_MODIFIED, **problems(400, 401, 404, 503)},
)
def get_ruleset_version(
    name: NamePath, version: VersionPath, request: Request, caller: ReaderDep, context: ContextDep
) -> Response:
    """Show a version of a ruleset."""
    head = rulesets.get_head(context, caller.user_id, name, version)
    return shown(request, ruleset_item(head), head.fingerprint)


@router.get("/{name}/versions/{version}/text", response_class=Response, responses=_TEXT_ANSWERS)
def get_ruleset_version_text(
    name: NamePath,
    version: VersionPath,
    request: Request,
    caller: ReaderDep,
    context: ContextDep,
    syntax: AsQuery = None,
) -> Response:
    """Get the rules of a version of a ruleset, as YAML or JSON."""
    return _text(request, context, caller, name, version, syntax)


def _text(
    request: Request, context: Context, caller: Caller, name: str, version: int | None, syntax: Syntax | None
) -> Response:
    found = rulesets.get_version(context, caller.user_id, name, version)
    wanted = syntax or _accepted(request) or found.rules.syntax
    headers = tagged(found.digest, wanted) | {"Vary": "Accept"}
    return not_modified(request, headers) or Response(
        check.rewrite(found.rules, wanted), headers=headers, media_type=_TYPES[wanted]
    )


def _accepted(request: Request) -> Syntax | None:
    """Return the first syntax that Accept names; None if it names none, or anything will do."""
    types = (part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(","))
    for media_type in types:
        if media_type == JSON_TYPE:
            return "json"
        if media_type.endswith(("/yaml", "/x-yaml")):
            return "yaml"
        if media_type == "*/*":
            return None
    return None
