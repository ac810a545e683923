"""Dagster's storage keeps its connections, and outlives those that break."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from sqlalchemy import TextClause, text
from sqlalchemy.engine import make_url

from reportgen_dagster.catalog.session import short_lived_engine
from reportgen_dagster.defs.pooled_storage import KEPT, PooledPostgresStorage
from reportgen_dagster.supervisor.prepare import make_database
from tests.conftest import database_beside

CALLS = 20
INSTANCE = Path(__file__).parents[2] / "dagster.yaml"
NAME = "storage"  # tells its connections from those of the test and from PostgreSQL's own workers
THEIRS = f"FROM pg_stat_activity WHERE datname = current_database() AND application_name = '{NAME}'"
THERE = text(f"SELECT pid {THEIRS}")
END_AND_WAIT = text(f"SELECT pg_terminate_backend(pid, 10000) {THEIRS}")


@pytest.fixture
def url(postgres_url: str) -> str:
    told = database_beside(postgres_url, f"dagster_{uuid4().hex}")
    make_database(told)
    url = make_url(told).set(drivername="postgresql+psycopg2").update_query_dict({"application_name": NAME})
    return url.render_as_string(hide_password=False)


def _ask(url: str, statement: TextClause) -> set[int]:
    plain = make_url(url).set(drivername="postgresql+psycopg").difference_update_query(["application_name"])
    with short_lived_engine(plain.render_as_string(hide_password=False)).connect() as connection:
        return set(connection.scalars(statement))


def test_calls_share_connections_and_one_that_broke_is_replaced(url: str) -> None:
    storage = PooledPostgresStorage(url)
    parts = (storage.run_storage, storage.event_log_storage, storage.schedule_storage)

    def ask() -> None:
        for _ in range(CALLS):
            assert storage.run_storage.get_runs_count() == 0
            assert list(storage.event_log_storage.all_asset_keys()) == []
            assert list(storage.schedule_storage.all_instigator_state()) == []

    ask()
    first = _ask(url, THERE)
    assert 0 < len(first) <= KEPT
    ask()
    assert _ask(url, THERE) == first
    _ask(url, END_AND_WAIT)
    ask()
    assert first.isdisjoint(_ask(url, THERE))
    for part in parts:
        part.dispose()


def test_a_forked_process_has_connections_of_its_own(url: str) -> None:
    """Two processes that speak on one connection read each other's answers."""
    storage = PooledPostgresStorage(url)
    assert storage.run_storage.get_runs_count() == 0
    first = _ask(url, THERE)
    told, tells = os.pipe()
    process_id = os.fork()
    if not process_id:
        with suppress(BaseException):
            assert storage.run_storage.get_runs_count() == 0
            os.write(tells, json.dumps(sorted(_ask(url, THERE))).encode())
        os._exit(0)
    os.close(tells)
    with os.fdopen(told, "rb") as answer:
        meanwhile = set(json.load(answer))
    os.waitpid(process_id, 0)
    assert first < meanwhile
    assert storage.run_storage.get_runs_count() == 0
    assert _ask(url, THERE) >= first
    storage.run_storage.dispose()


def test_the_instance_uses_it() -> None:
    told = yaml.safe_load(INSTANCE.read_text())["storage"]["custom"]
    assert (told["module"], told["class"]) == (
        PooledPostgresStorage.__module__,
        PooledPostgresStorage.__name__,
    )
