"""Finding and ending the processes of one installation, also those whose parent is gone.

Each process that `reportgen up` starts carries a mark in its environment, which its children inherit. PostgreSQL and Valkey
overwrite theirs with the title they show, and are known by the folder they work in instead.
What decides when to end processes does not belong here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import psutil

INSTANCE_MARK = "REPORTGEN_INSTANCE"
CHILD_MARK = "REPORTGEN_CHILD"
# setproctitle, which Celery uses where it is installed, would write the title over the environment that the marks are read from.
KEEP_ENVIRONMENT = {"SPT_NOENV": "1"}
RUNTIME_FILE = "runtime.json"

# The embedded servers: name of the child -> name of its program and the folder of the home that it works in.
SERVERS = {"postgres": ("postgres", "postgres/data"), "valkey": ("valkey-server", "valkey")}

_SCAN_SECONDS = 0.05
_PATIENCE_SECONDS = 20.0


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process still runs (one that ended and nobody has collected does not)."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def marked(instance: str, child: str | None = None) -> list[psutil.Process]:
    """List the living processes that carry the mark of an instance, and of one child of it if named."""
    return [
        process
        for process in psutil.process_iter()
        if _carries(process, instance, child) and process.pid != os.getpid()
    ]


def _carries(process: psutil.Process, instance: str, child: str | None) -> bool:
    try:
        environment = process.environ()
    except (psutil.Error, OSError):
        return False
    if environment.get(INSTANCE_MARK) != instance:
        return False
    return child in (None, environment.get(CHILD_MARK)) and is_alive(process)


def servers_in(home: Path, child: str | None = None) -> list[psutil.Process]:
    """List the living server processes that work in a home, PostgreSQL's backends too; those of one child if named."""
    found = {
        (program, os.path.realpath(home / folder))
        for name, (program, folder) in SERVERS.items()
        if child in (None, name)
    }
    return [process for process in psutil.process_iter() if _is_server(process, found)]


def _is_server(process: psutil.Process, servers: set[tuple[str, str]]) -> bool:
    try:
        name = process.name()
        if not any(name == program for program, _ in servers):
            return False
        return (name, process.cwd().removesuffix(" (deleted)")) in servers and is_alive(process)
    except (psutil.Error, OSError):
        return False


def kill_until_none(find: Callable[[], Iterable[psutil.Process]]) -> bool:
    """Kill what `find` lists until it lists nothing twice in a row.

    Returns:
        Whether nothing is left; False after 20 s of trying.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    quiet = 0
    while quiet < 2 and time.monotonic() < deadline:
        processes = list(find())
        for process in processes:
            with suppress(psutil.Error):
                process.kill()
        quiet = 0 if processes else quiet + 1
        if quiet < 2:
            time.sleep(
                _SCAN_SECONDS
            )  # not a wait for them: that would take a child's exit code from its parent
    return quiet >= 2


def end_instance(home: Path, instance: str) -> bool:
    """Kill every process of an instance and every server that works in the home.

    Returns:
        Whether nothing is left.
    """
    return kill_until_none(lambda: [*marked(instance), *servers_in(home)])
