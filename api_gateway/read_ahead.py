"""What has arrived of a body before the app asks for it: whole pieces that wait, and are handed on together.

uvicorn copies each piece into a buffer and from there into a message, and has one piece wait: at the speed of a disk that
costs more than the rest of the way.
"""

from __future__ import annotations

from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

UNASKED_BYTES = 64 * 1024  # nobody has said yet that the body is wanted
AHEAD_BYTES = 512 * 1024


class ReadAhead:
    """The body of one request."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        """Stand between a request and the app that answers it, from its first byte on."""
        self._wait = cycle.receive
        # uvicorn makes the cycle itself and hands its `receive` to the app: there is no other place to stand in.
        cycle.receive = self._receive  # type: ignore[method-assign]
        self._pieces: list[bytes] = []
        self._size = 0
        self._most = UNASKED_BYTES

    def add(self, piece: bytes) -> None:
        """Keep a piece until the app asks."""
        self._pieces.append(piece)
        self._size += len(piece)

    @property
    def is_full(self) -> bool:
        """Whether so much waits that no more should be read."""
        return self._size > self._most

    async def _receive(self) -> ASGIReceiveEvent:
        self._most = AHEAD_BYTES
        message = await self._wait()
        if message["type"] == "http.request":
            message["body"] = b"".join(self._pieces)
            self._pieces, self._size = [], 0
        return message
