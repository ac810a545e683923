"""Queries on runs, the queue of record. Every change of an attempt is one UPDATE guarded by state and fence.

Who may ask and what follows from a state belongs to the services. Times are the database's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session

from reportgen_dagster.catalog import leases
from reportgen_dagster.catalog.tables import Artifact, Lease, Rejects, Run
from reportgen_dagster.identity import new_id

# The wait before a run is launched again grows with each launch that led to nothing, up to this many times the first.
LONGEST_WAIT = 6
BATCH = 100

RunRow = tuple[Run, bool]


def _rows() -> Select[Run, bool]:
    """Select runs, each with whether it has rejects."""
    return select(Run, exists().where(Rejects.run_id == Run.id))


def find(session: Session, run_id: str, owner_id: str | None) -> RunRow | None:
    """Return a run and whether it has rejects.

    Args:
        session: The transaction.
        run_id: Which run.
        owner_id: Whose it has to be; None: anybody's, for what no user asks.
    """
    statement = _rows().where(Run.id == run_id)
    if owner_id is not None:
        statement = statement.where(Run.owner_id == owner_id)
    return session.execute(statement).first()


def page(
    session: Session,
    owner_id: str,
    *,
    limit: int,
    before: tuple[datetime, str] | None = None,
    report_id: str | None = None,
) -> list[RunRow]:
    """Return an owner's runs, most recently accepted first.

    Args:
        session: The transaction.
        owner_id: Whose runs.
        limit: At most so many.
        before: Only runs that come after this (accepted_at, id) in the list.
        report_id: Only runs of this report.
    """
    statement = _rows().where(Run.owner_id == owner_id)
    if report_id is not None:
        statement = statement.where(Run.report_id == report_id)
    if before is not None:
        statement = statement.where(tuple_(Run.accepted_at, Run.id) < before)
    statement = statement.order_by(Run.accepted_at.desc(), Run.id.desc()).limit(limit)
    return list(session.execute(statement))


def last_of_reports(session: Session, report_ids: Sequence[str]) -> dict[str, RunRow]:
    """Return the most recently accepted run of each report that has one."""
    statement = (
        _rows()
        .where(Run.report_id.in_(report_ids))
        .ext(distinct_on(Run.report_id))
        .order_by(Run.report_id, Run.accepted_at.desc(), Run.id.desc())
    )
    rows = list(session.execute(statement))
    return {run.report_id: (run, rejects) for run, rejects in rows if run.report_id}


def last_of_schedules(session: Session, schedule_ids: Sequence[str]) -> dict[str, RunRow]:
    """Return the most recently accepted run of each schedule that has one."""
    statement = (
        _rows()
        .where(Run.schedule_id.in_(schedule_ids))
        .ext(distinct_on(Run.schedule_id))
        .order_by(Run.schedule_id, Run.accepted_at.desc(), Run.id.desc())
    )
    rows = list(session.execute(statement))
    return {run.schedule_id: (run, rejects) for run, rejects in rows if run.schedule_id}


def accept(session: Session, **values: Any) -> str:
    """Insert an accepted run and return its id.

    A run that is there already by its schedule and due time, or by its origin in Dagster, is not inserted again:
    its id is returned.

    Args:
        session: The transaction.
        values: Columns of the run.
    """
    statement = insert(Run).values({"id": new_id(), **values}).on_conflict_do_nothing().returning(Run.id)
    inserted = session.scalar(statement)
    if inserted is not None:
        return inserted
    if values.get("origin_dagster_run_id") is not None:
        same = Run.origin_dagster_run_id == values["origin_dagster_run_id"]
    else:
        same = and_(Run.schedule_id == values["schedule_id"], Run.due_at == values["due_at"])
    return session.scalars(select(Run.id).where(same)).one()


def claim(session: Session, run_id: str, dagster_run_id: str) -> int | None:
    """Take an accepted run for one attempt and return the new fence.

    Returns:
        None if it is not accepted (any more), or if this attempt was given up already.
    """
    given_up = exists().where(Lease.dagster_run_id == dagster_run_id, Lease.ended_at.is_not(None))
    return session.scalar(
        update(Run)
        .where(Run.id == run_id, Run.state == "accepted", ~given_up)
        .values(
            state="running",
            stage="waiting",
            progress=0,
            fence=Run.fence + 1,
            launches=0,
            started_at=func.clock_timestamp(),
            dagster_run_id=dagster_run_id,
        )
        .returning(Run.fence)
    )


def change_claimed(session: Session, run_id: str, fence: int, **values: Any) -> bool:
    """Change a running run on behalf of the attempt that claimed it; False if it is no longer that attempt's."""
    changed = session.execute(
        update(Run)
        .where(Run.id == run_id, Run.fence == fence, Run.state == "running")
        .values(**values)
        .returning(Run.id)
    )
    return changed.first() is not None


def cancel(session: Session, dagster_run_id: str, run_id: str | None, error: dict[str, Any]) -> bool:
    """Cancel the unfinished run that a Dagster run carries out or was to carry out.

    Args:
        session: The transaction.
        dagster_run_id: The cancelled Dagster run.
        run_id: The run that it was launched for, if known; counts while no other Dagster run is known for it.
        error: What the user is told.
    """
    launched_for = and_(Run.id == run_id, Run.state == "accepted", Run.dagster_run_id.is_(None))
    cancelled = session.execute(
        update(Run)
        .where(
            Run.state.in_(("accepted", "running")), or_(Run.dagster_run_id == dagster_run_id, launched_for)
        )
        .values(state="cancelled", finished_at=func.clock_timestamp(), error=error)
        .returning(Run.id)
    )
    return cancelled.first() is not None


def fail_attempt(session: Session, dagster_run_id: str, error: dict[str, Any]) -> bool:
    """Fail the running run that a Dagster run carries out; False if there is none."""
    failed = session.execute(
        update(Run)
        .where(Run.state == "running", Run.dagster_run_id == dagster_run_id)
        .values(state="failed", finished_at=func.clock_timestamp(), error=error)
        .returning(Run.id)
    )
    return failed.first() is not None


def mark_reported(session: Session, run_id: str) -> None:
    """Write that Dagster has a success's events."""
    session.execute(
        update(Run)
        .where(Run.id == run_id, Run.state == "succeeded", Run.reported_at.is_(None))
        .values(reported_at=func.clock_timestamp())
    )


def published(session: Session, run_id: str) -> tuple[Run, Artifact] | None:
    """Return a succeeded run and its report."""
    return session.execute(_published().where(Run.id == run_id)).first()


def unreported(session: Session) -> list[tuple[Run, Artifact]]:
    """Return succeeded runs whose events Dagster lacks and whose worker is gone, oldest first."""
    statement = (
        _published()
        .where(Run.reported_at.is_(None), ~has_live_lease())
        .order_by(Run.finished_at)
        .limit(BATCH)
    )
    return list(session.execute(statement))


def _published() -> Select[Run, Artifact]:
    return (
        select(Run, Artifact)
        .join(Artifact, and_(Artifact.run_id == Run.id, Artifact.format == "csv"))
        .where(Run.state == "succeeded")
    )


def has_live_lease() -> ColumnElement[bool]:
    """Return the condition that the Dagster run that a run knows of has a live lease."""
    return exists().where(Lease.dagster_run_id == Run.dagster_run_id, leases.is_live()).correlate(Run)


def dead(session: Session) -> list[tuple[Run, str | None]]:
    """Lock and return the running runs without a live lease, each with how its lease ended, if that is written."""
    statement = (
        select(Run, Lease.ending)
        .outerjoin(Lease, Lease.dagster_run_id == Run.dagster_run_id)
        .where(Run.state == "running", ~has_live_lease())
        .with_for_update(of=Run, skip_locked=True)
    )
    return list(session.execute(statement))


def launchable(session: Session, older_than: timedelta) -> list[tuple[str, str]]:
    """Return id and owner of accepted runs that wait for a launch, longest waiting first.

    Args:
        session: The transaction.
        older_than: How long after its acceptance or first launch a run is launched again.
    """
    waits = func.least(func.greatest(Run.launches, 1), LONGEST_WAIT) * older_than
    asked_at = func.coalesce(Run.launched_at, Run.accepted_at)
    given_back = and_(Run.fence > 0, Run.launched_at.is_(None))
    waited = asked_at <= func.clock_timestamp() - waits
    statement = (
        select(Run.id, Run.owner_id)
        .where(Run.state == "accepted", or_(given_back, waited), ~has_live_lease())
        .order_by(asked_at)
        .limit(BATCH)
    )
    return list(session.execute(statement))


def mark_launched(session: Session, run_id: str, dagster_run_id: str | None) -> tuple[int, int] | None:
    """Count a launch of an accepted run and return fence and count; None if the run is not accepted any more."""
    return session.execute(
        update(Run)
        .where(Run.id == run_id, Run.state == "accepted")
        .values(
            launched_at=func.clock_timestamp(),
            launches=Run.launches + 1,
            dagster_run_id=dagster_run_id,
        )
        .returning(Run.fence, Run.launches)
    ).first()
