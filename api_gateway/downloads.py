"""Files as answers: attachment, strong ETag, conditional requests and one byte range, from a folder or from an object store."""

from __future__ import annotations

import itertools
import re
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import FileResponse, Response, StreamingResponse

from api_gateway.errors import RangeError
from reportgen_dagster.errors import BadRequestError, Problem
from reportgen_dagster.formats import GZIP_TYPE
from reportgen_dagster.identity import digest_text
from reportgen_dagster.services.guarding import guarded
from reportgen_dagster.services.runs import FileView

HTML_TYPE = "text/html"
# A page that somebody opens all the same runs nothing, sends nothing and loads nothing.
_PAGE_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
_ONE_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_UNSAFE_IN_HEADER = re.compile(r"[^A-Za-z0-9 ._()+-]")


class _FileResponse(FileResponse):
    chunk_size = 1024 * 1024  # each goes through a thread; smaller ones take twice as long for a large file


def file_response(request: Request, file: FileView) -> Response:
    """Answer with a file, the asked part of it, or 304 if the client has it.

    Raises:
        RangeError: If the asked range lies outside of the file.
        ServiceError: If the file is lost or damaged in storage, or the storage is away.
    """
    etag = f'"{file.digest}"'
    headers = _headers(etag, file)
    if _has_current(request, etag):
        return Response(status_code=304, headers=headers)
    part = _settled_range(request, file.size_bytes, etag)
    if file.path is not None:
        return _FileResponse(file.path, headers=headers, media_type=file.media_type)
    return _streamed(request, file, part, headers)


def guarded_response(request: Request, file: FileView) -> Response:
    """Answer with a CSV file whose cells no spreadsheet takes for formulas, made while it is sent; or 304.

    Raises:
        BadRequestError: If it is no CSV.
    """
    if file.dialect is None:
        raise BadRequestError(
            problems=[Problem("goes with csv; cells of Excel, HTML and PDF are inert anyway", path="guard")]
        )
    headers = _headers(f'"{file.digest}-guarded"', file)
    if _has_current(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    packed = file.media_type == GZIP_TYPE
    rows = guarded(file.chunks(), file.dialect, packed=packed)
    return StreamingResponse(rows, headers=headers | {"Accept-Ranges": "none"}, media_type=file.media_type)


def _headers(etag: str, file: FileView) -> dict[str, str]:
    headers = {
        "ETag": etag,
        "Content-Disposition": _attachment(file.filename),
        "Cache-Control": "private, no-cache",
    }
    return headers | {"Content-Security-Policy": _PAGE_POLICY} if file.media_type == HTML_TYPE else headers


def text_response(request: Request, text: str, media_type: str) -> Response:
    """Answer with a text that changes only with the software, or 304 if the client has it."""
    headers = {"ETag": f'"{digest_text(text)}"', "Cache-Control": "public, max-age=3600"}
    if _has_current(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(text, headers=headers, media_type=media_type)


def _streamed(
    request: Request, file: FileView, part: tuple[int, int] | None, headers: dict[str, str]
) -> Response:
    """Pass on what the storage answers, piece by piece. What is damaged or breaks off is cut: nobody takes it for whole."""
    start, stop = part or (0, file.size_bytes)
    status = 206 if part else 200
    headers |= {"Accept-Ranges": "bytes", "Content-Length": str(stop - start)}
    if part:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size_bytes}"
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=file.media_type)
    pieces = file.chunks(start, stop)
    first = next(pieces, b"")  # a storage that is away is told by the status
    return StreamingResponse(
        itertools.chain((first,), pieces), status, headers=headers, media_type=file.media_type
    )


def _attachment(filename: str) -> str:
    """Return a Content-Disposition (RFC 6266) with a plain name for old clients and the exact one for the others."""
    plain = _UNSAFE_IN_HEADER.sub("_", filename)
    exact = "" if plain == filename else f"; filename*=UTF-8''{quote(filename, safe='')}"
    return f'attachment; filename="{plain}"{exact}'


def _has_current(request: Request, etag: str) -> bool:
    told = request.headers.get("if-none-match", "")
    return told.strip() == "*" or etag in (item.strip().removeprefix("W/") for item in told.split(","))


def _settled_range(request: Request, size_bytes: int, etag: str) -> tuple[int, int] | None:
    """Return where the asked range begins and where it ends, exclusively; None where the whole file is to be sent.

    A Range header is left only where it names one range of this very file; others get the whole.

    Raises:
        RangeError: If the range lies outside of the file.
    """
    asked = request.headers.get("range")
    if asked is None:
        return None
    found = _ONE_RANGE.fullmatch(asked.strip())
    if found is None or not any(found.groups()) or request.headers.get("if-range", etag) != etag:
        scope = request.scope
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"range"]
        return None
    first, last = found.groups()
    outside = int(first) >= size_bytes if first else int(last) == 0
    if outside or (first and last and int(last) < int(first)):
        raise RangeError(size_bytes)
    if not first:
        return max(0, size_bytes - int(last)), size_bytes
    return int(first), min(int(last) + 1, size_bytes) if last else size_bytes
