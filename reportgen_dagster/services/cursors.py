"""Where the next page of a list begins: the time and id of the last thing of the page before, as an opaque text."""

from __future__ import annotations

import base64
from datetime import datetime

from reportgen_dagster.errors import BadRequestError
from reportgen_dagster.identity import ID_PATTERN

MAX_PAGE = 500


def check_limit(limit: int) -> None:
    """Check how many things a page is to have.

    Raises:
        BadRequestError: If it is not between 1 and 500.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise BadRequestError(f"limit: {limit} is not between 1 and {MAX_PAGE}.")


def encode(moment: datetime, id_: str) -> str:
    """Return the cursor of the page after a thing."""
    return base64.urlsafe_b64encode(f"{moment.isoformat()} {id_}".encode()).decode()


def decode(cursor: str) -> tuple[datetime, str]:
    """Return the time and id that a cursor names.

    Raises:
        BadRequestError: If it is no cursor.
    """
    try:
        moment, _, id_ = base64.urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        at = datetime.fromisoformat(moment)
    except ValueError:
        raise BadRequestError("cursor: this is not a cursor of this list.") from None
    if at.tzinfo is None or not ID_PATTERN.fullmatch(id_):
        raise BadRequestError("cursor: this is not a cursor of this list.")
    return at, id_
