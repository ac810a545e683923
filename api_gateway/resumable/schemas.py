"""Answers about resumable uploads."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from reportgen_dagster.services.resumable import ResumableView


class BecameVersion(BaseModel):
    """The version of a dataset that an upload became."""

    dataset: str = Field(
        description="Of a last upload `default-input` or `default-reference`.", examples=["trades"]
    )
    version: int = Field(description="1, 2, 3 ...; the same bytes again make none.", examples=[3])
    digest: str = Field(description="SHA-256 of the bytes.", examples=["9f86d081884c7d65" * 4])
    columns: list[str] = Field(examples=[["key", "price"]])


class UploadItem(BaseModel):
    """A resumable upload."""

    id: str = Field(examples=["4f3c2b1a" * 4])
    state: Literal["receiving", "complete", "refused"] = Field(examples=["complete"])
    dataset: str | None = Field(description="The dataset that it becomes a version of.", examples=["trades"])
    role: Literal["input", "reference"] | None = Field(
        description="The last upload that it becomes, instead of a dataset.", examples=[None]
    )
    filename: str = Field(examples=["trades.csv"])
    size_bytes: int = Field(description="What it will have.", examples=[1_000_000])
    offset_bytes: int = Field(description="What is durable; go on from there.", examples=[1_000_000])
    became: BecameVersion | None = Field(description="Once it is complete.")
    error: str | None = Field(description="Why it was refused, in words to act on.", examples=[None])
    created_at: datetime
    expires_at: datetime = Field(description="It is forgotten then unless more comes.")

    @classmethod
    def of(cls, upload: ResumableView) -> UploadItem:
        """Show an upload."""
        return cls.model_validate(
            {
                **{name: getattr(upload, name) for name in cls.model_fields if name != "became"},
                "error": upload.error and upload.error["detail"],
                "became": upload.became and BecameVersion.model_validate(upload.became, from_attributes=True),
            }
        )
