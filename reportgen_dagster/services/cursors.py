"""Where the next page of a list begins: what the last thing of the page before stands by, as an opaque text.

That is its time and id, its name, or its number.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from reportgen_dagster.errors import BadRequestError
from reportgen_dagster.identity import ID_PATTERN

MAX_PAGE = 500
_NUMBER = re.compile(r"[0-9]{1,18}")
_Item = TypeVar("_Item")


def check_limit(limit: int) -> None:
    """Check how many things a page is to have.

    Raises:
        BadRequestError: If it is not between 1 and 500.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise BadRequestError(f"limit: {limit} is not between 1 and {MAX_PAGE}.")


def cut(found: Sequence[_Item], limit: int) -> tuple[list[_Item], _Item | None]:
    """Return a page of what was looked for with one more than its limit, and its last thing if there is a further page."""
    page = list(found[:limit])
    return page, page[-1] if len(found) > limit else None


def encode(moment: datetime, id_: str) -> str:
    """Return the cursor of the page after a thing that stands by its time."""
    return encode_text(f"{moment.isoformat()} {id_}")


def decode(cursor: str) -> tuple[datetime, str]:
    """Return the time and id that a cursor names.

    Raises:
        BadRequestError: If it is no cursor.
    """
    moment, _, id_ = decode_text(cursor).partition(" ")
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        raise _refused() from None
    if at.tzinfo is None or not ID_PATTERN.fullmatch(id_):
        raise _refused()
    return at, id_


def encode_text(text: str) -> str:
    """Return the cursor of the page after a thing that stands by its name or number."""
    return base64.urlsafe_b64encode(text.encode()).decode()


def decode_text(cursor: str) -> str:
    """Return the name that a cursor has.

    Raises:
        BadRequestError: If it is no cursor.
    """
    try:
        text = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise _refused() from None
    if not text or "\0" in text:
        raise _refused()
    return text


def decode_number(cursor: str) -> int:
    """Return the number that a cursor has.

    Raises:
        BadRequestError: If it is no cursor.
    """
    text = decode_text(cursor)
    if not _NUMBER.fullmatch(text):
        raise _refused()
    return int(text)


def _refused() -> BadRequestError:
    return BadRequestError("cursor: this is not a cursor of this list.")
