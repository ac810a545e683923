from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from reportgen_dagster.errors import BadRequestError, CronError, MissingInputError, NotFoundError
from reportgen_dagster.identity import new_id, utc_now
from reportgen_dagster.services import report_runs, reports, runs, schedules, switches, ticks
from reportgen_dagster.services.cron import next_time, times
from reportgen_dagster.services.runs import RunView
from reportgen_dagster.services.schedules import ScheduleView
from reportgen_dagster.services.uploads import RulesText
from tests.services.conftest import RULES, World, fits

DUE = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)


def put(world: World, owner_id: str = "", **changed: Any) -> tuple[ScheduleView, RunView]:
    given: dict[str, Any] = {
        "report_name": "daily",
        "cron": "0 6 * * *",
        "files": world.files(),
        "rules": RULES,
        "check": fits,
    }
    return schedules.put_schedule(world.context, owner_id or world.ann, **(given | changed))


def tick(world: World, schedule: ScheduleView, due: datetime = DUE) -> str:
    """Tell a tick in time and return the run that it accepts."""
    told = ticks.accept_tick(world.context, schedule.id, due, now=due)
    assert (len(told.run_ids), told.reason) == (1, "")
    return told.run_ids[0]


def test_a_new_schedule_runs_once_at_once(world: World) -> None:
    schedule, run = put(world, timezone="Europe/Berlin")
    assert (run.trigger, run.state, run.due_at, run.schedule_id) == (
        "schedule",
        "accepted",
        None,
        schedule.id,
    )
    assert run.report_name == schedule.report_name == "daily"
    assert schedule.last_run == run
    assert schedule.next_run is not None
    assert timedelta() < schedule.next_run - utc_now() <= timedelta(days=1, hours=1)
    assert schedules.list_schedules(world.context, world.ann) == [schedule]
    claimed = world.claim(run.id)
    assert {file.dataset_name for file in claimed.files.values()} == {"daily-input", "daily-reference"}
    assert claimed.ruleset_name == "daily"


def test_schedules_come_in_pages(world: World) -> None:
    ids = [put(world, report_name=f"report {number}")[0].id for number in range(5)]
    found, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        page, cursor = schedules.page_of_schedules(world.context, world.ann, limit=2, cursor=cursor)
        found += [view.id for view in page]
        pages += 1
    assert (found, pages) == (ids, 3)
    with pytest.raises(BadRequestError, match="cursor"):
        schedules.page_of_schedules(world.context, world.ann, cursor="nonsense")


def test_a_schedule_without_a_name_gets_one(world: World) -> None:
    schedule, _ = put(world, report_name=None)
    assert re.fullmatch(r"report_[0-9a-f]{6}", schedule.report_name)


def test_the_same_name_replaces_files_rules_and_cron_and_keeps_the_id(world: World) -> None:
    first, first_run = put(world)
    schedules.pause(world.context, world.ann, first.id)
    changed = RulesText("r.yaml", "- {output: b, formula: '2'}", "yaml")
    files = world.files() | {"input": world.file(b"key,price\nZ,9\n")}
    second, second_run = put(world, cron="*/5 * * * *", files=files, rules=changed)
    assert (second.id, second.cron, second.paused) == (first.id, "*/5 * * * *", False)
    assert second.last_run == second_run
    claimed = world.claim(second_run.id)
    assert (claimed.ruleset_version, claimed.files["input"].version) == (2, 2)
    assert claimed.files["reference"].version == 1, "the same bytes"
    assert world.claim(first_run.id).files["input"].version == 1, "accepted before"


def test_the_same_name_of_another_user_is_another_schedule(world: World) -> None:
    anns, _ = put(world)
    bobs, _ = put(world, world.bob)
    assert anns.id != bobs.id
    assert [view.id for view in schedules.list_schedules(world.context, world.bob)] == [bobs.id]


@pytest.mark.parametrize("name", ["  ", "x" * 101, "a\nb", "\0", "default", f"run-{'0' * 32}"])
def test_names_that_cannot_be_used_are_refused(world: World, name: str) -> None:
    with pytest.raises(BadRequestError, match="report_name"):
        put(world, report_name=name)


def test_nothing_is_accepted_where_anything_is_wrong(world: World) -> None:
    with pytest.raises(CronError):
        put(world, cron="61 * * * *")
    with pytest.raises(CronError):
        put(world, timezone="Mars/Base")
    with pytest.raises(MissingInputError, match="input"):
        put(world, files={})
    assert world.sql("SELECT count(*) FROM schedules") == [(0,)]
    assert world.sql("SELECT count(*) FROM runs") == [(0,)]


def test_a_tick_makes_one_run_however_often_it_is_told(world: World) -> None:
    schedule, _ = put(world)
    first = tick(world, schedule)
    assert tick(world, schedule, DUE.astimezone(timezone(timedelta(hours=5)))) == first
    assert tick(world, schedule, DUE + timedelta(minutes=1)) != first
    view = runs.find_run(world.context, world.ann, first)
    assert (view.due_at, view.trigger) == (DUE, "schedule")


def test_the_date_of_a_run_is_that_of_its_tick_in_the_schedules_time_zone(world: World) -> None:
    schedule, _ = put(world, timezone="Europe/Berlin")
    late = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
    assert world.claim(tick(world, schedule, late)).run_date == date(2026, 11, 24)


def test_each_run_of_a_schedule_gets_its_parameters(world: World) -> None:
    schedule, first = put(world, parameters={"desk": "FX"})
    assert (schedule.parameters, first.parameters) == ({"desk": "FX"}, {"desk": "FX"})
    put(world, parameters={"desk": "rates"})
    assert world.claim(tick(world, schedule)).parameters == {"desk": "rates"}
    again = report_runs.accept_again(world.context, first.id, "d1")
    assert world.claim(again).parameters == {"desk": "FX"}, "of the run that is executed again"


def test_a_run_that_is_executed_again_keeps_its_date(world: World) -> None:
    schedule, _ = put(world)
    run_id = tick(world, schedule, datetime(2024, 2, 29, 6, 0, tzinfo=UTC))
    world.publish(world.claim(run_id))
    assert world.claim(report_runs.accept_again(world.context, run_id, "d1")).run_date == date(2024, 2, 29)


def test_a_tick_told_by_many_at_once_makes_one_run(world: World) -> None:
    schedule, _ = put(world)
    told: list[str] = []
    threads = [threading.Thread(target=lambda: told.append(tick(world, schedule))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 6
    assert len(set(told)) == 1


def test_a_tick_takes_what_is_pinned_then(world: World) -> None:
    schedule, _ = put(world)
    put(world, files=world.files() | {"input": world.file(b"key,price\nZ,9\n")})
    assert world.claim(tick(world, schedule)).files["input"].version == 2


def test_a_paused_schedule_skips_its_ticks_until_it_is_resumed(world: World) -> None:
    schedule, _ = put(world)
    paused = schedules.pause(world.context, world.ann, schedule.id)
    assert (paused.paused, paused.next_run) == (True, None)
    assert schedules.pause(world.context, world.ann, schedule.id) == paused
    told = ticks.accept_tick(world.context, schedule.id, DUE, now=DUE)
    assert (told.run_ids, told.reason) == ((), "The schedule is paused.")
    resumed = schedules.resume(world.context, world.ann, schedule.id)
    assert resumed == schedules.list_schedules(world.context, world.ann)[0]
    assert resumed.next_run is not None
    assert tick(world, schedule)


def test_a_deleted_schedule_is_gone_but_its_reports_stay(world: World) -> None:
    schedule, run = put(world)
    world.publish(world.claim(run.id))
    schedules.delete_schedule(world.context, world.ann, schedule.id)
    assert schedules.list_schedules(world.context, world.ann) == []
    assert ticks.accept_tick(world.context, schedule.id, DUE).reason == "The schedule was deleted."
    view = runs.find_run(world.context, world.ann, run.id)
    assert (view.state, view.schedule_id, view.report_name) == ("succeeded", None, "daily")
    assert runs.report_file(world.context, world.ann, run.id).filename == "daily.csv"


def test_another_ones_schedule_is_told_like_an_unknown_one(world: World) -> None:
    schedule, _ = put(world)
    told = []
    for act in (schedules.pause, schedules.resume, schedules.delete_schedule):
        for schedule_id in (schedule.id, new_id(), "\0"):
            with pytest.raises(NotFoundError) as caught:
                act(world.context, world.bob, schedule_id)
            told.append(caught.value.to_json())
    assert told == [told[0]] * len(told)
    assert [view.paused for view in schedules.list_schedules(world.context, world.ann)] == [False]


def test_materializing_accepts_one_run_for_each_dagster_run(world: World) -> None:
    schedule, _ = put(world)
    schedules.pause(world.context, world.ann, schedule.id)
    report = reports.get_report(world.context, world.ann, "daily")
    first = report_runs.accept_from_dagster(world.context, report.id, "d1")
    assert report_runs.accept_from_dagster(world.context, report.id, "d1") == first
    assert report_runs.accept_from_dagster(world.context, report.id, "d2") != first
    assert runs.find_run(world.context, world.ann, first).trigger == "dagster"
    with pytest.raises(NotFoundError):
        report_runs.accept_from_dagster(world.context, new_id(), "d3")


def test_a_re_execution_is_a_new_run_with_the_same_inputs(world: World) -> None:
    schedule, run = put(world)
    world.publish(world.claim(run.id))
    put(world, files=world.files() | {"input": world.file(b"key,price\nZ,9\n")})
    again = report_runs.accept_again(world.context, run.id, "d1")
    assert report_runs.accept_again(world.context, run.id, "d1") == again
    assert again != run.id
    assert world.claim(again).files["input"].version == 1
    assert runs.find_run(world.context, world.ann, again).schedule_id == schedule.id
    with pytest.raises(NotFoundError):
        report_runs.accept_again(world.context, new_id(), "d2")


# missed and unchanged


def view_of(world: World, **changed: str) -> ScheduleView:
    put(world)
    return schedules.add_schedule(world.context, world.ann, "daily", cron="0 * * * *", **changed)


def rewind(world: World, schedule: ScheduleView, moment: datetime) -> None:
    """Let a schedule have dealt with all times up to a moment."""
    world.sql("UPDATE schedules SET handled_until = :at WHERE id = :id", at=moment, id=schedule.id)


def due_times(world: World, run_ids: Iterable[str]) -> list[datetime | None]:
    return [runs.find_run(world.context, world.ann, run_id).due_at for run_id in run_ids]


def test_of_missed_times_the_last_is_made_up_for(world: World) -> None:
    schedule = view_of(world)
    now = DUE + timedelta(hours=5, minutes=20)
    early = ticks.accept_tick(world.context, schedule.id, DUE, now=now)
    assert early.run_ids == ()
    assert "missed" in early.reason
    last = ticks.accept_tick(world.context, schedule.id, DUE + timedelta(hours=5), now=now)
    assert due_times(world, last.run_ids) == [DUE + timedelta(hours=5)]


def test_missed_times_are_skipped_where_the_schedule_says_so(world: World) -> None:
    schedule = view_of(world, missed="skip")
    late = ticks.accept_tick(world.context, schedule.id, DUE, now=DUE + timedelta(minutes=20))
    assert (late.run_ids, late.reason) == (
        (),
        "This time passed 20 minutes ago, and this schedule skips times that were missed.",
    )
    assert tick(world, schedule, DUE + timedelta(hours=1))


def test_all_missed_times_are_made_up_for_each_with_its_due_time(world: World) -> None:
    schedule = view_of(world, missed="all")
    rewind(world, schedule, DUE - timedelta(hours=3))
    told = ticks.accept_tick(world.context, schedule.id, DUE, now=DUE + timedelta(minutes=50))
    assert due_times(world, told.run_ids) == [DUE - timedelta(hours=hours) for hours in (2, 1, 0)]
    again = ticks.accept_tick(world.context, schedule.id, DUE, now=DUE + timedelta(minutes=50))
    assert again.run_ids == told.run_ids[-1:]


def test_more_missed_times_than_one_tick_makes_up_for_are_left_to_the_next(world: World) -> None:
    schedule = view_of(world, missed="all")
    hours = [DUE + timedelta(hours=hour) for hour in range(-ticks.MOST_AT_ONCE - 1, 2)]
    rewind(world, schedule, hours[0])
    first = ticks.accept_tick(world.context, schedule.id, DUE, now=DUE)
    then = ticks.accept_tick(world.context, schedule.id, hours[-1], now=hours[-1])
    assert due_times(world, first.run_ids) == hours[1 : ticks.MOST_AT_ONCE + 1]
    assert due_times(world, then.run_ids) == hours[ticks.MOST_AT_ONCE + 1 :]


def test_a_time_that_comes_twice_where_clocks_change_makes_one_run(world: World) -> None:
    put(world)
    told = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "missed": "all"}
    schedule = schedules.add_schedule(world.context, world.ann, "daily", **told)
    due = datetime(2030, 10, 27, 1, 30, tzinfo=UTC)  # when Dagster ticks: 02:30 for the second time
    rewind(world, schedule, due - timedelta(days=1))
    made = ticks.accept_tick(world.context, schedule.id, due, now=due)
    assert due_times(world, made.run_ids) == [due]


@pytest.mark.parametrize("missed", ["all", "last"])
@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("Africa/Cairo", "2030-04-25 22:30"),
        ("Africa/Cairo", "2030-04-25 22:00"),  # another release of Dagster may read skipped times otherwise
        ("America/Santiago", "2030-09-08 04:30"),
        ("America/Havana", "2030-03-10 05:30"),
        ("America/Havana", "2030-11-03 05:30"),
        ("America/Havana", "2030-11-03 04:30"),  # when clocks show 00:30 first
    ],
)
def test_each_tick_makes_one_run_where_clocks_change_at_midnight(
    world: World, zone: str, told: str, missed: str
) -> None:
    put(world)
    given = {"cron": "30 0 * * *", "timezone": zone, "missed": missed}
    schedule = schedules.add_schedule(world.context, world.ann, "daily", **given)
    changed = datetime.fromisoformat(told).replace(tzinfo=UTC)
    before, after = (next(times("30 0 * * *", zone, changed + timedelta(hours=hours))) for hours in (-36, 12))
    rewind(world, schedule, before)
    for due in (changed, after):
        made = ticks.accept_tick(world.context, schedule.id, due, now=due)
        assert due_times(world, made.run_ids) == [due]


def test_the_only_tick_where_clocks_change_is_not_taken_for_a_missed_one(world: World) -> None:
    put(world)
    given = {"cron": "0 0 * * *", "timezone": "America/Havana", "missed": "last"}
    schedule = schedules.add_schedule(world.context, world.ann, "daily", **given)
    first = datetime(2030, 11, 3, 4, 0, tzinfo=UTC)  # when clocks show 00:00 first
    made = ticks.accept_tick(world.context, schedule.id, first, now=first + timedelta(hours=2))
    assert due_times(world, made.run_ids) == [first]


def test_times_of_a_pause_are_not_missed(world: World) -> None:
    schedule = view_of(world, missed="all")
    rewind(world, schedule, DUE - timedelta(hours=3))
    schedules.pause(world.context, world.ann, schedule.id)
    schedules.resume(world.context, world.ann, schedule.id)
    assert len(ticks.accept_tick(world.context, schedule.id, utc_now()).run_ids) == 1


def test_unchanged_data_are_skipped_with_the_reason_until_something_changes(world: World) -> None:
    schedule = view_of(world, unchanged="skip")
    first = ticks.accept_tick(world.context, schedule.id, DUE, now=DUE)
    assert first.run_ids == ()
    assert re.fullmatch(r"Rules and data are those of the run [0-9a-f]{32} of .* UTC; .*", first.reason)
    put(world, files=world.files() | {"input": world.file(b"key,price\nZ,9\n")})
    hour = timedelta(hours=1)
    assert ticks.accept_tick(world.context, schedule.id, DUE + hour, now=DUE + hour).reason, "run at once"
    world.sql("UPDATE runs SET state = 'failed', error = '{}', finished_at = now()")
    assert tick(world, schedule, DUE + 2 * hour), "what failed is tried again"


@pytest.mark.parametrize(("name", "value"), [("missed", "some"), ("unchanged", "")])
def test_policies_that_there_are_not_are_refused(world: World, name: str, value: str) -> None:
    put(world)
    with pytest.raises(BadRequestError, match=name):
        schedules.add_schedule(world.context, world.ann, "daily", cron="0 * * * *", **{name: value})


def test_a_report_has_any_number_of_schedules(world: World) -> None:
    main, _ = put(world)
    nightly = schedules.add_schedule(
        world.context, world.ann, "daily", name="nightly", cron="30 2 * * *", timezone="Europe/Berlin"
    )
    assert {one.name for one in schedules.list_schedules(world.context, world.ann, "daily")} == {
        "main",
        "nightly",
    }
    assert tick(world, main) != tick(world, nightly)
    changed = schedules.add_schedule(world.context, world.ann, "daily", name="nightly", cron="31 2 * * *")
    assert (changed.id, changed.cron) == (nightly.id, "31 2 * * *")
    with pytest.raises(NotFoundError):
        schedules.add_schedule(world.context, world.bob, "daily", cron="0 * * * *")


# what is shown


def test_next_runs_keep_their_local_time_over_the_change_of_clocks(world: World) -> None:
    schedule, _ = put(world, cron="0 6 * * *", timezone="Europe/Berlin")
    shown = schedule.next_runs(after=datetime(2027, 3, 26, 12, tzinfo=UTC))
    assert [moment.isoformat() for moment in shown[:3]] == [
        "2027-03-27T06:00:00+01:00",
        "2027-03-28T06:00:00+02:00",
        "2027-03-29T06:00:00+02:00",
    ]
    assert len(shown) == 10
    assert schedule.words == "At 06:00"
    assert schedule.next_run == schedule.next_runs(1)[0]


@pytest.mark.parametrize(("zone", "hour"), [("UTC", 2), ("Europe/Berlin", 3)])
def test_a_time_that_a_day_lacks_is_shown_as_it_will_run(world: World, zone: str, hour: int) -> None:
    schedule, _ = put(world, cron="30 2 28 3 *", timezone=zone)
    (shown,) = schedule.next_runs(1, after=datetime(2027, 3, 1, tzinfo=UTC))
    assert (shown.day, shown.hour) == (28, hour)
    assert shown == next_time(schedule.cron, zone, datetime(2027, 3, 1, tzinfo=UTC))


def test_a_paused_schedule_shows_when_it_would_run(world: World) -> None:
    schedule, _ = put(world)
    paused = schedules.pause(world.context, world.ann, schedule.id)
    assert (paused.next_run, len(paused.next_runs())) == (None, 10)


def test_a_schedule_is_found_by_its_id_or_by_report_and_name(world: World) -> None:
    schedule, _ = put(world)
    put(world, world.bob)
    for key in (schedule.id, "daily/main"):
        assert schedules.get_schedule(world.context, world.ann, key).id == schedule.id
    with pytest.raises(NotFoundError):
        schedules.get_schedule(world.context, world.bob, schedule.id)
    with pytest.raises(NotFoundError, match="daily has no schedule mian") as refusal:
        schedules.pause(world.context, world.ann, "daily/mian")
    assert refusal.value.case_hint == "Did you mean main?"
    with pytest.raises(NotFoundError, match="no report dayly"):
        schedules.delete_schedule(world.context, world.ann, "dayly/main")
    with pytest.raises(NotFoundError, match="no report dayly"):
        schedules.list_schedules(world.context, world.ann, "dayly")


# on and off


def test_what_operators_switch_reaches_the_catalog_once(world: World) -> None:
    schedule, _ = put(world)

    def is_paused() -> bool:
        return schedules.list_schedules(world.context, world.ann)[0].paused

    here = ("reports", schedule.id)
    assert switches.take_over(world.context, lambda: {("reports_1", schedule.id): "STOPPED"}) == []
    told = switches.take_over(world.context, lambda: {here: "STOPPED", ("reports", new_id()): "STOPPED"})
    assert (told, is_paused()) == ([f"An operator switched the schedule {schedule.id} off."], True)
    schedules.resume(world.context, world.ann, schedule.id)
    assert switches.take_over(world.context, lambda: {here: "STOPPED"}) == [], "seen already"
    assert not is_paused()
    assert switches.contradicted(world.context) == [here]
    switches.forget(world.context, schedule.id)
    assert switches.contradicted(world.context) == []
    switches.take_over(world.context, lambda: {here: "STOPPED"})
    assert is_paused()
    switches.take_over(world.context, lambda: {here: "RUNNING"})
    assert not is_paused()


def test_what_the_owner_says_while_dagster_is_looked_at_is_the_later_word(world: World) -> None:
    schedule, _ = put(world)
    here = ("reports", schedule.id)
    switches.take_over(world.context, lambda: {here: "STOPPED"})

    def look() -> dict[tuple[str, str], str]:
        """See the operator's switch just before the owner resumes the schedule and Dagster shows it."""
        schedules.resume(world.context, world.ann, schedule.id)
        switches.forget(world.context, schedule.id)
        return {here: "STOPPED"}

    assert switches.take_over(world.context, look) == []
    assert not schedules.list_schedules(world.context, world.ann)[0].paused
