"""What every request and answer has, whatever it is about: an id, a log line, safe headers, and one form of its path.

A plain ASGI layer around the app, so that it adds nothing to the cost of a byte that streams through.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reportgen_dagster import logs, tracing
from reportgen_dagster.identity import new_id

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# What is read at once is small; who reads a body piece by piece says so (`bound_body`).
MAX_PLAIN_BODY_BYTES = 64 * 1024
_BOUND = "body_bound"
_ESCAPED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_SECRET = re.compile(r"(?<=/api/v1/downloads/).+", re.DOTALL)  # such a path opens a file by itself

_log = logging.getLogger("api_gateway.requests")


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that was answered.

    Attributes:
        method: Its HTTP method.
        route: The path of the call with the names of its parameters, as `/api/v1/runs/{run_id}`; empty: there is no such call.
        status: The answer's status; 0: it was cut off before there was one.
        seconds: How long it took.
        media_type: What the body was said to be, without parameters.
        body_bytes: How long the body was, as far as it was read.
    """

    method: str
    route: str
    status: int
    seconds: float
    media_type: str
    body_bytes: int


class Envelope:
    """The outermost layer of the app."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        on_crash: Callable[[Scope], Response],
        watch: Callable[[Seen], None] = lambda _seen: None,
    ) -> None:
        """Wrap an app.

        Args:
            app: The app.
            on_crash: Builds the answer for an exception that the app did not handle.
            watch: Is told of each request once it is answered.
        """
        self._app = app
        self._on_crash = on_crash
        self._watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        with logs.lines_about(request_id=exchange.request_id), tracing.span("request") as span:
            try:
                await self._answer(exchange)
            finally:
                exchange.log()
                self._watch(exchange.seen())
                if span is not None:
                    exchange.describe(span)

    async def _answer(self, exchange: _Exchange) -> None:
        try:
            await self._app(exchange.scope, _bounded(exchange.scope, exchange.receive), exchange.send)
        except Exception:
            _log.exception("unhandled error")
            if exchange.status:
                raise  # the answer has begun; the server cuts the connection, so nobody takes it for whole
            await self._on_crash(exchange.scope)(exchange.scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._began = time.perf_counter()
        self._receive = receive
        self._send = send
        self._body_bytes = 0
        sent_id = Headers(scope=scope).get("x-request-id", "")
        self.request_id = sent_id if _REQUEST_ID.fullmatch(sent_id) else new_id()
        self.scope = {
            **scope,
            "path": scope["path"].rstrip("/") or "/",
            "state": {**scope.get("state", {}), "request_id": self.request_id, _BOUND: MAX_PLAIN_BODY_BYTES},
        }
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.request_id
            for name, value in SAFE_HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)

    async def receive(self) -> Message:
        message = await self._receive()
        self._body_bytes += len(message.get("body", b""))
        return message

    def seen(self) -> Seen:
        route = getattr(self.scope.get("route"), "path", "")
        media_type = Headers(scope=self.scope).get("content-type", "").partition(";")[0].strip().lower()
        seconds = time.perf_counter() - self._began
        return Seen(self.scope["method"], route, self.status, seconds, media_type, self._body_bytes)

    def describe(self, span: Span) -> None:
        """Name a span after the call, once the router has found out which it is."""
        seen = self.seen()
        span.update_name(f"{seen.method} {seen.route}".strip())
        span.set_attributes(
            {
                "http.request.method": seen.method,
                "http.response.status_code": seen.status,
                "http.route": seen.route,
                "reportgen.request_id": self.request_id,
            }
        )

    def log(self) -> None:
        _log.info(
            "%s %s %s %.1f ms",
            self.scope["method"],
            _escape(_SECRET.sub("...", self.scope["path"])),
            self.status or "cut off",
            (time.perf_counter() - self._began) * 1000,
        )


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """Refuse a body as soon as it gets too large, by its own account before a byte of it is read."""
    told = Headers(scope=scope).get("content-length", "")
    size = 0

    async def receive_bounded() -> Message:
        nonlocal size
        most = scope["state"][_BOUND]
        if most is None:
            return await receive()
        if told.isdecimal() and int(told) > most:
            raise _too_large(most)
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise _too_large(most)
        return message

    return receive_bounded


def _too_large(most: int) -> HTTPException:
    # FastAPI lets only this class through while it reads a body.
    return HTTPException(413, f"the body has more than {most:,} bytes")


def bound_body(scope: Scope, most_bytes: int | None) -> None:
    """Say how large a request's body may be, before it is read; None: whoever reads it bounds it piece by piece."""
    scope["state"][_BOUND] = most_bytes


def request_id_of(scope: Scope) -> str:
    """Return the id of the request that a scope belongs to."""
    return str(scope.get("state", {}).get("request_id", ""))


def _escape(text: str) -> str:
    return _ESCAPED.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
