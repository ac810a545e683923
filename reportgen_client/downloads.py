"""Downloads: one file, taken up where it broke off, and taken for whole only if its digest is right."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import httpx2

from reportgen_client.connection import Call, Connection
from reportgen_client.errors import DownloadError, ReportgenApiError, ServiceUnreachableError, error_of
from reportgen_client.sources import Progress

_CHUNK_BYTES = 256 * 1024
_BREAKS = 8  # in a row, with nothing arriving in between
_SHA256 = re.compile(r'"([0-9a-f]{64})"')
_REPR_SHA256 = re.compile(r"sha-256=:([A-Za-z0-9+/=]+):")


def pieces(connection: Connection, call: Call, on_progress: Progress | None = None) -> Iterator[bytes]:
    """Yield the bytes of a file; where the connection breaks, the rest is asked for.

    Args:
        connection: The way to the service.
        call: The GET that downloads it.
        on_progress: Is told how many bytes have arrived, and how many there are (0 if the service does not say).

    Raises:
        ReportgenApiError: If there is no such file, or not yet (status 202).
        ServiceUnreachableError: If nothing more arrives.
        DownloadError: If the file was replaced meanwhile, or has another digest than the service said; after its last byte.
    """
    transfer = _Transfer(call, on_progress)
    while not transfer.is_complete:
        with connection.stream(transfer.rest()) as answer:
            transfer.begin(answer)
            yield from transfer.receive(answer)
    transfer.verify()


class _Transfer:
    """How far one download is."""

    def __init__(self, call: Call, on_progress: Progress | None) -> None:
        self._call = replace(call, headers={**call.headers, "Accept-Encoding": "identity"})
        self._on_progress = on_progress
        self._hash = hashlib.sha256()
        self._received = 0
        self._size: int | None = None
        self._etag = ""
        self._digest = ""
        self._skip = 0
        self._breaks = 0
        self.is_complete = False

    def rest(self) -> Call:
        """Return the call for what has not arrived yet."""
        if not self._received:
            return self._call
        wanted = {"Range": f"bytes={self._received}-", "If-Range": self._etag}
        return replace(self._call, headers={**self._call.headers, **wanted})

    def begin(self, answer: httpx2.Response) -> None:
        """Take note of what an answer says about the file."""
        if answer.status_code == HTTPStatus.ACCEPTED:
            answer.read()
            raise _not_ready(answer)
        etag = answer.headers.get("ETag", "")
        if self._received and etag != self._etag:
            raise DownloadError("The file was replaced while it was downloaded; begin anew.")
        self._skip = 0 if answer.status_code == HTTPStatus.PARTIAL_CONTENT else self._received
        length = answer.headers.get("Content-Length", "")
        if length:
            self._size = int(length) + self._received - self._skip
        self._etag = etag
        self._digest = _digest(answer.headers)

    def receive(self, answer: httpx2.Response) -> Iterator[bytes]:
        """Yield what arrives of an answer and is new, until it ends or breaks off."""
        before = self._received
        try:
            for piece in answer.iter_raw(_CHUNK_BYTES):
                new = piece[self._skip :]
                self._skip -= len(piece) - len(new)
                if new:
                    self._count(new)
                    yield new
            self.is_complete = True
        except httpx2.TransportError as error:
            self._breaks = self._breaks + 1 if self._received == before else 0
            if self._breaks >= _BREAKS:
                raise ServiceUnreachableError("The download breaks off again and again.") from error

    def _count(self, new: bytes) -> None:
        self._hash.update(new)
        self._received += len(new)
        if self._on_progress is not None:
            self._on_progress(self._received, self._size or 0)

    def verify(self) -> None:
        """Compare what arrived with what the service said."""
        if self._size not in (None, self._received):
            raise DownloadError(f"{self._received:,} bytes arrived of {self._size:,}.")
        if self._digest and self._digest != self._hash.hexdigest():
            raise DownloadError(
                "The bytes that arrived have another digest than the file; download it again."
            )


def save(chunks: Iterable[bytes], path: str | os.PathLike[str]) -> Path:
    """Write a download to a file, whole or not at all; return its path.

    Raises:
        OSError: If it cannot be written there.
    """
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as opened:
            for chunk in chunks:
                opened.write(chunk)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _digest(headers: httpx2.Headers) -> str:
    """Return the SHA-256 that the service says a file has, in hexadecimal digits; empty if it does not say."""
    told = _REPR_SHA256.search(headers.get("Repr-Digest", ""))
    if told:
        return base64.b64decode(told[1]).hex()
    tagged = _SHA256.fullmatch(headers.get("ETag", ""))
    return tagged[1] if tagged else ""


def _not_ready(answer: httpx2.Response) -> ReportgenApiError:
    error = error_of(answer)
    error.code, error.title = "not-ready", "The report is not ready yet"
    error.detail, error.hint = "The run has not ended.", "Wait for it."
    return error
