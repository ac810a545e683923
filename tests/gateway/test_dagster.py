"""What the gateway asks of Dagster, judged by Dagster's own schema and seen by a server that stands in for it."""

from __future__ import annotations

import asyncio
import json
import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import graphql
import pytest
from dagster_graphql.schema import create_schema
from fastapi import FastAPI, Request
from pydantic import SecretStr

from api_gateway import dagster_client
from api_gateway.dagster_client import DagsterClient
from api_gateway.main import create_app
from reportgen_dagster.errors import ServiceError, UnavailableError
from reportgen_dagster.services.launching import Launch
from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor.prepare import make_database
from tests.conftest import database_beside
from tests.gateway.conftest import User, serve
from tests.gateway.test_schedules import FILES

LAUNCH = Launch("r1", "u1", "trades", "api", "margin@3", -3)
LAUNCHED = {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": "d-1"}}}
RELOADED = {
    "reloadRepositoryLocation": {
        "__typename": "WorkspaceLocationEntry",
        "locationOrLoadError": {"__typename": "RepositoryLocation"},
    }
}
RUNNING = {"schedulesOrError": {"results": [{"name": "s_1"}, {"name": "s_2"}]}}


def _locations(**known: dict[str, Any] | None) -> dict[str, Any]:
    entries = [{"name": name, "locationOrLoadError": answer} for name, answer in known.items()]
    return {"workspaceOrError": {"locationEntries": entries}}


LOADED = {"__typename": "RepositoryLocation", "repositories": [{"name": "__repository__"}]}


class StandIn:
    """Answers GraphQL like a Dagster webserver, with what a test prepared, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: queue.Queue[dict[str, Any]] = queue.Queue()
        self.answers: dict[str, Any] = {
            "launchRun": LAUNCHED,
            "reloadRepo": RELOADED,
            "workspaceO": _locations(reports=LOADED),
            "schedulesOrError": RUNNING,
            "resetSchedule": {"resetSchedule": {"__typename": "ScheduleStateResult"}},
        }
        self.app = FastAPI()
        self.app.add_api_route("/graphql", self._answer, methods=["POST"])

    async def _answer(self, request: Request) -> Any:
        body = json.loads(await request.body())
        self.asked.put(body)
        return {"data": next(data for word, data in self.answers.items() if word in body["query"])}


@pytest.fixture
def dagster() -> Iterator[tuple[StandIn, str]]:
    stand_in = StandIn()
    for url in serve(stand_in.app):
        yield stand_in, url


def _ask(url: str, call: str, *arguments: Any) -> Any:
    async def ask() -> Any:
        client = DagsterClient(f"{url}/graphql")
        try:
            return await getattr(client, call)(*arguments)
        finally:
            await client.close()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "name", ["_LAUNCH", "_LIVE_RUNS", "_TERMINATE", "_RELOAD", "_LOCATIONS", "_RESET_SCHEDULE"]
)
def test_dagsters_own_schema_accepts_what_is_asked(name: str) -> None:
    schema = create_schema().graphql_schema
    assert graphql.validate(schema, graphql.parse(getattr(dagster_client, name))) == []


def test_the_launch_names_job_run_and_owner_as_the_schema_wants(dagster) -> None:
    stand_in, url = dagster
    assert _ask(url, "launch", LAUNCH) == "d-1"
    params = stand_in.asked.get_nowait()["variables"]["params"]
    kind = create_schema().graphql_schema.get_type("ExecutionParams")
    assert graphql.utilities.coerce_input_value(params, kind)
    assert params["selector"]["jobName"] == "generate_report"
    assert params["runConfigData"] == {"ops": {"claim": {"config": {"run_id": "r1"}}}}
    tags = {tag["key"]: tag["value"] for tag in params["executionMetadata"]["tags"]}
    assert tags == {
        "reportgen/run_id": "r1",
        "reportgen/owner": "u1",
        "reportgen/report": "trades",
        "reportgen/trigger": "api",
        "reportgen/rules": "margin@3",
        "dagster/priority": "-3",
    }


def test_a_refused_launch_is_told_without_dagsters_stack(dagster) -> None:
    stand_in, url = dagster
    stand_in.answers["launchRun"] = {
        "launchRun": {"__typename": "PythonError", "message": "Boom\n  File x.py, line 1"}
    }
    with pytest.raises(ServiceError, match=r"PythonError: Boom$"):
        _ask(url, "launch", LAUNCH)


def test_live_runs_are_looked_for_as_the_schema_wants_and_ended_together(dagster) -> None:
    stand_in, url = dagster
    stand_in.answers["runsOrError"] = {"runsOrError": {"results": [{"runId": "d-1"}, {"runId": "d-2"}]}}
    stand_in.answers["terminateRuns"] = {"terminateRuns": {"__typename": "TerminateRunsResult"}}
    assert _ask(url, "live_runs", "r1") == ["d-1", "d-2"]
    wanted = stand_in.asked.get_nowait()["variables"]["filter"]
    kind = create_schema().graphql_schema.get_type("RunsFilter")
    assert graphql.utilities.coerce_input_value(wanted, kind)["tags"] == [
        {"key": "reportgen/run_id", "value": "r1"}
    ]
    _ask(url, "terminate", ["d-1", "d-2"])
    assert stand_in.asked.get_nowait()["variables"] == {"runIds": ["d-1", "d-2"]}


def test_a_failed_termination_is_told_without_dagsters_stack(dagster) -> None:
    stand_in, url = dagster
    stand_in.answers["terminateRuns"] = {
        "terminateRuns": {"__typename": "PythonError", "message": "Boom\n  File x.py, line 1"}
    }
    with pytest.raises(ServiceError, match=r"PythonError: Boom$"):
        _ask(url, "terminate", ["d-1"])


@pytest.mark.parametrize(
    "answer",
    [
        {"__typename": "RepositoryLocationNotFound", "message": "no such"},
        {"__typename": "WorkspaceLocationEntry", "locationOrLoadError": {"__typename": "PythonError"}},
        {"__typename": "WorkspaceLocationEntry", "locationOrLoadError": None},
    ],
)
def test_definitions_that_do_not_load_are_a_failed_reload(dagster, answer: dict[str, Any]) -> None:
    stand_in, url = dagster
    stand_in.answers["reloadRepo"] = {"reloadRepositoryLocation": answer}
    with pytest.raises(ServiceError, match="reports"):
        _ask(url, "reload", "reports")


@pytest.mark.parametrize(
    ("answer", "unloaded"),
    [
        (_locations(reports=LOADED, reports_1=LOADED, other=None), {}),
        (
            _locations(reports={"__typename": "PythonError", "message": "Boom\n  File x.py"}),
            {"reports": "PythonError: Boom", "reports_1": "Dagster does not know it yet"},
        ),
        (_locations(reports=None, reports_1=LOADED), {"reports": "Dagster does not know it yet"}),
        (
            {"workspaceOrError": {}},
            dict.fromkeys(("reports", "reports_1"), "Dagster does not know it yet"),
        ),
    ],
)
def test_what_is_not_loaded_is_told_with_why(
    dagster, answer: dict[str, Any], unloaded: dict[str, str]
) -> None:
    stand_in, url = dagster
    stand_in.answers["workspaceO"] = answer
    assert _ask(url, "unloaded", ["reports", "reports_1"]) == unloaded


def test_a_schedule_is_reset_in_its_location(dagster) -> None:
    stand_in, url = dagster
    _ask(url, "reset_schedule", "reports_1", "2")
    assert stand_in.asked.get_nowait()["variables"]["selector"] == {
        "repositoryLocationName": "reports_1",
        "repositoryName": "__repository__",
        "scheduleName": "s_2",
    }


def test_dagster_away_is_unavailable() -> None:
    with pytest.raises(UnavailableError):
        _ask("http://127.0.0.1:9", "launch", LAUNCH)


@pytest.fixture
def user(dagster, postgres_url: str, tmp_path: Path) -> Iterator[User]:
    """Somebody on a gateway of its own, whose Dagster is the stand-in."""
    _, dagster_url = dagster
    database = database_beside(postgres_url, "gateway_with_dagster")
    make_database(database)
    settings = Settings(home=tmp_path, database_url=SecretStr(database), dagster_url=dagster_url)
    for url in serve(create_app(settings)):
        yield User(url)


def test_an_accepted_run_is_launched_at_once_and_a_new_schedule_reloads(dagster, user: User) -> None:
    stand_in, _ = dagster
    form = {"cron": "0 6 * * *", "report_name": "daily"}
    accepted = user.http.post("/api/trigger-scheduled-report/", files=FILES, data=form)
    assert accepted.status_code == 201, accepted.text
    asked = ""
    while "reloadRepositoryLocation" not in asked or "launchRun" not in asked:
        asked += stand_in.asked.get(timeout=15)["query"]
    status = user.http.get(f"/api/task-status/{accepted.json()['task_id']}/")
    assert status.status_code == 200


def test_a_cancelled_run_is_ended_in_dagster_too(dagster, user: User) -> None:
    stand_in, _ = dagster
    stand_in.answers["runsOrError"] = {"runsOrError": {"results": [{"runId": "d-1"}]}}
    stand_in.answers["terminateRuns"] = {"terminateRuns": {"__typename": "TerminateRunsResult"}}
    user.upload()
    task = user.generate()
    assert user.http.post(f"/api/v1/runs/{task}/cancel").status_code == 200
    asked = {"query": ""}
    while "terminateRuns" not in asked["query"]:
        asked = stand_in.asked.get(timeout=15)
    assert asked["variables"] == {"runIds": ["d-1"]}
