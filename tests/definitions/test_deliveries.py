"""What operators see of deliveries: ticks that send them, and a check of the report that fails while one is dead."""

from __future__ import annotations

import pytest
from dagster import AssetCheckEvaluation, AssetCheckKey, DagsterInstance, build_sensor_context

from reportgen_dagster.definitions import build_definitions
from reportgen_dagster.defs.clocks import watch_clocks
from reportgen_dagster.defs.deliveries import send_deliveries
from reportgen_dagster.defs.keys import DELIVERED_CHECK, report_key
from reportgen_dagster.defs.process import context_of_process
from reportgen_dagster.errors import BadDataError
from reportgen_dagster.identity import new_id
from reportgen_dagster.services import attempts, datasets, report_runs, reports, rulesets
from reportgen_dagster.services.reports import Pick, ReportWish
from tests.definitions.conftest import RULES, Ann
from tests.services.delivering import SECRET, receiving


def put(ann: Ann, url: str) -> None:
    for name, upload in ann.files().items():
        datasets.add_version(ann.context, ann.id, name, upload)
    rulesets.put_ruleset(ann.context, ann.id, "margin", RULES)
    files = {"input": Pick("input"), "reference": Pick("reference")}
    to = [{"webhook": {"url": url, "secret": "partner"}, "on": ["failure", "late"]}]
    wish = ReportWish(Pick("margin"), files, fresh_within_seconds=3600, deliveries=to)
    reports.put_report(context_of_process(), ann.id, "daily", wish, is_operator=True)


def fail(ann: Ann) -> None:
    """Let a run of the report fail."""
    dagster_run_id = new_id()
    assert attempts.begin(ann.context, dagster_run_id, "here:1")
    claim = attempts.claim(
        ann.context, report_runs.run_report(ann.context, ann.id, "daily").id, dagster_run_id
    )
    assert claim is not None
    assert attempts.fail(ann.context, claim, BadDataError("The last line is cut off."))


def told(instance: DagsterInstance, ann: Ann) -> list[AssetCheckEvaluation]:
    key = AssetCheckKey(report_key(ann.id, "daily"), DELIVERED_CHECK)
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=20)
    return [record.event.dagster_event.asset_check_evaluation_data for record in records]


def send(instance: DagsterInstance) -> str:
    with build_sensor_context(instance=instance) as context:
        return str(send_deliveries.evaluate_tick(context).skip_message)


def test_a_run_is_delivered_by_the_sensor_and_each_dead_letter_is_told(
    ann: Ann, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORTGEN_SECRET_PARTNER", SECRET)
    monkeypatch.setenv("REPORTGEN_WEBHOOK_HOSTS", "127.0.0.1")
    context_of_process.cache_clear()
    cursor: str | None = None

    def watch() -> None:
        nonlocal cursor
        with build_sensor_context(instance=instance, cursor=cursor) as context:
            cursor = watch_clocks.evaluate_tick(context).cursor

    with receiving() as receiver:
        put(ann, receiver.url)
        receiver.will_answer(410, 410, 204)
        for verdicts in ([False], [False, False], [True, False, False]):
            fail(ann)
            tick = send(instance)
            assert ("Delivered: 1." in tick) == verdicts[0]
            assert ("410 Gone" in tick) != verdicts[0]
            for _ in range(2):
                watch()
            assert [evaluation.passed for evaluation in told(instance, ann)] == verdicts
        failed = told(instance, ann)[1]
        assert failed.severity.name == "WARN"
        assert failed.description.startswith(f"The webhook to {receiver.url} is dead after 1 tries")
        assert "reportgen deliveries redeliver" in str(failed.metadata["redeliver"].value)


def test_the_check_is_there_where_something_is_delivered(ann: Ann, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPORTGEN_SECRET_PARTNER", SECRET)
    put(ann, "https://example.com/hook")
    key = AssetCheckKey(report_key(ann.id, "daily"), DELIVERED_CHECK)
    assert key in build_definitions(ann.context.settings).resolve_asset_graph().asset_check_keys
    wish = ReportWish(Pick("margin"), {"input": Pick("input"), "reference": Pick("reference")})
    reports.put_report(ann.context, ann.id, "daily", wish)
    assert key not in build_definitions(ann.context.settings).resolve_asset_graph().asset_check_keys


def test_a_late_report_is_told_by_the_sensor_that_watches_the_clocks(
    ann: Ann, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.definitions.test_clocks import sql, tick

    monkeypatch.setenv("REPORTGEN_SECRET_PARTNER", SECRET)
    monkeypatch.setenv("REPORTGEN_WEBHOOK_HOSTS", "127.0.0.1")
    context_of_process.cache_clear()
    with receiving() as receiver:
        put(ann, receiver.url)
        sql(ann, "UPDATE reports SET created_at = '2020-01-01 00:00+00'")
        for _ in range(2):
            tick(instance, None)
        assert "Delivered: 1." in send(instance)
        assert receiver.received[0].verified()["type"] == "report.late"
