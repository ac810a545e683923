"""The bounds of a run that DuckDB does not keep itself: of its process, of its work folder, of its time.

What belongs here: setting them and minding them. What does not: DuckDB's own lock-down and memory limit (connection.py), the
kernel's calls (landlock.py, seccomp.py), which process a run gets (confined.py).
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event, Thread

from reportgen_dagster.engine import landlock, seccomp
from reportgen_dagster.engine.limits import Deadline, Limits, folder_is_full
from reportgen_dagster.sizes import byte_count

# Address space beyond DuckDB's buffers: code, and what thread stacks and allocators reserve without using it (measured: 2 GB are
# too little on two cores, 3 GB enough; Polars starts a thread a core). It stops a runaway, not a report that is merely large.
ADDRESS_SPACE_HEADROOM = 4 * 1000**3 + 250 * 1000**2 * (os.cpu_count() or 1)
OPEN_FILES = 4_096
GRACE_SECONDS = 30
_LOOK_SECONDS = 0.5
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITIES_VERSION = 0x20080522
_DAC_OVERRIDE = 1 << 1

# What an interpreter and its libraries open when they are loaded late.
_SYSTEM = (
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/dev/urandom",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
    "/proc/self/mountinfo",
    "/sys/kernel/mm/transparent_hugepage",
    "/proc/self/cgroup",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
)
_NOWHERE = Path("/dev/null")


def bound(limits: Limits) -> None:
    """Bound this process, which carries out one run and nothing else, below whatever bounds it already has.

    Address space, processor time, size of a file, open files; no core dumps, no new privileges. Children inherit all of it.

    Raises:
        ValueError: If a limit is not a size.
    """
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _lower(resource.RLIMIT_AS, mapped + byte_count(limits.memory) + ADDRESS_SPACE_HEADROOM)
    _lower(resource.RLIMIT_CPU, (limits.seconds + GRACE_SECONDS) * (os.cpu_count() or 1), then=1)
    _lower(resource.RLIMIT_FSIZE, byte_count(limits.temp))
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    _lower(resource.RLIMIT_CORE, 0)
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def confine(*, reads: Sequence[Path], writes: Sequence[Path]) -> None:
    """Let this process reach nothing but these files: no network, no other process, no program. There is no way back.

    To be called by a process's only thread; those started later inherit it. What the kernel does not offer
    (`missing_bounds`) is left out.

    Args:
        reads: Files and folders to read, beside the interpreter's own libraries.
        writes: Files and folders to write, too. Temporary files go to the first one.
    """
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _drop_capabilities()
    if writes:
        tempfile.tempdir = str(writes[0])
    if landlock.version():
        landlock.restrict(reads=[*_libraries(), *reads], writes=[_NOWHERE, *writes])
    if seccomp.is_available():
        seccomp.restrict()


def missing_bounds() -> list[str]:
    """Return what this kernel does not offer of `confine`, in words; mostly nothing."""
    missing = []
    if not landlock.version():
        missing.append("Landlock (a report's process can open files that it was not given)")
    if not seccomp.is_available():
        missing.append("seccomp filters (a report's process can open connections and start programs)")
    return missing


def _libraries() -> list[Path]:
    """Return where modules may still be imported from."""
    packages = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    own = Path(__file__).parents[1]
    return [own, *(Path(path) for path in {sys.prefix, sys.base_prefix, *packages, *_SYSTEM})]


def _drop_capabilities() -> None:
    """Give up what root may do, except opening files whoever they belong to; other accounts have nothing to lose."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    kept = _DAC_OVERRIDE if os.geteuid() == 0 else 0
    data = (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)  # effective, permitted, inheritable, twice 32 bits
    ctypes.CDLL(None).capset(header, data)


def _lower(kind: int, size: int, *, then: int = 0) -> None:
    """Lower a limit for good; `then`: so much more until the kernel kills instead of telling (SIGXCPU)."""
    allowed = [size, *(limit for limit in resource.getrlimit(kind) if limit != resource.RLIM_INFINITY)]
    hard = resource.getrlimit(kind)[1]
    most = min(allowed) + then
    resource.setrlimit(kind, (min(allowed), most if hard == resource.RLIM_INFINITY else min(most, hard)))


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
