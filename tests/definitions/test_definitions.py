"""Definitions are built from the catalog: assets with dependencies and checks, schedules, sensors."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from dagster import (
    AssetCheckKey,
    AssetSelection,
    DagsterInstance,
    DefaultScheduleStatus,
    Definitions,
    RunRequest,
    SkipReason,
    build_schedule_context,
    build_sensor_context,
    define_asset_job,
)

from reportgen_dagster.defs import scope, sensors
from reportgen_dagster.defs.jobs import generate_report, run_config
from reportgen_dagster.defs.keys import (
    CONTRACT_CHECK,
    INPUT_CHECK,
    REJECTS_CHECK,
    contract_check,
    dataset_key,
    report_key,
    ruleset_key,
    schedule_name,
)
from reportgen_dagster.services import runs, schedules
from reportgen_dagster.settings import Settings
from tests.definitions.conftest import EXAMPLE, RULES, Ann


def _definitions(settings: Settings) -> Definitions:
    from reportgen_dagster.definitions import build_definitions

    return build_definitions(settings)


def test_a_scheduled_report_is_an_asset_made_of_its_files_and_rules(ann: Ann) -> None:
    ann.schedule()
    graph = _definitions(ann.context.settings).resolve_asset_graph()
    node = graph.get(report_key(ann.id, "trades"))
    assert node.parent_keys == {
        dataset_key(ann.id, "trades-input"),
        dataset_key(ann.id, "trades-reference"),
        ruleset_key(ann.id, "trades"),
    }
    assert node.is_executable
    assert "```mermaid\nflowchart" in node.description
    assert f"```yaml\n{RULES.text}\n```" in node.description
    assert node.owners == ["ann@example.com"]
    assert node.group_name == "reports"
    assert node.code_version == hashlib.sha256(RULES.text.encode()).hexdigest()[:12]
    assert node.kinds == {"csv", "duckdb"}
    assert node.check_keys == {
        AssetCheckKey(node.key, CONTRACT_CHECK),
        AssetCheckKey(node.key, INPUT_CHECK),
        AssetCheckKey(node.key, contract_check("reference")),
        AssetCheckKey(node.key, REJECTS_CHECK),
    }


def test_a_report_leads_to_its_schedules_and_is_found_by_what_runs_it(ann: Ann) -> None:
    view = ann.schedule()
    behind_a_proxy = ann.context.settings.model_copy(update={"dagster_path": "/dagster"})
    graph = _definitions(behind_a_proxy).resolve_asset_graph()
    node = graph.get(report_key(ann.id, "trades"))
    name = schedule_name(view.id)
    assert f"[{name}](/dagster/locations/reports/schedules/{name})" in node.description
    assert node.tags.items() >= {"reportgen/ruleset": "trades", "reportgen/scheduled": "true"}.items()
    assert "reportgen/paused" not in node.tags


def test_a_schedule_has_cron_time_zone_and_state(ann: Ann) -> None:
    view = ann.schedule(cron="30 6 * * mon-fri")
    shown = _definitions(ann.context.settings).get_schedule_def(schedule_name(view.id))
    assert (shown.cron_schedule, shown.execution_timezone) == ("30 6 * * mon-fri", "Europe/Berlin")
    assert shown.default_status == DefaultScheduleStatus.RUNNING
    schedules.pause(ann.context, ann.id, view.id)
    shown = _definitions(ann.context.settings).get_schedule_def(schedule_name(view.id))
    assert shown.default_status == DefaultScheduleStatus.STOPPED


def test_where_dagsters_quick_way_goes_wrong_a_schedule_has_two_expressions(ann: Ann) -> None:
    ann.schedule()
    view = schedules.add_schedule(ann.context, ann.id, "trades", cron="30 0 * * *", timezone="America/Havana")
    shown = _definitions(ann.context.settings).get_schedule_def(schedule_name(view.id))
    assert shown.cron_schedule == ["30 0 * 1-6 *", "30 0 * 7-12 *"]


@pytest.mark.parametrize(
    ("policies", "words"),
    [
        ({}, "of missed times the last is made up for"),
        ({"missed": "all"}, "all missed times are made up for"),
        (
            {"missed": "skip", "unchanged": "skip"},
            "missed times are skipped, unchanged data is skipped",
        ),
    ],
)
def test_a_schedule_says_in_words_whose_it_is_when_it_runs_and_how(
    ann: Ann, policies: dict[str, str], words: str
) -> None:
    ann.schedule()
    view = schedules.add_schedule(
        ann.context, ann.id, "trades", cron="30 6 * * mon-fri", timezone="Europe/Berlin", **policies
    )
    shown = _definitions(ann.context.settings).get_schedule_def(schedule_name(view.id))
    times = "At 06:30, Monday through Friday (Europe/Berlin)"
    assert shown.description == f"trades of ann@example.com: {times}; {words}"
    assert shown.tags["reportgen/owner"] == ann.id


def test_datasets_and_rulesets_are_external_assets_with_group_kind_and_owner(ann: Ann) -> None:
    ann.schedule()
    graph = _definitions(ann.context.settings).resolve_asset_graph()
    data, rules = (
        graph.get(key) for key in (dataset_key(ann.id, "trades-input"), ruleset_key(ann.id, "trades"))
    )
    assert (data.group_name, data.kinds, data.owners) == ("datasets", {"csv"}, ["ann@example.com"])
    assert (rules.group_name, rules.kinds, rules.owners) == ("rulesets", {"yaml"}, ["ann@example.com"])
    assert data.is_external
    assert rules.is_external
    assert "The dataset trades-input of ann@example.com" in data.description
    assert "A ruleset of ann@example.com, version 1." in rules.description
    assert RULES.text in rules.metadata["rules"].md_str


def test_last_uploads_have_no_definitions(ann: Ann) -> None:
    ann.accept()
    graph = _definitions(ann.context.settings).resolve_asset_graph()
    assert graph.get_all_asset_keys() == set()


def test_names_that_differ_only_in_signs_stay_apart(ann: Ann) -> None:
    ann.schedule("desk margin")
    ann.schedule("desk_margin")
    graph = _definitions(ann.context.settings).resolve_asset_graph()
    assert len([key for key in graph.get_all_asset_keys() if key.path[1] == "reports"]) == 2


def test_definitions_load_without_a_catalog() -> None:
    bare = _definitions(Settings(database_url=None).model_copy(update={"database_url": None}))
    assert bare.get_job_def("generate_report") is not None
    assert {one.name for one in bare.sensors} >= {"launch_accepted_runs", "reap_lost_runs", "run_on_new_data"}


def test_loading_definitions_imports_nothing_that_only_runs_need(ann: Ann) -> None:
    """Each code server starts with these imports and keeps them in memory."""
    ann.schedule()
    code = (
        "import sys, reportgen_dagster.definitions as module; assert module.defs.get_repository_def();"
        " heavy = ('sqlglot', 'pandera', 'duckdb', 'pyarrow', 'numpy', 'pandas', 'polars', 'alembic');"
        " print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_process_that_makes_one_run_defines_only_what_it_needs(
    ann: Ann, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann.schedule("one")
    ann.schedule("two")
    monkeypatch.setattr(scope, "_scope", scope.Scope(frozenset()))
    assert _definitions(ann.context.settings).resolve_asset_graph().get_all_asset_keys() == set()
    monkeypatch.setattr(scope, "_scope", scope.Scope(frozenset({report_key(ann.id, "two")})))
    graph = _definitions(ann.context.settings).resolve_asset_graph()
    assert report_key(ann.id, "one") not in graph.get_all_asset_keys()
    assert graph.get(report_key(ann.id, "two")).is_executable


def _tick(ann: Ann, schedule_id: str, due: datetime) -> RunRequest | SkipReason:
    shown = _definitions(ann.context.settings).get_schedule_def(schedule_name(schedule_id))
    with build_schedule_context(scheduled_execution_time=due) as context:
        data = shown.evaluate_tick(context)
    return data.run_requests[0] if data.run_requests else SkipReason(data.skip_message)


def test_a_tick_accepts_one_run_however_often_it_is_evaluated(ann: Ann) -> None:
    view = ann.schedule()
    due = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
    first, second = _tick(ann, view.id, due), _tick(ann, view.id, due)
    assert first.run_key == second.run_key
    assert ann.run(first.run_key).due_at == due
    assert first.run_config == run_config(first.run_key)


def test_a_paused_schedule_skips_its_ticks_at_once(ann: Ann) -> None:
    view = ann.schedule()
    loaded = _definitions(ann.context.settings).get_schedule_def(schedule_name(view.id))
    schedules.pause(ann.context, ann.id, view.id)
    with build_schedule_context(scheduled_execution_time=datetime(2030, 1, 1, tzinfo=UTC)) as context:
        data = loaded.evaluate_tick(context)
    assert not data.run_requests
    assert "paused" in data.skip_message


def test_materialize_makes_the_report_with_its_checks(ann: Ann, instance: DagsterInstance) -> None:
    ann.schedule()
    key = report_key(ann.id, "trades")
    job = _definitions(ann.context.settings).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=instance, asset_selection=[key])
    assert result.success
    latest = runs.find_run(ann.context, ann.id, None)
    assert (latest.trigger, latest.state) == ("dagster", "succeeded")
    assert ann.report(latest.id) == (EXAMPLE / "expected.csv").read_text()
    checks = result.get_asset_check_evaluations()
    assert [check.passed for check in checks] == [True] * 4
    assert instance.get_latest_materialization_event(dataset_key(ann.id, "trades-input")) is not None


def test_materialize_without_checks_makes_the_report_all_the_same(
    ann: Ann, instance: DagsterInstance
) -> None:
    ann.schedule()
    key = report_key(ann.id, "trades")
    loaded = _definitions(ann.context.settings)
    chosen = AssetSelection.assets(key).without_checks()
    unchecked = Definitions(
        assets=loaded.assets,
        resources=loaded.resources,
        executor=loaded.executor,
        jobs=[define_asset_job("unchecked", selection=chosen)],
    )
    result = unchecked.resolve_job_def("unchecked").execute_in_process(instance=instance)
    assert result.success
    assert result.get_asset_check_evaluations() == []
    assert runs.find_run(ann.context, ann.id, None).state == "succeeded"


def test_checks_alone_are_told_of_the_report_that_there_is(ann: Ann, instance: DagsterInstance) -> None:
    ann.schedule()
    key = report_key(ann.id, "trades")
    loaded = _definitions(ann.context.settings)
    only_checks = Definitions(
        assets=loaded.assets,
        resources=loaded.resources,
        executor=loaded.executor,
        jobs=[define_asset_job("only_checks", selection=AssetSelection.checks_for_assets(key))],
    ).resolve_job_def("only_checks")
    before = only_checks.execute_in_process(instance=instance, raise_on_error=False)
    assert not before.success
    (failed,) = (event for event in before.all_events if event.is_step_failure)
    assert "has not been made yet" in failed.step_failure_data.error.message
    made = loaded.resolve_implicit_global_asset_job_def()
    assert made.execute_in_process(instance=instance, asset_selection=[key]).success
    told = only_checks.execute_in_process(instance=instance)
    assert len(told.get_asset_check_evaluations()) == 4
    assert told.get_asset_materialization_events() == []
    assert len(runs.list_runs(ann.context, ann.id)[0]) == 2, (
        "the first of the schedule and the one that was made"
    )


def test_of_several_reports_one_that_was_deleted_holds_up_no_other(
    ann: Ann, instance: DagsterInstance
) -> None:
    from reportgen_dagster.services import reports

    for name in ("trades", "gone", "other"):
        ann.schedule(name)
    loaded = _definitions(ann.context.settings)
    reports.delete_report(ann.context, ann.id, "gone")
    keys = [report_key(ann.id, name) for name in ("gone", "trades", "other")]
    job = loaded.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=instance, asset_selection=keys, raise_on_error=False)
    assert not result.success
    (failed,) = (event for event in result.all_events if event.is_step_failure)
    assert "This report was deleted" in failed.step_failure_data.error.message
    for name in ("trades", "other"):
        assert instance.get_latest_materialization_event(report_key(ann.id, name)) is not None


def test_a_run_of_materialize_has_the_tags_that_other_runs_have(ann: Ann, instance: DagsterInstance) -> None:
    ann.schedule()
    job = _definitions(ann.context.settings).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=instance, asset_selection=[report_key(ann.id, "trades")])
    tags = instance.get_run_by_id(result.run_id).tags
    assert tags["reportgen/owner"] == ann.id
    assert tags["reportgen/report"] == "trades"
    assert tags["reportgen/trigger"] == "dagster"
    assert tags["reportgen/rules"] == "trades@1"


def test_what_a_kill_kept_silent_is_reported_once(ann: Ann, instance: DagsterInstance) -> None:
    from tests.definitions.killed import publish_without_telling_dagster

    run_id = ann.accept()
    publish_without_telling_dagster(ann.context, run_id)
    for _ in range(2):
        with build_sensor_context(instance=instance) as context:
            sensors.report_published_runs(context)
    key = report_key(ann.id, "default")
    assert len(instance.fetch_materializations(key, limit=5).records) == 1
    checks = instance.event_log_storage.get_asset_check_execution_history
    assert len(checks(AssetCheckKey(key, REJECTS_CHECK), limit=5)) == 1
    assert ann.run(run_id).state == "succeeded"


def test_an_accepted_run_that_nobody_launched_is_launched(ann: Ann, instance: DagsterInstance) -> None:
    from tests.definitions.killed import let_seconds_pass

    run_id = ann.accept()

    def requests() -> list[str]:
        with build_sensor_context(instance=instance) as context:
            data = sensors.launch_accepted_runs.evaluate_tick(context)
        return [request.tags["reportgen/run_id"] for request in data.run_requests]

    assert requests() == []
    let_seconds_pass(ann.context, run_id, 11)
    assert requests() == [run_id]
    assert requests() == []


def test_a_run_with_a_live_dagster_run_is_not_launched_again(ann: Ann, instance: DagsterInstance) -> None:
    from tests.definitions.killed import let_seconds_pass

    run_id = ann.accept()
    let_seconds_pass(ann.context, run_id, 11)
    instance.create_run_for_job(
        generate_report, run_config=run_config(run_id), tags={"reportgen/run_id": run_id}
    )
    with build_sensor_context(instance=instance) as context:
        assert sensors.launch_accepted_runs.evaluate_tick(context).run_requests == []
