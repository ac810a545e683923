"""Bodies and answers about users."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from reportgen_dagster.services.retention import MAX_DAYS
from reportgen_dagster.services.users import MAX_PRIORITY, UserChange, UserView


class UserItem(BaseModel):
    """A user, as admins see him."""

    id: str
    email: str = Field(examples=["ann@example.com"])
    name: str = Field(examples=["Ann"])
    role: Literal["user", "admin"]
    disabled: bool = Field(description="He cannot sign in, and no token of his is good.")
    priority: int = Field(description="Whose runs go first: a higher one, always. Everybody has 0.")
    max_runs: int | None = Field(
        description="How many of his runs work at the same time; null: as for everybody."
    )
    retention_days: int | None = Field(
        description="For how many days his files are kept; null: as for everybody."
    )
    created_at: datetime

    @classmethod
    def of(cls, view: UserView) -> UserItem:
        """Show a user."""
        return cls.model_validate(view, from_attributes=True)


class UserPatch(BaseModel):
    """What is to change of a user; what is left out stays as it is."""

    model_config = ConfigDict(strict=True)  # `false` is no number of days

    role: Literal["user", "admin"] | None = Field(None, examples=["admin"])
    disabled: bool | None = Field(
        None, examples=[True], description="True ends his sessions and API tokens at once."
    )
    priority: int | None = Field(None, ge=-MAX_PRIORITY, le=MAX_PRIORITY, examples=[10])
    max_runs: int | None = Field(
        None, ge=0, le=MAX_PRIORITY, examples=[1], description="0: as for everybody."
    )
    retention_days: int | None = Field(
        None, ge=0, le=MAX_DAYS, examples=[90], description="0: as for everybody."
    )

    def change(self) -> UserChange:
        """Return what the use case takes."""
        return UserChange(**self.model_dump())
