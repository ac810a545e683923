"""Links in the OpenAPI document: which calls take what another one answers with (`links`), for clients and for tests.

An answer that shows a thing leads to all calls about that thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from api_gateway.examples import operations

# Where the calls about a thing begin, and the member of an answer that each of their path parameters is.
_Lead = tuple[str, dict[str, str]]
_RUN: list[_Lead] = [("/api/task", {"task_id": "task_id"}), ("/api/v1/runs", {"run_id": "task_id"})]
_SCHEDULE: list[_Lead] = [("/api/v1/schedules", {"schedule_id": "id"})]
_VERSION: list[_Lead] = [("/api/v1/datasets", {"name": "dataset", "version": "version"})]
_REPORT: list[_Lead] = [("/api/v1/reports", {"name": "name"})]
_LEADS: dict[str, list[_Lead]] = {
    "ApiTokenItem": [("/api/v1/me/tokens", {"token_id": "id"})],
    "ApiTokenMade": [("/api/v1/me/tokens", {"token_id": "id"})],
    "DatasetItem": [("/api/v1/datasets", {"name": "name", "version": "latest/version"})],
    "DeliveryItem": [("/api/v1/deliveries", {"delivery_id": "id"})],
    "ReportItem": _REPORT,
    "ReportListItem": _REPORT,
    "RulesetItem": [("/api/v1/rulesets", {"name": "name", "version": "version"})],
    "RunItem": _RUN,
    "RunShown": _RUN,
    "ScheduleAccepted": _RUN,
    "ScheduleDetail": _SCHEDULE,
    "ScheduleItem": _SCHEDULE,
    "TaskAccepted": [*_RUN, ("/api/download-report", {"task_id": "task_id"})],
    "UserItem": [("/api/v1/users", {"user_id": "id"})],
    "VersionAdded": _VERSION,
    "VersionItem": _VERSION,
}


def add_links(document: dict[str, Any]) -> None:
    """Say of each answer which calls it leads to."""
    takers = list(_takers(document))
    for _, _, operation in operations(document):
        for status, answer in operation["responses"].items():
            links = dict(_links(answer, takers)) if status.startswith("2") else {}
            if links:
                answer["links"] = links


def _takers(document: Mapping[str, Any]) -> Iterator[tuple[str, str, set[str]]]:
    """Go through path, operation id and path parameters of each call that takes some."""
    for path, _, operation in operations(document):
        taken = {
            parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "path"
        }
        if taken:
            yield path, operation["operationId"], taken


def _links(answer: Mapping[str, Any], takers: list[tuple[str, str, set[str]]]) -> Iterator[tuple[str, Any]]:
    model, place = _model(answer)
    for beginning, members in _LEADS.get(model, ()):
        for path, operation_id, taken in takers:
            if path.startswith(beginning) and taken <= members.keys():
                values = {name: f"$response.body#{place}/{members[name]}" for name in sorted(taken)}
                yield operation_id, {"operationId": operation_id, "parameters": values}


def _model(answer: Mapping[str, Any]) -> tuple[str, str]:
    """Return the schema that an answer shows, and where in the body its members are: of a page its first item."""
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rsplit("/", 1)[-1]
    return (name.removeprefix("Page_").rstrip("_"), "/items/0") if name.startswith("Page_") else (name, "")
