"""Queries on grants: which user may sign webhooks with which secret. What a secret is, is `services/secrets.py`'s."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from reportgen_dagster.catalog.tables import SecretGrant, User


def add(session: Session, name: str, user_id: str) -> None:
    """Let a user sign with a secret; granting it again changes nothing."""
    session.execute(insert(SecretGrant).values(name=name, user_id=user_id).on_conflict_do_nothing())


def remove(session: Session, name: str, user_id: str) -> bool:
    """Take a grant back; False if there was none."""
    condition = (SecretGrant.name == name, SecretGrant.user_id == user_id)
    return session.scalar(delete(SecretGrant).where(*condition).returning(SecretGrant.name)) is not None


def of_user(session: Session, user_id: str) -> frozenset[str]:
    """Return the names of the secrets that a user may sign with."""
    return frozenset(session.scalars(select(SecretGrant.name).where(SecretGrant.user_id == user_id)))


def everybodys(session: Session) -> list[tuple[str, str]]:
    """Return each grant as secret and e-mail, in this order."""
    rows = session.execute(
        select(SecretGrant.name, User.email)
        .join(User, User.id == SecretGrant.user_id)
        .order_by(SecretGrant.name, User.email)
    )
    return [(name, email) for name, email in rows]
