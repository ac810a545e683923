"""Lists: a page of items and the link to the next page."""

from __future__ import annotations

from typing import Generic, TypeVar
from urllib.parse import urlencode

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
        examples=["?limit=50&cursor=Wy4uLl0"],
    )


def next_link(path: str, limit: int, cursor: str | None, **filters: str) -> str | None:
    """Return the path of the page after a cursor, with the filters of this one; None if there is none."""
    return f"{path}?{urlencode({**filters, 'limit': limit, 'cursor': cursor})}" if cursor else None
