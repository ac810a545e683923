"""Use case: when reports run by a cron expression. Pausing acts on the next tick, whatever Dagster shows.

What a tick makes of it is `ticks.py`'s, whether an expression is valid `cron.py`'s.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import accounts
from reportgen_dagster.catalog import reports as report_catalog
from reportgen_dagster.catalog import runs as queue
from reportgen_dagster.catalog import schedules as calendar
from reportgen_dagster.catalog.reports import Source
from reportgen_dagster.catalog.tables import DatasetVersion, Report, Schedule
from reportgen_dagster.errors import NotFoundError
from reportgen_dagster.identity import ID_PATTERN, utc_now
from reportgen_dagster.services import audit, cursors, idempotency, quotas
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.cron import check_cron, in_words, next_time, times
from reportgen_dagster.services.fitting import Check, files_to_take
from reportgen_dagster.services.idempotency import Once
from reportgen_dagster.services.names import checked_name, nearest_name
from reportgen_dagster.services.report_runs import accept
from reportgen_dagster.services.reports import find_own
from reportgen_dagster.services.runs import (
    RunView,
    accepted_view,
    checked_formats,
    pin_files,
    pin_rules,
    run_view,
)
from reportgen_dagster.services.schedule_wishes import MAIN, Missed, ScheduleWish, Unchanged
from reportgen_dagster.services.uploads import RulesText, Upload

NEXT_RUNS = 10


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule as its owner sees it.

    Attributes:
        id: Its id.
        report_name: Which report it runs.
        name: What it is called among the report's schedules.
        cron: Five fields.
        timezone: An IANA name.
        missed: What becomes of times while Dagster was away: `skip`, the `last` of them, or `all`.
        unchanged: Whether it runs where rules and data are those of the last report: `run` or `skip`.
        parameters: What its runs are given.
        paused: It does not run; perhaps because its report does not.
        last_run: Its last run.
        created_at: When it was made.
    """

    id: str
    report_name: str
    name: str
    cron: str
    timezone: str
    missed: Missed
    unchanged: Unchanged
    parameters: dict[str, Any]
    paused: bool
    last_run: RunView | None
    created_at: datetime

    @property
    def words(self) -> str:
        """Its times in plain English."""
        return in_words(self.cron)

    @property
    def next_run(self) -> datetime | None:
        """When it runs next, in UTC; None while it is paused."""
        return None if self.paused else next_time(self.cron, self.timezone, utc_now())

    def next_runs(self, count: int = NEXT_RUNS, *, after: datetime | None = None) -> list[datetime]:
        """Return its next times in its time zone; of a paused one those that it would run at.

        Args:
            count: How many.
            after: Times after that; default: the present time.
        """
        zone = ZoneInfo(self.timezone)
        following = islice(times(self.cron, self.timezone, after or utc_now()), count)
        return [moment.astimezone(zone) for moment in following]


def put_schedule(
    context: Context,
    owner_id: str,
    *,
    report_name: str | None,
    cron: str,
    timezone: str = "UTC",
    files: Mapping[str, Upload],
    rules: RulesText,
    parameters: Mapping[str, Any] | None = None,
    formats: Sequence[str] | None = None,
    once: Once | None = None,
    check: Check | None = None,
) -> tuple[ScheduleView, RunView]:
    """Make a report of files and rules that come along, with a schedule, or replace the caller's of that name; run it now.

    Args:
        context: The installation.
        owner_id: Who asks.
        report_name: The report's name; None: `report_` and 6 hex digits.
        cron: Five fields.
        timezone: An IANA name.
        files: All files, by what they are to the rules.
        rules: The rules.
        parameters: Values of the rules' parameters, the same for each run.
        formats: What each run makes; None: what the rules say.
        once: The request that it is made for, if that may come again.
        check: Judges rules, columns and parameters; default: `services.check.check_report`.

    Returns:
        The schedule, and the run that was accepted in the same transaction.

    Raises:
        RepeatedRequest: If the request was carried out before.
        CronError: If cron or time zone are not valid.
        MissingInputError: If a file is missing.
        RulesError: With everything that is wrong with the rules, also in view of the files' columns.
        BadRequestError: If the name, a parameter or a format cannot be used.
        TooLargeError: If files and rules are more bytes than the caller may store.
        TooManyError: If the files are too many, or too many runs of the caller's wait already.
        UnavailableError: If the database is away; nothing is accepted then.
    """
    check_cron(cron, timezone)
    wanted = checked_formats(formats)
    name = checked_name(report_name, "report_name") if report_name else f"report_{secrets.token_hex(3)}"
    at_hand = {file: upload.stored.digest for file, upload in files.items()}
    facts = files_to_take(context, rules, at_hand, sent=files, parameters=parameters, check=check)
    with context.catalog.transaction() as session:
        accounts.lock_definitions(session, owner_id)
        version = pin_rules(session, owner_id, name, rules, facts)
        audit.note(session, "rules-changed", owner_id, f"ruleset/{name}@{version.number}")
        report = report_catalog.put(
            session,
            owner_id=owner_id,
            name=name,
            ruleset_id=version.ruleset_id,
            ruleset_version_id=version.id,
            parameters=dict(parameters or {}),
            on_new_data=False,
            formats=wanted,
            sources=_pinned_sources(session, pin_files(session, owner_id, name, files)),
        )
        values = {"cron": " ".join(cron.split()), "timezone": timezone}
        schedule = calendar.put(session, report_id=report.id, name=MAIN, **values)
        quotas.check_added(context, session, owner_id)
        quotas.check_queue(context, session, owner_id)
        run_date = utc_now().astimezone(ZoneInfo(timezone)).date()
        run_id = accept(session, report, trigger="schedule", schedule_id=schedule.id, run_date=run_date)
        run = accepted_view(session, run_id)
        made = _view(schedule, report, run), run
        idempotency.note(session, once, made)
        return made


def _pinned_sources(session: Session, version_ids: Mapping[str, str]) -> dict[str, Source]:
    versions = {file: session.get_one(DatasetVersion, id_) for file, id_ in version_ids.items()}
    return {file: Source(version.dataset_id, version.id) for file, version in versions.items()}


def add_schedule(
    context: Context,
    owner_id: str,
    report_name: str,
    *,
    name: str = MAIN,
    cron: str,
    timezone: str = "UTC",
    missed: str = "last",
    unchanged: str = "run",
) -> ScheduleView:
    """Let a report of the caller's run by a cron expression, or change its schedule of that name; a paused one goes on.

    Args:
        context: The installation.
        owner_id: Who asks.
        report_name: Which report.
        name: What the schedule is called among the report's.
        cron: Five fields.
        timezone: An IANA name.
        missed: `skip`, `last` or `all`.
        unchanged: `run` or `skip`.

    Raises:
        CronError: If cron or time zone are not valid.
        BadRequestError: If the name or a policy cannot be used.
        NotFoundError: If the caller has no such report.
    """
    wish = ScheduleWish(cron, name, timezone, missed, unchanged).checked()
    with context.catalog.transaction() as session:
        accounts.lock_definitions(session, owner_id)
        report = find_own(session, owner_id, report_name)
        schedule = calendar.put(session, report_id=report.id, name=wish.name, **wish.columns())
        return _view(schedule, report, _last_run(session, schedule.id))


def list_schedules(context: Context, owner_id: str, report_name: str | None = None) -> list[ScheduleView]:
    """Return the caller's schedules, oldest first, each with its next and its last run.

    Args:
        context: The installation.
        owner_id: Who asks.
        report_name: Only those of this report.

    Raises:
        NotFoundError: If the caller has no such report.
    """
    with context.catalog.reading() as session:
        report = find_own(session, owner_id, report_name) if report_name is not None else None
        return _views(session, calendar.of_owner(session, owner_id, report_id=report.id if report else None))


def page_of_schedules(
    context: Context, owner_id: str, *, limit: int = 50, cursor: str | None = None
) -> tuple[list[ScheduleView], str | None]:
    """Return a page of the caller's schedules, oldest first, and the cursor of the next page.

    Args:
        context: The installation.
        owner_id: Who asks.
        limit: At most so many, from 1 to 500.
        cursor: Where the page begins, as the page before gave it.

    Raises:
        BadRequestError: If limit or cursor cannot be used.
    """
    cursors.check_limit(limit)
    after = cursors.decode(cursor) if cursor else None
    with context.catalog.reading() as session:
        found = calendar.of_owner(session, owner_id, after=after, limit=limit + 1)
        views = _views(session, found[:limit])
    last = views[-1] if len(found) > limit else None
    return views, cursors.encode(last.created_at, last.id) if last else None


def _views(session: Session, schedules: Sequence[Schedule]) -> list[ScheduleView]:
    last_runs = queue.last_of_schedules(session, [schedule.id for schedule in schedules])
    views = {key: run_view(run, has_rejects=rejects) for key, (run, rejects) in last_runs.items()}
    return [_view(schedule, schedule.report, views.get(schedule.id)) for schedule in schedules]


def get_schedule(context: Context, owner_id: str, schedule_id: str) -> ScheduleView:
    """Return a schedule of the caller's.

    Args:
        context: The installation.
        owner_id: Who asks.
        schedule_id: Its id, or REPORT/NAME; so in all functions of this file.

    Raises:
        NotFoundError: If the caller has no such schedule.
    """
    with context.catalog.reading() as session:
        schedule = _find_own(session, owner_id, schedule_id)
        return _view(schedule, schedule.report, _last_run(session, schedule.id))


def last_runs(context: Context, owner_id: str, schedule_id: str, *, limit: int = NEXT_RUNS) -> list[RunView]:
    """Return the runs of a schedule of the caller's, most recently accepted first, at most so many.

    Raises:
        NotFoundError: If the caller has no such schedule.
    """
    with context.catalog.reading() as session:
        schedule = _find_own(session, owner_id, schedule_id)
        rows = queue.of_schedule(session, schedule.id, limit=limit)
        return [run_view(run, has_rejects=has_rejects) for run, has_rejects in rows]


def pause(context: Context, owner_id: str, schedule_id: str) -> ScheduleView:
    """Make a schedule of the caller skip its times until it is resumed.

    Raises:
        NotFoundError: If the caller has no such schedule.
    """
    return _set_paused(context, owner_id, schedule_id, paused=True)


def resume(context: Context, owner_id: str, schedule_id: str) -> ScheduleView:
    """Make a paused schedule of the caller tick again; times of the pause are not made up for.

    Raises:
        NotFoundError: If the caller has no such schedule.
    """
    return _set_paused(context, owner_id, schedule_id, paused=False)


def _set_paused(context: Context, owner_id: str, schedule_id: str, *, paused: bool) -> ScheduleView:
    with context.catalog.transaction() as session:
        accounts.lock_definitions(session, owner_id)
        schedule = _find_own(session, owner_id, schedule_id)
        calendar.set_paused(session, schedule.id, paused=paused)
        session.refresh(schedule)
        return _view(schedule, schedule.report, _last_run(session, schedule.id))


def delete_schedule(context: Context, owner_id: str, schedule_id: str) -> None:
    """Delete a schedule of the caller's. Its report, its runs and their files stay.

    Raises:
        NotFoundError: If the caller has no such schedule.
    """
    with context.catalog.transaction() as session:
        accounts.lock_definitions(session, owner_id)
        calendar.remove(session, _find_own(session, owner_id, schedule_id).id)
        audit.note(session, "schedule-deleted", owner_id, f"schedule/{schedule_id}")


def _find_own(session: Session, owner_id: str, schedule_id: str) -> Schedule:
    report_name, slash, name = schedule_id.partition("/")
    if slash:
        report = find_own(session, owner_id, report_name)
        known = {schedule.name: schedule for schedule in calendar.of_report(session, report.id)}
        if name not in known:
            hint = nearest_name(name, known)
            raise NotFoundError(f"The report {report_name} has no schedule {name}.", hint=hint)
        return known[name]
    schedule = calendar.find(session, schedule_id, owner_id) if ID_PATTERN.fullmatch(schedule_id) else None
    if schedule is None:
        raise NotFoundError("There is no such schedule.")
    return schedule


def _last_run(session: Session, schedule_id: str) -> RunView | None:
    last = queue.last_of_schedules(session, [schedule_id]).get(schedule_id)
    return run_view(last[0], has_rejects=last[1]) if last else None


def _view(schedule: Schedule, report: Report, last_run: RunView | None) -> ScheduleView:
    paused = schedule.paused_at is not None or report.paused_at is not None
    return ScheduleView(
        id=schedule.id,
        report_name=report.name,
        name=schedule.name,
        cron=schedule.cron,
        timezone=schedule.timezone,
        missed=schedule.missed,
        unchanged=schedule.unchanged,
        parameters=report.parameters,
        paused=paused,
        last_run=last_run,
        created_at=schedule.created_at,
    )
