"""The embedded PostgreSQL and Valkey: private, durable, and back after `kill -9`."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
import pytest
import redis

from reportgen_dagster.errors import ServiceError
from reportgen_dagster.supervisor.children import Child
from reportgen_dagster.supervisor.postgres import EmbeddedPostgres
from reportgen_dagster.supervisor.processes import servers_in
from reportgen_dagster.supervisor.valkey import EmbeddedValkey
from tests.supervisor.processes import Shown, an_instance, until


def _with_postgres(home: Path, scene: Callable[[EmbeddedPostgres, Child], Awaitable[None]]) -> Shown:
    shown = Shown()

    async def run(instance: str) -> None:
        postgres = EmbeddedPostgres(home)
        postgres.make()
        child = Child(postgres.program(dict(os.environ)), instance, shown.output)
        child.start()
        try:
            await until(lambda: postgres.is_ready(child.pid), f"it accepts connections: {shown.lines}")
            await scene(postgres, child)
        finally:
            await child.stop()
        assert servers_in(home) == []

    with an_instance() as instance:
        asyncio.run(run(instance))
    return shown


def _connect(postgres: EmbeddedPostgres) -> psycopg.Connection:
    return psycopg.connect(postgres.url.replace("/reportgen?", "/postgres?"), autocommit=True)


def test_postgres_is_back_with_all_that_was_committed_after_kill_9(tmp_path: Path) -> None:
    async def scene(postgres: EmbeddedPostgres, child: Child) -> None:
        with _connect(postgres) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS number")
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            await until(lambda: child.starts == 2 and postgres.is_ready(child.pid), "it is back")
        with _connect(postgres) as connection:
            assert connection.execute("SELECT number FROM kept").fetchall() == [(1,)]

    _with_postgres(tmp_path, scene)


def test_postgres_listens_on_a_private_socket_only_and_writes_through(tmp_path: Path) -> None:
    async def scene(postgres: EmbeddedPostgres, _: Child) -> None:
        assert postgres.data.stat().st_mode & 0o077 == 0
        with _connect(postgres) as connection:
            shown = [
                connection.execute(f"SHOW {name}").fetchone()
                for name in ("listen_addresses", "fsync", "server_encoding", "data_checksums")
            ]
        assert shown == [("",), ("on",), ("UTF8",), ("on",)]

    _with_postgres(tmp_path, scene)


def test_a_home_too_deep_for_a_sockets_address_works(tmp_path: Path) -> None:
    home = tmp_path / ("deep" * 15) / ("deeper" * 10)
    home.mkdir(parents=True)

    async def scene(postgres: EmbeddedPostgres, _: Child) -> None:
        assert len(str(postgres.socket_folder())) < 80
        assert postgres.socket_folder().parent.stat().st_mode & 0o077 == 0
        with _connect(postgres) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)

    _with_postgres(home, scene)


def test_an_interrupted_making_is_begun_again_and_stale_lock_files_do_no_harm(tmp_path: Path) -> None:
    half = tmp_path / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "half-written").touch()
    EmbeddedPostgres(tmp_path).make()
    for stale in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        (tmp_path / "postgres" / "data" / stale).write_text(f"{os.getppid()}\n/nowhere\n")

    async def scene(postgres: EmbeddedPostgres, child: Child) -> None:
        assert child.starts == 1
        with _connect(postgres) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)

    _with_postgres(tmp_path, scene)


def test_data_of_another_major_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    (tmp_path / "postgres" / "data" / "PG_VERSION").write_text("16\n")
    with pytest.raises(ServiceError, match=r"PostgreSQL 16.*brings 18"):
        EmbeddedPostgres(tmp_path).make()


def test_valkey_needs_its_password_and_keeps_what_it_was_given_through_kill_9(tmp_path: Path) -> None:
    shown = Shown()

    async def scene(instance: str) -> None:
        valkey = EmbeddedValkey(tmp_path)
        child = Child(valkey.program(dict(os.environ)), instance, shown.output)
        child.start()
        try:
            await _until_ready(valkey)
            client = redis.Redis.from_url(valkey.url)
            client.set("kept", "1")
            client.execute_command("WAITAOF", 1, 0, 0)
            stranger = redis.Redis.from_url(valkey.url.replace(valkey.url.split("@")[0], "redis://"))
            with pytest.raises(redis.RedisError):
                stranger.get("kept")
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            await until(lambda: child.starts == 2, "it is started again")
            await _until_ready(valkey)
            assert client.get("kept") == b"1"
        finally:
            await child.stop()

    with an_instance() as instance:
        asyncio.run(scene(instance))
    assert servers_in(tmp_path) == []


def test_a_valkey_left_by_a_dead_up_is_ended_before_the_next_one(tmp_path: Path) -> None:
    shown = Shown()

    async def scene(first: str, second: str) -> None:
        valkeys = [EmbeddedValkey(tmp_path) for _ in range(2)]
        left, fresh = (
            Child(valkey.program(dict(os.environ)), instance, shown.output)
            for valkey, instance in zip(valkeys, (first, second), strict=True)
        )
        life = asyncio.create_task(left.run_once())
        await _until_ready(valkeys[0])
        fresh.start()
        await _until_ready(valkeys[1])
        assert await life == -signal.SIGKILL
        await fresh.stop()

    with an_instance() as first, an_instance() as second:
        asyncio.run(scene(first, second))
    assert servers_in(tmp_path) == []


def test_valkeys_password_is_neither_on_disk_nor_in_the_process_list(tmp_path: Path) -> None:
    valkey = EmbeddedValkey(tmp_path)
    password = valkey.url.split("@")[0].rpartition(":")[2]
    assert not any(password in word for word in valkey.program({}).command)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def _until_ready(valkey: EmbeddedValkey) -> None:
    async with asyncio.timeout(15):
        while not await valkey.is_ready():
            await asyncio.sleep(0.02)
