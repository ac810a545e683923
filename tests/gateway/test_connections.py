"""What a connection may cost: raw bytes on a real socket, against a gateway whose clocks run faster."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import urlsplit

import httpx2
import pytest

from api_gateway.connections import BoundedProtocol
from tests.gateway.conftest import Server, User, assert_problem, serve

HEAD_SECONDS = 0.3
WINDOW_SECONDS = 0.3
LONGEST_SECONDS = 5.0
MOST_CONNECTIONS = 12
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
LOGIN = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


class Hasty(BoundedProtocol):
    head_seconds: ClassVar[float] = HEAD_SECONDS
    window_seconds: ClassVar[float] = WINDOW_SECONDS
    least_window_bytes: ClassVar[int] = 1024
    linger_seconds: ClassVar[float] = 0.1
    most_connections: ClassVar[int] = MOST_CONNECTIONS


@pytest.fixture(scope="module")
def hasty(server: Server) -> Iterator[tuple[str, int]]:
    """The address of a second listener of the gateway, whose clocks run faster."""

    async def app(scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await server.app(scope, receive, send)

    for url in serve(app, Hasty):
        address = urlsplit(url)
        yield address.hostname or "", address.port or 0


@pytest.fixture
def connection(hasty: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(hasty, LONGEST_SECONDS) as opened:
        yield opened


def _answer(connection: socket.socket) -> bytes:
    """All that comes until the gateway ends the connection; fails if it does not."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        return received
    return received


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def _trickle(connection: socket.socket, piece: bytes) -> bytes:
    """Send a piece again and again until the gateway ends the connection; return its answer."""
    connection.settimeout(0.05)
    deadline = time.monotonic() + LONGEST_SECONDS
    received = b""
    while time.monotonic() < deadline:
        try:
            connection.sendall(piece)
            got = connection.recv(65536)
        except TimeoutError:
            continue
        except (ConnectionResetError, BrokenPipeError):
            return received
        if not got:
            return received
        received += got
    raise AssertionError(f"still open after {LONGEST_SECONDS} s; received {received[:200]!r}")


@pytest.mark.parametrize("padding", [15_000, 16_000])
def test_a_head_of_less_than_16_kib_is_taken(connection: socket.socket, padding: int) -> None:
    connection.sendall(GET + b"X: " + b"a" * padding + b"\r\nConnection: close\r\n\r\n")
    assert _status(_answer(connection)) == 200


@pytest.mark.parametrize(
    "head",
    [
        GET + b"X: " + b"a" * 20_000 + b"\r\n\r\n",
        GET + b"".join(b"X%d: a\r\n" % number for number in range(3000)) + b"\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        GET + b"X: " + b"a" * 20_000,  # goes on
        b"GET /" + b"a" * 20_000,
    ],
    ids=["one header", "many headers", "path", "endless header", "endless path"],
)
def test_a_larger_head_is_431_at_once(connection: socket.socket, head: bytes) -> None:
    connection.sendall(head)
    answer = _answer(connection)
    assert _status(answer) == 431
    assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    ("sent", "piece", "status", "path"),
    [
        (GET + b"X: " + b"a" * 20_000, b"", 431, ""),
        (GET, b"X: a\r\n", 408, ""),
        (LOGIN + b"Content-Length: 50000\r\n\r\n{", b"1", 408, "/api/auth/login"),
        (b"no HTTP at all\r\n\r\n", b"", 400, ""),
    ],
    ids=["large head", "slow head", "slow body", "no HTTP"],
)
def test_what_ends_a_connection_is_a_whole_problem_with_an_id(
    connection: socket.socket, logged: io.StringIO, sent: bytes, piece: bytes, status: int, path: str
) -> None:
    connection.sendall(sent)
    answer = _parsed(_trickle(connection, piece) if piece else _answer(connection))
    problem = assert_problem(answer, status)
    assert problem["instance"] == path
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Content-Security-Policy"]
    assert answer.headers["Connection"] == "close"
    assert any(
        problem["request_id"] in line and str(status) in line for line in logged.getvalue().splitlines()
    )


def _parsed(answer: bytes) -> httpx2.Response:
    head, _, body = answer.partition(b"\r\n\r\n")
    headers = [tuple(line.split(b": ", 1)) for line in head.split(b"\r\n")[1:]]
    return httpx2.Response(_status(answer), headers=headers, content=body)


def test_a_trailer_without_end_is_431(connection: socket.socket) -> None:
    connection.sendall(LOGIN + CHUNKED + b"1\r\n{\r\n0\r\nX: ")
    assert _status(_trickle(connection, b"a" * 10_000)) == 431


@pytest.mark.parametrize(
    "begun",
    [b"", GET, b"\r\n", GET + b"\r\n" + GET],
    ids=["nothing", "a head", "an empty line", "a second request"],
)
def test_a_head_that_does_not_end_ends_the_connection(connection: socket.socket, begun: bytes) -> None:
    connection.sendall(begun)
    began = time.monotonic()
    _trickle(connection, b"\r\n" if begun in (b"", b"\r\n") else b"X: a\r\n")
    assert time.monotonic() - began > HEAD_SECONDS / 2


def test_a_connection_on_which_nothing_is_said_is_closed(connection: socket.socket) -> None:
    assert _answer(connection) == b""


@pytest.mark.parametrize(
    ("head", "piece"),
    [(b"Content-Length: 50000\r\n\r\n{", b"1"), (CHUNKED, b"1\r\n1\r\n")],
    ids=["length", "chunks"],
)
def test_a_body_that_trickles_is_cut_off(connection: socket.socket, head: bytes, piece: bytes) -> None:
    connection.sendall(LOGIN + head)
    assert _status(_trickle(connection, piece)) == 408


def test_an_upload_that_trickles_leaves_nothing(server: Server, ann: User, connection: socket.socket) -> None:
    before = server.files()
    token = ann.session["access"]
    connection.sendall(
        b"POST /api/upload-files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token.encode() + b"\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n"
        b'--b\r\nContent-Disposition: form-data; name="input"; filename="i.csv"\r\n\r\nk,v\r\n'
    )
    assert _status(_trickle(connection, b"1,2\r\n")) == 408
    deadline = time.monotonic() + LONGEST_SECONDS
    while server.files() != before:
        assert time.monotonic() < deadline, "what arrived is still there"
        time.sleep(0.02)


def test_a_body_that_comes_in_time_is_taken_however_long_it_takes(connection: socket.socket) -> None:
    body = b'{"email": "nobody@example.com", "password": "' + b"x" * 6000 + b'"}'
    connection.sendall(LOGIN + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
    began = time.monotonic()
    for start in range(0, len(body), 400):
        connection.sendall(body[start : start + 400])
        time.sleep(WINDOW_SECONDS / 6)  # the client's pace is what is tested
    assert time.monotonic() - began > 2 * WINDOW_SECONDS
    assert _status(_answer(connection)) == 401


@pytest.mark.parametrize(
    "media_type", [b"application/json", b"multipart/form-data; boundary=b", b"application/octet-stream"]
)
@pytest.mark.parametrize("framing", [b"Content-Length: 9000000\r\n\r\n", CHUNKED], ids=["length", "chunks"])
def test_a_body_that_is_too_large_is_413_before_all_of_it_came(
    connection: socket.socket, media_type: bytes, framing: bytes
) -> None:
    head = LOGIN.replace(b"application/json", media_type)
    connection.sendall(head + framing)
    if framing == CHUNKED:
        connection.sendall(b"20000\r\n" + b"x" * 0x20000 + b"\r\n")
    received = connection.recv(65536)
    assert _status(received) in (413, 415)
    _trickle(connection, b"x")  # and what the client still sends is not read for long


def test_who_does_not_take_an_answer_is_cut_off(
    hasty: tuple[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    requests = 10  # in a row, for one answer fits into the buffers of the kernel
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.settimeout(LONGEST_SECONDS)
        lazy.connect(hasty)
        lazy.sendall(b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n" * requests)
        deadline = time.monotonic() + LONGEST_SECONDS
        while "too slowly" not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert _answer(lazy).count(b"HTTP/1.1 200") < requests
    assert "unhandled" not in caplog.text


def test_trailers_are_no_headers(connection: socket.socket) -> None:
    body = b'{"email": "nobody@example.com", "password": "x"}'
    chunk = b"%x\r\n%s\r\n0\r\nX-Request-Id: from-a-trailer\r\n\r\n" % (len(body), body)
    connection.sendall(LOGIN + b"Connection: close\r\n" + CHUNKED + chunk)
    answer = _answer(connection)
    assert _status(answer) == 401
    assert b"from-a-trailer" not in answer


def test_an_upgrade_is_declined_and_ends_the_connection(connection: socket.socket) -> None:
    connection.sendall(GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    answer = _answer(connection)
    assert _status(answer) == 200
    assert b"connection: close" in answer.lower()


def test_too_many_connections_are_answered_and_many_more_closed(hasty: tuple[str, int]) -> None:
    opened = [socket.create_connection(hasty, LONGEST_SECONDS) for _ in range(2 * MOST_CONNECTIONS + 4)]
    try:
        assert [_first(one) for one in opened[2 * MOST_CONNECTIONS :]] == [0] * 4
        for one in opened[: 2 * MOST_CONNECTIONS]:
            one.sendall(GET + b"\r\n")
        answers = [_first(one) for one in opened[: 2 * MOST_CONNECTIONS]]
        assert answers == [200] * MOST_CONNECTIONS + [503] * MOST_CONNECTIONS
    finally:
        for one in opened:
            one.close()


def _first(connection: socket.socket) -> int:
    try:
        return _status(connection.recv(65536))
    except ConnectionResetError:
        return 0
