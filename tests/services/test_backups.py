"""A backup of a service at work, restored elsewhere, is whole: every run has its files, and what waited is made, once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from reportgen_dagster.errors import AuthenticationError, BadRequestError, ConflictError
from reportgen_dagster.identity import utc_now
from reportgen_dagster.services import (
    accounts,
    attempts,
    datasets,
    keys,
    report_runs,
    runs,
    schedules,
    ticks,
)
from reportgen_dagster.services.backups import Restored, back_up, check, restore
from reportgen_dagster.services.context import Context
from reportgen_dagster.supervisor.prepare import make_database
from tests.conftest import database_beside
from tests.services.conftest import World
from tests.services.named import make_report
from tests.stack import REPORTGEN


@pytest.fixture
def empty(world: World, tmp_path: Path) -> Iterator[Context]:
    """An installation with a database and nothing in it."""
    url = world.context.settings.catalog_url
    beside = database_beside(url, f"{make_url(url).database}_restored")
    make_database(beside)
    told = {"home": tmp_path / "restored", "database_url": SecretStr(beside)}
    context = Context.open(world.context.settings.model_copy(update=told))
    yield context
    context.close()


def in_world(world: World, context: Context) -> World:
    return replace(world, context=context)


def finished(world: World) -> str:
    run_id = world.run()
    assert world.publish(world.claim(run_id), f"total\n{run_id}\n".encode())
    return run_id


def whole(done: Restored) -> Restored:
    assert done.problems == []
    return done


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_a_backup_of_a_service_at_work_is_whole_elsewhere(
    world: World, empty: Context, tmp_path: Path, name: str
) -> None:
    waiting, running = world.run(), world.run()
    world.claim(running)
    done = [finished(world) for _ in range(3)]
    is_over = threading.Event()

    def work() -> None:
        while not is_over.is_set():
            finished(world)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        made = back_up(world.context, tmp_path / name)
    finally:
        is_over.set()
        worker.join()
    assert made.lacking == []
    restored = whole(restore(empty, tmp_path / name))
    there = in_world(world, empty)
    succeeded = [str(id_) for (id_,) in there.sql("SELECT id FROM runs WHERE state = 'succeeded'")]
    assert set(done) <= set(succeeded)
    for run_id in succeeded:
        assert runs.report_file(empty, world.ann, run_id).path.read_bytes() == f"total\n{run_id}\n".encode()
    assert restored.runs == len(there.sql("SELECT id FROM runs WHERE state = 'accepted'")) >= 2
    for run_id in (waiting, running):
        claimed = there.claim(run_id)
        assert attempts.claim(empty, run_id, "another") is None
        assert there.publish(claimed)
        assert there.state(run_id) == "succeeded"


def test_a_second_backup_into_a_folder_copies_what_is_new_and_drops_what_is_gone(
    world: World, empty: Context, tmp_path: Path
) -> None:
    old, kept = finished(world), finished(world)
    first = back_up(world.context, tmp_path / "backup")
    assert (first.copied, first.there) == (4, 0), "two reports, and the same two files for both"
    world.sql("DELETE FROM artifacts WHERE run_id = :id", id=old)
    world.sql("UPDATE runs SET expired_at = now() WHERE id = :id", id=old)
    new = finished(world)
    second = back_up(world.context, tmp_path / "backup")
    assert (second.copied, second.there) == (1, 3)
    blobs = [path for path in (tmp_path / "backup" / "storage" / "blobs").rglob("*") if path.is_file()]
    assert len(blobs) == 4
    assert len(list((tmp_path / "backup" / "sets").iterdir())) == 1
    whole(restore(empty, tmp_path / "backup"))
    for run_id in (kept, new):
        assert runs.report_file(empty, world.ann, run_id).path.exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from reportgen_dagster.services.backups import back_up
from reportgen_dagster.services.context import Context
from reportgen_dagster.settings import Settings

def progress(fraction):
    if fraction > 0.4:
        os.kill(os.getpid(), signal.SIGKILL)

back_up(Context.open(Settings()), Path(sys.argv[1]), progress=progress)
"""


def test_a_kill_in_the_middle_leaves_the_backup_of_before(
    world: World, empty: Context, tmp_path: Path
) -> None:
    before = finished(world)
    back_up(world.context, tmp_path / "backup")
    after = finished(world)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "backup")],
        env={**os.environ, **world.context.settings.environment()},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "backup" / "sets").iterdir())) == 2
    whole(restore(empty, tmp_path / "backup"))
    found = in_world(world, empty).sql("SELECT id FROM runs")
    assert [(before,) in found, (after,) in found] == [True, False]
    assert back_up(world.context, tmp_path / "backup").lacking == [], "the next one goes on"
    assert len(list((tmp_path / "backup" / "sets").iterdir())) == 1


def test_nothing_is_restored_over_something(world: World, empty: Context, tmp_path: Path) -> None:
    finished(world)
    back_up(world.context, tmp_path / "backup")
    with pytest.raises(ConflictError, match="not empty"):
        restore(world.context, tmp_path / "backup")
    in_world(world, empty).file(b"key,price\nof,others\n")
    with pytest.raises(ConflictError, match="does not name"):
        restore(empty, tmp_path / "backup")


def test_a_restore_that_was_interrupted_can_be_called_again(
    world: World, empty: Context, tmp_path: Path
) -> None:
    run_id = finished(world)
    back_up(world.context, tmp_path / "backup")

    def interrupt(fraction: float) -> None:
        if fraction > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(empty, tmp_path / "backup", progress=interrupt)
    assert whole(restore(empty, tmp_path / "backup")).files == 3
    assert runs.report_file(empty, world.ann, run_id).path.exists()


def test_a_file_that_the_installation_lacks_is_told_and_the_rest_is_backed_up(
    world: World, empty: Context, tmp_path: Path
) -> None:
    lost, kept = finished(world), finished(world)
    [(digest,)] = world.sql("SELECT digest FROM artifacts WHERE run_id = :id", id=lost)
    world.context.store.path(str(digest)).unlink()
    for name in ("backup", "backup.tar"):
        made = back_up(world.context, tmp_path / name)
        assert [lost in told for told in made.lacking] == [True]
    done = restore(empty, tmp_path / "backup.tar")
    assert [("missing" in told, lost in told) for told in done.problems] == [(True, True)]
    assert runs.report_file(empty, world.ann, kept).path.exists()


def test_a_flipped_byte_in_a_backed_up_file_is_told(world: World, empty: Context, tmp_path: Path) -> None:
    run_id = finished(world)
    [(digest,)] = world.sql("SELECT digest FROM artifacts")
    back_up(world.context, tmp_path / "backup")
    assert check(tmp_path / "backup") == []
    (blob,) = (tmp_path / "backup" / "storage").glob(f"blobs/*/{digest}")
    blob.chmod(0o600)
    blob.write_bytes(b"?" * blob.stat().st_size)
    assert check(tmp_path / "backup") == [f"The file {digest} in the backup is damaged."]
    assert [run_id in told for told in restore(empty, tmp_path / "backup").problems] == [True]


def test_what_is_no_backup_damaged_or_of_a_later_release_is_refused(
    world: World, empty: Context, tmp_path: Path
) -> None:
    with pytest.raises(BadRequestError, match="no complete backup"):
        restore(empty, tmp_path)
    back_up(world.context, tmp_path / "backup")
    (found,) = (tmp_path / "backup" / "sets").iterdir()
    for name, told in (
        ("catalog.dump", "damaged"),
        ("files.txt", "damaged"),
        ("manifest.json", "later than"),
    ):
        before = (found / name).read_bytes()
        (found / name).write_bytes(
            before.replace(b'"revision": "', b'"revision": "9') if name == "manifest.json" else before + b"?"
        )
        with pytest.raises(BadRequestError, match=told):
            restore(empty, tmp_path / "backup")
        (found / name).write_bytes(before)
    whole(restore(empty, tmp_path / "backup"))


def test_key_and_history_come_along_if_asked_for_and_nobody_is_signed_in_any_more(
    world: World, empty: Context, tmp_path: Path
) -> None:
    settings = world.context.settings.model_copy(update={"secret_key": None})
    context = replace(world.context, settings=settings)
    session = accounts.register(context, email="eve@example.com", name="Eve", password="pass123")
    keys.rotate(context)
    back_up(context, tmp_path / "without")
    assert {path.name for path in (tmp_path / "without" / "sets").glob("*/*")} == {
        "catalog.dump",
        "files.txt",
        "manifest.json",
    }
    make_database(settings.dagster_database_url)
    back_up(context, tmp_path / "with", with_dagster=True, with_key=True)
    there = replace(empty, settings=empty.settings.model_copy(update={"secret_key": None}))
    make_database(there.settings.dagster_database_url)
    done = whole(restore(there, tmp_path / "with"))
    assert (done.has_dagster, done.has_key) == (True, True)
    modes = {name: (there.settings.home / name).stat().st_mode & 0o777 for name in keys.FILES}
    assert modes == dict.fromkeys(keys.FILES, 0o600)
    assert keys.list_keys(there.settings) == keys.list_keys(settings)
    with pytest.raises(AuthenticationError, match="session is over"):
        accounts.authenticate(there, session.access)
    with pytest.raises(AuthenticationError, match="not valid"):
        accounts.refresh(there, session.refresh)
    assert accounts.login(there, email="eve@example.com", password="pass123").access


def test_schedules_make_up_for_the_past_only_as_they_are_told(
    world: World, empty: Context, tmp_path: Path
) -> None:
    make_report(world)
    for name, missed in (("skips", "skip"), ("last", "last")):
        schedules.add_schedule(
            world.context, world.ann, report_name="daily", name=name, cron="0 6 * * *", missed=missed
        )
    week = datetime.now(UTC).replace(hour=6, minute=0, second=0, microsecond=0) - timedelta(days=7)
    world.sql("UPDATE schedules SET handled_until = :then", then=week)
    back_up(world.context, tmp_path / "backup")
    whole(restore(empty, tmp_path / "backup"))
    ids = dict(in_world(world, empty).sql("SELECT name, id FROM schedules"))
    due = week + timedelta(days=7)
    late = max(utc_now(), due) + timedelta(hours=1)
    accepted = {
        name: len(ticks.accept_tick(empty, str(id_), due, now=late).run_ids) for name, id_ in ids.items()
    }
    assert accepted == {"skips": 0, "last": 1}
    assert report_runs.report_runs(empty, world.ann, "daily")
    assert datasets.list_versions(empty, world.ann, "trades")


def test_the_commands_back_up_check_and_restore(world: World, empty: Context, tmp_path: Path) -> None:
    finished(world)

    def typed(context: Context, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **context.settings.environment()}
        return subprocess.run([REPORTGEN, *words], env=environment, capture_output=True, text=True)

    target = str(tmp_path / "backup.tar")
    made = typed(world.context, "backup", target)
    assert (made.returncode, "3 files copied" in made.stdout) == (0, True), made.stderr
    assert Path(target).stat().st_mode & 0o077 == 0
    assert typed(world.context, "fsck", "--backup", target).stdout == "The backup is whole.\n"
    restored = typed(empty, "restore", target, "--json")
    assert (restored.returncode, json.loads(restored.stdout)["files"]) == (0, 3), restored.stderr
    again = typed(empty, "restore", target)
    assert (again.returncode, "not empty" in again.stderr) == (2, True)
