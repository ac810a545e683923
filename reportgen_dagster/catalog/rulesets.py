"""Queries on rulesets and their versions. Whether a text is valid does not belong here: `rules/` says."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session, defer

from reportgen_dagster.catalog.named import is_named
from reportgen_dagster.catalog.tables import Ruleset, RulesetVersion
from reportgen_dagster.identity import digest_text, new_id


def add_version(
    session: Session,
    owner_id: str,
    name: str,
    *,
    text: str,
    syntax: str,
    filename: str,
    summary: dict[str, Any] | None = None,
) -> RulesetVersion:
    """Return the new last version of a ruleset, made if missing; the last one itself if its text is the same."""
    statement = insert(Ruleset).values(id=new_id(), owner_id=owner_id, name=name)
    # The pointless update locks the row, so that two at once get different numbers.
    locked = statement.on_conflict_do_update(
        index_elements=["owner_id", "name"], set_={"name": statement.excluded.name}
    ).returning(Ruleset.id)
    ruleset_id = session.execute(locked).scalar_one()
    last = session.scalars(
        select(RulesetVersion)
        .where(RulesetVersion.ruleset_id == ruleset_id)
        .order_by(RulesetVersion.number.desc())
        .limit(1)
    ).first()
    digest = digest_text(text)
    if last is not None and (last.digest, last.syntax) == (digest, syntax):
        return last
    version = RulesetVersion(
        ruleset_id=ruleset_id,
        number=last.number + 1 if last else 1,
        digest=digest,
        text=text,
        syntax=syntax,
        filename=filename,
        summary=summary,
    )
    session.add(version)
    session.flush()
    return version


def last_version(session: Session, owner_id: str, name: str) -> RulesetVersion | None:
    """Return the last version of an owner's ruleset, or None if there is none."""
    return session.scalars(
        select(RulesetVersion)
        .join(RulesetVersion.ruleset)
        .where(Ruleset.owner_id == owner_id, Ruleset.name == name)
        .order_by(RulesetVersion.number.desc())
        .limit(1)
    ).first()


def named_version(session: Session, version_id: str) -> tuple[str, RulesetVersion]:
    """Return ruleset name and version of a version that is known to exist."""
    name, version = session.execute(
        select(Ruleset.name, RulesetVersion)
        .join(RulesetVersion.ruleset)
        .where(RulesetVersion.id == version_id)
    ).one()
    return name, version


def find(session: Session, owner_id: str, name: str, *, lock: bool = False) -> Ruleset | None:
    """Return an owner's ruleset.

    Args:
        session: The transaction.
        owner_id: Whose it is.
        name: What it is called.
        lock: Nobody renames it or makes a report by it before the transaction ends.
    """
    statement = select(Ruleset).where(Ruleset.owner_id == owner_id, Ruleset.name == name)
    return session.scalars(statement.with_for_update() if lock else statement).first()


def with_latest(session: Session, owner_id: str) -> list[tuple[Ruleset, RulesetVersion]]:
    """Return an owner's rulesets in the order of their names, each with its latest version."""
    statement = (
        select(Ruleset, RulesetVersion)
        .join(RulesetVersion, RulesetVersion.ruleset_id == Ruleset.id)
        .where(Ruleset.owner_id == owner_id)
        .ext(distinct_on(Ruleset.name))
        .order_by(Ruleset.name, RulesetVersion.number.desc())
    )
    return [(ruleset, version) for ruleset, version in session.execute(statement)]


def page(
    session: Session, owner_id: str, *, after: str | None, limit: int
) -> list[tuple[Ruleset, RulesetVersion]]:
    """Return named rulesets of an owner in the order of their names, each with its latest version without the text.

    Args:
        session: The transaction.
        owner_id: Whose they are.
        after: Only those behind this name.
        limit: At most so many.
    """
    latest = (
        select(RulesetVersion.id)
        .where(RulesetVersion.ruleset_id == Ruleset.id)
        .order_by(RulesetVersion.number.desc())
        .limit(1)
        .correlate(Ruleset)
        .scalar_subquery()
    )
    statement = (
        select(Ruleset, RulesetVersion)
        .join(RulesetVersion, RulesetVersion.id == latest)
        .where(Ruleset.owner_id == owner_id, is_named(Ruleset.name))
        .order_by(Ruleset.name)
        .limit(limit)
        .options(defer(RulesetVersion.text))
    )
    if after is not None:
        statement = statement.where(Ruleset.name > after)
    return [(ruleset, version) for ruleset, version in session.execute(statement)]


def page_of_versions(
    session: Session, ruleset_id: str, *, before: int | None, limit: int
) -> list[RulesetVersion]:
    """Return a ruleset's versions without their texts, the latest first.

    Args:
        session: The transaction.
        ruleset_id: Which ruleset.
        before: Only those with a smaller number.
        limit: At most so many.
    """
    statement = select(RulesetVersion).where(RulesetVersion.ruleset_id == ruleset_id)
    if before is not None:
        statement = statement.where(RulesetVersion.number < before)
    ordered = statement.order_by(RulesetVersion.number.desc()).limit(limit)
    return list(session.scalars(ordered.options(defer(RulesetVersion.text))))


def versions(session: Session, ruleset_id: str) -> list[RulesetVersion]:
    """Return a ruleset's versions, the latest first."""
    statement = select(RulesetVersion).where(RulesetVersion.ruleset_id == ruleset_id)
    return list(session.scalars(statement.order_by(RulesetVersion.number.desc())))


def version(session: Session, ruleset_id: str, number: int | None = None) -> RulesetVersion | None:
    """Return a version of a ruleset; the latest without a number."""
    statement = select(RulesetVersion).where(RulesetVersion.ruleset_id == ruleset_id)
    if number is not None:
        statement = statement.where(RulesetVersion.number == number)
    return session.scalars(statement.order_by(RulesetVersion.number.desc()).limit(1)).first()


def numbers(session: Session, version_ids: Collection[str]) -> dict[str, int]:
    """Return the number of each version that exists, by its id."""
    statement = select(RulesetVersion.id, RulesetVersion.number).where(RulesetVersion.id.in_(version_ids))
    return dict(session.execute(statement).all())


def rename(session: Session, ruleset_id: str, name: str) -> None:
    """Give a ruleset another name."""
    session.execute(update(Ruleset).where(Ruleset.id == ruleset_id).values(name=name))


def unreported(session: Session, limit: int) -> list[tuple[Ruleset, RulesetVersion]]:
    """Return versions of named rulesets that Dagster was not told of, each with its ruleset; the longest there first."""
    statement = (
        select(Ruleset, RulesetVersion)
        .join(RulesetVersion.ruleset)
        .where(RulesetVersion.reported_at.is_(None), is_named(Ruleset.name))
        .order_by(RulesetVersion.created_at, RulesetVersion.number)
        .limit(limit)
    )
    return [(ruleset, version) for ruleset, version in session.execute(statement)]


def mark_reported(session: Session, version_ids: Collection[str]) -> None:
    """Write that Dagster has these versions' materializations."""
    session.execute(
        update(RulesetVersion)
        .where(RulesetVersion.id.in_(version_ids), RulesetVersion.reported_at.is_(None))
        .values(reported_at=func.now())
    )


def mark_unnamed_reported(session: Session, version_id: str) -> None:
    """Write of a version that no named ruleset has that Dagster has its materialization."""
    unnamed = select(Ruleset.id).where(~is_named(Ruleset.name))
    session.execute(
        update(RulesetVersion)
        .where(
            RulesetVersion.id == version_id,
            RulesetVersion.reported_at.is_(None),
            RulesetVersion.ruleset_id.in_(unnamed),
        )
        .values(reported_at=func.now())
        .execution_options(synchronize_session=False)
    )
