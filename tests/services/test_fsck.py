from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

import pytest
from dagster import DagsterRun, DagsterRunStatus
from dagster_postgres.run_storage import PostgresRunStorage
from sqlalchemy import text

from reportgen_dagster.catalog.consistency import RUN_ID_TAG
from reportgen_dagster.defs import keys
from reportgen_dagster.errors import ContractError
from reportgen_dagster.services import attempts, publications, reaper, resumable, uploads, users
from reportgen_dagster.services.fsck import FORGOTTEN_SECONDS, fsck
from reportgen_dagster.services.users import UserChange
from reportgen_dagster.storage.store import Stored
from reportgen_dagster.supervisor.prepare import make_database
from tests.services.conftest import RULES, World


@pytest.fixture
def dagster_runs(world: World) -> Iterator[PostgresRunStorage]:
    """Dagster's own run storage beside the catalog."""
    url = world.context.settings.dagster_database_url
    make_database(url)
    storage = PostgresRunStorage(url, should_autocreate_tables=True)
    yield storage
    storage.dispose()


def note(storage: PostgresRunStorage, dagster_run_id: str, status: DagsterRunStatus, run_id: str) -> None:
    tags = {keys.RUN_ID_TAG: run_id}
    storage.add_run(DagsterRun("generate_report", run_id=dagster_run_id, status=status, tags=tags))


def finished_run(world: World, dagster_run_id: str = "d", formats: Sequence[str] = ("csv",)) -> str:
    run_id = world.run()
    world.publish(world.claim(run_id, dagster_run_id), formats=formats)
    attempts.end(world.context, dagster_run_id, "done")
    return run_id


def test_an_empty_installation_agrees(world: World) -> None:
    assert fsck(world.context) == []


def test_an_installation_at_work_agrees(world: World, dagster_runs: PostgresRunStorage) -> None:
    uploads.accept_files(world.context, world.ann, world.files())
    uploads.accept_rules(world.context, world.ann, RULES)
    note(dagster_runs, "d", DagsterRunStatus.SUCCESS, finished_run(world))
    world.run()
    running = world.run()
    world.claim(running, "e")
    note(dagster_runs, "e", DagsterRunStatus.STARTED, running)
    world.sql("UPDATE runs SET accepted_at = accepted_at - interval '1 hour' WHERE state = 'running'")
    assert fsck(world.context) == []


def test_a_flipped_byte_is_found(world: World, dagster_runs: PostgresRunStorage) -> None:
    run_id = finished_run(world)
    note(dagster_runs, "d", DagsterRunStatus.SUCCESS, run_id)
    [(digest,)] = world.sql("SELECT digest FROM artifacts")
    path = world.context.store.path(str(digest))
    path.chmod(0o600)
    path.write_bytes(b"tOtal\n2\n4\n")
    assert fsck(world.context) == [f"The file {digest} in storage is damaged: the report of run {run_id}."]


def test_a_missing_file_is_found(world: World) -> None:
    accepted = uploads.accept_files(world.context, world.ann, {"input": world.file()})
    world.context.store.path(accepted["input"]["digest"]).unlink()
    (sentence,) = fsck(world.context)
    assert "missing" in sentence
    assert "version 1 of the dataset default-input" in sentence


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("DELETE FROM artifacts", "has no report"),
        ("UPDATE runs SET state = 'failed', error = '{}'", "is failed but has a report"),
        ("UPDATE runs SET used_count = 1", "does not add up"),
        ("UPDATE runs SET row_count = NULL", "does not add up"),
        ("UPDATE runs SET used_count = 1, reject_count = 1", "file of rejects has 0"),
        ("UPDATE runs SET finished_at = NULL", "does not say when or why"),
        ('UPDATE runs SET inputs = \'{"input": "0"}\'', "pinned to a file"),
        ("UPDATE ruleset_versions SET text = 'other'", "was changed"),
    ],
)
def test_a_catalog_that_contradicts_itself_is_found(
    world: World, dagster_runs: PostgresRunStorage, damage: str, told: str
) -> None:
    note(dagster_runs, "d", DagsterRunStatus.SUCCESS, finished_run(world))
    world.sql(damage)
    (sentence,) = fsck(world.context)
    assert told in sentence


def test_a_report_is_missed_in_the_formats_alone_that_were_made(
    world: World, dagster_runs: PostgresRunStorage
) -> None:
    run_id = finished_run(world, formats=("json", "xlsx"))
    note(dagster_runs, "d", DagsterRunStatus.SUCCESS, run_id)
    assert fsck(world.context) == []
    world.sql("DELETE FROM artifacts WHERE format = 'json'")
    assert fsck(world.context) == [f"Run {run_id} succeeded but has no report as json."]
    world.sql("DELETE FROM artifacts")
    assert len(fsck(world.context)) == 2


def test_a_report_from_before_there_were_formats_is_csv(
    world: World, dagster_runs: PostgresRunStorage
) -> None:
    run_id = finished_run(world)
    note(dagster_runs, "d", DagsterRunStatus.SUCCESS, run_id)
    for unknown in (None, "null"):
        world.sql("UPDATE runs SET formats = CAST(:unknown AS jsonb)", unknown=unknown)
        assert fsck(world.context) == []
    world.sql("DELETE FROM artifacts")
    assert fsck(world.context) == [f"Run {run_id} succeeded but has no report as csv."]


def test_a_failed_run_may_have_rejects_that_are_counted(
    world: World, dagster_runs: PostgresRunStorage
) -> None:
    claimed = world.claim(world.run(), "d")
    stored = Stored(claimed.files["input"].digest, 1)
    error = ContractError("1 of 2 rows are rejects; the rules allow none")
    assert attempts.fail(world.context, claimed, error, rejects=stored, outcome={"reject_count": 1})
    attempts.end(world.context, "d", "done")
    note(dagster_runs, "d", DagsterRunStatus.FAILURE, claimed.run_id)
    assert fsck(world.context) == []
    world.sql("UPDATE runs SET reject_count = 2")
    (sentence,) = fsck(world.context)
    assert "its file of rejects has 1" in sentence


@pytest.mark.parametrize("claimed", [True, False])
def test_a_run_that_nobody_takes_care_of_is_found(world: World, claimed: bool) -> None:  # noqa: FBT001 - a parameter of the test
    run_id = world.run()
    if claimed:
        world.claim(run_id, "d")
        attempts.end(world.context, "d", "lost")
        make_database(world.context.settings.dagster_database_url)
        PostgresRunStorage(
            world.context.settings.dagster_database_url, should_autocreate_tables=True
        ).dispose()
    assert fsck(world.context) == []
    world.sql("UPDATE runs SET accepted_at = accepted_at - interval '121 seconds'")
    (sentence,) = fsck(world.context)
    assert f"Run {run_id} was accepted more than 120 seconds ago" in sentence


def test_a_run_that_waits_for_its_turn_is_taken_care_of_however_long(
    world: World, dagster_runs: PostgresRunStorage
) -> None:
    queued, started = world.run(), world.run()
    note(dagster_runs, "q", DagsterRunStatus.NOT_STARTED, queued)
    with dagster_runs.connect() as connection:  # only Dagster's own queue makes a queued run
        connection.execute(text("UPDATE runs SET status = 'QUEUED' WHERE run_id = 'q'"))
    note(dagster_runs, "s", DagsterRunStatus.STARTED, started)
    world.sql("UPDATE runs SET accepted_at = accepted_at - interval '1 hour'")
    (sentence,) = fsck(world.context)
    assert f"Run {started} was accepted more than 120 seconds ago" in sentence, "nobody works on it"


def test_a_dagster_run_that_outlives_its_run_is_found(world: World, dagster_runs: PostgresRunStorage) -> None:
    run_id = finished_run(world)
    note(dagster_runs, "d", DagsterRunStatus.SUCCESS, run_id)
    note(dagster_runs, "duplicate", DagsterRunStatus.STARTED, run_id)
    (sentence,) = fsck(world.context)
    assert sentence == f"Run {run_id} is succeeded, but its Dagster run duplicate is not finished."


def test_an_attempt_that_two_dagster_runs_claimed_is_found(
    world: World, dagster_runs: PostgresRunStorage
) -> None:
    run_id = world.run()
    world.claim(run_id, "lost")
    attempts.end(world.context, "lost", "lost")
    world.age("lost")
    reaper.reap(world.context)
    world.publish(world.claim(run_id, "d"))
    attempts.end(world.context, "d", "done")
    note(dagster_runs, "d", DagsterRunStatus.SUCCESS, run_id)
    assert fsck(world.context) == [], "each attempt was claimed once"
    world.sql("UPDATE leases SET fence = 2")
    assert fsck(world.context) == [f"Attempt 2 of run {run_id} was claimed by 2 Dagster runs."]


@pytest.mark.parametrize(
    ("left_by", "told"),
    [
        ("DELETE FROM resumable_uploads", "belongs to no upload"),
        (
            "UPDATE resumable_uploads SET expires_at = now() - interval '1 day'",
            "is of an upload that is over",
        ),
    ],
)
def test_a_part_of_an_upload_that_nobody_sweeps_is_found(world: World, left_by: str, told: str) -> None:
    begun = resumable.begin(world.context, world.ann, size_bytes=100, metadata={"dataset": "trades"})
    with resumable.Appending(world.context, world.ann, begun.id, offset=0) as appending:
        appending.write(b"key,price\n")
        appending.finish()
    part = world.context.settings.storage_path / "parts" / begun.id
    days_ago = time.time() - FORGOTTEN_SECONDS - 60
    os.utime(part, (days_ago, days_ago))
    assert fsck(world.context) == [], "somebody may go on with it"
    world.sql(left_by)
    assert fsck(world.context) == [
        f"The part {begun.id} in storage {told}; the retention sensor removes such parts."
    ]
    os.utime(part)
    assert fsck(world.context) == [], "a sweep may be late"
    os.utime(part, (days_ago, days_ago))
    assert resumable.remove_expired(world.context) == 1
    assert fsck(world.context) == []


def test_a_success_that_dagster_was_not_told_of_is_found(
    world: World, dagster_runs: PostgresRunStorage
) -> None:
    run_id = finished_run(world)
    (unknown,) = fsck(world.context)
    assert "Dagster does not know its run" in unknown
    note(dagster_runs, "d", DagsterRunStatus.FAILURE, run_id)
    (failed,) = fsck(world.context)
    assert "its Dagster run d is FAILURE" in failed
    publications.mark_reported(world.context, run_id)
    assert fsck(world.context) == []


def test_what_a_living_worker_is_still_about_to_say_is_not_missing(
    world: World, dagster_runs: PostgresRunStorage
) -> None:
    run_id = world.run()
    world.publish(world.claim(run_id, "d"))
    note(dagster_runs, "d", DagsterRunStatus.STARTED, run_id)
    assert fsck(world.context) == []


def test_a_dagster_that_is_gone_is_told(world: World) -> None:
    finished_run(world)
    assert fsck(world.context) == ["Dagster's runs cannot be read from its database."]


def test_the_catalog_and_the_definitions_mean_the_same_tag() -> None:
    assert RUN_ID_TAG == keys.RUN_ID_TAG


def test_files_that_nobody_sweeps_are_found(world: World, dagster_runs: PostgresRunStorage) -> None:
    note(dagster_runs, "d", DagsterRunStatus.SUCCESS, finished_run(world))
    users.change_user(world.context, world.ann, UserChange(retention_days=1))
    world.sql("UPDATE runs SET finished_at = finished_at - interval '2 days'")
    assert fsck(world.context) == [], "a sweep may be a day late"
    world.sql("UPDATE runs SET finished_at = finished_at - interval '2 days'")
    (sentence,) = fsck(world.context)
    assert "1 runs or more have files that retention should have removed" in sentence
