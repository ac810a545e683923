"""What a connection may cost before anybody knows who is at its other end: the size of a head, and how slow a client may be.

An extension of uvicorn's protocol, which bounds none of this: `uvicorn --http api_gateway.connections:BoundedProtocol`.
What belongs here: bytes and clocks of connections. What does not: how large bodies may be (envelope.py, multipart.py).

The answers that end a connection here have passed no app: they are problems like all others, with ids of their own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import ClassVar

from starlette.types import Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api_gateway.envelope import SAFE_HEADERS, Envelope
from api_gateway.errors import http_error, internal_error_response, problem_response
from api_gateway.read_ahead import ReadAhead
from reportgen_dagster import logs
from reportgen_dagster.errors import UnavailableError
from reportgen_dagster.identity import new_id

_log = logging.getLogger(__name__)


async def _too_busy(scope: Scope, receive: Receive, send: Send) -> None:
    error = UnavailableError("The gateway has as many connections as it takes; try again.")
    busy = problem_response(
        scope, HTTPStatus.SERVICE_UNAVAILABLE, error.to_json(), headers={"Connection": "close"}
    )
    await busy(scope, receive, send)


_TOO_BUSY = Envelope(_too_busy, on_crash=internal_error_response)


class _HeadTooLargeError(Exception):
    """Stops the parser."""


class _Clock:
    """Runs out once, unless it is set anew or stopped before."""

    def __init__(self) -> None:
        self._handle: asyncio.TimerHandle | None = None

    @property
    def is_running(self) -> bool:
        return self._handle is not None

    def set(self, loop: asyncio.AbstractEventLoop, seconds: float, end: Callable[[], None]) -> None:
        self.stop()
        self._handle = loop.call_later(seconds, end)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class BoundedProtocol(HttpToolsProtocol):
    """One connection, with bounds.

    Class attributes:
        most_head_bytes: How large the first line and the headers of a request may be together, and the trailers of a body.
        most_connections: How many there may be; a request on a further one is answered with 503, and from twice as many on
            they are closed at once. Each takes a file descriptor, of which a process often has no more than 1,024.
        head_seconds: How long the head of a request may take, also the first one after the connection was made.
        window_seconds: How often is looked at what moved of a body or an answer.
        least_window_bytes: What must have moved by then: 1 KiB a second. Only what we wait for counts against the client.
        linger_seconds: How long the rest of a body that nobody wants is read, so that the client sees its answer.
    """

    most_head_bytes: ClassVar[int] = 16 * 1024
    most_connections: ClassVar[int] = 400
    head_seconds: ClassVar[float] = 30
    window_seconds: ClassVar[float] = 60
    least_window_bytes: ClassVar[int] = 60 * 1024
    linger_seconds: ClassVar[float] = 10

    _running: RequestResponseCycle | None = None
    _is_one_too_many = False
    _in_body = False
    _in_head = False
    _head_bytes = 0  # parsed
    _bytes_since_body = 0  # received since the last byte of a body: a head or trailer without end
    _window_bytes = 0
    _was_paused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Expect a first request."""
        self._reading = _Clock()  # of what is to arrive
        self._writing = _Clock()  # of what is to be taken
        super().connection_made(transport)
        if len(self.connections) > 2 * self.most_connections:
            transport.abort()
            return
        self._is_one_too_many = len(self.connections) > self.most_connections
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clocks, and tell the request that runs: uvicorn tells the last one, of several in a row another one."""
        self._reading.stop()
        self._writing.stop()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, and look whether it has become too much."""
        if self.transport.is_closing():
            return
        self._bytes_since_body += len(data)
        super().data_received(data)
        if self._bytes_since_body > self.most_head_bytes and not self.transport.is_closing():
            self._refuse_head()
        elif self._is_idle() and not self._reading.is_running:
            self._expect_head()  # less than a line of it

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        if not self._reading.is_running:
            self._expect_head()

    def on_url(self, url: bytes) -> None:
        """Count a piece of the first line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header. What follows a body (a trailer) is not one: nobody has judged it before the app ran."""
        self._count(len(name) + len(value) + len(": \r\n"))
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin the request and expect its body."""
        self._in_head, self._in_body, self._head_bytes = False, True, 0
        self._bytes_since_body = 0
        app = self.app
        if self._is_one_too_many:
            self.app = _TOO_BUSY
        try:
            super().on_headers_complete()
        finally:
            self.app = app
        self._ahead = ReadAhead(self.cycle)
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False  # we speak nothing else, and the parser reads no further
        self._expect_body()

    def on_body(self, body: bytes) -> None:
        """Count a piece of the body."""
        self._bytes_since_body = 0
        self._window_bytes += len(body)
        if not self.cycle.response_complete:
            self._ahead.add(body)
            if self._ahead.is_full:
                self.flow.pause_reading()
        super().on_body(b"")  # wakes the app
        self._was_paused |= self.flow.read_paused

    def on_message_complete(self) -> None:
        """End the body: from now on it is our turn."""
        self._in_body = False
        self._bytes_since_body = 0
        self._reading.stop()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Read on for a moment where the answer came before the whole body."""
        super().on_response_complete()
        if self._in_body and self.cycle.response_complete:
            self._watch(self.linger_seconds, self._end)

    def pause_writing(self) -> None:
        """Expect the client to take what was sent."""
        super().pause_writing()
        self._expect_taking()

    def resume_writing(self) -> None:
        """The client took it."""
        self._writing.stop()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or a head that is too large."""
        if self._head_bytes > self.most_head_bytes:
            self._refuse_head()
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self.most_head_bytes:
            raise _HeadTooLargeError

    def _is_idle(self) -> bool:
        return not self._in_body and (self.cycle is None or self.cycle.response_complete)

    def _expect_head(self) -> None:
        self._watch(self.head_seconds, self._on_late_head)

    def _on_late_head(self) -> None:
        if self._in_head:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"The head took more than {self.head_seconds:g} s.")
        else:
            self._end()

    def _expect_body(self) -> None:
        self._window_bytes, self._was_paused = 0, self.flow.read_paused
        self._watch(self.window_seconds, self._on_window)

    def _on_window(self) -> None:
        """Cut off who sends too slowly; where we did not read, or have not yet asked for the body, it was not the client."""
        is_ours = self._was_paused or self.flow.read_paused or self.cycle.waiting_for_100_continue
        if self._window_bytes >= self.least_window_bytes or is_ours:
            self._expect_body()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "The body came too slowly.")

    def _expect_taking(self) -> None:
        waiting = self.transport.get_write_buffer_size()

        def look() -> None:
            if waiting - self.transport.get_write_buffer_size() >= self.least_window_bytes:
                self._expect_taking()
            else:
                _log.warning("a client took its answer too slowly and was cut off")
                self.transport.abort()

        self._writing.set(self.loop, self.window_seconds, look)

    def _watch(self, seconds: float, end: Callable[[], None]) -> None:
        self._reading.set(self.loop, seconds, end)

    def _refuse_head(self) -> None:
        most = self.most_head_bytes
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The head has more than {most:,} bytes.")

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer without the app, unless an answer has begun, and end the connection."""
        request_id = new_id()
        if self._may_answer():
            self.transport.write(_raw_problem(status, detail, self._asked_path(), request_id))
        with logs.lines_about(request_id=request_id):
            _log.warning("a connection was ended: %d %s", status, detail)
        self._end()

    def _asked_path(self) -> str:
        """Return the path of the request whose body is awaited; empty: no head has come whole."""
        return str(self.cycle.scope["path"]) if self._in_body and self.cycle is not None else ""

    def _may_answer(self) -> bool:
        return self.cycle is None or self.cycle.response_complete or not self.cycle.response_started

    def _end(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def _raw_problem(status: HTTPStatus, detail: str, path: str, request_id: str) -> bytes:
    scope = {"path": path, "state": {"request_id": request_id}}
    headers = {**SAFE_HEADERS, "X-Request-Id": request_id, "Connection": "close"}
    answer = problem_response(scope, status, http_error(status, detail), headers)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}".encode(),
        *(name + b": " + text for name, text in answer.raw_headers),
    )
    return b"\r\n".join((*head, b"", bytes(answer.body)))
