"""What the gateway does beside answering: asks Dagster to launch and end runs and to reload changed definitions, reaps.

To launch or end a run is a hint to be quick: the catalog holds what is to be done. A sensor launches what is left, and the
worker of a cancelled run finds that out by itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager

from starlette.concurrency import run_in_threadpool

from api_gateway.dagster_client import LOCATION, DagsterClient
from reportgen_dagster.errors import ReportgenError
from reportgen_dagster.services import cancelling, definitions, launching, reaper, schedules
from reportgen_dagster.services.context import Context

RELOAD_CHECK_SECONDS = 1.0
RELOAD_PAUSE_SECONDS = 5.0  # at least so long between two reloads, however often definitions change
REAP_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Launcher:
    """Asks Dagster to launch accepted runs and to end cancelled ones, beside the request that did so."""

    def __init__(self, context: Context, dagster: DagsterClient) -> None:
        """Prepare to launch and end runs of the catalog of `context` through `dagster`."""
        self._context = context
        self._dagster = dagster
        self._under_way: set[asyncio.Task[None]] = set()

    def launch_soon(self, run_id: str) -> None:
        """Launch an accepted run without waiting for it. Call it on the event loop."""
        self._begin(self.launch(run_id))

    def end_soon(self, run_id: str) -> None:
        """End the Dagster run of a cancelled run without waiting for it. Call it on the event loop."""
        self._begin(self.end(run_id))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def launch(self, run_id: str) -> None:
        """Launch a run; if that fails it is logged, and Dagster's sensor launches the run later."""
        try:
            launch = await run_in_threadpool(launching.launch_of, self._context, run_id)
            if launch is None:
                return
            dagster_run_id = await self._dagster.launch(launch)
            launched = await run_in_threadpool(reaper.mark_launched, self._context, run_id, dagster_run_id)
            if not launched and await run_in_threadpool(cancelling.is_cancelled, self._context, run_id):
                await self._dagster.terminate([dagster_run_id])  # it was cancelled before it was launched
        except ReportgenError as error:
            _log.warning("run %s is accepted and launched later: %s", run_id, error.detail)
        except Exception:
            _log.exception("run %s is accepted and launched later", run_id)

    async def end(self, run_id: str) -> None:
        """End the Dagster run of a cancelled run; if that fails it is logged, and whoever carries it out ends it."""
        try:
            if dagster_run_ids := await self._dagster.live_runs(run_id):
                await self._dagster.terminate(dagster_run_ids)
        except ReportgenError as error:
            _log.warning("run %s is cancelled, but Dagster was not told: %s", run_id, error.detail)
        except Exception:
            _log.exception("run %s is cancelled, but Dagster was not told", run_id)

    async def close(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._under_way)


class Reloader:
    """Has Dagster reload when the catalog's schedules are not those that it last loaded."""

    def __init__(self, context: Context, dagster: DagsterClient) -> None:
        """Prepare to compare the catalog of `context` with what `dagster` loaded."""
        self._context = context
        self._dagster = dagster
        self._reloaded_at = -RELOAD_PAUSE_SECONDS

    async def reload_if_changed(self) -> None:
        """Compare, and reload unless the last reload was a moment ago.

        Raises:
            UnavailableError: If the catalog or Dagster does not answer.
            ServiceError: If the definitions cannot be loaded.
        """
        if time.monotonic() - self._reloaded_at < RELOAD_PAUSE_SECONDS:
            return
        if await run_in_threadpool(self._is_loaded):
            return
        self._reloaded_at = time.monotonic()
        await self._dagster.reload()
        for schedule_id in await run_in_threadpool(schedules.contradicted_switches, self._context):
            await self._dagster.reset_schedule(schedule_id)
            await run_in_threadpool(schedules.forget_switch, self._context, schedule_id)

    def _is_loaded(self) -> bool:
        wanted = definitions.fingerprint(self._context)
        return definitions.loaded_fingerprint(self._context, LOCATION) == wanted


class Reaper:
    """Gives back runs whose worker died, also while Dagster's daemon is away."""

    def __init__(self, context: Context) -> None:
        """Prepare to look through the catalog of `context`."""
        self._context = context

    async def reap(self) -> None:
        """Look once.

        Raises:
            UnavailableError: If the catalog does not answer.
        """
        for told in await run_in_threadpool(reaper.reap, self._context):
            _log.warning("%s", told)


@asynccontextmanager
async def repeating(work: Callable[[], Awaitable[None]], *, seconds: float, name: str) -> AsyncIterator[None]:
    """Do some work again and again while the block runs; its errors are logged and never end it."""
    task = asyncio.create_task(_repeat(work, seconds, name), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _repeat(work: Callable[[], Awaitable[None]], seconds: float, name: str) -> None:
    last_problem = ""
    while True:
        try:
            await work()
            last_problem = ""
        except ReportgenError as error:
            if error.detail != last_problem:
                _log.warning("%s waits: %s", name, error.detail)
            last_problem = error.detail
        except Exception:
            _log.exception("%s failed and goes on", name)
        await asyncio.sleep(seconds)
