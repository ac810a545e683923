"""The disk below the storage: its refusals as errors of ours, the room that uploads leave on it, whether it keeps what it takes.

What belongs here: what holds for every file of ours on this machine. What does not: which files there are (`store.py`,
`parts.py`).
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from reportgen_dagster.errors import ServiceError, StorageFullError

CHUNK_BYTES = 1024 * 1024
RESERVED_SHARE = 20  # uploads leave a twentieth of the disk to running reports ...
MOST_RESERVED_BYTES = 1024**3  # ... but no more than that
SUSPECT = "suspect"
_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def told_as_ours() -> Iterator[None]:
    """Turn what the file system refuses into an error of ours that names no path.

    Raises:
        StorageFullError: If the disk is full.
        ServiceError: If it refuses for another reason.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFullError("The storage is full.") from error
        raise ServiceError(f"The storage does not work ({os.strerror(error.errno or errno.EIO)}).") from error


def check_room(folder: Path, size_bytes: int) -> None:
    """Refuse what would take the room that is kept free for running reports.

    Args:
        folder: A folder on the disk.
        size_bytes: What is to be written.

    Raises:
        StorageFullError: If too little would be left.
    """
    with told_as_ours():
        disk = shutil.disk_usage(folder)
    reserved = min(disk.total // RESERVED_SHARE, MOST_RESERVED_BYTES)
    if disk.free - size_bytes < reserved:
        raise StorageFullError(
            f"The storage has {disk.free:,} bytes free, of which {reserved:,} are kept for running reports;"
            f" there is no room for {size_bytes:,} more."
        )


class Disk:
    """Makes files of a folder of ours durable, and marks the folder once the disk failed to; a full disk is no failure.

    A sync that failed is never repeated on the same file: the kernel may have dropped the pages and would then say yes. Every
    process that uses the folder sees the mark; whoever has looked at the disk takes it away.
    """

    def __init__(self, folder: Path) -> None:
        """Watch over what is written below a folder."""
        self._folder = folder
        self._mark = folder / SUSPECT

    def sync(self, descriptor: int) -> None:
        """Make an open file or folder durable.

        Raises:
            OSError: If the disk refuses; what was written since the last time cannot be trusted then.
        """
        with self._marked():
            os.fsync(descriptor)

    def sync_data(self, descriptor: int) -> None:
        """Make the bytes of an open file durable.

        Raises:
            OSError: If the disk refuses; what was written since the last time cannot be trusted then.
        """
        with self._marked():
            os.fdatasync(descriptor)

    def sync_names(self, folder: Path) -> None:
        """Make the names in a folder durable.

        Raises:
            OSError: If the disk refuses.
        """
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def suspicion(self) -> str:
        """Tell since when the disk is not to be trusted, and what to do; empty if it is."""
        try:
            failed_at = datetime.fromtimestamp(self._mark.stat().st_mtime, UTC)
        except OSError:
            return ""
        return (
            f"the disk failed to keep what it had taken, the last time at {failed_at:%Y-%m-%d %H:%M} UTC; look at it, run"
            f" `reportgen fsck`, then remove the file `{SUSPECT}` in the folder of the storage"
        )

    def check(self) -> None:
        """Let a disk that failed before show that it keeps a file.

        Raises:
            ServiceError: If it does not.
        """
        if self.suspicion():
            with told_as_ours(), tempfile.TemporaryFile(dir=self._folder, buffering=0) as file:
                file.write(b"kept?")
                self.sync(file.fileno())

    @contextmanager
    def _marked(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in _FULL:
                with suppress(OSError):
                    self._mark.touch(mode=0o600)
            raise
