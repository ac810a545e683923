"""Bodies that come faster than they are asked for: bounded while they wait, and whole."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from anyio import to_thread

from api_gateway.connections import BoundedProtocol
from tests.gateway.conftest import serve

SIZE = 64 * 1024 * 1024
MOST_WAITING = 16 * 1024 * 1024  # the kernel's buffers, and ours
PIECE = bytes(range(256)) * 1024

asked = threading.Event()


async def _hashes(scope, receive, send) -> None:
    """Answer with the digest of the body, which is not asked for before somebody says so."""
    if scope["type"] == "lifespan":
        for name in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{name}.complete"})
        return
    if scope["path"] == "/late":
        await to_thread.run_sync(asked.wait)
    digest, more = hashlib.sha256(), True
    while more:
        message = await receive()
        digest.update(message["body"])
        more = message["more_body"]
    body = digest.hexdigest().encode()
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-length", str(len(body)).encode())],
        }
    )
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    for url in serve(_hashes, BoundedProtocol):
        told = urlsplit(url)
        yield told.hostname or "", told.port or 0


def _head(path: str, size: int) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()


def _answers(connection: socket.socket, count: int) -> list[str]:
    """The digests in the next so many answers."""
    received = b""
    while received.count(b"\r\n\r\n") < count or len(received.rsplit(b"\r\n\r\n", 1)[1]) < 64:
        received += connection.recv(65536)
    return [part[:64].decode() for part in received.split(b"\r\n\r\n")[1:]]


def test_a_body_that_nobody_asks_for_waits_with_its_client_and_arrives_whole(
    address: tuple[str, int],
) -> None:
    asked.clear()
    body = PIECE * (SIZE // len(PIECE))
    with socket.create_connection(address, 30) as connection:
        connection.sendall(_head("/late", SIZE))
        connection.settimeout(1)
        sent = 0
        with suppress(TimeoutError):
            while sent < SIZE:
                sent += connection.send(body[sent : sent + len(PIECE)])
        assert sent < MOST_WAITING
        connection.settimeout(30)
        asked.set()
        connection.sendall(body[sent:])
        assert _answers(connection, 1) == [hashlib.sha256(body).hexdigest()]


def test_bodies_of_requests_in_a_row_stay_apart(address: tuple[str, int]) -> None:
    asked.clear()
    bodies = [PIECE * 12, b"", b"short", PIECE * 5]
    with socket.create_connection(address, 30) as connection:

        def send() -> None:
            for body in bodies:
                connection.sendall(_head("/late", len(body)) + body)

        sending = threading.Thread(target=send)
        sending.start()
        asked.set()
        assert _answers(connection, len(bodies)) == [hashlib.sha256(body).hexdigest() for body in bodies]
        sending.join()
