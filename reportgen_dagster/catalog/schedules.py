"""Queries on the schedules of reports. Cron and time zones do not belong here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, joinedload

from reportgen_dagster.catalog.definitions import shard_of
from reportgen_dagster.catalog.tables import Report, Schedule
from reportgen_dagster.identity import new_id

_CONTRADICTED = f"""
    SELECT s.id, {shard_of("s.report_id")} FROM schedules s JOIN reports r ON r.id = s.report_id
    WHERE (s.dagster_status = 'RUNNING') = (s.paused_at IS NOT NULL OR r.paused_at IS NOT NULL)
"""  # noqa: S608 - constants


def put(session: Session, *, report_id: str, name: str, **values: Any) -> Schedule:
    """Insert a report's schedule by its name, or replace what it says; its id stays. Times of before do not count as missed."""
    replaced = {
        **values,
        "paused_at": None,
        "handled_until": func.clock_timestamp(),
        "updated_at": func.now(),
    }
    schedule_id = session.execute(
        insert(Schedule)
        .values(id=new_id(), report_id=report_id, name=name, **values)
        .on_conflict_do_update(index_elements=["report_id", "name"], set_=replaced)
        .returning(Schedule.id)
    ).scalar_one()
    return session.get_one(Schedule, schedule_id, populate_existing=True)


def of_owner(
    session: Session,
    owner_id: str,
    *,
    report_id: str | None = None,
    after: tuple[datetime, str] | None = None,
    limit: int | None = None,
) -> list[Schedule]:
    """Return an owner's schedules, oldest first.

    Args:
        session: The transaction.
        owner_id: Whose schedules.
        report_id: Only those of this report.
        after: Only schedules that come after this (created_at, id) in the list.
        limit: At most so many.
    """
    statement = select(Schedule).join(Schedule.report).where(Report.owner_id == owner_id)
    if report_id is not None:
        statement = statement.where(Schedule.report_id == report_id)
    if after is not None:
        statement = statement.where(tuple_(Schedule.created_at, Schedule.id) > after)
    ordered = statement.order_by(Schedule.created_at, Schedule.id).limit(limit)
    return list(session.scalars(ordered.options(joinedload(Schedule.report))))


def of_report(session: Session, report_id: str) -> list[Schedule]:
    """Return a report's schedules in the order of their names."""
    return list(
        session.scalars(select(Schedule).where(Schedule.report_id == report_id).order_by(Schedule.name))
    )


def of_reports(session: Session, report_ids: Collection[str]) -> dict[str, list[Schedule]]:
    """Return the schedules of each report that has some, in the order of their names."""
    found = defaultdict(list)
    statement = select(Schedule).where(Schedule.report_id.in_(report_ids)).order_by(Schedule.name)
    for schedule in session.scalars(statement):
        found[schedule.report_id].append(schedule)
    return found


def contradicted(session: Session, shards: int) -> dict[str, int]:
    """Return schedules that are otherwise than operators last set them in Dagster, as it was seen, each with its shard."""
    rows = session.execute(text(_CONTRADICTED), {"shards": shards})
    return {schedule_id: shard for schedule_id, shard in rows}  # noqa: C416 - a result is no mapping


def find(session: Session, schedule_id: str, owner_id: str) -> Schedule | None:
    """Return a schedule of an owner."""
    return session.scalars(
        select(Schedule)
        .join(Schedule.report)
        .where(Schedule.id == schedule_id, Report.owner_id == owner_id)
        .options(joinedload(Schedule.report))
    ).first()


def lock(session: Session, schedule_id: str) -> Schedule | None:
    """Return anybody's schedule; nobody can change it before the transaction ends."""
    return session.scalars(select(Schedule).where(Schedule.id == schedule_id).with_for_update()).first()


def lock_all(session: Session, report_id: str) -> None:
    """Wait for whoever changes a report's schedules or makes their runs; nobody can before the transaction ends."""
    session.execute(
        select(Schedule.id).where(Schedule.report_id == report_id).order_by(Schedule.id).with_for_update()
    )


def set_paused(session: Session, schedule_id: str, *, paused: bool) -> None:
    """Pause or resume a schedule. Repeating it changes nothing; times of the pause do not count as missed."""
    if paused:
        values: dict[str, Any] = {"paused_at": func.coalesce(Schedule.paused_at, func.clock_timestamp())}
        session.execute(update(Schedule).where(Schedule.id == schedule_id).values(**values))
        return
    session.execute(
        update(Schedule)
        .where(Schedule.id == schedule_id, Schedule.paused_at.is_not(None))
        .values(paused_at=None, handled_until=func.clock_timestamp())
    )


def note_handled(session: Session, schedule_id: str, until: datetime) -> None:
    """Write that all times up to one are dealt with; it never goes back."""
    session.execute(
        update(Schedule)
        .where(Schedule.id == schedule_id)
        .values(handled_until=func.greatest(Schedule.handled_until, until))
    )


def remove(session: Session, schedule_id: str) -> None:
    """Delete a schedule, keeping its runs."""
    session.execute(delete(Schedule).where(Schedule.id == schedule_id))


def statuses(session: Session, shards: int) -> dict[str, tuple[int, str | None]]:
    """Return for each schedule its shard, and what an operator last set there in Dagster, as it was seen."""
    query = f"SELECT id, {shard_of('report_id')}, dagster_status FROM schedules"  # noqa: S608 - constants
    rows = session.execute(text(query), {"shards": shards})
    return {schedule_id: (shard, status) for schedule_id, shard, status in rows}


def note_status(session: Session, schedule_id: str, before: str | None, status: str | None) -> bool:
    """Write what an operator set in Dagster; False, and nothing is written, if something else was noted since `before`."""
    unchanged = Schedule.dagster_status.is_not_distinct_from(before)
    statement = update(Schedule).where(Schedule.id == schedule_id, unchanged).values(dagster_status=status)
    return session.scalar(statement.returning(Schedule.id)) is not None


def forget_status(session: Session, schedule_id: str) -> None:
    """Write that no operator set anything in Dagster."""
    session.execute(update(Schedule).where(Schedule.id == schedule_id).values(dagster_status=None))
