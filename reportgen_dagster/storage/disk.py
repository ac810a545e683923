"""The disk below the storage: its refusals as errors of ours, and the room that uploads leave on it.

What belongs here: what holds for every file of ours on this machine. What does not: which files there are (`store.py`,
`parts.py`).
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reportgen_dagster.errors import ServiceError, StorageFullError

CHUNK_BYTES = 1024 * 1024
RESERVED_SHARE = 20  # uploads leave a twentieth of the disk to running reports ...
MOST_RESERVED_BYTES = 1024**3  # ... but no more than that
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
