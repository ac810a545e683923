"""Use case: named reports: which rules over which datasets, when by themselves, and where they go.

What belongs here: putting, listing, pausing and deleting reports. What does not: their runs (report_runs.py), when they run by
cron (schedules.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import accounts, grants, schedules
from reportgen_dagster.catalog import datasets as dataset_catalog
from reportgen_dagster.catalog import reports as catalog
from reportgen_dagster.catalog import rulesets as ruleset_catalog
from reportgen_dagster.catalog import runs as queue
from reportgen_dagster.catalog.reports import Source
from reportgen_dagster.catalog.tables import DatasetVersion, Report, RulesetVersion, Schedule
from reportgen_dagster.errors import BadRequestError, ConflictError, NotFoundError, Problem
from reportgen_dagster.services import audit, cursors, datasets, destinations, rulesets
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.fitting import Check, files_to_take
from reportgen_dagster.services.names import RESERVED, checked_name, may_exist, nearest_name
from reportgen_dagster.services.preconditions import WHATEVER, Precondition, fingerprint
from reportgen_dagster.services.retention import checked_days, retention_bound
from reportgen_dagster.services.runs import (
    RunView,
    checked_formats,
    run_view,
)
from reportgen_dagster.services.schedule_wishes import ScheduleWish, checked_schedules
from reportgen_dagster.services.uploads import as_rules_text
from reportgen_dagster.settings import Settings

MAX_SECONDS = 366 * 24 * 3600
SETTLE_SECONDS = 10
MAX_KEPT_RUNS = 1_000


@dataclass(frozen=True, slots=True)
class Pick:
    """A dataset or ruleset by its name, at a version or at whatever is the latest when a run is accepted."""

    name: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class ReportWish:
    """What a report is to be.

    Attributes:
        ruleset: The rules.
        inputs: The dataset of each file that the rules name.
        parameters: Values of the rules' parameters.
        on_new_data: It runs when a dataset that it follows has a new version.
        settle_seconds: ... and none has come for so long after it.
        fresh_within_seconds: A report older than that is stale; None: nobody minds.
        formats: What its runs make; None: what the rules say.
        deliveries: Where its runs are told and its files go, as destinations.py describes it.
        schedules: When it runs by itself: these and no others; None: those that it has.
        paused: It runs neither by its schedules nor on new data until it is resumed.
        retention_days: For how long files of its runs are kept, no longer than its owner's; None: as long as those.
        keep_runs: Of its last so many successes they are kept as long as its owner's all the same.
    """

    ruleset: Pick
    inputs: Mapping[str, Pick]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    on_new_data: bool = False
    settle_seconds: int = SETTLE_SECONDS
    fresh_within_seconds: int | None = None
    formats: Sequence[str] | None = None
    deliveries: Sequence[Mapping[str, Any]] = ()
    schedules: Sequence[ScheduleWish] | None = None
    paused: bool = False
    retention_days: int | None = None
    keep_runs: int | None = None


@dataclass(frozen=True, slots=True)
class ReportView:
    """A report as its owner sees it."""

    id: str
    name: str
    ruleset: Pick
    inputs: dict[str, Pick]
    parameters: dict[str, Any]
    on_new_data: bool
    settle_seconds: int
    fresh_within_seconds: int | None
    formats: list[str] | None
    deliveries: list[dict[str, Any]]
    schedules: tuple[ScheduleWish, ...]
    retention_days: int | None
    keep_runs: int | None
    paused: bool
    last_run: RunView | None
    created_at: datetime
    updated_at: datetime

    @property
    def fingerprint(self) -> str:
        """What changes with its definition, and with nothing else."""
        return fingerprint(replace(self, last_run=None))


def put_report(
    context: Context,
    owner_id: str,
    name: str,
    wish: ReportWish,
    *,
    check: Check | None = None,
    expected: Precondition = WHATEVER,
    is_operator: bool = False,
) -> ReportView:
    """Make a report, or change the caller's report of that name; a paused one goes on unless the wish says so.

    Args:
        context: The installation.
        owner_id: Whose report.
        name: What it is called.
        wish: What it is to be.
        check: Judges rules, columns and parameters; default: `services.check.check_report`.
        expected: What the report must be before.
        is_operator: Whoever runs the service puts it: webhooks may be signed with all secrets, copies go to any bucket unless
            COPY_TARGETS says otherwise. Its owner signs with what is granted to him.

    Raises:
        BadRequestError: If the name, a number, a destination, a schedule or a parameter cannot be used.
        NotFoundError: If there is no such ruleset, dataset or version; with all of them.
        MissingInputError: If the rules name a file that no dataset is given for.
        RulesError: With everything that is wrong with the rules, also in view of the datasets' columns.
        ConflictError: If somebody deletes what the report is made of at the same moment.
        PreconditionError: If the report is not what was expected.
    """
    plain = checked_name(name, "report")
    formats = checked_formats(wish.formats)
    schedules_wished = None if wish.schedules is None else checked_schedules(wish.schedules)
    with context.catalog.reading() as session:
        granted = None if is_operator else grants.of_user(session, owner_id)
    deliveries = _checked(wish, context.settings, granted)
    with context.catalog.reading() as session:
        _refuse_longer(session, owner_id, wish, context.settings)
        rules, versions = _picked(session, owner_id, wish)
        ruleset_id, rules_text = rules.ruleset_id, as_rules_text(rules)
        at_hand = {file: version.digest for file, version in versions.items()}
    facts = files_to_take(
        context, rules_text, at_hand, sent=wish.inputs, parameters=wish.parameters, check=check
    )
    _refuse_unmade(deliveries, formats or facts.formats)
    with context.catalog.transaction() as session:
        accounts.lock_definitions(session, owner_id)
        _expect(session, catalog.find(session, owner_id, plain), expected)
        report = catalog.put(
            session,
            owner_id=owner_id,
            name=plain,
            ruleset_id=ruleset_id,
            ruleset_version_id=rules.id if wish.ruleset.version is not None else None,
            parameters=dict(wish.parameters),
            on_new_data=wish.on_new_data,
            settle_seconds=wish.settle_seconds,
            fresh_within_seconds=wish.fresh_within_seconds,
            formats=formats,
            deliveries=deliveries,
            retention_days=wish.retention_days,
            keep_runs=wish.keep_runs,
            sources={
                file: Source(
                    versions[file].dataset_id, versions[file].id if pick.version is not None else None
                )
                for file, pick in wish.inputs.items()
            },
        )
        # From here on nobody deletes what the report is made of: perhaps somebody just did.
        if any(RESERVED.fullmatch(one) for one in _made_of(report)):
            raise ConflictError("What the report is made of was deleted meanwhile.")
        if schedules_wished is not None:
            _put_schedules(session, report.id, schedules_wished)
        if wish.paused:
            catalog.set_paused(session, report.id, paused=True)
            session.refresh(report)
        return _views(session, [report])[0]


def _expect(session: Session, report: Report | None, expected: Precondition) -> None:
    """Refuse a change of a report that is not as it must be; its schedules stay what they are before the transaction ends.

    Raises:
        PreconditionError: If it is something else.
    """
    if report is None:
        expected.check(None)
        return
    schedules.lock_all(session, report.id)  # as a tick does it: schedule first, report second
    expected.check(_views(session, [report])[0].fingerprint)


def _put_schedules(session: Session, report_id: str, wishes: Sequence[ScheduleWish]) -> None:
    """Give a report these schedules and no others. One that is there as it is wished for is left alone, with its missed times."""
    present = {schedule.name: schedule for schedule in schedules.of_report(session, report_id)}
    for name in present.keys() - {wish.name for wish in wishes}:
        schedules.remove(session, present[name].id)
    for wish in wishes:
        if wish.name in present and ScheduleWish.of(present[wish.name]) == wish:
            continue
        schedule = schedules.put(session, report_id=report_id, name=wish.name, **wish.columns())
        if wish.paused:
            schedules.set_paused(session, schedule.id, paused=True)
            session.refresh(schedule)


def _made_of(report: Report) -> list[str]:
    return [report.ruleset.name, *(one.dataset.name for one in report.inputs)]


def _checked(wish: ReportWish, settings: Settings, granted: frozenset[str] | None) -> list[dict[str, Any]]:
    """Refuse times that cannot be meant and destinations that cannot be used; return the latter as they are kept.

    Raises:
        BadRequestError: Naming them all.
    """
    given = {"settle_seconds": wish.settle_seconds, "fresh_within_seconds": wish.fresh_within_seconds}
    problems = [
        Problem(f"1 to {MAX_SECONDS:,} are possible", path=name)
        for name, seconds in given.items()
        if seconds is not None and not 1 <= seconds <= MAX_SECONDS
    ]
    problems += checked_days(wish.retention_days, "retention_days")
    if wish.keep_runs is not None and not 1 <= wish.keep_runs <= MAX_KEPT_RUNS:
        problems.append(Problem(f"1 to {MAX_KEPT_RUNS:,} are possible", path="keep_runs"))
    if wish.keep_runs is not None and wish.retention_days is None:
        problems.append(Problem("needs retention_days; without it nothing goes sooner", path="keep_runs"))
    is_watched = wish.fresh_within_seconds is not None
    deliveries, wrong = destinations.read(
        list(wish.deliveries), settings, is_watched=is_watched, granted=granted
    )
    if problems or wrong:
        raise BadRequestError(problems=[*problems, *wrong])
    return deliveries


def _refuse_longer(session: Session, owner_id: str, wish: ReportWish, settings: Settings) -> None:
    """Refuse to keep a report's files for longer than all that is its owner's.

    Raises:
        BadRequestError: If that is asked for.
    """
    bound = retention_bound(session, owner_id, settings)
    if bound is not None and (wish.retention_days or 0) > bound:
        problem = Problem(f"your files are kept for {bound} days, no report's longer", path="retention_days")
        raise BadRequestError(problems=[problem])


def _refuse_unmade(deliveries: Sequence[Mapping[str, Any]], made: Sequence[str]) -> None:
    """Refuse to deliver files that no run makes.

    Raises:
        BadRequestError: Naming them all.
    """
    problems = [
        Problem(
            f"its runs make {', '.join(made)}, not {name}; name it among the report's formats",
            path=f"deliveries[{place}].{kind}.formats[{number}]",
        )
        for place, delivery in enumerate(deliveries)
        for kind, channel in delivery.items()
        if isinstance(channel, Mapping)
        for number, name in enumerate(channel.get("formats") or ())
        if name not in made
    ]
    if problems:
        raise BadRequestError(problems=problems)


def _picked(
    session: Session, owner_id: str, wish: ReportWish
) -> tuple[RulesetVersion, dict[str, DatasetVersion]]:
    """Return the versions that are there now.

    Raises:
        NotFoundError: With everything that is not there.
    """
    problems = []
    rules: RulesetVersion | None = None
    found: dict[str, DatasetVersion] = {}
    try:
        ruleset = rulesets.find_own(session, owner_id, wish.ruleset.name)
        rules = rulesets.find_version(session, ruleset, wish.ruleset.version)
    except NotFoundError as error:
        problems.append(Problem(_words(error), path="ruleset"))
    for file, pick in wish.inputs.items():
        try:
            dataset = datasets.find_own(session, owner_id, pick.name)
            found[file] = datasets.find_version(session, dataset, pick.version)
        except NotFoundError as error:
            problems.append(Problem(_words(error), path=f"inputs.{file}"))
    if problems or rules is None:
        raise NotFoundError(problems=problems)
    return rules, found


def _words(error: NotFoundError) -> str:
    return f"{error.detail} {error.case_hint}".strip()


def list_reports(context: Context, owner_id: str) -> list[ReportView]:
    """Return the caller's reports in the order of their names."""
    with context.catalog.reading() as session:
        return _views(session, catalog.of_owner(session, owner_id))


def page_of_reports(
    context: Context, owner_id: str, *, limit: int = 50, cursor: str | None = None
) -> tuple[list[ReportView], str | None]:
    """Return a page of the caller's reports in the order of their names, and the cursor of the next page.

    Args:
        context: The installation.
        owner_id: Who asks.
        limit: At most so many, from 1 to 500.
        cursor: Where the page begins, as the page before gave it.

    Raises:
        BadRequestError: If limit or cursor cannot be used.
    """
    cursors.check_limit(limit)
    after = cursors.decode_text(cursor) if cursor else None
    with context.catalog.reading() as session:
        page, last = cursors.cut(catalog.page(session, owner_id, after=after, limit=limit + 1), limit)
        return _views(session, page), cursors.encode_text(last.name) if last else None


def get_report(context: Context, owner_id: str, name: str) -> ReportView:
    """Return a report of the caller's.

    Raises:
        NotFoundError: If there is none of that name.
    """
    with context.catalog.reading() as session:
        return _views(session, [find_own(session, owner_id, name)])[0]


def pause_report(context: Context, owner_id: str, name: str) -> ReportView:
    """Let a report of the caller's run neither by its schedules nor on new data until it is resumed.

    Raises:
        NotFoundError: If there is none of that name.
    """
    return _set_paused(context, owner_id, name, paused=True)


def resume_report(context: Context, owner_id: str, name: str) -> ReportView:
    """Let a paused report of the caller's run by itself again.

    Raises:
        NotFoundError: If there is none of that name.
    """
    return _set_paused(context, owner_id, name, paused=False)


def _set_paused(context: Context, owner_id: str, name: str, *, paused: bool) -> ReportView:
    with context.catalog.transaction() as session:
        accounts.lock_definitions(session, owner_id)
        report = find_own(session, owner_id, name)
        catalog.set_paused(session, report.id, paused=paused)
        session.refresh(report)
        return _views(session, [report])[0]


def delete_report(context: Context, owner_id: str, name: str, *, expected: Precondition = WHATEVER) -> None:
    """Delete a report of the caller's with its schedules. Its runs and their files stay.

    Raises:
        NotFoundError: If there is none of that name.
        PreconditionError: If it is not what was expected.
    """
    with context.catalog.transaction() as session:
        accounts.lock_definitions(session, owner_id)
        report = find_own(session, owner_id, name)
        _expect(session, report, expected)
        catalog.remove(session, report.id)
        audit.note(session, "report-deleted", owner_id, f"report/{name}")


def find_own(session: Session, owner_id: str, name: str) -> Report:
    """Return a report of an owner.

    Raises:
        NotFoundError: If there is none; with the nearest name that there is.
    """
    found = catalog.find(session, owner_id, name) if may_exist(name) else None
    if found is None:
        hint = nearest_name(name, [report.name for report in catalog.of_owner(session, owner_id)])
        raise NotFoundError(f"There is no report {name}.", hint=hint)
    return found


def _views(session: Session, reports: Iterable[Report]) -> list[ReportView]:
    """Return reports as their owners see them, with a fixed number of queries for all."""
    found = list(reports)
    pinned = [one.version_id for report in found for one in report.inputs if one.version_id is not None]
    datasets_at = {
        version.id: version.number for _, version in dataset_catalog.named_versions(session, pinned).values()
    }
    rulesets_at = ruleset_catalog.numbers(
        session, [report.ruleset_version_id for report in found if report.ruleset_version_id is not None]
    )
    ids = [report.id for report in found]
    last_runs, its_schedules = queue.last_of_reports(session, ids), schedules.of_reports(session, ids)
    return [
        _view(report, datasets_at, rulesets_at, last_runs.get(report.id), its_schedules.get(report.id, ()))
        for report in found
    ]


def _view(
    report: Report,
    datasets_at: Mapping[str, int],
    rulesets_at: Mapping[str, int],
    last_run: queue.RunRow | None,
    its_schedules: Iterable[Schedule],
) -> ReportView:
    version_id = report.ruleset_version_id
    return ReportView(
        id=report.id,
        name=report.name,
        ruleset=Pick(report.ruleset.name, rulesets_at[version_id] if version_id else None),
        inputs={
            one.file: Pick(one.dataset.name, datasets_at[one.version_id] if one.version_id else None)
            for one in report.inputs
        },
        parameters=report.parameters,
        on_new_data=report.on_new_data,
        settle_seconds=report.settle_seconds,
        fresh_within_seconds=report.fresh_within_seconds,
        retention_days=report.retention_days,
        keep_runs=report.keep_runs,
        formats=report.formats,
        deliveries=report.deliveries,
        schedules=tuple(map(ScheduleWish.of, its_schedules)),
        paused=report.paused_at is not None,
        last_run=run_view(last_run[0], has_rejects=last_run[1]) if last_run else None,
        created_at=report.created_at,
        updated_at=report.updated_at,
    )
