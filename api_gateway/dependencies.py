"""What endpoints ask for by type: the installation's context, the caller, Dagster, the launcher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api_gateway.background import Launcher
from api_gateway.dagster_client import DagsterClient
from api_gateway.health.readiness import Readiness
from reportgen_dagster.errors import AuthenticationError
from reportgen_dagster.services import accounts
from reportgen_dagster.services.accounts import Caller
from reportgen_dagster.services.context import Context


@dataclass(frozen=True, slots=True)
class Gateway:
    """What lives as long as the app runs; the app's state holds it."""

    context: Context
    dagster: DagsterClient
    launcher: Launcher
    readiness: Readiness


_bearer = HTTPBearer(auto_error=False, description="The access token of register, login or refresh.")


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _context(gateway: Annotated[Gateway, Depends(_gateway)]) -> Context:
    return gateway.context


def _launcher(gateway: Annotated[Gateway, Depends(_gateway)]) -> Launcher:
    return gateway.launcher


def _readiness(gateway: Annotated[Gateway, Depends(_gateway)]) -> Readiness:
    return gateway.readiness


def _caller(
    context: Annotated[Context, Depends(_context)],
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    if credentials is None:
        raise AuthenticationError("Send the access token as: Authorization: Bearer <access>")
    return accounts.authenticate(context, credentials.credentials)


ContextDep = Annotated[Context, Depends(_context)]
CallerDep = Annotated[Caller, Depends(_caller)]
LauncherDep = Annotated[Launcher, Depends(_launcher)]
ReadinessDep = Annotated[Readiness, Depends(_readiness)]
