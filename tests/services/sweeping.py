"""A process that sweeps the inbox and is killed on the way, as by `kill -9`, right before its n-th call of the file system.

It reads lines `<n> <cursor>` and answers each with `killed` or `finished`; a fork of it does the sweep.
"""

from __future__ import annotations

import os
import signal
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
