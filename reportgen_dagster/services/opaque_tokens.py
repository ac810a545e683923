"""The texts of API tokens: a prefix that scanners of leaked secrets know, 256 random bits, a checksum. Kept as digests only."""

from __future__ import annotations

import re
import zlib

from reportgen_dagster.identity import digest_text, new_secret

PREFIX = "rg_pat_"
_FORM = re.compile(rf"{PREFIX}([A-Za-z0-9_-]{{43}})([0-9a-f]{{8}})")


def new_api_token() -> str:
    """Return a new token.

    >>> len(new_api_token())
    58
    """
    random = new_secret()
    return f"{PREFIX}{random}{_checksum(random)}"


def is_api_token(text: str) -> bool:
    """Tell whether a bearer token claims to be an API token; others are access tokens of a session."""
    return text.startswith(PREFIX)


def api_token_digest(text: str) -> str | None:
    """Return the digest that an API token is kept as; None where the text cannot be one."""
    found = _FORM.fullmatch(text)
    return digest_text(text) if found and found[2] == _checksum(found[1]) else None


def _checksum(random: str) -> str:
    return f"{zlib.crc32(random.encode()):08x}"
