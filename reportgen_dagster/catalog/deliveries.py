"""Queries on deliveries, the outbox: what is due, who sends it, how it ended. Times are the database's.

A claim counts the attempt and gives a fence number; what is written of an attempt is guarded by it. What is written into the
outbox, and when, is `services/outbox.py`'s to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, and_, case, exists, func, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from reportgen_dagster.catalog.tables import Delivery, Report, Run

LIFE = timedelta(hours=24)  # what fails after that is dead


def of_run_of_report(session: Session, run_id: str) -> Row[Any] | None:
    """Return a run's report (id, name, owner, where it is delivered to) and its state; None if it has no report any more."""
    return session.execute(
        select(Report.id, Report.owner_id, Run.report_name, Run.state, Report.deliveries)
        .join(Run, Run.report_id == Report.id)
        .where(Run.id == run_id)
    ).first()


def delivering_reports(session: Session) -> list[Row[Any]]:
    """Return the reports that are delivered anywhere: id, owner, name, where to."""
    statement = select(Report.id, Report.owner_id, Report.name, Report.deliveries)
    return list(session.execute(statement.where(func.jsonb_array_length(Report.deliveries) > 0)))


def add(session: Session, rows: Sequence[Mapping[str, Any]]) -> int:
    """Write deliveries; what is written already stays as it is. Return how many are new."""
    if not rows:
        return 0
    values = [{"give_up_at": func.clock_timestamp() + LIFE, **row} for row in rows]
    added = session.scalars(insert(Delivery).values(values).on_conflict_do_nothing().returning(Delivery.id))
    return len(added.all())


def claim(session: Session, channel: str, *, at_once: int, lease: timedelta) -> list[Delivery]:
    """Take what is due on a channel for sending it; owners take turns.

    Args:
        session: The transaction.
        channel: `email`, `webhook` or `copy`.
        at_once: How many may be on their way at the same time, whoever sends them.
        lease: For how long nobody else takes them.
    """
    on_channel = and_(Delivery.channel == channel, Delivery.state == "pending")
    is_leased = Delivery.leased_until > func.clock_timestamp()
    leased = session.scalar(select(func.count()).select_from(Delivery).where(on_channel, is_leased)) or 0
    is_due = and_(
        on_channel,
        Delivery.next_at <= func.clock_timestamp(),
        or_(Delivery.leased_until.is_(None), ~is_leased),
    )
    turn = func.row_number().over(partition_by=Delivery.owner_id, order_by=Delivery.next_at)
    waiting = select(Delivery.id, turn.label("turn")).where(is_due).subquery()
    ids = session.scalars(
        select(Delivery.id)
        .join(waiting, waiting.c.id == Delivery.id)
        .where(is_due)
        .order_by(waiting.c.turn, Delivery.next_at)
        .limit(max(at_once - leased, 0))
        .with_for_update(of=Delivery, skip_locked=True)
    ).all()
    return list(
        session.scalars(
            update(Delivery)
            .where(Delivery.id.in_(ids))
            .values(
                attempts=Delivery.attempts + 1,
                fence=Delivery.fence + 1,
                leased_until=func.clock_timestamp() + lease,
            )
            .returning(Delivery)
        )
    )


def renew(session: Session, delivery: Delivery, lease: timedelta) -> bool:
    """Keep a claimed delivery longer; False if it is somebody else's by now."""
    values = {"leased_until": func.clock_timestamp() + lease}
    return _change_claimed(session, delivery, values) is not None


def note_delivered(session: Session, delivery: Delivery) -> bool:
    """Write that a claimed delivery arrived; False if it is somebody else's by now."""
    values = {
        "state": "delivered",
        "delivered_at": func.clock_timestamp(),
        "last_error": None,
        "leased_until": None,
    }
    return _change_claimed(session, delivery, values) is not None


def note_failed(
    session: Session, delivery: Delivery, error: dict[str, Any], *, wait: timedelta | None
) -> Literal["pending", "delivered", "dead"] | None:
    """Write that a claimed delivery failed, and return its state then; None if it is somebody else's by now.

    Args:
        session: The transaction.
        delivery: As it was claimed.
        error: Why.
        wait: After how long it is tried again; the last time is when it is given up. None: never.
    """
    is_over: ColumnElement[bool] = true() if wait is None else Delivery.give_up_at <= func.clock_timestamp()
    values = {
        "state": case((is_over, "dead"), else_="pending"),
        "next_at": func.least(func.clock_timestamp() + (wait or timedelta()), Delivery.give_up_at),
        "last_error": error,
        "leased_until": None,
    }
    return _change_claimed(session, delivery, values)


def _change_claimed(
    session: Session, delivery: Delivery, values: Mapping[str, Any]
) -> Literal["pending", "delivered", "dead"] | None:
    return session.scalar(
        update(Delivery)
        .where(Delivery.id == delivery.id, Delivery.fence == delivery.fence, Delivery.state == "pending")
        .values(**values)
        .returning(Delivery.state)
        .execution_options(synchronize_session=False)
    )


def of_owner(
    session: Session,
    owner_id: str,
    *,
    state: str | None = None,
    report_name: str | None = None,
    run_id: str | None = None,
    limit: int | None = None,
) -> list[Delivery]:
    """Return an owner's deliveries, the latest first.

    Args:
        session: The transaction.
        owner_id: Whose deliveries.
        state: Only those in this state.
        report_name: Only those of the report of this name.
        run_id: Only those of this run.
        limit: At most so many.
    """
    wanted = {Delivery.state: state, Delivery.report_name: report_name, Delivery.run_id: run_id}
    statement = select(Delivery).where(Delivery.owner_id == owner_id)
    for column, value in wanted.items():
        if value is not None:
            statement = statement.where(column == value)
    ordered = statement.order_by(Delivery.created_at.desc(), Delivery.id.desc())
    return list(session.scalars(ordered.limit(limit)))


def find(session: Session, owner_id: str, delivery_id: str) -> Delivery | None:
    """Return a delivery of an owner's."""
    return session.scalars(
        select(Delivery).where(Delivery.owner_id == owner_id, Delivery.id == delivery_id)
    ).first()


def send_anew(session: Session, delivery_ids: Sequence[str]) -> None:
    """Let deliveries be sent at once, under their ids, whatever became of them; a day of tries begins."""
    session.execute(
        update(Delivery)
        .where(Delivery.id.in_(delivery_ids))
        .values(
            state="pending",
            attempts=0,
            next_at=func.clock_timestamp(),
            give_up_at=func.clock_timestamp() + LIFE,
        )
        .execution_options(synchronize_session=False)
    )


def dead_letters(session: Session) -> list[Delivery]:
    """Return the dead deliveries of reports that there are, unless something later reached the same destination; latest first."""
    later = aliased(Delivery)
    is_overcome = exists().where(
        later.report_id == Delivery.report_id,
        later.created_at > Delivery.created_at,
        later.state == "delivered",
        later.channel == Delivery.channel,
        later.destination == Delivery.destination,
    )
    return list(
        session.scalars(
            select(Delivery)
            .where(Delivery.state == "dead", Delivery.report_id.is_not(None), ~is_overcome)
            .order_by(Delivery.created_at.desc(), Delivery.id)
        )
    )
