"""A child is kept alive, its output is shown, and it never leaves anything behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import psutil

from reportgen_dagster.supervisor.children import FIRST_DELAY_SECONDS, Child, Program
from reportgen_dagster.supervisor.processes import marked
from tests.supervisor.processes import Shown, an_instance, python_child, until

FOREVER = "import time; print('here'); time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here'); time.sleep(600)"
WITH_FORK = """
import subprocess, sys, time
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)
print('here')
time.sleep(600)
"""


def test_a_killed_child_is_started_again_later_and_later(tmp_path: Path) -> None:
    shown = Shown()

    async def scene(child: Child) -> float:
        child.start()
        for lives in (1, 2, 3):
            await until(lambda lives=lives: shown.lines.count("dummy       | here") == lives, f"life {lives}")
            killed = time.monotonic()
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
        await until(lambda: child.starts == 4, "the fourth life")
        away = time.monotonic() - killed
        await child.stop()
        return away

    with an_instance() as instance:
        away = asyncio.run(scene(python_child(FOREVER, tmp_path, instance, shown)))
        assert marked(instance) == []
    assert away >= 4 * FIRST_DELAY_SECONDS
    assert "dummy was killed by signal 9; it is started again in 0.5 s" in shown.lines
    assert "dummy was killed by signal 9; it is started again in 2 s" in shown.lines


def test_what_a_dead_child_forked_is_ended_before_the_next_start(tmp_path: Path) -> None:
    shown = Shown()

    async def scene(child: Child, instance: str) -> None:
        child.start()
        await until(lambda: len(marked(instance, "dummy")) == 2, "child and grandchild")
        first = {process.pid for process in marked(instance)}
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        await until(lambda: child.starts == 2, "the second life")
        assert first & {process.pid for process in marked(instance)} == set()
        await child.stop()

    with an_instance() as instance:
        asyncio.run(scene(python_child(WITH_FORK, tmp_path, instance, shown), instance))
        assert marked(instance) == []


def test_a_child_deaf_to_sigterm_is_killed_after_the_grace_time(tmp_path: Path) -> None:
    shown = Shown()

    async def scene(child: Child) -> None:
        child.start()
        await until(lambda: "dummy       | here" in shown.lines, "it runs")
        await child.stop(grace_seconds=0.4)

    with an_instance() as instance:
        asyncio.run(scene(python_child(DEAF, tmp_path, instance, shown)))
        assert marked(instance) == []
    assert "dummy does not end within 0.4 s and is killed" in shown.lines


def test_the_end_is_asked_of_forked_processes_too(tmp_path: Path) -> None:
    """A worker waits for its runs: they are told before anything is killed."""
    waits = (
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-u', '-c', '''\n"
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit('released'))\n"
        "print('here')\n"
        "time.sleep(600)''', ])\n"
        "child.wait()\n"
    )
    shown = Shown()

    async def scene(child: Child) -> None:
        child.start()
        await until(lambda: "dummy       | here" in shown.lines, "it runs")
        await child.stop(grace_seconds=6)

    with an_instance() as instance:
        asyncio.run(scene(python_child(waits, tmp_path, instance, shown)))
    assert "dummy       | released" in shown.lines
    assert not any("is killed" in line for line in shown.lines)


def test_a_child_between_two_lives_ends_at_once(tmp_path: Path) -> None:
    shown = Shown()

    async def scene(child: Child) -> None:
        child.start()
        await until(lambda: any("started again" in line for line in shown.lines), "it died")
        await child.stop()

    with an_instance() as instance:
        asyncio.run(scene(python_child("raise SystemExit(3)", tmp_path, instance, shown)))
    assert "dummy ended with exit code 3; it is started again in 0.5 s" in shown.lines


def test_every_line_carries_the_childs_name_whatever_it_writes(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.stdout.buffer.write(b'caf\\xe9\\n' + b'x' * 200_000 + b'\\n[bold]not markup[/bold]\\nno newline')\n"
        "sys.stderr.write('\\x1b[31mred\\x1b[0m')"
    )
    shown = Shown()
    with an_instance() as instance:
        assert asyncio.run(python_child(code, tmp_path, instance, shown).run_once()) == 0
    assert "dummy       | caf\N{REPLACEMENT CHARACTER}" in shown.lines
    assert f"dummy       | {'x' * 200_000}" in shown.lines
    assert "dummy       | [bold]not markup[/bold]" in shown.lines
    assert "\x1b" not in "".join(shown.lines)


def test_a_program_that_is_not_there_is_tried_again(tmp_path: Path) -> None:
    shown = Shown()
    program = Program(name="dummy", command=["/no/such/program"], environment={}, folder=tmp_path)

    async def scene(child: Child) -> None:
        child.start()
        await until(lambda: any("No such file" in line for line in shown.lines), "it is said")
        await child.stop()

    with an_instance() as instance:
        asyncio.run(scene(Child(program, instance, shown.output)))


def test_a_child_has_a_session_of_its_own(tmp_path: Path) -> None:
    shown = Shown()

    async def scene(child: Child) -> None:
        child.start()
        await until(lambda: "dummy       | here" in shown.lines, "it runs")
        assert child.pid is not None
        assert os.getsid(child.pid) == child.pid
        assert psutil.Process(child.pid).ppid() == os.getpid()
        await child.stop()

    with an_instance() as instance:
        asyncio.run(scene(python_child(FOREVER, tmp_path, instance, shown)))
