"""The tokens of a client and where they are kept. How they are renewed is told by connection.py.

A refresh token works once, and a second use ends the session. So whoever renews holds the store's lock, and looks first whether
another thread or process did it meanwhile. A store of your own, for a keyring or a database, needs the three methods of
`TokenStore`.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

_USED_UP = (
    0.8  # the part of its life after which an access token is renewed before a call, not after a refusal
)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a caller is known by.

    Attributes:
        access: Goes with every call.
        refresh: Buys a new pair, once; empty for an API token, which lasts until it is revoked.
        renew_at: Seconds since 1970, by this machine's clock, from which on a new pair is bought before a call; None: never.
    """

    access: str
    refresh: str = ""
    renew_at: float | None = None

    @classmethod
    def of_pair(cls, access: str, refresh: str) -> Tokens:
        """Return a pair that was issued just now."""
        lifetime = _lifetime_seconds(access)
        return cls(access, refresh, None if lifetime is None else time.time() + lifetime * _USED_UP)


class TokenStore(Protocol):
    """Keeps the tokens of one account on one service."""

    def read(self) -> Tokens | None:
        """Return the tokens; None if nobody is signed in."""

    def write(self, tokens: Tokens | None) -> None:
        """Keep new tokens in the place of the old ones; None: nobody is signed in any more."""

    def exclusive(self) -> AbstractContextManager[object]:
        """Return a lock against everybody else who may renew these tokens."""


class TokensInMemory:
    """Keeps tokens as long as the client lives; threads may share it."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        """Begin with tokens, or with nobody signed in."""
        self._tokens = tokens
        self._lock = threading.Lock()

    def read(self) -> Tokens | None:
        """Return the tokens; None if nobody is signed in."""
        return self._tokens

    def write(self, tokens: Tokens | None) -> None:
        """Keep new tokens in the place of the old ones."""
        self._tokens = tokens

    def exclusive(self) -> AbstractContextManager[object]:
        """Return a lock against the other threads."""
        return self._lock


def _lifetime_seconds(access: str) -> float | None:
    """Return how long a token lives by its own account; None if it does not say.

    The difference of its two times counts, so it does not matter whether this machine's clock is right.
    """
    try:
        payload = access.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"]) - float(claims["iat"])
    except (IndexError, ValueError, KeyError, TypeError):
        return None
