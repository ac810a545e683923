"""Uploads whose connections are cut: `python -m tests.soak.uploads [cuts of each kind] [seed]`.

A resumable upload that goes on becomes what was sent; of a form that ends too early nothing is left.
"""

from __future__ import annotations

import hashlib
import json
import random
import socket
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from reportgen_dagster.services import retention
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.fsck import fsck
from tests.soak.gateways import installation
from tests.soak.uploaders import FORM_BEGIN, FORM_END, FORM_TYPE, OCTETS, Uploader, table

WORKERS = 8
MIB = 1024 * 1024


@dataclass
class Found:
    """What was wrong."""

    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def expect(self, condition: object, words: str) -> None:
        """Note what is not as it must be."""
        if not condition:
            with self.lock:
                self.wrong.append(words)


def cut_resumable(user: Uploader, chance: random.Random, found: Found) -> None:
    """Cut an upload up to three times, each time in one of three ways; in the end it must be what was sent."""
    data = table(chance.randrange(1000, 4 * MIB))
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
    _, _, body = user.request("GET", path)
    became = json.loads(body)["became"] or {}
    found.expect(
        became.get("digest") == hashlib.sha256(data).hexdigest(), f"a cut upload became {became}: {body!r}"
    )


def _durable_offset(user: Uploader, path: str) -> int:
    """Wait until the connection that was cut has given its place up, and ask for the offset."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = user.request("PATCH", path, b"", Content_Type=OCTETS, Upload_Offset=str(10**15))
        if answer[0] == 409:
            return int(user.request("HEAD", path)[1]["upload-offset"])
        time.sleep(0.1)
    raise AssertionError("nobody gives the place up")


def _resume(user: Uploader, path: str, data: bytes, found: Found) -> None:
    """Go on as a client does: ask for the offset, send the rest, again while another request has the place."""
    for _ in range(300):
        offset = int(user.request("HEAD", path)[1]["upload-offset"])
        status, _, body = user.request(
            "PATCH",
            path,
            data[offset:],
            Content_Type=OCTETS,
            Upload_Offset=str(offset),
        )
        if status == 204:
            return
        if status not in (409, 423):
            break
        time.sleep(0.1)
    found.expect(False, f"going on is {status}: {body!r}")  # noqa: FBT003 - it is wrong


def cut_form(user: Uploader, chance: random.Random, found: Found) -> None:
    """Send a form that ends too early in one of four ways."""
    data = table(chance.randrange(1000, 4 * MIB))
    body = FORM_BEGIN + data + FORM_END
    type_ = f"Content-Type: {FORM_TYPE}"
    how = chance.choice(("closed", "reset", "no boundary", "no last chunk"))
    end = chance.randrange(len(FORM_BEGIN), len(body) - 10)
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


def cuts(port: int, context: Context, count: int, seed: int, found: Found) -> None:
    """Cut so many uploads of both kinds."""
    for name, one in (("resumable uploads", cut_resumable), ("forms", cut_form)):
        user = Uploader.register(port)
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


def _expect_nothing(user: Uploader, context: Context, before: set[Path], found: Found) -> None:
    """Sweep; then nothing may be left of forms that were cut."""
    deadline = time.monotonic() + 60
    while _files(context) != before and time.monotonic() < deadline:
        retention.remove_old(context, unknown_seconds=0)
        context.store.remove_stale(older_than_seconds=-1)
        time.sleep(0.1)
    found.expect(_files(context) == before, f"left in storage: {_files(context) - before}")
    _, _, body = user.request("GET", "/api/v1/me/usage")
    used = json.loads(body)
    found.expect(used["files"]["used"] == used["stored_bytes"]["used"] == 0, f"visible: {used}")


def _files(context: Context) -> set[Path]:
    return {path for path in context.settings.storage_path.rglob("*") if path.is_file()}


def main(count: int, seed: int) -> int:
    """Run the rig; return 1 if something was wrong."""
    found = Found()
    with installation(1) as alone:
        cuts(alone.gateways[0].port, alone.context, count, seed, found)
    for words in found.wrong:
        print(f"WRONG: {words}")
    return int(bool(found.wrong))


if __name__ == "__main__":
    sys.exit(main(*[*map(int, sys.argv[1:]), 100, 1][:2]))
