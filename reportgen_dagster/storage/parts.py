"""Files that come in over several requests, until they are whole: `parts/<id>` in the scratch on this machine.

What belongs here: growing such a file durably, with one writer at a time, also among processes that share the folder. What
does not: how much of it counts, which the catalog says. A part is left alone by what removes half written files: it may
rest for hours.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reportgen_dagster.errors import LockedError
from reportgen_dagster.identity import ID_PATTERN
from reportgen_dagster.storage.disk import CHUNK_BYTES, Disk, check_room, told_as_ours

_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Part:
    """An open part, which nobody else can write meanwhile.

    Attributes:
        path: Where it lies.
        size: Its length in bytes.
    """

    def __init__(self, path: Path, descriptor: int, disk: Disk) -> None:
        """Take over an open and locked file."""
        self.path = path
        self._disk = disk
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            StorageFullError: If the disk has no room for them.
            ServiceError: If it does not take them.
        """
        check_room(self.path.parent, len(data))
        rest = memoryview(data)
        with told_as_ours():
            while rest:
                written = os.pwrite(self.descriptor, rest, self.size)
                self.size += written
                rest = rest[written:]

    def cut(self, size: int) -> None:
        """Drop what stands behind the first `size` bytes.

        Raises:
            ServiceError: If the disk refuses.
        """
        if size < self.size:
            with told_as_ours():
                os.ftruncate(self.descriptor, size)
            self.size = size

    def remove(self) -> None:
        """Remove it.

        Raises:
            ServiceError: If the disk refuses.
        """
        with told_as_ours():
            self.path.unlink(missing_ok=True)

    def sync(self) -> None:
        """Make durable what was written.

        Raises:
            ServiceError: If the disk refuses; what was written since the last time cannot be trusted then.
        """
        with told_as_ours():
            self._disk.sync_data(self.descriptor)

    def chunks(self) -> Iterator[bytes]:
        """Read it from its beginning.

        Raises:
            ServiceError: If the disk refuses.
        """
        place = 0
        while place < self.size:
            with told_as_ours():
                chunk = os.pread(self.descriptor, CHUNK_BYTES, place)
            place += len(chunk)
            yield chunk


class Parts:
    """The folder of parts. Several processes may use it at the same time."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        """Make the folder if it is missing.

        Args:
            folder: Where they lie.
            disk: The disk that it is on.

        Raises:
            ServiceError: If it cannot be made.
        """
        self._folder = folder
        self._disk = disk
        with told_as_ours():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def check_room(self, size_bytes: int) -> None:
        """Refuse what the disk has no room for.

        Raises:
            StorageFullError: If too little would be left.
        """
        check_room(self._folder, size_bytes)

    def size(self, part_id: str) -> int:
        """Return the length of a part; 0 if it is not there."""
        try:
            return self._path(part_id).stat().st_size
        except FileNotFoundError:
            return 0

    @contextmanager
    def writing(self, part_id: str) -> Iterator[Part]:
        """Hold a part, made if it is missing, while the block runs.

        Raises:
            LockedError: If somebody else holds it.
            ServiceError: If the disk refuses.
        """
        path = self._path(part_id)
        with told_as_ours():
            descriptor = os.open(path, _OPEN, 0o600)
        try:
            self._lock(path, descriptor)
            part = Part(path, descriptor, self._disk)
            if part.size == 0:
                with told_as_ours():
                    self._disk.sync_names(self._folder)
            yield part
        finally:
            os.close(descriptor)

    def remove(self, part_id: str) -> None:
        """Remove a part, if there is one.

        Raises:
            LockedError: If somebody holds it.
            ServiceError: If the disk refuses.
        """
        if self._path(part_id).exists():
            with self.writing(part_id) as part:
                part.remove()

    def ids(self, *, older_than_seconds: float | None = None) -> Iterator[str]:
        """Name every part that is there; only those that nobody wrote to for so long, if it is said."""
        for path in self._folder.iterdir():
            if ID_PATTERN.fullmatch(path.name) and _rested(path, older_than_seconds):
                yield path.name

    def _path(self, part_id: str) -> Path:
        if not ID_PATTERN.fullmatch(part_id):
            raise ValueError("not an id")
        return self._folder / part_id

    @staticmethod
    def _lock(path: Path, descriptor: int) -> None:
        """Lock an open file, unless it was published or removed before that."""
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                return
        raise LockedError("Another request is writing this file.")


def _rested(path: Path, seconds: float | None) -> bool:
    if seconds is None:
        return True
    try:
        return path.stat().st_mtime <= time.time() - seconds
    except FileNotFoundError:
        return False
