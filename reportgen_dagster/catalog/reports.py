"""Queries on named reports: what they are made of, and which versions that is at a moment.

What a report's runs are is runs.py's; when it runs by cron is schedules.py's. Each function works in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session, joinedload, selectinload

from reportgen_dagster.catalog.tables import (
    DatasetVersion,
    Report,
    ReportInput,
    RulesetVersion,
    Run,
    Schedule,
)
from reportgen_dagster.identity import new_id

# Versions are compared, not times: a version may become visible only after a run that was accepted later than it. The hour is
# more than any transaction takes, and spares looking through a report's whole past.
_WITH_NEW_DATA = """
    SELECT r.id
    FROM reports r CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(i.file, v.id) AS latest, max(v.created_at) AS newest
        FROM report_inputs i CROSS JOIN LATERAL (
            SELECT id, created_at FROM dataset_versions WHERE dataset_id = i.dataset_id ORDER BY number DESC LIMIT 1
        ) AS v
        WHERE i.report_id = r.id AND i.version_id IS NULL
    ) AS followed
    WHERE r.on_new_data AND r.paused_at IS NULL
        AND newest > r.created_at AND newest + make_interval(secs => r.settle_seconds) <= clock_timestamp()
        AND NOT EXISTS (
            SELECT FROM runs WHERE report_id = r.id AND accepted_at > newest - interval '1 hour' AND inputs @> latest
        )
"""


@dataclass(frozen=True, slots=True)
class Source:
    """What a report reads under a name.

    Attributes:
        dataset_id: The dataset.
        version_id: The version; None: whatever is the latest when a run is accepted.
    """

    dataset_id: str
    version_id: str | None = None


@dataclass(frozen=True, slots=True)
class Pinned:
    """The versions that a run is accepted with.

    Attributes:
        ruleset_version_id: The rules.
        inputs: For each file its dataset version.
    """

    ruleset_version_id: str
    inputs: dict[str, str]


def put(
    session: Session, *, owner_id: str, name: str, sources: Mapping[str, Source], **values: Any
) -> Report:
    """Insert an owner's report by its name, or replace what it says; its id and its schedules stay. A paused one goes on."""
    replaced = {**values, "updated_at": func.now()}
    report_id = session.execute(
        insert(Report)
        .values(id=new_id(), owner_id=owner_id, name=name, **values)
        .on_conflict_do_update(index_elements=["owner_id", "name"], set_=replaced)
        .returning(Report.id)
    ).scalar_one()
    set_paused(session, report_id, paused=False)
    session.execute(delete(ReportInput).where(ReportInput.report_id == report_id))
    for file, source in sorted(sources.items()):
        session.add(
            ReportInput(
                report_id=report_id, file=file, dataset_id=source.dataset_id, version_id=source.version_id
            )
        )
    session.flush()
    return session.get_one(Report, report_id, populate_existing=True)


def find(session: Session, owner_id: str, name: str) -> Report | None:
    """Return an owner's report."""
    return session.scalars(select(Report).where(Report.owner_id == owner_id, Report.name == name)).first()


def of_owner(session: Session, owner_id: str) -> list[Report]:
    """Return an owner's reports in the order of their names."""
    statement = select(Report).where(Report.owner_id == owner_id).order_by(Report.name)
    inputs = selectinload(Report.inputs).joinedload(ReportInput.dataset)
    return list(session.scalars(statement.options(inputs, joinedload(Report.ruleset))))


def page(session: Session, owner_id: str, *, after: str | None, limit: int) -> list[Report]:
    """Return reports of an owner in the order of their names: those behind a name, at most so many."""
    statement = select(Report).where(Report.owner_id == owner_id).order_by(Report.name).limit(limit)
    if after is not None:
        statement = statement.where(Report.name > after)
    inputs = selectinload(Report.inputs).joinedload(ReportInput.dataset)
    return list(session.scalars(statement.options(inputs, joinedload(Report.ruleset))))


def lock(session: Session, report_id: str) -> Report | None:
    """Return anybody's report; nobody changes it or accepts another run of it so before the transaction ends."""
    return session.scalars(select(Report).where(Report.id == report_id).with_for_update()).first()


def set_paused(session: Session, report_id: str, *, paused: bool) -> None:
    """Pause or resume a report. Repeating it changes nothing; times of the pause do not count as missed by its schedules."""
    if paused:
        at = func.coalesce(Report.paused_at, func.clock_timestamp())
        session.execute(update(Report).where(Report.id == report_id).values(paused_at=at))
        return
    resumed = (
        update(Report).where(Report.id == report_id, Report.paused_at.is_not(None)).values(paused_at=None)
    )
    if session.execute(resumed.returning(Report.id)).first() is not None:
        of_report = update(Schedule).where(Schedule.report_id == report_id)
        session.execute(of_report.values(handled_until=func.clock_timestamp()))


def remove(session: Session, report_id: str) -> None:
    """Delete a report and its schedules, keeping its runs."""
    session.execute(delete(Report).where(Report.id == report_id))


def pinned(session: Session, report: Report) -> Pinned:
    """Return the versions that a run of a report is made of now."""
    version_id = (
        report.ruleset_version_id
        or session.scalars(
            select(RulesetVersion.id)
            .where(RulesetVersion.ruleset_id == report.ruleset_id)
            .order_by(RulesetVersion.number.desc())
            .limit(1)
        ).one()
    )
    latest = _latest_versions(session, [one.dataset_id for one in report.inputs if one.version_id is None])
    inputs = {one.file: one.version_id or latest[one.dataset_id] for one in report.inputs}
    return Pinned(version_id, inputs)


def _latest_versions(session: Session, dataset_ids: Collection[str]) -> dict[str, str]:
    statement = (
        select(DatasetVersion.dataset_id, DatasetVersion.id)
        .where(DatasetVersion.dataset_id.in_(dataset_ids))
        .ext(distinct_on(DatasetVersion.dataset_id))
        .order_by(DatasetVersion.dataset_id, DatasetVersion.number.desc())
    )
    return dict(session.execute(statement).all())


def last_run(session: Session, report_id: str, *, states: Collection[str]) -> Run | None:
    """Return a report's most recently accepted run in one of these states."""
    return session.scalars(
        select(Run)
        .where(Run.report_id == report_id, Run.state.in_(states))
        .order_by(Run.accepted_at.desc(), Run.id.desc())
        .limit(1)
    ).first()


def with_new_data(session: Session, *, limit: int) -> list[str]:
    """Return the ids of reports that run on new data and have some that no run was made of, the longest waiting first."""
    return list(session.scalars(text(f"{_WITH_NEW_DATA} ORDER BY newest LIMIT :limit"), {"limit": limit}))


def has_new_data(session: Session, report_id: str) -> bool:
    """Tell whether a report runs on new data and has some that no run was made of."""
    return session.scalar(text(f"{_WITH_NEW_DATA} AND r.id = :id"), {"id": report_id}) is not None


def using(session: Session, *, dataset_id: str | None = None, ruleset_id: str | None = None) -> list[str]:
    """Return the names of the reports that are made of a dataset or a ruleset."""
    condition: ColumnElement[bool] = Report.ruleset_id == ruleset_id
    if dataset_id is not None:
        condition = exists().where(ReportInput.report_id == Report.id, ReportInput.dataset_id == dataset_id)
    return list(session.scalars(select(Report.name).where(condition).order_by(Report.name)))
