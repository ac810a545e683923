"""A child process that is kept alive: started, its output shown, started again when it dies, ended with everything it forked.

Which children there are and in which order they start belongs in `up.py`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from reportgen_dagster.supervisor.output import Output
from reportgen_dagster.supervisor.processes import (
    CHILD_MARK,
    INSTANCE_MARK,
    KEEP_ENVIRONMENT,
    kill_until_none,
    marked,
)

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 10.0
SETTLED_SECONDS = 30.0
GRACE_SECONDS = 10.0

_DRAIN_SECONDS = 1.0
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Account:
    """The system account that a child runs as, when `up` runs as root and the child must not."""

    user: int
    group: int


@dataclass(frozen=True, slots=True)
class Program:
    """What to start.

    Attributes:
        name: The child's name in the logs and in its mark.
        command: Program and arguments.
        environment: The whole environment, but for the marks.
        folder: Its working folder.
        stop_signal: The signal that asks it to end.
        stdin: What it reads from standard input, e.g. a configuration with a password.
        account: Whom it runs as; None: as `up` itself.
        clear: Removes what an earlier life left behind, beyond marked processes; called before each start.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    stop_signal: signal.Signals = signal.SIGTERM
    stdin: bytes = b""
    account: Account | None = None
    clear: Callable[[], None] = field(default=lambda: None)


class Child:
    """One supervised process, in a session of its own."""

    def __init__(self, program: Program, instance: str, output: Output) -> None:
        """Describe the child; `start` begins it.

        Args:
            program: What to start.
            instance: The mark of this installation's processes.
            output: Where its lines go.
        """
        self.program = program
        self.starts = 0
        self._instance = instance
        self._output = output
        self._process: asyncio.subprocess.Process | None = None
        self._ending = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The child's name."""
        return self.program.name

    @property
    def pid(self) -> int | None:
        """Its process id; None between two lives."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def start(self) -> None:
        """Start it and keep it alive from now on."""
        self._life = asyncio.create_task(self._keep_alive(), name=self.name)

    async def run_once(self) -> int:
        """Run the program to its end and return its exit code (negative: the signal that ended it)."""
        return await self._live()

    async def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Ask it to end; after half the grace time ask what it forked, too; after all of it kill them."""
        self._ending.set()
        self._signal(self.program.stop_signal)
        if self._life is None:
            return
        half = grace_seconds / 2
        done, _ = await asyncio.wait({self._life}, timeout=half)
        if not done:
            await asyncio.to_thread(self._ask_forked)
            done, _ = await asyncio.wait({self._life}, timeout=half)
        if not done:
            self._output.say(f"{self.name} does not end within {grace_seconds:g} s and is killed")
            self.kill()
            await self._life

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(number)

    def _ask_forked(self) -> None:
        """Ask the processes that the child forked to end, e.g. runs that a worker waits for."""
        for process in marked(self._instance, self.name):
            if process.pid != self.pid:
                with suppress(psutil.Error):
                    process.terminate()

    def kill(self) -> None:
        """Kill it at once, without another start."""
        self._ending.set()
        self._signal(signal.SIGKILL)

    async def _keep_alive(self) -> None:
        delay = FIRST_DELAY_SECONDS
        while not self._ending.is_set():
            begin = time.monotonic()
            try:
                code = await self._live()
                what = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            except OSError as error:
                what = f"cannot be started: {error.strerror}"
            if self._ending.is_set():
                return
            if time.monotonic() - begin > SETTLED_SECONDS:
                delay = FIRST_DELAY_SECONDS
            self._output.say(f"{self.name} {what}; it is started again in {delay:g} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), delay)
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)

    async def _live(self) -> int:
        await asyncio.to_thread(self._clear)
        if self._ending.is_set():
            return 0
        read_end, write_end = os.pipe()
        showing = asyncio.create_task(self._show(read_end))
        try:
            self._process = process = await self._spawn(write_end)
        finally:
            os.close(write_end)
        self.starts += 1
        code = await process.wait()
        await asyncio.to_thread(self._clear)
        await asyncio.wait({showing}, timeout=_DRAIN_SECONDS)
        showing.cancel()
        return code

    def _clear(self) -> None:
        """End what an earlier life forked and left behind."""
        kill_until_none(lambda: marked(self._instance, self.name))
        self.program.clear()

    async def _spawn(self, output: int) -> asyncio.subprocess.Process:
        program = self.program
        account = program.account
        process = await asyncio.create_subprocess_exec(
            *program.command,
            stdin=asyncio.subprocess.PIPE if program.stdin else asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=program.folder,
            env={
                **program.environment,
                **KEEP_ENVIRONMENT,
                INSTANCE_MARK: self._instance,
                CHILD_MARK: program.name,
            },
            start_new_session=True,
            user=None if account is None else account.user,
            group=None if account is None else account.group,
            extra_groups=None if account is None else (),
        )
        if process.stdin is not None:
            process.stdin.write(program.stdin)
            process.stdin.close()
        if self._ending.is_set():
            process.kill()
        return process

    async def _show(self, read_end: int) -> None:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", 0)
        )
        rest = b""
        try:
            while chunk := await reader.read(_CHUNK):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._show_line(line)
        finally:
            if rest:
                self._show_line(rest)
            transport.close()

    def _show_line(self, line: bytes) -> None:
        self._output.child(self.name, line.decode(errors="replace").rstrip())
