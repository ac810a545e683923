"""A proxy between a client and a server that spoils what it is told to: answers of 500, silence, cut and short bodies."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

Kind = Literal[
    "error",  # 503, and the server hears nothing of it
    "error afterwards",  # the server does it, but the answer is 500
    "silence",  # no answer until the client gives up
    "cut request",  # the server gets half of the body, and then nothing
    "flipped request",  # the server gets a body with another byte in it
    "cut",  # half of the body, and the connection ends
    "short",  # half of the body, said to be all of it
    "flipped",  # another byte in the body
]
_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")


def pass_on(_method: str, _path: str) -> None:
    """Do nothing before a request is passed on."""


@dataclass
class Fault:
    """What goes wrong with the next requests that fit."""

    kind: Kind
    method: str
    times: int = 1
    path: str = "/blobs/"


@dataclass
class Proxy:
    """The proxy's address, what is to go wrong, and what has been asked."""

    url: str
    faults: list[Fault] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    before: Callable[[str, str], None] = pass_on
    lock: threading.Lock = field(default_factory=threading.Lock)

    def spoil(self, kind: Kind, method: str, times: int = 1, path: str = "/blobs/") -> None:
        self.faults.append(Fault(kind, method, times, path))

    def take(self, method: str, path: str) -> Kind | None:
        """Note a request and return what is to go wrong with it."""
        with self.lock:
            self.asked.append((method, path))
            for fault in self.faults:
                if fault.times and fault.method == method and fault.path in path:
                    fault.times -= 1
                    return fault.kind
        return None


@contextmanager
def proxy_to(upstream: str) -> Iterator[Proxy]:
    """Serve a proxy to a server."""

    class Handler(_Handler):
        proxy: Proxy
        server_address = (urlsplit(upstream).hostname or "", urlsplit(upstream).port or 80)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Handler.proxy = Proxy(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Handler.proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: Proxy
    server_address: tuple[str, int]

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        kind = self.proxy.take(self.command, unquote(self.path))
        self.proxy.before(self.command, unquote(self.path))
        if kind == "error":
            self._answer(503, [], b"slow down")
        elif kind == "silence":
            self._wait_for_the_end()
        elif kind == "cut request":
            self._send_half(body)
            self.close_connection = True
        else:
            status, headers, answer = self._ask(_flipped(body) if kind == "flipped request" else body)
            self._spoil(kind, status, headers, answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815 - so they are called

    def _spoil(self, kind: Kind | None, status: int, headers: list[tuple[str, str]], answer: bytes) -> None:
        if kind == "error afterwards":
            self._answer(500, [], b"lost")
        elif kind == "cut":
            self._answer(status, headers, answer[: len(answer) // 2], told=len(answer))
            self.close_connection = True
        elif kind == "short":
            self._answer(status, headers, answer[: len(answer) // 2])
        else:
            self._answer(status, headers, _flipped(answer) if kind == "flipped" else answer)

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        asked = http.client.HTTPConnection(*self.server_address, timeout=30)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            asked.request(self.command, self.path, body or None, headers | {"Content-Length": str(len(body))})
            answer = asked.getresponse()
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP]
            if self.command == "HEAD":
                kept.append(("Content-Length", answer.getheader("Content-Length", "0")))
            return answer.status, kept, answer.read()
        finally:
            asked.close()

    def _send_half(self, body: bytes) -> None:
        with socket.create_connection(self.server_address) as connection:
            lines = [f"{self.command} {self.path} HTTP/1.1", *(f"{n}: {v}" for n, v in self.headers.items())]
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + body[: len(body) // 2])

    def _answer(
        self, status: int, headers: list[tuple[str, str]], body: bytes, told: int | None = None
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if self.command != "HEAD" or not headers:
            self.send_header("Content-Length", str(len(body) if told is None else told))
        self.end_headers()
        with suppress(OSError):
            if self.command != "HEAD":
                self.wfile.write(body)

    def _wait_for_the_end(self) -> None:
        with suppress(OSError):
            self.connection.recv(1)
        self.close_connection = True

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""


def _flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :] if body else body
