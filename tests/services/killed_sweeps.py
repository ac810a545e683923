"""A process that sweeps the inbox and is killed on the way, as by `kill -9`, right before its n-th call of the file system.

It reads lines `<n> <cursor>` and answers each with `killed` or `finished`; a fork of it does the sweep.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from reportgen_dagster.services import inbox
from reportgen_dagster.services.context import Context
from reportgen_dagster.settings import Settings

CALLS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.chmod", "fcntl.flock")


def die_at(step: int) -> None:
    """Kill this process right before it makes its n-th call that changes or opens something."""
    left = step

    def count(event: str, _arguments: object) -> None:
        nonlocal left
        if event in CALLS:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


class Killed:
    """Sweeps in processes that are killed before their n-th call of the file system: the other side of this module's `main`."""

    def __init__(self, settings: Settings) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.services.killed_sweeps"],
            env=settings.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def sweep(self, step: int, cursor: str) -> bool:
        """Return whether the sweep came to its end."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{step} {cursor}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        assert answer in ("finished", "killed")
        return answer == "finished"

    def close(self) -> None:
        self._process.communicate(timeout=30)


def main() -> None:
    """Fork a sweep for each line."""
    for line in sys.stdin:
        step, cursor = line.rstrip("\n").split(" ", 1)
        child = os.fork()
        if child == 0:
            context = Context.open(Settings())
            die_at(int(step))
            inbox.sweep(context, cursor)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print("finished" if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 else "killed", flush=True)


if __name__ == "__main__":
    main()
