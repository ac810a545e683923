"""What the gateway does beside answering: asks Dagster to launch and end runs and to reload changed definitions, reaps.

To launch or end a run is a hint to be quick: the catalog holds what is to be done. A sensor launches what is left, and the
worker of a cancelled run finds that out by itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager

from starlette.concurrency import run_in_threadpool

from api_gateway.dagster_client import DagsterClient
from reportgen_dagster import logs
from reportgen_dagster.errors import ReportgenError
from reportgen_dagster.identity import locations
from reportgen_dagster.services import cancelling, definitions, launching, reaper, switches
from reportgen_dagster.services.context import Context

RELOAD_CHECK_SECONDS = 1.0
COMPARE_SHARE = 0.03  # of the time goes into comparing at most: with 3,000 reports it takes 0.1 s
COMPARE_SECONDS = 10.0  # but it is done at least so often
LOOK_SECONDS = 5.0  # so often Dagster is asked whether it has all definitions
AT_ODDS = "Dagster loaded other definitions than the catalog's; all processes need the same SHARDS"
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
        with logs.lines_about(run_id=run_id):
            self._begin(self.launch(run_id))

    def end_soon(self, run_id: str) -> None:
        """End the Dagster run of a cancelled run without waiting for it. Call it on the event loop."""
        with logs.lines_about(run_id=run_id):
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
    """Has Dagster reload the code locations whose definitions are not those of the catalog, one after the other.

    Any number of gateways may try: a lock lets one of them reload, and how long a location rests is kept in the catalog.
    """

    def __init__(self, context: Context, dagster: DagsterClient) -> None:
        """Prepare to compare the catalog of `context` with what `dagster` loaded."""
        self._context = context
        self._dagster = dagster
        self._looked_at = -LOOK_SECONDS
        self._compare_at = 0.0

    async def reload_if_changed(self) -> None:
        """Compare, and reload what changed unless it was reloaded a moment ago.

        What fails is told in the catalog and, the first time, in the log; it is tried again after the same pause.

        Raises:
            UnavailableError: If the catalog or Dagster does not answer; a reload was not tried then.
        """
        if time.monotonic() < self._compare_at:
            return
        stale = await self._stale()
        if not stale:
            return
        with ExitStack() as stack:
            lock = definitions.reload_lock(self._context)
            if not await run_in_threadpool(stack.enter_context, lock):
                return
            # Another gateway may have been faster, so it is looked once more.
            for location in await self._without_resting(stale):
                await self._reload(location)

    async def _show_switches(self) -> None:
        """Let Dagster show what owners switched after operators had, once the definitions say so."""
        for location, schedule_id in await run_in_threadpool(switches.contradicted, self._context):
            await self._dagster.reset_schedule(location, schedule_id)
            await run_in_threadpool(switches.forget, self._context, schedule_id)

    async def _stale(self) -> list[str]:
        """Return the locations to reload: those that changed and, asked now and then, those that are not loaded."""
        began = time.monotonic()
        changed = await run_in_threadpool(definitions.changed_locations, self._context)
        took = time.monotonic() - began
        self._compare_at = began + min(took / COMPARE_SHARE, COMPARE_SECONDS)
        if not changed:
            await self._show_switches()
        changed = await self._without_resting(changed)
        if not changed and began - self._looked_at < LOOK_SECONDS:
            return []
        self._looked_at = began
        unloaded = await self._dagster.unloaded(locations(self._context.settings.shards))
        return await self._without_resting(sorted({*changed, *unloaded}))

    async def _without_resting(self, stale: list[str]) -> list[str]:
        resting = [await run_in_threadpool(definitions.is_resting, self._context, name) for name in stale]
        return [name for name, rests in zip(stale, resting, strict=True) if not rests]

    async def _reload(self, location: str) -> None:
        wanted = await run_in_threadpool(definitions.wanted_fingerprint, self._context, location)
        began = time.monotonic()
        problem = None
        try:
            await self._dagster.reload(location)
            if await run_in_threadpool(definitions.is_at_odds, self._context, location, wanted):
                problem = AT_ODDS
        except ReportgenError as error:
            problem = error.detail
        seconds = time.monotonic() - began
        if await run_in_threadpool(definitions.note_reloaded, self._context, location, seconds, problem):
            _log.warning("Dagster's definitions are not those of the catalog: %s: %s", location, problem)


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
