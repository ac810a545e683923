"""Deliveries as a resource: those of a run, and sending one anew."""

from __future__ import annotations

from fastapi import APIRouter

from api_gateway.deliveries.schemas import DeliveryItem, delivery_item
from api_gateway.dependencies import ContextDep, ReaderDep, RunnerDep
from api_gateway.documentation import problems
from api_gateway.paging import Page
from reportgen_dagster.services import outbox

router = APIRouter(prefix="/api/v1", tags=["deliveries"])


@router.get(
    "/runs/{run_id}/deliveries",
    response_description="All deliveries of the run.",
    responses=problems(401, 404, 503),
)
def list_deliveries(run_id: str, caller: ReaderDep, context: ContextDep) -> Page[DeliveryItem]:
    """List the e-mails, webhooks and copies of a run, and what became of them."""
    found = outbox.run_deliveries(context, caller.user_id, run_id)
    return Page(items=[delivery_item(one) for one in found])


@router.post(
    "/deliveries/{delivery_id}/redeliver",
    response_description="The delivery, waiting.",
    responses=problems(401, 404, 503),
)
def redeliver(delivery_id: str, caller: RunnerDep, context: ContextDep) -> DeliveryItem:
    """Send a delivery anew under its id, whether it is dead, delivered or waiting. It is tried for another day."""
    return delivery_item(outbox.redeliver(context, caller.user_id, delivery_id))
