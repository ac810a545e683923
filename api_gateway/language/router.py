"""The rules language's reference for editors: its functions, and the JSON Schema of rules files. Open to anybody."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api_gateway.downloads import text_response
from api_gateway.language.schemas import FunctionItem, FunctionList
from reportgen_dagster.rules.functions import FUNCTIONS
from reportgen_dagster.rules.reading.document import rules_schema

router = APIRouter(prefix="/api/v1", tags=["language"])

SCHEMA_TYPE = "application/schema+json"


@router.get("/functions", response_description="Every function, with a worked example.")
def list_functions() -> FunctionList:
    """List the functions that expressions may call; nothing else can be called."""
    return FunctionList(items=_functions())


@cache
def _functions() -> list[FunctionItem]:
    return [
        FunctionItem(
            name=entry.name,
            signature=entry.signature,
            topic=entry.topic,
            role=entry.role,
            alias_of=entry.alias_of or None,
            result=entry.result,
            summary=entry.summary,
            example=entry.example,
            example_result=entry.example_result,
        )
        for entry in FUNCTIONS.values()
    ]


@router.get(
    "/schema/rules.json",
    response_class=Response,
    responses={
        200: {
            "description": "The JSON Schema of both forms.",
            "content": {SCHEMA_TYPE: {"schema": {"type": "object"}}},
        },
        304: {"description": "The client has it (If-None-Match)."},
    },
)
def show_rules_schema(request: Request) -> Response:
    """Give the JSON Schema that editors complete and check rules files with."""
    return text_response(request, _schema(), SCHEMA_TYPE)


@cache
def _schema() -> str:
    schema: dict[str, Any] = rules_schema()
    return json.dumps(schema, indent=2) + "\n"
