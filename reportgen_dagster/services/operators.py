"""Use case: operators sign in to the Dagster UI, which knows no users itself.

What belongs here: who may (admins), for how long, and the token that says so. What does not: cookies and pages
(api_gateway/operators/), passwords (accounts.py). The token is of a kind and key of its own: the API does not take it, and an
access token does not open the UI. It ends with its session, and with its owner's role.
"""

from __future__ import annotations

from datetime import timedelta

import jwt

from reportgen_dagster.catalog import accounts as catalog
from reportgen_dagster.catalog.tables import ADMIN
from reportgen_dagster.errors import AuthenticationError, ForbiddenError
from reportgen_dagster.identity import new_id, utc_now
from reportgen_dagster.services import accounts
from reportgen_dagster.services.accounts import Account, Client
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.keys import signing_key, valid_keys
from reportgen_dagster.services.tokens import TokenKind

LIFETIME = timedelta(hours=12)

_OPERATOR = TokenKind("op+jwt", "reportgen-operators", ("sub", "sid", "jti", "iat", "exp"))
_PURPOSE = "operator token"


def sign_in(context: Context, *, email: str, password: str, client: Client | None = None) -> str:
    """Begin a session of LIFETIME and return the token that opens the Dagster UI.

    Raises:
        AuthenticationError: If e-mail and password do not fit.
        TooManyError: If there were too many attempts.
        ForbiddenError: If the account is no admin's; nothing of the session is left then.
    """
    signed_in = accounts.login(context, email=email, password=password, client=client)
    caller = accounts.authenticate(context, signed_in.access)
    if "admin" not in caller.scopes:
        accounts.logout(context, caller.session_id)
        raise ForbiddenError("The Dagster UI is for admins, and this account is none.")
    with context.catalog.transaction() as transaction:
        catalog.shorten_session(transaction, caller.session_id, LIFETIME)
    now = utc_now()
    claims = {
        "sub": caller.user_id,
        "sid": caller.session_id,
        "jti": new_id(),
        "iat": now,
        "exp": now + LIFETIME,
    }
    return _OPERATOR.sign(claims, signing_key(context.settings, _PURPOSE))


def operator_of(context: Context, token: str) -> Account:
    """Return the admin that a token belongs to.

    Raises:
        AuthenticationError: If it is none of ours or expired, its session is over, or its owner is no admin any more.
    """
    _, account = _read(context, token)
    return account


def sign_out(context: Context, token: str) -> None:
    """End the session of a token.

    Raises:
        AuthenticationError: As `operator_of`.
    """
    session_id, _ = _read(context, token)
    accounts.logout(context, session_id)


def _read(context: Context, token: str) -> tuple[str, Account]:
    try:
        claims = _OPERATOR.read(token, valid_keys(context.settings, _PURPOSE))
    except jwt.InvalidTokenError:
        raise AuthenticationError("Sign in to see the Dagster UI.") from None
    with context.catalog.reading() as session:
        user = catalog.user_of_session(session, claims["sid"])
        if user is None or user.id != claims["sub"] or user.role != ADMIN:
            raise AuthenticationError("The session is over; sign in again.")
        return claims["sid"], Account(user.id, user.email, user.name)
