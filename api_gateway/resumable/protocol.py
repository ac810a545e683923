"""The headers of tus 1.0 (https://tus.io/protocols/resumable-upload), and the layer that answers in its version.

What belongs here: what the protocol says about headers. What does not: the calls (`router.py`), what becomes of the bytes
(services/resumable.py).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import UTC
from email.utils import format_datetime
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_gateway.errors import VersionError, problem_response
from reportgen_dagster.errors import BadRequestError
from reportgen_dagster.services.resumable import CHECKSUMS, Checksum, ResumableView

PATH = "/api/v1/uploads"
VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,checksum,expiration,termination"
MEDIA_TYPE = "application/offset+octet-stream"
MAX_METADATA_CHARACTERS = 4096


class TusLayer:
    """Says the version in every answer below `PATH`, and takes the method that a client without PATCH names in a header."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or not f"{scope['path']}/".startswith(f"{PATH}/"):
            await self._app(scope, receive, send)
            return

        async def send_versioned(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Tus-Resumable"] = VERSION
            await send(message)

        headers = Headers(scope=scope)
        method = headers.get("x-http-method-override", scope["method"]).upper()
        version = headers.get("tus-resumable", VERSION)
        if version != VERSION and method != "OPTIONS":
            error = VersionError(f"Tus-Resumable is {version[:20]!r}; only {VERSION} is spoken.")
            answer = problem_response(scope, 412, error.to_json(), {"Tus-Version": VERSION})
            await answer(scope, receive, send_versioned)
            return
        await self._app({**scope, "method": method}, receive, send_versioned)


def read_metadata(header: str) -> dict[str, str]:
    """Read Upload-Metadata: pairs of a key and a text in Base64, with commas between.

    >>> read_metadata("filename YS5jc3Y=,draft")
    {'filename': 'a.csv', 'draft': ''}

    Raises:
        BadRequestError: If it is malformed.
    """
    if len(header) > MAX_METADATA_CHARACTERS:
        raise BadRequestError(f"Upload-Metadata has more than {MAX_METADATA_CHARACTERS:,} characters.")
    metadata: dict[str, str] = {}
    for pair in header.split(",") if header.strip() else ():
        key, _, text = pair.strip().partition(" ")
        if not key or key in metadata:
            raise BadRequestError("Upload-Metadata must be pairs of a key and a text, each key once.")
        try:
            metadata[key] = _bytes_of(text).decode()
        except ValueError:
            raise BadRequestError(f"Upload-Metadata: {key[:100]!r} is no UTF-8 text in Base64.") from None
    return metadata


def read_checksum(header: str | None) -> Checksum | None:
    """Read Upload-Checksum: the name of an algorithm and a digest in Base64.

    Raises:
        BadRequestError: If it is malformed, or of an algorithm that is not offered.
    """
    if header is None:
        return None
    algorithm, _, text = header.partition(" ")
    if algorithm not in CHECKSUMS:
        raise BadRequestError(f"Upload-Checksum: {', '.join(CHECKSUMS)} are known, not {algorithm[:20]!r}.")
    try:
        digest = _bytes_of(text)
    except ValueError:
        digest = b""
    if len(digest) != hashlib.new(algorithm).digest_size:
        raise BadRequestError(f"Upload-Checksum: no {algorithm} in Base64.")
    return Checksum(algorithm, digest)


def _bytes_of(text: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def offered(max_bytes: int) -> dict[str, str]:
    """Return the headers that say what is spoken here."""
    return {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(max_bytes),
        "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
    }


def headers_of(upload: ResumableView) -> dict[str, str]:
    """Return the headers that tell how far an upload is, and where the version of a dataset is that it became."""
    headers = {
        "Upload-Offset": str(upload.offset_bytes),
        "Upload-Expires": format_datetime(upload.expires_at.astimezone(UTC), usegmt=True),
    }
    if upload.dataset is not None and upload.became is not None:
        headers["Location"] = version_path(upload.became.dataset, upload.became.version)
    return headers


def version_path(dataset: str, version: int) -> str:
    """Return the path of a version of a dataset."""
    return f"/api/v1/datasets/{quote(dataset, safe='')}/versions/{version}"
