"""Answers about the audit."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from reportgen_dagster.services.audit import EventView


class AuditItem(BaseModel):
    """One event."""

    id: str
    at: datetime
    user_id: str | None = Field(description="Who did it; null: nobody known, or a command.")
    action: str = Field(examples=["sign-in"])
    thing: str = Field(examples=["dataset/trades"], description="What it was done to; may be empty.")
    address: str = Field(
        examples=["203.0.113.7"], description="Where from; empty for commands and the service itself."
    )
    request_id: str

    @classmethod
    def of(cls, view: EventView) -> AuditItem:
        """Show an event."""
        return cls.model_validate(view, from_attributes=True)
