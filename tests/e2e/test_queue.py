"""One user's many runs do not hold up another's one; a cancelled run ends within two seconds and leaves nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any

import psutil
import pytest

from reportgen_dagster.supervisor.processes import is_alive
from tests.e2e.client import EXAMPLE, Client, until
from tests.stack import REPORTGEN, Stack

WORKERS = 2
SECONDS_TO_END = 2
TERMINATE = "mutation ($id: String!) { terminateRun(runId: $id) { __typename } }"
ASSET = "query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { __typename } }"
MATERIALIZE = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
    ... on LaunchRunSuccess { run { runId } } } }"""
STATUS = "query ($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
RUNS = """query ($run: String!) { runsOrError(filter: {tags: [{key: "reportgen/run_id", value: $run}]}) {
    ... on Runs { results { runId status } } } }"""


def _rows(count: int) -> bytes:
    header, row, *_ = (EXAMPLE / "input.csv").read_text().splitlines(keepends=True)
    return (header + row * count).encode()


def _client(stack: Stack, rows: int) -> Client:
    """Somebody whose last uploads make a run of so many rows."""
    client = Client(stack.url)
    client.upload_example()
    files = {"input": ("input.csv", _rows(rows))}
    assert client.http.post("/api/upload-files/", files=files).status_code == 200
    return client


@pytest.fixture
def ann(stack: Stack) -> Iterator[Client]:
    """Somebody with runs of many seconds, which are cancelled at the end."""
    client = _client(stack, rows=6_000_000)
    yield client
    for run in _runs(client):
        client.http.post(f"/api/v1/runs/{run['task_id']}/cancel")


def _runs(client: Client) -> list[dict[str, Any]]:
    return client.http.get("/api/v1/runs", params={"limit": 100}).json()["items"]


def _cancel(client: Client, task: str) -> None:
    answer = client.http.post(f"/api/v1/runs/{task}/cancel")
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "cancelled"


def _dagster_runs(stack: Stack, task: str) -> dict[str, str]:
    """Return the states of the Dagster runs that were launched for a run, by their ids."""
    runs = stack.graphql(RUNS, {"run": task})["runsOrError"]["results"]
    return {run["runId"]: run["status"] for run in runs}


def _terminate(stack: Stack, task: str) -> None:
    (dagster_run_id,) = _dagster_runs(stack, task)
    _terminate_in_dagster(stack, dagster_run_id)


def _terminate_in_dagster(stack: Stack, dagster_run_id: str) -> None:
    told = stack.graphql(TERMINATE, {"id": dagster_run_id})["terminateRun"]["__typename"]
    assert told == "TerminateRunSuccess"


def _until_in_the_middle(stack: Stack, client: Client, tasks: list[str]) -> list[psutil.Process]:
    """Wait until runs transform their files; return their processes."""
    until(
        lambda: all(client.status(task)["stage"] == "transform" for task in tasks),
        "the runs are in the middle of their files",
        seconds=90,
        state=lambda: [client.status(task) for task in tasks],
    )
    return [process for task in tasks for process in _processes_of(stack, task)]


def _processes_of(stack: Stack, task: str) -> list[psutil.Process]:
    """Return the attempt of a run and the process that it has confined."""
    (dagster_run_id,) = _dagster_runs(stack, task)
    return _working_on(stack, dagster_run_id)


def _working_on(stack: Stack, dagster_run_id: str) -> list[psutil.Process]:
    """Return the process of a Dagster run and the one that it has confined; its work folder tells which it is."""
    (folder,) = (stack.home / "storage" / "work").glob(f"{dagster_run_id}-*")
    process_id = folder.name.removeprefix(f"{dagster_run_id}-").partition("-")[0]
    attempt = psutil.Process(int(process_id))
    confined = attempt.children()
    assert len(confined) == 1
    return [attempt, *confined]


def _assert_nothing_is_left(stack: Stack, client: Client, tasks: list[str]) -> None:
    for task in tasks:
        until(
            lambda task=task: set(_dagster_runs(stack, task).values()) <= {"CANCELED"},
            "Dagster says the same",
            state=lambda task=task: _dagster_runs(stack, task),
        )
        download = client.download(task)
        assert (download.status_code, download.json()["status"]) == (409, "cancelled")
    assert [run["status"] for run in _runs(client) if run["task_id"] in tasks] == ["cancelled"] * len(tasks)
    until(lambda: stack.fsck() == [], "catalog, storage and Dagster agree", seconds=60, state=stack.fsck)


def test_a_run_in_the_middle_of_its_file_is_cancelled_by_its_owner(stack: Stack, ann: Client) -> None:
    task = ann.generate_anew()
    processes = _until_in_the_middle(stack, ann, [task])
    _cancel(ann, task)
    _, alive = psutil.wait_procs(processes, timeout=SECONDS_TO_END)
    assert [process for process in alive if is_alive(process)] == []
    _assert_nothing_is_left(stack, ann, [task])


def test_a_run_in_the_middle_of_its_file_is_cancelled_by_an_operator(stack: Stack, ann: Client) -> None:
    task = ann.generate_anew()
    processes = _until_in_the_middle(stack, ann, [task])
    _terminate(stack, task)
    _, alive = psutil.wait_procs(processes, timeout=SECONDS_TO_END)
    assert [process for process in alive if is_alive(process)] == []
    assert "Whoever runs this service cancelled" in ann.status(task)["error"]
    _assert_nothing_is_left(stack, ann, [task])


def _large_report(client: Client, rows: int) -> dict[str, list[str]]:
    """Make a named report of so many rows without a run that is left, and return its asset key."""
    with (EXAMPLE / "rules.yaml").open("rb") as rules, (EXAMPLE / "reference.csv").open("rb") as reference:
        files = {
            "input_file": ("input.csv", _rows(rows)),
            "rules_file": rules,
            "reference_file": reference,
        }
        form = {"cron": "30 3 1 1 *", "report_name": "large"}
        answer = client.http.post("/api/trigger-scheduled-report/", files=files, data=form)
    assert answer.status_code == 201, answer.text
    _cancel(client, answer.json()["task_id"])
    return {"path": [client.session["user"]["id"], "reports", "large"]}


def _materialize(stack: Stack, keys: list[dict[str, list[str]]]) -> str:
    """Press the button for reports that Dagster may not show yet; return the id of the one Dagster run."""
    for key in keys:
        until(
            lambda key=key: (
                stack.graphql(ASSET, {"key": key})["assetNodeOrError"]["__typename"] == "AssetNode"
            ),
            "Dagster shows the report",
            seconds=60,
        )
    selector = {
        "repositoryLocationName": "reports",
        "repositoryName": "__repository__",
        "jobName": "__ASSET_JOB",
        "assetSelection": keys,
    }
    params = {"selector": selector, "runConfigData": {}, "mode": "default"}
    launched: dict[str, Any] = {}

    def is_launched() -> bool:
        launched.update(stack.graphql(MATERIALIZE, {"params": params})["launchRun"])
        return "run" in launched

    until(is_launched, "it is launched", seconds=30, state=lambda: launched)
    return str(launched["run"]["runId"])


def _last_run(client: Client) -> dict[str, Any]:
    return _runs(client)[0]


def _is_in_the_middle(client: Client) -> bool:
    run = _last_run(client)
    return (run["status"], run["stage"]) == ("running", "transform")


def _first_in_the_middle(clients: list[Client]) -> tuple[Client, Client]:
    """Wait until one of two owners' runs transforms its file; return its owner and the other."""
    until(
        lambda: any(map(_is_in_the_middle, clients)),
        "a run is in the middle of its file",
        seconds=90,
        state=lambda: [_last_run(client) for client in clients],
    )
    first, second = sorted(clients, key=lambda client: not _is_in_the_middle(client))
    return first, second


def _status(stack: Stack, dagster_run_id: str) -> str:
    return str(stack.graphql(STATUS, {"run": dagster_run_id})["runOrError"]["status"])


def test_of_several_reports_an_owner_cancels_his_own_and_an_operator_all(stack: Stack) -> None:
    owners = [Client(stack.url), Client(stack.url)]
    keys = [_large_report(client, rows=2_000_000) for client in owners]

    dagster_run_id = _materialize(stack, keys)
    first, second = _first_in_the_middle(owners)
    processes = _working_on(stack, dagster_run_id)
    _terminate_in_dagster(stack, dagster_run_id)
    _, alive = psutil.wait_procs(processes, timeout=SECONDS_TO_END)
    assert [process for process in alive if is_alive(process)] == []
    until(lambda: _status(stack, dagster_run_id) == "CANCELED", "Dagster says so")
    assert "Whoever runs this service cancelled" in first.status(_last_run(first)["task_id"])["error"]
    assert _last_run(second)["status"] == "cancelled", "that of the beginning, or the operator's"

    dagster_run_id = _materialize(stack, keys)
    first, second = _first_in_the_middle(owners)
    task = _last_run(first)["task_id"]
    _cancel(first, task)
    until(
        lambda: _status(stack, dagster_run_id) == "SUCCESS",
        "the other report is made",
        seconds=90,
        state=lambda: _last_run(second),
    )
    assert _last_run(second)["status"] == "succeeded"
    assert first.status(task)["status"] == "cancelled"
    assert first.download(task).status_code == 409
    assert stack.fsck() == []


def test_what_the_button_materializes_is_cancelled_by_an_operator(stack: Stack, ann: Client) -> None:
    key = _large_report(ann, rows=6_000_000)
    dagster_run_id = _materialize(stack, [key])

    def in_the_middle() -> list[str]:
        return [
            run["task_id"] for run in _runs(ann) if (run["status"], run["stage"]) == ("running", "transform")
        ]

    until(in_the_middle, "the run is in the middle of its file", seconds=90, state=lambda: _runs(ann))
    (task,) = in_the_middle()
    processes = _working_on(stack, dagster_run_id)
    _terminate_in_dagster(stack, dagster_run_id)
    _, alive = psutil.wait_procs(processes, timeout=SECONDS_TO_END)
    assert [process for process in alive if is_alive(process)] == []
    assert "Whoever runs this service cancelled" in ann.status(task)["error"]
    _assert_nothing_is_left(stack, ann, [task])


def test_a_cancelled_run_ends_though_dagsters_webserver_is_away(stack: Stack, ann: Client) -> None:
    """The worker finds it out by itself, and so does Dagster from it."""
    task = ann.generate_anew()
    processes = _until_in_the_middle(stack, ann, [task])
    stack.kill("webserver")
    _cancel(ann, task)
    _, alive = psutil.wait_procs(processes, timeout=SECONDS_TO_END)
    assert [process for process in alive if is_alive(process)] == []
    until(stack.is_ready, "the webserver is back", seconds=60)
    _assert_nothing_is_left(stack, ann, [task])


def test_runs_that_wait_in_the_queue_are_cancelled_by_owner_and_operator(stack: Stack, ann: Client) -> None:
    working = [ann.generate_anew() for _ in range(WORKERS)]
    _until_in_the_middle(stack, ann, working)
    waiting = [ann.generate_anew() for _ in range(2)]
    for task in waiting:
        until(
            lambda task=task: list(_dagster_runs(stack, task).values()) == ["QUEUED"],
            "it waits in the queue",
            state=lambda task=task: _dagster_runs(stack, task),
        )
    _cancel(ann, waiting[0])
    _terminate(stack, waiting[1])
    _assert_nothing_is_left(stack, ann, waiting)
    assert {ann.status(task)["status"] for task in working} <= {"running", "succeeded"}


def test_runs_are_cancelled_at_any_moment_of_their_start(stack: Stack, ann: Client) -> None:
    for _ in range(6):
        task = ann.generate_anew()
        _cancel(ann, task)
    started = []
    for _ in range(4):  # one after the other, so that each comes to a worker
        task = ann.generate_anew()
        until(lambda task=task: _dagster_runs(stack, task), "it was launched")
        _cancel(ann, task)
        started.append(task)
    _assert_nothing_is_left(stack, ann, [run["task_id"] for run in _runs(ann)])
    assert (stack.attempts(), stack.confined()) == ([], [])


def test_many_runs_of_one_user_do_not_hold_up_the_one_of_another(stack: Stack) -> None:
    many, bob = _client(stack, rows=100_000), _client(stack, rows=1_000)
    tasks = [many.generate_anew() for _ in range(16)]
    assert bob.wait(bob.generate_anew())["status"] == "succeeded"
    unfinished = [run for run in _runs(many) if run["status"] in ("accepted", "running")]
    assert len(unfinished) > 8, "the many were nearly done when the one was"
    assert [many.wait(task, seconds=180)["status"] for task in tasks] == ["succeeded"] * len(tasks)
    by_acceptance = sorted(_runs(many), key=lambda run: run["accepted_at"])
    by_start = sorted(by_acceptance, key=lambda run: run["started_at"])
    moved = [abs(by_acceptance.index(run) - place) for place, run in enumerate(by_start)]
    assert max(moved) <= 2 * WORKERS, "a user's own runs go in the order in which they were asked for"


def test_a_user_has_no_more_runs_at_once_than_he_may(stack: Stack) -> None:
    limited = _client(stack, rows=300_000)
    (changed,) = json.loads(_users(stack, "set", limited.email, "--runs", "1", "--json"))["users"]
    assert (changed["priority"], changed["max_runs"]) == (0, 1)
    assert f"{limited.email}: user, priority 0, runs at the same time: 1\n" in _users(stack, "list")
    tasks = [limited.generate_anew() for _ in range(4)]
    assert [limited.wait(task, seconds=120)["status"] for task in tasks] == ["succeeded"] * len(tasks)
    spans = sorted(
        (datetime.fromisoformat(run["started_at"]), datetime.fromisoformat(run["finished_at"]))
        for run in _runs(limited)
    )
    assert [later for (_, end), (later, _) in pairwise(spans) if later < end] == []


def _users(stack: Stack, *arguments: str) -> str:
    """Return what `reportgen users` says."""
    done = subprocess.run(
        [REPORTGEN, "users", *arguments], env=stack.environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
