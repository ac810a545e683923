"""The only speaker of Dagster's GraphQL: launch and terminate runs, reload code locations, ask which are loaded."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import httpx2

from reportgen_dagster.errors import ServiceError, UnavailableError
from reportgen_dagster.identity import location_name
from reportgen_dagster.services.launching import RUN_ID_TAG, Launch

LOCATION = location_name(0)  # each location has the job; the gateway launches in the first one
REPOSITORY = "__repository__"
JOB = "generate_report"
TIMEOUT_SECONDS = 10.0
RELOAD_SECONDS = 120.0  # 1,000 reports take 15 s on two cores
_LIVE_STATUSES = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED")

_LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on Error { message }
  }
}
"""
_LIVE_RUNS = """
query LiveRuns($filter: RunsFilter!) {
  runsOrError(filter: $filter) { ... on Runs { results { runId } } }
}
"""
_TERMINATE = """
mutation Terminate($runIds: [String!]!) {
  terminateRuns(runIds: $runIds, terminatePolicy: MARK_AS_CANCELED_IMMEDIATELY) { __typename ... on Error { message } }
}
"""
_RELOAD = """
mutation Reload($location: String!) {
  reloadRepositoryLocation(repositoryLocationName: $location) {
    __typename
    ... on WorkspaceLocationEntry { locationOrLoadError { __typename ... on PythonError { message } } }
    ... on Error { message }
  }
}
"""
_RESET_SCHEDULE = """
mutation ResetSchedule($selector: ScheduleSelector!) {
  resetSchedule(scheduleSelector: $selector) { __typename ... on PythonError { message } }
}
"""
_LOCATIONS = """
query Locations {
  workspaceOrError {
    ... on Workspace {
      locationEntries {
        name
        locationOrLoadError { __typename ... on RepositoryLocation { repositories { name } } ... on PythonError { message } }
      }
    }
  }
}
"""


class DagsterClient:
    """Asks one Dagster webserver."""

    def __init__(self, graphql_url: str) -> None:
        """Prepare to ask.

        Args:
            graphql_url: Where the webserver answers GraphQL.
        """
        self._url = graphql_url
        self._http = httpx2.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False)

    async def launch(self, launch: Launch) -> str:
        """Ask for a Dagster run of an accepted run and return the Dagster run's id.

        Raises:
            UnavailableError: If Dagster does not answer.
            ServiceError: If it refuses.
        """
        params = {
            "selector": {
                "repositoryLocationName": LOCATION,
                "repositoryName": REPOSITORY,
                "jobName": JOB,
            },
            "runConfigData": {"ops": {"claim": {"config": {"run_id": launch.run_id}}}},
            "executionMetadata": {
                "tags": [{"key": key, "value": value} for key, value in launch.tags.items()]
            },
        }
        result = (await self._ask(_LAUNCH, {"params": params}))["launchRun"]
        if result["__typename"] != "LaunchRunSuccess":
            raise ServiceError(f"Dagster does not launch: {_refusal(result)}")
        return str(result["run"]["runId"])

    async def live_runs(self, run_id: str) -> list[str]:
        """Return the ids of the Dagster runs of a run that wait or work; mostly one.

        Raises:
            UnavailableError: If Dagster does not answer.
        """
        live = {"tags": [{"key": RUN_ID_TAG, "value": run_id}], "statuses": _LIVE_STATUSES}
        data = await self._ask(_LIVE_RUNS, {"filter": live})
        return [str(run["runId"]) for run in data["runsOrError"].get("results", ())]

    async def terminate(self, dagster_run_ids: Sequence[str]) -> None:
        """Ask Dagster to end runs, also those that just start; those that are over by then are left as they are.

        Raises:
            UnavailableError: If Dagster does not answer.
            ServiceError: If it fails to.
        """
        result = (await self._ask(_TERMINATE, {"runIds": list(dagster_run_ids)}))["terminateRuns"]
        if result["__typename"] != "TerminateRunsResult":
            raise ServiceError(f"Dagster does not terminate: {_refusal(result)}")

    async def reload(self, location: str) -> None:
        """Have a code location build its definitions again.

        Raises:
            UnavailableError: If Dagster does not answer.
            ServiceError: If the definitions cannot be loaded.
        """
        data = await self._ask(_RELOAD, {"location": location}, seconds=RELOAD_SECONDS)
        result = data["reloadRepositoryLocation"]
        loaded = result.get("locationOrLoadError") or {}
        if loaded.get("__typename") != "RepositoryLocation":
            raise ServiceError(f"Dagster does not reload {location}: {_refusal(loaded or result)}")

    async def reset_schedule(self, location: str, schedule_id: str) -> None:
        """Let a schedule be on or off as its definition says, whatever an operator once switched by hand.

        Raises:
            UnavailableError: If Dagster does not answer.
            ServiceError: If it refuses.
        """
        selector = {
            "repositoryLocationName": location,
            "repositoryName": REPOSITORY,
            "scheduleName": f"s_{schedule_id}",
        }
        result = (await self._ask(_RESET_SCHEDULE, {"selector": selector}))["resetSchedule"]
        if result["__typename"] != "ScheduleStateResult":
            raise ServiceError(f"Dagster does not reset the schedule {schedule_id}: {_refusal(result)}")

    async def unloaded(self, locations: Collection[str]) -> dict[str, str]:
        """Return those of the code locations that are not loaded, each with why.

        Raises:
            UnavailableError: If Dagster does not answer.
        """
        data = await self._ask(_LOCATIONS, {})
        entries = (data["workspaceOrError"] or {}).get("locationEntries", ())
        known = {entry["name"]: entry["locationOrLoadError"] or {} for entry in entries}
        return {
            name: _refusal(known[name]) if known.get(name) else "Dagster does not know it yet"
            for name in locations
            if not (known.get(name) or {}).get("repositories")
        }

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _ask(
        self, query: str, variables: dict[str, Any], *, seconds: float = TIMEOUT_SECONDS
    ) -> dict[str, Any]:
        try:
            answer = await self._http.post(
                self._url, json={"query": query, "variables": variables}, timeout=seconds
            )
            body = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise UnavailableError(f"Dagster does not answer ({type(error).__name__}).") from error
        if not isinstance(body, dict) or body.get("data") is None:
            raise UnavailableError(f"Dagster answers with status {answer.status_code} and no data.")
        data: dict[str, Any] = body["data"]
        return data


def _refusal(result: dict[str, Any]) -> str:
    """Return the first line of Dagster's words; what follows is its stack."""
    words = str(result.get("message", "")).strip().partition("\n")[0]
    return ": ".join(filter(None, [result.get("__typename", ""), words]))
