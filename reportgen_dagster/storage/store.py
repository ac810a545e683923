"""The write-once store of files under their SHA-256, in a local folder; only here are paths in it built.

What a digest belongs to does not belong here: the catalog knows. The folder holds `blobs/aa/<sha256>`
(complete files, never changed), `tmp/` (what is being written) and `work/` (scratch of runs).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from reportgen_dagster.errors import ServiceError
from reportgen_dagster.identity import DIGEST_PATTERN, new_id

CHUNK_BYTES = 1024 * 1024
STALE_SECONDS = 60  # what nobody holds is left alone for that long: its writer may be about to lock it
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = {errno.ENOSPC, errno.EDQUOT}


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

    def __init__(self, temporary: Path, blobs: Path) -> None:
        """Open a temporary file.

        Args:
            temporary: A path that does not exist, on the file system of `blobs`.
            blobs: The folder of complete files.

        Raises:
            ServiceError: If the disk is full or does not take it.
        """
        self.size = 0
        self._blobs = blobs
        self._temporary = temporary
        self._hash = hashlib.sha256()
        self._stored: Stored | None = None
        with _told_as_ours():
            self._descriptor = os.open(temporary, _NEW_FILE, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

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
        with _told_as_ours():
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def finish(self) -> Stored:
        """Make the file durable and then visible under its digest. The same bytes twice are one file.

        Raises:
            ServiceError: If the disk is full or does not take it; nothing is visible then.
        """
        stored = Stored(self._hash.hexdigest(), self.size)
        with _told_as_ours():
            os.fchmod(self._descriptor, 0o400)
            # A failed fsync is never repeated: the kernel may have dropped the pages and would then say yes.
            os.fsync(self._descriptor)
            _publish(self._temporary, self._blobs, stored.digest)
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
        os.close(self._descriptor)
        self._descriptor = -1


class ObjectStore:
    """The store in one folder. Several processes may use it at the same time."""

    def __init__(self, root: Path) -> None:
        """Make the folders where they are missing.

        Args:
            root: The folder that holds everything.

        Raises:
            ServiceError: If the folders cannot be made.
        """
        self._blobs = root / "blobs"
        self._temporary = root / "tmp"
        self._work = root / "work"
        with _told_as_ours():
            for folder in (self._blobs, self._temporary, self._work):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def new_blob(self) -> BlobWriter:
        """Begin a file; use it as a context manager and call `finish` within.

        Raises:
            ServiceError: If the disk is full or does not take it.
        """
        return BlobWriter(self._temporary / f"{new_id()}.part", self._blobs)

    def put_file(self, path: Path) -> Stored:
        """Store a file. One that lies in a work folder is moved, any other is copied.

        Raises:
            ServiceError: If the disk is full or the path is no regular file.
        """
        if path.is_relative_to(self._work):
            return self._move(path)
        with _told_as_ours(), _open_regular(path) as source, self.new_blob() as blob:
            while chunk := os.read(source, CHUNK_BYTES):
                blob.write(chunk)
            return blob.finish()

    def path(self, digest: str) -> Path:
        """Return where a file lies, whether or not it is there.

        Raises:
            ValueError: If the digest is not 64 hex digits.
        """
        if not DIGEST_PATTERN.fullmatch(digest):
            raise ValueError("not a SHA-256 digest")
        return self._blobs / digest[:2] / digest

    def exists(self, digest: str) -> bool:
        """Tell whether a file is there."""
        return self.path(digest).is_file()

    def digests(self, *, older_than_seconds: float = 0.0) -> Iterator[str]:
        """Name every file in the store, in no order.

        Args:
            older_than_seconds: Only files that were stored so long ago.
        """
        newest = time.time() - older_than_seconds
        for folder in self._blobs.iterdir():
            for path in folder.iterdir():
                if DIGEST_PATTERN.fullmatch(path.name) and _is_older(path, newest):
                    yield path.name

    def remove(self, digest: str, *, older_than_seconds: float) -> bool:
        """Remove a file that nothing speaks of; one that somebody stored anew meanwhile stays.

        Args:
            digest: Which file.
            older_than_seconds: Only if it was stored so long ago.

        Raises:
            ServiceError: If the file system refuses.
        """
        path, newest = self.path(digest), time.time() - older_than_seconds
        aside = self._temporary / f"{new_id()}.part"
        with _told_as_ours():
            if not _is_older(path, newest):
                return False
            with suppress(FileNotFoundError):
                path.rename(aside)
                # Who stores the same bytes replaces the file: before the rename it is new now, after it is another one.
                if _is_older(aside, newest):
                    aside.unlink()
                    return True
                aside.rename(path)
        return False

    def verify(self, digest: str) -> bool:
        """Read a file again and tell whether it is there and its bytes still have the digest."""
        try:
            with self.path(digest).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == digest
        except OSError:
            return False

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
        with _told_as_ours():
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

    def _move(self, path: Path) -> Stored:
        with (
            _told_as_ours(),
            _open_regular(path) as descriptor,
            os.fdopen(descriptor, "rb", closefd=False) as file,
        ):
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size_bytes = os.fstat(descriptor).st_size
            os.fchmod(descriptor, 0o400)
            os.fsync(descriptor)
            _publish(path, self._blobs, digest)
        return Stored(digest, size_bytes)


def _publish(source: Path, blobs: Path, digest: str) -> None:
    """Rename a durable file to its digest and make the name durable.

    Where the digest is there already, the same bytes replace it, which also heals a damaged file.
    """
    folder = blobs / digest[:2]
    if not folder.is_dir():
        folder.mkdir(mode=0o700, exist_ok=True)
        _fsync_folder(blobs)
    source.replace(folder / digest)
    _fsync_folder(folder)


def _is_older(path: Path, newest: float) -> bool:
    try:
        return path.stat().st_mtime <= newest
    except FileNotFoundError:
        return False


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


@contextmanager
def _told_as_ours() -> Iterator[None]:
    """Turn what the file system refuses into an error of ours that names no path."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise ServiceError(
                "The storage is full.", hint="Whoever runs this service has to make room; then try again."
            ) from error
        raise ServiceError(f"The storage does not work ({os.strerror(error.errno or errno.EIO)}).") from error


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
