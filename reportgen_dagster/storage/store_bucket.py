"""The store under a prefix of an object store (S3 and what speaks like it, Google Cloud Storage). Only here are its keys built.

    <prefix>/blobs/aa/<sha256>           complete files, never changed
    <prefix>/removing/<sha256>/<id>      empty marks: somebody removes that file at this moment

An object appears whole or not at all; what went wrong on its way shows when its size and checksum are looked at afterwards, and
only then is a file called stored. An object store cannot delete only what was looked at. So whoever removes a file marks it,
looks at its age and deletes it, in this order; whoever stores one sends it, looks for marks and looks at the file. One of the two
sees the other, since these stores always answer with what was written last.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urldefrag, urlencode

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import GCSStore, S3Store

from reportgen_dagster.errors import DamagedFileError, LostFileError, ServiceError, UnavailableError
from reportgen_dagster.identity import DIGEST_PATTERN, new_id, utc_now
from reportgen_dagster.storage.disk import CHUNK_BYTES, told_as_ours
from reportgen_dagster.storage.store import (
    ObjectStore,
    Stored,
    checked,
    checked_digest,
)

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ClientConfig, GCSConfig, RetryConfig, S3Config

PART_BYTES = 8 * 1024 * 1024
PARTS_AT_ONCE = 4
MOST_PARTS = 10_000  # what the stores take
TRIES = 3
FRESH_SECONDS = 3600  # a file that came so lately is far from being removed as unknown
MARK_SECONDS = 600.0  # older marks are of who was killed
REMOVAL_SECONDS = 60.0  # a removal that has not come so far by then is left
PAUSES = (0.1, 0.2, 0.4, 0.8, *[1.0] * 20)  # between looks whether a removal is over
_LIST_PAGE = 1000
_BLOBS, _MARKS = "blobs", "removing"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a store is waited for.

    Attributes:
        retries: How often a request is repeated after an answer of 5xx, a broken connection or silence.
        pause_seconds: How long the first pause before that is about; each is longer than the one before.
        seconds: After how long it is not repeated any more.
        silence_seconds: How long no byte may come.
    """

    retries: int = 6
    pause_seconds: float = 0.1
    seconds: float = 30.0
    silence_seconds: float = 60.0

    def client(self) -> ClientConfig:
        """Return what the client is told. Plain HTTP is spoken only where an endpoint says so."""
        silence = timedelta(seconds=self.silence_seconds)
        return {"timeout": "1h", "connect_timeout": "10s", "read_timeout": silence, "allow_http": True}

    def retry(self) -> RetryConfig:
        """Return how requests are repeated."""
        first = timedelta(seconds=self.pause_seconds)
        return {
            "max_retries": self.retries,
            "retry_timeout": timedelta(seconds=self.seconds),
            "backoff": {"init_backoff": first, "max_backoff": timedelta(seconds=5), "base": 2},
        }


PATIENT = Patience()
_IMPATIENT = Patience(retries=0, seconds=2.0, silence_seconds=2.0)


class BucketStore(ObjectStore):
    """The store under a prefix. Its scratch lies on this machine."""

    def __init__(self, url: str, scratch: Path, *, patience: Patience = PATIENT) -> None:
        """Open it. Credentials, region and endpoint are those of the usual `AWS_...` or `GOOGLE_...` variables.

        Args:
            url: As `s3://bucket/prefix` or `gs://bucket/prefix`.
            scratch: The local folder of the scratch.
            patience: How long the store is waited for.

        Raises:
            ServiceError: If the scratch cannot be made.
        """
        super().__init__(scratch)
        self._url = url
        self._patience = patience

    @cached_property
    def _store(self) -> S3Store | GCSStore:
        # Opened at the first use: the client's threads do not survive a fork, and a worker forks before it stores anything.
        return _opened(self._url, self._patience)

    @cached_property
    def _asked_store(self) -> S3Store | GCSStore:
        return _opened(self._url, _IMPATIENT)

    def _publish(self, file: Path, stored: Stored) -> None:
        """Send a file and look at what has arrived; what arrives damaged is sent again, and gone in the end.

        Raises:
            ServiceError: If it arrives damaged each time.
            UnavailableError: If the store does not take it.
        """
        part = _part_bytes(stored.size_bytes)
        tag = _tag(file, part)
        with _answers():
            for attempt in range(TRIES):
                is_sent = self._send(file, stored, part, replace=attempt > 0)
                meta = self._settled(stored.digest) if is_sent else self._fresh(stored.digest)
                if self._is_whole(meta, stored, tag):
                    break
            else:
                self._discard(stored, tag)
                raise ServiceError("The file arrived damaged in the storage, several times.")
        file.unlink()

    def _send(self, file: Path, stored: Stored, part: int, *, replace: bool) -> bool:
        """Send a file, in several parts if it is large; False if there is one already that is not to be replaced."""
        key = _key(stored.digest)
        if stored.size_bytes > part:  # no store makes its end conditional through this client
            if not replace and self._meta(key) is not None:
                return False
            obstore.put(self._store, key, file, chunk_size=part, max_concurrency=PARTS_AT_ONCE)
            return True
        data = file.read_bytes()
        if not replace:
            try:
                obstore.put(self._store, key, data, mode="create")
            except AlreadyExistsError:
                return False
            except (PermissionDeniedError, UnauthenticatedError, FileNotFoundError):
                raise
            except BaseError as error:  # now without a condition, which may be repeated
                _log.info("a conditional write failed: %s", _first_line(error))
            else:
                return True
        obstore.put(self._store, key, data, use_multipart=False)
        return True

    def _fresh(self, digest: str) -> ObjectMeta | None:
        """Return what is there, if nobody removes it for long; else None: then it has to be sent anew."""
        if any(self._marks(digest)):
            return None
        meta = self._meta(_key(digest))
        return meta if meta is not None and _age(meta) < FRESH_SECONDS else None

    def _settled(self, digest: str) -> ObjectMeta | None:
        """Return what was sent just now, once nobody is about to remove it; None if it is gone.

        Raises:
            UnavailableError: If that takes too long.
        """
        for pause in PAUSES:
            marks = list(self._marks(digest))
            meta = self._meta(_key(digest))
            # Both times are of the store's clock, and what was sent just now has the present one.
            if meta is None or not any(_is_live(mark, meta["last_modified"]) for mark in marks):
                return meta
            time.sleep(pause)
        raise UnavailableError("The file is being removed from the storage at this moment.")

    def _is_whole(self, meta: ObjectMeta | None, stored: Stored, tag: str) -> bool:
        """Tell whether an object has the bytes of a file: by its size and tag, or by reading where the tag is of another kind."""
        if meta is None or meta["size"] != stored.size_bytes:
            return False
        return (meta["e_tag"] or "").strip('"') == tag or self.verify(stored.digest)

    def _discard(self, stored: Stored, tag: str) -> None:
        """Delete a damaged object; not one that somebody has healed meanwhile."""
        key = _key(stored.digest)
        damaged = self._meta(key)
        if damaged is None or self._is_whole(damaged, stored, tag):
            return
        with self._marked(stored.digest):
            if self._meta(key) == damaged:
                self._delete(key)

    def ping(self) -> None:
        """List one key, with little patience; and if the disk of the scratch failed before, look whether it keeps a file."""
        self.disk.check()
        with _answers():
            next(iter(obstore.list(self._asked_store, _BLOBS, chunk_size=1)), None)

    def exists(self, digest: str) -> bool:
        """Tell whether a file is there."""
        key = _key(digest)
        with _answers():
            return self._meta(key) is not None

    def local_path(self, digest: str) -> Path | None:  # noqa: ARG002 - of no file
        """Return None: nothing lies on this machine."""
        return None

    def fetch(self, digest: str, folder: Path) -> Path:
        """Copy a file into a folder, tried again if it arrives damaged."""
        path = folder / checked_digest(digest)
        for left in reversed(range(TRIES)):
            try:
                with told_as_ours(), path.open("wb") as file:
                    for chunk in self.chunks(digest):
                        file.write(chunk)
            except DamagedFileError:
                if not left:
                    raise
            else:
                break
        return path

    def chunks(self, digest: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Read a file, or a part of it; of a whole file the last piece is given only if all of it has the digest."""
        key = _key(digest)
        with _answers():
            meta = self._meta(key)
            if meta is None:
                raise LostFileError
            end = meta["size"] if stop is None else min(stop, meta["size"])
            pieces = self._read(key, start, end)
            yield from checked(pieces, digest) if end - start == meta["size"] else pieces

    def _read(self, key: str, start: int, stop: int) -> Iterator[bytes]:
        """Read from here to there, going on where an answer breaks off; given up if nothing more comes."""
        place, left = start, TRIES
        while place < stop:
            began = place
            try:
                answer = obstore.get(self._store, key, options={"range": (place, stop)})
            except FileNotFoundError:
                raise LostFileError from None
            try:
                for chunk in answer.stream(CHUNK_BYTES):
                    place += len(chunk)
                    yield bytes(chunk)
            except BaseError as error:
                _log.info("an answer of the storage broke off: %s", _first_line(error))
            left = TRIES if place > began else left - 1
            if place < stop and not left:
                raise UnavailableError("The storage's answers break off.")

    def signed_url(
        self, digest: str, lifetime: timedelta, *, disposition: str, media_type: str
    ) -> str | None:
        """Return a presigned address; None where the credentials cannot sign one."""
        asked = {"response-content-disposition": disposition, "response-content-type": media_type}
        query = urlencode(asked, quote_via=quote)
        try:
            return _signed(self._url, self._store, _key(digest), query, lifetime)
        except BaseError as error:
            _log.warning("the storage's credentials sign no links: %s", _first_line(error))
            return None

    def digests(self, *, older_than_seconds: float = 0.0) -> Iterator[str]:
        """Name every file in the store, in no order."""
        with _answers():
            for meta in self._listed(_BLOBS):
                name = meta["path"].rpartition("/")[2]
                if DIGEST_PATTERN.fullmatch(name) and _age(meta) >= older_than_seconds:
                    yield name

    def remove(self, digest: str, *, older_than_seconds: float) -> bool:
        """Remove a file that nothing speaks of; one that somebody stored anew meanwhile stays."""
        key, began = _key(digest), time.monotonic()
        with _answers(), self._marked(digest):
            meta = self._meta(key)
            is_late = time.monotonic() - began > REMOVAL_SECONDS
            if meta is None or _age(meta) < older_than_seconds or is_late:
                return False
            self._delete(key)
            return True

    def verify(self, digest: str) -> bool:
        """Read a file again and tell whether it is there and its bytes still have the digest."""
        for _ in range(TRIES):
            try:
                for _chunk in self.chunks(digest):
                    pass
            except LostFileError:
                return False
            except DamagedFileError:  # perhaps only on its way
                continue
            return True
        return False

    @contextmanager
    def _marked(self, digest: str) -> Iterator[None]:
        """Say for the time of a removal that there is one; marks of who was killed before are cleared away."""
        mark = f"{_MARKS}/{checked_digest(digest)}/{new_id()}"
        obstore.put(self._store, mark, b"")
        try:
            yield
        finally:
            own = obstore.head(self._store, mark)["last_modified"]
            for meta in list(self._marks(digest)):
                if meta["path"] == mark or not _is_live(meta, own):
                    self._delete(meta["path"])

    def _marks(self, digest: str) -> Iterator[ObjectMeta]:
        return self._listed(f"{_MARKS}/{checked_digest(digest)}")

    def _listed(self, prefix: str) -> Iterator[ObjectMeta]:
        for page in obstore.list(self._store, prefix, chunk_size=_LIST_PAGE):
            yield from page

    def _meta(self, key: str) -> ObjectMeta | None:
        try:
            return obstore.head(self._store, key)
        except FileNotFoundError:
            return None

    def _delete(self, key: str) -> None:
        with suppress(FileNotFoundError):
            obstore.delete(self._store, key)


def _opened(url: str, patience: Patience, address: str = "") -> S3Store | GCSStore:
    """Open a store; with an address, all that it appends to it is the path of an object."""
    if url.startswith("s3://"):
        s3: S3Config = {"endpoint": address, "virtual_hosted_style_request": True} if address else {}
        return S3Store.from_url(
            url, config=s3, client_options=patience.client(), retry_config=patience.retry()
        )
    gcs: GCSConfig = {"base_url": address} if address else {}
    return GCSStore.from_url(url, config=gcs, client_options=patience.client(), retry_config=patience.retry())


def _signed(url: str, store: S3Store | GCSStore, key: str, query: str, lifetime: timedelta) -> str | None:
    """Presign an address with a query, which the client by itself cannot: it signs the path of an object alone.

    So the object's whole address is given to it as that of the store. The path that it appends comes behind a `#` and is cut off.
    """
    address = f"{obstore.sign(store, 'GET', key, lifetime).partition('?')[0]}?{query}"
    signed = obstore.sign(_opened(url, PATIENT, f"{address}#"), "GET", key, lifetime)
    return urldefrag(signed).url if signed.startswith(address) else None


def _key(digest: str) -> str:
    return f"{_BLOBS}/{checked_digest(digest)[:2]}/{digest}"


def _age(meta: ObjectMeta) -> float:
    """Return the age of an object in seconds."""
    return (utc_now() - meta["last_modified"]).total_seconds()


def _is_live(mark: ObjectMeta, now: datetime) -> bool:
    return (now - mark["last_modified"]).total_seconds() < MARK_SECONDS


def _part_bytes(size_bytes: int) -> int:
    """Return the length of the parts that a file is sent in."""
    least = -(-size_bytes // MOST_PARTS)
    return max(PART_BYTES, -(-least // CHUNK_BYTES) * CHUNK_BYTES)


def _tag(file: Path, part: int) -> str:
    """Return the tag that S3 gives a file, as Google does one of a single part: MD5, of several parts that of their MD5s."""
    sums = []
    with file.open("rb") as opened:
        while chunk := opened.read(part):
            sums.append(hashlib.md5(chunk, usedforsecurity=False))
    if len(sums) == 1:
        return sums[0].hexdigest()
    joined = hashlib.md5(b"".join(one.digest() for one in sums), usedforsecurity=False).hexdigest()
    return f"{joined}-{len(sums)}" if sums else joined


@contextmanager
def _answers() -> Iterator[None]:
    """Turn what the store refuses into an error of ours that names no key; the log has what the client says of it."""
    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise _told(
            error, ServiceError, "refuses us", "The AWS_... or GOOGLE_... variables say who asks."
        ) from None
    except (FileNotFoundError, ValueError, NotSupportedError) as error:
        hint = "REPORTGEN_STORAGE_URL and the AWS_... or GOOGLE_... variables say where it is."
        raise _told(error, ServiceError, "cannot be used", hint) from None
    except BaseError as error:
        raise _told(error, UnavailableError, "does not answer") from None


def _told(error: Exception, kind: type[ServiceError], what: str, hint: str = "") -> ServiceError:
    _log.warning("the storage %s: %s", what, _first_line(error))
    return kind(f"The storage {what} ({type(error).__name__}).", hint=hint)


def _first_line(error: Exception) -> str:
    """Return what the client says of an error, without what only its makers can read."""
    return str(error).partition("\n")[0]
