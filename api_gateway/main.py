"""Assembles the gateway: `uvicorn --factory api_gateway.main:create_app`. What calls do is in the folders beside it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

import api_gateway.auth.router
import api_gateway.deliveries.router
import api_gateway.health.router
import api_gateway.language.router
import api_gateway.operators.router
import api_gateway.reports.router
import api_gateway.runs.router
import api_gateway.schedules.router
import api_gateway.uploads.router
from api_gateway.background import (
    REAP_SECONDS,
    RELOAD_CHECK_SECONDS,
    Launcher,
    Reaper,
    Reloader,
    repeating,
)
from api_gateway.dagster_client import DagsterClient
from api_gateway.dependencies import Gateway
from api_gateway.documentation import install_documentation
from api_gateway.envelope import Envelope, configure_logging
from api_gateway.errors import install_error_handlers, internal_error_response
from api_gateway.health.readiness import Readiness
from reportgen_dagster.catalog.session import migrate
from reportgen_dagster.errors import UnavailableError
from reportgen_dagster.services import accounts, check
from reportgen_dagster.services.context import Context
from reportgen_dagster.settings import Settings

_DESCRIPTION = """CSV files in, rules that anyone can read, reports out: on demand or on a cron schedule.

A trailing slash is optional. Errors are `application/problem+json`, with `error` for clients of the original service.
Every answer has an `X-Request-Id`."""
_ROUTERS = (
    api_gateway.auth.router.router,
    api_gateway.uploads.router.router,
    api_gateway.reports.router.router,
    api_gateway.runs.router.router,
    api_gateway.deliveries.router.router,
    api_gateway.runs.router.open_router,
    api_gateway.schedules.router.router,
    api_gateway.language.router.router,
    api_gateway.health.router.router,
    api_gateway.operators.router.router,
)
_log = logging.getLogger(__name__)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the app. Nothing is opened or connected before it starts to serve.

    Args:
        settings: What it is told; default: the environment's.
    """
    told = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with _running(told) as gateway:
            app.state.gateway = gateway
            yield

    app = FastAPI(
        title="reportgen",
        version=version("reportgen"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    for router in _ROUTERS:
        app.include_router(router)
    install_documentation(app)
    install_error_handlers(app)
    app.add_middleware(Envelope, on_crash=internal_error_response)
    return app


@asynccontextmanager
async def _running(settings: Settings) -> AsyncIterator[Gateway]:
    """Open everything that the app needs, and close it in the opposite order."""
    configure_logging()
    async with AsyncExitStack() as stack:
        await run_in_threadpool(migrate, settings.catalog_url)
        accounts.signing_key(settings)
        context = Context.open(settings)
        stack.callback(context.close)
        stack.callback(check.close)
        await run_in_threadpool(context.store.remove_stale)
        dagster = DagsterClient(settings.dagster_graphql_url)
        stack.push_async_callback(dagster.close)
        launcher = Launcher(context, dagster)
        stack.push_async_callback(launcher.close)
        reloader = Reloader(context, dagster)
        await run_in_threadpool(_warm)
        await stack.enter_async_context(
            repeating(reloader.reload_if_changed, seconds=RELOAD_CHECK_SECONDS, name="reloading Dagster")
        )
        await stack.enter_async_context(repeating(Reaper(context).reap, seconds=REAP_SECONDS, name="reaping"))
        yield Gateway(context, dagster, launcher, Readiness(context, dagster))


def _warm() -> None:
    """Start the checking process; without it the service still downloads, and the next check tries again."""
    try:
        check.warm()
    except UnavailableError as error:
        _log.warning("%s", error.detail)


def _operation_id(route: APIRoute) -> str:
    return route.name
