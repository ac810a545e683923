"""Links in the OpenAPI document: which calls take what another one answers with (`links`), for clients and for tests.

A member of an answer leads to all calls with a path parameter of that meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from api_gateway.examples import operations

# Schema of an answer -> its member -> the path parameters that take it, each with where these paths begin.
_LEADS: dict[str, dict[str, dict[str, str]]] = {
    "TaskAccepted": {"task_id": {"task_id": "/api/", "run_id": "/api/v1/runs"}},
    "ScheduleAccepted": {"task_id": {"task_id": "/api/", "run_id": "/api/v1/runs"}},
    "RunItem": {"task_id": {"task_id": "/api/", "run_id": "/api/v1/runs"}},
    "ScheduleItem": {"id": {"schedule_id": "/api/v1/schedules"}},
    "DeliveryItem": {"id": {"delivery_id": "/api/v1/deliveries"}},
}


def add_links(document: dict[str, Any]) -> None:
    """Say of each answer which calls it leads to."""
    takers = list(_takers(document))
    for _, _, operation in operations(document):
        for status, answer in operation["responses"].items():
            if not status.startswith("2"):
                continue
            links = dict(_links(answer, takers))
            if links:
                answer["links"] = {**links, **answer.get("links", {})}


def _takers(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Go through path, operation id and path parameter of each call that takes one."""
    for path, _, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path":
                yield path, operation["operationId"], parameter["name"]


def _links(answer: Mapping[str, Any], takers: list[tuple[str, str, str]]) -> Iterator[tuple[str, Any]]:
    model, place = _model(answer)
    for member, meanings in _LEADS.get(model, {}).items():
        for path, operation_id, parameter in takers:
            if parameter in meanings and path.startswith(meanings[parameter]):
                yield (
                    operation_id,
                    {
                        "operationId": operation_id,
                        "parameters": {parameter: f"$response.body#{place}/{member}"},
                    },
                )


def _model(answer: Mapping[str, Any]) -> tuple[str, str]:
    """Return the schema that an answer shows, and where in the body its members are: of a page its first item."""
    name = (
        answer.get("content", {})
        .get("application/json", {})
        .get("schema", {})
        .get("$ref", "")
        .rsplit("/", 1)[-1]
    )
    if name.startswith("Page_"):
        return name.removeprefix("Page_").rstrip("_"), "/items/0"
    return name, ""
