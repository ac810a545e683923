"""What has to stand before the services start: databases, the catalog's tables, Dagster's storage and configuration, the inbox.

`reportgen up` and the compose service `prepare` run it as `python -m reportgen_dagster.supervisor.prepare`; it changes
nothing where all is there. The tables themselves belong to `catalog/`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import psycopg
import yaml
from psycopg import sql
from sqlalchemy.engine import make_url

from reportgen_dagster.catalog.session import migrate
from reportgen_dagster.errors import ServiceError, UnavailableError
from reportgen_dagster.identity import locations, new_id
from reportgen_dagster.settings import Settings
from reportgen_dagster.storage.inbox_folder import make_inbox
from reportgen_dagster.supervisor.services import PROJECT, code_server_port, workspace_path

_PATIENCE_SECONDS = 60.0
_RETRY_SECONDS = 0.5
_LOCK = 0x5265706F72746765  # "Reportge": one process at a time makes Dagster's storage


def prepare(settings: Settings) -> None:
    """Make everything that the services expect to find.

    Raises:
        UnavailableError: If the database does not answer within a minute.
        ServiceError: If Dagster cannot make its storage.
    """
    dagster_home = settings.home.absolute() / "dagster"
    dagster_home.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(dagster_home / "dagster.yaml", (PROJECT / "dagster.yaml").read_text())
    _write(workspace_path(settings), yaml.safe_dump(_workspace(settings)))
    if not settings.inbox_bucket:
        make_inbox(settings.inbox_path)
    catalog = _plain(settings.catalog_url)
    dagster = _plain(settings.dagster_database_url)
    make_database(catalog)
    make_database(dagster)
    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(_make_dagster_storage, settings, dagster, dagster_home / "version")
        migrate(settings.catalog_url)
        making.result()


def _write(path: Path, text: str) -> None:
    """Write a file as a whole: another start that reads it at this moment sees the old or the new one."""
    new = path.with_name(f"{path.name}.{new_id()}")
    new.write_text(text)
    new.replace(path)


def _workspace(settings: Settings) -> dict[str, object]:
    """Return the project's workspace.yaml with a code location for each shard, where its code server listens."""
    (location,) = yaml.safe_load((PROJECT / "workspace.yaml").read_text())["load_from"]
    return {
        "load_from": [
            {
                "grpc_server": {
                    **location["grpc_server"],
                    "host": settings.code_server_host,
                    "port": code_server_port(settings, shard),
                    "location_name": name,
                }
            }
            for shard, name in enumerate(locations(settings.shards))
        ]
    }


def _plain(url: str) -> str:
    """Return a database URL as libpq understands it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def make_database(url: str) -> None:
    """Create the database of a URL on its server, if it is not there."""
    name = make_url(url).database or ""
    with _connect_beside(_plain(url)) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            return
        statement = sql.SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0")
        try:
            connection.execute(statement.format(sql.Identifier(name)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return  # somebody else made it at the same moment


def _connect_beside(url: str) -> psycopg.Connection:
    """Connect to the server's database `postgres`, or to that of the URL where the account may use no other."""
    beside = make_url(url).set(database="postgres").render_as_string(hide_password=False)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        for candidate in (beside, url):
            try:
                return psycopg.connect(candidate, autocommit=True)
            except psycopg.OperationalError as error:
                failure = error
        if time.monotonic() > deadline:
            raise UnavailableError("the database does not answer, or refuses the account") from failure
        time.sleep(_RETRY_SECONDS)


def _make_dagster_storage(settings: Settings, url: str, marker: Path) -> None:
    """Let Dagster create or upgrade its tables, once for each release of it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        row = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
        release = version("dagster")
        if row == (True,) and marker.exists() and marker.read_text() == release:
            return
        done = subprocess.run(
            [sys.executable, "-m", "dagster", "instance", "migrate"],
            env=settings.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ServiceError(f"Dagster cannot make its storage: {done.stderr.strip()[-500:]}")
        marker.write_text(release)


if __name__ == "__main__":
    try:
        prepare(Settings())
    except ServiceError as failure:
        sys.exit(f"{failure.title}: {failure.detail}")
