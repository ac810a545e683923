"""Queries on audit events: add one, list them, remove old ones. There is none that changes one.

What is worth an event is services/audit.py's.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.orm import Session

from reportgen_dagster.catalog.tables import AuditEvent


def add(session: Session, event: AuditEvent) -> None:
    """Add an event, in the transaction of what it tells of."""
    session.add(event)


def page(
    session: Session,
    *,
    user_id: str | None,
    action: str | None,
    since: datetime | None,
    until: datetime | None,
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[AuditEvent]:
    """Return events, the last first.

    Args:
        session: The transaction.
        user_id: Only what this user did.
        action: Only this action.
        since: From then on.
        until: Before that.
        before: Only those before this time and id.
        limit: At most so many.
    """
    conditions = [
        *([AuditEvent.user_id == user_id] if user_id is not None else []),
        *([AuditEvent.action == action] if action is not None else []),
        *([AuditEvent.at >= since] if since is not None else []),
        *([AuditEvent.at < until] if until is not None else []),
        *([tuple_(AuditEvent.at, AuditEvent.id) < before] if before is not None else []),
    ]
    newest_first = (AuditEvent.at.desc(), AuditEvent.id.desc())
    return list(session.scalars(select(AuditEvent).where(*conditions).order_by(*newest_first).limit(limit)))


def remove_older_than(session: Session, age: timedelta) -> None:
    """Remove events of long ago; the table refuses it for the last 30 days."""
    session.execute(delete(AuditEvent).where(AuditEvent.at < func.clock_timestamp() - age))
