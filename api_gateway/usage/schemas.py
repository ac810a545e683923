"""Answers about what a user uses."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Measure(BaseModel):
    """How much of something there is, and may be."""

    used: int = Field(examples=[1_250_000])
    allowed: int | None = Field(description="Null: no bound.", examples=[1_000_000_000_000])


class UsageShown(BaseModel):
    """What the caller uses and may use."""

    stored_bytes: Measure = Field(
        description="Bytes in storage: files, reports and rejects, the same bytes once; each version of rules; and what open"
        " uploads will bring."
    )
    files: Measure = Field(
        description="Versions of datasets, last uploads and files of single runs among them."
    )
    open_uploads: Measure = Field(description="Resumable uploads that are not whole.")
    queued_runs: Measure = Field(description="Runs that wait for their turn.")
    largest_file_bytes: int = Field(description="What one file may have.", examples=[10_000_000_000])
