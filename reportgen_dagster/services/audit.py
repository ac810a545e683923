"""Use case: the audit: who did what to which thing, when and from where; only added to.

What belongs here: what is worth an event, noting one, showing them. What does not: secrets, contents of files, rows of data.
What may come without bound, as attempts that are throttled, is noted once an hour for each account and address.
An event is written in the transaction of what it tells of: the one is never there without the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import audit
from reportgen_dagster.catalog.tables import AuditEvent
from reportgen_dagster.errors import BadRequestError
from reportgen_dagster.identity import ID_PATTERN
from reportgen_dagster.services import cursors
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.origin import present_origin

Action = Literal[
    "register",
    "sign-in",
    "sign-in-refused",
    "sign-in-throttled",
    "sign-out",
    "refresh-reused",
    "session-ended",
    "password-changed",
    "password-refused",
    "password-throttled",
    "token-made",
    "token-deleted",
    "user-changed",
    "user-revoked",
    "rules-changed",
    "download",
    "dataset-deleted",
    "ruleset-deleted",
    "report-deleted",
    "schedule-deleted",
    "key-rotated",
    "key-retired",
]
ACTIONS: tuple[Action, ...] = get_args(Action)
_MAX_THING = 300


@dataclass(frozen=True, slots=True)
class EventView:
    """One event.

    Attributes:
        id: Its id.
        at: When it happened, aware, by the database's clock.
        user_id: Who did it; None: nobody known, or whoever runs the installation.
        action: What was done.
        thing: What it was done to, as kind/name; may be empty.
        address: The client's IP address; empty for commands and what the service does by itself.
        request_id: The request's id; empty likewise.
    """

    id: str
    at: datetime
    user_id: str | None
    action: str
    thing: str
    address: str
    request_id: str


def note(session: Session, action: Action, user_id: str | None, thing: str = "") -> None:
    """Note that somebody does something, in the transaction in which he does it.

    Args:
        session: That transaction.
        action: What he does.
        user_id: Who; None: nobody known, or whoever runs the installation.
        thing: What he does it to, as kind/name.
    """
    origin = present_origin()
    audit.add(
        session,
        AuditEvent(
            user_id=user_id,
            action=action,
            thing=thing[:_MAX_THING],
            address=origin.address,
            request_id=origin.request_id,
        ),
    )


def list_events(
    context: Context,
    *,
    user_id: str | None = None,
    action: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> tuple[list[EventView], str | None]:
    """Return a page of events, the last first, and the cursor of the next page.

    Args:
        context: The installation.
        user_id: Only what this user did.
        action: Only this action.
        since: From then on, aware.
        until: Before that, aware.
        limit: At most so many, from 1 to 500.
        cursor: Where the page begins, as the page before gave it.

    Raises:
        BadRequestError: If user_id, action, a time, limit or cursor cannot be used.
    """
    cursors.check_limit(limit)
    if user_id is not None and not ID_PATTERN.fullmatch(user_id):
        raise BadRequestError("user_id: this is not the id of a user.")
    if action is not None and action not in ACTIONS:
        raise BadRequestError(f"action: there are {', '.join(ACTIONS)}.")
    if any(moment is not None and moment.tzinfo is None for moment in (since, until)):
        raise BadRequestError("A time needs its zone, as 2026-01-31T06:00:00Z.")
    before = cursors.decode(cursor) if cursor else None
    with context.catalog.reading() as session:
        rows = audit.page(
            session,
            user_id=user_id,
            action=action,
            since=since,
            until=until,
            before=before,
            limit=limit + 1,
        )
        views = [_view(event) for event in rows[:limit]]
    last = views[-1] if len(rows) > limit else None
    return views, cursors.encode(last.at, last.id) if last else None


def remove_old(context: Context) -> None:
    """Remove events that are older than AUDIT_RETENTION_DAYS."""
    days = context.settings.audit_retention_days
    with context.catalog.transaction() as session:
        audit.remove_older_than(session, timedelta(days=days))


def _view(event: AuditEvent) -> EventView:
    return EventView(
        id=event.id,
        at=event.at,
        user_id=event.user_id,
        action=event.action,
        thing=event.thing,
        address=event.address,
        request_id=event.request_id,
    )
