"""Which reports Dagster shows as out of date: made by other rules or of other data than are there now, whoever made them."""

from __future__ import annotations

import pytest
from dagster import DagsterInstance
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.test_utils import BasicLoadingContext

from reportgen_dagster.definitions import build_definitions
from reportgen_dagster.defs.keys import report_key
from reportgen_dagster.services import datasets, report_runs, reports, rulesets, uploads
from reportgen_dagster.services.reports import Pick, ReportWish
from tests.definitions.conftest import EXAMPLE, RULES, Ann
from tests.definitions.test_generate_report import _execute as generate
from tests.definitions.test_versions import carry_out, tick

NAME = "daily"


def add(ann: Ann, name: str, more: bytes = b"") -> None:
    body = (EXAMPLE / f"{name}.csv").read_bytes() + more
    upload = uploads.receive(ann.context, f"{name}.csv", [body], role=name)
    datasets.add_version(ann.context, ann.id, name, upload)


@pytest.fixture
def daily(ann: Ann) -> Ann:
    """Somebody with a report of two named datasets."""
    for name in ("input", "reference"):
        add(ann, name)
    rulesets.put_ruleset(ann.context, ann.id, "margin", RULES)
    wish = ReportWish(Pick("margin"), {"input": Pick("input"), "reference": Pick("reference")})
    reports.put_report(ann.context, ann.id, NAME, wish)
    return ann


def make(ann: Ann, instance: DagsterInstance) -> None:
    assert generate(report_runs.run_report(ann.context, ann.id, NAME).id, instance).success


def materialize(ann: Ann, instance: DagsterInstance) -> None:
    job = build_definitions(ann.context.settings).resolve_implicit_global_asset_job_def()
    keys = [report_key(ann.id, NAME)]
    assert job.execute_in_process(instance=instance, asset_selection=keys).success


def tell_versions(instance: DagsterInstance) -> None:
    for request in tick(instance)[0]:
        assert carry_out(instance, request)


def status(ann: Ann, instance: DagsterInstance) -> tuple[str, list[str]]:
    """Whether Dagster shows the report as fresh or stale, and why."""
    graph = build_definitions(ann.context.settings).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, BasicLoadingContext(instance))
    key = report_key(ann.id, NAME)
    return resolver.get_status(key).value, [cause.reason for cause in resolver.get_stale_causes(key)]


FRESH = ("FRESH", [])
makers = pytest.mark.parametrize("by", [make, materialize])


@makers
def test_a_report_is_out_of_date_after_new_rules_or_new_data_until_it_is_made_again(
    daily: Ann, instance: DagsterInstance, by
) -> None:
    by(daily, instance)
    assert status(daily, instance) == FRESH
    rules = uploads.rules_text(f"{RULES.text}\n# changed\n".encode(), "rules.yaml", None)
    rulesets.put_ruleset(daily.context, daily.id, "margin", rules)
    assert status(daily, instance) == ("STALE", ["has a new code version"])
    by(daily, instance)
    assert status(daily, instance) == FRESH
    add(daily, "input", b"\n")
    tell_versions(instance)
    assert status(daily, instance) == ("STALE", ["has a new dependency data version"])
    by(daily, instance)
    assert status(daily, instance) == FRESH


def test_where_a_report_is_told_of_what_it_was_made_of_stands_with_it(
    daily: Ann, instance: DagsterInstance
) -> None:
    make(daily, instance)
    event = instance.get_latest_materialization_event(report_key(daily.id, NAME))
    told = event.asset_materialization.tags
    for name, kind in (("input", "datasets"), ("reference", "datasets"), ("margin", "rulesets")):
        (key,) = [key for key in instance.all_asset_keys() if key.path[1] == kind and name in key.path[2]]
        (record,) = instance.fetch_materializations(key, limit=2).records
        shown = key.to_user_string()
        assert told[f"dagster/input_event_pointer/{shown}"] == str(record.storage_id)
        assert (
            told[f"dagster/input_data_version/{shown}"]
            == record.asset_materialization.tags["dagster/data_version"]
        )
