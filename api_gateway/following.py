"""Who watches which run in this gateway: one query now and then tells all of them, wherever the runs are changed.

What belongs here: keeping the events of watched runs and waking who waits for them; a stream holds no thread and no connection to
the database. What does not: the form of a stream (runs/events.py), what an event is (services/run_events.py).
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager

from starlette.concurrency import run_in_threadpool

from reportgen_dagster.errors import TooManyError
from reportgen_dagster.services import run_events
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.run_events import RunEventView

LOOK_SECONDS = 0.5
MAX_STREAMS = 50  # of one user in one gateway


class WatchedRun:
    """A run that somebody watches, with all that happened to it so far."""

    def __init__(self) -> None:
        """Begin without events."""
        self.watchers = 0
        self._events: list[RunEventView] = []
        self._changed = asyncio.Event()

    @property
    def seen(self) -> int:
        """The number of the last event that is known; 0: none is."""
        return self._events[-1].number if self._events else 0

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more will happen."""
        return bool(self._events) and self._events[-1].is_last

    def add(self, event: RunEventView) -> None:
        """Take an event and wake who waits; one that is known already changes nothing."""
        if event.number > self.seen:
            self._events.append(event)
            self._changed.set()
            self._changed = asyncio.Event()

    async def events(self, after: int, *, seconds: float) -> AsyncIterator[RunEventView]:
        """Yield what happened and what happens, until the run is over.

        Args:
            after: The number of the last event that is not wanted any more.
            seconds: How long it is waited for at most, in all.
        """
        place = bisect_right([event.number for event in self._events], after)
        until = time.monotonic() + seconds
        while True:
            while place < len(self._events):
                yield self._events[place]
                place += 1
            if self.is_over:
                return
            try:
                await asyncio.wait_for(self._changed.wait(), until - time.monotonic())
            except TimeoutError:
                return


class Follower:
    """Follows the runs that are watched."""

    def __init__(self, context: Context) -> None:
        """Prepare to follow runs of the catalog of `context`."""
        self._context = context
        self._watched: dict[str, WatchedRun] = {}
        self._streams: Counter[str] = Counter()

    @contextmanager
    def watching(self, user_id: str, run_id: str) -> Iterator[WatchedRun]:
        """Follow a run while the block runs. Call it on the event loop.

        Args:
            user_id: Who watches; may do so.
            run_id: Which run.

        Raises:
            TooManyError: If the user watches too much already.
        """
        if self._streams[user_id] >= MAX_STREAMS:
            raise TooManyError(
                f"You have {MAX_STREAMS} streams of events open here, the most that is possible.",
                retry_seconds=10,
                hint="Close some of them, or ask for the runs' status now and then.",
            )
        watched = self._watched.setdefault(run_id, WatchedRun())
        watched.watchers += 1
        self._streams[user_id] += 1
        try:
            yield watched
        finally:
            watched.watchers -= 1
            self._streams -= Counter([user_id])  # counts of zero go
            if not watched.watchers:
                del self._watched[run_id]

    async def look(self) -> None:
        """Look for what happened to all watched runs.

        Raises:
            UnavailableError: If the catalog does not answer; who waits goes on waiting.
        """
        await self.look_for(run_id for run_id, watched in self._watched.items() if not watched.is_over)

    async def look_for(self, run_ids: Iterable[str]) -> None:
        """Look for what happened to some of the watched runs.

        Raises:
            UnavailableError: If the catalog does not answer.
        """
        seen = {run_id: self._watched[run_id].seen for run_id in run_ids}
        if not seen:
            return
        for event in await run_in_threadpool(run_events.events_after, self._context, seen):
            if (watched := self._watched.get(event.run_id)) is not None:
                watched.add(event)
