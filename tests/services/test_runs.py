from __future__ import annotations

from collections.abc import Callable

import pytest

from reportgen_dagster.errors import (
    BadRequestError,
    ConflictError,
    MissingInputError,
    NotFoundError,
    ReportgenError,
    RulesError,
    ServiceError,
)
from reportgen_dagster.identity import new_id, utc_now
from reportgen_dagster.services import runs, schedules, uploads
from reportgen_dagster.services.rules_facts import RulesFacts
from reportgen_dagster.services.uploads import RulesText
from tests.services.conftest import RULES, World, fits


def test_an_accepted_run_waits_with_everything_pinned(world: World) -> None:
    view = runs.accept_run(world.context, world.ann, files=world.files(), rules=RULES, check=fits)
    assert (view.state, view.stage, view.progress, view.trigger) == ("accepted", "waiting", 0, "api")
    assert (view.report_name, view.has_rejects, view.error) == ("default", False, None)
    assert runs.find_run(world.context, world.ann, view.id) == view


def test_what_a_call_leaves_out_is_the_last_upload(world: World) -> None:
    uploads.accept_files(world.context, world.ann, world.files())
    uploads.accept_rules(world.context, world.ann, RULES)
    run_id = runs.accept_run(world.context, world.ann, files={}, rules=None, check=fits).id
    claimed = world.claim(run_id)
    assert {name: file.dataset_name for name, file in claimed.files.items()} == {
        "input": "default-input",
        "reference": "default-reference",
    }
    assert claimed.ruleset_name == "default"


def test_a_later_upload_does_not_change_an_accepted_run(world: World) -> None:
    uploads.accept_files(world.context, world.ann, world.files())
    uploads.accept_rules(world.context, world.ann, RULES)
    run_id = runs.accept_run(world.context, world.ann, files={}, rules=None, check=fits).id
    uploads.accept_files(world.context, world.ann, {"input": world.file(b"key,price\nZ,9\n")})
    uploads.accept_rules(world.context, world.ann, RulesText("r.yaml", "[]", "yaml"))
    claimed = world.claim(run_id)
    assert claimed.files["input"].version == 1
    assert claimed.rules.text == RULES.text


def test_files_sent_with_a_call_do_not_become_the_last_upload(world: World) -> None:
    uploads.accept_files(world.context, world.ann, world.files())
    uploads.accept_rules(world.context, world.ann, RULES)
    sent = {"input": world.file(b"key,price\nZ,9\n")}
    first = runs.accept_run(world.context, world.ann, files=sent, rules=None, check=fits).id
    second = runs.accept_run(world.context, world.ann, files={}, rules=None, check=fits).id
    assert world.bytes_of(world.claim(first), "input") == b"key,price\nZ,9\n"
    assert world.bytes_of(world.claim(second), "input") != b"key,price\nZ,9\n"


def test_everything_that_is_missing_is_named(world: World) -> None:
    with pytest.raises(MissingInputError, match="input and reference and rules"):
        runs.accept_run(world.context, world.ann, files={}, rules=None, check=fits)
    uploads.accept_rules(world.context, world.bob, RULES)
    with pytest.raises(MissingInputError, match="rules"):
        runs.accept_run(world.context, world.ann, files=world.files(), rules=None, check=fits)


def test_refused_rules_leave_nothing_behind(world: World) -> None:
    def refuse(_rules: RulesText, _columns: object, _parameters: object = None) -> RulesFacts:
        raise RulesError("unknown column")

    with pytest.raises(RulesError):
        runs.accept_run(world.context, world.ann, files=world.files(), rules=RULES, check=refuse)
    assert world.sql("SELECT count(*) FROM runs, datasets") == [(0,)]


def test_the_check_sees_the_columns_of_sent_and_uploaded_files(world: World) -> None:
    seen: list[object] = []

    def look(_rules: RulesText, columns: object, _parameters: object = None) -> RulesFacts:
        seen.append(columns)
        return RulesFacts(references=("reference",))

    uploads.accept_files(world.context, world.ann, world.files())
    sent = {"input": world.file(b"other\n1\n")}
    runs.accept_run(world.context, world.ann, files=sent, rules=RULES, check=look)
    assert seen == [None, {"input": ["other"], "reference": ["key", "name"]}]


def test_a_run_keeps_its_parameters_and_its_date(world: World) -> None:
    given = {"desk": "FX", "since": "2024-01-31", "limit": 0.1, "all": True}
    before = utc_now().date()
    view = runs.accept_run(
        world.context, world.ann, files=world.files(), rules=RULES, parameters=given, check=fits
    )
    assert before <= view.run_date <= utc_now().date()
    claimed = world.claim(view.id)
    assert (claimed.parameters, claimed.run_date) == (given, view.run_date)
    assert runs.find_run(world.context, world.ann, view.id).parameters == given


def test_the_latest_run_is_the_most_recently_accepted_whatever_its_trigger(world: World) -> None:
    with pytest.raises(NotFoundError):
        runs.find_run(world.context, world.ann, None)
    world.run()
    _, scheduled = schedules.put_schedule(
        world.context,
        world.ann,
        report_name=None,
        cron="0 6 * * *",
        files=world.files(),
        rules=RULES,
        check=fits,
    )
    assert runs.find_run(world.context, world.ann, None).id == scheduled.id
    newest = world.run()
    world.run(world.bob)
    assert runs.find_run(world.context, world.ann, None).id == newest


@pytest.mark.parametrize(
    "ask",
    [
        lambda w, run_id: runs.find_run(w.context, w.bob, run_id),
        lambda w, run_id: runs.report_file(w.context, w.bob, run_id),
        lambda w, run_id: runs.rejects_file(w.context, w.bob, run_id),
    ],
)
def test_another_ones_run_is_told_like_an_unknown_one(
    world: World, ask: Callable[[World, str], object]
) -> None:
    run_id = world.run()
    world.publish(world.claim(run_id))
    told = []
    for asked in (run_id, new_id(), "", "x" * 32, "\0", f"{run_id}' OR '1'='1"):
        with pytest.raises(NotFoundError) as caught:
            ask(world, asked)
        told.append(caught.value.to_json())
    assert told == [told[0]] * len(told)


def test_the_list_shows_only_ones_own_newest_first_page_by_page(world: World) -> None:
    ids = [world.run() for _ in range(5)]
    world.run(world.bob)
    seen: list[str] = []
    cursor = None
    while True:
        page, cursor = runs.list_runs(world.context, world.ann, limit=2, cursor=cursor)
        seen += [view.id for view in page]
        if cursor is None:
            break
        world.run()  # newer ones do not shift the pages
    assert seen == ids[::-1]


@pytest.mark.parametrize("cursor", ["x", "====", "bm90IGEgdGltZSB4", "MjAyNi0wMS0wMSB4", "é"])
def test_a_wrong_cursor_is_refused(world: World, cursor: str) -> None:
    with pytest.raises(BadRequestError, match="cursor"):
        runs.list_runs(world.context, world.ann, cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 501])
def test_a_wrong_limit_is_refused(world: World, limit: int) -> None:
    with pytest.raises(BadRequestError, match="limit"):
        runs.list_runs(world.context, world.ann, limit=limit)


def test_a_report_can_be_had_when_it_is_there(world: World) -> None:
    run_id = world.run()
    with pytest.raises(ConflictError, match="accepted"):
        runs.report_file(world.context, world.ann, run_id)
    world.publish(world.claim(run_id))
    file = runs.report_file(world.context, world.ann, run_id)
    assert (file.filename, file.media_type, file.size_bytes) == ("default.csv", "text/csv", 10)
    assert runs.report_file(world.context, world.ann, None) == file
    with pytest.raises(BadRequestError, match="csv"):
        runs.report_file(world.context, world.ann, run_id, "xlsx")
    with pytest.raises(NotFoundError, match="no rejects"):
        runs.rejects_file(world.context, world.ann, run_id)
    file.path.unlink()
    with pytest.raises(ServiceError) as caught:
        runs.report_file(world.context, world.ann, run_id)
    assert str(file.path) not in str(caught.value.to_json())


def test_dagster_may_ask_for_anybodys_state(world: World) -> None:
    assert runs.state_of(world.context, world.run()) == "accepted"
    for unknown in (new_id(), "\0"):
        with pytest.raises(ReportgenError):
            runs.state_of(world.context, unknown)
