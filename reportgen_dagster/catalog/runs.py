"""Queries on runs, the queue of record. Every change of an attempt is one UPDATE guarded by state and fence.

Who may ask and what follows from a state belongs to the services. Times are the database's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import InstrumentedAttribute, Session

from reportgen_dagster.catalog import leases, run_events
from reportgen_dagster.catalog.tables import Artifact, Lease, Rejects, Ruleset, RulesetVersion, Run, User
from reportgen_dagster.identity import new_id

# The wait before a run is launched again grows with each launch that led to nothing, up to this many times the first.
LONGEST_WAIT = 6
BATCH = 100
UNFINISHED = ("accepted", "running")


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs of an owner are looked for; None: all.

    Attributes:
        report_id: Of this report.
        report_name: Of the report that had this name when they were accepted.
        state: In this state.
        trigger: Accepted for this: `api`, `schedule`, `data` or `dagster`.
        accepted_after: Accepted at that time or later.
        accepted_before: Accepted earlier than that.
    """

    report_id: str | None = None
    report_name: str | None = None
    state: str | None = None
    trigger: str | None = None
    accepted_after: datetime | None = None
    accepted_before: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what a run has to fulfil."""
        equal = {
            Run.report_id: self.report_id,
            Run.report_name: self.report_name,
            Run.state: self.state,
            Run.trigger: self.trigger,
        }
        conditions = [column == value for column, value in equal.items() if value is not None]
        if self.accepted_after is not None:
            conditions.append(Run.accepted_at >= self.accepted_after)
        if self.accepted_before is not None:
            conditions.append(Run.accepted_at < self.accepted_before)
        return conditions


ANY_RUN = RunFilter()
RunRow = tuple[Run, bool]
LaunchRow = tuple[Run, int, str, int]  # with its owner's priority, name and version of its rules


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
    wanted: RunFilter = ANY_RUN,
) -> list[RunRow]:
    """Return an owner's runs, most recently accepted first.

    Args:
        session: The transaction.
        owner_id: Whose runs.
        limit: At most so many.
        before: Only runs that come after this (accepted_at, id) in the list.
        wanted: Which of them.
    """
    statement = _rows().where(Run.owner_id == owner_id, *wanted.conditions())
    if before is not None:
        statement = statement.where(tuple_(Run.accepted_at, Run.id) < before)
    statement = statement.order_by(Run.accepted_at.desc(), Run.id.desc()).limit(limit)
    return list(session.execute(statement))


def last_of_reports(session: Session, report_ids: Sequence[str]) -> dict[str, RunRow]:
    """Return the most recently accepted run of each report that has one."""
    rows = _last_of(session, Run.report_id, report_ids)
    return {run.report_id: (run, rejects) for run, rejects in rows if run.report_id}


def last_of_schedules(session: Session, schedule_ids: Sequence[str]) -> dict[str, RunRow]:
    """Return the most recently accepted run of each schedule that has one."""
    rows = _last_of(session, Run.schedule_id, schedule_ids)
    return {run.schedule_id: (run, rejects) for run, rejects in rows if run.schedule_id}


def of_schedule(session: Session, schedule_id: str, *, limit: int) -> list[RunRow]:
    """Return the runs of a schedule, most recently accepted first, at most so many."""
    statement = _rows().where(Run.schedule_id == schedule_id)
    ordered = statement.order_by(Run.accepted_at.desc(), Run.id.desc()).limit(limit)
    return list(session.execute(ordered))


def _last_of(session: Session, column: InstrumentedAttribute[str | None], ids: Sequence[str]) -> list[RunRow]:
    """Look for the last run of each id by itself, however many runs it has."""
    if not ids:
        return []
    wanted = func.unnest(bindparam("ids", list(ids), ARRAY(Text))).table_valued("id").render_derived()
    last = (
        select(Run.id)
        .where(column == wanted.c.id)
        .order_by(Run.accepted_at.desc(), Run.id.desc())
        .limit(1)
        .lateral()
    )
    return list(
        session.execute(_rows().where(Run.id.in_(select(last.c.id).select_from(wanted.join(last, true())))))
    )


def accept(session: Session, **values: Any) -> str:
    """Insert an accepted run, with the turn that its owner has next, and return its id.

    A run that is there already by its schedule and due time, or by its origin in Dagster, is not inserted again:
    its id is returned.

    Args:
        session: The transaction.
        values: Columns of the run.
    """
    columns = {"id": new_id(), "turn": _next_turn(values["owner_id"]), **values}
    statement = insert(Run).values(columns).on_conflict_do_nothing().returning(Run.id)
    inserted = session.scalar(statement)
    if inserted is not None:
        run_events.note(session, inserted)
        return inserted
    if values.get("origin_dagster_run_id") is not None:
        same = Run.origin_dagster_run_id == values["origin_dagster_run_id"]
    else:
        same = and_(Run.schedule_id == values["schedule_id"], Run.due_at == values["due_at"])
    return session.scalars(select(Run.id).where(same)).one()


def _next_turn(owner_id: str) -> ColumnElement[int]:
    """Return the turn after an owner's last, but none that has been: who comes late or seldom owns no past turns."""
    own = select(func.max(Run.turn) + 1).where(Run.owner_id == owner_id, Run.state != "cancelled")
    begun = select(func.max(Run.turn)).where(Run.started_at.is_not(None))
    return func.greatest(own.scalar_subquery(), begun.scalar_subquery(), 0)  # nulls do not count


def claim(session: Session, run_id: str, dagster_run_id: str) -> int | None:
    """Take an accepted run for one attempt and return the new fence.

    Returns:
        None if it is not accepted (any more), or if this attempt was given up already.
    """
    given_up = exists().where(Lease.dagster_run_id == dagster_run_id, Lease.ended_at.is_not(None))
    fence = session.scalar(
        update(Run)
        .where(Run.id == run_id, Run.state == "accepted", ~given_up)
        .values(
            state="running",
            stage="ingest",
            progress=0,
            fence=Run.fence + 1,
            launches=0,
            started_at=func.clock_timestamp(),
            dagster_run_id=dagster_run_id,
        )
        .returning(Run.fence)
    )
    if fence is not None:
        run_events.note(session, run_id)
    return fence


def change_claimed(
    session: Session, run_id: str, fence: int, *, rows: int | None = None, **values: Any
) -> bool:
    """Change a running run on behalf of the attempt that claimed it; False if it is no longer that attempt's.

    Args:
        session: The transaction.
        run_id: Which run.
        fence: Of the attempt's claim.
        rows: Rows read so far, to be told to who watches the run.
        values: Columns of the run.
    """
    changed = session.scalar(
        update(Run)
        .where(Run.id == run_id, Run.fence == fence, Run.state == "running")
        .values(**values)
        .returning(Run.id)
    )
    return _noted(session, changed, rows)


def _noted(session: Session, changed: str | None, rows: int | None = None) -> bool:
    """Write what happened to the run that was changed, and tell whether one was."""
    if changed is not None:
        run_events.note(session, changed, rows)
    return changed is not None


def cancel(session: Session, dagster_run_id: str, run_id: str | None, error: dict[str, Any]) -> bool:
    """Cancel the unfinished run that a Dagster run carries out or was to carry out.

    Args:
        session: The transaction.
        dagster_run_id: The cancelled Dagster run.
        run_id: The run that it was launched for, if known; counts while no other Dagster run is known for it.
        error: What the user is told.
    """
    launched_for = and_(Run.id == run_id, Run.state == "accepted", Run.dagster_run_id.is_(None))
    cancelled = session.scalar(
        update(Run)
        .where(Run.state.in_(UNFINISHED), or_(Run.dagster_run_id == dagster_run_id, launched_for))
        .values(state="cancelled", finished_at=func.clock_timestamp(), error=error)
        .returning(Run.id)
    )
    return _noted(session, cancelled)


def cancel_own(session: Session, owner_id: str, run_id: str, error: dict[str, Any]) -> bool:
    """Cancel an owner's unfinished run; False if there is none.

    Args:
        session: The transaction.
        owner_id: Whose it has to be.
        run_id: Which run.
        error: What the owner is told.
    """
    cancelled = session.scalar(
        update(Run)
        .where(Run.id == run_id, Run.owner_id == owner_id, Run.state.in_(UNFINISHED))
        .values(state="cancelled", finished_at=func.clock_timestamp(), error=error)
        .returning(Run.id)
    )
    return _noted(session, cancelled)


def is_cancelled(
    session: Session, dagster_run_id: str, run_id: str | None, error: dict[str, Any] | None = None
) -> bool:
    """Tell whether a run that a Dagster run carries out, or was launched for, was cancelled; with that error, if one is given."""
    carried_out = or_(Run.dagster_run_id == dagster_run_id, Run.id == run_id)
    wanted = [Run.error == error] if error is not None else []
    return bool(session.scalar(select(exists().where(carried_out, Run.state == "cancelled", *wanted))))


def fail_attempt(session: Session, dagster_run_id: str, error: dict[str, Any]) -> str | None:
    """Fail the running run that a Dagster run carries out and return its id; None if there is none."""
    failed = session.scalar(
        update(Run)
        .where(Run.state == "running", Run.dagster_run_id == dagster_run_id)
        .values(state="failed", finished_at=func.clock_timestamp(), error=error)
        .returning(Run.id)
    )
    _noted(session, failed)
    return failed


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
        .join(Artifact, and_(Artifact.run_id == Run.id, Artifact.format == main_format()))
        .where(Run.state == "succeeded")
    )


def main_format() -> ColumnElement[str]:
    """Return the expression of the format that a run's report is in where nobody names one."""
    return func.coalesce(Run.formats[0].astext, "csv")


def artifacts(session: Session, run: Run) -> list[Artifact]:
    """Return the files of a run's report, the main one first."""
    found = session.scalars(select(Artifact).where(Artifact.run_id == run.id)).all()
    order = run.formats or [artifact.format for artifact in found]
    return sorted(found, key=lambda artifact: order.index(artifact.format))


def same_recipe(session: Session, owner_id: str, recipe: str) -> Run | None:
    """Return the last run of an owner that made its files from the same, if they are still there."""
    return session.scalars(
        select(Run)
        .where(
            Run.owner_id == owner_id,
            Run.recipe == recipe,
            Run.state == "succeeded",
            Run.expired_at.is_(None),
        )
        .order_by(Run.finished_at.desc())
        .limit(1)
    ).first()


def keeps_files(session: Session, run_id: str) -> bool:
    """Tell whether a run's files were not removed as old; until the transaction ends nobody marks them so."""
    kept = select(Run.id).where(Run.id == run_id, Run.expired_at.is_(None)).with_for_update(read=True)
    return session.scalar(kept) is not None


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


def to_launch(session: Session, run_ids: Collection[str]) -> list[LaunchRow]:
    """Return those of the runs that are accepted, each with its owner's priority and its rules, in the order of their turns."""
    return list(session.execute(_launches().where(Run.id.in_(run_ids)).order_by(Run.turn)))


def launchable(session: Session, older_than: timedelta) -> list[LaunchRow]:
    """Return accepted runs that wait for a launch, those first whose turn it is.

    Args:
        session: The transaction.
        older_than: How long after its acceptance or first launch a run is launched again.
    """
    waits = func.least(func.greatest(Run.launches, 1), LONGEST_WAIT) * older_than
    asked_at = func.coalesce(Run.launched_at, Run.accepted_at)
    given_back = and_(Run.fence > 0, Run.launched_at.is_(None))
    waited = or_(
        asked_at <= func.clock_timestamp() - waits, asked_at > func.clock_timestamp()
    )  # it went back
    statement = (
        _launches()
        .where(or_(given_back, waited), ~has_live_lease())
        .order_by(User.priority.desc(), Run.turn, asked_at)
        .limit(BATCH)
    )
    return list(session.execute(statement))


def _launches() -> Select[Run, int, str, int]:
    return (
        select(Run, User.priority, Ruleset.name, RulesetVersion.number)
        .join(Run.owner)
        .join(Run.ruleset_version)
        .join(RulesetVersion.ruleset)
        .where(Run.state == "accepted")
    )


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


def mark_waiting(session: Session, run_ids: Sequence[str]) -> None:
    """Write that Dagster still has these accepted runs, so that they are not looked at again at once."""
    session.execute(
        update(Run)
        .where(Run.id.in_(run_ids), Run.state == "accepted")
        .values(launched_at=func.clock_timestamp())
    )


def is_due(session: Session, run_id: str, *, workers: int, default: int) -> bool:
    """Tell whether a run may begin now: its owner has room, and a worker is left after those that work or go before it.

    What waits counts only as far as its owner may have it working: the rest does not stand before anybody.

    Args:
        session: The transaction.
        run_id: The run.
        workers: How many runs may work at the same time.
        default: How many of one owner, for owners without a number of their own.
    """
    limit = func.coalesce(User.max_runs, default)
    this = (
        select(Run.owner_id, Run.turn, Run.accepted_at, Run.id, User.priority, limit.label("limit"))
        .join(Run.owner)
        .where(Run.id == run_id)
        .cte("this")
    )
    order, this_order = (
        tuple_(-columns.priority, run.turn, run.accepted_at, run.id)
        for columns, run in ((User, Run), (this.c, this.c))
    )
    working = func.count().filter(Run.state == "running")
    before = func.count().filter(Run.state == "accepted", order < this_order)
    taken = (
        select(
            (Run.owner_id == this.c.owner_id).label("is_own"),
            (working + func.least(before, func.greatest(limit - working, 0))).label("count"),
        )
        .join(Run.owner)
        .join(this, true())
        .where(Run.state.in_(UNFINISHED))
        .group_by(Run.owner_id, this.c.owner_id, User.max_runs)
        .cte("taken")
    )
    of_all = func.coalesce(func.sum(taken.c.count), 0)
    own = func.coalesce(func.sum(taken.c.count).filter(taken.c.is_own), 0)
    limit_of_owner = select(this.c.limit).scalar_subquery()
    return bool(session.scalar(select(and_(of_all < workers, own < limit_of_owner)).select_from(taken)))


def is_any_waiting(session: Session) -> bool:
    """Tell whether a run is accepted that does not work yet."""
    return bool(session.scalar(select(exists().where(Run.state == "accepted"))))


def limits(session: Session, default: int) -> dict[str, int]:
    """Return, for each owner of unfinished runs, how many may run at the same time.

    Args:
        session: The transaction.
        default: For owners without a number of their own.
    """
    owners = exists().where(Run.owner_id == User.id, Run.state.in_(UNFINISHED))
    rows = session.execute(select(User.id, func.coalesce(User.max_runs, default)).where(owners))
    return {owner_id: limit for owner_id, limit in rows}  # noqa: C416 - rows are no tuples to the type checker
