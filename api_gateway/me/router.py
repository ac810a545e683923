"""The caller's own account: name, password, sessions, API tokens. Rules are in services/me.py and api_tokens.py."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from api_gateway.auth.schemas import MessageView
from api_gateway.bodies import json_body
from api_gateway.conditions import NOT_MODIFIED, IfMatchDep, shown, tagged
from api_gateway.dependencies import ContextDep, ReaderDep, SessionDep
from api_gateway.documentation import problems
from api_gateway.idempotency import IdempotencyDep
from api_gateway.me.schemas import (
    ApiTokenItem,
    ApiTokenMade,
    Me,
    MeChange,
    NewApiToken,
    PasswordChange,
    SessionItem,
    SessionsEnded,
)
from api_gateway.paging import DEFAULT_LIMIT, CursorQuery, LimitQuery, Page, page
from reportgen_dagster.services import api_tokens, me
from reportgen_dagster.services.api_tokens import ApiTokenView

router = APIRouter(prefix="/api/v1/me", tags=["me"])


@router.get(
    "",
    response_model=Me,
    response_description="The account.",
    responses={**NOT_MODIFIED, **problems(503)},
)
def get_me(request: Request, caller: ReaderDep, context: ContextDep) -> Response:
    """Show the caller's account, and what his token may do."""
    account = me.get_me(context, caller)
    return shown(request, Me.of(account), account.fingerprint)


@router.patch(
    "",
    response_description="The account, changed.",
    dependencies=json_body,
    responses=problems(400, 412, 413, 415, 503, status_400="A name that cannot be used."),
)
def change_me(
    body: MeChange, response: Response, caller: SessionDep, context: ContextDep, expected: IfMatchDep
) -> Me:
    """Change the caller's name."""
    account = me.rename_me(context, caller, body.name, expected=expected)
    response.headers.update(tagged(account.fingerprint))
    return Me.of(account)


@router.post(
    "/password",
    response_description="Changed.",
    dependencies=json_body,
    responses=problems(
        400,
        413,
        415,
        429,
        503,
        status_400="The old password does not fit, or the new one cannot be used.",
        status_429="The old password was wrong too often, or too many people sign in at once; see Retry-After.",
    ),
)
def change_password(body: PasswordChange, caller: SessionDep, context: ContextDep) -> MessageView:
    """Change the caller's password. All his other sessions and all his API tokens end at once."""
    me.change_password(context, caller, old=body.old, new=body.new)
    return MessageView(message="Changed; your other sessions and your API tokens have ended.")


@router.get("/sessions", response_description="A page of sessions.", responses=problems(400, 503))
def list_sessions(
    request: Request,
    response: Response,
    caller: SessionDep,
    context: ContextDep,
    limit: LimitQuery = DEFAULT_LIMIT,
    cursor: CursorQuery = None,
) -> Page[SessionItem]:
    """List where the caller is signed in, the last used first."""
    found, cursor = me.page_of_sessions(context, caller, limit=limit, cursor=cursor)
    return page(request, response, [SessionItem.of(one) for one in found], cursor)


@router.delete(
    "/sessions/{session_id}",
    status_code=204,
    response_description="It has ended.",
    responses=problems(404, 503),
)
def end_session(session_id: str, caller: SessionDep, context: ContextDep) -> None:
    """End a session of the caller's: its access and refresh tokens are refused from now on."""
    me.end_session(context, caller, session_id)


@router.post("/sessions/revoke-all", response_description="They have ended.", responses=problems(503))
def revoke_all_sessions(caller: SessionDep, context: ContextDep) -> SessionsEnded:
    """End all sessions of the caller's, the one that asks too. API tokens stay."""
    return SessionsEnded(ended=me.end_all_sessions(context, caller))


@router.post(
    "/tokens",
    status_code=201,
    response_description="The token; its text is shown this once.",
    dependencies=json_body,
    responses=problems(
        400,
        409,
        413,
        415,
        422,
        503,
        status_400="A name, scopes, days or an Idempotency-Key that cannot be used.",
        status_409="There is one of this name, or as many as there may be, or the same request is just being carried out.",
    ),
)
async def make_token(
    body: NewApiToken, caller: SessionDep, context: ContextDep, idempotency: IdempotencyDep
) -> ApiTokenMade:
    """Make an API token for a program: good for its scopes, until it expires or is deleted.

    It is sent like an access token, and is not taken by the calls on accounts, sessions and tokens. A repetition with the same
    Idempotency-Key makes none, and does not show the text again: delete the token whose text was lost, and make another.
    """
    once = await idempotency.once(caller, body, _made)
    token, text = await run_in_threadpool(
        api_tokens.make_token,
        context,
        caller,
        name=body.name,
        scopes=body.scopes,
        days=body.days,
        once=once,
    )
    return _made(token, text)


def _made(token: ApiTokenView, text: str | None = None) -> ApiTokenMade:
    return ApiTokenMade(**ApiTokenItem.of(token).model_dump(), token=text)


@router.get("/tokens", response_description="A page of tokens.", responses=problems(400, 503))
def list_tokens(
    request: Request,
    response: Response,
    caller: SessionDep,
    context: ContextDep,
    limit: LimitQuery = DEFAULT_LIMIT,
    cursor: CursorQuery = None,
) -> Page[ApiTokenItem]:
    """List the caller's API tokens, expired ones too, without their texts, the newest first."""
    found, cursor = api_tokens.page_of_tokens(context, caller.user_id, limit=limit, cursor=cursor)
    return page(request, response, [ApiTokenItem.of(one) for one in found], cursor)


@router.get("/tokens/{token_id}", response_description="The token.", responses=problems(404, 503))
def get_token(token_id: str, caller: SessionDep, context: ContextDep) -> ApiTokenItem:
    """Show an API token of the caller's, without its text."""
    return ApiTokenItem.of(api_tokens.get_token(context, caller.user_id, token_id))


@router.delete(
    "/tokens/{token_id}", status_code=204, response_description="It is gone.", responses=problems(404, 503)
)
def delete_token(token_id: str, caller: SessionDep, context: ContextDep) -> None:
    """Delete an API token of the caller's: it is refused from now on."""
    api_tokens.delete_token(context, caller.user_id, token_id)
