"""Use case: what whoever runs the service decides about its users: who goes first, how many runs at once, days kept.

Signing up and in is `accounts.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

from reportgen_dagster.catalog import accounts
from reportgen_dagster.catalog.tables import User
from reportgen_dagster.errors import BadRequestError, NotFoundError
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.retention import checked_days

MAX_PRIORITY = 1_000


@dataclass(frozen=True, slots=True)
class UserView:
    """A user as whoever runs the service sees him.

    Attributes:
        priority: Runs of a user with a higher one always go first; 0 unless it was changed.
        max_runs: How many of his runs work at the same time; None: what the service is set to.
        retention_days: For how many days his files are kept; None: what the service is set to.
    """

    id: str
    email: str
    name: str
    priority: int
    max_runs: int | None
    retention_days: int | None


def list_users(context: Context) -> list[UserView]:
    """Return all users by e-mail."""
    with context.catalog.transaction() as session:
        return [_view(user) for user in accounts.users(session)]


def change_user(
    context: Context,
    email: str,
    *,
    priority: int | None = None,
    max_runs: int | None = None,
    retention_days: int | None = None,
) -> UserView:
    """Change what is given and return the user. It counts for runs that wait already where the number at once is concerned.

    Args:
        context: The installation.
        email: Whose.
        priority: From -1000 to 1000.
        max_runs: At least 1; 0: what the service is set to.
        retention_days: At least 1; 0: what the service is set to.

    Raises:
        NotFoundError: If nobody has this e-mail.
        BadRequestError: If a number cannot be used.
    """
    if priority is not None and abs(priority) > MAX_PRIORITY:
        raise BadRequestError(f"The priority {priority} is not between {-MAX_PRIORITY} and {MAX_PRIORITY}.")
    if max_runs is not None and max_runs < 0:
        raise BadRequestError(f"{max_runs} is no number of runs.")
    if problems := checked_days(retention_days or None, "retention_days"):
        raise BadRequestError(problems=problems)
    with context.catalog.transaction() as session:
        found = accounts.users(session, email.strip().lower())
        if not found:
            raise NotFoundError(f"There is no user {email}.")
        user = found[0]
        if priority is not None:
            user.priority = priority
        if max_runs is not None:
            user.max_runs = max_runs or None
        if retention_days is not None:
            user.retention_days = retention_days or None
        return _view(user)


def _view(user: User) -> UserView:
    return UserView(user.id, user.email, user.name, user.priority, user.max_runs, user.retention_days)
