"""The keys that tokens are signed with: which one signs, which are still believed, and changing them.

They come from SECRET_KEY (and SECRET_KEY_PREVIOUS), else from the home: one secret in `secret_key`, made on first start, and from
the first rotation on several in `signing_keys.json`. Every use looks whether that file changed, so all gateways on a home see a
rotation at once. What belongs here: secrets and their times. What does not: tokens (tokens.py).
"""

from __future__ import annotations

import fcntl
import hmac
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from reportgen_dagster.errors import ConflictError, NotFoundError
from reportgen_dagster.identity import new_id, new_secret, utc_now
from reportgen_dagster.services import audit
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.tokens import key_id
from reportgen_dagster.settings import MINIMUM_SECRET_BYTES, Settings

ALGORITHM = "HS256"
ACCESS = "access token"
SPREAD = timedelta(seconds=10)  # a new key signs only after it had time to reach every gateway's file system
OVERLAP = timedelta(days=1)  # for so long the old one is believed: longer than any token of ours lives
SECRET, SEVERAL = FILES = ("secret_key", "signing_keys.json")  # in the home
_ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A secret that keys are derived from, one for each purpose.

    Attributes:
        secret: At least 32 random bytes, as text.
        not_before: From when on it signs, aware.
        retire_at: From when on it is not believed any more; None: no end is set.
    """

    secret: str
    not_before: datetime
    retire_at: datetime | None = None

    @property
    def kid(self) -> str:
        """Its `kid` in access tokens."""
        return key_id(self.derived(ACCESS))

    def derived(self, purpose: str) -> bytes:
        """Return the key of a purpose."""
        return hmac.digest(self.secret.encode(), f"reportgen {purpose}".encode(), "sha256")

    def is_retired(self, now: datetime) -> bool:
        """Tell whether it is not believed any more."""
        return self.retire_at is not None and self.retire_at <= now


def signing_key(settings: Settings, purpose: str = ACCESS) -> bytes:
    """Return the key that signs tokens of a purpose now: the newest that is active.

    Raises:
        ValueError: If a file holds what is no key.
    """
    return signing(list_keys(settings)).derived(purpose)


def valid_keys(settings: Settings, purpose: str = ACCESS) -> list[bytes]:
    """Return the keys whose tokens of a purpose are believed now.

    Raises:
        ValueError: If a file holds what is no key.
    """
    now = utc_now()
    return [key.derived(purpose) for key in list_keys(settings) if not key.is_retired(now)]


def list_keys(settings: Settings) -> Sequence[SigningKey]:
    """Return the keys, the newest first; those of the settings where they name one.

    Raises:
        ValueError: If a file holds what is no key.
    """
    if settings.secret_key is None:
        return _kept(settings.home)
    current = SigningKey(settings.secret_key.get_secret_value(), _ALWAYS)
    previous = settings.secret_key_previous
    return [current, *([SigningKey(previous.get_secret_value(), _ALWAYS)] if previous else [])]


def rotate(context: Context) -> SigningKey:
    """Make a new key that signs from ten seconds on; the others are believed for a day more. Nobody is signed out.

    Raises:
        ConflictError: If the keys come from the settings.
        UnavailableError: If the database is away, so that it could not be noted; nothing is changed then.
    """
    with context.catalog.transaction() as session, _changing(context.settings) as home:
        begins = utc_now() + SPREAD
        new = SigningKey(new_secret(), begins)
        audit.note(session, "key-rotated", None, f"key/{new.kid}")
        session.flush()
        old = [replace(key, retire_at=key.retire_at or begins + OVERLAP) for key in _kept(home)]
        _write(home, [new, *(key for key in old if not key.is_retired(begins))])
    return new


def retire(context: Context, kid: str) -> None:
    """Let a key not be believed from now on, as after it leaked: what it signed is refused, refresh tokens stay good.

    Raises:
        NotFoundError: If there is no such key.
        ConflictError: If no other one could sign, or the keys come from the settings.
        UnavailableError: If the database is away, so that it could not be noted; nothing is changed then.
    """
    with context.catalog.transaction() as session, _changing(context.settings) as home:
        now, kept = utc_now(), _kept(home)
        if kid not in {key.kid for key in kept}:
            raise NotFoundError(f"There is no key {kid}.", hint="`reportgen keys list` shows them.")
        stays = any(key.retire_at is None for key in kept if key.kid != kid)
        if kid == signing(kept).kid or not stays:
            raise ConflictError(
                f"The key {kid} is needed to sign.",
                hint=f"`reportgen keys rotate` makes a new one; {SPREAD.seconds} seconds later this one can go.",
            )
        audit.note(session, "key-retired", None, f"key/{kid}")
        session.flush()
        _write(home, [replace(key, retire_at=now) if key.kid == kid else key for key in kept])


def signing(keys: Sequence[SigningKey]) -> SigningKey:
    """Return which of the keys signs: the newest that has begun and is believed."""
    now = utc_now()
    return next((key for key in keys if key.not_before <= now and not key.is_retired(now)), keys[-1])


@contextmanager
def _changing(settings: Settings) -> Iterator[Path]:
    """Let nobody else change the keys of the home meanwhile."""
    if settings.secret_key is not None:
        raise ConflictError(
            "The key is REPORTGEN_SECRET_KEY, so it is changed there.",
            hint="docs/accounts.md tells how, with REPORTGEN_SECRET_KEY_PREVIOUS.",
        )
    _kept(settings.home)
    folder = os.open(settings.home, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield settings.home
        os.fsync(folder)
    finally:
        os.close(folder)


def _kept(home: Path) -> Sequence[SigningKey]:
    path = home / SEVERAL
    try:
        state = path.stat()
    except FileNotFoundError:
        return [SigningKey(_kept_secret(home / SECRET), _ALWAYS)]
    return _read(path, state.st_ino, state.st_mtime_ns)


@lru_cache(maxsize=8)
def _read(path: Path, _inode: int, _changed_ns: int) -> Sequence[SigningKey]:
    try:
        found = [
            SigningKey(
                one["secret"],
                datetime.fromisoformat(one["not_before"]),
                datetime.fromisoformat(one["retire_at"]) if one["retire_at"] else None,
            )
            for one in json.loads(path.read_text())["keys"]
            if one["alg"] == ALGORITHM
        ]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path.name} does not hold keys as `reportgen keys rotate` writes them") from None
    if not found or any(len(key.secret.encode()) < MINIMUM_SECRET_BYTES for key in found):
        raise ValueError(f"{path.name} must hold keys of at least {MINIMUM_SECRET_BYTES} random bytes")
    return sorted(found, key=lambda key: key.not_before, reverse=True)


def _write(home: Path, keys: Sequence[SigningKey]) -> None:
    told = [
        {
            "kid": key.kid,
            "alg": ALGORITHM,
            "secret": key.secret,
            "not_before": key.not_before.isoformat(),
            "retire_at": key.retire_at.isoformat() if key.retire_at else None,
        }
        for key in keys
    ]
    path = home / SEVERAL
    _new_file(path, json.dumps({"keys": told}, indent=2)).replace(path)


def _kept_secret(path: Path) -> str:
    """Read the secret, making it first if need be; of two processes that make it at once, one wins for both."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = _new_file(path, new_secret())
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


def _new_file(path: Path, text: str) -> Path:
    """Write a text durably beside a path, for nobody else to read; return where."""
    made = path.with_name(f"{path.name}.{new_id()}")
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return made
