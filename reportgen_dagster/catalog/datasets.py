"""Queries on datasets and their versions. What a name means (`default-input`) is for the services to say."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session, defer

from reportgen_dagster.catalog.named import is_named
from reportgen_dagster.catalog.tables import Dataset, DatasetVersion
from reportgen_dagster.identity import new_id


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A stored file that is to become a version of a dataset.

    Attributes:
        digest: SHA-256 under which storage holds it.
        size_bytes: Its length as uploaded.
        filename: The client's name for it, for show only.
        header: Its column names.
        encoding: How its bytes are to be decoded.
        id: The version's id, where adding it may be repeated after a kill: it is added once.
    """

    digest: str
    size_bytes: int
    filename: str
    header: list[str]
    encoding: str
    id: str | None = None


def add_version(session: Session, owner_id: str, name: str, new: NewVersion) -> DatasetVersion:
    """Return the new last version of a dataset, made if missing; the last one itself if its bytes are the same."""
    statement = insert(Dataset).values(id=new_id(), owner_id=owner_id, name=name)
    # The pointless update locks the row, so that two at once get different numbers.
    locked = statement.on_conflict_do_update(
        index_elements=["owner_id", "name"], set_={"name": statement.excluded.name}
    ).returning(Dataset.id)
    dataset_id = session.execute(locked).scalar_one()
    last = session.scalars(
        select(DatasetVersion)
        .where(DatasetVersion.dataset_id == dataset_id)
        .order_by(DatasetVersion.number.desc())
        .limit(1)
    ).first()
    if last is not None and last.digest == new.digest:
        last.received_at = func.now()
        session.flush()
        session.refresh(last)
        return last
    added = session.get(DatasetVersion, new.id) if new.id else None
    if added is not None:
        return added
    version = DatasetVersion(
        id=new.id or new_id(),
        dataset_id=dataset_id,
        number=last.number + 1 if last else 1,
        digest=new.digest,
        size_bytes=new.size_bytes,
        filename=new.filename,
        header=new.header,
        encoding=new.encoding,
    )
    session.add(version)
    session.flush()
    return version


def last_versions(session: Session, owner_id: str, names: Collection[str]) -> dict[str, DatasetVersion]:
    """Return the last version of each of these datasets of an owner that exists, by dataset name."""
    rows = session.execute(
        select(Dataset.name, DatasetVersion)
        .join(DatasetVersion.dataset)
        .where(Dataset.owner_id == owner_id, Dataset.name.in_(names))
        .ext(distinct_on(Dataset.id))
        .order_by(Dataset.id, DatasetVersion.number.desc())
    )
    return {row.name: row.DatasetVersion for row in rows}


def named_versions(session: Session, version_ids: Collection[str]) -> dict[str, tuple[str, DatasetVersion]]:
    """Return dataset name and version for each version id that exists."""
    rows = session.execute(
        select(Dataset.name, DatasetVersion)
        .join(DatasetVersion.dataset)
        .where(DatasetVersion.id.in_(version_ids))
    )
    return {version.id: (name, version) for name, version in rows}


def find(session: Session, owner_id: str, name: str, *, lock: bool = False) -> Dataset | None:
    """Return an owner's dataset.

    Args:
        session: The transaction.
        owner_id: Whose it is.
        name: What it is called.
        lock: Nobody renames it or makes a report of it before the transaction ends.
    """
    statement = select(Dataset).where(Dataset.owner_id == owner_id, Dataset.name == name)
    return session.scalars(statement.with_for_update() if lock else statement).first()


def with_latest(session: Session, owner_id: str) -> list[tuple[Dataset, DatasetVersion]]:
    """Return an owner's datasets in the order of their names, each with its latest version."""
    statement = (
        select(Dataset, DatasetVersion)
        .join(DatasetVersion, DatasetVersion.dataset_id == Dataset.id)
        .where(Dataset.owner_id == owner_id)
        .ext(distinct_on(Dataset.name))
        .order_by(Dataset.name, DatasetVersion.number.desc())
    )
    return [(dataset, version) for dataset, version in session.execute(statement)]


def page(
    session: Session, owner_id: str, *, after: str | None, limit: int
) -> list[tuple[Dataset, DatasetVersion]]:
    """Return named datasets of an owner in the order of their names, each with its latest version.

    Args:
        session: The transaction.
        owner_id: Whose they are.
        after: Only those behind this name.
        limit: At most so many.
    """
    latest = (
        select(DatasetVersion.id)
        .where(DatasetVersion.dataset_id == Dataset.id)
        .order_by(DatasetVersion.number.desc())
        .limit(1)
        .correlate(Dataset)
        .scalar_subquery()
    )
    statement = (
        select(Dataset, DatasetVersion)
        .join(DatasetVersion, DatasetVersion.id == latest)
        .where(Dataset.owner_id == owner_id, is_named(Dataset.name))
        .order_by(Dataset.name)
        .limit(limit)
        .options(defer(DatasetVersion.profile))
    )
    if after is not None:
        statement = statement.where(Dataset.name > after)
    return [(dataset, version) for dataset, version in session.execute(statement)]


def versions(
    session: Session,
    dataset_id: str,
    *,
    before: int | None = None,
    limit: int | None = None,
    with_profiles: bool = True,
) -> list[DatasetVersion]:
    """Return a dataset's versions, the latest first.

    Args:
        session: The transaction.
        dataset_id: Which dataset.
        before: Only those with a smaller number.
        limit: At most so many.
        with_profiles: Their profiles, which may be long, are read along.
    """
    statement = select(DatasetVersion).where(DatasetVersion.dataset_id == dataset_id)
    if before is not None:
        statement = statement.where(DatasetVersion.number < before)
    if not with_profiles:
        statement = statement.options(defer(DatasetVersion.profile))
    return list(session.scalars(statement.order_by(DatasetVersion.number.desc()).limit(limit)))


def version(session: Session, dataset_id: str, number: int | None = None) -> DatasetVersion | None:
    """Return a version of a dataset; the latest without a number."""
    statement = select(DatasetVersion).where(DatasetVersion.dataset_id == dataset_id)
    if number is not None:
        statement = statement.where(DatasetVersion.number == number)
    return session.scalars(statement.order_by(DatasetVersion.number.desc()).limit(1)).first()


def rename(session: Session, dataset_id: str, name: str) -> None:
    """Give a dataset another name."""
    session.execute(update(Dataset).where(Dataset.id == dataset_id).values(name=name))


def expect(
    session: Session, dataset_id: str, *, cron: str | None, timezone: str | None, within_seconds: int | None
) -> None:
    """Write when new versions of a dataset are expected; all None: not at all."""
    session.execute(
        update(Dataset)
        .where(Dataset.id == dataset_id)
        .values(
            expected_cron=cron,
            expected_timezone=timezone,
            expected_within_seconds=within_seconds,
            expected_since=func.clock_timestamp() if cron is not None else None,
        )
    )


def unreported(session: Session, limit: int) -> list[str]:
    """Return the ids of versions of named datasets that Dagster was not told of, the longest there first."""
    statement = (
        select(DatasetVersion.id)
        .join(DatasetVersion.dataset)
        .where(DatasetVersion.reported_at.is_(None), is_named(Dataset.name))
        .order_by(DatasetVersion.created_at, DatasetVersion.id)
        .limit(limit)
    )
    return list(session.scalars(statement))


def unreported_among(session: Session, version_ids: Collection[str]) -> list[tuple[Dataset, DatasetVersion]]:
    """Return those of these versions that Dagster was not told of, each with its dataset; in the order in which they came."""
    statement = (
        select(Dataset, DatasetVersion)
        .join(DatasetVersion.dataset)
        .where(DatasetVersion.reported_at.is_(None), DatasetVersion.id.in_(version_ids))
        .order_by(DatasetVersion.created_at, DatasetVersion.number)
    )
    return [(dataset, version) for dataset, version in session.execute(statement)]


def put_profile(session: Session, version_id: str, profile: dict[str, Any]) -> None:
    """Write what a version holds."""
    session.execute(update(DatasetVersion).where(DatasetVersion.id == version_id).values(profile=profile))


def put_rejects(session: Session, version_id: str, digest: str, size_bytes: int) -> None:
    """Write where the rows of a version that cannot be read lie in storage."""
    session.execute(
        update(DatasetVersion)
        .where(DatasetVersion.id == version_id)
        .values(rejects_digest=digest, rejects_bytes=size_bytes)
    )


def mark_reported(session: Session, version_ids: Collection[str]) -> None:
    """Write that Dagster has these versions' materializations."""
    session.execute(
        update(DatasetVersion)
        .where(DatasetVersion.id.in_(version_ids), DatasetVersion.reported_at.is_(None))
        .values(reported_at=func.now())
    )


def mark_unnamed_reported(session: Session, version_ids: Collection[str]) -> None:
    """Write of those of these versions that no named dataset has that Dagster has their materializations."""
    unnamed = select(Dataset.id).where(~is_named(Dataset.name))
    session.execute(
        update(DatasetVersion)
        .where(
            DatasetVersion.id.in_(version_ids),
            DatasetVersion.reported_at.is_(None),
            DatasetVersion.dataset_id.in_(unnamed),
        )
        .values(reported_at=func.now())
        .execution_options(synchronize_session=False)
    )
