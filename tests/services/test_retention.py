"""What is old goes, what somebody needs stays, and the bytes go with it."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from reportgen_dagster.cli.main import app
from reportgen_dagster.errors import BadRequestError, ConflictError, NotFoundError
from reportgen_dagster.identity import utc_now
from reportgen_dagster.services import (
    accounts,
    api_tokens,
    datasets,
    report_runs,
    reports,
    retention,
    rulesets,
    runs,
    uploads,
    users,
)
from reportgen_dagster.services.fsck import fsck
from reportgen_dagster.services.reports import Pick, ReportWish
from reportgen_dagster.services.retention import remove_old
from reportgen_dagster.services.users import UserChange
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


def keep_for(world: World, email: str, days: int) -> None:
    users.change_user(world.context, users.id_of(world.context, email), UserChange(retention_days=days))


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
        report_runs.accept_again(keeping.context, old, "d")
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
    waiting = report_runs.run_report(keeping.context, keeping.ann, "other").id
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


def named(world: World, owner_id: str = "", **wishes: object) -> str:
    """Make a report of two datasets of its owner's, and return its owner."""
    owner_id = owner_id or world.ann
    datasets.add_version(world.context, owner_id, "trades", world.file(INPUT))
    datasets.add_version(world.context, owner_id, "names", world.file(REFERENCE))
    rulesets.put_ruleset(world.context, owner_id, "margin", RULES, check=fits)
    wish = ReportWish(Pick("margin"), {"input": Pick("trades"), "reference": Pick("names")}, **wishes)
    reports.put_report(world.context, owner_id, "daily", wish, check=fits)
    return owner_id


def succeeded(world: World, owner_id: str) -> str:
    run_id = report_runs.run_report(world.context, owner_id, "daily").id
    assert world.publish(world.claim(run_id), f"total\n{run_id}\n".encode())
    return run_id


def kept(world: World, owner_id: str) -> list[str]:
    found = report_runs.report_runs(world.context, owner_id, "daily")
    ids = world.sql("SELECT id FROM runs WHERE expired_at IS NULL")
    return [run.id for run in found if (run.id,) in ids]


def test_a_report_may_keep_less_but_for_its_last_successes(keeping: World) -> None:
    ann = named(keeping, retention_days=2, keep_runs=2)
    first, second, third = (succeeded(keeping, ann) for _ in range(3))
    remove(keeping, timedelta(days=1))
    assert kept(keeping, ann) == [third, second, first]
    remove(keeping, timedelta(days=3))
    assert kept(keeping, ann) == [third, second]
    assert contradictions(keeping) == []
    remove(keeping)
    assert kept(keeping, ann) == [], "nothing stays longer than all that is the owner's"


def test_what_a_user_is_allowed_goes_before_what_all_are(keeping: World) -> None:
    keep_for(keeping, "bob@example.com", 90)
    keep_for(keeping, "ann@example.com", 1)
    ann, bob = named(keeping), named(keeping, keeping.bob)
    for owner in (ann, bob):
        succeeded(keeping, owner)
        datasets.add_version(keeping.context, owner, "trades", keeping.file(INPUT + b"C,3\n"))
    assert remove(keeping, timedelta(days=2))[:2] == (1, 1)
    assert (len(kept(keeping, ann)), len(kept(keeping, bob))) == (0, 1)
    assert remove(keeping, timedelta(days=89))[:2] == (0, 0)
    assert remove(keeping, timedelta(days=91))[:2] == (1, 1)


def test_without_a_setting_a_user_or_report_may_have_one(world: World) -> None:
    ann = named(world, retention_days=5)
    succeeded(world, ann)
    assert remove(world, timedelta(days=4))[0] == 0
    assert remove(world, timedelta(days=6))[0] == 1
    keep_for(world, "ann@example.com", 9)
    old = finished(world)
    assert remove(world, timedelta(days=10))[0] == 1
    assert (old,) in world.sql("SELECT id FROM runs WHERE expired_at IS NOT NULL")


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        ({"retention_days": DAYS + 1}, "kept for 30 days"),
        ({"retention_days": 0}, "are possible"),
        ({"retention_days": 1, "keep_runs": 0}, "are possible"),
        ({"keep_runs": 3}, "needs retention_days"),
    ],
)
def test_a_report_keeps_nothing_longer_than_its_owner(
    keeping: World, wishes: dict[str, int], told: str
) -> None:
    with pytest.raises(BadRequestError, match=told):
        named(keeping, **wishes)


def test_nothing_is_removed_while_a_backup_holds_the_lock(keeping: World) -> None:
    finished(keeping)
    with keeping.context.catalog.exclusive(retention.REMOVAL_LOCK):
        assert remove(keeping) == (0, 0, 0)
    assert remove(keeping) == (1, 0, 3)


def test_whoever_runs_the_service_sets_a_users_days(keeping: World) -> None:
    environment = keeping.context.settings.environment()
    words = ["users", "set", "bob@example.com", "--keep-days", "9"]
    told = CliRunner().invoke(app, words, env=environment)
    assert (told.exit_code, "files kept for 9 days" in told.stdout) == (0, True), told.output
    told = CliRunner().invoke(app, [*words[:4], "0"], env=environment)
    assert (told.exit_code, "kept" in told.stdout) == (0, False), told.output
    with pytest.raises(BadRequestError, match="are possible"):
        keep_for(keeping, "bob@example.com", -1)


def test_sessions_and_tokens_that_have_been_over_for_long_are_forgotten(world: World) -> None:
    context = world.context
    here = accounts.register(context, email="eve@example.com", name="Eve", password="pass123")
    caller = accounts.authenticate(context, here.access)
    for name in ("old", "new"):
        api_tokens.make_token(context, caller, name=name, scopes=["read"])
    there = accounts.login(context, email="eve@example.com", password="pass123")
    ended = accounts.authenticate(context, there.access).session_id
    with context.catalog.transaction() as session:
        session.execute(
            text("UPDATE api_tokens SET expires_at = now() - interval '91 days' WHERE name = 'old'")
        )
        ending = text("UPDATE sessions SET revoked_at = now() - interval '91 days' WHERE id = :id")
        session.execute(ending, {"id": ended})
    remove_old(context)
    with context.catalog.transaction() as session:
        tables = ("sessions", "refresh_tokens", "api_tokens")
        counts = {table: session.scalar(text(f"SELECT count(*) FROM {table}")) for table in tables}  # noqa: S608
    assert counts == {"sessions": 1, "refresh_tokens": 1, "api_tokens": 1}
    assert accounts.authenticate(context, here.access) == caller
