"""A large file up in both ways and down, beside a bare sink and source: `python -m tests.soak.large [size] [rounds]`.

The bare sink is an ASGI app on the same server that hashes what comes, writes it and syncs it once: what no upload can do
without; the bare source sends a file and does nothing else. Each way is compared with its peer of the same round, as the machine
is faster in one minute than in the next; the median of the rounds counts. Each file that is sent is new: bytes that are stored
already would be thrown away.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from reportgen_dagster.services import attempts
from reportgen_dagster.services.attempts import NewArtifact
from reportgen_dagster.services.context import Context
from reportgen_dagster.storage.store import Stored
from reportgen_dagster.supervisor.ports import free_port
from tests.soak.gateways import SERVED, installation
from tests.soak.uploaders import FORM_BEGIN, FORM_END, FORM_TYPE, OCTETS, Uploader, table

MIB = 1024 * 1024
UNITS = {"MiB": MIB, "GiB": 1024 * MIB}
MOST_GROWTH = 64 * MIB
LEAST_RATIO = 0.9
PEERS = {"form": "bare sink", "resumable": "bare sink", "download": "bare source"}


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
class Growth:
    """How much more memory a process has at most than when it was watched for the first time."""

    process: psutil.Process
    bytes: int = 0
    begun: int = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch it while the block runs."""
        self.begun = self.begun or self.process.memory_info().rss
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.02):
                self.bytes = max(self.bytes, self.process.memory_info().rss - self.begun)

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


def _as_form(user: Uploader, file: Path, digest: str) -> bytes:
    length = len(FORM_BEGIN) + file.stat().st_size + len(FORM_END)
    lines = (f"Content-Type: {FORM_TYPE}", f"Content-Length: {length}")
    with user.connect() as connection:
        head = user.head("POST", "/api/upload-files/", *lines, "Connection: close")
        answer = _send_file(connection, head + FORM_BEGIN, file, FORM_END)
        while more := connection.recv(65536):
            answer += more
    return b"" if digest.encode() in answer else answer


def _as_resumable(user: Uploader, file: Path, digest: str) -> bytes:
    path = user.begin(f"d{uuid4().hex}", file.stat().st_size)
    lines = (f"Content-Type: {OCTETS}", "Upload-Offset: 0", f"Content-Length: {file.stat().st_size}")
    with user.connect() as connection:
        answer = _send_file(connection, user.head("PATCH", path, *lines), file, b"")
    _, _, shown = user.request("GET", path)
    return b"" if answer.startswith(b"HTTP/1.1 204") and digest.encode() in shown else answer + shown


def _as_report(user: Uploader, context: Context, stored: Stored) -> str:
    """Make a stored file the report of a run; return the path of its download."""
    for name in ("file", "input", "reference"):
        path = "/api/upload-rules/?type=json" if name == "file" else "/api/upload-files/"
        content = b'[{"output": "a", "formula": "key"}]' if name == "file" else b"key,price\n1,2\n"
        body = FORM_BEGIN.replace(b'"input"', f'"{name}"'.encode()) + content + FORM_END
        status, _, answer = user.request("POST", path, body, Content_Type=FORM_TYPE)
        assert status == 200, answer
    _, _, answer = user.request("POST", "/api/generate-report/")
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


@contextmanager
def bare_server(folder: Path) -> Iterator[tuple[psutil.Process, int]]:
    """Serve the sink and the source until the block ends; yield their process and port."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "tests.soak.large:sink", "--port", str(port), *SERVED]
    environment = {**os.environ, "SINK_FOLDER": str(folder)}
    with psutil.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.1)
            yield process, port
        finally:
            process.terminate()


@dataclass(frozen=True)
class Measured:
    """One file sent in one way."""

    seconds: float
    work_seconds: float
    """Processor time that the server took."""


class Rig:
    """A gateway and its peers, and what was measured of them."""

    def __init__(self, gateway: psutil.Process, bare: psutil.Process) -> None:
        self._gateway, self._bare = gateway, bare
        self.growth = Growth(gateway)
        self.measured: dict[str, list[Measured]] = defaultdict(list)
        self.wrong: list[str] = []

    def measure(self, name: str, way: Callable[[], bytes]) -> None:
        """Send a file in one way."""
        server = self._bare if name.startswith("bare") else self._gateway
        with self.growth.watched():
            began, worked = time.monotonic(), _work(server)
            refused = way()
            self.measured[name].append(Measured(time.monotonic() - began, _work(server) - worked))
        if refused:
            self.wrong.append(f"{name}: {refused!r}")

    def judge(self, size: int) -> None:
        """Print what was measured, and note what is not as it must be."""
        for name, rounds in self.measured.items():
            seconds = statistics.median(one.seconds for one in rounds)
            work = statistics.median(one.work_seconds for one in rounds)
            print(
                f"{name}: {size / MIB / seconds:.0f} MiB/s ({seconds:.2f} s, of which the server worked {work:.2f} s)"
            )
        for name, peer in PEERS.items():
            pairs = zip(self.measured[name], self.measured[peer], strict=True)
            ratios = sorted(beside.seconds / one.seconds for one, beside in pairs)
            ratio = statistics.median(ratios)
            told = f"{name}: {ratio:.0%} of the speed of the {peer} ({ratios[0]:.0%} to {ratios[-1]:.0%})"
            print(told)
            if ratio < LEAST_RATIO:
                self.wrong.append(told)
        print(f"the gateway's memory grew by {self.growth.bytes / MIB:.0f} MiB at most")
        if self.growth.bytes >= MOST_GROWTH:
            self.wrong.append(f"memory grew by {self.growth.bytes:,} bytes")


def _work(process: psutil.Process) -> float:
    """Return how many seconds of processor time a process has taken."""
    times = process.cpu_times()
    return float(times.user + times.system)


def compare(rig: Rig, user: Uploader, bare_port: int, context: Context, size: int, rounds: int) -> None:
    """Send files in each way, in turn."""
    with tempfile.TemporaryDirectory(dir=context.settings.home) as folder:
        file = Path(folder) / "large.csv"
        _as_form(user, file, _write(file, 10_000))  # what is loaded on first use is no growth
        stored = Stored(_write(file, size), file.stat().st_size)
        _as_form(user, file, stored.digest)
        kept, report = file.rename(file.with_name("kept.csv")), _as_report(user, context, stored)
        for _ in range(rounds):
            digest = _write(file, size)
            rig.measure("bare sink", partial(_to_sink, bare_port, file, digest))
            digest = _write(file, size)
            rig.measure("form", partial(_as_form, user, file, digest))
            digest = _write(file, size)
            rig.measure("resumable", partial(_as_resumable, user, file, digest))
            rig.measure("bare source", partial(_download, bare_port, str(kept), stored.digest))
            allowed = {"Authorization": user.token}
            rig.measure("download", partial(_download, user.port, report, stored.digest, **allowed))


def _write(file: Path, size: int) -> str:
    """Write a table of about so many bytes; return its digest."""
    digest = hashlib.sha256()
    block = table(min(size, MIB))
    with file.open("wb") as out:
        while out.tell() < size:
            digest.update(block)
            out.write(block)
            block = block[block.index(b"\n") + 1 :] if out.tell() == len(block) else block
        os.fsync(out.fileno())  # so that the disk is quiet when it is sent
    return digest.hexdigest()


def main(size: str = "1GiB", rounds: str = "5") -> int:
    """Run the rig; return 1 if something was wrong."""
    number, unit = re.fullmatch(r"(\d+)(\w+)", size).groups()  # type: ignore[union-attr]
    with (
        installation(1) as alone,
        tempfile.TemporaryDirectory() as folder,
        bare_server(Path(folder)) as (bare, port),
    ):
        gateway = alone.gateways[0]
        rig = Rig(psutil.Process(gateway.process.pid), bare)
        compare(
            rig, Uploader.register(gateway.port), port, alone.context, int(number) * UNITS[unit], int(rounds)
        )
        rig.judge(int(number) * UNITS[unit])
    for words in rig.wrong:
        print(f"WRONG: {words}")
    return int(bool(rig.wrong))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
