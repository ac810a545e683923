"""Dagster's webserver or daemon, begun once the code servers listen.

Both read all definitions as they start; too early, they would show locations that cannot be loaded. Importing them takes
seconds of a core, which pass while the code servers import, too. Nothing but the wait belongs here: the arguments are
Dagster's own, as in `python -m reportgen_dagster.defs.after_code_servers webserver -w workspace.yaml -p 3000`.
"""

from __future__ import annotations

import importlib
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

PROGRAMS = {"webserver": "dagster_webserver.cli", "daemon": "dagster._daemon.cli"}
_WORKSPACE = "-w"
_POLL_SECONDS = 0.1


def main(words: Sequence[str]) -> None:
    """Import a program, wait for the code servers of the workspace that its arguments name, and run it.

    Args:
        words: Of PROGRAMS, then the program's arguments.
    """
    name, *arguments = words
    program = importlib.import_module(PROGRAMS[name])
    workspace = Path(arguments[arguments.index(_WORKSPACE) + 1])
    for host, port in _code_servers(workspace):
        while not _listens(host, port):
            time.sleep(_POLL_SECONDS)
    sys.argv = [f"dagster-{name}", *arguments]
    program.main()


def _code_servers(workspace: Path) -> Iterator[tuple[str, int]]:
    for location in yaml.safe_load(workspace.read_text())["load_from"]:
        server = location["grpc_server"]
        yield server["host"], server["port"]


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
