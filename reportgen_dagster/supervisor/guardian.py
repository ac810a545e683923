"""The guardian: a small process that ends everything when `reportgen up` is gone, even by `kill -9`.

It is started first, in a session of its own, and reads a pipe whose other end only `up` holds. When the pipe closes, for whatever
reason, it kills what is left of that instance. It inherits the lock of the home, so that nobody starts anew on it before all is
gone. Restarting things does not belong here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from reportgen_dagster.supervisor.processes import RUNTIME_FILE, end_instance


class Guardian:
    """The side of `up`: starts the guardian and lets it go."""

    def __init__(self, home: Path, instance: str, lock: int) -> None:
        """Start it.

        Args:
            home: The home's folder.
            instance: The mark of those processes.
            lock: File descriptor of the home's lock, which it holds as long as it lives.
        """
        self._arguments = [sys.executable, "-m", __name__, str(home), instance]
        self._lock = lock
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own module, no text from outside
            self._arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            pass_fds=(self._lock,),
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def restore(self) -> bool:
        """Start another one if somebody killed it; return whether that was so."""
        if self._process.poll() is None:
            return False
        self._process = self._start()
        return True

    def dismiss(self) -> None:
        """Let it end what is left, and wait until it has."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()


def main(home: str, instance: str) -> None:
    """Wait until `up` is gone, then end its processes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(sys.stdin.fileno(), 1):
        pass
    end_instance(Path(home), instance)
    (Path(home) / RUNTIME_FILE).unlink(missing_ok=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
