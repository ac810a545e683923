"""Each version of a named dataset and ruleset is a materialization, told once, by a few runs however many there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dagster import (
    AssetKey,
    AssetMaterialization,
    DagsterInstance,
    RunRequest,
    build_sensor_context,
)

from reportgen_dagster.defs.keys import PROFILE_JOB_NAME, dataset_key, report_key, ruleset_key
from reportgen_dagster.defs.versions import profile_datasets, report_new_versions
from reportgen_dagster.services import datasets, report_runs, reports, rulesets, uploads, versions
from reportgen_dagster.services.fsck import fsck
from reportgen_dagster.services.reports import Pick, ReportWish
from tests.definitions.conftest import EXAMPLE, RULES, Ann
from tests.definitions.test_generate_report import _execute as generate


def add(ann: Ann, name: str, body: bytes) -> None:
    upload = uploads.receive(ann.context, f"{name}.csv", [body], role=name)
    datasets.add_version(ann.context, ann.id, name, upload)


def tick(instance: DagsterInstance, cursor: str | None = None) -> tuple[list[RunRequest], str | None]:
    with build_sensor_context(instance=instance, cursor=cursor) as context:
        data = report_new_versions.evaluate_tick(context)
    return list(data.run_requests or []), data.cursor


def carry_out(instance: DagsterInstance, request: RunRequest) -> bool:
    result = profile_datasets.execute_in_process(
        run_config=request.run_config, instance=instance, raise_on_error=False
    )
    return result.success


def materializations(instance: DagsterInstance, key: AssetKey) -> list[AssetMaterialization]:
    records = instance.fetch_materializations(key, limit=100).records
    return [record.asset_materialization for record in records if record.asset_materialization]


def test_a_new_version_of_a_dataset_is_told_with_all_that_it_holds(
    ann: Ann, instance: DagsterInstance
) -> None:
    add(ann, "trades", b"desk,amount\nFX,1\nFX,\n")
    (request,), _ = tick(instance)
    assert carry_out(instance, request)
    (told,) = materializations(instance, dataset_key(ann.id, "trades"))
    metadata = told.metadata
    assert metadata["dagster/row_count"].value == 2
    columns = {
        one.name: (one.type, one.description) for one in metadata["dagster/column_schema"].schema.columns
    }
    assert columns == {
        "desk": ("text", "FX to FX; 1 different, no nulls"),
        "amount": ("integer", "1 to 1; 1 different, 1 nulls"),
    }
    assert "| FX" in metadata["preview"].md_str
    assert "| amount" in metadata["profile"].md_str
    assert (metadata["size in bytes"].value, metadata["version"].value) == (21, 1)
    assert metadata["file name"].value == "trades.csv"
    assert told.tags["dagster/data_version"] == metadata["sha256"].value
    assert tick(instance)[0] == [], "it is told once"


def test_a_file_that_cannot_be_read_is_told_with_the_reason(ann: Ann, instance: DagsterInstance) -> None:
    add(ann, "trades", b'desk,amount\nFX,"1\n')
    add(ann, "trades", b"desk,amount\nFX,1\n")
    (request,), _ = tick(instance)
    assert carry_out(instance, request)
    good, bad = materializations(instance, dataset_key(ann.id, "trades"))
    assert "quote" in bad.metadata["problem"].value
    assert good.metadata["dagster/row_count"].value == 1


def test_the_same_bytes_after_others_are_a_version_of_their_own(ann: Ann, instance: DagsterInstance) -> None:
    for body in (b"a\n1\n", b"a\n2\n", b"a\n1\n"):
        add(ann, "trades", body)
    (request,), _ = tick(instance)
    assert carry_out(instance, request)
    told = materializations(instance, dataset_key(ann.id, "trades"))
    assert [one.metadata["version"].value for one in told] == [3, 2, 1]


def test_rules_are_told_by_the_sensor_itself_and_once(ann: Ann, instance: DagsterInstance) -> None:
    rulesets.put_ruleset(ann.context, ann.id, "margin", RULES)
    for _ in range(2):
        assert tick(instance)[0] == []
    (told,) = materializations(instance, ruleset_key(ann.id, "margin"))
    assert RULES.text in told.metadata["rules"].md_str
    assert (told.metadata["version"].value, told.metadata["title"].value) == (1, "margin")
    assert told.tags["dagster/data_version"] == told.metadata["sha256"].value


def test_a_version_that_a_run_told_of_is_profiled_as_an_observation(
    ann: Ann, instance: DagsterInstance
) -> None:
    for name in ("input", "reference"):
        add(ann, name, (EXAMPLE / f"{name}.csv").read_bytes())
    rulesets.put_ruleset(ann.context, ann.id, "margin", RULES)
    wish = ReportWish(Pick("margin"), {"input": Pick("input"), "reference": Pick("reference")})
    reports.put_report(ann.context, ann.id, "daily", wish)
    for _ in range(2):
        assert generate(report_runs.run_report(ann.context, ann.id, "daily").id, instance).success
    (request,), _ = tick(instance)
    assert carry_out(instance, request)
    assert generate(report_runs.run_report(ann.context, ann.id, "daily").id, instance).success
    for key in (
        dataset_key(ann.id, "input"),
        dataset_key(ann.id, "reference"),
        ruleset_key(ann.id, "margin"),
    ):
        assert len(materializations(instance, key)) == 1
    observed = instance.fetch_observations(dataset_key(ann.id, "input"), limit=5).records
    assert len(observed) == 1
    assert "profile" in observed[0].event_log_entry.asset_observation.metadata
    assert len(materializations(instance, report_key(ann.id, "daily"))) == 3


def test_a_run_that_tells_of_a_version_tells_its_profile_if_there_is_one(
    ann: Ann, instance: DagsterInstance, tmp_path: Path
) -> None:
    for name in ("input", "reference"):
        add(ann, name, (EXAMPLE / f"{name}.csv").read_bytes())
    (looked_at, *_) = versions.files(ann.context, versions.unreported_files(ann.context))
    versions.profiled(ann.context, looked_at, tmp_path, seconds=60)
    rulesets.put_ruleset(ann.context, ann.id, "margin", RULES)
    wish = ReportWish(Pick("margin"), {"input": Pick("input"), "reference": Pick("reference")})
    reports.put_report(ann.context, ann.id, "daily", wish)
    assert generate(report_runs.run_report(ann.context, ann.id, "daily").id, instance).success
    for name in ("input", "reference"):
        (told,) = materializations(instance, dataset_key(ann.id, name))
        assert told.metadata["size in bytes"].value == (EXAMPLE / f"{name}.csv").stat().st_size
        columns = told.metadata["dagster/column_schema"].schema.columns
        is_looked_at = name == looked_at.dataset_name
        assert ("profile" in told.metadata) is is_looked_at
        assert all(column.description for column in columns) is is_looked_at
        assert "read as" in told.metadata


def test_a_report_pinned_to_an_old_version_does_not_tell_of_it_again(
    ann: Ann, instance: DagsterInstance
) -> None:
    add(ann, "reference", (EXAMPLE / "reference.csv").read_bytes())
    add(ann, "input", (EXAMPLE / "input.csv").read_bytes())
    rulesets.put_ruleset(ann.context, ann.id, "margin", RULES)
    wish = ReportWish(Pick("margin"), {"input": Pick("input", version=1), "reference": Pick("reference")})
    reports.put_report(ann.context, ann.id, "daily", wish)
    add(ann, "input", (EXAMPLE / "input.csv").read_bytes() + b"\n")
    (request,), _ = tick(instance)
    assert carry_out(instance, request)
    for _ in range(2):
        assert generate(report_runs.run_report(ann.context, ann.id, "daily").id, instance).success
    told = materializations(instance, dataset_key(ann.id, "input"))
    assert [one.metadata["version"].value for one in told] == [2, 1]


def test_many_versions_are_told_batch_by_batch_one_run_at_a_time(
    ann: Ann, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "BATCH", 4)
    for number in range(2 * versions.BATCH + 1):
        add(ann, "trades", f"a\n{number}\n".encode())
    (first,), cursor = tick(instance)
    assert len(first.run_config["ops"]["profile"]["config"]["version_ids"]) == versions.BATCH
    run = instance.create_run_for_job(profile_datasets, run_config=first.run_config)
    assert tick(instance, cursor)[0] == [], "a run is queued or at work"
    instance.report_run_failed(run)
    assert tick(instance, cursor)[0] == [], "a batch that led to nothing waits a little"
    keys = {first.run_key}
    for _ in range(3):
        cursor_before = cursor
        requests, cursor = tick(instance, _long_ago(cursor_before))
        assert [request.run_key in keys for request in requests] == [False]
        keys.add(requests[0].run_key)
        assert carry_out(instance, requests[0])
    assert tick(instance, cursor)[0] == []
    assert len(materializations(instance, dataset_key(ann.id, "trades"))) == 2 * versions.BATCH + 1


def test_a_batch_that_led_to_nothing_does_not_wait_for_a_clock_that_went_back(
    ann: Ann, instance: DagsterInstance
) -> None:
    add(ann, "trades", b"a\n1\n")
    (first,), cursor = tick(instance)
    assert cursor is not None
    assert tick(instance, cursor)[0] == []
    told = json.loads(cursor)
    (again,), _ = tick(instance, json.dumps({**told, "at": told["at"] + 3600}))
    assert again.run_config == first.run_config


def _long_ago(cursor: str | None) -> str | None:
    return json.dumps({**json.loads(cursor), "at": 0.0}) if cursor else cursor


def test_a_run_without_a_run_of_the_catalog_confuses_nobody(ann: Ann) -> None:
    from reportgen_dagster.services import attempts, reaper

    add(ann, "trades", b"a\n1\n")
    assert attempts.begin(ann.context, "profiling", "host:1")
    assert reaper.reap(ann.context) == []
    assert not attempts.cancel(ann.context, "profiling")
    attempts.end(ann.context, "profiling", "lost")
    assert reaper.reap(ann.context) == []
    assert reaper.launchable(ann.context, older_than_seconds=0) == []
    assert fsck(ann.context) == []


def test_the_job_is_there_also_where_one_run_is_made(ann: Ann, monkeypatch: pytest.MonkeyPatch) -> None:
    from reportgen_dagster.definitions import build_definitions
    from reportgen_dagster.defs import scope

    monkeypatch.setattr(scope, "_scope", scope.Scope(frozenset()))
    assert build_definitions(ann.context.settings).get_job_def(PROFILE_JOB_NAME) is not None
