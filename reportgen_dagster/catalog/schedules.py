"""Queries on schedules and on what code locations loaded. Cron and time zones do not belong here."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from reportgen_dagster.catalog.tables import LoadedDefinitions, Ruleset, RulesetVersion, Schedule, User
from reportgen_dagster.identity import new_id

# Everything that definitions are built from, as one text: versions of files do not change a definition.
_FINGERPRINT = text(
    """
    SELECT encode(sha256(convert_to(coalesce(string_agg(part, E'\\n' ORDER BY part), ''), 'UTF8')), 'hex')
    FROM (
        SELECT jsonb_build_array(
            s.id, s.owner_id, u.email, s.report_name, s.cron, s.timezone, s.paused_at IS NOT NULL, s.parameters,
            r.name, v.digest, v.syntax,
            (SELECT jsonb_object_agg(input.key, d.name)
             FROM jsonb_each_text(s.inputs) AS input
             JOIN dataset_versions dv ON dv.id = input.value JOIN datasets d ON d.id = dv.dataset_id)
        )::text AS part
        FROM schedules s
        JOIN users u ON u.id = s.owner_id
        JOIN ruleset_versions v ON v.id = s.ruleset_version_id
        JOIN rulesets r ON r.id = v.ruleset_id
    ) AS parts
    """
)


def put(session: Session, *, owner_id: str, report_name: str, **values: Any) -> Schedule:
    """Insert an owner's schedule by its report's name, or replace what it says; its id stays."""
    replaced = {**values, "paused_at": None, "updated_at": func.now()}
    schedule_id = session.execute(
        insert(Schedule)
        .values(id=new_id(), owner_id=owner_id, report_name=report_name, **values)
        .on_conflict_do_update(index_elements=["owner_id", "report_name"], set_=replaced)
        .returning(Schedule.id)
    ).scalar_one()
    return session.get_one(Schedule, schedule_id, populate_existing=True)


def of_owner(session: Session, owner_id: str) -> list[Schedule]:
    """Return an owner's schedules, oldest first."""
    return list(
        session.scalars(
            select(Schedule).where(Schedule.owner_id == owner_id).order_by(Schedule.created_at, Schedule.id)
        )
    )


def paused(session: Session) -> list[str]:
    """Return the ids of all paused schedules."""
    return list(session.scalars(select(Schedule.id).where(Schedule.paused_at.is_not(None))))


def find(session: Session, schedule_id: str, owner_id: str) -> Schedule | None:
    """Return a schedule of an owner."""
    return session.scalars(
        select(Schedule).where(Schedule.id == schedule_id, Schedule.owner_id == owner_id)
    ).first()


def lock(session: Session, schedule_id: str) -> Schedule | None:
    """Return anybody's schedule; nobody can pause or delete it before the transaction ends."""
    return session.scalars(
        select(Schedule).where(Schedule.id == schedule_id).with_for_update(read=True)
    ).first()


def set_paused(session: Session, schedule_id: str, owner_id: str, *, paused: bool) -> bool:
    """Pause or resume a schedule; False if the owner has none such. Repeating it changes nothing."""
    at = func.coalesce(Schedule.paused_at, func.clock_timestamp()) if paused else None
    changed = session.execute(
        update(Schedule)
        .where(Schedule.id == schedule_id, Schedule.owner_id == owner_id)
        .values(paused_at=at)
        .returning(Schedule.id)
    )
    return changed.first() is not None


def remove(session: Session, schedule_id: str, owner_id: str) -> bool:
    """Delete a schedule, keeping its runs; False if the owner has none such."""
    removed = session.execute(
        delete(Schedule)
        .where(Schedule.id == schedule_id, Schedule.owner_id == owner_id)
        .returning(Schedule.id)
    )
    return removed.first() is not None


def with_rules(
    session: Session, schedule_ids: Collection[str] | None
) -> list[tuple[Schedule, str, str, RulesetVersion]]:
    """Return schedules in the order of their ids, each with its owner's e-mail, ruleset name and rules.

    Args:
        session: The transaction.
        schedule_ids: Only these; None: all.
    """
    statement = (
        select(Schedule, User.email, Ruleset.name, RulesetVersion)
        .join(Schedule.owner)
        .join(Schedule.ruleset_version)
        .join(RulesetVersion.ruleset)
        .order_by(Schedule.id)
    )
    if schedule_ids is not None:
        statement = statement.where(Schedule.id.in_(schedule_ids))
    return list(session.execute(statement))


def fingerprint(session: Session) -> str:
    """Return a digest over everything that definitions are built from."""
    return str(session.scalar(_FINGERPRINT))


def note_loaded(session: Session, location: str, loaded: str) -> None:
    """Write what a code location built its definitions from."""
    values = {"fingerprint": loaded, "loaded_at": func.now()}
    session.execute(
        insert(LoadedDefinitions)
        .values(location=location, **values)
        .on_conflict_do_update(index_elements=["location"], set_=values)
    )


def loaded_fingerprint(session: Session, location: str) -> str | None:
    """Return what a code location last built its definitions from."""
    return session.scalar(select(LoadedDefinitions.fingerprint).where(LoadedDefinitions.location == location))
