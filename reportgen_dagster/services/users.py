"""Use case: what admins and whoever runs the service decide about users: role, sign-in, who goes first, days kept.

Signing up and in is `accounts.py`'s. Users are disabled, never deleted: what they made and did stays theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import accounts, api_tokens
from reportgen_dagster.catalog.tables import User
from reportgen_dagster.errors import BadRequestError, ConflictError, NotFoundError
from reportgen_dagster.identity import ID_PATTERN, utc_now
from reportgen_dagster.services import audit, cursors
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.passwords import hash_password, password_problems
from reportgen_dagster.services.preconditions import WHATEVER, Precondition, fingerprint
from reportgen_dagster.services.retention import checked_days

MAX_PRIORITY = 1_000

Role = Literal["user", "admin"]


@dataclass(frozen=True, slots=True)
class UserView:
    """A user as whoever runs the service sees him.

    Attributes:
        role: `user`, or `admin`, who administers the installation.
        disabled: He cannot sign in, and nothing of his is good for a call.
        priority: Runs of a user with a higher one always go first; 0 unless it was changed.
        max_runs: How many of his runs work at the same time; None: what the service is set to.
        retention_days: For how many days his files are kept; None: what the service is set to.
        created_at: When the account was made, aware.
    """

    id: str
    email: str
    name: str
    role: Role
    disabled: bool
    priority: int
    max_runs: int | None
    retention_days: int | None
    created_at: datetime

    @property
    def fingerprint(self) -> str:
        """What changes with any of it."""
        return fingerprint(self)


@dataclass(frozen=True, slots=True)
class UserChange:
    """What is to change of a user; None: stays as it is.

    Attributes:
        role: `user` or `admin`.
        disabled: Whether he is kept out. His sessions and API tokens end then.
        priority: From -1000 to 1000. Counts from his next run on.
        max_runs: At least 1; 0: what the service is set to. Counts at once, also for runs that wait.
        retention_days: For how many days his files are kept; 0: what the service is set to.
    """

    role: Role | None = None
    disabled: bool | None = None
    priority: int | None = None
    max_runs: int | None = None
    retention_days: int | None = None

    def words(self) -> str:
        """Tell it for the audit."""
        told = {
            "role": self.role,
            "disabled": self.disabled,
            "priority": self.priority,
            "max_runs": self.max_runs,
            "retention_days": self.retention_days,
        }
        return " ".join(f"{name}={value}" for name, value in told.items() if value is not None)


def list_users(context: Context) -> list[UserView]:
    """Return all users by e-mail."""
    with context.catalog.reading() as session:
        return [_view(user) for user in accounts.users(session)]


def page_of_users(
    context: Context, *, limit: int = 50, cursor: str | None = None
) -> tuple[list[UserView], str | None]:
    """Return a page of users, the oldest first, and the cursor of the next page.

    Args:
        context: The installation.
        limit: At most so many, from 1 to 500.
        cursor: Where the page begins, as the page before gave it.

    Raises:
        BadRequestError: If limit or cursor cannot be used.
    """
    cursors.check_limit(limit)
    after = cursors.decode(cursor) if cursor else None
    with context.catalog.reading() as session:
        found = accounts.page_of_users(session, after=after, limit=limit + 1)
        views = [_view(user) for user in found[:limit]]
    last = views[-1] if len(found) > limit else None
    return views, cursors.encode(last.created_at, last.id) if last else None


def get_user(context: Context, user_id: str) -> UserView:
    """Return a user, disabled or not.

    Raises:
        NotFoundError: If there is none of this id.
    """
    with context.catalog.reading() as session:
        return _view(_found(session, user_id, lock=False))


def id_of(context: Context, email: str) -> str:
    """Return the id of the user with an e-mail, disabled or not.

    Raises:
        NotFoundError: If nobody has it.
    """
    with context.catalog.reading() as session:
        found = accounts.users(session, email.strip().lower())
        if not found:
            raise NotFoundError(f"There is no user {email}.")
        return found[0].id


def change_user(
    context: Context,
    user_id: str,
    change: UserChange,
    *,
    by_user_id: str | None = None,
    expected: Precondition = WHATEVER,
) -> UserView:
    """Change what is given and return the user.

    Args:
        context: The installation.
        user_id: Whose.
        change: What.
        by_user_id: Which admin does it; None: whoever runs the installation.
        expected: What the user must be before.

    Raises:
        PreconditionError: If he is something else.
        NotFoundError: If there is none of this id.
        BadRequestError: If a number cannot be used.
        ConflictError: If nobody would be left who is an admin and may sign in.
    """
    _check_numbers(change)
    with context.catalog.transaction() as session:
        admins = accounts.lock_admins(session)
        user = _found(session, user_id)
        expected.check(_view(user).fingerprint)
        if (change.role == "user" or change.disabled) and admins == {user.id}:
            raise ConflictError(f"{user.email} is the last admin.", hint="Make somebody else an admin first.")
        _apply(session, user, change)
        audit.note(session, "user-changed", by_user_id, f"user/{user.id} {change.words()}")
        session.flush()
        return _view(user)


def revoke_user(context: Context, user_id: str, *, by_user_id: str | None = None) -> None:
    """End all sessions and API tokens of a user; he may sign in again.

    Raises:
        NotFoundError: If there is none of this id.
    """
    with context.catalog.transaction() as session:
        user = _found(session, user_id)
        _end_everything(session, user, "revoked by an admin")
        audit.note(session, "user-revoked", by_user_id, f"user/{user.id}")


def set_password(context: Context, user_id: str, password: str) -> None:
    """Give a user a new password, as when he forgot his; all his sessions and API tokens end.

    Raises:
        NotFoundError: If there is none of this id.
        BadRequestError: If the password cannot be used.
    """
    user = get_user(context, user_id)
    policy = context.settings.password_policy
    problems = password_problems(password, policy, own=(user.email, user.name))
    if problems:
        raise BadRequestError(problems=problems)
    new_hash = hash_password(password)
    with context.catalog.transaction() as session:
        row = _found(session, user_id)
        row.password_hash = new_hash
        _end_everything(session, row, "password changed")
        audit.note(session, "password-changed", None, f"user/{row.id}")


def _check_numbers(change: UserChange) -> None:
    priority, max_runs = change.priority, change.max_runs
    if priority is not None and abs(priority) > MAX_PRIORITY:
        raise BadRequestError(f"The priority {priority} is not between {-MAX_PRIORITY} and {MAX_PRIORITY}.")
    if max_runs is not None and not 0 <= max_runs <= MAX_PRIORITY:
        raise BadRequestError(f"{max_runs} is no number of runs.")
    if problems := checked_days(change.retention_days or None, "retention_days"):
        raise BadRequestError(problems=problems)


def _apply(session: Session, user: User, change: UserChange) -> None:
    if change.role is not None:
        user.role = change.role
    if change.disabled is not None:
        user.disabled_at = (user.disabled_at or utc_now()) if change.disabled else None
    if change.disabled:
        _end_everything(session, user, "disabled")
    if change.priority is not None:
        user.priority = change.priority
    if change.max_runs is not None:
        user.max_runs = change.max_runs or None
    if change.retention_days is not None:
        user.retention_days = change.retention_days or None


def _end_everything(session: Session, user: User, reason: str) -> None:
    accounts.revoke_sessions_of(session, user.id, reason)
    api_tokens.remove_all(session, user.id)


def _found(session: Session, user_id: str, *, lock: bool = True) -> User:
    user = accounts.any_user(session, user_id, lock=lock) if ID_PATTERN.fullmatch(user_id) else None
    if user is None:
        raise NotFoundError("There is no such user.")
    return user


def _view(user: User) -> UserView:
    return UserView(
        id=user.id,
        email=user.email,
        name=user.name,
        role=user.role,
        disabled=user.disabled_at is not None,
        priority=user.priority,
        max_runs=user.max_runs,
        retention_days=user.retention_days,
        created_at=user.created_at,
    )
