"""`reportgen storage migrate`, and what looks after files, wherever they lie."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import text

from reportgen_dagster.identity import utc_now
from reportgen_dagster.services import attempts, runs
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.fsck import fsck
from reportgen_dagster.services.retention import remove_old
from reportgen_dagster.settings import Settings
from reportgen_dagster.storage.opening import open_store
from tests.cli.test_named import Terminal
from tests.services.conftest import World
from tests.storage.buckets import Bucket

REPORT = b"total\n2\n4\n"
UNTOLD = "Dagster's runs cannot be read from its database."


@pytest.fixture
def made(world: World) -> str:
    """A finished run: two files that came in and a report."""
    run_id = world.run()
    world.publish(world.claim(run_id, "d"), REPORT)
    attempts.end(world.context, "d", "done")
    return run_id


@pytest.fixture
def terminal(world: World, bucket: Bucket, tmp_path: Path) -> Terminal:
    assert bucket.url
    return Terminal(world.context, tmp_path)


@pytest.fixture
def moved(world: World, bucket: Bucket) -> Iterator[World]:
    """The same installation with its files in the bucket."""
    settings = world.context.settings.model_copy(update={"storage_url": bucket.url})
    context = Context.open(settings)
    yield World(context, world.ann, world.bob)
    context.close()


def report(world: World, run_id: str) -> bytes:
    return b"".join(runs.report_file(world.context, world.ann, run_id).chunks())


def test_everything_is_copied_once_and_works_there(
    terminal: Terminal, bucket: Bucket, moved: World, made: str, tmp_path: Path
) -> None:
    assert terminal.told("storage", "migrate", "--to", bucket.url).startswith("Copied 3 files (")
    again = terminal("storage", "migrate", "--to", bucket.url, "--json")
    assert json.loads(again.stdout) == {"copied": 0, "size_bytes": 0, "there": 3, "problems": []}
    assert report(moved, made) == REPORT
    assert fsck(moved.context) == [UNTOLD]
    back = f"file://{tmp_path}/elsewhere"
    told = terminal.told("storage", "migrate", "--from", bucket.url, "--to", back)
    assert told.startswith("Copied 3 files (")
    assert len(list(open_store(back, tmp_path).digests())) == 3


@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
def test_what_broke_off_goes_on_and_what_is_damaged_there_is_healed(
    terminal: Terminal, bucket: Bucket, moved: World, made: str, world: World
) -> None:
    digest = runs.report_file(world.context, world.ann, made).digest
    bucket.put(digest, b"tOtal\n2\n4\n")
    bucket.proxy.spoil("error", "PUT", 10_000)
    broken = terminal("storage", "migrate", "--to", bucket.url)
    assert (broken.returncode, b"does not answer" in broken.stderr) == (1, True)
    bucket.proxy.faults.clear()
    terminal.told("storage", "migrate", "--to", bucket.url)
    assert report(moved, made) == REPORT


def test_what_is_lost_or_damaged_is_told_and_the_others_are_copied(
    terminal: Terminal, bucket: Bucket, made: str, world: World
) -> None:
    path = runs.report_file(world.context, world.ann, made).path
    assert path
    path.chmod(0o600)
    path.write_bytes(b"tOtal\n2\n4\n")
    lost = world.claim(world.run()).files["input"].digest
    world.context.store.path(lost).unlink()
    done = terminal("storage", "migrate", "--to", bucket.url)
    assert done.returncode == 1
    assert b"Copied 1 files" in done.stdout
    assert f"the report of run {made} ({path.name}): A file is damaged in storage.".encode() in done.stdout
    assert f"({lost}): A file is missing in storage.".encode() in done.stdout
    assert len(bucket.all_keys()) == 1


@pytest.mark.parametrize(
    "url", ["ftp://x/y", "s3://", "s3://me:secret@bucket/x", "s3://b/x?key=secret", "file://x"]
)
def test_a_url_of_no_storage_is_refused_and_not_repeated(world: World, tmp_path: Path, url: str) -> None:
    done = Terminal(world.context, tmp_path)("storage", "migrate", "--to", url)
    assert done.returncode == 2
    assert b"--to" in done.stderr
    assert b"secret" not in done.stderr
    with pytest.raises(ValidationError) as caught:
        Settings(storage_url=url)
    assert "secret" not in str(caught.value)


def test_what_is_wrong_in_a_bucket_is_found(moved: World, bucket: Bucket) -> None:
    run_id = moved.run()
    moved.publish(moved.claim(run_id, "d"), REPORT)
    attempts.end(moved.context, "d", "done")
    assert report(moved, run_id) == REPORT
    digest = runs.report_file(moved.context, moved.ann, run_id).digest
    bucket.put(digest, REPORT[:-1])
    assert fsck(moved.context) == [
        f"The file {digest} in storage is damaged: the report of run {run_id}.",
        UNTOLD,
    ]


def test_retention_removes_what_is_old_from_a_bucket(moved: World, bucket: Bucket) -> None:
    keeping = moved.context.settings.model_copy(update={"retention_days": 30})
    run_id = moved.run()
    moved.publish(moved.claim(run_id, "d"), REPORT)
    kept = moved.file(b"key,price\nX,1\n").stored.digest
    context = Context(keeping, moved.context.catalog, moved.context.store)
    with context.catalog.transaction() as session:
        session.execute(text("UPDATE runs SET finished_at = now() - interval '31 days'"))
    assert remove_old(context, now=utc_now()).files == 0, "its files came a moment ago"
    assert remove_old(context, now=utc_now() + timedelta(days=1), unknown_seconds=-1).files == 4
    assert bucket.all_keys() == []
    assert not context.store.exists(kept)
