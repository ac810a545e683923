"""An accepted run survives `kill -9` of every process, and is made exactly once."""

from __future__ import annotations

import csv
import io

import httpx2
import pytest

from tests.e2e.client import EXAMPLE, Client, until

RUNS = 5
ROWS = 40_000


@pytest.fixture(scope="module")
def long_input() -> bytes:
    """The example's rows many times over, so that a run takes long enough to be killed in the middle."""
    rows = list(csv.reader((EXAMPLE / "input.csv").read_text().splitlines()))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0])
    for number in range(ROWS):
        writer.writerow(rows[1 + number % (len(rows) - 1)])
    return text.getvalue().encode()


def _accept_many(client: Client, long_input: bytes) -> list[str]:
    client.upload_example()
    files = {"input": ("input.csv", long_input)}
    assert client.http.post("/api/upload-files/", files=files).status_code == 200
    return [client.generate_anew() for _ in range(RUNS)]


def _some_are_running(client: Client, tasks: list[str]) -> bool:
    states = [client.status(task)["status"] for task in tasks]
    return "running" in states and "succeeded" in states


def _materializations(stack, client: Client) -> int:
    """Count what Dagster shows of this account's report, each artifact as often as it is told of."""
    query = """query ($key: [String!]!) { assetOrError(assetKey: {path: $key}) {
        ... on Asset { assetMaterializations(limit: 100) { tags { key value } } } } }"""
    try:
        data = stack.graphql(query, {"key": [client.session["user"]["id"], "reports", "default"]})
    except (httpx2.TransportError, AssertionError):  # not back yet
        return 0
    return len(data["assetOrError"].get("assetMaterializations", ()))


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "victims",
    [["worker"], ["daemon", "valkey"], ["postgres"], ["gateway", "code-server", "webserver"]],
    ids="+".join,
)
def test_all_accepted_runs_succeed_once_though_processes_are_killed(
    stack, long_input: bytes, victims: list[str]
) -> None:
    client = Client(stack.url)
    tasks = _accept_many(client, long_input)
    until(lambda: _some_are_running(client, tasks), "some runs are under way", seconds=60)

    for victim in victims:
        stack.kill(victim)

    ends = [client.wait(task, seconds=240) for task in tasks]
    assert [end["status"] for end in ends] == ["succeeded"] * RUNS, [end["error"] for end in ends]
    assert {end["rows"] + end["rejected"] for end in ends} == {ROWS}
    assert len({client.download(task).headers["ETag"] for task in tasks}) == 1
    until(
        lambda: _materializations(stack, client) == RUNS,
        "Dagster shows each report once",
        seconds=90,
        state=lambda: _materializations(stack, client),
    )
    until(stack.is_ready, "the service is ready again", seconds=60)
    until(lambda: stack.fsck() == [], "catalog, storage and Dagster agree", seconds=60, state=stack.fsck)
