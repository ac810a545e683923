"""Use case: reports that run by a cron expression. Whether an expression is valid is `cron.py`'s.

A schedule pins files and rules; each tick accepts a run with what is pinned then. Pausing acts on the next tick.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import datasets
from reportgen_dagster.catalog import runs as queue
from reportgen_dagster.catalog import schedules as calendar
from reportgen_dagster.catalog.tables import RulesetVersion, Run, Schedule
from reportgen_dagster.errors import BadRequestError, NotFoundError
from reportgen_dagster.identity import slug, utc_now
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.cron import check_cron, next_time
from reportgen_dagster.services.fitting import Check, files_to_take, upload_at_hand
from reportgen_dagster.services.runs import (
    ID_PATTERN,
    RunView,
    accepted_view,
    pin_files,
    pin_rules,
    run_view,
)
from reportgen_dagster.services.uploads import DEFAULT, RulesText, Upload, as_rules_text

__all__ = [
    "ReportDefinition",
    "ScheduleView",
    "accept_again",
    "accept_from_dagster",
    "accept_tick",
    "check_cron",
    "definitions",
    "definitions_fingerprint",
    "delete_schedule",
    "list_schedules",
    "loaded_fingerprint",
    "note_loaded",
    "pause",
    "paused",
    "put_schedule",
    "resume",
]

MAX_NAME = 100
# Datasets and rulesets with these names are those of last uploads and of single runs.
_RESERVED = re.compile(rf"{DEFAULT}|run-[0-9a-f]{{32}}")


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule as its owner sees it. A paused one has no next run."""

    id: str
    report_name: str
    cron: str
    timezone: str
    parameters: dict[str, Any]
    paused: bool
    next_run: datetime | None
    last_run: RunView | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ReportDefinition:
    """What Dagster's definitions of a scheduled report are built from.

    Attributes:
        slug: The report's name in letters, digits and `_`; unique among its owner's.
        ruleset_digest: SHA-256 of the rules; changes when they do.
        datasets: For each file that the rules name, the dataset behind it.
        parameters: What its runs are given.
    """

    schedule_id: str
    owner_id: str
    owner_email: str
    report_name: str
    slug: str
    cron: str
    timezone: str
    paused: bool
    ruleset_name: str
    ruleset_digest: str
    rules_text: str
    syntax: Literal["yaml", "json"]
    datasets: dict[str, str]
    parameters: dict[str, Any]


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
    check: Check | None = None,
) -> tuple[ScheduleView, RunView]:
    """Make a schedule, or replace files, rules and times of the caller's schedule of that name; run it once now.

    Args:
        context: The installation.
        owner_id: Who asks.
        report_name: The report's name; None: `report_` and 6 hex digits.
        cron: Five fields.
        timezone: An IANA name.
        files: All files, by what they are to the rules.
        rules: The rules.
        parameters: Values of the rules' parameters, the same for each run.
        check: Judges rules, columns and parameters; default: `services.check.check_report`.

    Returns:
        The schedule, and the run that was accepted in the same transaction.

    Raises:
        CronError: If cron or time zone are not valid.
        MissingInputError: If a file is missing.
        RulesError: With everything that is wrong with the rules, also in view of the files' columns.
        BadRequestError: If the name or a parameter cannot be used.
        UnavailableError: If the database is away; nothing is accepted then.
    """
    check_cron(cron, timezone)
    name = _checked_name(report_name) if report_name else f"report_{secrets.token_hex(3)}"
    at_hand = {file: upload_at_hand(context, upload) for file, upload in files.items()}
    files_to_take(rules, at_hand, sent=files, parameters=parameters, check=check)
    with context.catalog.transaction() as session:
        schedule = calendar.put(
            session,
            owner_id=owner_id,
            report_name=name,
            cron=" ".join(cron.split()),
            timezone=timezone,
            ruleset_version_id=pin_rules(session, owner_id, name, rules).id,
            inputs=pin_files(session, owner_id, name, files),
            parameters=dict(parameters or {}),
        )
        run_id = _accept(session, schedule, trigger="schedule")
        run = accepted_view(session, run_id)
        return _view(schedule, run), run


def _checked_name(report_name: str) -> str:
    """Return a report's name without blanks around it.

    Raises:
        BadRequestError: If it cannot be used.
    """
    name = report_name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise BadRequestError(f"report_name: 1 to {MAX_NAME} printable characters are needed.")
    if _RESERVED.fullmatch(name):
        raise BadRequestError(
            f"report_name: {name} is what files of another kind are called; choose another."
        )
    return name


def _view(schedule: Schedule, last_run: RunView | None) -> ScheduleView:
    paused = schedule.paused_at is not None
    return ScheduleView(
        id=schedule.id,
        report_name=schedule.report_name,
        cron=schedule.cron,
        timezone=schedule.timezone,
        parameters=schedule.parameters,
        paused=paused,
        next_run=None if paused else next_time(schedule.cron, schedule.timezone, utc_now()),
        last_run=last_run,
        created_at=schedule.created_at,
    )


def list_schedules(context: Context, owner_id: str) -> list[ScheduleView]:
    """Return the caller's schedules, oldest first, each with its next and its last run."""
    with context.catalog.transaction() as session:
        schedules = calendar.of_owner(session, owner_id)
        last_runs = queue.last_of_schedules(session, [schedule.id for schedule in schedules])
        views = {key: run_view(run, has_rejects=rejects) for key, (run, rejects) in last_runs.items()}
    return [_view(schedule, views.get(schedule.id)) for schedule in schedules]


def pause(context: Context, owner_id: str, schedule_id: str) -> ScheduleView:
    """Make a schedule of the caller's skip its ticks until it is resumed.

    Raises:
        NotFoundError: If the caller has no such schedule.
    """
    return _set_paused(context, owner_id, schedule_id, paused=True)


def resume(context: Context, owner_id: str, schedule_id: str) -> ScheduleView:
    """Make a paused schedule of the caller's tick again.

    Raises:
        NotFoundError: If the caller has no such schedule.
    """
    return _set_paused(context, owner_id, schedule_id, paused=False)


def _set_paused(context: Context, owner_id: str, schedule_id: str, *, paused: bool) -> ScheduleView:
    with context.catalog.transaction() as session:
        known = ID_PATTERN.fullmatch(schedule_id) and calendar.set_paused(
            session, schedule_id, owner_id, paused=paused
        )
        schedule = calendar.find(session, schedule_id, owner_id) if known else None
        if schedule is None:
            raise NotFoundError("There is no such schedule.")
        last = queue.last_of_schedules(session, [schedule_id]).get(schedule_id)
        return _view(schedule, run_view(last[0], has_rejects=last[1]) if last else None)


def delete_schedule(context: Context, owner_id: str, schedule_id: str) -> None:
    """Delete a schedule of the caller's. Its runs and their reports stay.

    Raises:
        NotFoundError: If the caller has no such schedule.
    """
    with context.catalog.transaction() as session:
        if not ID_PATTERN.fullmatch(schedule_id) or not calendar.remove(session, schedule_id, owner_id):
            raise NotFoundError("There is no such schedule.")


def accept_tick(context: Context, schedule_id: str, due_at: datetime) -> str | None:
    """Accept the run of a tick and return its id; the same tick told again gives the same run.

    Args:
        context: The installation.
        schedule_id: Which schedule ticked.
        due_at: When it was due, aware.

    Returns:
        None if the schedule is paused or gone.
    """
    with context.catalog.transaction() as session:
        schedule = calendar.lock(session, schedule_id)
        if schedule is None or schedule.paused_at is not None:
            return None
        return _accept(session, schedule, trigger="schedule", due_at=due_at.astimezone(UTC))


def accept_from_dagster(context: Context, schedule_id: str, dagster_run_id: str) -> str:
    """Accept the run of a report that somebody started in Dagster, and return its id; once for each origin.

    Args:
        context: The installation.
        schedule_id: Which schedule's report.
        dagster_run_id: What in Dagster it comes from.

    Raises:
        NotFoundError: If the schedule is gone.
    """
    with context.catalog.transaction() as session:
        schedule = calendar.lock(session, schedule_id)
        if schedule is None:
            raise NotFoundError("This report's schedule was deleted.")
        return _accept(session, schedule, trigger="dagster", origin_dagster_run_id=dagster_run_id)


def _accept(
    session: Session, schedule: Schedule, *, due_at: datetime | None = None, **values: str | None
) -> str:
    """Accept a run with what is pinned; its date is that of the tick, else today's, in the schedule's time zone."""
    run_date = (due_at or utc_now()).astimezone(ZoneInfo(schedule.timezone)).date()
    return queue.accept(
        session,
        due_at=due_at,
        run_date=run_date,
        parameters=schedule.parameters,
        owner_id=schedule.owner_id,
        report_name=schedule.report_name,
        schedule_id=schedule.id,
        ruleset_version_id=schedule.ruleset_version_id,
        inputs=schedule.inputs,
        **values,
    )


def accept_again(context: Context, run_id: str, dagster_run_id: str) -> str:
    """Accept a new run with the inputs, parameters and date of another one; return its id. Once for each Dagster run.

    Raises:
        NotFoundError: If there is no such run.
    """
    with context.catalog.transaction() as session:
        run = session.get(Run, run_id)
        if run is None:
            raise NotFoundError("There is no such run.")
        return queue.accept(
            session,
            owner_id=run.owner_id,
            report_name=run.report_name,
            schedule_id=run.schedule_id,
            ruleset_version_id=run.ruleset_version_id,
            inputs=run.inputs,
            parameters=run.parameters,
            run_date=run.run_date,
            trigger="dagster",
            origin_dagster_run_id=dagster_run_id,
        )


def definitions(context: Context, schedule_ids: Collection[str] | None = None) -> list[ReportDefinition]:
    """Return what Dagster's definitions are built from, in a fixed order.

    Args:
        context: The installation.
        schedule_ids: Only these schedules; None: all.
    """
    with context.catalog.transaction() as session:
        rows = calendar.with_rules(session, schedule_ids)
        version_ids = [version_id for schedule, *_ in rows for version_id in schedule.inputs.values()]
        names = {key: name for key, (name, _) in datasets.named_versions(session, version_ids).items()}
    return [_definition(schedule, email, name, rules, names) for schedule, email, name, rules in rows]


def _definition(
    schedule: Schedule,
    email: str,
    ruleset_name: str,
    version: RulesetVersion,
    dataset_names: Mapping[str, str],
) -> ReportDefinition:
    rules = as_rules_text(version)
    return ReportDefinition(
        schedule_id=schedule.id,
        owner_id=schedule.owner_id,
        owner_email=email,
        report_name=schedule.report_name,
        slug=slug(schedule.report_name),
        cron=schedule.cron,
        timezone=schedule.timezone,
        paused=schedule.paused_at is not None,
        ruleset_name=ruleset_name,
        ruleset_digest=version.digest,
        rules_text=rules.text,
        syntax=rules.syntax,
        datasets={name: dataset_names[version_id] for name, version_id in sorted(schedule.inputs.items())},
        parameters=schedule.parameters,
    )


def paused(context: Context) -> list[str]:
    """Return the ids of all paused schedules, whoever owns them."""
    with context.catalog.transaction() as session:
        return calendar.paused(session)


def definitions_fingerprint(context: Context) -> str:
    """Return a digest over everything that definitions are built from; it changes when they would."""
    with context.catalog.transaction() as session:
        return calendar.fingerprint(session)


def note_loaded(context: Context, location: str, fingerprint: str) -> None:
    """Write which fingerprint a Dagster code location built its definitions from."""
    with context.catalog.transaction() as session:
        calendar.note_loaded(session, location, fingerprint)


def loaded_fingerprint(context: Context, location: str) -> str | None:
    """Return which fingerprint a Dagster code location last built its definitions from; None: never."""
    with context.catalog.transaction() as session:
        return calendar.loaded_fingerprint(session, location)
