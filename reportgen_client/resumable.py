"""Uploads that survive a broken connection, by the tus protocol 1.0 (https://tus.io/protocols/resumable-upload).

The service keeps what arrived; a piece that breaks off is continued where the service says that it has got to.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from reportgen_client.connection import Call, Connection
from reportgen_client.errors import ReportgenApiError, ServiceUnreachableError
from reportgen_client.sources import Source

UPLOADS = "/api/v1/uploads"
PIECE_BYTES = 16 * 1024 * 1024
_TUS = {"Tus-Resumable": "1.0.0"}
_PIECE_TYPE = "application/offset+octet-stream"
_CHECKSUM_MISMATCH = 460
# Somebody else writes (which may be our own broken connection), the offset is another one, the piece was damaged on its way.
_TO_CONTINUE = (HTTPStatus.CONFLICT, HTTPStatus.LOCKED, _CHECKSUM_MISMATCH)
_FAILURES = 8  # in a row, with nothing arriving in between


def is_offered(connection: Connection) -> bool:
    """Tell whether the service takes resumable uploads."""
    try:
        answer = connection.send(Call("OPTIONS", UPLOADS, is_open=True))
    except ReportgenApiError:
        return False
    return "1.0.0" in answer.headers.get("Tus-Version", "")


def upload(
    connection: Connection, source: Source, metadata: Mapping[str, str], on_sent: Callable[[int], None]
) -> dict[str, Any]:
    """Upload a file and return the version that it became: `dataset`, `version`, `digest`, `columns`, `size_bytes`, `filename`.

    Args:
        connection: The way to the service.
        source: The file.
        metadata: What it is for: `dataset`, or `role`; its name is added.
        on_sent: Is told how many bytes the service has, after each piece.

    Raises:
        ReportgenApiError: If the service refuses it.
        ServiceUnreachableError: If nothing more gets through.
    """
    told = {"filename": source.name, **metadata}
    pairs = ",".join(f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in told.items())
    headers = {**_TUS, "Upload-Length": str(source.size_bytes), "Upload-Metadata": pairs}
    # Begun twice, one of the two is never gone on with and expires.
    made = connection.send(Call("POST", UPLOADS, headers=headers, is_harmless=True).making())
    path = urlsplit(made.headers["Location"]).path
    offset, failures = 0, 0
    while offset < source.size_bytes:
        reached = _continue(connection, path, source, offset)
        failures = failures + 1 if reached <= offset else 0
        if failures >= _FAILURES:
            raise ServiceUnreachableError("The upload breaks off again and again.")
        offset = reached
        on_sent(offset)
    item = connection.ask(Call("GET", path))
    return {**item["became"], "size_bytes": item["size_bytes"], "filename": item["filename"]}


def _continue(connection: Connection, path: str, source: Source, offset: int) -> int:
    """Send the piece at an offset; return the offset that the service has got to."""
    with source.open() as opened:
        opened.seek(offset)
        piece = opened.read(PIECE_BYTES)
    checksum = base64.b64encode(hashlib.sha256(piece).digest()).decode()
    headers = {
        **_TUS,
        "Upload-Offset": str(offset),
        "Upload-Checksum": f"sha256 {checksum}",
        "Content-Type": _PIECE_TYPE,
    }
    try:
        answer = connection.send(Call("PATCH", path, headers=headers, content=piece))
    except ReportgenApiError as error:
        if error.status not in _TO_CONTINUE:
            raise
    except ServiceUnreachableError:
        pass  # how much of it arrived is asked now
    else:
        return int(answer.headers["Upload-Offset"])
    answer = connection.send(Call("HEAD", path, headers=_TUS))
    return int(answer.headers["Upload-Offset"])
