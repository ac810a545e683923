"""What Dagster's GraphQL tells on a running service: versions of datasets, reports that the button made, the clock's checks."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from reportgen_dagster.identity import slug
from reportgen_dagster.services import datasets
from reportgen_dagster.services.context import Context
from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor.home import running_settings
from tests.e2e.client import EXAMPLE, Client, until

ASSET = """
query ($path: [String!]!) { assetOrError(assetKey: {path: $path}) { ... on Asset {
    assetMaterializations { runId metadataEntries { label } } assetObservations { metadataEntries { label } }
} } }
"""
RUNS = """
query ($job: String!) { runsOrError(filter: {pipelineName: $job}) { ... on Runs { results { runId status } } } }
"""
CHECKS = """
query ($path: [String!]!, $name: String!) {
  assetCheckExecutions(assetKey: {path: $path}, checkName: $name, limit: 20) { runId status }
}
"""
EXECUTE = """
mutation ($path: [String!]!, $name: String!) { launchPipelineExecution(executionParams: {mode: "default", selector: {
    repositoryName: "__repository__", repositoryLocationName: "reports", pipelineName: "__ASSET_JOB",
    assetSelection: [], assetCheckSelection: [{assetKey: {path: $path}, name: $name}]
} }) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
REPORTS = """
query ($keys: [AssetKeyInput!]!) { assetNodes(assetKeys: $keys) {
    assetKey { path } groupName kinds opVersion description staleStatus staleCauses { reason }
    owners { ... on UserAssetOwner { email } } tags { key value }
    assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization {
        status evaluation { success } } } } }
    assetMaterializations(limit: 1) { runId metadataEntries { label
        ... on UrlMetadataEntry { url }
        ... on TableColumnLineageMetadataEntry { lineage { columnName columnDeps { assetKey { path } columnName } } }
    } }
} }
"""
RUN = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
MATERIALIZE = """
mutation ($keys: [AssetKeyInput!]!) { launchPipelineExecution(executionParams: {mode: "default", selector: {
    repositoryName: "__repository__", repositoryLocationName: "reports", pipelineName: "__ASSET_JOB", assetSelection: $keys
} }) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""


@pytest.fixture(scope="module")
def client(stack) -> Client:
    """Somebody with two named reports, and so with named datasets."""
    client = Client(stack.url)
    files = {
        f"{name}_file": (f"{name}.csv", (EXAMPLE / f"{name}.csv").read_bytes())
        for name in ("input", "reference")
    }
    files["rules_file"] = ("rules.yaml", (EXAMPLE / "rules.yaml").read_bytes())
    for name in ("monthly", "yearly"):
        form = {"cron": "0 0 1 1 *", "report_name": name}
        answer = client.http.post("/api/trigger-scheduled-report/", files=files, data=form)
        assert answer.status_code == 201, answer.text
        assert client.wait(answer.json()["task_id"])["status"] == "succeeded"
    return client


def _path(client: Client, name: str) -> list[str]:
    return [client.session["user"]["id"], "datasets", slug(name)]


def _asset(stack, path: list[str]) -> dict[str, Any]:
    return dict(stack.graphql(ASSET, {"path": path})["assetOrError"])


def _labels(events: list[dict[str, Any]]) -> set[str]:
    return {entry["label"] for event in events for entry in event["metadataEntries"]}


def test_a_version_is_told_once_and_profiled_by_a_run_of_its_own(stack, client: Client) -> None:
    for name in ("yearly-input", "yearly-reference"):
        path = _path(client, name)

        def told(path: list[str] = path) -> set[str]:
            found = _asset(stack, path)
            return _labels([*found.get("assetMaterializations", []), *found.get("assetObservations", [])])

        until(lambda told=told: "profile" in told(), f"{name} is profiled", seconds=90, state=told)
        assert len(_asset(stack, path)["assetMaterializations"]) == 1

    def runs() -> list[dict[str, Any]]:
        return list(stack.graphql(RUNS, {"job": "profile_datasets"})["runsOrError"]["results"])

    until(lambda: all(run["status"] == "SUCCESS" for run in runs()), "its runs end", state=runs)
    assert stack.fsck() == []


def test_reports_are_materialized_together_and_shown_with_all_that_is_known(stack, client: Client) -> None:
    owner = client.session["user"]["id"]
    keys = [{"path": [owner, "reports", slug(name)]} for name in ("monthly", "yearly")]

    def shown() -> list[dict[str, Any]]:
        return list(stack.graphql(REPORTS, {"keys": keys})["assetNodes"])

    until(lambda: len(shown()) == len(keys), "Dagster shows the reports", seconds=60, state=shown)
    launched = stack.graphql(MATERIALIZE, {"keys": keys})["launchPipelineExecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id = launched["run"]["runId"]

    def status() -> str:
        return str(stack.graphql(RUN, {"id": run_id})["runOrError"]["status"])

    until(lambda: status() == "SUCCESS", "both are made", seconds=60, state=status)
    for name, node in zip(
        ("monthly", "yearly"), sorted(shown(), key=lambda node: node["assetKey"]["path"]), strict=True
    ):
        _assert_is_described(client, name, node)
        (made,) = node["assetMaterializations"]
        assert made["runId"] == run_id
        _assert_is_told(stack, name, made["metadataEntries"])


def _assert_is_described(client: Client, name: str, node: dict[str, Any]) -> None:
    assert node["owners"] == [{"email": client.email}]
    assert (node["groupName"], set(node["kinds"])) == ("reports", {"csv", "duckdb"})
    assert {"key": "dagster/kind/duckdb", "value": ""} in node["tags"]
    assert node["opVersion"] == hashlib.sha256((EXAMPLE / "rules.yaml").read_bytes()).hexdigest()[:12]
    assert f"version 1 of the ruleset {name}" in node["description"]
    assert "```mermaid\nflowchart" in node["description"]
    assert (node["staleStatus"], node["staleCauses"]) == ("FRESH", [])
    checks = {one["name"]: one for one in node["assetChecksOrError"]["checks"]}
    for check in ("input_contract", "reference_reference_contract", "output_contract", "no_rejects"):
        found = checks[check]["executionForLatestMaterialization"]
        assert (found["status"], found["evaluation"]["success"]) == ("SUCCEEDED", True), check


def _assert_is_told(stack, name: str, entries: list[dict[str, Any]]) -> None:
    told = {entry["label"]: entry for entry in entries}
    lineage = {one["columnName"]: one["columnDeps"] for one in told["dagster/column_lineage"]["lineage"]}
    origins = {(dep["assetKey"]["path"][-1], dep["columnName"]) for dep in lineage["outfield4"]}
    assert origins == {
        (slug(f"{name}-input"), "field3"),
        (slug(f"{name}-input"), "field5"),
        (slug(f"{name}-reference"), "refdata4"),
    }
    assert told["download"]["url"].startswith(f"{stack.url}/api/download-report/")
    assert "rejects" not in told


def test_a_late_dataset_is_told_and_its_check_is_executed_by_hand(stack, client: Client) -> None:
    settings = running_settings(Settings(home=Path(stack.environment["REPORTGEN_HOME"])))
    context = Context.open(settings)
    owner = client.session["user"]["id"]
    try:
        datasets.expect_dataset(context, owner, "yearly-input", cron="0 0 1 1 *", within_seconds=1)
        with context.catalog.transaction() as session:  # as if it was expected for years, and nothing came
            session.execute(text("UPDATE datasets SET expected_since = '2020-01-01 00:00+00'"))
            session.execute(text("UPDATE dataset_versions SET received_at = '2020-01-01 00:00+00'"))
    finally:
        context.close()
    path = _path(client, "yearly-input")

    def executions() -> list[dict[str, Any]]:
        return list(stack.graphql(CHECKS, {"path": path, "name": "on_time"})["assetCheckExecutions"])

    until(
        lambda: any(one["status"] == "FAILED" for one in executions()),
        "it is told late",
        seconds=240,
        state=executions,
    )

    def launched() -> dict[str, Any]:
        return dict(stack.graphql(EXECUTE, {"path": path, "name": "on_time"})["launchPipelineExecution"])

    answer: dict[str, Any] = {}

    def is_launched() -> bool:
        nonlocal answer
        answer = launched()
        return answer["__typename"] == "LaunchRunSuccess"

    until(is_launched, "Dagster knows the check", seconds=90, state=lambda: answer)
    run_id = answer["run"]["runId"]
    until(
        lambda: any((one["runId"], one["status"]) == (run_id, "FAILED") for one in executions()),
        "it is executed by hand",
        seconds=60,
        state=executions,
    )
    assert stack.fsck() == []
