"""Passwords: which ones may be chosen, their hashes, and whether one fits.

What belongs here: what holds for a password by itself. What does not: how often one may be tried (throttling.py), whose it is.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.resources import files
from typing import Literal

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from reportgen_dagster.errors import Problem, TooManyError
from reportgen_dagster.identity import new_secret

Policy = Literal["compat", "strict"]
MINIMUM_CHARACTERS: dict[Policy, int] = {
    "compat": 6,
    "strict": 15,
}  # the replaced service's clients use `pass123`
MAXIMUM_BYTES = 1024
MOST_AT_ONCE = 20
RETRY_SECONDS = 1
_STRICT_DIFFERENT = 5

_hashes = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1),))
# Hashing takes 19 MiB and a core for 30 ms: in each process sign-ins queue for two slots instead of taking the service along,
# and so few queue that the others of its 40 threads serve on.
_slots = threading.BoundedSemaphore(2)
_places = threading.BoundedSemaphore(MOST_AT_ONCE)


@contextmanager
def place() -> Iterator[None]:
    """Hold a place for hashing; take it before an attempt is counted, for who finds none has tried nothing.

    Raises:
        TooManyError: If too many are at it at this moment.
    """
    if not _places.acquire(blocking=False):
        raise TooManyError("Too many people sign in at this moment.", retry_seconds=RETRY_SECONDS)
    try:
        yield
    finally:
        _places.release()


def password_problems(
    password: str, policy: Policy, *, own: Collection[str] = (), path: str = "password"
) -> list[Problem]:
    """Return what is wrong with a password that somebody wants.

    Args:
        password: As he typed it.
        policy: `compat` takes what the replaced service took; `strict` wants a long one that others do not think of.
        own: His e-mail and name, which `strict` does not take.
        path: Where it stands in the request.
    """
    if len(password) < MINIMUM_CHARACTERS[policy]:
        return [Problem(f"must have at least {MINIMUM_CHARACTERS[policy]} characters", path=path)]
    if len(_normal(password)) > MAXIMUM_BYTES:
        return [Problem(f"must have at most {MAXIMUM_BYTES} bytes", path=path)]
    if policy == "strict" and _is_thought_of(password, own):
        message = (
            "is too easily thought of: a common password, your e-mail or name, or one with digits behind it"
        )
        return [Problem(message, path=path)]
    return []


def hash_password(password: str) -> str:
    """Return a password's hash (argon2id) with its salt and parameters."""
    with _slots:
        return _hashes.hash(_normal(password))


def verify_password(password: str, password_hash: str | None) -> tuple[bool, str | None]:
    """Tell whether a password fits a hash, and its new hash if that was made with other parameters than today's.

    Args:
        password: As somebody typed it.
        password_hash: None: there is no account. It takes as long, and nothing fits.
    """
    text = _normal(password)
    with _slots:
        if len(text) > MAXIMUM_BYTES:
            return False, None
        fits, new_hash = _hashes.verify_and_update(text, password_hash or _nobodys_hash())
    return fits and password_hash is not None, new_hash


def _normal(password: str) -> bytes:
    """Return a password's bytes, the same however a keyboard composes an accent."""
    return unicodedata.normalize("NFC", password).encode(errors="surrogatepass")


def _is_thought_of(password: str, own: Collection[str]) -> bool:
    folded = password.casefold()
    if len(set(folded)) < _STRICT_DIFFERENT:
        return True
    repeated = folded[: (folded * 2).find(folded, 1)]  # `abcabcabc` is `abc` again and again
    base = repeated.rstrip("0123456789!?.*#-_ ")
    known = _common() | {part for text in own for part in _parts(text.casefold())}
    return not known.isdisjoint((folded, repeated, base))


def _parts(text: str) -> tuple[str, ...]:
    return text, text.partition("@")[0], text.replace(" ", "")


@lru_cache(maxsize=1)
def _common() -> frozenset[str]:
    lines = files(__package__).joinpath("common_passwords.txt").read_text().splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))


@lru_cache(maxsize=1)
def _nobodys_hash() -> str:
    """Return a hash that no password fits, so that an unknown e-mail takes as long as a known one."""
    return _hashes.hash(new_secret())
