"""Two code locations of the same code, each with a slice of the definitions, on a service of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from reportgen_dagster.identity import locations
from reportgen_dagster.services import datasets, definitions, reports, rulesets, runs, schedules, uploads
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.reports import Pick, ReportWish
from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor.home import Home
from tests.e2e.client import EXAMPLE, Client, until
from tests.stack import Stack

SEEN_SECONDS = 120
MADE_SECONDS = 200
REPOSITORIES = """
query { repositoriesOrError { ... on RepositoryConnection { nodes {
  location { name } schedules { name } sensors { name } jobs { name } assetNodes { assetKey { path } isMaterializable } } } } }
"""
NODE = """
query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  repository { location { name } } dependencyKeys { path } dependedByKeys { path } opNames } } }
"""
MATERIALIZE = """
mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
RUN = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


@dataclass
class Sharded:
    """A service with two shards, and somebody with a report in each."""

    stack: Stack
    home: Path
    owner_id: str
    by_location: dict[str, str]

    def context(self, shards: int) -> Context:
        runtime = Home(self.home).runtime()
        assert runtime is not None
        return Context.open(
            Settings(home=self.home, database_url=SecretStr(runtime.database_url)).model_copy(
                update={"shards": shards}
            )
        )

    def repositories(self) -> dict[str, dict[str, Any]]:
        nodes = self.stack.graphql(REPOSITORIES)["repositoriesOrError"]["nodes"]
        return {node["location"]["name"]: node for node in nodes}

    def reports_in(self, location: str) -> set[str]:
        nodes = self.repositories().get(location, {}).get("assetNodes", ())
        return {node["assetKey"]["path"][2] for node in nodes if node["isMaterializable"]}


def _put_reports(context: Context, owner_id: str) -> dict[str, str]:
    """Put reports until each of two shards has one, which runs each minute; return their names by location."""
    for name in ("input", "reference"):
        upload = uploads.receive(context, f"{name}.csv", [(EXAMPLE / f"{name}.csv").read_bytes()], role=name)
        datasets.add_version(context, owner_id, name, upload)
    rules = uploads.rules_text((EXAMPLE / "rules.yaml").read_bytes(), "rules.yaml", None)
    rulesets.put_ruleset(context, owner_id, "trade", rules)
    wish = ReportWish(Pick("trade"), {"input": Pick("input"), "reference": Pick("reference")})
    found: dict[str, str] = {}
    for number in range(40):
        reports.put_report(context, owner_id, f"r{number}", wish)
        for shard, location in enumerate(locations(2)):
            for report in definitions.everything(context, shard, 2).reports:
                found.setdefault(location, report.name)
        if len(found) == 2:
            break
    for name in found.values():
        schedules.add_schedule(context, owner_id, name, cron="* * * * *")
    return found


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sharded]:
    home = tmp_path_factory.mktemp("sharded")
    stack = Stack(home, REPORTGEN_SHARDS="2")
    stack.start()
    owner_id = Client(stack.url).session["user"]["id"]
    service = Sharded(stack, home, owner_id, {})
    context = service.context(2)
    service.by_location = _put_reports(context, owner_id)
    context.close()
    yield service
    stack.stop()


def test_each_location_shows_its_slice_and_the_first_looks_after_all(sharded: Sharded) -> None:
    for location, name in sharded.by_location.items():
        until(
            lambda location=location, name=name: name in sharded.reports_in(location),
            "seen",
            seconds=SEEN_SECONDS,
        )
    first, second = (sharded.repositories()[location] for location in locations(2))
    assert sharded.reports_in("reports").isdisjoint(sharded.reports_in("reports_1"))
    assert {"launch_accepted_runs", "reap_lost_runs"} <= {sensor["name"] for sensor in first["sensors"]}
    assert second["sensors"] == []
    for repository in (first, second):
        assert "generate_report" in {job["name"] for job in repository["jobs"]}


def test_lineage_crosses_the_locations(sharded: Sharded) -> None:
    key = {"path": [sharded.owner_id, "datasets", "input"]}
    users = {
        tuple(key["path"])
        for key in sharded.stack.graphql(NODE, {"key": key})["assetNodeOrError"]["dependedByKeys"]
    }
    assert {(sharded.owner_id, "reports", name) for name in sharded.by_location.values()} <= users
    for location, name in sharded.by_location.items():
        key = {"path": [sharded.owner_id, "reports", name]}
        node = sharded.stack.graphql(NODE, {"key": key})["assetNodeOrError"]
        assert node["repository"]["location"]["name"] == location
        sources = {tuple(key["path"][1:]) for key in node["dependencyKeys"]}
        assert sources == {("datasets", "input"), ("datasets", "reference"), ("rulesets", "trade")}


def _launched(sharded: Sharded, params: dict[str, object]) -> str:
    """Launch a run, as soon as Dagster has its location: one that reloads knows no asset."""
    answer: dict[str, Any] = {}

    def is_launched() -> bool:
        answer.update(sharded.stack.graphql(MATERIALIZE, {"params": params})["launchRun"])
        return answer["__typename"] == "LaunchRunSuccess"

    until(is_launched, "it is launched", seconds=SEEN_SECONDS, state=lambda: answer)
    return str(answer["run"]["runId"])


def test_materialize_works_in_each_location(sharded: Sharded) -> None:
    launched = []
    for location, name in sharded.by_location.items():
        selector = {
            "repositoryLocationName": location,
            "repositoryName": "__repository__",
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": [sharded.owner_id, "reports", name]}],
        }
        params = {"selector": selector, "runConfigData": {}, "mode": "default"}
        launched.append(_launched(sharded, params))
    for run_id in launched:

        def status(run_id: str = run_id) -> str:
            return str(sharded.stack.graphql(RUN, {"id": run_id})["runOrError"]["status"])

        until(lambda: status() in ("SUCCESS", "FAILURE"), "the run ends", seconds=MADE_SECONDS, state=status)
        assert status() == "SUCCESS"


def test_a_change_reloads_its_location_and_leaves_the_other(sharded: Sharded) -> None:
    context = sharded.context(2)

    def loaded_at() -> dict[str, object]:
        with context.catalog.transaction() as session:
            return dict(session.execute(text("SELECT location, loaded_at FROM loaded_definitions")).all())

    until(lambda: definitions.changed_locations(context) == [], "all is loaded", seconds=SEEN_SECONDS)
    before = loaded_at()
    name = sharded.by_location["reports_1"]
    schedules.add_schedule(context, sharded.owner_id, name, name="yearly", cron="0 0 1 1 *")
    until(lambda: loaded_at()["reports_1"] != before["reports_1"], "it is reloaded", seconds=SEEN_SECONDS)
    until(lambda: definitions.changed_locations(context) == [], "all is loaded", seconds=SEEN_SECONDS)
    assert loaded_at()["reports"] == before["reports"]
    context.close()


def _ticked(context: Context, sharded: Sharded) -> set[str]:
    """The names of reports that were made because a schedule was due."""
    found, _ = runs.list_runs(context, sharded.owner_id, limit=200)
    return {run.report_name for run in found if run.due_at is not None and run.state == "succeeded"}


def test_schedules_of_both_locations_tick_and_their_reports_are_made(sharded: Sharded) -> None:
    """The last test: the minute passes while the others run."""
    context = sharded.context(2)
    names = set(sharded.by_location.values())
    until(
        lambda: _ticked(context, sharded) >= names,
        "both ticked",
        seconds=MADE_SECONDS,
        state=lambda: _ticked(context, sharded),
    )
    context.close()
