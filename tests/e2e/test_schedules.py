"""Scheduled reports: real Dagster schedules, seen, ticking and switchable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.client import EXAMPLE, Client, until

SCHEDULE = """
query ($name: String!) {
  scheduleOrError(scheduleSelector: {
    repositoryName: "__repository__", repositoryLocationName: "reports", scheduleName: $name
  }) { __typename ... on Schedule { name cronSchedule executionTimezone
        scheduleState { id selectorId status ticks { status } } } }
}
"""


def _schedule(stack, cron: str) -> tuple[Client, dict[str, Any]]:
    """Put a schedule and return its owner, who has no other one, and the schedule."""
    client = Client(stack.url)
    files = {
        name: (f"{name}.x", (EXAMPLE / path).read_bytes())
        for name, path in [
            ("input_file", "input.csv"),
            ("reference_file", "reference.csv"),
        ]
    } | {"rules_file": ("rules.yaml", (EXAMPLE / "rules.yaml").read_bytes())}
    form = {"cron": cron, "report_name": "trades", "timezone": "Europe/Berlin"}
    answer = client.http.post("/api/trigger-scheduled-report/", files=files, data=form)
    assert answer.status_code == 201, answer.text
    assert answer.json()["report_name"] == "trades"
    assert client.wait(answer.json()["task_id"])["status"] == "succeeded"
    return client, client.http.get("/api/v1/schedules").json()["items"][0]


@pytest.fixture(scope="module", autouse=True)
def ticking(stack) -> Iterator[tuple[Client, dict[str, Any]]]:
    """A schedule that is due each minute; the first one passes while the other tests run."""
    client, schedule = _schedule(stack, "* * * * *")
    yield client, schedule
    client.http.delete(f"/api/v1/schedules/{schedule['id']}")


@pytest.fixture(scope="module")
def scheduled(stack) -> tuple[Client, dict[str, Any]]:
    """A schedule that is not due while its tests run."""
    return _schedule(stack, "0 0 1 1 *")


def _graphql(stack, query: str, **variables: Any) -> dict[str, Any]:
    return stack.graphql(query, variables)


def _in_dagster(stack, schedule: dict[str, Any]) -> dict[str, Any]:
    return _graphql(stack, SCHEDULE, name=f"s_{schedule['id']}")["scheduleOrError"]


def _status(stack, schedule: dict[str, Any]) -> str:
    """Return whether Dagster shows it on or off; nothing while it reloads."""
    return str(_in_dagster(stack, schedule).get("scheduleState", {}).get("status", ""))


def test_it_is_switched_off_and_on_from_both_sides(stack, scheduled) -> None:
    client, schedule = scheduled
    until(lambda: _in_dagster(stack, schedule)["__typename"] == "Schedule", "Dagster shows it", seconds=90)

    def is_paused() -> bool:
        return client.http.get("/api/v1/schedules").json()["items"][0]["paused"]

    def status() -> str:
        return _status(stack, schedule)

    state = _in_dagster(stack, schedule)["scheduleState"]
    _graphql(
        stack,
        "mutation ($id: String!) { stopRunningSchedule(id: $id) { __typename } }",
        id=state["id"],
    )
    until(is_paused, "what an operator switched off is paused for its owner", seconds=60)
    assert client.http.post(f"/api/v1/schedules/{schedule['id']}/resume").status_code == 200
    until(lambda: status() == "RUNNING", "what its owner resumed ticks in Dagster", seconds=90)
    assert client.http.post(f"/api/v1/schedules/{schedule['id']}/pause").status_code == 200
    until(lambda: status() == "STOPPED", "what its owner paused is off in Dagster", seconds=90)
    _graphql(
        stack,
        """mutation ($name: String!) { startSchedule(scheduleSelector: {
            repositoryName: "__repository__", repositoryLocationName: "reports", scheduleName: $name
        }) { __typename } }""",
        name=f"s_{schedule['id']}",
    )
    until(lambda: not is_paused(), "what an operator switched on ticks again", seconds=60)
    assert status() == "RUNNING"


def test_its_owner_can_pause_resume_and_delete_it(stack, scheduled) -> None:
    client, schedule = scheduled
    path = f"/api/v1/schedules/{schedule['id']}"
    assert client.http.post(f"{path}/pause").status_code == 200
    assert client.http.get("/api/v1/schedules").json()["items"][0]["paused"] is True
    until(
        lambda: _status(stack, schedule) == "STOPPED",
        "Dagster shows it stopped",
        seconds=90,
    )
    assert client.http.post(f"{path}/resume").status_code == 200
    assert client.http.delete(path).status_code in (200, 204)
    assert client.http.get("/api/v1/schedules").json()["items"] == []
    until(
        lambda: _in_dagster(stack, schedule)["__typename"] != "Schedule",
        "Dagster no longer shows it",
        seconds=90,
    )


def test_the_schedule_ticks_in_dagster_and_its_report_can_be_downloaded(stack, ticking) -> None:
    client, schedule = ticking
    until(lambda: _in_dagster(stack, schedule)["__typename"] == "Schedule", "Dagster shows it", seconds=90)
    shown = _in_dagster(stack, schedule)
    assert (shown["cronSchedule"], shown["executionTimezone"]) == ("* * * * *", "Europe/Berlin")
    assert shown["scheduleState"]["status"] == "RUNNING"

    def ticked() -> list[dict[str, Any]]:
        return [
            run for run in client.http.get("/api/v1/runs").json()["items"] if run["trigger"] == "schedule"
        ]

    until(lambda: any(run["due_at"] for run in ticked()), "a tick was accepted", seconds=200)
    run = next(run for run in ticked() if run["due_at"])
    assert client.wait(run["task_id"])["status"] == "succeeded"
    assert client.download(run["task_id"]).text == (EXAMPLE / "expected.csv").read_text()
    ticks = _in_dagster(stack, schedule)["scheduleState"]["ticks"]
    assert any(tick["status"] == "SUCCESS" for tick in ticks)
