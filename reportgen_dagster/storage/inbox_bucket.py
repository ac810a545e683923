"""The watched inbox under a prefix of an object store. Only here are keys in it built.

An object appears whole, so none is waited for; but objects cannot be renamed, so none is claimed either. What one sweep
began another may repeat: an object that is read is the one that was found (by its ETag), the claim's id is made of what
was found, and so is where it is put away. Two sweeps at once do the same work twice and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, PreconditionError
from obstore.store import S3Store

from reportgen_dagster.errors import ConflictError, ServiceError
from reportgen_dagster.storage.inbox import (
    ARCHIVE,
    REFUSED,
    Claimed,
    Found,
    Look,
    is_finished_name,
    is_user_folder,
    mark_of,
    reason_name,
    shown,
)

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ClientConfig

CHUNK_BYTES = 1024 * 1024
_LIST_PAGE = 1000
# One request with all of its answer may be the largest file. Plain HTTP is spoken only where AWS_ENDPOINT_URL says so.
_CLIENT: ClientConfig = {"timeout": "1h", "connect_timeout": "10s", "allow_http": True}


@contextmanager
def open_bucket(url: str) -> Iterator[InboxBucket]:
    """Open the inbox for one sweep. The credentials are those of the usual `AWS_...` variables.

    Args:
        url: As `s3://bucket/prefix`.

    Raises:
        ServiceError: If the URL cannot be used.
    """
    with _told_as_ours():
        store = S3Store.from_url(url, client_options=_CLIENT)
    yield InboxBucket(store)


class InboxBucket:
    """The inbox while one sweep has it open."""

    def __init__(self, store: S3Store) -> None:
        """Use a store whose keys begin in the inbox."""
        self._store = store

    def leftovers(self) -> list[Claimed]:
        """Return nothing: what was begun is found again where it lies."""
        return []

    def look(self) -> Look:
        """Look for objects in the folders of all users; what was put away is not listed.

        Raises:
            ServiceError: If the store does not answer.
        """
        look = Look([], [])
        with _told_as_ours():
            top = obstore.list_with_delimiter(self._store)
            look.left_alone.extend(_misplaced(meta["path"]) for meta in top["objects"] if meta["size"])
            for user in filter(is_user_folder, top["common_prefixes"]):
                for page in obstore.list(self._store, user, chunk_size=_LIST_PAGE):
                    for meta in page:
                        _sort_in(meta, look)
        return look

    def claim(self, found: Found) -> Claimed | None:
        """Return the object as it was found; whether it still is so shows when it is read."""
        return _Object(self._store, found)


@dataclass(frozen=True, slots=True)
class _Object:
    """An object as it was found."""

    store: S3Store
    found: Found

    @property
    def id(self) -> str:
        return hashlib.sha256(self.found.mark.encode()).hexdigest()[:32]

    def chunks(self) -> Iterator[bytes]:
        with _told_as_ours():
            meta = self._unchanged()
            answer = obstore.get(self.store, _key(self.found), options={"if_match": meta["e_tag"]})
            yield from answer.stream(CHUNK_BYTES)

    def archive(self) -> None:
        with _told_as_ours():
            self._put_away(ARCHIVE)

    def refuse(self, reason: str) -> None:
        with _told_as_ours():
            told = self._place(REFUSED, reason_name(self.found.name))
            obstore.put(self.store, told, reason.encode())
            self._put_away(REFUSED)

    def _put_away(self, place: str) -> None:
        """Copy the object and delete it; what was written over it meanwhile stays for the next sweep."""
        self._unchanged()
        obstore.copy(self.store, _key(self.found), self._place(place, self.found.name))
        self._unchanged()
        obstore.delete(self.store, _key(self.found))

    def _place(self, place: str, name: str) -> str:
        """Return where it is put away: the same for each attempt, and another one for each object."""
        return f"{place}/{self.found.user}/{self.found.dataset}/{self.id[:16]}/{name}"

    def _unchanged(self) -> ObjectMeta:
        meta = obstore.head(self.store, _key(self.found))
        if _mark(meta) != self.found.mark:
            raise ConflictError("Another object took this one's place.")
        return meta


def _sort_in(meta: ObjectMeta, look: Look) -> None:
    user, _, rest = meta["path"].partition("/")
    dataset, _, name = rest.partition("/")
    if not name or "/" in name:
        if meta["size"]:  # an empty one is how consoles make folders
            look.left_alone.append(_misplaced(meta["path"]))
    elif is_finished_name(name) and not dataset.startswith("."):
        modified_ns = int(meta["last_modified"].timestamp() * 1_000_000) * 1000
        look.files.append(Found(user, dataset, name, modified_ns, _mark(meta), is_complete=True))


def _misplaced(key: str) -> str:
    return f"{shown(key)}: files are taken from <user>/<dataset>/ only."


def _mark(meta: ObjectMeta) -> str:
    # Whole seconds: a listing knows parts of them that the head of an object does not.
    return mark_of(meta["path"], meta["e_tag"], meta["size"], int(meta["last_modified"].timestamp()))


def _key(found: Found) -> str:
    return f"{found.user}/{found.dataset}/{found.name}"


@contextmanager
def _told_as_ours() -> Iterator[None]:
    """Turn what the store refuses into an error of ours that names no key."""
    try:
        yield
    except (PreconditionError, FileNotFoundError):
        raise ConflictError("The object changed or is gone.") from None
    except (BaseError, ValueError) as error:
        raise ServiceError(
            f"The inbox's bucket does not work ({type(error).__name__}).",
            hint="REPORTGEN_INBOX and the AWS_... variables say where it is and who asks.",
        ) from error
