"""Which storage URLs copies of reports may go to: those that COPY_TARGETS allows, and never the service's own storage.

What belongs here: judging a URL. What does not: writing there (storage/copies.py).
"""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from reportgen_dagster.settings import COPY_SCHEMES, Settings

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_PREFIX = re.compile(r"(/[A-Za-z0-9 !_.,=()+@-]+)*")


def url_problem(url: str, settings: Settings) -> str:
    """Return why copies cannot go to a URL; empty if they can."""
    plain = url.rstrip("/")
    try:
        parts = urlsplit(plain)
    except ValueError as error:
        return f"no URL: {error}"
    is_place = not parts.netloc and parts.path if parts.scheme == "file" else _BUCKET.fullmatch(parts.netloc)
    is_plain = _PREFIX.fullmatch(parts.path) and not parts.query and not parts.fragment
    if parts.scheme not in COPY_SCHEMES or not is_place or not is_plain or _steps_aside(parts.path):
        return "must be as s3://bucket/prefix, gs://bucket/prefix or file:///folder"
    if not _is_allowed(plain, settings):
        return "REPORTGEN_COPY_TARGETS does not allow it"
    if any(_overlap(plain, own) for own in _own(settings)):
        return "the service keeps its own files there"
    return ""


def _steps_aside(path: str) -> bool:
    return any(part in (".", "..") for part in path.split("/"))


def _is_allowed(url: str, settings: Settings) -> bool:
    is_folder = url.startswith("file:")
    if not settings.copy_prefixes:
        return not is_folder
    real = _real(url) if is_folder else url
    return any(_is_below(real, _real(one)) for one in settings.copy_prefixes)


def _real(url: str) -> str:
    """Return a folder's URL without links in it, as links may lead out of what is allowed."""
    folder = url.removeprefix("file://")
    return url if folder == url else f"file://{os.path.realpath(folder)}"


def _own(settings: Settings) -> list[str]:
    inbox = settings.inbox_bucket.rstrip("/") or f"file://{settings.inbox_path}"
    storage = settings.storage_url.rstrip("/") or f"file://{settings.storage_path}"
    return [f"file://{settings.home.absolute()}", inbox, storage]


def _overlap(url: str, own: str) -> bool:
    return _is_below(_real(url), _real(own)) or _is_below(_real(own), _real(url))


def _is_below(url: str, prefix: str) -> bool:
    return url == prefix or url.startswith(f"{prefix}/")
