"""A whole running service for tests: `reportgen up` as a process of its own, on free ports and in a home of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psutil

from reportgen_dagster.supervisor.home import Home
from reportgen_dagster.supervisor.ports import free_port
from reportgen_dagster.supervisor.processes import end_instance, is_alive, marked, servers_in

REPORTGEN = Path(sys.executable).parent / "reportgen"
START_SECONDS = 120
STOP_SECONDS = 90
TAIL = 8000


class Stack:
    """One `reportgen up`.

    Attributes:
        url: Address of the gateway.
        dagster_url: Address of the Dagster webserver.
        environment: The environment that `reportgen` commands of this service run in.
    """

    def __init__(self, home: Path, *, demo: bool = False, **settings: str) -> None:
        self._home = Home(home)
        self._log = home / "up.log"
        self._up: subprocess.Popen[bytes] | None = None
        self._instances: set[str] = set()
        gateway, dagster = _free_ports(2)
        shards = int(settings.get("REPORTGEN_SHARDS", "1"))
        code_server = _free_ports_in_a_row(shards, but={gateway, dagster})
        self.url = f"http://127.0.0.1:{gateway}"
        self.dagster_url = f"http://127.0.0.1:{dagster}{settings.get('REPORTGEN_DAGSTER_PATH', '')}"
        self.environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith("REPORTGEN_")},
            "REPORTGEN_HOME": str(home),
            "REPORTGEN_PORT": str(gateway),
            "REPORTGEN_DAGSTER_PORT": str(dagster),
            "REPORTGEN_CODE_SERVER_PORT": str(code_server),
            "REPORTGEN_DEMO": str(int(demo)),
            "REPORTGEN_REGISTRATIONS_PER_HOUR": "100000",
            **settings,
        }

    @property
    def home(self) -> Path:
        """The folder of everything that it keeps."""
        return self._home.path

    @property
    def database_url(self) -> str:
        """Where its catalog is reached while it runs."""
        runtime = self._home.runtime()
        assert runtime is not None, "it does not run"
        return runtime.database_url

    @property
    def log(self) -> str:
        """Everything that `up` has shown in all its starts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.launch()
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            ended = self._up is None or self._up.poll() is not None
            if ended or time.monotonic() > deadline:
                what = "ended" if ended else f"is not ready within {START_SECONDS} s"
                tail = self.log[-TAIL:]
                self.destroy()
                raise AssertionError(f"reportgen up {what}:\n{tail}")
            time.sleep(0.1)
        self._note_instance()

    def launch(self) -> None:
        """Start it without waiting."""
        with self._log.open("ab") as log:
            self._up = subprocess.Popen(
                [REPORTGEN, "up"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End it as Ctrl-C does; nothing of it may be left."""
        if self._up is None:
            return
        self._note_instance()
        self._up.send_signal(signal.SIGINT)
        try:
            code = self._up.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            tail = self.log[-TAIL:]
            self.destroy()
            raise AssertionError(f"reportgen up does not end within {STOP_SECONDS} s:\n{tail}") from None
        self._up = None
        left = self.processes()
        self.destroy()
        assert (code, left) == (0, []), f"exit code {code}, left over: {left}\n{self.log[-TAIL:]}"

    def is_ready(self) -> bool:
        """Whether `/readyz` is 200."""
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def kill(self, name: str) -> None:
        """`kill -9` a named child with all that it forked."""
        victims = sorted(self._tree(name), key=lambda process: process.create_time())
        assert victims, f"{name} does not run"
        for process in victims:  # its first process first, so that it cannot start others
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(victims, timeout=10)

    def kill_up(self) -> None:
        """`kill -9` of `up` itself, and of nothing else."""
        assert self._up is not None
        self._note_instance()
        self._up.kill()
        self._up.wait()
        self._up = None

    def runs(self, name: str) -> bool:
        """Whether a named child runs."""
        return self._tree(name) != []

    def processes(self) -> list[str]:
        """What of this service still runs."""
        found = [process for instance in self._instances for process in marked(instance)]
        return [told for process in {*found, *servers_in(self._home.path)} if (told := _told(process))]

    def confined(self) -> list[psutil.Process]:
        """The processes that make reports right now: what the worker forked and the kernel filters the calls of."""
        return [process for process in self._tree("worker") if _is_filtered(process)]

    def attempts(self) -> list[psutil.Process]:
        """The processes that carry out runs right now: each leads a session that the worker forked."""
        tree = self._tree("worker")
        ids = {process.pid for process in tree}
        return [process for process in tree if _leads_a_session(process, ids)]

    def fsck(self) -> list[str]:
        """What `reportgen fsck` finds wrong; why it could not look, if so."""
        done = subprocess.run(
            [REPORTGEN, "fsck", "--json"], env=self.environment, capture_output=True, text=True, timeout=120
        )
        try:
            return list(json.loads(done.stdout)["problems"])
        except (ValueError, KeyError):
            return [f"exit code {done.returncode}: {done.stdout}{done.stderr}"]

    def graphql(
        self, query: str, variables: dict[str, Any] | None = None, *, seconds: float = 60
    ) -> dict[str, Any]:
        """Ask Dagster's webserver."""
        answer = httpx2.post(
            f"{self.dagster_url}/graphql",
            json={"query": query, "variables": variables or {}},
            timeout=seconds,
        )
        body = answer.json()
        assert "errors" not in body, body["errors"]
        data: dict[str, Any] = body["data"]
        return data

    def _tree(self, name: str) -> list[psutil.Process]:
        self._note_instance()
        by_mark = [process for instance in self._instances for process in marked(instance, name)]
        return list({*by_mark, *servers_in(self._home.path, name)})

    def _note_instance(self) -> None:
        instance = self._home.last_instance()
        if instance is not None:
            self._instances.add(instance)

    def destroy(self) -> None:
        """End whatever is left, so that a failed test does not burden the next."""
        self._note_instance()
        if self._up is not None:
            self._up.kill()
            self._up.wait()
            self._up = None
        for instance in self._instances:
            end_instance(self._home.path, instance)


def _leads_a_session(process: psutil.Process, parents: set[int]) -> bool:
    with suppress(ProcessLookupError, psutil.NoSuchProcess):
        return os.getsid(process.pid) == process.pid and process.ppid() in parents and is_alive(process)
    return False


def _told(process: psutil.Process) -> str:
    """Say which process this is; empty if it is over."""
    with suppress(psutil.NoSuchProcess):  # a zombie is none, too
        return f"{process.pid} {' '.join(process.cmdline())}" if is_alive(process) else ""
    return ""


def _is_filtered(process: psutil.Process) -> bool:
    with suppress(OSError):
        return "\nSeccomp:\t2\n" in Path(f"/proc/{process.pid}/status").read_text()
    return False


def _free_ports_in_a_row(count: int, but: set[int]) -> int:
    """Return the first of `count` free ports in a row."""
    while True:
        first = free_port()
        row = range(first, first + count)
        if not but.intersection(row) and all(not _is_taken(port) for port in row):
            return first


def _is_taken(port: int) -> bool:
    """Whether a loopback port is taken."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _free_ports(count: int) -> list[int]:
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)
