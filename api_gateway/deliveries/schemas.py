"""Answers about deliveries."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from reportgen_dagster.services.outbox import DeliveryView


class DeliveryItem(BaseModel):
    """An e-mail, webhook or copy of a report, on its way or at its end."""

    id: str = Field(description="Stays the same whenever it is sent: receivers know repetitions by it.")
    report_name: str
    run_id: str | None = Field(description="Null for the notice that a report is late.")
    event: Literal["success", "failure", "late"]
    channel: Literal["email", "webhook", "copy"]
    destination: dict[str, Any] = Field(description="Where to; secrets are there by their names only.")
    state: Literal["pending", "delivered", "dead"] = Field(description="dead: it is not tried any more.")
    attempts: int = Field(description="Tries since it was last asked for.")
    next_at: datetime | None = Field(description="The next try; null unless pending.")
    error: dict[str, Any] | None = Field(description="Why the last try failed, and how to mend it.")
    created_at: datetime
    delivered_at: datetime | None


def delivery_item(delivery: DeliveryView) -> DeliveryItem:
    """Show a delivery to its owner."""
    return DeliveryItem(**asdict(delivery))
