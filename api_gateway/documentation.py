"""The API's own documentation: the OpenAPI document and the /docs page, whose scripts and styles come from this host."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from api_gateway.errors import CHECKSUM_MISMATCH, PROBLEM_MEDIA_TYPE
from api_gateway.examples import add_examples
from api_gateway.openapi_links import add_links

DOCS_PATH = "/docs"
OPENAPI_PATH = "/openapi.json"
_ASSETS_PATH = f"{DOCS_PATH}/assets"
_ASSETS = ("fastapi_offline", "static")  # the package carries Swagger UI's files; none of its code is run
_POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
_PAGE = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>reportgen API</title>
<link rel="stylesheet" href="{_ASSETS_PATH}/swagger-ui.css">
<link rel="icon" href="{_ASSETS_PATH}/favicon.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{_ASSETS_PATH}/swagger-ui-bundle.js"></script>
<script src="{DOCS_PATH}/start.js"></script>
</body>
</html>
"""
_START = f"""SwaggerUIBundle({{
  url: "{OPENAPI_PATH}",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: true,
  validatorUrl: null,
}});
"""
_PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "What went wrong, as RFC 9457 has it.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "error", "code", "errors", "request_id"],
    "properties": {
        "type": {"type": "string", "description": "Names the kind of problem."},
        "title": {"type": "string", "description": "The same for every case of the kind."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What happened in this case."},
        "instance": {
            "type": "string",
            "description": "The path that was asked for; empty: none could be read.",
        },
        "error": {
            "type": "string",
            "description": "The same as detail, for clients of the original service.",
        },
        "code": {"type": "string", "description": "The kind, for programs.", "examples": ["rules-invalid"]},
        "hint": {"type": "string", "description": "How to mend it."},
        "errors": {
            "type": "array",
            "description": "Every single thing that is wrong.",
            "items": {
                "type": "object",
                "properties": {
                    "message": {"type": "string"},
                    "path": {"type": "string"},
                    "line": {"type": ["integer", "null"]},
                    "column": {"type": ["integer", "null"]},
                    "source": {"type": "string"},
                },
            },
        },
        "request_id": {"type": "string", "description": "Also in the header X-Request-Id and in our logs."},
    },
}
_PROBLEM_MEANINGS: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "Invalid or missing input; `errors` lists every problem.",
    HTTPStatus.UNAUTHORIZED: "No valid token.",
    HTTPStatus.FORBIDDEN: "The token lacks the scope, or the call is for admins.",
    HTTPStatus.NOT_FOUND: "There is none, or it is somebody else's.",
    HTTPStatus.REQUEST_TIMEOUT: "The body stopped coming.",
    HTTPStatus.CONFLICT: "The present state does not allow it.",
    HTTPStatus.GONE: "There was one, and it is over.",
    HTTPStatus.PRECONDITION_FAILED: "It was changed meanwhile (If-Match).",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "A file, field or body exceeds its bound.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is of another media type.",
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "The byte range lies outside of the file.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The Idempotency-Key was used for another request.",
    HTTPStatus.LOCKED: "Somebody else writes it at the moment; see Retry-After.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too often, or too much; see Retry-After.",
    CHECKSUM_MISMATCH: "The checksum does not fit the bytes; nothing of them was kept.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "A fault of ours, such as a file that is lost or damaged; tell us the `request_id`.",
    HTTPStatus.INSUFFICIENT_STORAGE: "The storage has no room for it.",
    HTTPStatus.SERVICE_UNAVAILABLE: "A needed server does not answer; see Retry-After.",
}


def problems(*statuses: int, **meanings: str) -> dict[int | str, dict[str, Any]]:
    """Describe the problems that a call answers with, for its `responses`.

    Args:
        statuses: HTTP statuses with their usual meaning.
        meanings: Other words for one of them, as `status_400="..."`.
    """
    return {
        status: {
            "description": meanings.get(f"status_{int(status)}", _PROBLEM_MEANINGS[status]),
            "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def multipart_body(
    files: dict[str, str],
    fields: dict[str, str] | None = None,
    *,
    required: tuple[str, ...] = (),
    more_files: str = "",
    examples: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Describe a multipart body for a call's `openapi_extra`.

    Args:
        files: Name of each part that is a file, and what it is.
        fields: Name of each part that is a short text, and what it is.
        required: The names that must be there.
        more_files: What parts with other names are; empty: there are none.
        examples: What parts look like that look otherwise than those of other calls.
    """
    properties: dict[str, Any] = {
        name: {"type": "string", "format": "binary", "description": text} for name, text in files.items()
    }
    properties |= {name: {"type": "string", "description": text} for name, text in (fields or {}).items()}
    for name, example in (examples or {}).items():
        properties[name]["examples"] = [example]
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if more_files:
        schema["additionalProperties"] = {"type": "string", "format": "binary", "description": more_files}
    if required:
        schema["required"] = list(required)
    return {
        "requestBody": {"required": bool(required), "content": {"multipart/form-data": {"schema": schema}}}
    }


def install_documentation(app: FastAPI) -> None:
    """Serve the OpenAPI document and the page that shows it."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _openapi(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    router = APIRouter(include_in_schema=False)

    @router.get(OPENAPI_PATH)
    def openapi_document() -> Response:
        return JSONResponse(openapi())

    @router.get(DOCS_PATH)
    def docs_page() -> Response:
        return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})

    @router.get(f"{DOCS_PATH}/start.js")
    def docs_script() -> Response:
        return Response(_START, media_type="text/javascript")

    app.include_router(router)
    app.mount(_ASSETS_PATH, StaticFiles(packages=[_ASSETS]), name="docs-assets")


def _is_stream(operation: dict[str, Any]) -> bool:
    return "text/event-stream" in operation["responses"].get("200", {}).get("content", {})


def _openapi(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    for operations in document["paths"].values():
        for operation in operations.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]  # FastAPI's own; here it is a 400
            operation["responses"] |= {str(status): text for status, text in problems(500).items()}
            if "security" in operation:
                operation["responses"] |= {str(status): text for status, text in problems(401, 403).items()}
            for stream in operation["responses"]["200"]["content"].values() if _is_stream(operation) else ():
                del stream["itemSchema"]  # FastAPI's, a word of OpenAPI 3.2
                stream["schema"] = {}  # no text: each event is taken for one thing
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas["Problem"] = _PROBLEM_SCHEMA
    add_examples(document)
    add_links(document)
    return document
