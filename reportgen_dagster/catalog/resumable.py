"""Queries on uploads that come in over several requests. Times are the database's.

What a state means is for the services to say.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from reportgen_dagster.catalog.tables import Dataset, DatasetVersion, ResumableUpload

BATCH = 500

# An upload, whether it has expired, and the version that it became, with the name of its dataset now.
Row = tuple[ResumableUpload, bool, DatasetVersion | None, str | None]


def add(
    session: Session,
    owner_id: str,
    *,
    dataset: str,
    filename: str,
    told: str,
    size_bytes: int,
    life: timedelta,
) -> ResumableUpload:
    """Begin an upload that is kept for so long, and return it."""
    row = ResumableUpload(
        owner_id=owner_id, dataset=dataset, filename=filename, told=told, size_bytes=size_bytes,
        expires_at=func.clock_timestamp() + life,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def find(session: Session, owner_id: str, upload_id: str, *, lock: bool = False) -> Row | None:
    """Return an upload of an owner's; locked, nobody changes it before the transaction ends."""
    statement = (
        select(ResumableUpload, _has_expired(), DatasetVersion, Dataset.name)
        .join(DatasetVersion, DatasetVersion.id == ResumableUpload.version_id, isouter=True)
        .join(Dataset, Dataset.id == DatasetVersion.dataset_id, isouter=True)
        .where(ResumableUpload.id == upload_id, ResumableUpload.owner_id == owner_id)
    )
    found = session.execute(statement.with_for_update(of=ResumableUpload) if lock else statement).first()
    return (found[0], found[1], found[2], found[3]) if found else None


def note_offset(session: Session, upload_id: str, offset_bytes: int, life: timedelta) -> None:
    """Write how much is durable; the upload is kept for so long from now on."""
    _change(session, upload_id, offset_bytes=offset_bytes, expires_at=func.clock_timestamp() + life)


def note_digest(session: Session, upload_id: str, digest: str) -> None:
    """Write the digest of a whole file that is about to be published."""
    _change(session, upload_id, digest=digest)


def complete(session: Session, upload_id: str, version_id: str) -> None:
    """Write which version an upload became."""
    _change(session, upload_id, state="complete", version_id=version_id)


def refuse(session: Session, upload_id: str, error: dict[str, Any]) -> None:
    """Write why the file of an upload was not taken."""
    _change(session, upload_id, state="refused", error=error)


def remove(session: Session, upload_ids: Collection[str]) -> None:
    """Forget uploads."""
    session.execute(delete(ResumableUpload).where(ResumableUpload.id.in_(upload_ids)))


def expired(session: Session) -> list[str]:
    """Return the ids of uploads that are over, at most `BATCH`."""
    statement = select(ResumableUpload.id).where(_has_expired()).order_by(ResumableUpload.expires_at)
    return list(session.scalars(statement.limit(BATCH)))


def expired_among(session: Session, upload_ids: Collection[str]) -> set[str]:
    """Return those of these uploads that are over."""
    return set(
        session.scalars(select(ResumableUpload.id).where(ResumableUpload.id.in_(upload_ids), _has_expired()))
    )


def known_among(session: Session, upload_ids: Collection[str]) -> set[str]:
    """Return those of these uploads that there are."""
    return set(session.scalars(select(ResumableUpload.id).where(ResumableUpload.id.in_(upload_ids))))


def _has_expired() -> ColumnElement[bool]:
    return ResumableUpload.expires_at < func.clock_timestamp()


def _change(session: Session, upload_id: str, **values: Any) -> None:
    session.execute(update(ResumableUpload).where(ResumableUpload.id == upload_id).values(**values))
