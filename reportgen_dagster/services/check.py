"""Checks users' rules in warm child processes with little memory and time, so that no text can harm the gateway.

The child's side is services/check_child.py; what a check is, is rules/. A child that dies or takes too long is replaced.
"""

from __future__ import annotations

import atexit
import json
import queue
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from reportgen_dagster.errors import RulesError, UnavailableError, error_from_json
from reportgen_dagster.services.uploads import RulesText

CHILDREN = 2  # so that one hostile text does not hold up everybody for its seconds
CHECK_SECONDS = 10.0
START_SECONDS = 60.0
_CHILD_MODULE = "reportgen_dagster.services.check_child"
_READ_BYTES = 65536


class _ChildLostError(Exception):
    """The child ended."""


class _ChildSlowError(_ChildLostError):
    """The child did not answer in time and was ended."""


class _Child:
    """One child process and the socket to it, which is its input and output. Used by one thread at a time."""

    def __init__(self) -> None:
        self._rest = b""
        self._socket, childs_end = socket.socketpair()
        with childs_end:
            self._process = subprocess.Popen(  # noqa: S603 - the interpreter itself; nothing in it comes from a user
                [sys.executable, "-m", _CHILD_MODULE],
                stdin=childs_end.fileno(),
                stdout=childs_end.fileno(),
                stderr=subprocess.DEVNULL,
                env={},  # no secrets
            )
        self._exchange(b"", START_SECONDS)

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the child's answer.

        Raises:
            _ChildLostError: If it died or took longer than CHECK_SECONDS. The child is then gone.
        """
        line = self._exchange(json.dumps(request).encode() + b"\n", CHECK_SECONDS)
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


class Checker:
    """A few warm children behind one thread-safe call."""

    def __init__(self, children: int = CHILDREN) -> None:
        self._places: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(children):
            self._places.put(None)

    def check(self, rules: RulesText, columns: Mapping[str, Sequence[str]] | None) -> None:
        """Check rules, and with columns also that they fit the files.

        Raises:
            RulesError: With every problem; also if the check takes too much time or memory.
            UnavailableError: If no child can be started.
        """
        request = {
            "text": rules.text,
            "source": rules.filename,
            "syntax": rules.syntax,
            "columns": None if columns is None else {name: list(names) for name, names in columns.items()},
        }
        answer = self._ask(request)
        if "error" in answer:
            raise error_from_json(answer["error"])

    def warm(self) -> None:
        """Start one child, so that the first check does not wait for it."""
        child = self._places.get()
        try:
            child = child or _start()
        finally:
            self._places.put(child)

    def close(self) -> None:
        """End all children; a later check starts new ones."""
        for _ in range(self._places.qsize()):
            child = self._places.get()
            if child is not None:
                child.close()
            self._places.put(None)

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        child = self._places.get()
        try:
            if child is not None:
                answer = _ask_warm(child, request)
                if answer is not None:
                    return answer
            child = None
            child = _start()
            return child.ask(request)
        except _ChildLostError:
            child = None
            raise RulesError(
                f"Checking the rules takes more than {CHECK_SECONDS:g} seconds or too much memory; make them smaller or"
                " less deeply nested."
            ) from None
        finally:
            self._places.put(child)


def _ask_warm(child: _Child, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """Ask a child that waited; None if it is gone, which anybody may have caused and so tells nothing about the text."""
    try:
        return child.ask(request)
    except _ChildSlowError:
        raise
    except _ChildLostError:
        return None


def _start() -> _Child:
    try:
        return _Child()
    except (_ChildLostError, OSError):
        raise UnavailableError("The rules cannot be checked at the moment.") from None


_checker = Checker()
atexit.register(_checker.close)


def check_report(rules: RulesText, columns: Mapping[str, Sequence[str]] | None) -> None:
    """Check rules, and with the columns of `input` and of each reference also that they fit these files.

    Raises:
        RulesError: With every problem, a reference that the rules do not name among them; also if the check takes too
            much time or memory.
        UnavailableError: If the checking process cannot be started.
    """
    _checker.check(rules, columns)


def warm() -> None:
    """Start the checking process ahead of the first check.

    Raises:
        UnavailableError: If it cannot be started.
    """
    _checker.warm()


def close() -> None:
    """End the checking processes."""
    _checker.close()
