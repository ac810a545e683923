"""Warm child processes that do for a user what must not harm the process that serves everybody.

One JSON object a line goes in, one comes back. A child that dies or takes too long is replaced. What belongs here: starting,
asking and ending children. What does not: what they do (`check_child.py`, `preview_child.py`) and how they confine themselves.
"""

from __future__ import annotations

import json
import queue
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from reportgen_dagster.errors import UnavailableError

START_SECONDS = 60.0
_READ_BYTES = 65536
# No secrets. Each thread's own arena of malloc would take 64 MB of the address space, which is bounded, and use none of it.
_ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}


class TooMuchError(Exception):
    """What was asked took too much time or memory."""


class _ChildLostError(Exception):
    """The child ended."""


class _ChildSlowError(_ChildLostError):
    """The child did not answer in time and was ended."""


class _Child:
    """One child process and the socket to it, which is its input and output. Used by one thread at a time."""

    def __init__(self, module: str) -> None:
        self._rest = b""
        self._socket, childs_end = socket.socketpair()
        with childs_end:
            self._process = subprocess.Popen(  # noqa: S603 - the interpreter itself; nothing in it comes from a user
                [sys.executable, "-m", module],
                stdin=childs_end.fileno(),
                stdout=childs_end.fileno(),
                stderr=subprocess.DEVNULL,
                env=_ENVIRONMENT,
            )
        self._exchange(b"", START_SECONDS)

    def ask(self, request: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Return the child's answer.

        Raises:
            _ChildLostError: If it died or took longer than `seconds`. The child is then gone.
        """
        line = self._exchange(json.dumps(request).encode() + b"\n", seconds)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process and wait for its end."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _exchange(self, request: bytes, seconds: float) -> bytes:
        """Send bytes and return the line that comes back."""
        deadline = time.monotonic() + seconds
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(request)
            while b"\n" not in self._rest:
                self._socket.settimeout(max(0.001, deadline - time.monotonic()))
                self._rest += self._receive()
        except TimeoutError:
            self.close()
            raise _ChildSlowError from None
        except OSError:
            self.close()
            raise _ChildLostError from None
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _receive(self) -> bytes:
        data = self._socket.recv(_READ_BYTES)
        if not data:
            raise ConnectionError("the child closed its end")
        return data


class ChildProcesses:
    """A few warm children behind one thread-safe call."""

    def __init__(self, module: str, *, count: int, seconds: float) -> None:
        """Begin without a child; the first call starts one.

        Args:
            module: What a child runs, as `python -m`; its first line says that it is ready.
            count: How many there are at most.
            seconds: How long an answer may take.
        """
        self._module = module
        self._seconds = seconds
        self._places: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(count):
            self._places.put(None)

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a child's answer.

        Raises:
            TooMuchError: If a child died of the request or took too long.
            UnavailableError: If no child can be started.
        """
        child = self._places.get()
        try:
            if child is not None:
                answer = self._ask_warm(child, request)
                if answer is not None:
                    return answer
            child = None
            child = self._start()
            return child.ask(request, self._seconds)
        except _ChildLostError:
            child = None
            raise TooMuchError from None
        finally:
            self._places.put(child)

    def warm(self) -> None:
        """Start one child, so that the first request does not wait for it.

        Raises:
            UnavailableError: If it cannot be started.
        """
        child = self._places.get()
        try:
            child = child or self._start()
        finally:
            self._places.put(child)

    def close(self) -> None:
        """End all children; a later request starts new ones."""
        for _ in range(self._places.qsize()):
            child = self._places.get()
            if child is not None:
                child.close()
            self._places.put(None)

    def _ask_warm(self, child: _Child, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """Ask a child that waited; None if it is gone, which anybody may have caused and so tells nothing of the request."""
        try:
            return child.ask(request, self._seconds)
        except _ChildSlowError:
            raise
        except _ChildLostError:
            return None

    def _start(self) -> _Child:
        try:
            return _Child(self._module)
        except (_ChildLostError, OSError):
            raise UnavailableError("The rules cannot be checked at the moment.") from None
