"""Every error as `application/problem+json` (RFC 9457): the one place that gives an error its HTTP status.

What went wrong is said by the errors themselves (reportgen_dagster/errors.py); no wording of cases belongs here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path
from starlette.types import Scope

from api_gateway.envelope import request_id_of
from reportgen_dagster.errors import (
    AuthenticationError,
    BadDataError,
    BadRequestError,
    ChecksumError,
    ConflictError,
    ForbiddenError,
    GoneError,
    KeyReusedError,
    LockedError,
    NotFoundError,
    PreconditionError,
    Problem,
    ReportgenError,
    ServiceError,
    StorageFullError,
    TooLargeError,
    TooManyError,
    UnavailableError,
)

PROBLEM_MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
CHECKSUM_MISMATCH = 460  # of the tus protocol

# The first class that an error is an instance of counts.
_STATUSES: tuple[tuple[type[ReportgenError], int], ...] = (
    (AuthenticationError, HTTPStatus.UNAUTHORIZED),
    (ForbiddenError, HTTPStatus.FORBIDDEN),
    (GoneError, HTTPStatus.GONE),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (LockedError, HTTPStatus.LOCKED),
    (ConflictError, HTTPStatus.CONFLICT),
    (PreconditionError, HTTPStatus.PRECONDITION_FAILED),
    (TooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (KeyReusedError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (TooManyError, HTTPStatus.TOO_MANY_REQUESTS),
    (ChecksumError, CHECKSUM_MISMATCH),
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (StorageFullError, HTTPStatus.INSUFFICIENT_STORAGE),
    (BadRequestError, HTTPStatus.BAD_REQUEST),
    (BadDataError, HTTPStatus.BAD_REQUEST),
)
_STATUS_HEADERS: Mapping[int, Mapping[str, str]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.LOCKED: {"Retry-After": str(RETRY_SECONDS)},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": str(RETRY_SECONDS)},
}
_log = logging.getLogger(__name__)


class MediaTypeError(BadRequestError):
    """A body is of a media type that the call does not take."""

    code = "media-type"
    title = "The body's media type is not supported"


class StalledError(BadRequestError):
    """Nothing of a body came for too long."""

    code = "stalled"
    title = "The body stopped coming"


class VersionError(PreconditionError):
    """A client of resumable uploads speaks another version of their protocol."""

    code = "tus-version"
    title = "This version of tus is not spoken here"
    hint = "Speak tus 1.0.0."


class RangeError(BadRequestError):
    """A byte range lies outside of the file."""

    code = "range-not-satisfiable"
    title = "The range lies outside of the file"

    def __init__(self, size_bytes: int) -> None:
        """Describe a range outside of a file of `size_bytes` bytes."""
        super().__init__(f"The file has {size_bytes} bytes.")
        self.size_bytes = size_bytes


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error of an app with a problem."""
    app.exception_handler(ReportgenError)(_on_own_error)
    app.exception_handler(RequestValidationError)(_on_invalid_request)
    app.exception_handler(HTTPException)(_on_http_exception)
    app.exception_handler(ClientDisconnect)(_on_disconnect)


def problem_response(
    scope: Scope, status: int, error: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Build the answer for an error.

    Args:
        scope: The request's ASGI scope.
        status: The HTTP status.
        error: The error as `ReportgenError.to_json` gives it.
        headers: Further headers of the answer.
    """
    return JSONResponse(
        _problem(error, status, scope["path"], request_id_of(scope)),
        status_code=status,
        media_type=PROBLEM_MEDIA_TYPE,
        headers={**_STATUS_HEADERS.get(status, {}), **(headers or {})},
    )


def http_error(status: HTTPStatus, detail: str) -> dict[str, Any]:
    """Describe an error of HTTP itself, as `ReportgenError.to_json` describes ours."""
    return {
        "code": f"http-{status.value}",
        "title": status.phrase,
        "detail": detail,
        "hint": "",
        "problems": [],
    }


def problem_example(status: int, path: str) -> dict[str, Any]:
    """Return what the body of a problem looks like, for documentation."""
    cases: list[ReportgenError] = [MediaTypeError(), *(kind() for kind, _ in _STATUSES)]
    error = next((case for case in cases if _status_of(case) == status), ServiceError())
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        error = RangeError(size_bytes=1024)
    return _problem(error.to_json(), status, path, "9b1c0d3e5f7a4826")


def _problem(error: Mapping[str, Any], status: int, instance: str, request_id: str) -> dict[str, Any]:
    return {
        "type": f"urn:reportgen:problem:{error['code']}",
        "title": error["title"],
        "status": int(status),
        "detail": error["detail"],
        "instance": instance,
        "error": error["detail"],
        "code": error["code"],
        "hint": error["hint"],
        "errors": error["problems"],
        "request_id": request_id,
    }


def internal_error_response(scope: Scope) -> JSONResponse:
    """Build the answer for a fault of ours, which says nothing about its inside but the request's id."""
    error = ServiceError(f"Something went wrong on our side (request {request_id_of(scope)}).")
    return problem_response(scope, HTTPStatus.INTERNAL_SERVER_ERROR, error.to_json())


def _status_of(error: ReportgenError) -> int:
    if isinstance(error, MediaTypeError):
        return HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    if isinstance(error, StalledError):
        return HTTPStatus.REQUEST_TIMEOUT
    if isinstance(error, RangeError):
        return HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    return next(
        (status for kind, status in _STATUSES if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR
    )


async def _on_own_error(request: Request, error: ReportgenError) -> JSONResponse:
    status = _status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("%s: %s", error.code, error.detail, exc_info=status == HTTPStatus.INTERNAL_SERVER_ERROR)
    return problem_response(request.scope, status, error.to_json(), _headers_of(error))


def _headers_of(error: ReportgenError) -> dict[str, str]:
    if isinstance(error, RangeError):
        return {"Content-Range": f"bytes */{error.size_bytes}"}
    if isinstance(error, TooManyError):
        return {"Retry-After": str(error.retry_seconds)}
    return {}


async def _on_invalid_request(request: Request, error: RequestValidationError) -> JSONResponse:
    problems = [_validation_problem(item) for item in error.errors()]
    told = BadRequestError(problems=problems)
    return problem_response(request.scope, HTTPStatus.BAD_REQUEST, told.to_json())


def _validation_problem(item: Mapping[str, Any]) -> Problem:
    if item["type"] == "json_invalid":
        return Problem(f"the body is not valid JSON: {item.get('ctx', {}).get('error', item['msg'])}")
    path = ".".join(str(part) for part in item["loc"][1:])
    return Problem(str(item["msg"]).removeprefix("Value error, "), path=path)


async def _on_http_exception(request: Request, error: HTTPException) -> JSONResponse:
    status = HTTPStatus(error.status_code)
    described = http_error(status, f"{request.method} {request.scope['path']}: {error.detail}")
    headers = dict(error.headers or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_allowed_methods(request))
    return problem_response(request.scope, status, described, headers)


def _allowed_methods(request: Request) -> list[str]:
    """Return what can be done with a path; the router itself tells of its first call alone."""
    return sorted(
        {
            method
            for route in iter_route_contexts(request.app.routes)
            if isinstance(route.original_route, APIRoute)
            and compile_path(route.path or "")[0].match(request.scope["path"])
            for method in route.methods or ()
        }
    )


async def _on_disconnect(request: Request, _: ClientDisconnect) -> JSONResponse:
    """Nobody reads this answer; the log line and the status in it are what counts."""
    error = BadRequestError("The connection ended before the whole body had arrived; nothing was kept.")
    return problem_response(request.scope, HTTPStatus.BAD_REQUEST, error.to_json())
