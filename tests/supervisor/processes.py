"""Small real processes for the supervisor's tests, and waiting for what they do."""

from __future__ import annotations

import asyncio
import io
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from reportgen_dagster.supervisor.children import Child, Program
from reportgen_dagster.supervisor.output import Output
from reportgen_dagster.supervisor.processes import kill_until_none, marked

PATIENCE_SECONDS = 15


class Shown:
    """What an `Output` has shown, as text."""

    def __init__(self) -> None:
        self._text = io.StringIO()
        self.output = Output(file=self._text, width=500)

    @property
    def lines(self) -> list[str]:
        return self._text.getvalue().splitlines()


@contextmanager
def an_instance() -> Iterator[str]:
    """A mark for processes; whatever still carries it at the end of the test is ended."""
    instance = secrets.token_hex(8)
    try:
        yield instance
    finally:
        kill_until_none(lambda: marked(instance))


def python_program(code: str, folder: Path, name: str = "dummy") -> Program:
    """A child that runs a few lines of Python."""
    return Program(
        name=name, command=[sys.executable, "-u", "-c", code], environment=dict(os.environ), folder=folder
    )


def python_child(code: str, folder: Path, instance: str, shown: Shown, name: str = "dummy") -> Child:
    return Child(python_program(code, folder, name), instance, shown.output)


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait in an event loop until the condition holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {what}"
        await asyncio.sleep(0.02)


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait until the condition holds."""
    asyncio.run(until(condition, what))
