from __future__ import annotations

import threading
from datetime import date

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import delete, func, select, text

from reportgen_dagster.catalog.session import (
    Catalog,
    migrate,
    migration_config,
    short_lived_engine,
)
from reportgen_dagster.catalog.tables import Base, User
from reportgen_dagster.errors import UnavailableError
from reportgen_dagster.services.context import Context
from reportgen_dagster.supervisor.prepare import make_database
from tests.conftest import database_beside


def test_migrations_make_exactly_the_tables_of_the_models(database_url: str) -> None:
    with short_lived_engine(database_url).connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)
    assert differences == []


def test_runs_of_before_get_their_dates_and_their_events(postgres_url: str) -> None:
    url = database_beside(postgres_url, "older")
    make_database(url)
    with short_lived_engine(url).connect() as connection:
        command.upgrade(migration_config(connection), "0001")
        for statement in (
            "INSERT INTO users (id, email, name, password_hash) VALUES ('u', 'a@example.com', 'a', '-')",
            "INSERT INTO rulesets (id, owner_id, name) VALUES ('r', 'u', 'r')",
            "INSERT INTO ruleset_versions (id, ruleset_id, number, digest, text, syntax, filename)"
            " VALUES ('v', 'r', 1, '', '', 'yaml', '')",
            "INSERT INTO runs (id, owner_id, trigger, report_name, ruleset_version_id, inputs, state, stage, progress,"
            " accepted_at, due_at, launches, fence, lost_attempts, row_count)"
            " SELECT id, 'u', 'api', 'r', 'v', '{}', 'succeeded', 'done', 100, '2026-11-23 23:30+00', due::timestamptz,"
            " 0, 0, 0, 7 FROM (VALUES ('1', NULL), ('2', '2026-01-01 06:00+00')) AS rows (id, due)",
        ):
            connection.execute(text(statement))
        connection.commit()
    migrate(url)
    with short_lived_engine(url).connect() as connection:
        rows = connection.execute(text("SELECT run_date, used_count, parameters FROM runs ORDER BY id")).all()
        told = connection.execute(
            text("SELECT kind, rows FROM run_events WHERE run_id = '1' ORDER BY number")
        )
        events = [tuple(row) for row in told]
    assert [tuple(row) for row in rows] == [(date(2026, 11, 23), 7, {}), (date(2026, 1, 1), 7, {})]
    assert events == [("accepted", None), ("succeeded", 7)]


def test_a_transaction_is_all_or_nothing(context: Context) -> None:
    def add_and_fail() -> None:
        with context.catalog.transaction() as session:
            session.add(User(email="ann@example.com", name="Ann", password_hash="-"))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        add_and_fail()
    with context.catalog.transaction() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 0


def test_a_server_that_is_away_is_unavailable() -> None:
    catalog = Catalog("postgresql://nobody@127.0.0.1:1/nowhere")
    with pytest.raises(UnavailableError) as caught:
        catalog.ping()
    assert "nobody" not in caught.value.detail


def test_a_connection_lost_midway_is_unavailable_and_the_next_one_works(context: Context) -> None:
    def cut_off() -> None:
        with context.catalog.transaction() as victim:
            process_id = victim.scalar(text("SELECT pg_backend_pid()"))
            with context.catalog.transaction() as killer:
                killer.execute(text("SELECT pg_terminate_backend(:id)"), {"id": process_id})
            victim.execute(text("SELECT 1"))

    with pytest.raises(UnavailableError):
        cut_off()
    context.catalog.ping()


def test_connections_that_the_server_ended_meanwhile_are_opened_anew(context: Context) -> None:
    def ask() -> set[int | None]:
        with context.catalog.transaction() as one, context.catalog.reading() as other:
            return {session.scalar(text("SELECT pg_backend_pid()")) for session in (one, other)}

    first = ask()
    assert ask() == first
    with short_lived_engine(context.settings.catalog_url).connect() as connection:
        for process_id in first:
            connection.execute(text("SELECT pg_terminate_backend(:id, 10000)"), {"id": process_id})
    assert first.isdisjoint(ask())


def test_a_session_that_reads_sees_what_is_committed_meanwhile_and_writes_nothing(context: Context) -> None:
    ann = User(email="ann@example.com", name="Ann", password_hash="-")
    number = select(func.count()).select_from(User)
    with context.catalog.reading() as reading:
        assert reading.scalar(number) == 0
        with context.catalog.transaction() as writing:
            writing.add(ann)
        assert reading.scalar(number) == 1

    def change() -> None:
        with context.catalog.reading() as reading:
            reading.get_one(User, ann.id).name = "Bob"

    def add() -> None:
        with context.catalog.reading() as reading:
            reading.add(User(email="bob@example.com", name="Bob", password_hash="-"))

    def remove() -> None:
        with context.catalog.reading() as reading:
            reading.execute(delete(User))

    for write in (change, add, remove):
        with pytest.raises(TypeError, match="only reads"):
            write()
    with context.catalog.reading() as reading:
        assert [user.name for user in reading.scalars(select(User))] == ["Ann"]


def test_commits_wait_for_the_disk(context: Context) -> None:
    with context.catalog.transaction() as session:
        assert session.scalar(text("SHOW synchronous_commit")) == "on"


def test_many_processes_may_create_and_migrate_the_same_database_at_once(postgres_url: str) -> None:
    url = database_beside(postgres_url, 'odd "name"')

    def start() -> None:
        make_database(url)
        migrate(url)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    catalog = Catalog(url)
    with catalog.transaction() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 0
    catalog.close()
