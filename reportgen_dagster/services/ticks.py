"""Use case: what a schedule makes of a time at which it is due: runs with the versions of that moment, or a reason why none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, islice, takewhile
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import reports as report_catalog
from reportgen_dagster.catalog import schedules as calendar
from reportgen_dagster.catalog.reports import Pinned
from reportgen_dagster.catalog.tables import Report, Schedule
from reportgen_dagster.identity import utc_now
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.cron import meant, next_time, times
from reportgen_dagster.services.freshness import duration
from reportgen_dagster.services.report_runs import accept

MOST_AT_ONCE = 100  # times that one tick makes up for; the next tick goes on
LATE = timedelta(minutes=5)  # a tick that comes later than that was missed


@dataclass(frozen=True, slots=True)
class Tick:
    """What a tick led to.

    Attributes:
        run_ids: The runs that it accepted, or had accepted when it was told before.
        reason: Why there is none, in words; empty if there is one.
    """

    run_ids: tuple[str, ...] = ()
    reason: str = ""


def accept_tick(context: Context, schedule_id: str, due_at: datetime, *, now: datetime | None = None) -> Tick:
    """Accept the runs of a tick: of its own time, and of times before it that were missed, as the schedule wants it.

    The same tick told again gives the same run.

    Args:
        context: The installation.
        schedule_id: Which schedule ticked.
        due_at: When it was due, aware.
        now: The present time, if not that of this machine.
    """
    due, present = due_at.astimezone(UTC), now or utc_now()
    with context.catalog.transaction() as session:
        schedule = calendar.lock(session, schedule_id)
        if schedule is None:
            return Tick(reason="The schedule was deleted.")
        report = schedule.report
        if schedule.paused_at is not None or report.paused_at is not None:
            return Tick(reason=f"The {'schedule' if schedule.paused_at else 'report'} is paused.")
        reason = _not_now(schedule, due, present)
        pinned = report_catalog.pinned(session, report)
        if not reason and schedule.unchanged == "skip":
            reason = _nothing_new(session, report, pinned)
        moments = [] if reason else list(islice(chain(_missed(schedule, due), [due]), MOST_AT_ONCE))
        run_ids = [_accept_due(session, schedule, report, pinned, moment) for moment in moments]
        calendar.note_handled(session, schedule_id, moments[-1] if moments else due)
        return Tick(tuple(run_ids), reason)


def _accept_due(session: Session, schedule: Schedule, report: Report, pinned: Pinned, due: datetime) -> str:
    """Accept the run of one time; its date is that of the time in the schedule's time zone."""
    run_date = due.astimezone(ZoneInfo(schedule.timezone)).date()
    return accept(
        session,
        report,
        pinned=pinned,
        trigger="schedule",
        schedule_id=schedule.id,
        due_at=due,
        run_date=run_date,
    )


def _not_now(schedule: Schedule, due: datetime, now: datetime) -> str:
    """Return why a time that comes late does not lead to a run; empty if it does."""
    if schedule.missed == "skip" and now - due > LATE:
        return f"This time passed {duration(now - due)} ago, and this schedule skips times that were missed."
    later = next_time(
        schedule.cron, schedule.timezone, max(due, meant(schedule.cron, schedule.timezone, due))
    )
    if schedule.missed == "last" and later is not None and later <= now - LATE:
        return "This time was missed, and of missed times this schedule runs the last one only."
    return ""


def _missed(schedule: Schedule, due: datetime) -> Iterator[datetime]:
    """Return the times before one that nobody dealt with, if the schedule wants all of them.

    What Dagster dealt with is not among them, even if it reads the clocks in another way than we do where they change.
    """
    if schedule.missed != "all":
        return iter(())
    cron, timezone, handled = schedule.cron, schedule.timezone, schedule.handled_until
    passed = times(cron, timezone, max(handled, meant(cron, timezone, handled)))
    end = min(due, meant(cron, timezone, due))
    return takewhile(lambda moment: moment < end, passed)


def _nothing_new(session: Session, report: Report, pinned: Pinned) -> str:
    """Return why a run would make the last report again; empty if it would not, or if there is none."""
    last = report_catalog.last_run(session, report.id, states=("accepted", "running", "succeeded"))
    if last is None or (last.ruleset_version_id, last.inputs, last.parameters) != (
        pinned.ruleset_version_id,
        pinned.inputs,
        report.parameters,
    ):
        return ""
    at = last.accepted_at.astimezone(UTC)
    return f"Rules and data are those of the run {last.id} of {at:%Y-%m-%d %H:%M} UTC; this schedule skips unchanged data."
