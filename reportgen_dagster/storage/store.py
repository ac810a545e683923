"""The write-once store of files under their SHA-256, wherever it lies, and the scratch folders on this machine.

What belongs here: what a folder (`store_folder.py`) and a bucket (`store_bucket.py`) have in common. What does not: which
of them is meant (`opening.py`), and what a digest belongs to: the catalog knows. The scratch is `tmp/` (what is being written),
`parts/` (what comes in over several requests: `parts.py`) and `work/` (scratch of runs) in a local folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType

from reportgen_dagster.errors import DamagedFileError, ServiceError
from reportgen_dagster.identity import DIGEST_PATTERN, new_id
from reportgen_dagster.storage.disk import CHUNK_BYTES, Disk, check_room, told_as_ours
from reportgen_dagster.storage.parts import Part, Parts
from reportgen_dagster.syncing import Syncing

STALE_SECONDS = 60  # what nobody holds is left alone for that long: its writer may be about to lock it
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Stored:
    """A complete file in the store.

    Attributes:
        digest: SHA-256 of its bytes, 64 hex digits.
        size_bytes: Its length.
    """

    digest: str
    size_bytes: int


class BlobWriter:
    """A file on its way into the store: invisible before `finish`, and without it nothing is left."""

    def __init__(self, temporary: Path, disk: Disk, publish: Callable[[Path, Stored], None]) -> None:
        """Open a temporary file.

        Args:
            temporary: A path that does not exist.
            disk: The disk that it is on.
            publish: Makes the durable file visible under its digest, and takes it away from its path.

        Raises:
            ServiceError: If the disk is full or does not take it.
        """
        self.size = 0
        self._publish = publish
        self._temporary = temporary
        self._disk = disk
        self._hash = hashlib.sha256()
        self._stored: Stored | None = None
        with told_as_ours():
            self._descriptor = os.open(temporary, _NEW_FILE, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._syncing = Syncing(lambda _size: disk.sync_data(self._descriptor))

    @property
    def digest(self) -> str:
        """The SHA-256 of the file, once finished.

        Raises:
            ValueError: If the file is not finished.
        """
        if self._stored is None:
            raise ValueError("the file is not finished")
        return self._stored.digest

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            ServiceError: If the disk is full or does not take them.
        """
        self._hash.update(data)
        self.size += len(data)
        rest = memoryview(data)
        with told_as_ours():
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            self._syncing.note(self.size)

    def finish(self) -> Stored:
        """Make the file durable and then visible under its digest. The same bytes twice are one file.

        Raises:
            ServiceError: If the storage is full or does not take it; nothing is visible then.
            UnavailableError: If the storage is away.
        """
        stored = Stored(self._hash.hexdigest(), self.size)
        with told_as_ours():
            self._syncing.check()
            os.fchmod(self._descriptor, 0o400)
            self._disk.sync(self._descriptor)
            self._publish(self._temporary, stored)
        self._stored = stored
        self._close()
        return stored

    def abort(self) -> None:
        """Leave nothing behind. Does nothing after `finish`."""
        if self._descriptor >= 0:
            self._temporary.unlink(missing_ok=True)
            self._close()

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def _close(self) -> None:
        self._syncing.end()
        os.close(self._descriptor)
        self._descriptor = -1


class ObjectStore(ABC):
    """The store, with scratch folders on this machine. Several processes may use it at the same time."""

    def __init__(self, scratch: Path) -> None:
        """Make the scratch folders where they are missing.

        Args:
            scratch: The folder that holds them.

        Raises:
            ServiceError: If the folders cannot be made.
        """
        self.disk = Disk(scratch)
        self._temporary = scratch / "tmp"
        self._work = scratch / "work"
        self.parts = Parts(scratch / "parts", self.disk)
        with told_as_ours():
            for folder in (self._temporary, self._work):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @abstractmethod
    def _publish(self, file: Path, stored: Stored) -> None:
        """Make a file of this machine visible under its digest, durably, and take it away from its path."""

    @abstractmethod
    def ping(self) -> None:
        """Ask the store for a sign of life.

        Raises:
            ServiceError: If it cannot be used.
            UnavailableError: If it is away.
        """

    @abstractmethod
    def exists(self, digest: str) -> bool:
        """Tell whether a file is there.

        Raises:
            UnavailableError: If the storage is away.
        """

    @abstractmethod
    def local_path(self, digest: str) -> Path | None:
        """Return where a file lies on this machine, whether or not it is there; None if the store is elsewhere."""

    @abstractmethod
    def fetch(self, digest: str, folder: Path) -> Path:
        """Return where a file can be read on this machine, complete.

        Args:
            digest: Which file.
            folder: A folder of the caller's, for a copy if there has to be one.

        Raises:
            LostFileError: If it is not there.
            DamagedFileError: If its bytes are not those of the digest.
            UnavailableError: If the storage is away.
        """

    @abstractmethod
    def chunks(self, digest: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Read a file, or a part of it, in pieces of about `CHUNK_BYTES`.

        Args:
            digest: Which file.
            start: Where to begin.
            stop: Where to end, exclusively; None or past the end: at the end.

        Raises:
            LostFileError: If it is not there.
            DamagedFileError: If its bytes are seen to be others; the last piece was not given then.
            UnavailableError: If the storage is away.
        """

    @abstractmethod
    def signed_url(
        self, digest: str, lifetime: timedelta, *, disposition: str, media_type: str
    ) -> str | None:
        """Return an address at which the store itself serves a file to whoever has it; None if it cannot.

        Args:
            digest: Which file.
            lifetime: For how long.
            disposition: The answer's `Content-Disposition`.
            media_type: The answer's `Content-Type`.
        """

    @abstractmethod
    def digests(self, *, older_than_seconds: float = 0.0) -> Iterator[str]:
        """Name every file in the store, in no order.

        Args:
            older_than_seconds: Only files that were stored so long ago.

        Raises:
            UnavailableError: If the storage is away.
        """

    @abstractmethod
    def remove(self, digest: str, *, older_than_seconds: float) -> bool:
        """Remove a file that nothing speaks of; one that somebody stored anew meanwhile stays.

        Args:
            digest: Which file.
            older_than_seconds: Only if it was stored so long ago.

        Raises:
            ServiceError: If the storage refuses.
            UnavailableError: If the storage is away.
        """

    @abstractmethod
    def verify(self, digest: str) -> bool:
        """Read a file again and tell whether it is there and its bytes still have the digest.

        Raises:
            UnavailableError: If the storage is away.
        """

    def new_blob(self) -> BlobWriter:
        """Begin a file; use it as a context manager and call `finish` within.

        Raises:
            ServiceError: If the disk is full or does not take it.
        """
        return BlobWriter(self._temporary / f"{new_id()}.part", self.disk, self._publish)

    def check_room(self, size_bytes: int) -> None:
        """Refuse an upload that this machine's disk has no room for.

        Raises:
            StorageFullError: If too little would be left for running reports.
        """
        check_room(self._temporary, size_bytes)

    def put_part(self, part: Part, digest: str) -> Stored:
        """Store a part whose bytes have this digest; it is no part any more then.

        Raises:
            ServiceError: If the storage is full or does not take it.
            UnavailableError: If the storage is away.
        """
        stored = Stored(digest, part.size)
        with told_as_ours():
            self.disk.sync(part.descriptor)
            self._publish(part.path, stored)
            # Only now: who is killed before that must be able to open the part again.
            os.fchmod(part.descriptor, 0o400)
        return stored

    def put_file(self, path: Path) -> Stored:
        """Store a file. One that lies in a work folder is moved, any other is copied.

        Raises:
            ServiceError: If the storage is full or the path is no regular file.
            UnavailableError: If the storage is away.
        """
        if path.is_relative_to(self._work):
            return self._move(path)
        with told_as_ours(), _open_regular(path) as source, self.new_blob() as blob:
            while chunk := os.read(source, CHUNK_BYTES):
                blob.write(chunk)
            return blob.finish()

    def _move(self, path: Path) -> Stored:
        with (
            told_as_ours(),
            _open_regular(path) as descriptor,
            os.fdopen(descriptor, "rb", closefd=False) as file,
        ):
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            stored = Stored(digest, os.fstat(descriptor).st_size)
            os.fchmod(descriptor, 0o400)
            self.disk.sync(descriptor)
            self._publish(path, stored)
        return stored

    @contextmanager
    def work_folder(self, name: str) -> Iterator[Path]:
        """Make a fresh folder for the scratch of one attempt and remove it at the end.

        Args:
            name: Begins the folder's name, for people; its letters, digits, `-` and `_` are kept.

        Raises:
            ServiceError: If the folder cannot be made.
        """
        kept = "".join(letter for letter in name if letter.isalnum() or letter in "-_")
        folder = self._work / f"{kept}-{new_id()}"
        with told_as_ours():
            folder.mkdir(mode=0o700)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)

    def remove_stale(self, *, older_than_seconds: float = STALE_SECONDS) -> int:
        """Remove what killed processes left half written: files and folders that no living process holds.

        Args:
            older_than_seconds: Younger ones are left alone.

        Returns:
            How many were removed.
        """
        oldest = time.time() - older_than_seconds
        left = [*self._temporary.iterdir(), *self._work.iterdir()]
        return sum(_remove_if_abandoned(path, oldest) for path in left)


def checked_digest(digest: str) -> str:
    """Return a digest that paths and keys may be built of.

    Raises:
        ValueError: If it is not 64 hex digits.
    """
    if not DIGEST_PATTERN.fullmatch(digest):
        raise ValueError("not a SHA-256 digest")
    return digest


def checked(pieces: Iterable[bytes], digest: str) -> Iterator[bytes]:
    """Give pieces, the last one only if all of them have the digest.

    Raises:
        DamagedFileError: If they do not.
    """
    found, last = hashlib.sha256(), b""
    for piece in pieces:
        if last:
            yield last
        found.update(piece)
        last = piece
    if found.hexdigest() != digest:
        raise DamagedFileError
    if last:
        yield last


@contextmanager
def _open_regular(path: Path) -> Iterator[int]:
    """Open a file for reading that is neither a link nor a device."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ServiceError("Only a regular file can be stored.")
        yield descriptor
    finally:
        os.close(descriptor)


def _remove_if_abandoned(path: Path, oldest: float) -> bool:
    """Remove a file or folder whose lock nobody holds."""
    with suppress(OSError):
        if path.lstat().st_mtime > oldest:
            return False
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        finally:
            os.close(descriptor)
        return True
    return False
