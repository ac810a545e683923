"""JSON Web Tokens of ours: signing one, and telling a genuine one from all others.

What belongs here: what PyJWT leaves to us (RFC 8725): one literal algorithm, a bound of the length, a header of nothing but
`alg`, `kid` and `typ`, no name twice, the kinds of claims. What does not: keys (keys.py), and what a kind of token is good for
(accounts.py, links.py).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Mapping
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
        claims: What it must have beside `iss` and `aud`: times as numbers, all else as printable texts that are not empty.
    """

    type: str
    audience: str
    claims: tuple[str, ...]

    def sign(self, claims: Mapping[str, object], key: bytes) -> str:
        """Return a token with these claims."""
        headers = {"typ": self.type, "kid": key_id(key)}
        told = {"iss": _ISSUER, "aud": self.audience, **claims}
        return jwt.encode(told, key, algorithm=_ALGORITHM, headers=headers)

    def read(self, token: str, keys: Collection[bytes]) -> dict[str, Any]:
        """Return the claims of a genuine token.

        Args:
            token: What claims to be one.
            keys: Those that may have signed it; `kid` says which.

        Raises:
            jwt.ExpiredSignatureError: If it was one, and its time is over.
            jwt.InvalidTokenError: If it is none.
        """
        if len(token) > MAXIMUM_CHARACTERS:
            raise jwt.InvalidTokenError("too long")
        key = self._key_of(token, keys)
        claims = jwt.decode(
            token,
            key,
            algorithms=[_ALGORITHM],
            audience=self.audience,
            issuer=_ISSUER,
            leeway=CLOCK_LEEWAY,
            options={"require": ["iss", "aud", *self.claims], "enforce_minimum_key_length": True},
        )
        return dict(claims)

    def _key_of(self, token: str, keys: Collection[bytes]) -> bytes:
        """Return the key that a token names, if it looks like one of this kind; who signed it is not known yet."""
        parts = token.split(".")
        if len(parts) != 3:
            raise jwt.InvalidTokenError("not three parts")
        header, claims = (_object(part) for part in parts[:2])
        known = {key_id(key): key for key in keys}
        kid = header.get("kid")
        is_of_kind = header == {"alg": _ALGORITHM, "kid": kid, "typ": self.type} and isinstance(kid, str)
        if not is_of_kind or kid not in known:
            raise jwt.InvalidTokenError("not of this kind, or by no key of ours")
        if not all(_is_sound(name, claims.get(name)) for name in self.claims):
            raise jwt.InvalidTokenError("claims that are missing or of the wrong kind")
        return known[kid]


def key_id(key: bytes) -> str:
    """Return the `kid` of a key."""
    return hashlib.sha256(b"kid" + key).hexdigest()[:16]


def _object(part: str) -> dict[str, Any]:
    """Return the JSON object that a part of a token holds.

    Raises:
        jwt.InvalidTokenError: If it holds none, or one with a name twice.
    """
    try:
        padded = part + "=" * (-len(part) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        found = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise jwt.InvalidTokenError("not a JSON object in base64url") from None
    if not isinstance(found, dict):
        raise jwt.InvalidTokenError("not a JSON object")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def _is_sound(name: str, value: object) -> bool:
    if name in _TIMES:
        return type(value) is int
    return isinstance(value, str) and bool(value) and value.isprintable()
