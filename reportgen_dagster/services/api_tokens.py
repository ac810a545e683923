"""Use case: API tokens: what a user's programs sign in with, each for some scopes and some days.

What belongs here: making, listing and deleting a user's own. What does not: telling whose a token is (accounts.py), its text
(opaque_tokens.py).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from reportgen_dagster.catalog import accounts, api_tokens
from reportgen_dagster.catalog.tables import ApiToken
from reportgen_dagster.errors import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    Problem,
)
from reportgen_dagster.identity import ID_PATTERN, digest_text
from reportgen_dagster.services import audit, cursors, idempotency
from reportgen_dagster.services.accounts import SCOPES, Caller
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.idempotency import Once
from reportgen_dagster.services.opaque_tokens import new_api_token

DEFAULT_DAYS = 90
MAX_DAYS = 365
MAX_TOKENS = 50
_MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class ApiTokenView:
    """A token as its user sees it; never its text.

    Attributes:
        id: Its id.
        name: What he calls it.
        scopes: What it is good for: of `accounts.SCOPES`.
        created_at: When it was made, aware.
        expires_at: Until when it is good, aware.
        last_used_at: When it was last used, to the minute; None: never.
    """

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


def make_token(
    context: Context,
    caller: Caller,
    *,
    name: str,
    scopes: Collection[str],
    days: int = DEFAULT_DAYS,
    once: Once | None = None,
) -> tuple[ApiTokenView, str]:
    """Make a token for a program of the caller's.

    Args:
        context: The installation.
        caller: Who asks; somebody signed in.
        name: What he calls it, different from his others.
        scopes: What it is good for; he must have them himself.
        days: For how long.
        once: The request that it is made for, if that may come again; its answer is kept without the text.

    Returns:
        The token, and its text, which is shown this once.

    Raises:
        BadRequestError: With everything that cannot be used.
        ConflictError: If he has one of this name, or as many as he may.
        AuthenticationError: If his session ended meanwhile.
    """
    plain = name.strip()
    problems = _problems(plain, scopes, days, caller)
    if problems:
        raise BadRequestError(problems=problems)
    text = new_api_token()
    with context.catalog.transaction() as session:
        # Whoever changes his password ends all tokens; one that is made at the same moment must not outlive it.
        accounts.lock_user(session, caller.user_id)
        if accounts.user_of_session(session, caller.session_id) is None:
            raise AuthenticationError("The session is over; sign in again.")
        if len(api_tokens.of_user(session, caller.user_id)) >= MAX_TOKENS:
            raise ConflictError(f"You have {MAX_TOKENS} tokens; delete one that is not needed any more.")
        token = api_tokens.add(
            session,
            caller.user_id,
            name=plain,
            digest=digest_text(text),
            scopes=[scope for scope in SCOPES if scope in scopes],
            lifetime=timedelta(days=days),
        )
        if token is None:
            raise ConflictError(f"You have a token called {plain} already.")
        audit.note(session, "token-made", caller.user_id, f"token/{token.id}")
        idempotency.note(session, once, _view(token))
        return _view(token), text


def page_of_tokens(
    context: Context, user_id: str, *, limit: int = 50, cursor: str | None = None
) -> tuple[list[ApiTokenView], str | None]:
    """Return a page of a user's tokens, expired ones too, the newest first, and the cursor of the next page.

    Raises:
        BadRequestError: If limit or cursor cannot be used.
    """
    cursors.check_limit(limit)
    after = cursors.decode(cursor) if cursor else None
    with context.catalog.reading() as session:
        found = api_tokens.page_of_user(session, user_id, after=after, limit=limit + 1)
        page, last = cursors.cut([_view(token) for token in found], limit)
    return page, cursors.encode(last.created_at, last.id) if last else None


def get_token(context: Context, user_id: str, token_id: str) -> ApiTokenView:
    """Return a token of a user's, without its text.

    Raises:
        NotFoundError: If he has none of this id.
    """
    with context.catalog.reading() as session:
        token = api_tokens.find(session, user_id, token_id) if ID_PATTERN.fullmatch(token_id) else None
        if token is None:
            raise NotFoundError("You have no such token.")
        return _view(token)


def delete_token(context: Context, user_id: str, token_id: str) -> None:
    """Delete a token of a user's: it is refused from now on.

    Raises:
        NotFoundError: If he has none of this id.
    """
    with context.catalog.transaction() as session:
        if not ID_PATTERN.fullmatch(token_id) or api_tokens.remove(session, user_id, token_id) is None:
            raise NotFoundError("You have no such token.")
        audit.note(session, "token-deleted", user_id, f"token/{token_id}")


def _problems(name: str, scopes: Collection[str], days: int, caller: Caller) -> list[Problem]:
    found = []
    if not name or len(name) > _MAX_NAME or not name.isprintable():
        found.append(Problem(f"1 to {_MAX_NAME} printable characters are needed", path="name"))
    if not scopes or not set(scopes) <= caller.scopes:
        yours = ", ".join(scope for scope in SCOPES if scope in caller.scopes)
        found.append(Problem(f"one or more of those that you have are needed: {yours}", path="scopes"))
    if not 1 <= days <= MAX_DAYS:
        found.append(Problem(f"1 to {MAX_DAYS} are possible", path="days"))
    return found


def _view(token: ApiToken) -> ApiTokenView:
    return ApiTokenView(
        id=token.id,
        name=token.name,
        scopes=tuple(token.scopes),
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
    )
