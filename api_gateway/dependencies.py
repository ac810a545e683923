"""What endpoints ask for by type: the installation's context, the caller and what he may do, Dagster, the launcher.

A call says by the type of its caller what it takes to be allowed: `ReaderDep`, `RunnerDep`, `WriterDep`, `AdminDep` name
the scope, `SessionDep` is for what only somebody who signed in may do, not a program with an API token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from api_gateway.background import Launcher
from api_gateway.dagster_client import DagsterClient
from api_gateway.following import Follower
from api_gateway.health.readiness import Readiness
from reportgen_dagster import logs
from reportgen_dagster.errors import AuthenticationError, ForbiddenError
from reportgen_dagster.services import accounts
from reportgen_dagster.services.accounts import Caller, Client
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.origin import present_origin


@dataclass(frozen=True, slots=True)
class Gateway:
    """What lives as long as the app runs; the app's state holds it."""

    context: Context
    dagster: DagsterClient
    launcher: Launcher
    readiness: Readiness
    follower: Follower


_bearer = HTTPBearer(
    auto_error=False, description="The access token of register, login or refresh, or an API token."
)


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _context(gateway: Annotated[Gateway, Depends(_gateway)]) -> Context:
    return gateway.context


def _launcher(gateway: Annotated[Gateway, Depends(_gateway)]) -> Launcher:
    return gateway.launcher


def _readiness(gateway: Annotated[Gateway, Depends(_gateway)]) -> Readiness:
    return gateway.readiness


def _follower(gateway: Annotated[Gateway, Depends(_gateway)]) -> Follower:
    return gateway.follower


def _caller(
    needed: SecurityScopes,
    context: Annotated[Context, Depends(_context)],
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    if credentials is None:
        raise AuthenticationError("Send the access token as: Authorization: Bearer <access>")
    caller = accounts.authenticate(context, credentials.credentials)
    logs.note(user_id=caller.user_id)
    missing = [scope for scope in needed.scopes if scope not in caller.scopes]
    if missing:
        raise ForbiddenError(
            f"This call needs the scope {', '.join(missing)}, which the token does not have."
        )
    return caller


def _client(request: Request) -> Client:
    return Client(user_agent=request.headers.get("user-agent", ""), address=present_origin().address)


def _signed_in(caller: Annotated[Caller, Depends(_caller)]) -> Caller:
    if not caller.session_id:
        raise ForbiddenError("This call is for people who signed in; API tokens are not taken here.")
    return caller


ContextDep = Annotated[Context, Depends(_context)]
ReaderDep = Annotated[Caller, Security(_caller, scopes=["read"])]
RunnerDep = Annotated[Caller, Security(_caller, scopes=["run"])]
WriterDep = Annotated[Caller, Security(_caller, scopes=["write"])]
AdminDep = Annotated[Caller, Security(_caller, scopes=["admin"])]
# Of calls that do the same for all who may do it.
for_readers = [Security(_caller, scopes=["read"])]
for_admins = [Security(_caller, scopes=["admin"])]
ClientDep = Annotated[Client, Depends(_client)]
SessionDep = Annotated[Caller, Depends(_signed_in)]
LauncherDep = Annotated[Launcher, Depends(_launcher)]
ReadinessDep = Annotated[Readiness, Depends(_readiness)]
FollowerDep = Annotated[Follower, Depends(_follower)]
