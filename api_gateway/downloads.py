"""Files as answers: attachment, strong ETag, conditional requests and one byte range."""

from __future__ import annotations

import re
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import FileResponse, Response

from api_gateway.errors import RangeError
from reportgen_dagster.identity import digest_text
from reportgen_dagster.services.runs import FileView

_ONE_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_UNSAFE_IN_HEADER = re.compile(r"[^A-Za-z0-9 ._()+-]")


def file_response(request: Request, file: FileView) -> Response:
    """Answer with a file, the asked part of it, or 304 if the client has it.

    Raises:
        RangeError: If the asked range lies outside of the file.
    """
    etag = f'"{file.digest}"'
    headers = {
        "ETag": etag,
        "Content-Disposition": _attachment(file.filename),
        "Cache-Control": "private, no-cache",
    }
    if _has_current(request, etag):
        return Response(status_code=304, headers=headers)
    _settle_range(request, file.size_bytes, etag)
    return FileResponse(file.path, headers=headers, media_type=file.media_type)


def text_response(request: Request, text: str, media_type: str) -> Response:
    """Answer with a text that changes only with the software, or 304 if the client has it."""
    headers = {"ETag": f'"{digest_text(text)}"', "Cache-Control": "public, max-age=3600"}
    if _has_current(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(text, headers=headers, media_type=media_type)


def _attachment(filename: str) -> str:
    """Return a Content-Disposition (RFC 6266) with a plain name for old clients and the exact one for the others."""
    plain = _UNSAFE_IN_HEADER.sub("_", filename)
    exact = "" if plain == filename else f"; filename*=UTF-8''{quote(filename, safe='')}"
    return f'attachment; filename="{plain}"{exact}'


def _has_current(request: Request, etag: str) -> bool:
    told = request.headers.get("if-none-match", "")
    return told.strip() == "*" or etag in (item.strip().removeprefix("W/") for item in told.split(","))


def _settle_range(request: Request, size_bytes: int, etag: str) -> None:
    """Leave a Range header only where it names one range of this very file; others get the whole file."""
    asked = request.headers.get("range")
    if asked is None:
        return
    found = _ONE_RANGE.fullmatch(asked.strip())
    if found is None or not any(found.groups()) or request.headers.get("if-range", etag) != etag:
        scope = request.scope
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"range"]
        return
    first, last = found.groups()
    outside = int(first) >= size_bytes if first else int(last) == 0
    if outside or (first and last and int(last) < int(first)):
        raise RangeError(size_bytes)
