"""Bodies of the account calls."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

_EMAIL = Field(examples=["ann@example.com"], description="Case does not matter.")
_PASSWORD = Field(examples=["pass123"], description="6 characters to 1,024 bytes.")


class RegisterBody(BaseModel):
    """A new account."""

    model_config = ConfigDict(hide_input_in_errors=True)

    email: str = _EMAIL
    name: str = Field(examples=["Ann"])
    password: str = _PASSWORD


class LoginBody(BaseModel):
    """E-mail and password."""

    model_config = ConfigDict(hide_input_in_errors=True)

    email: str = _EMAIL
    password: str = _PASSWORD


class RefreshBody(BaseModel):
    """The refresh token of the last register, login or refresh."""

    model_config = ConfigDict(hide_input_in_errors=True)

    refresh: str


class UserView(BaseModel):
    """An account."""

    id: str
    email: str
    name: str


class TokensView(BaseModel):
    """A pair of tokens."""

    access: str = Field(description="For the header Authorization: Bearer; 10 minutes.")
    refresh: str = Field(description="For one refresh, within 14 days; a session lasts 60 days at most.")


class SessionView(TokensView):
    """A pair of tokens and whose they are."""

    user: UserView


class MessageView(BaseModel):
    """A few words for a person."""

    message: str
