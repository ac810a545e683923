"""Queries on requests that were carried out under an Idempotency-Key. What follows from one is `services/idempotency.py`'s."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from reportgen_dagster.catalog.tables import IdempotencyKey

LIFE = timedelta(hours=24)  # older than that a key is as if it had never been used


def find(session: Session, owner_id: str, call: str, key: str) -> IdempotencyKey | None:
    """Return what was carried out under a key."""
    oldest = func.clock_timestamp() - LIFE
    return session.scalars(
        select(IdempotencyKey).where(
            IdempotencyKey.owner_id == owner_id,
            IdempotencyKey.call == call,
            IdempotencyKey.key == key,
            IdempotencyKey.created_at > oldest,
        )
    ).first()


def try_lock(session: Session, owner_id: str, call: str, key: str) -> bool:
    """Take a key until the end of the transaction; False if another transaction has it."""
    taken = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
    return bool(session.scalar(taken, {"name": f"idempotency {owner_id} {call} {key}"}))


def add(session: Session, owner_id: str, call: str, key: str, *, digest: str, answer: str) -> bool:
    """Write what is carried out under a key; False if something was within the last day. Call it with the key locked."""
    told = {"digest": digest, "answer": answer, "created_at": func.clock_timestamp()}
    added = session.execute(
        insert(IdempotencyKey)
        .values(owner_id=owner_id, call=call, key=key, **told)
        .on_conflict_do_update(
            index_elements=["owner_id", "call", "key"],
            set_=told,
            where=IdempotencyKey.created_at <= func.clock_timestamp() - LIFE,
        )
        .returning(IdempotencyKey.key)
    )
    return added.first() is not None


def remove_old(session: Session) -> None:
    """Forget keys that were used more than a day ago."""
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at <= func.clock_timestamp() - LIFE))
