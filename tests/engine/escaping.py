"""Tries, in a confined process, everything that a report must not be able to do; prints what came of each as JSON.

Run as a program: `python -m tests.engine.escaping CANARY_FILE CANARY_PORT UNIX_SOCKET FOLDER`, where FOLDER has a `given.csv`.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import sys
import threading
import zoneinfo
from collections.abc import Callable
from pathlib import Path

import duckdb

from reportgen_dagster.engine.confined import ConfinedProcess, Tell
from reportgen_dagster.engine.limits import Limits


def main() -> None:
    """Try all of it in the process itself and in a thread of it."""
    canary, port, server, folder = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
    given = folder / "given.csv"
    work = folder / "work"
    work.mkdir()
    inherited = socket.create_connection(("127.0.0.1", int(sys.argv[5])))

    def escape(tell: Tell) -> None:
        tell({"main": _tried(canary, port, server, work, inherited)})
        found: dict[str, str] = {}
        thread = threading.Thread(target=lambda: found.update(_tried(canary, port, server, work, inherited)))
        thread.start()
        thread.join()
        tell({"thread": found})
        (work / "out.csv").write_bytes(given.read_bytes())
        (work / "out.csv").rename(work / "moved.csv")
        rows = duckdb.connect().execute(f"SELECT count(*) FROM '{work / 'moved.csv'}'").fetchall()  # noqa: S608
        zone = str(zoneinfo.ZoneInfo("Europe/Berlin"))
        import wave  # something that was not loaded before

        tell({"own": [rows, zone, wave.__name__, _capabilities()]})

    with ConfinedProcess.forked(escape, limits=Limits(), reads=[given], writes=[work]) as process:
        told: dict[str, object] = {}
        for message in process.messages():
            told.update(message)
    print(json.dumps(told))


def _tried(canary: Path, port: int, server: str, work: Path, inherited: socket.socket) -> dict[str, str]:
    library = ctypes.CDLL(None, use_errno=True)
    link = work / f"link-{threading.get_ident()}"
    tries: dict[str, Callable[[], object]] = {
        "read": canary.read_text,
        "write": lambda: canary.write_text("gone"),
        "truncate": lambda: os.truncate(canary, 0),
        "remove": canary.unlink,
        "rename": lambda: canary.rename(work / "taken"),
        "hard link": lambda: link.hardlink_to(canary),
        "rights": lambda: canary.chmod(0o777),
        "list": lambda: list(canary.parent.iterdir()),
        "accounts": Path("/etc/passwd").read_text,
        "environment": Path("/proc/self/environ").read_bytes,
        "memory": lambda: os.open("/proc/self/mem", os.O_RDWR),
        "duckdb read": lambda: duckdb.connect().execute(f"SELECT * FROM read_text('{canary}')"),  # noqa: S608
        "tcp": lambda: socket.create_connection(("127.0.0.1", port), 1),
        "tcp6": lambda: socket.socket(socket.AF_INET6),
        "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "unix": lambda: socket.socket(socket.AF_UNIX).connect(server),
        "raw": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
        "inherited connection": lambda: inherited.sendall(b"leaked"),
        "run": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606 - it must fail
        "fork": os.fork,
        "signal": lambda: os.kill(os.getppid(), 0),
        "ptrace": lambda: _call(library, 101, 16, os.getppid(), 0, 0),
        "mount": lambda: _called(library.mount(b"none", b"/mnt", b"tmpfs", 0, None)),
        "namespace": lambda: _called(library.unshare(0x10000000)),
        "filter of its own number set": lambda: _call(library, 0x40000000 + 41, 2, 1, 0),
    }
    return {name: _outcome(attempt) for name, attempt in tries.items()}


def _call(library: ctypes.CDLL, *numbers: int) -> None:
    _called(library.syscall(*map(ctypes.c_long, numbers)))


def _called(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    except duckdb.Error as error:
        return "EACCES" if "Permission denied" in str(error) else str(error)
    return "done"


def _capabilities() -> int:
    data = (ctypes.c_uint32 * 6)()
    ctypes.CDLL(None).capget((ctypes.c_uint32 * 2)(0x20080522, 0), data)
    return data[0] | data[1] | data[3] | data[4]


if __name__ == "__main__":
    main()
