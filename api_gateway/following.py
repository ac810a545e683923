"""Who watches which run in this gateway: one query now and then tells all of them, wherever the runs are changed.

What belongs here: keeping the events of watched runs and waking who waits for them; a stream holds no thread and no connection to
the database. What does not: the form of a stream (runs/events.py), what an event is (services/run_events.py).
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager

from starlette.concurrency import run_in_threadpool

from reportgen_dagster.errors import TooManyError
from reportgen_dagster.services import accounts, run_events
from reportgen_dagster.services.accounts import Caller
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.run_events import RunEventView

LOOK_SECONDS = 0.5
CALLERS_SECONDS = 5.0  # so long a stream outlives its session at most
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
            self.wake()

    def wake(self) -> None:
        """Have who waits look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Wait until there may be something new.

        Raises:
            TimeoutError: If there is nothing for so long.
        """
        await asyncio.wait_for(self._changed.wait(), seconds)

    def events_after(self, number: int) -> list[RunEventView]:
        """Return what is known to have happened since an event."""
        return self._events[bisect_right(self._events, number, key=lambda event: event.number) :]


class Stream:
    """What somebody watches of a run.

    Attributes:
        caller: Who watches.
        run: What is watched.
        is_refused: The caller's session or token is over.
    """

    def __init__(self, caller: Caller, run: WatchedRun) -> None:
        """Begin to watch."""
        self.caller = caller
        self.run = run
        self.is_refused = False

    def refuse(self) -> None:
        """Tell nothing more."""
        self.is_refused = True
        self.run.wake()

    async def events(self, after: int, *, seconds: float) -> AsyncIterator[RunEventView]:
        """Yield what happened and what happens, until the run or the caller's session is over.

        Args:
            after: The number of the last event that is not wanted any more.
            seconds: How long it is waited for at most, in all.
        """
        until = time.monotonic() + seconds
        while not self.is_refused:
            told = self.run.events_after(after)
            for event in told:
                yield event
                after = event.number
            if told:
                continue  # more may have come meanwhile
            if self.run.is_over:
                return
            try:
                await self.run.wait(until - time.monotonic())
            except TimeoutError:
                return


class Follower:
    """Follows the runs that are watched."""

    def __init__(self, context: Context) -> None:
        """Prepare to follow runs of the catalog of `context`."""
        self._context = context
        self._watched: dict[str, WatchedRun] = {}
        self._streams: set[Stream] = set()

    @contextmanager
    def watching(self, caller: Caller, run_id: str) -> Iterator[Stream]:
        """Follow a run while the block runs. Call it on the event loop.

        Args:
            caller: Who watches; may do so.
            run_id: Which run.

        Raises:
            TooManyError: If the user watches too much already.
        """
        if sum(stream.caller.user_id == caller.user_id for stream in self._streams) >= MAX_STREAMS:
            raise TooManyError(
                f"You have {MAX_STREAMS} streams of events open here, the most that is possible.",
                retry_seconds=10,
                hint="Close some of them, or ask for the runs' status now and then.",
            )
        watched = self._watched.setdefault(run_id, WatchedRun())
        watched.watchers += 1
        stream = Stream(caller, watched)
        self._streams.add(stream)
        try:
            yield stream
        finally:
            self._streams.remove(stream)
            watched.watchers -= 1
            if not watched.watchers:
                del self._watched[run_id]

    async def look(self) -> None:
        """Look for what happened to all watched runs.

        Raises:
            UnavailableError: If the catalog does not answer; who waits goes on waiting.
        """
        await self.look_for(run_id for run_id, watched in self._watched.items() if not watched.is_over)

    async def end_refused(self) -> None:
        """End the streams of callers whose sessions or tokens are over.

        Raises:
            UnavailableError: If the catalog does not answer; the streams go on.
        """
        callers = {stream.caller for stream in self._streams}
        over = await run_in_threadpool(accounts.over_among, self._context, callers) if callers else set()
        for stream in self._streams:
            if stream.caller in over:
                stream.refuse()

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
