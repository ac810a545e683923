"""Bodies that are no form: JSON only, and the text of rules in either syntax.

What belongs here: media types and bounds of such bodies. What does not: forms (multipart.py), what is in a body (each
resource's schemas.py).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from fastapi import Depends, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from python_multipart.multipart import parse_options_header

from api_gateway.envelope import bound_body
from api_gateway.errors import MediaTypeError
from reportgen_dagster.errors import BadRequestError, Problem
from reportgen_dagster.formats import Syntax
from reportgen_dagster.services.strict_json import read_json
from reportgen_dagster.services.uploads import MAX_RULES_BYTES, RulesText, rules_text

JSON_TYPE = "application/json"
YAML_TYPE = "application/yaml"
_RULES_SYNTAXES: dict[str, Syntax] = {
    YAML_TYPE: "yaml",
    "text/yaml": "yaml",
    "application/x-yaml": "yaml",
    "text/x-yaml": "yaml",
    JSON_TYPE: "json",
}
MAX_DEFINITION_BYTES = 1024 * 1024
_EXAMPLE = [{"output": "gross", "formula": "price * quantity"}, {"output": "desk", "formula": "desk_name"}]


def _rules_body(yaml_schema: dict[str, Any], json_schema: dict[str, Any]) -> dict[str, Any]:
    yaml_example = "- {output: gross, formula: price * quantity}\n- {output: desk, formula: desk_name}\n"
    return {
        "requestBody": {
            "required": True,
            "description": "The rules, at most 1 MiB.",
            "content": {
                YAML_TYPE: {"schema": yaml_schema, "example": yaml_example},
                JSON_TYPE: {"schema": json_schema, "example": _EXAMPLE},
            },
        }
    }


RULES_BODY = _rules_body({"type": "string"}, {"type": ["array", "object"]})
ANY_RULES_BODY = _rules_body({}, {})  # where the answer tells what is wrong with them


class DefinitionRoute(APIRoute):
    """A call whose JSON body is a definition, which may have a thousand names and values."""

    most_bytes: ClassVar[int] = MAX_DEFINITION_BYTES

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what handles a request, which allows the larger body before it is read."""
        handle = super().get_route_handler()

        async def handle_large(request: Request) -> Response:
            bound_body(request.scope, self.most_bytes)
            return await handle(request)

        return handle_large


class RulesInJsonRoute(DefinitionRoute):
    """A call whose JSON body holds a text of rules, which takes more room there than by itself."""

    most_bytes: ClassVar[int] = 2 * MAX_RULES_BYTES


def media_type_of(request: Request) -> str:
    """Return the media type that a request's body claims to have, without parameters; empty if it says none."""
    media_type, _ = parse_options_header(request.headers.get("content-type"))
    return media_type.decode("latin-1")


async def _json_only(request: Request) -> None:
    """Refuse another media type, and what FastAPI, which has read the body then, lets pass in JSON."""
    if media_type_of(request) not in ("", JSON_TYPE):
        raise MediaTypeError("Send the body as application/json.")
    data = await request.body()
    try:
        read_json(data or b"null")
    except ValueError as error:
        raise BadRequestError(problems=[Problem(f"the body is not valid JSON: {error}")]) from None


json_body = [Depends(_json_only)]


async def read_rules(request: Request) -> RulesText:
    """Read a request's body as rules, whose syntax the Content-Type tells.

    Args:
        request: The request; its body has not been read.

    Raises:
        MediaTypeError: If it is neither YAML nor JSON.
        TooLargeError: If it is larger than 1 MiB.
        BadRequestError: If there is none.
        RulesError: If it is not UTF-8 text.
    """
    syntax = _RULES_SYNTAXES.get(media_type_of(request))
    if syntax is None:
        raise MediaTypeError(f"Send the rules as {YAML_TYPE} or {JSON_TYPE}.")
    bound_body(request.scope, MAX_RULES_BYTES)
    data = await request.body()
    if not data:
        raise BadRequestError("Send the rules as the body.")
    return rules_text(data, f"rules.{syntax}", syntax)
