"""Where secrets are not: in Dagster's runs, events and tags, in the catalog, in the logs, in files that others may read."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from tests.e2e.client import Client
from tests.services.delivering import SECRET
from tests.stack import Stack

SOCKET = 0o140000


@pytest.fixture(scope="module")
def client(stack: Stack) -> Client:
    """A user whose run left its traces everywhere."""
    client = Client(stack.url)
    client.upload_example()
    assert client.wait(client.generate())["status"] == "succeeded"
    return client


@pytest.fixture(scope="module")
def secrets(stack: Stack, client: Client) -> dict[str, str]:
    runtime = json.loads((stack.home / "runtime.json").read_text())
    return {
        "webhook": SECRET,
        "signing key": (stack.home / "secret_key").read_text().strip(),
        "broker": urlsplit(runtime["broker_url"]).password,
        "access": client.session["access"],
        "refresh": client.session["refresh"],
        "password": "pass123",
    }


@pytest.mark.parametrize("database", ["reportgen", "reportgen_dagster"])
def test_no_table_holds_a_secret(stack: Stack, secrets: dict[str, str], database: str) -> None:
    url = stack.database_url.replace("/reportgen?", f"/{database}?")
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        tables = [str(name) for (name,) in rows]
        assert len(tables) > 10
        found = [
            (table, name)
            for table in tables
            for name, secret in secrets.items()
            if connection.execute(_holds(table), (secret,)).fetchone()
        ]
    assert found == []


def _holds(table: str) -> sql.Composed:
    return sql.SQL("SELECT 1 FROM {0} WHERE strpos({0}::text, %s) > 0 LIMIT 1").format(sql.Identifier(table))


def test_neither_the_logs_nor_dagsters_files_hold_a_secret(stack: Stack, secrets: dict[str, str]) -> None:
    texts = [stack.log, *(path.read_text() for path in (stack.home / "dagster").glob("*.yaml"))]
    assert len(texts) >= 3
    assert [name for name, secret in secrets.items() for text in texts if secret in text] == []


@pytest.mark.usefixtures("client")
def test_nothing_in_the_home_is_for_others(stack: Stack) -> None:
    ours = [path for path in stack.home.rglob("*") if path.name != "up.log"]  # which the test writes
    assert len(ours) > 50
    assert [str(path) for path in ours if _is_for_others(path)] == []


def _is_for_others(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False  # PostgreSQL's files come and go
    if path.is_symlink() or mode & 0o170000 == SOCKET:  # the folder around a socket is what guards it
        return False
    return mode & 0o077 != 0
