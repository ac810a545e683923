"""Accounts: register, sign in, refresh, sign out, and who a bearer token belongs to.

Access tokens are short JWTs that name a session; every use asks the catalog whether that session still lives, so signing
out acts at once. Refresh tokens are opaque, kept as digests and used once; a second use ends the session. HTTP does not
belong here.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt
from email_validator import EmailNotValidError, validate_email
from sqlalchemy.orm import Session as Transaction

from reportgen_dagster.catalog import accounts as catalog
from reportgen_dagster.catalog import api_tokens
from reportgen_dagster.catalog.tables import ADMIN, User
from reportgen_dagster.errors import AuthenticationError, BadRequestError, NotFoundError, Problem
from reportgen_dagster.identity import digest_text, new_id, new_secret
from reportgen_dagster.services import audit, throttling
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.keys import signing_key, valid_keys
from reportgen_dagster.services.opaque_tokens import api_token_digest, is_api_token
from reportgen_dagster.services.passwords import hash_password, password_problems, place, verify_password
from reportgen_dagster.services.throttling import Counter
from reportgen_dagster.services.tokens import MAXIMUM_CHARACTERS, TokenKind

ACCESS_LIFETIME = timedelta(minutes=10)
REFRESH_IDLE = timedelta(days=14)
SESSION_LIFETIME = timedelta(days=60)
REMEMBERED = timedelta(days=90)  # what is over, so that its owner finds it, and throttling knows his devices
NAME_MAXIMUM_CHARACTERS = 200

# What a call needs and a token may be good for: look and download; generate and cancel; upload, define, change, delete;
# administer the installation, which is for admins.
SCOPES = ("read", "run", "write", "admin")
SESSION_SCOPES = frozenset(("read", "run", "write"))

_ACCESS = TokenKind("at+jwt", "reportgen-api", ("sub", "sid", "jti", "iat", "nbf", "exp"))
_REFRESH_PREFIX = "rg_rt_"
_CLIENT_MAXIMUM_CHARACTERS = 255

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Account:
    """A user as the API shows one."""

    id: str
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session's tokens: `access` for the Authorization header, `refresh` for the next pair."""

    user: Account
    access: str
    refresh: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request comes from.

    Attributes:
        user_id: Whose things are meant.
        session_id: The session of an access token; empty for an API token, which is good for its scopes only.
        email: The user's address.
        name: The user's name.
        scopes: What may be done: of SCOPES.
        token_id: The API token; empty for an access token of a session.
    """

    user_id: str
    session_id: str
    email: str
    name: str
    scopes: frozenset[str] = SESSION_SCOPES
    token_id: str = ""


@dataclass(frozen=True, slots=True)
class Client:
    """What a sign-in tells about the program it came from; kept with the session for its owner to see."""

    user_agent: str = ""
    address: str = ""


@place()
def register(
    context: Context, *, email: str, name: str, password: str, client: Client | None = None
) -> SignedIn:
    """Make an account and sign in.

    Raises:
        BadRequestError: For an e-mail, name or password that cannot be used (all told at once) or a taken e-mail.
        TooManyError: If too many accounts were made from the client's address within the last hour, or too many people
            sign in at this moment.
    """
    come_from = client or Client()
    address, problems = _checked_email(email)
    problems += name_problems(name)
    problems += password_problems(password, context.settings.password_policy, own=(email, name))
    if problems:
        raise BadRequestError(problems=problems)
    limit = throttling.registrations(context.settings.registrations_per_hour)
    throttling.admit(context, throttling.by_address(limit, come_from.address))
    password_hash = hash_password(password)
    with context.catalog.transaction() as transaction:
        user = catalog.add_user(transaction, email=address, name=name.strip(), password_hash=password_hash)
        if user is None:
            raise BadRequestError(
                problems=[Problem("an account with this e-mail exists already", path="email")]
            )
        audit.note(transaction, "register", user.id, f"user/{user.id}")
        return _sign_in(context, transaction, user, come_from)


@place()
def login(context: Context, *, email: str, password: str, client: Client | None = None) -> SignedIn:
    """Sign in with e-mail and password.

    Raises:
        AuthenticationError: If they do not fit; one message and one duration whether the account exists or not.
        TooManyError: If too many people sign in at this moment, or it was tried too often, for this account or from this
            address. Who signed in from the same address with the same program before is counted by himself, so that
            nobody else can lock him out.
    """
    come_from = client or Client()
    address, _ = _checked_email(email)
    with context.catalog.reading() as session:
        user = catalog.find_user(session, address) if address else None
        known = _is_known(session, user.id if user else "", come_from)
    counters = _sign_in_counters(address or email.strip().lower(), come_from, known=known)
    thing = f"user/{user.id}" if user else ""
    attempt = throttling.admit(
        context, counters, tell=lambda session: audit.note(session, "sign-in-throttled", None, thing)
    )
    fits, new_hash = verify_password(password, user.password_hash if user else None)
    with context.catalog.transaction() as transaction:
        fresh = catalog.lock_user(transaction, user.id) if user and fits else None
        if user is not None and fresh is not None and fresh.password_hash == user.password_hash:
            throttling.take_back(transaction, attempt)
            throttling.forget(transaction, counters[0])
            if new_hash:
                catalog.set_password_hash(transaction, fresh.id, new_hash)
            return _sign_in(context, transaction, fresh, come_from)
        audit.note(transaction, "sign-in-refused", None, thing)
    _log.info("sign-in refused")
    raise AuthenticationError("E-mail or password is wrong.")


def refresh(context: Context, token: str, *, client: Client | None = None) -> SignedIn:
    """Exchange a refresh token for a new pair; the old one is used up.

    A token that was used before is in two hands, so its whole session ends.

    Raises:
        AuthenticationError: If the token is unknown, expired, revoked or used before.
        TooManyError: If too many unknown ones came from the client's address.
    """
    digest = digest_text(token) if len(token) <= MAXIMUM_CHARACTERS and token.isascii() else ""
    with context.catalog.transaction() as transaction:
        session_id = catalog.use_refresh_token(transaction, digest)
        user = catalog.user_of_session(transaction, session_id) if session_id else None
        if session_id and user:
            return _issue(context, transaction, user, session_id, parent_digest=digest)
        known = catalog.find_refresh_token(transaction, digest)
        if known and known.used_at:
            _end_stolen(transaction, known.session_id)
    if known is None:
        come_from = client or Client()
        throttling.admit(context, throttling.by_address(throttling.REFRESH, come_from.address))
    raise AuthenticationError("The refresh token is not valid; sign in again.")


def _end_stolen(transaction: Transaction, session_id: str) -> None:
    if catalog.revoke_session(transaction, session_id, "refresh token used twice"):
        audit.note(transaction, "refresh-reused", None, f"session/{session_id}")
        _log.warning("a refresh token was used twice; session %s ended", session_id)


def logout(context: Context, session_id: str) -> None:
    """End a session: its access and refresh tokens are refused from now on."""
    with context.catalog.transaction() as transaction:
        user = catalog.user_of_session(transaction, session_id)
        if catalog.revoke_session(transaction, session_id, catalog.LOGOUT):
            audit.note(transaction, "sign-out", user.id if user else None, f"session/{session_id}")


def authenticate(context: Context, bearer: str) -> Caller:
    """Return who a bearer token belongs to: an access token of a session, or an API token.

    Raises:
        AuthenticationError: If the token is malformed, forged, expired, of another kind, or its session is over.
    """
    if is_api_token(bearer):
        return _program(context, bearer)
    session_id, user_id = _read_access_token(bearer, valid_keys(context.settings))
    with context.catalog.reading() as session:
        user = catalog.user_of_session(session, session_id)
        if user is None or user.id != user_id:
            raise AuthenticationError("The session is over; sign in again.")
        return Caller(user.id, session_id, user.email, user.name, scopes_of(user))


def over_among(context: Context, callers: Collection[Caller]) -> set[Caller]:
    """Return those of callers who were let in before whose session or API token is over by now.

    Raises:
        UnavailableError: If the database is away.
    """
    with context.catalog.reading() as session:
        live = catalog.live_among(session, {one.session_id for one in callers})
        live |= api_tokens.good_among(session, {one.token_id for one in callers if one.token_id})
    return {one for one in callers if not live.intersection((one.session_id, one.token_id))}


def _program(context: Context, bearer: str) -> Caller:
    """Return the caller of an API token: its scopes, as far as its user still has them."""
    digest = api_token_digest(bearer)
    with context.catalog.transaction() as transaction:
        found = api_tokens.use(transaction, digest) if digest else None
        if found is None:
            raise AuthenticationError("The API token is not valid: unknown, expired or deleted.")
        token, user = found
        scopes = scopes_of(user) & frozenset(token.scopes)
        return Caller(user.id, "", user.email, user.name, scopes, token.id)


def scopes_of(user: User) -> frozenset[str]:
    """Return what a user may do at most."""
    return frozenset(SCOPES) if user.role == ADMIN else SESSION_SCOPES


def remove_old(context: Context) -> None:
    """Forget sessions and API tokens that have been over for long."""
    with context.catalog.transaction() as transaction:
        catalog.remove_over(transaction, REMEMBERED)
        api_tokens.remove_expired(transaction, REMEMBERED)


def account_of(context: Context, email: str | None) -> Account:
    """Return an account for whoever runs this installation and needs no password; without an e-mail the only one.

    Raises:
        NotFoundError: If there is no such account, or none at all.
        BadRequestError: If no e-mail is given and there are several.
    """
    with context.catalog.reading() as session:
        if email is not None:
            address, _ = _checked_email(email)
            user = catalog.find_user(session, address) if address else None
            users = [user] if user else []
        else:
            users = catalog.enabled_users(session, limit=2)
    if len(users) > 1:
        raise BadRequestError(
            "There are several accounts.", hint="Say whose things are meant, by the e-mail (`--user`)."
        )
    if not users:
        what = "There is no account yet." if email is None else f"There is no account {email}."
        raise NotFoundError(what, hint="Accounts are made over the API; README.md shows how.")
    return Account(users[0].id, users[0].email, users[0].name)


def _is_known(transaction: Transaction, user_id: str, client: Client) -> bool:
    """Tell whether a user signed in from there before; asked for nobody too, so that both take as long."""
    where = {
        "user_agent": client.user_agent[:_CLIENT_MAXIMUM_CHARACTERS],
        "address": client.address[:_CLIENT_MAXIMUM_CHARACTERS],
    }
    return bool(client.address) and catalog.is_known_device(transaction, user_id, **where)


def _sign_in_counters(email: str, client: Client, *, known: bool) -> list[Counter]:
    """Return what a sign-in counts for, its own first."""
    if known:
        return [Counter(throttling.DEVICE, f"{email} {client.address} {client.user_agent}")]
    by_address = throttling.by_address(throttling.ADDRESS, client.address)
    return [Counter(throttling.ACCOUNT, email), *by_address]


def _sign_in(context: Context, transaction: Transaction, user: User, client: Client) -> SignedIn:
    session_id = catalog.add_session(
        transaction,
        user.id,
        lifetime=SESSION_LIFETIME,
        user_agent=client.user_agent[:_CLIENT_MAXIMUM_CHARACTERS],
        address=client.address[:_CLIENT_MAXIMUM_CHARACTERS],
    )
    audit.note(transaction, "sign-in", user.id, f"session/{session_id}")
    return _issue(context, transaction, user, session_id, parent_digest=None)


def _issue(
    context: Context, transaction: Transaction, user: User, session_id: str, *, parent_digest: str | None
) -> SignedIn:
    token = f"{_REFRESH_PREFIX}{new_secret()}"
    catalog.add_refresh_token(
        transaction, session_id, digest=digest_text(token), parent_digest=parent_digest, idle=REFRESH_IDLE
    )
    return SignedIn(
        user=Account(id=user.id, email=user.email, name=user.name),
        access=_access_token(user.id, session_id, signing_key(context.settings)),
        refresh=token,
    )


def _access_token(user_id: str, session_id: str, key: bytes) -> str:
    now = datetime.now(UTC)
    claims = {
        "sub": user_id,
        "sid": session_id,
        "jti": new_id(),
        "iat": now,
        "nbf": now,
        "exp": now + ACCESS_LIFETIME,
    }
    return _ACCESS.sign(claims, key)


def _read_access_token(token: str, keys: list[bytes]) -> tuple[str, str]:
    """Return session id and user id of a genuine token."""
    try:
        claims = _ACCESS.read(token, keys)
    except jwt.ExpiredSignatureError:
        raise AuthenticationError(
            "The access token has expired; get a new one from /api/auth/refresh/."
        ) from None
    except jwt.InvalidTokenError:
        raise AuthenticationError("The access token is not valid.") from None
    return claims["sid"], claims["sub"]


def _checked_email(email: str) -> tuple[str, list[Problem]]:
    try:
        return validate_email(email, check_deliverability=False).normalized.lower(), []
    except EmailNotValidError as error:
        return "", [Problem(f"not a valid e-mail address: {error}", path="email")]


def name_problems(name: str) -> list[Problem]:
    """Return what is wrong with a name that somebody wants."""
    if not name.strip():
        return [Problem("must not be empty", path="name")]
    if len(name) > NAME_MAXIMUM_CHARACTERS:
        return [Problem(f"must have at most {NAME_MAXIMUM_CHARACTERS} characters", path="name")]
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return [Problem("must not contain control characters", path="name")]
    return []
