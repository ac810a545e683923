"""The product's own processes as data: name, command and the settings each must be given.

`reportgen up` starts these commands and docker-compose.yml spells out the same ones; a test compares the two. How processes are
watched belongs in `children.py`, the servers that come along (PostgreSQL, Valkey) in `postgres.py` and `valkey.py`.
"""

from __future__ import annotations

import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from reportgen_dagster.identity import location_name
from reportgen_dagster.settings import SECRET_PREFIX, Settings
from reportgen_dagster.supervisor.readiness import gateway_url

LOOPBACK = "127.0.0.1"
SECRETS = (SECRET_PREFIX, "REPORTGEN_SMTP_PASSWORD")
SHARED = ("HOME", "DATABASE_URL", "BROKER_URL", "WORKERS", "SHARDS", "LOG_FORMAT", "LOG_LEVEL")
DAGSTER = (*SHARED, "DAGSTER_DATABASE_URL", "RUNS_PER_USER")
QUOTAS = ("STORED_BYTES_PER_USER", "FILES_PER_USER", "OPEN_UPLOADS_PER_USER", "QUEUED_RUNS_PER_USER")

# The project's top level: dagster.yaml and the examples in rules/ lie there.
PROJECT = Path(__file__).absolute().parents[2]


@dataclass(frozen=True, slots=True)
class Service:
    """One long-running process of the product.

    Attributes:
        name: Its name in logs, in `docker-compose.yml` and in the documentation.
        command: The command's words; `{...}` are filled by `fill`.
        settings: The variables (without `REPORTGEN_`) that it needs to find the others.
        shard: Which code server it is, if it is one.
    """

    name: str
    command: tuple[str, ...]
    settings: tuple[str, ...]
    shard: int = 0


PREPARE = Service(
    "prepare",
    ("python", "-m", "reportgen_dagster.supervisor.prepare"),
    (*DAGSTER, "CODE_SERVER_HOST", "CODE_SERVER_PORT"),
)

_AFTER_CODE_SERVERS = ("python", "-m", "reportgen_dagster.defs.after_code_servers")
_WORKSPACE = ("-w", "{workspace}")


def code_server(shard: int) -> Service:
    """Return the code server of a shard."""
    return Service(
        f"code-server-{shard}" if shard else "code-server",
        (
            *("python", "-m", "reportgen_dagster.defs.code_server", "--location-name", location_name(shard)),
            *("-h", "{listen}", "-p", "{code_server_port}"),
            *("--log-format", "{dagster_log_format}"),
        ),
        (*DAGSTER, "SHARD", "AUDIT_RETENTION_DAYS", "DAGSTER_PATH"),
        shard,
    )


WEBSERVER = Service(
    "webserver",
    (
        *(*_AFTER_CODE_SERVERS, "webserver", *_WORKSPACE, "-h", "{listen}", "-p", "{dagster_port}"),
        *("--log-format", "{dagster_log_format}"),
    ),
    DAGSTER,
)
DAEMON = Service(
    "daemon",
    (
        *(*_AFTER_CODE_SERVERS, "daemon", "run", *_WORKSPACE, "--log-level", "warning"),
        *("--log-format", "{dagster_log_format}"),
    ),
    DAGSTER,
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
        *("--http", "api_gateway.connections:BoundedProtocol", "--ws", "none", "--timeout-keep-alive", "30"),
        *("--no-access-log", "--no-server-header", "--no-proxy-headers", "--timeout-graceful-shutdown", "5"),
    ),
    (
        *(*SHARED, "SECRET_KEY", "DAGSTER_URL", "DAGSTER_PUBLIC_URL"),
        *("SECRET_KEY_PREVIOUS", "PASSWORD_POLICY", "REGISTRATIONS_PER_HOUR", "TRUSTED_PROXIES", *QUOTAS),
    ),
)


def code_servers(settings: Settings) -> list[Service]:
    """Return the code servers, one for each shard."""
    return [code_server(shard) for shard in range(settings.shards)]


def all_services(settings: Settings) -> list[Service]:
    """Return everything that runs for as long as the product does."""
    return [*code_servers(settings), WEBSERVER, DAEMON, WORKER, GATEWAY]


def code_server_port(settings: Settings, shard: int) -> int:
    """Return the port that the code server of a shard listens on."""
    return settings.code_server_port + shard


def workspace_path(settings: Settings) -> Path:
    """Return where webserver and daemon read which code servers there are; `prepare.py` writes it."""
    return settings.home.absolute() / "dagster" / "workspace.yaml"


def fill(service: Service, settings: Settings, *, listen: str, host: str, workspace: str) -> list[str]:
    """Return the words of a service's command with the settings filled in.

    Args:
        service: The service.
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
        "code_server_port": code_server_port(settings, service.shard),
        "workers": settings.workers,
        "dagster_log_format": "json" if settings.log_format == "json" else "colored",
    }
    words = [word.format_map(values) for word in service.command]
    if service is WEBSERVER and settings.dagster_path:
        words += ["--path-prefix", settings.dagster_path]
    return words


def local_command(service: Service, settings: Settings) -> list[str]:
    """Return the command for this machine, its program taken from the running Python's environment."""
    words = fill(
        service,
        settings,
        listen=LOOPBACK,
        host=settings.host,
        workspace=str(workspace_path(settings)),
    )
    program = sys.executable if words[0] == "python" else str(Path(sysconfig.get_path("scripts")) / words[0])
    return [program, *words[1:]]


def local_environment(settings: Settings, service: Service | None = None) -> dict[str, str]:
    """Return the environment in which the services of this machine find each other, a code server its shard too."""
    here: dict[str, str | int] = {
        "code_server_host": LOOPBACK,
        "shard": service.shard if service else 0,
    }
    if (
        service is WORKER
    ):  # its links stand in the UI of this machine; those of gateway and mails are for users
        here["public_url"] = settings.public_url or gateway_url(settings)
    environment = {**settings.model_copy(update=here).environment(), "PYTHONUNBUFFERED": "1"}
    if (
        service is WORKER
    ):  # code servers send; what works on people's data starts without the secrets for that
        return {name: text for name, text in environment.items() if not name.startswith(SECRETS)}
    return environment
