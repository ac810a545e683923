"""Bodies and answers about the caller's own account."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from reportgen_dagster.services.api_tokens import DEFAULT_DAYS, MAX_DAYS, ApiTokenView
from reportgen_dagster.services.me import MeView, SessionView

Scope = Literal["read", "run", "write", "admin"]
_SCOPES = Field(
    examples=[["read", "run"]],
    description="read: look and download; run: generate and cancel; write: upload, define, change, delete; admin: administer.",
)


class Me(BaseModel):
    """The caller's account."""

    id: str
    email: str = Field(examples=["ann@example.com"])
    name: str = Field(examples=["Ann"])
    role: Literal["user", "admin"]
    scopes: list[Scope] = Field(examples=[["read", "run", "write"]], description="What this token may do.")
    created_at: datetime

    @classmethod
    def of(cls, view: MeView) -> Me:
        """Show an account."""
        return cls.model_validate(view, from_attributes=True)


class MeChange(BaseModel):
    """What is to change of the caller's account."""

    name: str = Field(examples=["Ann"])


class PasswordChange(BaseModel):
    """The old and the new password."""

    model_config = ConfigDict(hide_input_in_errors=True)

    old: str = Field(examples=["pass123"])
    new: str = Field(examples=["a long sentence of my own"])


class SessionItem(BaseModel):
    """A sign-in that is still good."""

    id: str
    created_at: datetime
    last_used_at: datetime = Field(description="When its refresh token was last used.")
    expires_at: datetime = Field(description="When it ends at the latest.")
    user_agent: str = Field(examples=["curl/8.5.0"], description="The program, as it called itself.")
    address: str = Field(examples=["203.0.113.7"], description="Where it came from.")
    is_current: bool = Field(description="Whether it is the one that asks.")

    @classmethod
    def of(cls, view: SessionView) -> SessionItem:
        """Show a session."""
        return cls.model_validate(view, from_attributes=True)


class SessionsEnded(BaseModel):
    """What ended."""

    ended: int = Field(examples=[3], description="How many sessions.")


class NewApiToken(BaseModel):
    """An API token to be made."""

    name: str = Field(examples=["nightly upload"], description="Different from your other tokens.")
    scopes: list[Scope] = _SCOPES
    days: int = Field(
        DEFAULT_DAYS,
        ge=1,
        le=MAX_DAYS,
        strict=True,
        examples=[90],
        description="For how many days it is good.",
    )


class ApiTokenItem(BaseModel):
    """An API token, without its text."""

    id: str
    name: str = Field(examples=["nightly upload"])
    scopes: list[Scope] = _SCOPES
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = Field(description="To the minute; null: never.")

    @classmethod
    def of(cls, view: ApiTokenView) -> ApiTokenItem:
        """Show a token."""
        return cls.model_validate(view, from_attributes=True)


class ApiTokenMade(ApiTokenItem):
    """An API token with its text, which is shown this once."""

    token: str | None = Field(
        description="For the header Authorization: Bearer. Begins with rg_pat_. Null where a request is repeated.",
        examples=["rg_pat_5Jx0b1mZ3w7vQpXkR2tYc9LdN4sGhA6e"],
    )
