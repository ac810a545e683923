"""Answers about the rules language."""

from __future__ import annotations

from pydantic import BaseModel, Field


class FunctionItem(BaseModel):
    """A function that expressions may call."""

    name: str = Field(examples=["round"])
    signature: str = Field(description="The name with its arguments.", examples=["round(number[, digits])"])
    topic: str = Field(description="What it is about.", examples=["numbers"])
    role: str = Field(
        description="Where it may be called: `scalar`, `aggregate` or `window`.", examples=["scalar"]
    )
    alias_of: str | None = Field(description="The function that this is another name of.", examples=[None])
    result: str = Field(description="What it gives.", examples=["number"])
    summary: str = Field(examples=["Rounds half to even."])
    example: str = Field(examples=["round(2.345, 2)"])
    example_result: str = Field(examples=["2.34"])


class FunctionList(BaseModel):
    """Every function, in the order of the reference page."""

    items: list[FunctionItem]
