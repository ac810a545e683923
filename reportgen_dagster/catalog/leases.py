"""Queries on leases, the signs of life of attempts. What follows from a lost one is the reaper's to say.

Everything goes by the database's clock. A lease that was not renewed for `LEASE_SECONDS` has expired, but not while the
server itself is younger than that: nobody could renew a lease while it was away.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement, and_, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from reportgen_dagster.catalog.tables import Lease

LEASE_SECONDS = 12
_LIFE = timedelta(seconds=LEASE_SECONDS)


def is_live() -> ColumnElement[bool]:
    """Return the condition that a lease is live."""
    oldest = func.clock_timestamp() - _LIFE
    return and_(
        Lease.ended_at.is_(None), or_(Lease.beat_at > oldest, func.pg_postmaster_start_time() > oldest)
    )


def begin(session: Session, dagster_run_id: str, worker: str) -> bool:
    """Make the lease of a Dagster run, or take over one whose worker died before it claimed anything.

    Returns:
        False if another worker holds it, or did its work under it.
    """
    fresh = {
        "worker": worker,
        "started_at": func.clock_timestamp(),
        "beat_at": func.clock_timestamp(),
        "ended_at": None,
        "ending": None,
    }
    unused = and_(~is_live(), Lease.run_id.is_(None), Lease.ending.is_distinct_from("done"))
    made = session.execute(
        insert(Lease)
        .values(dagster_run_id=dagster_run_id, worker=worker)
        .on_conflict_do_update(index_elements=["dagster_run_id"], set_=fresh, where=unused)
        .returning(Lease.dagster_run_id)
    )
    return made.first() is not None


def beat(session: Session, dagster_run_id: str) -> bool:
    """Renew a lease; False if it has ended or is not there."""
    renewed = session.execute(
        update(Lease)
        .where(Lease.dagster_run_id == dagster_run_id, Lease.ended_at.is_(None))
        .values(beat_at=func.clock_timestamp())
        .returning(Lease.dagster_run_id)
    )
    return renewed.first() is not None


def end(session: Session, dagster_run_ids: list[str], ending: str) -> None:
    """Write how leases ended, where that is not written yet."""
    session.execute(
        update(Lease)
        .where(Lease.dagster_run_id.in_(dagster_run_ids), Lease.ended_at.is_(None))
        .values(ended_at=func.clock_timestamp(), ending=ending)
    )


def note_claim(session: Session, dagster_run_id: str, run_id: str, fence: int) -> None:
    """Write which run a lease's attempt claimed. An attempt that nobody supervises gets its lease here."""
    session.execute(
        insert(Lease)
        .values(dagster_run_id=dagster_run_id, run_id=run_id, fence=fence, worker="unsupervised")
        .on_conflict_do_update(
            index_elements=["dagster_run_id"],
            set_={"run_id": run_id, "fence": fence, "beat_at": func.clock_timestamp()},
        )
    )


def is_alive(session: Session, dagster_run_id: str) -> bool | None:
    """Tell whether a Dagster run's lease is live; None if it has none."""
    return session.scalar(select(is_live()).where(Lease.dagster_run_id == dagster_run_id))


def lock(session: Session, key: int) -> None:
    """Take an advisory lock until the end of the transaction, after whoever holds it."""
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def try_lock(session: Session, key: int) -> bool:
    """Take an advisory lock until the end of the transaction; False if another session holds it."""
    return bool(session.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": key}))
