"""Whether every server that the service needs answers, and what they are not happy about."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import celery
import redis
from anyio import to_thread

from api_gateway.dagster_client import DagsterClient
from reportgen_dagster.errors import ReportgenError
from reportgen_dagster.identity import locations
from reportgen_dagster.services import definitions
from reportgen_dagster.services.context import Context

PATIENCE_SECONDS = 3.0
REMEMBERED_SECONDS = 1.0  # anybody may ask, so a flood of questions must not reach the servers
T = TypeVar("T")
_log = logging.getLogger(__name__)


class Readiness:
    """Asks database, storage, broker, Dagster and worker for a sign of life, all at once."""

    def __init__(self, context: Context, dagster: DagsterClient) -> None:
        """Prepare to ask the servers of `context` and `dagster`."""
        self._context = context
        self._dagster = dagster
        broker = context.settings.broker_url
        self._broker_url = broker.get_secret_value() if broker else ""
        self._celery = celery.Celery(
            broker=self._broker_url or None,
            broker_connection_timeout=PATIENCE_SECONDS,
            broker_connection_retry=False,
        )
        self._lock = asyncio.Lock()
        self._asked_at = -REMEMBERED_SECONDS
        self._failures: dict[str, str] = {}
        self._warnings: list[str] = []

    async def look(self) -> tuple[dict[str, str], list[str]]:
        """Return what is not ready, each with a few words on why, and what is but needs a look: a disk, definitions.

        Both are empty when all is well.
        """
        async with self._lock:
            if time.monotonic() - self._asked_at >= REMEMBERED_SECONDS:
                self._failures = await self._ask_all()
                self._warnings = await self._warn()
                self._asked_at = time.monotonic()
            return self._failures, self._warnings

    async def _warn(self) -> list[str]:
        suspicion = await _in_thread(self._context.store.disk.suspicion)
        stale = [] if "database" in self._failures else await self._stale_definitions()
        return [*([f"storage: {suspicion}"] if suspicion else []), *stale]

    async def _stale_definitions(self) -> list[str]:
        problems = await _in_thread(lambda: definitions.load_problems(self._context))
        return [f"definitions: {told}" for told in _told(problems)]

    async def _ask_all(self) -> dict[str, str]:
        probes: dict[str, Callable[[], Awaitable[str]]] = {
            "database": self._database,
            "storage": self._storage,
            "broker": self._broker,
            "dagster": self._definitions,
            "worker": self._worker,
        }
        answers = await asyncio.gather(*(_ask(name, probe) for name, probe in probes.items()))
        return {name: answer for name, answer in zip(probes, answers, strict=True) if answer}

    async def _database(self) -> str:
        return await _in_thread(self._ping_database)

    async def _storage(self) -> str:
        return await _in_thread(self._ping_storage)

    async def _broker(self) -> str:
        return await _in_thread(self._ping_broker)

    async def _definitions(self) -> str:
        missing = await self._dagster.unloaded(locations(self._context.settings.shards))
        return f"its definitions are not loaded: {'; '.join(_told(missing))}" if missing else ""

    async def _worker(self) -> str:
        return await _in_thread(self._ping_worker)

    def _ping_database(self) -> str:
        self._context.catalog.ping()
        return ""

    def _ping_storage(self) -> str:
        self._context.store.ping()
        return ""

    def _ping_broker(self) -> str:
        if not self._broker_url:
            return "REPORTGEN_BROKER_URL is not set"
        with redis.Redis.from_url(
            self._broker_url, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS
        ) as client:
            client.ping()
        return ""

    def _ping_worker(self) -> str:
        if self._ping_broker():
            return "without a broker no worker can answer"
        return "" if self._celery.control.ping(timeout=1, limit=1) else "no worker answers"


def _told(problems: Mapping[str, str]) -> list[str]:
    return [f"{name} ({why})" for name, why in problems.items()]


async def _in_thread(probe: Callable[[], T]) -> T:
    """Run a blocking probe; one that takes too long is left to its own time limits."""
    return await to_thread.run_sync(probe, abandon_on_cancel=True)


async def _ask(name: str, probe: Callable[[], Awaitable[str]]) -> str:
    try:
        return await asyncio.wait_for(probe(), PATIENCE_SECONDS)
    except ReportgenError as error:
        return error.detail
    except TimeoutError:
        return "it does not answer in time"
    except Exception as error:
        _log.warning("%s is not ready: %s", name, type(error).__name__)
        return "it does not answer"
