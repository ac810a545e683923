"""Lists: a page of items and the link to the next page, in the body and as a header (RFC 8288)."""

from __future__ import annotations

from typing import Generic, TypeVar
from urllib.parse import urlencode

from fastapi import Request, Response
from pydantic import BaseModel, Field

Item = TypeVar("Item")
DEFAULT_LIMIT = 50
MAX_LIMIT = 200


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next: str | None = Field(
        None,
        description="Path of the next page; null on the last one.",
        examples=["/api/v1/runs?limit=50&cursor=Wy4uLl0"],
    )


def next_link(request: Request, response: Response, cursor: str | None) -> str | None:
    """Return the path of the page after a cursor, which is the request's with all that it asks for; None if there is none.

    The answer gets it as a header, too: `Link: <...>; rel="next"`.
    """
    if cursor is None:
        return None
    asked = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    path = f"{request.scope['path']}?{urlencode([*asked, ('cursor', cursor)])}"
    response.headers["Link"] = f'<{path}>; rel="next"'
    return path
