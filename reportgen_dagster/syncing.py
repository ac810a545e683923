"""Has a large file on disk while it is still written, so that nobody waits a second for each gigabyte at its end.

What belongs here: when to ask for it. What does not: how a file becomes durable, and who is told: whoever writes says that.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

SYNC_BYTES = 64 * 1024 * 1024


class Syncing:
    """Makes what was written so far durable, in a thread of its own, one stretch at a time; the last is the writer's."""

    def __init__(
        self, sync: Callable[[int], None], *, stretch_bytes: int = SYNC_BYTES, begun: int = 0
    ) -> None:
        """Begin.

        Args:
            sync: Makes the first so many bytes durable.
            stretch_bytes: How much is written from one time to the next.
            begun: How many bytes are durable already.
        """
        self._sync = sync
        self._stretch = stretch_bytes
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="reportgen-sync")
        self._last: Future[None] | None = None
        self._synced = begun

    @classmethod
    def of(cls, descriptor: int) -> Syncing:
        """Return one that asks the kernel to write an open file."""
        return cls(lambda _size: os.fdatasync(descriptor))

    def note(self, size: int) -> None:
        """Tell how large the file is by now.

        Raises:
            Exception: What `sync` raised the last time: what was written before is not durable.
        """
        if size - self._synced < self._stretch or (self._last is not None and not self._last.done()):
            return
        self.check()
        self._synced = size
        self._last = self._pool.submit(self._sync, size)

    def end(self) -> None:
        """Wait until nothing is asked any more."""
        self._pool.shutdown()

    def check(self) -> None:
        """Wait for what was asked last.

        Raises:
            Exception: What `sync` raised: what was written before is not durable.
        """
        if self._last is not None:
            self._last.result()
