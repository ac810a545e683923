"""Queries on throttled attempts. How many are allowed of what is services/throttling.py's.

Everything goes by the database's clock, so that all gateways count alike.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from reportgen_dagster.catalog.tables import ThrottledAttempt
from reportgen_dagster.identity import new_id


@dataclass(frozen=True, slots=True)
class Counted:
    """The attempts at one thing within a window.

    Attributes:
        now: The present time.
        count: How many there were.
        first: The oldest; None: there was none.
        last: The newest.
    """

    now: datetime
    count: int
    first: datetime | None
    last: datetime | None


def lock(session: Session, keys: Collection[str]) -> None:
    """Let no one else count attempts at these things until the transaction ends."""
    for key in sorted(keys):  # so that two that want the same locks do not wait for each other in a circle
        session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": key})


def counted(session: Session, key: str, window: timedelta) -> Counted:
    """Return the attempts at a thing within a window up to now."""
    now = func.clock_timestamp()
    at = ThrottledAttempt.at
    row = session.execute(
        select(now, func.count(), func.min(at), func.max(at)).where(
            ThrottledAttempt.key == key, at > now - window
        )
    ).one()
    return Counted(*row)


def add(session: Session, key: str) -> str:
    """Count an attempt; return its id."""
    attempt = ThrottledAttempt(id=new_id(), key=key)
    session.add(attempt)
    return attempt.id


def remove(session: Session, ids: Collection[str]) -> None:
    """Take attempts back."""
    session.execute(delete(ThrottledAttempt).where(ThrottledAttempt.id.in_(ids)))


def remove_all(session: Session, keys: Collection[str]) -> None:
    """Forget all attempts at these things."""
    session.execute(delete(ThrottledAttempt).where(ThrottledAttempt.key.in_(keys)))


def remove_older_than(session: Session, age: timedelta) -> None:
    """Remove attempts that count no more."""
    session.execute(delete(ThrottledAttempt).where(ThrottledAttempt.at < func.clock_timestamp() - age))
