"""Answers about the rules language."""

from __future__ import annotations

from pydantic import BaseModel, Field


class FunctionItem(BaseModel):
    """A function that expressions may call."""

    name: str
    signature: str = Field(description="The name with its arguments.", examples=["round(number[, digits])"])
    topic: str = Field(description="What it is about.", examples=["numbers"])
    role: str = Field(description="Where it may be called: `scalar`, `aggregate` or `window`.")
    alias_of: str | None = Field(description="The function that this is another name of.")
    result: str = Field(description="What it gives.", examples=["number"])
    summary: str
    example: str
    example_result: str


class FunctionList(BaseModel):
    """Every function, in the order of the reference page."""

    items: list[FunctionItem]
