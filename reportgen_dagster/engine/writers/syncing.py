"""Has a large file on disk while it is still written, so that nobody waits a second for each gigabyte at its end."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor

_SYNC_BYTES = 64 * 1024 * 1024


class Syncing:
    """Asks the kernel in a thread of its own to write what was written so far; the last `fsync` is the writer's."""

    def __init__(self, descriptor: int) -> None:
        """Begin.

        Args:
            descriptor: The open file.
        """
        self._descriptor = descriptor
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="reportgen-sync")
        self._last: Future[None] | None = None
        self._synced = 0

    def note(self, size: int) -> None:
        """Tell how large the file is by now.

        Raises:
            OSError: If what was written before is not on disk.
        """
        if size - self._synced < _SYNC_BYTES or (self._last is not None and not self._last.done()):
            return
        self.check()
        self._synced = size
        self._last = self._pool.submit(os.fdatasync, self._descriptor)

    def end(self) -> None:
        """Wait until nothing is asked any more."""
        self._pool.shutdown()

    def check(self) -> None:
        """Wait for what was asked last.

        Raises:
            OSError: If what was written before is not on disk.
        """
        if self._last is not None:
            self._last.result()
