"""The bounds of a run that DuckDB does not keep itself: of its process, of its work folder, of its time.

What belongs here: setting them and minding them. What does not: DuckDB's own lock-down and memory limit (connection.py), which
process a run gets (services, defs, cli).
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread, Timer

from reportgen_dagster.engine.limits import Deadline, Limits, folder_is_full, time_is_over
from reportgen_dagster.sizes import byte_count

# Address space beyond DuckDB's buffers: code, and what thread stacks and allocators reserve without using it (measured: 2 GB are
# too little on two cores, 3 GB enough; Polars starts a thread a core). It stops a runaway, not a report that is merely large.
ADDRESS_SPACE_HEADROOM = 4 * 1000**3 + 250 * 1000**2 * (os.cpu_count() or 1)
OPEN_FILES = 4_096
GRACE_SECONDS = 30
_LOOK_SECONDS = 0.5
_PR_SET_NO_NEW_PRIVS = 38


def confine(limits: Limits) -> None:
    """Bound this process, which carries out one run and nothing else, below whatever bounds it already has.

    Address space, size of a file, open files; no core dumps, no new privileges. Children inherit all of it.

    Raises:
        ValueError: If a limit is not a size.
    """
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _lower(resource.RLIMIT_AS, mapped + byte_count(limits.memory) + ADDRESS_SPACE_HEADROOM)
    _lower(resource.RLIMIT_FSIZE, byte_count(limits.temp))
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    _lower(resource.RLIMIT_CORE, 0)
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _lower(kind: int, size: int) -> None:
    soft, hard = resource.getrlimit(kind)
    bounds = [size, *(bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY)]
    resource.setrlimit(kind, (min(bounds), hard))


def end_process_when_overdue(limits: Limits) -> Timer:
    """End this process if it is still there a while after its time, as nothing could interrupt what it does.

    Returns:
        The timer; cancel it when the run is done.
    """

    def end() -> None:
        sys.stderr.write(f"error: {time_is_over(limits.seconds).detail}\n")
        sys.stderr.flush()
        os._exit(3)

    timer = Timer(limits.seconds + GRACE_SECONDS, end)
    timer.daemon = True
    timer.start()
    return timer


class FolderWatch:
    """Looks at a run's work folder and clock now and then, and stops the run when it is past a limit.

    DuckDB spills as much as it likes, whatever it was told, and minds the time of each of its queries only.
    """

    def __init__(
        self, folder: Path, *, limits: Limits, deadline: Deadline, interrupt: Callable[[], None]
    ) -> None:
        """Begin to watch.

        Args:
            folder: What is put there counts, at any depth.
            limits: How much that may be.
            deadline: Is stopped when it is more.
            interrupt: Stops what is being computed; called again as long as the watch lasts.
        """
        self._folder = folder
        self._limits = limits
        self._deadline = deadline
        self._interrupt = interrupt
        self._closed = Event()
        self._thread = Thread(target=self._watch, name="reportgen-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no longer."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        allowed = byte_count(self._limits.temp)
        while not self._closed.wait(_LOOK_SECONDS):
            if _size(self._folder) > allowed:
                self._deadline.stop(folder_is_full(self._limits.temp))
            if self._deadline.is_over:
                self._interrupt()


def _size(folder: Path) -> int:
    """Return what the files in a folder take on the disk; some may go meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).lstat().st_blocks * 512
            except FileNotFoundError:
                continue
    return total
