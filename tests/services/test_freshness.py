"""When a report is stale and a dataset late, judged for given times, also where clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reportgen_dagster.services import datasets, freshness, report_runs, reports, rulesets
from reportgen_dagster.services.cron import previous_times, times
from reportgen_dagster.services.freshness import Verdict, duration
from reportgen_dagster.services.reports import Pick, ReportWish
from tests.services.conftest import REFERENCE, RULES, World, fits

BERLIN = "Europe/Berlin"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def expect(world: World, cron: str, timezone: str = "UTC", within_seconds: int = 3600) -> None:
    """A dataset that is expected, and has been there for years."""
    datasets.add_version(world.context, world.ann, "trades", world.file())
    datasets.expect_dataset(
        world.context, world.ann, "trades", cron=cron, timezone=timezone, within_seconds=within_seconds
    )
    world.sql(
        "UPDATE datasets SET created_at = '2020-01-01 00:00+00', expected_since = '2020-01-01 00:00+00' WHERE name = 'trades'"
    )


def came(world: World, moment: str) -> None:
    world.sql("UPDATE dataset_versions SET received_at = :at", at=utc(moment))


def late(world: World, now: str) -> Verdict:
    (verdict,) = freshness.datasets(world.context, now=utc(now))
    return verdict


def test_a_dataset_is_late_once_its_allowance_is_over_and_until_a_version_comes(world: World) -> None:
    expect(world, "0 6 * * *")
    came(world, "2026-03-02 06:20")
    assert late(world, "2026-03-03 06:59").passed, "there is time until seven"
    verdict = late(world, "2026-03-03 07:00")
    assert not verdict.passed
    assert verdict.words == (
        "What was due at 2026-03-03 06:00 UTC is not there: 1 hour late (allowed: 1 hour);"
        " the last one came at 2026-03-02 06:20 UTC."
    )
    assert verdict.facts["due"] == "2026-03-03T06:00:00+00:00"
    came(world, "2026-03-03 09:00")
    verdict = late(world, "2026-03-03 09:00")
    assert verdict.passed
    assert (
        verdict.words
        == "What was due at 2026-03-03 06:00 UTC came at 2026-03-03 09:00 UTC, 3 hours after that."
    )


def test_what_comes_counts_for_the_due_time_that_is_nearest(world: World) -> None:
    expect(world, "0 6 * * *")
    came(world, "2026-03-02 09:00")
    assert late(world, "2026-03-02 09:00").passed
    assert not late(world, "2026-03-03 07:30").passed, "that was for the day before, though late"
    came(world, "2026-03-02 18:01")
    assert late(world, "2026-03-03 07:30").passed


def test_the_same_bytes_again_are_an_arrival(world: World) -> None:
    expect(world, "* * * * *", within_seconds=1)
    came(world, "2020-01-01 00:00")
    (verdict,) = freshness.datasets(world.context)
    assert not verdict.passed
    datasets.add_version(world.context, world.ann, "trades", world.file())
    (verdict,) = freshness.datasets(world.context)
    assert verdict.passed
    assert len(datasets.list_versions(world.context, world.ann, "trades")) == 1


def test_a_dataset_is_not_late_for_times_before_it_was_expected(world: World) -> None:
    expect(world, "0 6 * * *")
    world.sql("UPDATE datasets SET expected_since = :at", at=utc("2026-03-03 06:30"))
    came(world, "2026-03-01 00:00")
    verdict = late(world, "2026-03-03 23:00")
    assert (verdict.passed, verdict.words) == (True, "First due at 2026-03-04 06:00 UTC.")
    assert not late(world, "2026-03-04 07:00").passed


@pytest.mark.parametrize(
    ("now", "due"),
    [
        # 02:30 does not exist on 29 March 2026 in Berlin: it is due when the clock shows 03:00.
        ("2026-03-29 01:59", "2026-03-28 02:30"),
        ("2026-03-29 02:00", "2026-03-29 03:00"),
        # On 25 October 02:30 comes twice; it is due the second time, as schedules are.
        ("2026-10-25 02:29", "2026-10-24 02:30"),
        ("2026-10-25 02:30", "2026-10-25 02:30"),
    ],
)
def test_where_clocks_change_it_is_due_once_a_day(world: World, now: str, due: str) -> None:
    expect(world, "30 2 * * *", BERLIN)
    came(world, "2026-01-01 00:00")
    assert f"due at {due} {BERLIN}" in late(world, now).words


@pytest.mark.parametrize(
    "cron", ["30 2 * * *", "0 * * * *", "*/20 1-3 * * *", "0 6 * * mon-fri", "0 0 1,15 * *"]
)
@pytest.mark.parametrize("around", ["2026-03-29", "2026-10-25"])
def test_times_backwards_are_the_times_forwards(cron: str, around: str) -> None:
    begin, end = utc(around) - timedelta(days=40), utc(around) + timedelta(days=40)
    forwards = list(_until(times(cron, BERLIN, begin), end, forwards=True))
    backwards = list(_until(previous_times(cron, BERLIN, end), begin, forwards=False))
    assert forwards == backwards[::-1]


def _until(moments, end, *, forwards):
    for moment in moments:
        if (moment >= end) if forwards else (moment <= end):
            return
        yield moment


def test_rubbish_in_the_catalog_is_told_and_disturbs_no_other(world: World) -> None:
    expect(world, "0 6 * * *")
    datasets.add_version(world.context, world.ann, "other", world.file())
    world.sql(
        "UPDATE datasets SET expected_cron = '99 x', expected_timezone = 'Mars', expected_within_seconds = 1"
        " WHERE name = 'other'"
    )
    verdicts = {verdict.name: verdict for verdict in freshness.datasets(world.context)}
    assert not verdicts["other"].passed
    assert "cannot be understood" in verdicts["other"].words
    assert "due" in verdicts["trades"].words


@pytest.fixture
def report(world: World) -> str:
    """A report that may be an hour old, and was defined at noon."""
    for name, body in (("in", b"key,price\nA,1\n"), ("ref", REFERENCE)):
        datasets.add_version(world.context, world.ann, name, world.file(body))
    rulesets.put_ruleset(world.context, world.ann, "margin", RULES, check=fits)
    wish = ReportWish(
        Pick("margin"), {"input": Pick("in"), "reference": Pick("ref")}, fresh_within_seconds=3600
    )
    reports.put_report(world.context, world.ann, "daily", wish, check=fits)
    world.sql("UPDATE reports SET created_at = '2026-03-02 12:00+00'")
    return "daily"


def stale(world: World, now: str) -> Verdict:
    (verdict,) = freshness.reports(world.context, now=utc(now))
    return verdict


def test_a_report_is_stale_when_its_last_success_is_too_old(world: World, report: str) -> None:
    assert stale(world, "2026-03-02 13:00").passed, "it may not have been made yet"
    assert not stale(world, "2026-03-02 13:01").passed
    run_id = report_runs.run_report(world.context, world.ann, report).id
    world.publish(world.claim(run_id))
    world.sql("UPDATE runs SET finished_at = '2026-03-02 13:30+00'")
    assert stale(world, "2026-03-02 14:30").passed
    verdict = stale(world, "2026-03-02 15:45")
    assert not verdict.passed
    assert verdict.words == (
        "Stale since 2026-03-02 14:30:00 UTC: last made at 2026-03-02 13:30:00 UTC, 2 hours 15 minutes ago;"
        " it may be 1 hour old."
    )


def test_a_failed_run_makes_no_report_fresh(world: World, report: str) -> None:
    world.claim(report_runs.run_report(world.context, world.ann, report).id)
    world.sql("UPDATE runs SET state = 'failed', finished_at = '2026-03-02 13:30+00', error = '{}'")
    assert not stale(world, "2026-03-02 13:31").passed


def test_nobody_minds_a_report_without_a_limit(world: World, report: str) -> None:
    world.sql("UPDATE reports SET fresh_within_seconds = NULL WHERE name = :name", name=report)
    assert freshness.reports(world.context) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (61, "1 minute 1 second"),
        (3600, "1 hour"),
        (90_061, "1 day 1 hour"),
        (86_460, "1 day"),
    ],
)
def test_durations_are_told_by_their_two_largest_units(seconds: int, words: str) -> None:
    assert duration(timedelta(seconds=seconds)) == words
