"""Whatever happens to `up`, the guardian ends what it started, and holds the home until that is done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from reportgen_dagster.errors import ConflictError
from reportgen_dagster.supervisor.guardian import Guardian
from reportgen_dagster.supervisor.home import Home
from reportgen_dagster.supervisor.processes import CHILD_MARK, INSTANCE_MARK, is_alive, marked
from tests.supervisor.processes import an_instance, wait_until

# A stand-in for `up`: it locks the home, starts the guardian and a child that forks another, and then waits for ever.
STAND_IN = """
import os, subprocess, sys, time
from pathlib import Path
from reportgen_dagster.supervisor.guardian import Guardian
from reportgen_dagster.supervisor.home import Home
home = Home(Path(sys.argv[1]))
home.make()
lock = home.lock()
guardian = Guardian(home.path, sys.argv[2], lock)
forking = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'],\
 start_new_session=True).wait()"
subprocess.Popen([sys.executable, "-c", forking], env={**os.environ, "REPORTGEN_INSTANCE": sys.argv[2]},
 start_new_session=True)
print(guardian.pid, flush=True)
time.sleep(600)
"""


def _start_stand_in(home: Path, instance: str) -> tuple[subprocess.Popen[str], psutil.Process]:
    process = subprocess.Popen(
        [sys.executable, "-c", STAND_IN, str(home), instance], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, psutil.Process(int(process.stdout.readline()))


def test_kill_9_of_up_leaves_nothing_running(tmp_path: Path) -> None:
    with an_instance() as instance:
        up, guardian = _start_stand_in(tmp_path / "home", instance)
        wait_until(lambda: len(marked(instance)) == 2, "child and grandchild run")
        up.kill()
        up.wait()
        wait_until(lambda: marked(instance) == [], "nothing runs")
        wait_until(lambda: not is_alive(guardian), "the guardian is gone, too")


def test_the_next_start_waits_until_the_guardian_is_done(tmp_path: Path) -> None:
    with an_instance() as instance:
        up, _ = _start_stand_in(tmp_path / "home", instance)
        wait_until(lambda: len(marked(instance)) == 2, "child and grandchild run")
        up.kill()
        os.close(Home(tmp_path / "home").lock())  # although `up` is a zombie that nobody has collected yet
        assert marked(instance) == []
        up.wait()


def test_a_second_start_on_the_same_home_is_refused(tmp_path: Path) -> None:
    with an_instance() as instance:
        up, _ = _start_stand_in(tmp_path / "home", instance)
        with pytest.raises(ConflictError, match=f"already runs on this home .process {up.pid}."):
            Home(tmp_path / "home").lock()
        up.kill()
        up.wait()


def test_the_guardian_is_deaf_to_signals_meant_for_up(tmp_path: Path) -> None:
    with an_instance() as instance:
        up, guardian = _start_stand_in(tmp_path / "home", instance)
        signals = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
        wait_until(
            lambda: all(_ignores(guardian.pid, number) for number in signals), "it has set up its signals"
        )
        for number in signals:
            guardian.send_signal(number)
        up.kill()
        up.wait()
        wait_until(lambda: marked(instance) == [], "nothing runs")


def test_a_killed_guardian_is_replaced_and_a_dismissed_one_has_swept(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.make()
    lock = home.lock()
    with an_instance() as instance:
        guardian = Guardian(home.path, instance, lock)
        assert guardian.restore() is False
        first = guardian.pid
        os.kill(first, signal.SIGKILL)
        wait_until(guardian.restore, "it is replaced")
        assert guardian.pid != first
        subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)"],
            env={**os.environ, INSTANCE_MARK: instance, CHILD_MARK: "forgotten"},
        )
        wait_until(lambda: marked(instance, "forgotten"), "a process was forgotten")
        guardian.dismiss()
        assert marked(instance) == []
    os.close(lock)


def _ignores(pid: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn"))
    return bool(int(mask, 16) >> (number - 1) & 1)
