"""Register, log in, refresh, log out. The rules behind them are services/accounts.py."""

from __future__ import annotations

from fastapi import APIRouter

from api_gateway.auth.schemas import (
    LoginBody,
    MessageView,
    RefreshBody,
    RegisterBody,
    SessionView,
    TokensView,
    UserView,
)
from api_gateway.bodies import json_body
from api_gateway.dependencies import ClientDep, ContextDep, SessionDep
from api_gateway.documentation import problems
from reportgen_dagster.services import accounts
from reportgen_dagster.services.accounts import SignedIn

router = APIRouter(prefix="/api/auth", tags=["accounts"])


@router.post(
    "/register",
    status_code=201,
    response_description="The account and its first pair of tokens.",
    dependencies=json_body,
    responses=problems(
        400,
        413,
        415,
        429,
        503,
        status_400="An e-mail, name or password that cannot be used, or a taken e-mail.",
        status_429="Too many accounts were made from this address, or too many people sign in at once; see Retry-After.",
    ),
)
def register(body: RegisterBody, client: ClientDep, context: ContextDep) -> SessionView:
    """Make an account and sign in.

    It takes no Idempotency-Key, for there is no caller yet whose key it could be, and its answer is secret. Where the answer was
    lost, log in: the account is there or can be made.
    """
    signed_in = accounts.register(
        context, email=body.email, name=body.name, password=body.password, client=client
    )
    return _session(signed_in)


@router.post(
    "/login",
    response_description="The account and a pair of tokens.",
    dependencies=json_body,
    responses=problems(
        400,
        401,
        413,
        415,
        429,
        503,
        status_400="A field is missing.",
        status_401="E-mail or password is wrong.",
        status_429="It was wrong too often, for this account or from this address, or too many people sign in at once;"
        " see Retry-After.",
    ),
)
def login(body: LoginBody, client: ClientDep, context: ContextDep) -> SessionView:
    """Sign in."""
    return _session(accounts.login(context, email=body.email, password=body.password, client=client))


@router.post(
    "/refresh",
    response_description="A new pair of tokens.",
    dependencies=json_body,
    responses=problems(
        400,
        401,
        413,
        415,
        429,
        503,
        status_400="The refresh token is missing.",
        status_401="It is invalid, expired, revoked or was used before.",
        status_429="Too many unknown ones came from this address; see Retry-After.",
    ),
)
def refresh(body: RefreshBody, client: ClientDep, context: ContextDep) -> TokensView:
    """Exchange a refresh token for a new pair. Each works once; a second use ends the session."""
    signed_in = accounts.refresh(context, body.refresh, client=client)
    return TokensView(access=signed_in.access, refresh=signed_in.refresh)


@router.get("/logout", name="logout", response_description="Signed out.", responses=problems(401, 503))
@router.post(
    "/logout", name="logout_by_post", response_description="Signed out.", responses=problems(401, 503)
)
def logout(caller: SessionDep, context: ContextDep) -> MessageView:
    """End the session: its access and refresh tokens are refused from now on."""
    accounts.logout(context, caller.session_id)
    return MessageView(message="Signed out.")


def _session(signed_in: SignedIn) -> SessionView:
    user = signed_in.user
    return SessionView(
        user=UserView(id=user.id, email=user.email, name=user.name),
        access=signed_in.access,
        refresh=signed_in.refresh,
    )
