"""While PostgreSQL is away every call says so; afterwards everything is as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from api_gateway.main import create_app
from reportgen_dagster.catalog.session import short_lived_engine
from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor.prepare import make_database
from tests.conftest import database_beside
from tests.gateway.conftest import User, assert_problem, serve

NAME = "outage"


@pytest.fixture
def url(postgres_url: str, tmp_path: Path) -> Iterator[str]:
    database = database_beside(postgres_url, NAME)
    make_database(database)
    settings = Settings(
        home=tmp_path,
        database_url=SecretStr(database),
        dagster_url="http://127.0.0.1:9",
        broker_url=SecretStr("redis://127.0.0.1:9/0"),
    )
    yield from serve(create_app(settings))


def _connections(postgres_url: str, *, allowed: bool) -> None:
    """Let nobody into the gateway's database, or everybody again."""
    end = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
    with (
        short_lived_engine(postgres_url).connect().execution_options(isolation_level="AUTOCOMMIT") as session
    ):
        session.execute(text(f"ALTER DATABASE {NAME} WITH ALLOW_CONNECTIONS {str(allowed).lower()}"))
        if not allowed:
            session.execute(end, {"name": NAME})


def test_an_outage_is_503_with_retry_after_and_loses_nothing(url: str, postgres_url: str) -> None:
    ann = User(url)
    ann.upload()
    task = ann.generate()
    _connections(postgres_url, allowed=False)
    try:
        for answer in (
            ann.http.get("/api/v1/runs"),
            ann.http.get(f"/api/task-status/{task}/"),
            ann.http.post("/api/generate-report/"),
            ann.http.post("/api/auth/login/", json={"email": ann.email, "password": "pass123"}),
        ):
            assert_problem(answer, 503)
            assert answer.headers["Retry-After"]
        named = {problem["path"] for problem in assert_problem(ann.http.get("/readyz"), 503)["errors"]}
        assert "database" in named
    finally:
        _connections(postgres_url, allowed=True)
    assert [run["task_id"] for run in ann.http.get("/api/v1/runs").json()["items"]] == [task]
