"""Ids, digests and the clock: how things are named and told apart. Nothing here reads or writes anything."""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from datetime import UTC, datetime

ID_PATTERN = re.compile(r"[0-9a-f]{32}")
DIGEST_PATTERN = re.compile(r"[0-9a-f]{64}")
_DIGEST_BEHIND = re.compile(r"_[0-9a-f]{8}$")


def new_id() -> str:
    """Return a new random id: 32 hex digits (a UUID4 without dashes), safe in URLs, keys and Dagster names."""
    return uuid.uuid4().hex


def new_secret(size_bytes: int = 32) -> str:
    """Return a random URL-safe text of `size_bytes` random bytes."""
    return secrets.token_urlsafe(size_bytes)


def digest_text(text: str) -> str:
    """Return the SHA-256 of a text's UTF-8 bytes as 64 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def location_name(shard: int) -> str:
    """Return what the Dagster code location of a shard is called.

    >>> location_name(0), location_name(1)
    ('reports', 'reports_1')
    """
    return f"reports_{shard}" if shard else "reports"


def locations(shards: int) -> list[str]:
    """Return what the code locations of all shards are called."""
    return [location_name(shard) for shard in range(shards)]


def utc_now() -> datetime:
    """Return the present time, aware, in UTC. Leases never use it: they go by the database's clock."""
    return datetime.now(UTC)


def slug(name: str) -> str:
    """Turn a name into letters, digits and `_`, as Dagster's names demand; different names stay different.

    >>> slug("trades")
    'trades'
    >>> slug("Desk margin")
    'Desk_margin_7fb8e2e0'
    """
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    # A plain name that looks like it had a digest behind it gets one too: nobody can take another name's slug.
    if plain == name and name and not _DIGEST_BEHIND.search(name):
        return name
    return f"{plain}_{digest_text(name)[:8]}"
