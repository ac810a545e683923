"""JSON Web Tokens of ours: signing one, and telling a genuine one from all others.

What belongs here: what PyJWT leaves to us (RFC 8725): one literal algorithm, a bound of the length, `typ`, `kid`, the kinds of
claims. What does not: keys, and what a kind of token is good for (accounts.py, links.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jwt

MAXIMUM_CHARACTERS = 4096
CLOCK_LEEWAY = timedelta(seconds=10)

_ALGORITHM = "HS256"
_ISSUER = "reportgen"
_TIMES = ("iat", "exp", "nbf")


@dataclass(frozen=True, slots=True)
class TokenKind:
    """A kind of token; one of another kind is none.

    Attributes:
        type: Its `typ`.
        audience: Its `aud`.
        claims: What it must have beside `iss` and `aud`: times as numbers, all else as texts that are not empty.
    """

    type: str
    audience: str
    claims: tuple[str, ...]

    def sign(self, claims: Mapping[str, object], key: bytes) -> str:
        """Return a token with these claims."""
        headers = {"typ": self.type, "kid": key_id(key)}
        told = {"iss": _ISSUER, "aud": self.audience, **claims}
        return jwt.encode(told, key, algorithm=_ALGORITHM, headers=headers)

    def read(self, token: str, key: bytes) -> dict[str, Any]:
        """Return the claims of a genuine token.

        Raises:
            jwt.ExpiredSignatureError: If it was one, and its time is over.
            jwt.InvalidTokenError: If it is none.
        """
        if len(token) > MAXIMUM_CHARACTERS:
            raise jwt.InvalidTokenError("too long")
        read = jwt.decode_complete(
            token,
            key,
            algorithms=[_ALGORITHM],
            audience=self.audience,
            issuer=_ISSUER,
            leeway=CLOCK_LEEWAY,
            options={"require": ["iss", "aud", *self.claims], "enforce_minimum_key_length": True},
        )
        header, claims = read["header"], read["payload"]
        is_of_kind = header.get("typ") == self.type and header.get("kid") == key_id(key)
        if not is_of_kind or not all(_is_sound(name, claims[name]) for name in self.claims):
            raise jwt.InvalidTokenError("not of this kind")
        return dict(claims)


def key_id(key: bytes) -> str:
    """Return the `kid` of a key."""
    return hashlib.sha256(b"kid" + key).hexdigest()[:16]


def _is_sound(name: str, value: object) -> bool:
    return type(value) is int if name in _TIMES else isinstance(value, str) and bool(value)
