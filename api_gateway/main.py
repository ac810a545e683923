"""Assembles the gateway: `uvicorn --factory api_gateway.main:create_app`. What calls do is in the folders beside it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

import api_gateway.audit.router
import api_gateway.auth.router
import api_gateway.datasets.router
import api_gateway.deliveries.router
import api_gateway.health.router
import api_gateway.language.router
import api_gateway.me.router
import api_gateway.metrics.router
import api_gateway.named_reports.router
import api_gateway.operators.router
import api_gateway.preview.router
import api_gateway.reports.router
import api_gateway.resumable.router
import api_gateway.rulesets.router
import api_gateway.runs.events
import api_gateway.runs.router
import api_gateway.schedules.router
import api_gateway.uploads.router
import api_gateway.usage.router
import api_gateway.users.router
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
from api_gateway.envelope import Envelope
from api_gateway.errors import install_error_handlers, internal_error_response
from api_gateway.following import CALLERS_SECONDS, LOOK_SECONDS, Follower
from api_gateway.health.readiness import Readiness
from api_gateway.idempotency import install_idempotency
from api_gateway.metrics.measures import Measures
from api_gateway.origin import OriginLayer
from api_gateway.resumable.protocol import TusLayer
from reportgen_dagster import logs, tracing
from reportgen_dagster.catalog.session import migrate
from reportgen_dagster.errors import UnavailableError
from reportgen_dagster.services import check, keys, preview
from reportgen_dagster.services.context import Context
from reportgen_dagster.settings import Settings

_DESCRIPTION = """CSV files in, rules that anyone can read, reports out: on demand or on a cron schedule.

A trailing slash is optional. Errors are `application/problem+json`, with `error` for clients of the original service.
Every answer has an `X-Request-Id`. Lists come in pages (`limit`, `cursor`, a `next` link); definitions have an `ETag`
for `If-Match`; calls that make something take an `Idempotency-Key`. Times are RFC 3339 in UTC."""
_ROUTERS = (
    api_gateway.auth.router.router,
    api_gateway.me.router.router,
    api_gateway.uploads.router.router,
    api_gateway.resumable.router.router,
    api_gateway.usage.router.router,
    api_gateway.reports.router.router,
    api_gateway.runs.router.router,
    api_gateway.runs.events.router,
    api_gateway.deliveries.router.router,
    api_gateway.runs.router.open_router,
    api_gateway.datasets.router.router,
    api_gateway.rulesets.router.router,
    api_gateway.named_reports.router.router,
    api_gateway.schedules.router.router,
    api_gateway.preview.router.router,
    api_gateway.language.router.router,
    api_gateway.users.router.router,
    api_gateway.audit.router.router,
    api_gateway.health.router.router,
    api_gateway.metrics.router.router,
    api_gateway.operators.router.router,
)
_LOGGED = (*logs.PACKAGES, "uvicorn")
_log = logging.getLogger(__name__)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the app. Nothing is opened or connected before it starts to serve.

    Args:
        settings: What it is told; default: the environment's.
    """
    told = settings or Settings()
    _log_as_told(told)

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
    app.add_middleware(OriginLayer, proxies=told.proxy_networks)
    install_idempotency(app)
    app.add_middleware(TusLayer)
    app.state.measures = Measures()
    app.add_middleware(Envelope, on_crash=internal_error_response, watch=app.state.measures.watch)
    return app


@asynccontextmanager
async def _running(settings: Settings) -> AsyncIterator[Gateway]:
    """Open everything that the app needs, and close it in the opposite order."""
    async with AsyncExitStack() as stack:
        tracing.start_if_wanted("gateway", wanted=settings.traces_are_wanted)
        stack.callback(tracing.stop)
        await run_in_threadpool(migrate, settings.catalog_url)
        keys.signing_key(settings)
        context = Context.open(settings)
        stack.callback(context.close)
        stack.callback(check.close)
        stack.callback(preview.close)
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
        follower = Follower(context)
        await stack.enter_async_context(repeating(follower.look, seconds=LOOK_SECONDS, name="following runs"))
        refusing = repeating(follower.end_refused, seconds=CALLERS_SECONDS, name="ending streams")
        await stack.enter_async_context(refusing)
        yield Gateway(context, dagster, launcher, Readiness(context, dagster), follower)


def _log_as_told(settings: Settings) -> None:
    """Give our lines and uvicorn's one form. Uvicorn's own access lines repeat ours."""
    secrets = settings.secret_values()
    logs.configure(settings.log_format, settings.log_level, secrets=secrets, loggers=_LOGGED)
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)


def _warm() -> None:
    """Start the checking process; without it the service still downloads, and the next check tries again."""
    try:
        check.warm()
    except UnavailableError as error:
        _log.warning("%s", error.detail)


def _operation_id(route: APIRoute) -> str:
    return route.name
