"""Use case: what somebody does with his own account: look at it, change name and password, see and end his sessions.

What belongs here: what takes effect for the caller alone. What does not: signing in and out (accounts.py), his programs' tokens
(api_tokens.py), what admins do (users.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reportgen_dagster.catalog import accounts, api_tokens
from reportgen_dagster.catalog.tables import Session, User
from reportgen_dagster.errors import AuthenticationError, BadRequestError, NotFoundError, Problem
from reportgen_dagster.identity import ID_PATTERN
from reportgen_dagster.services import audit, cursors, throttling
from reportgen_dagster.services.accounts import SCOPES, Caller, name_problems
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.passwords import hash_password, password_problems, place, verify_password
from reportgen_dagster.services.preconditions import WHATEVER, Precondition, fingerprint
from reportgen_dagster.services.throttling import Counter


@dataclass(frozen=True, slots=True)
class MeView:
    """The caller's account.

    Attributes:
        id: Its id.
        email: The address, lower case.
        name: The name.
        role: `user` or `admin`.
        scopes: What this very token may do.
        created_at: When it was made, aware.
    """

    id: str
    email: str
    name: str
    role: str
    scopes: tuple[str, ...]
    created_at: datetime

    @property
    def fingerprint(self) -> str:
        """What changes with any of it."""
        return fingerprint(self)


@dataclass(frozen=True, slots=True)
class SessionView:
    """A sign-in that is still good.

    Attributes:
        id: Its id.
        created_at: When it began, aware.
        last_used_at: When its refresh token was last used, aware.
        expires_at: When it ends at the latest, aware.
        user_agent: The program, as it called itself.
        address: Where it came from.
        is_current: Whether it is the caller's own.
    """

    id: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    user_agent: str
    address: str
    is_current: bool


def get_me(context: Context, caller: Caller) -> MeView:
    """Return the caller's account.

    Raises:
        AuthenticationError: If it was disabled meanwhile.
    """
    with context.catalog.reading() as session:
        user = accounts.find_user_by_id(session, caller.user_id)
        if user is None:
            raise _over()
        return _view(user, caller)


def rename_me(context: Context, caller: Caller, name: str, *, expected: Precondition = WHATEVER) -> MeView:
    """Change the caller's name.

    Raises:
        PreconditionError: If the account is not as it is expected to be.
        BadRequestError: If it cannot be used.
        AuthenticationError: If the account was disabled meanwhile.
    """
    problems = name_problems(name)
    if problems:
        raise BadRequestError(problems=problems)
    with context.catalog.transaction() as session:
        user = accounts.lock_user(session, caller.user_id)
        if user is None:
            raise _over()
        expected.check(_view(user, caller).fingerprint)
        user.name = name.strip()
        return _view(user, caller)


@place()
def change_password(context: Context, caller: Caller, *, old: str, new: str) -> None:
    """Change the caller's password. His other sessions and all his API tokens end at once.

    Raises:
        BadRequestError: If the old one does not fit, or the new one cannot be used.
        TooManyError: If the old one was wrong too often, or too many people sign in at this moment.
        AuthenticationError: If the session ended meanwhile.
    """
    own = (caller.email, caller.name)
    problems = password_problems(new, context.settings.password_policy, own=own, path="new")
    if problems:
        raise BadRequestError(problems=problems)
    counter = Counter(throttling.DEVICE, f"password of {caller.user_id}")
    thing = f"user/{caller.user_id}"
    throttling.admit(
        context,
        [counter],
        tell=lambda session: audit.note(session, "password-throttled", caller.user_id, thing),
    )
    with context.catalog.reading() as session:
        user = accounts.find_user_by_id(session, caller.user_id)
        known_hash = user.password_hash if user else None
    fits, _ = verify_password(old, known_hash)
    if not fits:
        with context.catalog.transaction() as session:
            audit.note(session, "password-refused", caller.user_id, thing)
        raise BadRequestError(problems=[Problem("is not your password", path="old")])
    new_hash = hash_password(new)
    with context.catalog.transaction() as session:
        user = accounts.lock_user(session, caller.user_id)
        live = accounts.user_of_session(session, caller.session_id)
        if user is None or live is None or user.password_hash != known_hash:
            raise _over()
        user.password_hash = new_hash
        throttling.forget(session, counter)
        accounts.revoke_sessions_of(session, user.id, "password changed", but=caller.session_id)
        api_tokens.remove_all(session, user.id)
        audit.note(session, "password-changed", user.id, thing)


def page_of_sessions(
    context: Context, caller: Caller, *, limit: int = 50, cursor: str | None = None
) -> tuple[list[SessionView], str | None]:
    """Return a page of the caller's sessions that are still good, the last used first, and the cursor of the next page.

    Raises:
        BadRequestError: If limit or cursor cannot be used.
    """
    cursors.check_limit(limit)
    after = cursors.decode(cursor) if cursor else None
    with context.catalog.reading() as session:
        found = accounts.live_sessions(session, caller.user_id, after=after, limit=limit + 1)
        page, last = cursors.cut([_session(one, caller) for one in found], limit)
    return page, cursors.encode(last.last_used_at, last.id) if last else None


def end_session(context: Context, caller: Caller, session_id: str) -> None:
    """End a session of the caller's, perhaps this very one.

    Raises:
        NotFoundError: If he has none of this id.
    """
    with context.catalog.transaction() as session:
        found = ID_PATTERN.fullmatch(session_id) and accounts.revoke_session_of(
            session, caller.user_id, session_id, "ended by its user"
        )
        if not found:
            raise NotFoundError("You have no such session.")
        audit.note(session, "session-ended", caller.user_id, f"session/{session_id}")


def end_all_sessions(context: Context, caller: Caller) -> int:
    """End all sessions of the caller's, this one too; API tokens stay. Return how many it were."""
    with context.catalog.transaction() as session:
        accounts.lock_user(session, caller.user_id)
        count = accounts.revoke_sessions_of(session, caller.user_id, "ended by its user")
        audit.note(session, "session-ended", caller.user_id, f"user/{caller.user_id}")
        return count


def _over() -> AuthenticationError:
    return AuthenticationError("The session is over; sign in again.")


def _view(user: User, caller: Caller) -> MeView:
    return MeView(
        id=user.id,
        email=user.email,
        name=user.name,
        role=user.role,
        scopes=tuple(scope for scope in SCOPES if scope in caller.scopes),
        created_at=user.created_at,
    )


def _session(one: Session, caller: Caller) -> SessionView:
    return SessionView(
        id=one.id,
        created_at=one.created_at,
        last_used_at=one.last_used_at,
        expires_at=one.expires_at,
        user_agent=one.user_agent,
        address=one.address,
        is_current=one.id == caller.session_id,
    )
