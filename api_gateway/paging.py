"""Lists: a page of items and the link to the next page, in the body and as a Link header (RFC 8288)."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar
from urllib.parse import quote, urlencode

from fastapi import Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

Item = TypeVar("Item")
DEFAULT_LIMIT = 50
MAX_LIMIT = 200

LimitQuery = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="At most so many.")]
CursorQuery = Annotated[str | None, Query(description="From the `next` link of the page before.")]


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next: str | None = Field(
        None,
        description="Path of the next page, as in the Link header; null on the last one.",
        examples=["/api/v1/datasets?limit=50&cursor=dHJhZGVz"],
    )


def page(request: Request, response: Response, items: list[Item], cursor: str | None) -> Page[Item]:
    """Return a page whose next one, if there is a cursor, is asked for as this one was."""
    if cursor is None:
        return Page(items=items)
    asked = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    link = f"{quote(request.scope['path'])}?{urlencode([*asked, ('cursor', cursor)])}"
    response.headers["Link"] = f'<{link}>; rel="next"'
    return Page(items=items, next=link)
