"""`reportgen up` and `reportgen fsck` as typed: what is refused, what is said, and what a kill leaves."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import REPORTGEN, Stack
from tests.supervisor.processes import wait_until


def _type(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("REPORTGEN_")}
    return subprocess.run(
        [REPORTGEN, *words], env=environment | settings, capture_output=True, text=True, timeout=30
    )


def test_a_port_that_is_taken_is_named_with_its_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = _type(
            "up",
            REPORTGEN_HOME=str(tmp_path),
            REPORTGEN_PORT=str(port),
            REPORTGEN_DAGSTER_PORT=str(port),
        )
    assert done.returncode == 2
    assert f"REPORTGEN_PORT  port {port} on 127.0.0.1: address already in use" in done.stderr
    assert f"REPORTGEN_DAGSTER_PORT  port {port} is named by REPORTGEN_PORT too" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("REPORTGEN_PORT", "eighty", "valid integer"),
        ("REPORTGEN_SECRET_KEY", "changeme", "at least 32 random bytes"),
        ("REPORTGEN_MEMORY_LIMIT", "much", "not a size"),
    ],
)
def test_a_setting_that_is_wrong_is_named_without_its_value(
    tmp_path: Path, name: str, value: str, words: str
) -> None:
    done = _type("up", REPORTGEN_HOME=str(tmp_path / "home"), **{name: value})
    assert done.returncode == 2
    assert name in done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "changeme" not in done.stderr


def test_fsck_without_a_running_service_says_so_as_data(tmp_path: Path) -> None:
    done = _type("fsck", "--json", REPORTGEN_HOME=str(tmp_path))
    assert done.returncode == 1
    assert json.loads(done.stderr)["code"] == "unavailable"


def test_help_names_every_command() -> None:
    done = _type("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("up", "run", "check", "explain", "functions", "fsck"))


def test_the_command_line_imports_nothing_heavy() -> None:
    heavy = ("duckdb", "pandas", "polars", "pandera", "pyarrow", "dagster", "celery", "fastapi", "sqlglot")
    code = f"import sys, reportgen_dagster.cli.main; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    (tmp_path / "home").mkdir()
    service = Stack(tmp_path / "home")
    yield service
    service.destroy()


def test_up_killed_while_it_starts_leaves_nothing_and_a_second_start_works(stack: Stack) -> None:
    for _ in range(2):
        stack.launch()
        wait_until(lambda: stack.runs("postgres") and stack.runs("valkey"), "its servers run")
        second = subprocess.run(
            [REPORTGEN, "up"], env=stack.environment, capture_output=True, text=True, timeout=30
        )
        assert second.returncode == 2
        assert "already runs on this home" in second.stderr
        stack.kill_up()
        wait_until(lambda: stack.processes() == [], "nothing of it runs any more")


def test_ctrl_c_while_it_starts_ends_it_cleanly(stack: Stack) -> None:
    stack.launch()
    wait_until(lambda: stack.runs("postgres"), "its servers run")
    stack.stop()
    assert "All has ended." in stack.log
