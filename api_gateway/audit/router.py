"""The audit, for admins: who did what, when and from where. It can be read, and that is all."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime

from api_gateway.audit.schemas import AuditItem
from api_gateway.dependencies import AdminDep, ContextDep
from api_gateway.documentation import problems
from api_gateway.paging import DEFAULT_LIMIT, MAX_LIMIT, Page, next_link
from reportgen_dagster.services import audit

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])
_FILTERS = ("user_id", "action", "since", "until")


@router.get("", response_description="A page of events.", responses=problems(400, 503))
def list_audit(
    request: Request,
    caller: AdminDep,  # noqa: ARG001 - asks for the scope
    context: ContextDep,
    user_id: Annotated[str | None, Query(description="Only what this user did.")] = None,
    action: Annotated[audit.Action | None, Query(description="Only this action.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="From this time on, RFC 3339.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Before this time, RFC 3339.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(description="From the `next` link of the page before.")] = None,
) -> Page[AuditItem]:
    """List events, the last first. The `next` link keeps the filters."""
    found, cursor = audit.list_events(
        context, user_id=user_id, action=action, since=since, until=until, limit=limit, cursor=cursor
    )
    filters = {name: request.query_params[name] for name in _FILTERS if name in request.query_params}
    return Page(
        items=[AuditItem.of(event) for event in found],
        next=next_link(request.scope["path"], limit, cursor, **filters),
    )
