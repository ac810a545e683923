"""The product's own processes as data: name, command and the settings each must be given.

`reportgen up` starts these commands and docker-compose.yml spells out the same ones; a test compares the two. How processes are
watched belongs in `children.py`, the servers that come along (PostgreSQL, Valkey) in `postgres.py` and `valkey.py`.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reportgen_dagster.settings import Settings

LOOPBACK = "127.0.0.1"
LOCATION = "reports"
SHARED = ("HOME", "DATABASE_URL", "BROKER_URL", "WORKERS")
DAGSTER = (*SHARED, "DAGSTER_DATABASE_URL", "RUNS_PER_USER")
CODE_SERVER = ("CODE_SERVER_HOST", "CODE_SERVER_PORT")

# The project's top level: dagster.yaml, workspace.yaml and the examples in rules/ lie there.
PROJECT = Path(__file__).absolute().parents[2]


@dataclass(frozen=True, slots=True)
class Service:
    """One long-running process of the product.

    Attributes:
        name: Its name in logs, in `docker-compose.yml` and in the documentation.
        command: The command's words; `{...}` are filled by `fill`.
        settings: The variables (without `REPORTGEN_`) that it needs to find the others.
    """

    name: str
    command: tuple[str, ...]
    settings: tuple[str, ...]


PREPARE = Service("prepare", ("python", "-m", "reportgen_dagster.supervisor.prepare"), DAGSTER)

_WORKSPACE = ("-w", "{workspace}")

CODE_SERVER_SERVICE = Service(
    "code-server",
    (
        *("python", "-m", "dagster", "code-server", "start", "-m", "reportgen_dagster.definitions"),
        *("--location-name", LOCATION, "-h", "{listen}", "-p", "{code_server_port}"),
    ),
    DAGSTER,
)
WEBSERVER = Service(
    "webserver",
    ("dagster-webserver", *_WORKSPACE, "-h", "{listen}", "-p", "{dagster_port}"),
    (*DAGSTER, *CODE_SERVER),
)
DAEMON = Service(
    "daemon",
    ("dagster-daemon", "run", *_WORKSPACE, "--log-level", "warning"),
    (*DAGSTER, *CODE_SERVER),
)
WORKER = Service(
    "worker",
    (
        *("celery", "-A", "reportgen_dagster.defs.worker", "worker", "--concurrency", "{workers}"),
        *("--queues", "dagster", "--without-gossip", "--without-mingle", "--without-heartbeat"),
        *("-l", "warning"),
    ),
    DAGSTER,
)
GATEWAY = Service(
    "gateway",
    (
        *("uvicorn", "--factory", "api_gateway.main:create_app", "--host", "{host}", "--port", "{port}"),
        *("--no-access-log", "--no-server-header", "--timeout-graceful-shutdown", "5"),
    ),
    (*SHARED, "SECRET_KEY", "DAGSTER_URL", "DAGSTER_PUBLIC_URL"),
)

SERVICES = (CODE_SERVER_SERVICE, WEBSERVER, DAEMON, WORKER, GATEWAY)


def fill(command: Sequence[str], settings: Settings, *, listen: str, host: str, workspace: str) -> list[str]:
    """Return the command's words with the settings filled in.

    Args:
        command: Words of a `Service.command`.
        settings: Where ports and the number of workers come from.
        listen: Address that Dagster's servers listen on.
        host: Address that the gateway listens on.
        workspace: Path of workspace.yaml as the process sees it.
    """
    values = {
        "listen": listen,
        "host": host,
        "workspace": workspace,
        "port": settings.port,
        "dagster_port": settings.dagster_port,
        "code_server_port": settings.code_server_port,
        "workers": settings.workers,
    }
    return [word.format_map(values) for word in command]


def local_command(service: Service, settings: Settings) -> list[str]:
    """Return the command for this machine, its program taken from the running Python's environment."""
    words = fill(
        service.command,
        settings,
        listen=LOOPBACK,
        host=settings.host,
        workspace=str(PROJECT / "workspace.yaml"),
    )
    program = sys.executable if words[0] == "python" else str(Path(sysconfig.get_path("scripts")) / words[0])
    return [program, *words[1:]]


def local_environment(settings: Settings) -> dict[str, str]:
    """Return the environment in which the services of this machine find each other."""
    return {
        **settings.environment(),
        "REPORTGEN_CODE_SERVER_HOST": LOOPBACK,
        "PYTHONUNBUFFERED": "1",
    }
