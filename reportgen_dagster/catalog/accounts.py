"""Queries on users, sessions and refresh tokens. Passwords, signing and the rules of sign-in are services/accounts.py.

Each function works in the caller's transaction and goes by the database's clock.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, exists, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session as Transaction

from reportgen_dagster.catalog.tables import ADMIN, RefreshToken, Session, User
from reportgen_dagster.identity import new_id

LOGOUT = "logout"
_KNOWN_DEVICE = timedelta(days=30)


def add_user(transaction: Transaction, *, email: str, name: str, password_hash: str) -> User | None:
    """Add a user; None if the e-mail is taken, also when two ask for it at the same moment."""
    row = (
        insert(User)
        .values(id=new_id(), email=email, name=name, password_hash=password_hash)
        .on_conflict_do_nothing(index_elements=[User.email])
        .returning(User)
    )
    return transaction.scalars(row).one_or_none()


def find_user(transaction: Transaction, email: str) -> User | None:
    """Return the enabled user with this e-mail."""
    return transaction.scalars(
        select(User).where(User.email == email, User.disabled_at.is_(None))
    ).one_or_none()


def users(transaction: Transaction, email: str | None = None) -> list[User]:
    """Return the users by e-mail, or the one with this e-mail."""
    statement = select(User).order_by(User.email)
    return list(transaction.scalars(statement if email is None else statement.where(User.email == email)))


def find_user_by_id(transaction: Transaction, user_id: str) -> User | None:
    """Return the enabled user with this id."""
    return transaction.scalars(
        select(User).where(User.id == user_id, User.disabled_at.is_(None))
    ).one_or_none()


def lock_user(transaction: Transaction, user_id: str) -> User | None:
    """Return the enabled user with this id as he is now; nobody else changes him until the transaction ends."""
    statement = select(User).where(User.id == user_id, User.disabled_at.is_(None))
    return transaction.scalars(
        statement.with_for_update().execution_options(populate_existing=True)
    ).one_or_none()


def any_user(transaction: Transaction, user_id: str, *, lock: bool = False) -> User | None:
    """Return the user with this id, enabled or not; locked, nobody else changes him until the transaction ends."""
    statement = select(User).where(User.id == user_id)
    return transaction.scalars(statement.with_for_update() if lock else statement).one_or_none()


def lock_admins(transaction: Transaction) -> set[str]:
    """Return the ids of the admins who may sign in; there are no others until the transaction ends."""
    statement = select(User.id).where(User.role == ADMIN, User.disabled_at.is_(None)).order_by(User.id)
    return set(transaction.scalars(statement.with_for_update()))


def page_of_users(transaction: Transaction, *, after: tuple[datetime, str] | None, limit: int) -> list[User]:
    """Return users, the oldest first, at most so many; those after this time and id."""
    statement = select(User).order_by(User.created_at, User.id).limit(limit)
    if after is not None:
        statement = statement.where(tuple_(User.created_at, User.id) > after)
    return list(transaction.scalars(statement))


def enabled_users(transaction: Transaction, *, limit: int) -> list[User]:
    """Return the users who may sign in, oldest first, at most so many."""
    statement = select(User).where(User.disabled_at.is_(None)).order_by(User.created_at, User.id)
    return list(transaction.scalars(statement.limit(limit)))


def lock_definitions(transaction: Transaction, user_id: str) -> None:
    """Wait until nobody else changes what a user has defined; nobody can before the transaction ends.

    First of all locks, so that no two wait for each other. It holds up neither reading nor accepting runs.
    """
    transaction.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))


def set_password_hash(transaction: Transaction, user_id: str, password_hash: str) -> None:
    """Store a password's new hash."""
    transaction.execute(update(User).where(User.id == user_id).values(password_hash=password_hash))


def add_session(
    transaction: Transaction, user_id: str, *, lifetime: timedelta, user_agent: str, address: str
) -> str:
    """Begin a session that ends after `lifetime` at the latest; return its id."""
    session = Session(
        id=new_id(),
        user_id=user_id,
        expires_at=func.now() + lifetime,
        user_agent=user_agent,
        address=address,
    )
    transaction.add(session)
    transaction.flush()
    return session.id


def add_refresh_token(
    transaction: Transaction, session_id: str, *, digest: str, parent_digest: str | None, idle: timedelta
) -> None:
    """Add a refresh token that lives for `idle`, but never longer than its session."""
    session_end = select(Session.expires_at).where(Session.id == session_id).scalar_subquery()
    transaction.execute(
        insert(RefreshToken).values(
            digest=digest,
            session_id=session_id,
            parent_digest=parent_digest,
            expires_at=func.least(func.now() + idle, session_end),
        )
    )


def use_refresh_token(transaction: Transaction, digest: str) -> str | None:
    """Mark a valid, unused token of a live session as used and return the session's id; None for any other token."""
    session_id = transaction.scalars(
        update(RefreshToken)
        .where(
            RefreshToken.digest == digest,
            RefreshToken.used_at.is_(None),
            RefreshToken.expires_at > func.now(),
            exists().where(Session.id == RefreshToken.session_id, *_live()),
        )
        .values(used_at=func.now())
        .returning(RefreshToken.session_id)
    ).one_or_none()
    if session_id is not None:
        transaction.execute(update(Session).where(Session.id == session_id).values(last_used_at=func.now()))
    return session_id


def find_refresh_token(transaction: Transaction, digest: str) -> RefreshToken | None:
    """Return the refresh token with this digest, good or not."""
    return transaction.get(RefreshToken, digest)


def user_of_session(transaction: Transaction, session_id: str) -> User | None:
    """Return the enabled user of a session that is neither revoked nor over."""
    return transaction.scalars(
        select(User)
        .join(Session, Session.user_id == User.id)
        .where(Session.id == session_id, User.disabled_at.is_(None), *_live())
    ).one_or_none()


def live_among(transaction: Transaction, session_ids: Collection[str]) -> set[str]:
    """Return those of these sessions that are neither revoked nor over, and whose users are enabled."""
    return set(
        transaction.scalars(
            select(Session.id)
            .join(User, Session.user_id == User.id)
            .where(Session.id.in_(session_ids), User.disabled_at.is_(None), *_live())
        )
    )


def is_known_device(transaction: Transaction, user_id: str, *, user_agent: str, address: str) -> bool:
    """Tell whether the user signed in from there within the last 30 days, and did not have to be signed out."""
    return bool(
        transaction.scalar(
            select(
                exists().where(
                    Session.user_id == user_id,
                    Session.user_agent == user_agent,
                    Session.address == address,
                    Session.created_at > func.now() - _KNOWN_DEVICE,
                    or_(Session.revoked_reason.is_(None), Session.revoked_reason == LOGOUT),
                )
            )
        )
    )


def live_sessions(
    transaction: Transaction, user_id: str, *, after: tuple[datetime, str] | None, limit: int
) -> list[Session]:
    """Return a user's sessions that are neither revoked nor over, the last used first; those behind this time and id."""
    statement = select(Session).where(Session.user_id == user_id, *_live())
    if after is not None:
        statement = statement.where(tuple_(Session.last_used_at, Session.id) < after)
    last_used_first = (Session.last_used_at.desc(), Session.id.desc())
    return list(transaction.scalars(statement.order_by(*last_used_first).limit(limit)))


def revoke_session(transaction: Transaction, session_id: str, reason: str) -> bool:
    """End a session and tell whether that was news; the first reason stays."""
    return bool(_revoke(transaction, reason, Session.id == session_id))


def revoke_session_of(transaction: Transaction, user_id: str, session_id: str, reason: str) -> bool:
    """End a live session of a user; False if he has none of this id."""
    own = (Session.user_id == user_id, Session.id == session_id, Session.expires_at > func.now())
    return bool(_revoke(transaction, reason, *own))


def revoke_sessions_of(transaction: Transaction, user_id: str, reason: str, *, but: str | None = None) -> int:
    """End a user's sessions, perhaps all but one; return how many."""
    others = () if but is None else (Session.id != but,)
    return _revoke(transaction, reason, Session.user_id == user_id, Session.expires_at > func.now(), *others)


def _revoke(transaction: Transaction, reason: str, *which: ColumnElement[bool]) -> int:
    ended = transaction.scalars(
        update(Session)
        .where(Session.revoked_at.is_(None), *which)
        .values(revoked_at=func.now(), revoked_reason=reason)
        .returning(Session.id)
    )
    return len(ended.all())


def shorten_session(transaction: Transaction, session_id: str, lifetime: timedelta) -> None:
    """Let a session end after `lifetime`, counted from now, if it would not end earlier."""
    transaction.execute(
        update(Session)
        .where(Session.id == session_id)
        .values(expires_at=func.least(Session.expires_at, func.now() + lifetime))
    )


def remove_over(transaction: Transaction, age: timedelta) -> None:
    """Remove sessions that have been over for so long, with their refresh tokens."""
    over_since = func.least(Session.expires_at, func.coalesce(Session.revoked_at, Session.expires_at))
    transaction.execute(delete(Session).where(over_since < func.now() - age))


def _live() -> tuple[ColumnElement[bool], ...]:
    return Session.revoked_at.is_(None), Session.expires_at > func.now()
