"""A report's process reaches the files that it was given, and nothing else."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ALLOWED_ANSWERS = {"EPERM", "EACCES", "EXDEV", "ENOSYS", "ENOTSOCK"}


def test_nothing_outside_can_be_reached(tmp_path: Path) -> None:
    canary, folder = tmp_path / "elsewhere" / "canary.txt", tmp_path / "run"
    canary.parent.mkdir()
    folder.mkdir()
    canary.write_text("alive")
    canary.chmod(0o600)
    (folder / "given.csv").write_text("a\n1\n2\n")
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.create_server(("127.0.0.1", 0)) as own:
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        for server in (tcp, unix):
            server.settimeout(0)
        arguments = [canary, tcp.getsockname()[1], tmp_path / "s", folder, own.getsockname()[1]]
        command = [sys.executable, "-m", "tests.engine.escaping", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        for server in (tcp, unix):
            with pytest.raises(BlockingIOError):
                server.accept()
        connection, _ = own.accept()
        assert connection.recv(100) == b""  # what was open before the fork is not there any more
    told = json.loads(done.stdout)
    for place in ("main", "thread"):
        assert {what: how for what, how in told[place].items() if how not in ALLOWED_ANSWERS} == {}
        assert len(told[place]) > 20
    assert (canary.read_text(), canary.stat().st_mode & 0o777) == ("alive", 0o600)
    rows, zone, module, capabilities = told["own"]
    assert (rows, zone, module) == ([[2]], "Europe/Berlin", "wave")
    assert capabilities in (0, 1 << 1)  # root may still open files whoever they belong to


def _ran(body: str, limits: str, folder: Path) -> str:
    """Run work in a confined process of a fresh interpreter; return the error that its parent sees, and `alive` if it is."""
    program = f"""
import ctypes, mmap, os, resource, signal, sys, time
from pathlib import Path
from reportgen_dagster.engine import sandbox
from reportgen_dagster.engine.connection import engine_errors
from reportgen_dagster.engine.confined import ConfinedProcess
from reportgen_dagster.engine.limits import Limits
sandbox.GRACE_SECONDS = 0
work = Path(sys.argv[1])
limits = Limits({limits})
def do(tell):
    with engine_errors(limits):
{body}
    tell({{"end": True}})
with ConfinedProcess.forked(do, limits=limits, reads=[], writes=[work]) as process:
    try:
        print(list(process.messages()))
    except Exception as error:
        print(type(error).__name__, error, getattr(error, "case_hint", ""))
print("alive")
"""
    command = [sys.executable, "-c", program, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize(
    ("body", "limits", "told"),
    [
        (
            "        bytearray(10**11)",
            'memory="100MB"',
            "LimitError the report needs more than its 100MB of memory Give",
        ),
        (
            "        (work / 'large').write_bytes(b'x' * 2_000_000)",
            'temp="1MB"',
            "LimitError the report needs more than its 1MB of temporary room on the disk Give",
        ),
        (
            "        time.sleep(600)",
            "seconds=1",
            "LimitError the report took longer than its limit of 1 seconds Give",
        ),
        (
            "        resource.setrlimit(resource.RLIMIT_CPU, (1, 2))\n        while True: pass",
            "",
            "LimitError the report took longer than its limit of 3600 seconds Give",
        ),
        ("        ctypes.string_at(0)", "", "ProcessLostError the engine's process was killed by SIGSEGV"),
        ("        {}['x']", "", "RuntimeError KeyError: 'x'"),
        ("        os._exit(7)", "", "RuntimeError the engine's process ended with exit code 7"),
        ("        pass", "", "[{'end': True}]"),
    ],
    ids=["address space", "file size", "time", "processor time", "crash", "our fault", "exit", "nothing"],
)
def test_its_end_is_told_and_the_one_who_asked_goes_on(
    tmp_path: Path, body: str, limits: str, told: str
) -> None:
    lines = _ran(body, limits, tmp_path).splitlines()
    assert lines[0].startswith(told)
    assert lines[-1] == "alive"


def test_it_dies_with_the_one_who_listens() -> None:
    program = """
import sys, time
from pathlib import Path
from reportgen_dagster.engine.confined import ConfinedProcess
from reportgen_dagster.engine.limits import Limits
def do(tell):
    tell({"id": 1})
    time.sleep(600)
process = ConfinedProcess.forked(do, limits=Limits(), reads=[], writes=[])
next(process.messages())
print(process._id, flush=True)
time.sleep(600)
"""
    listener = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert listener.stdout is not None
    with listener.stdout:
        process = os.pidfd_open(int(listener.stdout.readline()))
        listener.kill()
        listener.wait()
    import select

    assert select.select([process], [], [], 20)[0]
    os.close(process)


def test_a_program_of_its_own_ends_if_the_one_who_started_it_is_gone_already() -> None:
    """Its standard input stays open: it is not that which ends it."""
    arguments = [sys.executable, "-m", "reportgen_dagster.services.report_child", "1"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE) as process:
        assert process.wait(60) == 1
