"""The API's description of itself is valid, complete, and shows an example of everything."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from api_gateway.examples import operations
from api_gateway.main import create_app

DOCUMENT = create_app().openapi()
CALLS = [pytest.param(call, id=call["operationId"]) for _, _, call in operations(DOCUMENT)]


def test_it_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    validate(DOCUMENT)


@pytest.mark.parametrize("call", CALLS)
def test_a_call_says_what_it_does_takes_and_answers(call: dict[str, Any]) -> None:
    assert call["tags"]
    assert call["description"]
    for status, answer in call["responses"].items():
        assert answer["description"] not in ("", "Successful Response"), status


@pytest.mark.parametrize("call", CALLS)
def test_every_body_and_path_parameter_has_an_example_that_its_schema_allows(
    call: dict[str, Any],
) -> None:
    answers = [
        content
        for body in call["responses"].values()
        for media_type, content in body.get("content", {}).items()
        if media_type in ("application/json", "application/problem+json") and content.get("schema")
    ]
    taken = call.get("requestBody", {}).get("content", {}).values()
    shown = [
        *((content["schema"], content["example"]) for content in (*taken, *answers)),
        *(
            (parameter["schema"], parameter["example"])
            for parameter in call.get("parameters", ())
            if parameter["in"] == "path"
        ),
    ]
    for schema, example in shown:
        Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(example)


def test_every_part_of_a_form_is_in_its_example() -> None:
    forms = [
        content
        for _, _, call in operations(DOCUMENT)
        for media_type, content in call.get("requestBody", {}).get("content", {}).items()
        if media_type == "multipart/form-data"
    ]
    assert len(forms) >= 6
    for form in forms:
        assert form["example"].keys() == form["schema"]["properties"].keys()


@pytest.mark.parametrize("call", CALLS)
def test_a_fault_of_ours_is_declared_of_every_call(call: dict[str, Any]) -> None:
    assert set(call["responses"]["500"]["content"]) == {"application/problem+json"}


def test_links_lead_to_calls_that_there_are() -> None:
    ids = {call["operationId"] for _, _, call in operations(DOCUMENT)}
    links = [
        link["operationId"]
        for _, _, call in operations(DOCUMENT)
        for answer in call["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert links
    assert set(links) <= ids
