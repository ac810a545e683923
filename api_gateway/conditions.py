"""Conditional requests on definitions (RFC 9110): strong ETags, If-Match, If-None-Match.

What belongs here: the headers. What does not: comparing in the transaction of a change (services/preconditions.py), files
(downloads.py).
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.responses import Response
from pydantic import BaseModel

from reportgen_dagster.services.preconditions import ANY, Precondition

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "The client has it (If-None-Match)."}}
_CACHE = {"Cache-Control": "private, no-cache"}


def _if_match(
    told: Annotated[
        str | None,
        Header(
            alias="If-Match",
            description="Change it only if it still is what an ETag says that you have seen; `*`: if there is one.",
        ),
    ] = None,
) -> Precondition:
    return Precondition(one_of=_tags(told) if told is not None else None)


def _if_match_or_none(
    matching: Annotated[Precondition, Depends(_if_match)],
    told: Annotated[
        str | None,
        Header(alias="If-None-Match", description="`*`: make it only, and change none that is there."),
    ] = None,
) -> Precondition:
    return Precondition(matching.one_of, _tags(told) if told is not None else frozenset())


IfMatchDep = Annotated[Precondition, Depends(_if_match)]
PreconditionDep = Annotated[Precondition, Depends(_if_match_or_none)]


def tagged(fingerprint: str, variant: str = "") -> dict[str, str]:
    """Return the headers of an answer that shows a definition.

    Args:
        fingerprint: Changes with the definition.
        variant: Which of several ways to show it.
    """
    return {"ETag": f'"{fingerprint}{f"-{variant}" if variant else ""}"', **_CACHE}


def shown(request: Request, definition: BaseModel, fingerprint: str) -> Response:
    """Answer with a definition, or 304 if the client has it."""
    headers = tagged(fingerprint)
    return not_modified(request, headers) or Response(
        definition.model_dump_json(), headers=headers, media_type="application/json"
    )


def not_modified(request: Request, headers: dict[str, str]) -> Response | None:
    """Return 304 if the client has what an answer with these headers would show; else None."""
    told = request.headers.get("if-none-match")
    if told is None or _tags(told.replace("W/", "")).isdisjoint((headers["ETag"].strip('"'), ANY)):
        return None
    return Response(status_code=304, headers=headers)


def _tags(told: str) -> frozenset[str]:
    """Return the strong tags of a header. A weak one is none that a change could go by."""
    return frozenset(
        tag.strip('"') for tag in map(str.strip, told.split(",")) if tag == ANY or tag[:1] == '"'
    )
