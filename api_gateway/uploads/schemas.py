"""Answers of the upload calls."""

from __future__ import annotations

from pydantic import BaseModel, Field


class RulesUploaded(BaseModel):
    """Where the rules are kept."""

    message: str
    ruleset: str
    version: int = Field(description="1, 2, 3 ...; the same text again makes none.")


class FileUploaded(BaseModel):
    """Where a file is kept."""

    dataset: str
    version: int
    digest: str = Field(description="SHA-256 of the bytes as they were sent.")
    size_bytes: int
    columns: list[str]
    filename: str


class FilesUploaded(BaseModel):
    """Where the files are kept; null for one that was not sent."""

    message: str
    input: FileUploaded | None = None
    reference: FileUploaded | None = None
