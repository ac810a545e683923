"""Copies of files in other storages: a bucket of S3 or of Google's storage, or a folder. Only here are keys in them built.

What belongs here: writing bytes there. What does not: where that is allowed (`services/targets.py`). Credentials are those of the
usual `AWS_...` and `GOOGLE_...` variables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import from_url

from reportgen_dagster.errors import DeliveryError
from reportgen_dagster.identity import slug

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

CHUNK_BYTES = 8 * 1024 * 1024
# Plain HTTP is spoken only where AWS_ENDPOINT_URL says so.
_CLIENT: ClientConfig = {"timeout": "60s", "connect_timeout": "10s", "allow_http": True}
_RETRIES: RetryConfig = {"max_retries": 2, "retry_timeout": timedelta(seconds=30)}


def folder(url: str, report_name: str, run: str) -> str:
    """Return the URL of the folder for the copies of a run.

    >>> folder("s3://bucket/prefix/", "daily", "2026-11-29-0a1b")
    's3://bucket/prefix/daily/2026-11-29-0a1b'
    """
    return f"{url.rstrip('/')}/{slug(report_name)}/{run}"


def copy_file(
    chunks: Iterable[bytes], size_bytes: int, url: str, name: str, keep_alive: Callable[[], None]
) -> None:
    """Write a file into a folder; one of that name is replaced, and nobody sees half of it.

    Args:
        chunks: The file's bytes.
        size_bytes: How many there are.
        url: The folder, as `s3://bucket/prefix`, `gs://bucket/prefix` or `file:///folder`; made if it is not there.
        name: What it is to be called there.
        keep_alive: Called again and again while it is written; may raise to end it.

    Raises:
        DeliveryError: If the storage does not take it.
    """
    with _told_as_ours():
        if url.startswith("file:"):
            store = from_url(url, mkdir=True)
        else:
            store = from_url(url, client_options=_CLIENT, retry_config=_RETRIES)
        is_small = size_bytes <= CHUNK_BYTES  # one request then, else three and more
        body = b"".join(chunks) if is_small else _noted(chunks, keep_alive)
        obstore.put(store, name, body, chunk_size=CHUNK_BYTES)


def _noted(chunks: Iterable[bytes], keep_alive: Callable[[], None]) -> Iterator[bytes]:
    for chunk in chunks:
        keep_alive()
        yield chunk


@contextmanager
def _told_as_ours() -> Iterator[None]:
    """Turn what the storage says into an error of ours."""
    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError):
        hint = "The service's credentials must allow to write there (AWS_... or GOOGLE_... variables)."
        raise DeliveryError("The storage does not let us write.", hint=hint) from None
    except FileNotFoundError:
        raise DeliveryError("The storage has no such bucket or folder.") from None
    except (BaseError, OSError, ValueError) as error:
        raise DeliveryError(f"The storage does not take the copy ({type(error).__name__}).") from error
