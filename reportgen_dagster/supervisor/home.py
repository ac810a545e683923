"""The folder of an installation: its lock, the mark of the last instance, and where a running one is reached.

What lies in the home for a server (PostgreSQL's data, stored files) belongs to that server's module.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from pydantic import SecretStr

from reportgen_dagster.errors import ConflictError, UnavailableError
from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor.processes import RUNTIME_FILE, is_alive

# How long a lock is waited for: whose owner is gone (its guardian is at work), and whose owner lives but may be dying.
_CLEANING_SECONDS = 25.0
_DYING_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where the servers of a running `reportgen up` are reached; holds passwords.

    Attributes:
        pid: Process id of `up`.
        instance: The mark in the environment of all its processes.
        database_url: The catalog's database.
        broker_url: The broker.
        url: Address of the gateway.
        dagster_url: Address of the Dagster UI.
    """

    pid: int
    instance: str
    database_url: str
    broker_url: str
    url: str
    dagster_url: str


class Home:
    """The files of a home that `up` and `fsck` keep beside those of the servers."""

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is touched.

        Args:
            path: The folder, absolute or relative to the current one.
        """
        self.path = path.absolute()
        self._instance = self.path / "instance"
        self._runtime = self.path / RUNTIME_FILE
        self._first_start = self.path / "first-start"

    def make(self) -> None:
        """Create the folder, private to its owner, and note whether this is its first start."""
        is_new = not self.path.exists() or not any(self.path.iterdir())
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if is_new:
            self.path.chmod(0o700)
        if not self._instance.exists():
            self._first_start.touch(mode=0o600)

    @property
    def is_first_start(self) -> bool:
        """Whether no start on this home has come as far as making the example report."""
        return self._first_start.exists()

    def first_start_is_over(self) -> None:
        """Note that the example report was made or is not wanted."""
        self._first_start.unlink(missing_ok=True)

    def lock(self) -> int:
        """Take the home for this process and return the lock's file descriptor; it ends with the process.

        Raises:
            ConflictError: If another `reportgen up` runs on this home.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        begin = time.monotonic()
        while not _try_lock(descriptor):
            owner = _owner(descriptor)
            waited = time.monotonic() - begin
            if waited > (_CLEANING_SECONDS if owner is None else _DYING_SECONDS):
                os.close(descriptor)
                raise ConflictError(
                    f"reportgen already runs on this home (process {owner or 'unknown'})",
                    hint="End it with Ctrl-C where it runs, or set REPORTGEN_HOME to another folder.",
                )
            time.sleep(0.1)
        _write_owner(descriptor)
        return descriptor

    def last_instance(self) -> str | None:
        """Return the mark of the last instance on this home, if there was one."""
        return self._instance.read_text().strip() or None if self._instance.exists() else None

    def new_instance(self) -> str:
        """Make and record the mark of a new instance."""
        instance = secrets.token_hex(16)
        _write_private(self._instance, instance)
        return instance

    def record_runtime(self, runtime: Runtime) -> None:
        """Write where the servers are reached, readable by the owner only."""
        _write_private(self._runtime, json.dumps(asdict(runtime)))

    def forget_runtime(self) -> None:
        """Remove what `record_runtime` wrote."""
        self._runtime.unlink(missing_ok=True)

    def runtime(self) -> Runtime | None:
        """Return where the servers of this home are reached; None when `up` does not run."""
        try:
            runtime = Runtime(**json.loads(self._runtime.read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return runtime if psutil.pid_exists(runtime.pid) else None


def running_settings(settings: Settings) -> Settings:
    """Return the settings with the servers of the running `reportgen up` where no others are named.

    Raises:
        UnavailableError: If no database is named and no `reportgen up` runs on the home.
    """
    if settings.database_url is not None:
        return settings
    runtime = Home(settings.home).runtime()
    if runtime is None:
        raise UnavailableError(
            "no reportgen runs on this home, so its database cannot be reached",
            hint="Start it with `reportgen up`, or set REPORTGEN_DATABASE_URL.",
        )
    return settings.model_copy(
        update={
            "database_url": SecretStr(runtime.database_url),
            "broker_url": settings.broker_url or SecretStr(runtime.broker_url),
        }
    )


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(descriptor: int) -> int | None:
    """Return the process that took the lock, None if it is gone (its guardian is then cleaning up)."""
    try:
        owner = json.loads(os.pread(descriptor, 1000, 0))
        process = psutil.Process(owner["pid"])
        same = abs(process.create_time() - owner["created"]) < 1
    except (ValueError, KeyError, TypeError, psutil.Error):
        return None
    return process.pid if same and is_alive(process) else None


def _write_owner(descriptor: int) -> None:
    owner = {"pid": os.getpid(), "created": psutil.Process().create_time()}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(owner).encode(), 0)


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    temporary.write_text(text)
    temporary.replace(path)
