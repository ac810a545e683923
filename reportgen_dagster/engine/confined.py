"""A process of its own for work on people's data, which reaches nothing but the files of that work.

It is forked, tells in JSON lines what it does, and ends. What belongs here: starting, listening, ending. What does not: what is
done there, and the bounds that are set (sandbox.py).
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from reportgen_dagster.engine import sandbox
from reportgen_dagster.engine.limits import Limits, memory_is_over, time_is_over
from reportgen_dagster.errors import ReportgenError, error_from_json

Message = dict[str, Any]
Tell = Callable[[Message], None]
Work = Callable[[Tell], None]

_PR_SET_PDEATHSIG = 1
_FIRST_DESCRIPTOR = 3  # behind standard input, output and error
_READ_BYTES = 1 << 16
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_REUSED_BYTES = 32 * 1024 * 1024  # the most that glibc takes; a piece has 16 MB
_KEPT_BYTES = 32 * 1024 * 1024


class ProcessLostError(Exception):
    """The process died of a signal: a crash of a library, or somebody killed it.

    Attributes:
        signal: Which one.
    """

    def __init__(self, number: int) -> None:
        """Describe the end."""
        self.signal = number
        super().__init__(f"the engine's process was killed by {signal.Signals(number).name}")


class ConfinedProcess:
    """One piece of work in a confined process. Iterate over what it tells; leaving the context ends it."""

    def __init__(self, process_id: int, channel: socket.socket, limits: Limits) -> None:
        """Take over a process that was just started; `forked` and `spawned` start one."""
        self._id = process_id
        self._channel = channel
        self._limits = limits
        self._end = time.monotonic() + limits.seconds + sandbox.GRACE_SECONDS
        self._is_over = False

    @classmethod
    def forked(
        cls, work: Work, *, limits: Limits, reads: Sequence[Path], writes: Sequence[Path]
    ) -> ConfinedProcess:
        """Fork this process, in which Polars has computed nothing yet (`can_fork`).

        Args:
            work: What to do there. It is given a function that sends a message.
            limits: What it may use.
            reads: Files and folders that it may read.
            writes: Files and folders that it may write, too.
        """
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        process_id = os.fork()
        if not process_id:
            _leave_behind(theirs, parent)
            carry_out(work, theirs, limits=limits, reads=reads, writes=writes)
        theirs.close()
        return cls(process_id, ours, limits)

    @classmethod
    def spawned(cls, module: str, request: Mapping[str, Any], *, limits: Limits) -> ConfinedProcess:
        """Start a module anew as a program, with a line of JSON and the channel as its standard input and output.

        The program's argument is this process's id, for `die_with`.

        It takes a second longer than `forked`, and works in any process.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            copies = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), number) for number in (0, 1)]
            arguments = [sys.executable, "-m", module, str(os.getpid())]
            process_id = os.posix_spawn(sys.executable, arguments, {}, file_actions=copies)  # {}: no secrets
        process = cls(process_id, ours, limits)
        ours.sendall(json.dumps(request).encode() + b"\n")
        return process

    def __enter__(self) -> ConfinedProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def messages(self) -> Iterator[Message]:
        """Yield what the process tells until it ends.

        Raises:
            ReportgenError: As the work raised it there.
            LimitError: If it took too long or too much processor time.
            ProcessLostError: If it died.
            RuntimeError: If the work raised something unexpected; a note on it has its trace, for logs.
        """
        for line in self._lines():
            message: Message = json.loads(line)
            if "error" in message:
                error = error_from_json(message["error"])
                error.facts = message["facts"]
                raise error
            if "crash" in message:
                crash = RuntimeError(message["crash"])
                crash.add_note(message["trace"])
                raise crash
            yield message
        self._judge_end()

    def close(self) -> None:
        """End the process, if it is still there, and wait for its end."""
        self._channel.close()
        if not self._is_over:
            os.kill(self._id, signal.SIGKILL)
            self._wait()

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        while data := self._received():
            *lines, rest = (rest + data).split(b"\n")
            yield from lines

    def _received(self) -> bytes:
        self._channel.settimeout(max(0.001, self._end - time.monotonic()))
        try:
            return self._channel.recv(_READ_BYTES)
        except TimeoutError:
            raise time_is_over(self._limits.seconds) from None

    def _judge_end(self) -> None:
        exit_code = self._wait()
        if exit_code == -signal.SIGXCPU:
            raise time_is_over(self._limits.seconds)
        if exit_code < 0:
            raise ProcessLostError(-exit_code)
        if exit_code:
            raise RuntimeError(f"the engine's process ended with exit code {exit_code}")

    def _wait(self) -> int:
        self._is_over = True
        return os.waitstatus_to_exitcode(os.waitpid(self._id, 0)[1])


def can_fork() -> bool:
    """Tell whether this process may fork one that computes: threads of Polars do not survive it, and it would wait for them."""
    names = (task / "comm" for task in Path("/proc/self/task").iterdir())
    return not any(name.read_text().startswith("polars-0") for name in names)


def die_with(parent: int) -> None:
    """End at once when the process that listens does, or if it has already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def carry_out(
    work: Work, channel: socket.socket, *, limits: Limits, reads: Sequence[Path], writes: Sequence[Path]
) -> NoReturn:
    """Confine this process, do the work, tell how it went and end."""
    exit_code = 1

    def tell(message: Message) -> None:
        channel.sendall(json.dumps(message).encode() + b"\n")

    try:
        sandbox.bound(limits)
        _keep_freed_memory()
        sandbox.confine(reads=reads, writes=writes)
        _do(work, tell, limits)
        exit_code = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)


def _keep_freed_memory() -> None:
    """Let glibc reuse what pieces of the input were in, instead of giving it back and having the kernel clear it anew each time.

    That saves a tenth of a large report's time.
    """
    with suppress(AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _REUSED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def _do(work: Work, tell: Tell, limits: Limits) -> None:
    try:
        work(tell)
    except ReportgenError as error:
        tell({"error": error.to_json(), "facts": error.facts})
    except MemoryError:
        tell({"error": memory_is_over(limits.memory).to_json(), "facts": {}})
    except Exception as error:
        tell({"crash": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()})


def _leave_behind(channel: socket.socket, parent: int) -> None:
    """Let go of everything of the process that forked: connections above all, and how it takes signals.

    Its objects stay: their descriptors now lead nowhere and are taken by nothing else, whatever is done to them.
    """
    try:
        _let_go(channel)
        die_with(parent)
    except BaseException:
        os._exit(1)


def _let_go(channel: socket.socket) -> None:
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that listens
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for entry in Path("/proc/self/fd").iterdir():
        number = int(entry.name)
        if number >= _FIRST_DESCRIPTOR and number not in (nowhere, channel.fileno()) and _is_open(number):
            os.dup2(nowhere, number, inheritable=False)


def _is_open(number: int) -> bool:
    return os.path.lexists(f"/proc/self/fd/{number}")  # the listing's own is gone
