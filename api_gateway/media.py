"""What a call says about the media type of its body."""

from __future__ import annotations

from fastapi import Depends, Request
from python_multipart.multipart import parse_options_header

from api_gateway.errors import MediaTypeError


def _json_only(request: Request) -> None:
    media_type, _ = parse_options_header(request.headers.get("content-type"))
    if media_type not in (b"", b"application/json"):
        raise MediaTypeError("Send the body as application/json.")


json_body = [Depends(_json_only)]
