"""Accounts: register, sign in, refresh, sign out, and who a bearer token belongs to.

Access tokens are short JWTs that name a session; every use asks the catalog whether that session still lives, so signing
out acts at once. Refresh tokens are opaque, kept as digests and used once; a second use ends the session. HTTP does not
belong here.
"""

from __future__ import annotations

import hmac
import logging
import os
import threading
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import jwt
from email_validator import EmailNotValidError, validate_email
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy.orm import Session as Transaction

from reportgen_dagster.catalog import accounts as catalog
from reportgen_dagster.catalog.tables import ADMIN, User
from reportgen_dagster.errors import AuthenticationError, BadRequestError, NotFoundError, Problem
from reportgen_dagster.identity import digest_text, new_id, new_secret
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.tokens import MAXIMUM_CHARACTERS, TokenKind
from reportgen_dagster.settings import MINIMUM_SECRET_BYTES, Settings

ACCESS_LIFETIME = timedelta(minutes=10)
REFRESH_IDLE = timedelta(days=14)
SESSION_LIFETIME = timedelta(days=60)
PASSWORD_MINIMUM_CHARACTERS = 6  # the replaced service's clients use `pass123`
PASSWORD_MAXIMUM_BYTES = 1024
NAME_MAXIMUM_CHARACTERS = 200

# What a call needs and a token may be good for: look and download; generate and cancel; upload, define, change, delete;
# administer the installation, which is for admins.
SCOPES = ("read", "run", "write", "admin")
SESSION_SCOPES = frozenset(("read", "run", "write"))

_ACCESS = TokenKind("at+jwt", "reportgen-api", ("sub", "sid", "jti", "iat", "nbf", "exp"))
_REFRESH_PREFIX = "rg_rt_"
_CLIENT_MAXIMUM_CHARACTERS = 255

_passwords = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1),))
# Hashing takes 19 MiB and a core for 30 ms: sign-ins queue for two places instead of taking the service along.
_hash_slots = threading.BoundedSemaphore(2)
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
    """

    user_id: str
    session_id: str
    email: str
    name: str
    scopes: frozenset[str] = SESSION_SCOPES


@dataclass(frozen=True, slots=True)
class Client:
    """What a sign-in tells about the program it came from; kept with the session for its owner to see."""

    user_agent: str = ""
    address: str = ""


def register(
    context: Context, *, email: str, name: str, password: str, client: Client | None = None
) -> SignedIn:
    """Make an account and sign in.

    Raises:
        BadRequestError: For an e-mail, name or password that cannot be used (all told at once) or a taken e-mail.
    """
    address, problems = _checked_email(email)
    problems += _name_problems(name) + _password_problems(password)
    if problems:
        raise BadRequestError(problems=problems)
    with _hash_slots:
        password_hash = _passwords.hash(_normal(password))
    with context.catalog.transaction() as transaction:
        user = catalog.add_user(transaction, email=address, name=name.strip(), password_hash=password_hash)
        if user is None:
            raise BadRequestError(
                problems=[Problem("an account with this e-mail exists already", path="email")]
            )
        return _sign_in(context, transaction, user, client or Client())


def login(context: Context, *, email: str, password: str, client: Client | None = None) -> SignedIn:
    """Sign in with e-mail and password.

    Raises:
        AuthenticationError: If they do not fit; one message and one duration whether the account exists or not.
    """
    address, _ = _checked_email(email)
    with context.catalog.transaction() as transaction:
        user = catalog.find_user(transaction, address) if address else None
        known_hash = user.password_hash if user else None
    with _hash_slots:
        fits, new_hash = _verify(password, known_hash or _nobodys_hash())
    if user is None or not fits:
        _log.info("sign-in refused")
        raise AuthenticationError("E-mail or password is wrong.")
    with context.catalog.transaction() as transaction:
        if new_hash:
            catalog.set_password_hash(transaction, user.id, new_hash)
        return _sign_in(context, transaction, user, client or Client())


def refresh(context: Context, token: str) -> SignedIn:
    """Exchange a refresh token for a new pair; the old one is used up.

    A token that was used before is in two hands, so its whole session ends.

    Raises:
        AuthenticationError: If the token is unknown, expired, revoked or used before.
    """
    digest = digest_text(token) if len(token) <= MAXIMUM_CHARACTERS and token.isascii() else ""
    with context.catalog.transaction() as transaction:
        session_id = catalog.use_refresh_token(transaction, digest)
        user = catalog.user_of_session(transaction, session_id) if session_id else None
        if session_id and user:
            return _issue(context, transaction, user, session_id, parent_digest=digest)
        stolen = catalog.session_of_used_token(transaction, digest)
        if stolen:
            catalog.revoke_session(transaction, stolen, "refresh token used twice")
            _log.warning("a refresh token was used twice; session %s ended", stolen)
    raise AuthenticationError("The refresh token is not valid; sign in again.")


def logout(context: Context, session_id: str) -> None:
    """End a session: its access and refresh tokens are refused from now on."""
    with context.catalog.transaction() as transaction:
        catalog.revoke_session(transaction, session_id, "logout")


def authenticate(context: Context, access_token: str) -> Caller:
    """Return who an access token belongs to.

    Raises:
        AuthenticationError: If the token is malformed, forged, expired, of another kind, or its session is over.
    """
    session_id, user_id = _read_access_token(access_token, signing_key(context.settings))
    with context.catalog.transaction() as transaction:
        user = catalog.user_of_session(transaction, session_id)
        if user is None or user.id != user_id:
            raise AuthenticationError("The session is over; sign in again.")
        scopes = frozenset(SCOPES) if user.role == ADMIN else SESSION_SCOPES
        return Caller(user.id, session_id, user.email, user.name, scopes)


@lru_cache(maxsize=4)
def account_of(context: Context, email: str | None) -> Account:
    """Return an account for whoever runs this installation and needs no password; without an e-mail the only one.

    Raises:
        NotFoundError: If there is no such account, or none at all.
        BadRequestError: If no e-mail is given and there are several.
    """
    with context.catalog.transaction() as transaction:
        if email is not None:
            address, _ = _checked_email(email)
            user = catalog.find_user(transaction, address) if address else None
            users = [user] if user else []
        else:
            users = catalog.enabled_users(transaction, limit=2)
    if len(users) > 1:
        raise BadRequestError(
            "There are several accounts.", hint="Say whose things are meant, by the e-mail (`--user`)."
        )
    if not users:
        what = "There is no account yet." if email is None else f"There is no account {email}."
        raise NotFoundError(what, hint="Accounts are made over the API; README.md shows how.")
    return Account(users[0].id, users[0].email, users[0].name)


def signing_key(settings: Settings, purpose: str = "access token") -> bytes:
    """Return the key of a purpose, derived from SECRET_KEY or from HOME/secret_key, which is made when missing.

    Raises:
        ValueError: If the file holds less than 32 bytes.
    """
    if settings.secret_key is not None:
        secret = settings.secret_key.get_secret_value()
    else:
        secret = _kept_secret(settings.home / "secret_key")
    return hmac.digest(secret.encode(), f"reportgen {purpose}".encode(), "sha256")


def _kept_secret(path: Path) -> str:
    """Read the secret, making it first if need be; of two processes that make it at once, one wins for both."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_name(f"{path.name}.{new_id()}")
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(new_secret())
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(made)
        except FileExistsError:
            _log.debug("another process made the key first")
        made.unlink()
    secret = path.read_text().strip()
    if len(secret.encode()) < MINIMUM_SECRET_BYTES:
        raise ValueError(
            f"{path.name} must hold at least {MINIMUM_SECRET_BYTES} random bytes; remove it to get a new one"
        )
    return secret


def _sign_in(context: Context, transaction: Transaction, user: User, client: Client) -> SignedIn:
    session_id = catalog.add_session(
        transaction,
        user.id,
        lifetime=SESSION_LIFETIME,
        user_agent=client.user_agent[:_CLIENT_MAXIMUM_CHARACTERS],
        address=client.address[:_CLIENT_MAXIMUM_CHARACTERS],
    )
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


def _read_access_token(token: str, key: bytes) -> tuple[str, str]:
    """Return session id and user id of a genuine token."""
    try:
        claims = _ACCESS.read(token, key)
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


def _name_problems(name: str) -> list[Problem]:
    if not name.strip():
        return [Problem("must not be empty", path="name")]
    if len(name) > NAME_MAXIMUM_CHARACTERS:
        return [Problem(f"must have at most {NAME_MAXIMUM_CHARACTERS} characters", path="name")]
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return [Problem("must not contain control characters", path="name")]
    return []


def _password_problems(password: str) -> list[Problem]:
    if len(password) < PASSWORD_MINIMUM_CHARACTERS:
        return [Problem(f"must have at least {PASSWORD_MINIMUM_CHARACTERS} characters", path="password")]
    if len(_normal(password)) > PASSWORD_MAXIMUM_BYTES:
        return [Problem(f"must have at most {PASSWORD_MAXIMUM_BYTES} bytes", path="password")]
    return []


def _normal(password: str) -> bytes:
    """Return a password's bytes, the same however a keyboard composes an accent."""
    return unicodedata.normalize("NFC", password).encode(errors="surrogatepass")


def _verify(password: str, password_hash: str) -> tuple[bool, str | None]:
    text = _normal(password)
    if len(text) > PASSWORD_MAXIMUM_BYTES:
        return False, None
    return _passwords.verify_and_update(text, password_hash)


@lru_cache(maxsize=1)
def _nobodys_hash() -> str:
    """Return a hash that no password fits, so that an unknown e-mail takes as long as a known one."""
    return _passwords.hash(new_secret())
