from __future__ import annotations

import re
import threading
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from reportgen_dagster.errors import BadRequestError, CronError, MissingInputError, NotFoundError
from reportgen_dagster.identity import digest_text, new_id, utc_now
from reportgen_dagster.services import runs, schedules
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
    first = schedules.accept_tick(world.context, schedule.id, DUE)
    assert first is not None
    other_zone = DUE.astimezone(timezone(timedelta(hours=5)))
    assert schedules.accept_tick(world.context, schedule.id, other_zone) == first
    assert schedules.accept_tick(world.context, schedule.id, DUE + timedelta(minutes=1)) != first
    view = runs.find_run(world.context, world.ann, first)
    assert (view.due_at, view.trigger) == (DUE, "schedule")


def test_the_date_of_a_run_is_that_of_its_tick_in_the_schedules_time_zone(world: World) -> None:
    schedule, _ = put(world, timezone="Europe/Berlin")
    late = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
    run_id = schedules.accept_tick(world.context, schedule.id, late)
    assert run_id is not None
    assert world.claim(run_id).run_date == date(2026, 11, 24)


def test_each_run_of_a_schedule_gets_its_parameters(world: World) -> None:
    schedule, first = put(world, parameters={"desk": "FX"})
    assert (schedule.parameters, first.parameters) == ({"desk": "FX"}, {"desk": "FX"})
    put(world, parameters={"desk": "rates"})
    run_id = schedules.accept_tick(world.context, schedule.id, DUE)
    assert run_id is not None
    assert world.claim(run_id).parameters == {"desk": "rates"}
    again = schedules.accept_again(world.context, first.id, "d1")
    assert world.claim(again).parameters == {"desk": "FX"}, "of the run that is executed again"


def test_a_run_that_is_executed_again_keeps_its_date(world: World) -> None:
    schedule, _ = put(world)
    run_id = schedules.accept_tick(world.context, schedule.id, datetime(2024, 2, 29, 6, 0, tzinfo=UTC))
    assert run_id is not None
    world.publish(world.claim(run_id))
    assert world.claim(schedules.accept_again(world.context, run_id, "d1")).run_date == date(2024, 2, 29)


def test_a_tick_told_by_many_at_once_makes_one_run(world: World) -> None:
    schedule, _ = put(world)
    told: list[str | None] = []

    def tick() -> None:
        told.append(schedules.accept_tick(world.context, schedule.id, DUE))

    threads = [threading.Thread(target=tick) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 6
    assert len(set(told)) == 1


def test_a_tick_takes_what_is_pinned_then(world: World) -> None:
    schedule, _ = put(world)
    put(world, files=world.files() | {"input": world.file(b"key,price\nZ,9\n")})
    run_id = schedules.accept_tick(world.context, schedule.id, DUE)
    assert run_id is not None
    assert world.claim(run_id).files["input"].version == 2


def test_a_paused_schedule_skips_its_ticks_until_it_is_resumed(world: World) -> None:
    schedule, _ = put(world)
    paused = schedules.pause(world.context, world.ann, schedule.id)
    assert (paused.paused, paused.next_run) == (True, None)
    assert schedules.pause(world.context, world.ann, schedule.id) == paused
    assert schedules.accept_tick(world.context, schedule.id, DUE) is None
    resumed = schedules.resume(world.context, world.ann, schedule.id)
    assert resumed == schedules.list_schedules(world.context, world.ann)[0]
    assert resumed.next_run is not None
    assert schedules.accept_tick(world.context, schedule.id, DUE) is not None


def test_a_deleted_schedule_is_gone_but_its_reports_stay(world: World) -> None:
    schedule, run = put(world)
    world.publish(world.claim(run.id))
    schedules.delete_schedule(world.context, world.ann, schedule.id)
    assert schedules.list_schedules(world.context, world.ann) == []
    assert schedules.accept_tick(world.context, schedule.id, DUE) is None
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
    first = schedules.accept_from_dagster(world.context, schedule.id, "d1")
    assert schedules.accept_from_dagster(world.context, schedule.id, "d1") == first
    assert schedules.accept_from_dagster(world.context, schedule.id, "d2") != first
    assert runs.find_run(world.context, world.ann, first).trigger == "dagster"
    with pytest.raises(NotFoundError):
        schedules.accept_from_dagster(world.context, new_id(), "d3")


def test_a_re_execution_is_a_new_run_with_the_same_inputs(world: World) -> None:
    schedule, run = put(world)
    world.publish(world.claim(run.id))
    put(world, files=world.files() | {"input": world.file(b"key,price\nZ,9\n")})
    again = schedules.accept_again(world.context, run.id, "d1")
    assert schedules.accept_again(world.context, run.id, "d1") == again
    assert again != run.id
    assert world.claim(again).files["input"].version == 1
    assert runs.find_run(world.context, world.ann, again).schedule_id == schedule.id
    with pytest.raises(NotFoundError):
        schedules.accept_again(world.context, new_id(), "d2")


def test_definitions_tell_everything_that_dagster_shows(world: World) -> None:
    schedule, _ = put(world, report_name="Desk margin")
    other, _ = put(world, world.bob)
    found = {definition.schedule_id: definition for definition in schedules.definitions(world.context)}
    definition = found[schedule.id]
    assert set(found) == {schedule.id, other.id}
    assert definition.owner_email == "ann@example.com"
    assert definition.datasets == {"input": "Desk margin-input", "reference": "Desk margin-reference"}
    assert (definition.ruleset_name, definition.rules_text) == ("Desk margin", RULES.text)
    assert definition.ruleset_digest == digest_text(RULES.text)
    assert re.fullmatch(r"[A-Za-z0-9_]+", definition.slug)
    assert schedules.definitions(world.context, [schedule.id]) == [definition]
    assert schedules.definitions(world.context, []) == []


def test_the_fingerprint_changes_exactly_when_definitions_do(world: World) -> None:
    seen = [schedules.definitions_fingerprint(world.context)]

    def changed() -> bool:
        seen.append(schedules.definitions_fingerprint(world.context))
        return seen[-1] != seen[-2]

    schedule, run = put(world)
    assert changed()
    world.publish(world.claim(run.id))
    schedules.accept_tick(world.context, schedule.id, DUE)
    put(world, files=world.files() | {"input": world.file(b"key,price\nZ,9\n")})
    assert not changed(), "runs and new files change no definition"
    schedules.pause(world.context, world.ann, schedule.id)
    assert changed()
    schedules.pause(world.context, world.ann, schedule.id)
    assert not changed()
    put(world, cron="*/5 * * * *")
    assert changed()
    put(world, cron="*/5 * * * *", timezone="Europe/Berlin")
    assert changed()
    put(world, cron="*/5 * * * *", parameters={"desk": "FX"})
    assert changed()
    put(world, cron="*/5 * * * *", rules=RulesText("r.yaml", "[]", "yaml"))
    assert changed()
    schedules.delete_schedule(world.context, world.ann, schedule.id)
    assert changed()
    assert seen[-1] == seen[0]


def test_what_a_location_loaded_is_remembered(world: World) -> None:
    assert schedules.loaded_fingerprint(world.context, "reports") is None
    for fingerprint in ("a" * 64, "b" * 64):
        schedules.note_loaded(world.context, "reports", fingerprint)
        assert schedules.loaded_fingerprint(world.context, "reports") == fingerprint
