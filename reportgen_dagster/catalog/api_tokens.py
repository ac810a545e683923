"""Queries on API tokens. What they are good for is services/api_tokens.py's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from reportgen_dagster.catalog.tables import ApiToken, User
from reportgen_dagster.identity import new_id

_LAST_USE = timedelta(minutes=1)  # so often a use is written at most


def add(
    session: Session, user_id: str, *, name: str, digest: str, scopes: Sequence[str], lifetime: timedelta
) -> ApiToken | None:
    """Add a token; None if the user has one of this name."""
    row = (
        insert(ApiToken)
        .values(
            id=new_id(),
            user_id=user_id,
            name=name,
            digest=digest,
            scopes=list(scopes),
            expires_at=func.now() + lifetime,
        )
        .on_conflict_do_nothing(index_elements=[ApiToken.user_id, ApiToken.name])
        .returning(ApiToken)
    )
    return session.scalars(row).one_or_none()


def of_user(session: Session, user_id: str) -> list[ApiToken]:
    """Return a user's tokens, expired ones too."""
    return list(session.scalars(select(ApiToken).where(ApiToken.user_id == user_id)))


def page_of_user(
    session: Session, user_id: str, *, after: tuple[datetime, str] | None, limit: int
) -> list[ApiToken]:
    """Return a user's tokens, expired ones too, the newest first, at most so many; those behind this time and id."""
    statement = select(ApiToken).where(ApiToken.user_id == user_id)
    if after is not None:
        statement = statement.where(tuple_(ApiToken.created_at, ApiToken.id) < after)
    newest_first = (ApiToken.created_at.desc(), ApiToken.id.desc())
    return list(session.scalars(statement.order_by(*newest_first).limit(limit)))


def find(session: Session, user_id: str, token_id: str) -> ApiToken | None:
    """Return a token of a user's, expired or not; None if he has none of this id."""
    own = (ApiToken.user_id == user_id, ApiToken.id == token_id)
    return session.scalars(select(ApiToken).where(*own)).one_or_none()


def use(session: Session, digest: str) -> tuple[ApiToken, User] | None:
    """Return the token that is good now, with its enabled user, and note its use; None for any other."""
    row = session.execute(_good().where(ApiToken.digest == digest)).one_or_none()
    if row is None:
        return None
    token, user = row
    session.execute(
        update(ApiToken)
        .where(
            ApiToken.id == token.id,
            or_(ApiToken.last_used_at.is_(None), ApiToken.last_used_at < func.now() - _LAST_USE),
        )
        .values(last_used_at=func.now())
    )
    return token, user


def user_of(session: Session, token_id: str) -> User | None:
    """Return the enabled user of a token that is good now."""
    row = session.execute(_good().where(ApiToken.id == token_id)).one_or_none()
    return row[1] if row else None


def good_among(session: Session, token_ids: Collection[str]) -> set[str]:
    """Return those of these tokens that are good now, and whose users are enabled."""
    return {token.id for token, _ in session.execute(_good().where(ApiToken.id.in_(token_ids)))}


def remove(session: Session, user_id: str, token_id: str) -> ApiToken | None:
    """Remove a token of a user's; None if he has none of this id."""
    own = (ApiToken.user_id == user_id, ApiToken.id == token_id)
    return session.scalars(delete(ApiToken).where(*own).returning(ApiToken)).one_or_none()


def remove_all(session: Session, user_id: str) -> None:
    """Remove a user's tokens."""
    session.execute(delete(ApiToken).where(ApiToken.user_id == user_id))


def remove_expired(session: Session, age: timedelta) -> None:
    """Remove tokens that expired so long ago."""
    session.execute(delete(ApiToken).where(ApiToken.expires_at < func.now() - age))


def _good() -> Select[ApiToken, User]:
    return (
        select(ApiToken, User)
        .join(User, ApiToken.user_id == User.id)
        .where(ApiToken.expires_at > func.now(), User.disabled_at.is_(None))
    )
