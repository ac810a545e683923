"""Following a run until it ended: by live events (server-sent) where the service has them, else by asking again and again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx2

from reportgen_client.connection import Call, Connection
from reportgen_client.errors import ReportgenClientError

FINAL = ("succeeded", "failed", "cancelled")
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0
# The service gives a sign of life every 15 s; where none comes, something on the way holds events back.
_SILENCE_SECONDS = 20.0


def follow(connection: Connection, run_id: str, timeout: float | None) -> Iterator[dict[str, Any]]:
    """Yield what is told of a run, again and again; the last one is final.

    Args:
        connection: The way to the service.
        run_id: The run.
        timeout: Seconds after which to give up; None: never.

    Raises:
        TimeoutError: If it did not end in time.
        ReportgenApiError: If there is no such run.
    """
    following = _Following(connection, run_id, timeout)
    while True:
        is_live = False
        for facts in following.events():
            is_live = True
            yield facts
            if facts["status"] in FINAL:
                return
        if not is_live:  # there are no events, or they do not come through
            yield from following.looks()
            return


class _Following:
    def __init__(self, connection: Connection, run_id: str, timeout: float | None) -> None:
        self._connection = connection
        self._run_id = run_id
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._last_event = ""

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the data of live events, those after the last one that came, until the stream ends or breaks."""
        left = self._left()
        call = Call(
            "GET",
            f"/api/v1/runs/{self._run_id}/events",
            headers={"Last-Event-ID": self._last_event} if self._last_event else {},
            silence_seconds=_SILENCE_SECONDS if left is None else min(_SILENCE_SECONDS, left),
            is_repeated=False,
        )
        with suppress(ReportgenClientError), self._connection.stream(call) as answer:
            for event in httpx2.EventSource(answer):
                if event.data:
                    self._last_event = event.id
                    yield json.loads(event.data)

    def looks(self) -> Iterator[dict[str, Any]]:
        """Yield what the service tells when it is asked, less and less often."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            call = Call("GET", f"/api/task-status/{self._run_id}/")
            facts: dict[str, Any] = self._connection.ask(call)
            yield facts
            if facts["status"] in FINAL:
                return
            left = self._left()
            time.sleep(pause if left is None else min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)

    def _left(self) -> float | None:
        """Return the seconds that are left.

        Raises:
            TimeoutError: If there are none.
        """
        if self._deadline is None:
            return None
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"run {self._run_id} did not end within {self._timeout} s")
        return left
