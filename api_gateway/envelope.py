"""What every request and answer has, whatever it is about: an id, a log line, safe headers, and one form of its path.

A plain ASGI layer around the app, so that it adds nothing to the cost of a byte that streams through.
"""

from __future__ import annotations

import contextvars
import logging
import re
import time
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reportgen_dagster.identity import new_id

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# What is read at once is small; who reads a body piece by piece says so (`bound_body`).
MAX_PLAIN_BODY_BYTES = 64 * 1024
_BOUND = "body_bound"
_ESCAPED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_SECRET = re.compile(r"(?<=/api/v1/downloads/).+", re.DOTALL)  # such a path opens a file by itself
_LOGGED_PACKAGES = ("api_gateway", "reportgen_dagster")

_present_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")
_log = logging.getLogger("api_gateway.requests")


class Envelope:
    """The outermost layer of the app."""

    def __init__(self, app: ASGIApp, *, on_crash: Callable[[Scope], Response]) -> None:
        """Wrap an app.

        Args:
            app: The app.
            on_crash: Builds the answer for an exception that the app did not handle.
        """
        self._app = app
        self._on_crash = on_crash

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        token = _present_id.set(exchange.request_id)
        try:
            await self._answer(exchange, receive)
        finally:
            exchange.log()
            _present_id.reset(token)

    async def _answer(self, exchange: _Exchange, receive: Receive) -> None:
        try:
            await self._app(exchange.scope, _bounded(exchange.scope, receive), exchange.send)
        except Exception:
            _log.exception("unhandled error")
            if exchange.status:
                raise  # the answer has begun; the server cuts the connection, so nobody takes it for whole
            await self._on_crash(exchange.scope)(exchange.scope, receive, exchange.send)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._began = time.perf_counter()
        self._send = send
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
            for name, value in _SAFE_HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)

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


def configure_logging() -> None:
    """Send our log lines to standard error, each with the id of its request. Uvicorn's own access lines repeat ours."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"))
    handler.addFilter(_add_request_id)
    for package in _LOGGED_PACKAGES:
        logger = logging.getLogger(package)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = _present_id.get()
    return True


def _escape(text: str) -> str:
    return _ESCAPED.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
