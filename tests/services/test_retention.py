"""What is old goes, what somebody needs stays, and the bytes go with it."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from reportgen_dagster.errors import ConflictError, NotFoundError
from reportgen_dagster.identity import utc_now
from reportgen_dagster.services import datasets, reports, rulesets, runs, uploads
from reportgen_dagster.services.fsck import fsck
from reportgen_dagster.services.reports import Pick, ReportWish
from reportgen_dagster.services.retention import remove_old
from tests.services.conftest import INPUT, REFERENCE, RULES, World, fits

DAYS = 30
LATER = timedelta(days=DAYS + 1)


@pytest.fixture
def keeping(world: World) -> World:
    """An installation that keeps files for 30 days."""
    settings = world.context.settings.model_copy(update={"retention_days": DAYS})
    return replace(world, context=replace(world.context, settings=settings))


def remove(world: World, after: timedelta = LATER) -> tuple[int, int, int]:
    removed = remove_old(world.context, now=utc_now() + after, unknown_seconds=0)
    return removed.runs, removed.versions, removed.files


def finished(world: World) -> str:
    run_id = world.run()
    assert world.publish(world.claim(run_id), f"total\n{run_id}\n".encode())
    return run_id


def contradictions(world: World) -> list[str]:
    """Return what is wrong in catalog and storage; there is no Dagster here."""
    return [
        told for told in fsck(world.context) if told != "Dagster's runs cannot be read from its database."
    ]


def digests(world: World) -> set[str]:
    return set(world.context.store.digests())


def test_without_a_setting_everything_is_kept(world: World) -> None:
    run_id = finished(world)
    assert remove(world, timedelta(days=10_000)) == (0, 0, 0)
    assert runs.report_file(world.context, world.ann, run_id).path.exists()


def test_files_of_an_old_run_go_and_the_run_says_so(keeping: World) -> None:
    old = finished(keeping)
    assert remove(keeping, timedelta(days=DAYS - 1)) == (0, 0, 0)
    assert remove(keeping) == (1, 0, 3), "the report and the two files that came with the call"
    assert digests(keeping) == set()
    assert runs.find_run(keeping.context, keeping.ann, old).state == "succeeded"
    with pytest.raises(NotFoundError, match="removed on"):
        runs.report_file(keeping.context, keeping.ann, old)
    with pytest.raises(ConflictError, match="gone"):
        reports.accept_again(keeping.context, old, "d")
    assert contradictions(keeping) == []
    assert remove(keeping) == (0, 0, 0)


def test_unfinished_runs_and_last_uploads_stay(keeping: World) -> None:
    uploads.accept_files(keeping.context, keeping.ann, keeping.files())
    accepted, running = keeping.run(), keeping.run()
    claimed = keeping.claim(running)
    before = digests(keeping)
    assert remove(keeping) == (0, 0, 0)
    assert digests(keeping) == before
    assert keeping.publish(claimed)
    assert keeping.bytes_of(keeping.claim(accepted), "input")


def test_replaced_versions_go_unless_a_report_or_a_kept_run_needs_them(keeping: World) -> None:
    for number in range(4):
        datasets.add_version(keeping.context, keeping.ann, "trades", keeping.file(INPUT + b"C,%d\n" % number))
    datasets.add_version(keeping.context, keeping.ann, "names", keeping.file(REFERENCE))
    rulesets.put_ruleset(keeping.context, keeping.ann, "margin", RULES, check=fits)
    wish = ReportWish(Pick("margin"), {"input": Pick("trades", 2), "reference": Pick("names")})
    reports.put_report(keeping.context, keeping.ann, "pinned", wish, check=fits)
    follows = replace(wish, inputs={"input": Pick("trades", 3), "reference": Pick("names")})
    reports.put_report(keeping.context, keeping.ann, "other", follows, check=fits)
    waiting = reports.run_report(keeping.context, keeping.ann, "other").id
    reports.delete_report(keeping.context, keeping.ann, "other")
    assert remove(keeping) == (0, 1, 1)
    kept = datasets.list_versions(keeping.context, keeping.ann, "trades")
    assert [version.number for version in kept] == [4, 3, 2]
    assert keeping.claim(waiting).files["input"].version == 3
    assert contradictions(keeping) == []


def test_what_was_deleted_goes_when_no_run_needs_it_any_more(keeping: World) -> None:
    datasets.add_version(keeping.context, keeping.ann, "trades", keeping.file())
    datasets.delete_dataset(keeping.context, keeping.ann, "trades")
    assert remove(keeping, timedelta()) == (0, 0, 0)
    assert remove(keeping) == (0, 1, 1)


def test_a_file_that_belongs_to_nothing_goes_after_a_day(world: World) -> None:
    stored = world.file(b"key,price\nX,1\n").stored
    assert remove_old(world.context).files == 0
    yesterday = time.time() - 49 * 3600
    os.utime(world.context.store.path(stored.digest), (yesterday, yesterday))
    assert [stored.digest in told for told in fsck(world.context)] == [True]
    assert remove_old(world.context).files == 1
    assert not world.context.store.exists(stored.digest)


def test_a_file_that_is_stored_again_meanwhile_stays(world: World) -> None:
    digest = world.file().stored.digest
    yesterday = time.time() - 49 * 3600
    os.utime(world.context.store.path(digest), (yesterday, yesterday))
    world.file()
    assert not world.context.store.remove(digest, older_than_seconds=3600)
    assert world.context.store.verify(digest)
