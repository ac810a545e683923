"""Named reports: what they are made of, who sees them, and which runs they lead to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import pytest

from reportgen_dagster.errors import (
    BadRequestError,
    ConflictError,
    MissingInputError,
    NotFoundError,
    RulesError,
)
from reportgen_dagster.identity import new_id, utc_now
from reportgen_dagster.services import datasets, report_runs, reports, rulesets, runs, schedules, ticks
from reportgen_dagster.services.cron import next_time
from reportgen_dagster.services.reports import Pick, ReportView
from reportgen_dagster.services.rules_facts import RulesFacts
from reportgen_dagster.services.uploads import RulesText
from tests.services.conftest import REFERENCE, World, fits
from tests.services.named import make_parts, make_report, put_report
from tests.services.test_datasets import ODD_NAMES

NEWER = b"key,price\nC,3\n"
NEWER_RULES = RulesText("r.yaml", "- {output: b, formula: '2'}\n", "yaml")


def add_trades(world: World, content: bytes = NEWER) -> int:
    return datasets.add_version(world.context, world.ann, "trades", world.file(content)).number


def run_of(world: World, name: str = "daily") -> str:
    return report_runs.run_report(world.context, world.ann, name).id


def used(world: World, run_id: str) -> tuple[int, dict[str, int]]:
    """Return the versions that a run is made of."""
    claimed = world.claim(run_id)
    return claimed.ruleset_version, {name: file.version for name, file in claimed.files.items()}


# what a report is


def test_a_report_is_made_of_rules_and_datasets_that_fit(world: World) -> None:
    make_parts(world, check=None)
    report = put_report(world, "daily", check=None, fresh_within_seconds=86_400)
    assert (report.ruleset, report.inputs) == (
        Pick("doubled"),
        {"input": Pick("trades"), "reference": Pick("products")},
    )
    assert (report.parameters, report.on_new_data, report.settle_seconds, report.fresh_within_seconds) == (
        {},
        False,
        10,
        86_400,
    )
    assert (report.paused, report.last_run) == (False, None)
    assert reports.get_report(world.context, world.ann, "daily") == report
    assert reports.list_reports(world.context, world.ann) == [report]


def test_a_report_names_the_formats_of_its_runs(world: World) -> None:
    make_parts(world)
    assert put_report(world, "daily", formats=["xlsx", "csv", "xlsx"]).formats == ["xlsx", "csv"]
    assert world.claim(run_of(world)).formats == ("xlsx", "csv")
    with pytest.raises(BadRequestError, match="there is no such format"):
        put_report(world, "daily", formats=["docx"])
    assert put_report(world, "daily").formats is None  # what is left out is not kept
    assert world.claim(run_of(world)).formats is None


def test_rules_that_do_not_fit_the_datasets_are_refused(world: World) -> None:
    make_parts(world)
    rules = RulesText("wrong.yaml", "- {output: a, formula: prize * 2}\n", "yaml")
    rulesets.put_ruleset(world.context, world.ann, "wrong", rules)
    with pytest.raises(RulesError, match="did you mean `price`"):
        put_report(world, "daily", ruleset=Pick("wrong"), check=None)
    with pytest.raises(BadRequestError, match="desk"):
        put_report(world, "daily", parameters={"desk": "FX"}, check=None)
    assert reports.list_reports(world.context, world.ann) == []


def test_a_file_that_no_dataset_is_given_for_is_named(world: World) -> None:
    make_parts(world)
    with pytest.raises(MissingInputError, match="reference"):
        put_report(world, "daily", inputs={"input": Pick("trades")})
    inputs = {"input": Pick("trades"), "reference": Pick("products"), "other": Pick("trades")}
    with pytest.raises(RulesError, match="other"):
        put_report(world, "daily", inputs=inputs)


def test_everything_that_is_not_there_is_told_at_once_with_the_nearest_name(world: World) -> None:
    make_parts(world)
    inputs = {"input": Pick("trade"), "reference": Pick("products", 7)}
    with pytest.raises(NotFoundError) as refusal:
        put_report(world, "daily", ruleset=Pick("double"), inputs=inputs)
    assert [(problem.path, problem.message) for problem in refusal.value.problems] == [
        ("ruleset", "There is no ruleset double. Did you mean doubled?"),
        ("inputs.input", "There is no dataset trade. Did you mean trades?"),
        ("inputs.reference", "The dataset products has no version 7; the latest is 1."),
    ]


@pytest.mark.parametrize("seconds", [0, -1, 366 * 24 * 3600 + 1])
def test_times_that_cannot_be_meant_are_all_told(world: World, seconds: int) -> None:
    make_parts(world)
    with pytest.raises(BadRequestError) as refusal:
        put_report(world, "daily", settle_seconds=seconds, fresh_within_seconds=seconds)
    assert [problem.path for problem in refusal.value.problems] == ["settle_seconds", "fresh_within_seconds"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_that_cannot_be_used_are_refused(world: World, name: str) -> None:
    make_parts(world)
    with pytest.raises(BadRequestError, match="report"):
        put_report(world, name)
    assert reports.list_reports(world.context, world.ann) == []


def test_putting_it_again_replaces_all_and_keeps_id_and_schedules(world: World) -> None:
    first = make_report(
        world, parameters={"desk": "FX"}, on_new_data=True, settle_seconds=60, fresh_within_seconds=60
    )
    schedule = schedules.add_schedule(world.context, world.ann, "daily", cron="0 6 * * *")
    reports.pause_report(world.context, world.ann, "daily")
    datasets.add_version(world.context, world.ann, "other", world.file(NEWER))
    again = put_report(world, "daily", inputs={"input": Pick("other"), "reference": Pick("products", 1)})
    assert again.id == first.id
    assert again.inputs == {"input": Pick("other"), "reference": Pick("products", 1)}
    assert (again.parameters, again.on_new_data, again.settle_seconds, again.fresh_within_seconds) == (
        {},
        False,
        10,
        None,
    )
    assert not again.paused
    assert again.updated_at > first.updated_at
    (kept,) = schedules.list_schedules(world.context, world.ann, "daily")
    assert (kept.id, kept.paused) == (schedule.id, False)


def test_what_is_deleted_while_rules_are_checked_does_not_become_a_report(world: World) -> None:
    make_parts(world)
    todo = [lambda: datasets.delete_dataset(world.context, world.ann, "products")]

    def slowly(rules: RulesText, columns: object, parameters: object = None) -> RulesFacts:
        while todo:
            todo.pop()()
        return fits(rules, columns, parameters)

    with pytest.raises(ConflictError, match="deleted meanwhile"):
        put_report(world, "daily", check=slowly)
    assert reports.list_reports(world.context, world.ann) == []


# who sees it


def test_what_belongs_to_somebody_else_is_told_like_what_is_not_there(world: World) -> None:
    make_report(world, "daily")
    make_parts(world, world.bob)
    for name in ("daily", "nosuch", *ODD_NAMES):
        for ask in (
            reports.get_report,
            report_runs.report_runs,
            report_runs.made_file,
            reports.pause_report,
            reports.resume_report,
            reports.delete_report,
            report_runs.run_report,
        ):
            with pytest.raises(NotFoundError) as refusal:
                ask(world.context, world.bob, name)
            assert (refusal.value.detail, refusal.value.case_hint) == (f"There is no report {name}.", "")
    assert reports.list_reports(world.context, world.bob) == []
    with pytest.raises(NotFoundError):
        put_report(world, "stolen", owner_id=world.bob, inputs={"input": Pick("trades", 2)})


def test_the_same_name_of_another_user_is_another_report(world: World) -> None:
    anns = make_report(world, "daily")
    make_parts(world, world.bob)
    bobs = put_report(world, "daily", owner_id=world.bob)
    assert anns.id != bobs.id
    reports.delete_report(world.context, world.bob, "daily")
    assert reports.get_report(world.context, world.ann, "daily") == anns


def test_a_wrong_name_is_told_with_the_nearest(world: World) -> None:
    make_report(world, "daily")
    with pytest.raises(NotFoundError) as refusal:
        reports.get_report(world.context, world.ann, "dayly")
    assert refusal.value.case_hint == "Did you mean daily?"


# runs


def test_a_run_is_made_of_the_latest_of_what_is_followed(world: World) -> None:
    make_report(world)
    first = run_of(world)
    assert add_trades(world) == 2
    rulesets.put_ruleset(world.context, world.ann, "doubled", NEWER_RULES, check=fits)
    second = run_of(world)
    assert used(world, first) == (1, {"input": 1, "reference": 1}), "accepted before"
    assert used(world, second) == (2, {"input": 2, "reference": 1})


def test_a_run_is_made_of_what_is_pinned(world: World) -> None:
    make_report(world, ruleset=Pick("doubled", 1), input_version=1)
    add_trades(world)
    rulesets.put_ruleset(world.context, world.ann, "doubled", NEWER_RULES, check=fits)
    assert used(world, run_of(world)) == (1, {"input": 1, "reference": 1})
    report = reports.get_report(world.context, world.ann, "daily")
    assert (report.ruleset, report.inputs["input"]) == (Pick("doubled", 1), Pick("trades", 1))


def test_a_run_has_the_parameters_and_the_date_that_were_asked_for(world: World) -> None:
    make_report(world, parameters={"desk": "FX"})
    asked = report_runs.run_report(world.context, world.ann, "daily", run_date=date(2024, 1, 31))
    plain = report_runs.run_report(world.context, world.ann, "daily")
    assert (asked.parameters, asked.run_date, asked.trigger, asked.state) == (
        {"desk": "FX"},
        date(2024, 1, 31),
        "api",
        "accepted",
    )
    assert plain.run_date == utc_now().date()


def test_runs_of_a_report_with_their_outcome(world: World) -> None:
    make_report(world)
    put_report(world, "other")
    first, _, last = run_of(world), run_of(world, "other"), run_of(world)
    world.publish(world.claim(first))
    found = report_runs.report_runs(world.context, world.ann, "daily")
    assert [(run.id, run.state, run.row_count) for run in found] == [
        (last, "accepted", None),
        (first, "succeeded", 2),
    ]
    assert report_runs.report_runs(world.context, world.ann, "daily", limit=1) == found[:1]
    listed = {report.name: report.last_run for report in reports.list_reports(world.context, world.ann)}
    assert listed["daily"] == found[0]


def test_what_a_run_made_is_the_last_success_or_that_of_the_run_asked_for(world: World) -> None:
    make_report(world)
    put_report(world, "other")
    with pytest.raises(ConflictError, match="No run of the report daily has made it yet"):
        report_runs.made_file(world.context, world.ann, "daily")
    first, second, waiting, others = run_of(world), run_of(world), run_of(world), run_of(world, "other")
    world.publish(world.claim(first), b"total\n1\n")
    world.publish(world.claim(second), b"total\n2\n")
    assert report_runs.made_file(world.context, world.ann, "daily").path.read_bytes() == b"total\n2\n"
    assert report_runs.made_file(world.context, world.ann, "daily", first).path.read_bytes() == b"total\n1\n"
    with pytest.raises(ConflictError):
        report_runs.made_file(world.context, world.ann, "daily", waiting)
    for foreign in (others, new_id(), "x"):
        with pytest.raises(NotFoundError):
            report_runs.made_file(world.context, world.ann, "daily", foreign)


def test_deleted_names_can_be_used_again_while_old_runs_still_download(world: World) -> None:
    make_report(world)
    schedules.add_schedule(world.context, world.ann, "daily", cron="0 6 * * *")
    made, accepted = run_of(world), run_of(world)
    world.publish(world.claim(made))
    reports.delete_report(world.context, world.ann, "daily")
    rulesets.delete_ruleset(world.context, world.ann, "doubled")
    for name in ("trades", "products"):
        datasets.delete_dataset(world.context, world.ann, name)
    assert schedules.list_schedules(world.context, world.ann) == []
    assert used(world, accepted) == (1, {"input": 1, "reference": 1}), "what was accepted is made"
    renewed = make_report(world)
    assert renewed.last_run is None
    assert report_runs.report_runs(world.context, world.ann, "daily") == []
    assert runs.report_file(world.context, world.ann, made).path.read_bytes() == b"total\n2\n4\n"


# pausing


def test_a_paused_report_runs_by_hand_only(world: World) -> None:
    make_report(world)
    schedule = schedules.add_schedule(world.context, world.ann, "daily", cron="0 6 * * *")
    for _ in range(2):
        assert reports.pause_report(world.context, world.ann, "daily").paused
    assert schedules.get_schedule(world.context, world.ann, "daily/main").paused
    due = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
    told = ticks.accept_tick(world.context, schedule.id, due, now=due)
    assert (told.run_ids, told.reason) == ((), "The report is paused.")
    assert report_runs.run_report(world.context, world.ann, "daily").state == "accepted"
    assert not reports.resume_report(world.context, world.ann, "daily").paused
    assert len(ticks.accept_tick(world.context, schedule.id, due, now=due).run_ids) == 1


@pytest.mark.parametrize("resume", [reports.resume_report, lambda *_: None], ids=["resumed", "put again"])
def test_times_while_a_report_was_paused_are_not_missed(world: World, resume: Any) -> None:
    make_report(world)
    schedule = schedules.add_schedule(world.context, world.ann, "daily", cron="0 * * * *", missed="all")
    reports.pause_report(world.context, world.ann, "daily")
    world.sql("UPDATE schedules SET handled_until = handled_until - interval '5 hours'")
    resume(world.context, world.ann, "daily")
    put_report(world, "daily")
    due = next_time("0 * * * *", "UTC", utc_now())
    assert due is not None
    assert len(ticks.accept_tick(world.context, schedule.id, due).run_ids) == 1


def test_resuming_what_is_not_paused_forgets_no_missed_time(world: World) -> None:
    make_report(world)
    schedules.add_schedule(world.context, world.ann, "daily", cron="0 * * * *", missed="all")
    world.sql("UPDATE schedules SET handled_until = handled_until - interval '5 hours'")
    before = world.sql("SELECT handled_until FROM schedules")
    reports.resume_report(world.context, world.ann, "daily")
    put_report(world, "daily")
    assert world.sql("SELECT handled_until FROM schedules") == before


# from Dagster


def test_a_run_that_dagster_starts_is_accepted_once_for_each_origin(world: World) -> None:
    report = make_report(world)
    first = report_runs.accept_from_dagster(world.context, report.id, "materialize-1")
    add_trades(world)
    assert report_runs.accept_from_dagster(world.context, report.id, "materialize-1") == first
    second = report_runs.accept_from_dagster(world.context, report.id, "materialize-2")
    assert second != first
    view = runs.find_run(world.context, world.ann, first)
    assert (view.trigger, view.report_name, view.state) == ("dagster", "daily", "accepted")
    assert (used(world, first)[1]["input"], used(world, second)[1]["input"]) == (1, 2)
    reports.delete_report(world.context, world.ann, "daily")
    with pytest.raises(NotFoundError, match="deleted"):
        report_runs.accept_from_dagster(world.context, report.id, "materialize-3")


def test_many_that_tell_the_same_origin_at_once_accept_one_run(world: World) -> None:
    report = make_report(world)
    with ThreadPoolExecutor(8) as pool:
        accepted = pool.map(
            lambda _: report_runs.accept_from_dagster(world.context, report.id, "materialize"), range(8)
        )
    assert len(set(accepted)) == 1
    assert len(report_runs.report_runs(world.context, world.ann, "daily")) == 1


# on new data


def pass_time(world: World, seconds: int) -> None:
    """Let everything that happened lie so much further back."""
    world.sql("UPDATE reports SET created_at = created_at - make_interval(secs => :s)", s=seconds)
    world.sql("UPDATE dataset_versions SET created_at = created_at - make_interval(secs => :s)", s=seconds)


def following(world: World, **wishes: Any) -> ReportView:
    """A report that runs on new data, made an hour ago."""
    report = make_report(world, on_new_data=True, **wishes)
    pass_time(world, 3600)
    return report


def accepted_on_new_data(world: World) -> list[str]:
    accepted = report_runs.accept_on_new_data(world.context)
    assert set(accepted.values()) <= {world.ann}
    return list(accepted)


def test_a_new_version_leads_to_one_run_once_it_has_settled(world: World) -> None:
    following(world, settle_seconds=30)
    assert accepted_on_new_data(world) == [], "what was there when the report was made is not new"
    add_trades(world)
    assert accepted_on_new_data(world) == [], "another may follow"
    pass_time(world, 20)
    datasets.add_version(
        world.context, world.ann, "products", world.file(REFERENCE + b"C,fig\n", "reference")
    )
    pass_time(world, 20)
    assert accepted_on_new_data(world) == [], "another followed"
    pass_time(world, 11)
    (run_id,) = accepted_on_new_data(world)
    assert accepted_on_new_data(world) == []
    assert runs.find_run(world.context, world.ann, run_id).trigger == "data"
    assert used(world, run_id) == (1, {"input": 2, "reference": 2})


def test_a_run_by_hand_of_the_new_version_is_enough(world: World) -> None:
    following(world)
    add_trades(world)
    run_of(world)
    pass_time(world, 60)
    assert accepted_on_new_data(world) == []
    add_trades(world, b"key,price\nD,4\n")
    pass_time(world, 60)
    assert len(accepted_on_new_data(world)) == 1


def test_the_same_bytes_again_are_no_new_data(world: World) -> None:
    following(world)
    add_trades(world)
    pass_time(world, 60)
    assert len(accepted_on_new_data(world)) == 1
    add_trades(world)
    pass_time(world, 60)
    assert accepted_on_new_data(world) == []


def test_a_paused_report_does_not_run_on_new_data_before_it_is_resumed(world: World) -> None:
    following(world)
    reports.pause_report(world.context, world.ann, "daily")
    add_trades(world)
    pass_time(world, 60)
    assert accepted_on_new_data(world) == []
    reports.resume_report(world.context, world.ann, "daily")
    assert len(accepted_on_new_data(world)) == 1


def test_pinned_datasets_and_reports_that_do_not_ask_for_it_run_on_no_new_data(world: World) -> None:
    following(world, input_version=1)
    put_report(world, "quiet")
    add_trades(world)
    pass_time(world, 60)
    assert accepted_on_new_data(world) == []


def test_a_failed_run_is_not_made_again_before_newer_data_come(world: World) -> None:
    following(world)
    add_trades(world)
    pass_time(world, 60)
    assert len(accepted_on_new_data(world)) == 1
    world.sql("UPDATE runs SET state = 'failed', error = '{}', finished_at = now()")
    assert accepted_on_new_data(world) == []


def test_many_callers_at_once_accept_one_run_of_each_report(world: World) -> None:
    following(world)
    for number in range(4):
        put_report(world, f"r{number}", on_new_data=True)
    pass_time(world, 60)
    add_trades(world)
    pass_time(world, 60)
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: report_runs.accept_on_new_data(world.context), range(8)))
    accepted = [run_id for one in told for run_id in one]
    assert len(accepted) == len(set(accepted)) == 5
    names = {runs.find_run(world.context, world.ann, run_id).report_name for run_id in accepted}
    assert names == {"daily", "r0", "r1", "r2", "r3"}


def test_again_is_a_new_run_of_the_same(world: World) -> None:
    make_report(world)
    first = run_of(world)
    add_trades(world)
    again = report_runs.accept_again(world.context, first, "re-execution")
    assert again != first
    assert report_runs.accept_again(world.context, first, "re-execution") == again
    assert used(world, again) == used(world, first)
    with pytest.raises(NotFoundError):
        report_runs.accept_again(world.context, new_id(), "other")
