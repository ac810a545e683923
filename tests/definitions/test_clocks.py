"""The checks that the clock decides: told when they turn, executable by hand, and passed by each success."""

from __future__ import annotations

from dagster import AssetCheckEvaluation, AssetCheckKey, AssetSelection, DagsterInstance, build_sensor_context
from sqlalchemy import text

from reportgen_dagster.definitions import build_definitions
from reportgen_dagster.defs import scope
from reportgen_dagster.defs.clocks import watch_clocks
from reportgen_dagster.defs.keys import FRESH_CHECK, ON_TIME_CHECK, dataset_key, report_key
from reportgen_dagster.services import datasets, report_runs, reports, rulesets, uploads
from reportgen_dagster.services.reports import Pick, ReportWish
from tests.definitions.conftest import EXAMPLE, RULES, Ann
from tests.definitions.test_generate_report import _execute as generate


def sql(ann: Ann, statement: str) -> None:
    with ann.context.catalog.transaction() as session:
        session.execute(text(statement))


def add(ann: Ann, name: str, body: bytes) -> None:
    upload = uploads.receive(ann.context, f"{name}.csv", [body], role=name)
    datasets.add_version(ann.context, ann.id, name, upload)


def report(ann: Ann) -> None:
    for name in ("input", "reference"):
        add(ann, name, (EXAMPLE / f"{name}.csv").read_bytes())
    rulesets.put_ruleset(ann.context, ann.id, "margin", RULES)
    files = {"input": Pick("input"), "reference": Pick("reference")}
    reports.put_report(
        ann.context, ann.id, "daily", ReportWish(Pick("margin"), files, fresh_within_seconds=3600)
    )


def expected(ann: Ann) -> None:
    """A dataset that is expected each minute, and of which nothing came for years."""
    add(ann, "trades", b"a\n1\n")
    datasets.expect_dataset(ann.context, ann.id, "trades", cron="* * * * *", within_seconds=1)
    sql(ann, "UPDATE datasets SET expected_since = '2020-01-01 00:00+00'")
    sql(ann, "UPDATE dataset_versions SET received_at = '2020-01-01 00:00+00'")


def tick(instance: DagsterInstance, cursor: str | None) -> str | None:
    with build_sensor_context(instance=instance, cursor=cursor) as context:
        return watch_clocks.evaluate_tick(context).cursor


def told(instance: DagsterInstance, key: AssetCheckKey) -> list[AssetCheckEvaluation]:
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=20)
    return [record.event.dagster_event.asset_check_evaluation_data for record in records]


def test_a_stale_report_is_told_once_and_passes_with_the_next_success(
    ann: Ann, instance: DagsterInstance
) -> None:
    report(ann)
    key = AssetCheckKey(report_key(ann.id, "daily"), FRESH_CHECK)
    cursor = tick(instance, None)
    sql(ann, "UPDATE reports SET created_at = '2020-01-01 00:00+00'")
    for _ in range(2):
        cursor = tick(instance, cursor)
    failed, before = told(instance, key)
    assert (before.passed, failed.passed, failed.severity.name) == (True, False, "WARN")
    assert "2020-01-01 00:00:00 UTC" in failed.description
    assert generate(report_runs.run_report(ann.context, ann.id, "daily").id, instance).success
    assert told(instance, key)[0].passed, "the success itself tells it"
    assert "fresh until" in told(instance, key)[0].description
    count = len(told(instance, key))
    cursor = tick(instance, tick(instance, cursor))
    assert [one.passed for one in told(instance, key)[: len(told(instance, key)) - count]] == [True]


def test_a_late_dataset_is_an_error_until_a_version_comes(ann: Ann, instance: DagsterInstance) -> None:
    expected(ann)
    key = AssetCheckKey(dataset_key(ann.id, "trades"), ON_TIME_CHECK)
    cursor = tick(instance, tick(instance, None))
    (failed,) = told(instance, key)
    assert (failed.passed, failed.severity.name) == (False, "ERROR")
    assert "late" in failed.description
    add(ann, "trades", b"a\n1\n")
    tick(instance, cursor)
    assert [one.passed for one in told(instance, key)] == [True, False]


def test_the_checks_are_executed_by_hand_each_for_itself(ann: Ann, instance: DagsterInstance) -> None:
    report(ann)
    expected(ann)
    definitions = build_definitions(ann.context.settings)
    late = AssetCheckKey(dataset_key(ann.id, "trades"), ON_TIME_CHECK)
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_check_selection={late}, asset_selection=set()
    )
    result = job.execute_in_process(instance=instance)
    (evaluation,) = result.get_asset_check_evaluations()
    assert (evaluation.asset_check_key, evaluation.passed) == (late, False)


def test_materialize_also_tells_that_the_report_is_fresh(ann: Ann, instance: DagsterInstance) -> None:
    report(ann)
    key = report_key(ann.id, "daily")
    job = build_definitions(ann.context.settings).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=instance, asset_selection=[key])
    assert result.success
    assert told(instance, AssetCheckKey(key, FRESH_CHECK))[0].passed


def test_a_process_that_makes_one_run_knows_the_checks_that_it_is_for(ann: Ann, monkeypatch) -> None:
    report(ann)
    expected(ann)
    keys = {dataset_key(ann.id, "trades"), report_key(ann.id, "daily")}
    monkeypatch.setattr(scope, "_scope", scope.Scope(frozenset(keys)))
    graph = build_definitions(ann.context.settings).resolve_asset_graph()
    wanted = AssetSelection.checks(
        AssetCheckKey(dataset_key(ann.id, "trades"), ON_TIME_CHECK),
        AssetCheckKey(report_key(ann.id, "daily"), FRESH_CHECK),
    )
    assert len(wanted.resolve_checks(graph)) == 2
