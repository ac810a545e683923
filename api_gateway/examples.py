"""Examples in the OpenAPI document: one for each body, form and path parameter, composed of those of their parts.

What belongs here: how an example is composed, and what values of a name look like wherever it occurs, those of forms fitting each
other. A field that needs another one says so itself (`examples=`). What does not: examples of rules, which are the folders in
`rules/`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from api_gateway.errors import PROBLEM_MEDIA_TYPE, problem_example

ID = "3f2b8c5a9d1e4f70a6b2c4d8e0f19375"
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_BY_FORMAT = {"date-time": "2026-01-31T06:00:00Z", "date": "2026-01-31"}
_BY_TYPE = {"boolean": True, "integer": 1, "number": 1.5, "null": None}
_RULES = "- {output: gross, formula: price * quantity}\n"
_BY_NAME: dict[str, Any] = {
    "access": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIzZjJiIn0.c2lnbmF0dXJl",
    "artifacts": f"/api/v1/runs/{ID}/artifacts",
    "checks": f"/api/v1/runs/{ID}/checks",
    "code": "rules-invalid",
    "columns": ["refkey1", "field1"],
    "cron": "0 6 * * mon-fri",
    "dagster_run_id": "0b0f4c1e-5a5a-4d0e-9a53-2b1f6f0f8a11",
    "dataset": "trades",
    "detail": "steps[2].derive.gross: there is no column gros",
    "dagster": "http://127.0.0.1:3000/runs/0b0f4c1e-5a5a-4d0e-9a53-2b1f6f0f8a11",
    "digest": DIGEST,
    "download": f"/api/download-report/{ID}/",
    "email": "ann@example.com",
    "error": "input:3:2  price  'abc' is no number",
    "events": f"/api/v1/runs/{ID}/events",
    "filename": "trades.csv",
    "formats": ["csv", "xlsx"],
    "instance": "/api/upload-rules",
    "made_at": "2026-01-31T06:00:00Z",
    "manifest": f"/api/v1/runs/{ID}/manifest",
    "markdown": "| gross |\n| --- |\n| 12.5 |",
    "message": "Stored.",
    "name": "trades",
    "note": "",
    "parameters": {"desk": "FX"},
    "path": "steps[2].derive.gross",
    "rejects": f"/api/v1/runs/{ID}/rejects",
    "self": f"/api/task-status/{ID}/",
    "url": f"/api/v1/downloads/{ID}",
    "refresh": "rg_rt_8Jx0b1mZ3w7vQpXk",
    "report": "trades",
    "report_name": "trades",
    "rules": _RULES,
    "ruleset": "trades",
    "source": "rules.yaml",
    "text": _RULES,
    "timezone": "Europe/Berlin",
    "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIzZjJiIn0.c2lnbmF0dXJl",
    "words": "At 06:00 AM, Monday through Friday",
}
_FORM = "multipart/form-data"
FORM_RULES = """version: 1
parameters:
  desk: {type: text, default: FX}
steps:
  - filter: desk = :desk
  - lookup: {reference: reference, match: {desk: desk_id}, take: [desk_name]}
  - derive: {gross: price * quantity}
"""
_FORM_INPUT = "desk,price,quantity\nFX,12.5,2\n"
_FORM_REFERENCE = "desk_id,desk_name\nFX,Foreign exchange\n"
_IN_FORMS = {
    "file": _FORM_INPUT,
    "input": _FORM_INPUT,
    "input_file": _FORM_INPUT,
    "parameters": '{"desk": "FX"}',
    "reference": _FORM_REFERENCE,
    "reference_file": _FORM_REFERENCE,
    "rows": "10",
    "rules": FORM_RULES,
    "rules_file": FORM_RULES,
    "run_date": "2026-01-31",
    "step": "3",
}
_BY_ENDING = {
    "_id": ID,
    "_url": f"/api/v1/runs/{ID}",
}
_DEEPEST = 8


class MissingExampleError(LookupError):
    """Nothing says what a value looks like."""


def add_examples(document: dict[str, Any]) -> None:
    """Give each body of JSON, each form, problem and path parameter of an OpenAPI document an example, where it has none.

    Raises:
        MissingExampleError: Naming the call and the field that nothing is known about.
    """
    schemas = document["components"]["schemas"]
    for path, method, operation in operations(document):
        try:
            for content in _json_contents(operation):
                if "example" not in content and "examples" not in content and content.get("schema"):
                    content["example"] = compose(content["schema"], schemas)
            form = operation.get("requestBody", {}).get("content", {}).get(_FORM)
            if form is not None:
                form["example"] = _form(form["schema"], schemas)
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    parameter.setdefault("example", compose(parameter["schema"], schemas, parameter["name"]))
        except MissingExampleError as error:
            raise MissingExampleError(f"{method.upper()} {path}: {error}") from None
        for status, answer in operation["responses"].items():
            content = answer.get("content", {}).get(PROBLEM_MEDIA_TYPE)
            if content is not None:
                content["example"] = problem_example(int(status), path)


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Go through path, method and description of each call of an OpenAPI document."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def compose(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = "", depth: int = 0) -> Any:
    """Return a value that a schema allows.

    Args:
        schema: The schema.
        schemas: The document's named schemas.
        name: What the value is called where it occurs.
        depth: How deep it lies in others.

    Raises:
        MissingExampleError: If nothing says what it looks like.
    """
    if depth > _DEEPEST:
        return None
    if "$ref" in schema:
        return compose(schemas[schema["$ref"].rsplit("/", 1)[1]], schemas, name, depth)
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    if "const" in schema:
        return schema["const"]
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return _of_choices(choices, schemas, name, depth)
    return _of_type(schema, schemas, name, depth)


def _form(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Return a form with all its parts; of a file its text."""
    return {
        part: compose(
            {"examples": [_IN_FORMS[part]], **described} if part in _IN_FORMS else described, schemas, part
        )
        for part, described in schema["properties"].items()
    }


def _of_choices(choices: list[Mapping[str, Any]], schemas: Mapping[str, Any], name: str, depth: int) -> Any:
    """Return an example of the first choice; null where that is allowed and nothing else is known."""
    try:
        return compose(choices[0], schemas, name, depth)
    except MissingExampleError:
        if {"type": "null"} in choices:
            return None
        raise


def _of_type(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str, depth: int) -> Any:
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object" and "properties" in schema:
        return {
            part: compose(described, schemas, part, depth + 1)
            for part, described in schema["properties"].items()
        }
    known = _known(name)
    if known is not None and _is_of(known, kind, schema):
        return known
    if kind == "array":
        return [compose(schema.get("items", {}), schemas, name.removesuffix("s"), depth + 1)]
    if kind == "object" or kind is None:
        return {}
    if schema.get("format") in _BY_FORMAT:
        return _BY_FORMAT[schema["format"]]
    if kind in _BY_TYPE:
        return schema.get("default") or schema.get("minimum") or _BY_TYPE[kind]
    if schema.get("default"):
        return schema["default"]
    raise MissingExampleError(f"nothing says what the text {name!r} looks like")


def _known(name: str) -> Any:
    if name in _BY_NAME:
        return _BY_NAME[name]
    return (
        ID if name == "id" else next((value for end, value in _BY_ENDING.items() if name.endswith(end)), None)
    )


def _is_of(value: Any, kind: str | None, schema: Mapping[str, Any]) -> bool:
    if isinstance(value, list) and schema.get("items", {}).get("type") != "string":
        return False
    return kind in (None, _json_type(value))


def _json_type(value: Any) -> str:
    return {str: "string", list: "array", dict: "object", int: "integer", bool: "boolean"}[type(value)]


def _json_contents(operation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
    for body in bodies:
        content = body.get("content", {}).get("application/json")
        if content is not None:
            yield content
