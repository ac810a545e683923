"""The audit, for admins: who did what, when and from where. It can be read, and that is all."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api_gateway.audit.schemas import AuditItem
from api_gateway.dependencies import ContextDep, for_admins
from api_gateway.documentation import problems
from api_gateway.paging import DEFAULT_LIMIT, CursorQuery, LimitQuery, Page, page
from api_gateway.times import Moment
from reportgen_dagster.services import audit

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])


@router.get(
    "", dependencies=for_admins, response_description="A page of events.", responses=problems(400, 503)
)
def list_audit(
    request: Request,
    response: Response,
    context: ContextDep,
    user_id: Annotated[str | None, Query(description="Only what this user did.")] = None,
    action: Annotated[audit.Action | None, Query(description="Only this action.")] = None,
    since: Annotated[Moment | None, Query(description="From this time on, RFC 3339.")] = None,
    until: Annotated[Moment | None, Query(description="Before this time, RFC 3339.")] = None,
    limit: LimitQuery = DEFAULT_LIMIT,
    cursor: CursorQuery = None,
) -> Page[AuditItem]:
    """List events, the last first. The `next` link keeps the filters."""
    found, cursor = audit.list_events(
        context, user_id=user_id, action=action, since=since, until=until, limit=limit, cursor=cursor
    )
    return page(request, response, [AuditItem.of(event) for event in found], cursor)
