"""What a run does in its confined process stays there: its crash, and the limits that it reaches."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest
from celery import Celery

from tests.e2e.client import EXAMPLE, Client, until

ROWS = 3_000_000


@pytest.fixture(scope="module")
def long_input() -> bytes:
    """Rows enough for a run of some seconds."""
    header, row, *_ = (EXAMPLE / "input.csv").read_text().splitlines(keepends=True)
    return (header + row * ROWS).encode()


def test_a_run_whose_process_crashes_is_made_again(stack, long_input: bytes) -> None:
    client = Client(stack.url)
    client.upload_example()
    task = client.generate(input=long_input)
    until(stack.confined, "a confined process makes the report", seconds=60)
    for process in stack.confined():
        process.send_signal(signal.SIGSEGV)

    end = client.wait(task, seconds=120)
    assert (end["status"], end["rows"] + end["rejected"]) == ("succeeded", ROWS), end["error"]
    until(lambda: not stack.confined(), "no confined process is left")


def test_the_process_of_a_run_has_no_connection_and_none_of_the_services_files(
    stack, long_input: bytes
) -> None:
    client = Client(stack.url)
    client.upload_example()
    task = client.generate(input=long_input)
    until(
        lambda: any(process.num_threads() > 2 for process in stack.confined()), "a report is made", seconds=60
    )
    (process,) = stack.confined()
    assert process.net_connections(kind="inet") == []
    allowed = f"{stack.environment['REPORTGEN_HOME']}/storage/"
    assert [file.path for file in process.open_files() if not file.path.startswith(allowed)] == []
    assert process.rlimit(psutil.RLIMIT_CPU)[0] > 0
    assert client.wait(task, seconds=120)["status"] == "succeeded"


class _Harm:
    """Makes a file when somebody unpickles it."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> object:
        return os.mkdir, (str(self.canary),)


def test_a_forged_message_runs_nothing(stack, tmp_path: Path) -> None:
    client = Client(stack.url)
    client.upload_example()
    runtime = json.loads((Path(stack.environment["REPORTGEN_HOME"]) / "runtime.json").read_text())
    canary = tmp_path / "canary"
    with Celery(broker=runtime["broker_url"], set_as_current=False) as forger:
        forger.conf.task_default_queue = "dagster"
        forger.send_task("execute_job", args=[_Harm(canary)], serializer="pickle")
        forger.send_task("os.system", args=[f"mkdir {canary}"], serializer="json")

    assert client.wait(client.generate())["status"] == "succeeded"
    assert not canary.exists()
