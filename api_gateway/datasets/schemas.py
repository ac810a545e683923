"""Answers about datasets, and what a dataset's expectation is to be."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from reportgen_dagster.services.datasets import DatasetView, ExpectationView, VersionView


class VersionItem(BaseModel):
    """A version of a dataset. It never changes; the bytes are at `/content`."""

    dataset: str = Field(examples=["trades"])
    version: int = Field(description="1, 2, 3 ... within the dataset.", examples=[3])
    digest: str = Field(
        description="SHA-256 of the bytes as they were sent.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
    size_bytes: int = Field(examples=[104857600])
    filename: str = Field(description="What the file was called.", examples=["trades_2026-11-28.csv"])
    columns: list[str] = Field(
        description="The names in its header, as they are read where no rules say how it is written.",
        examples=[["id", "desk", "price"]],
    )
    created_at: datetime = Field(examples=["2026-11-29T06:00:00Z"])
    received_at: datetime = Field(
        description="When these bytes last came while they were the latest version.",
        examples=["2026-11-29T06:00:00Z"],
    )


class VersionAdded(VersionItem):
    """The version that a file became, or was already."""

    note: str | None = Field(
        description="What is to be minded where the file is unusual.",
        examples=["only rules that say how this file is written can use it: ..."],
    )


class Expectation(BaseModel):
    """When new versions of a dataset are expected; a late one is told in Dagster."""

    model_config = ConfigDict(extra="forbid")

    cron: str = Field(
        max_length=200, description="When new versions are due: five fields.", examples=["0 6 * * 1-5"]
    )
    timezone: str = Field(
        "UTC",
        max_length=100,
        description="The time zone of `cron`: an IANA name.",
        examples=["Europe/Berlin"],
    )
    within_seconds: int = Field(
        3600, ge=1, le=31 * 24 * 3600, description="How long after its time one may come.", examples=[3600]
    )


class DatasetItem(BaseModel):
    """A dataset: a name for files of the same kind, each of which is a version."""

    name: str = Field(examples=["trades"])
    latest: VersionItem
    expectation: Expectation | None = Field(description="Null: nobody minds when new versions come.")


class ColumnProfile(BaseModel):
    """What all rows show of a column."""

    name: str = Field(examples=["price"])
    type: str = Field(
        description="What every cell is: integer, number, boolean, date, datetime, else text; null without any cell.",
        examples=["number"],
    )
    nulls: int = Field(description="Rows without a cell.", examples=[12])
    distinct: int = Field(description="How many values there are.", examples=[981])
    least: str | None = Field(description="The smallest value.", examples=["0.01"])
    greatest: str | None = Field(description="The largest value.", examples=["999.5"])


class Profile(BaseModel):
    """What a version holds."""

    rows: int = Field(description="Rows that can be read, the header not counted.", examples=[10000])
    unreadable_rows: int = Field(
        description="Rows that would be rejects of every report, as they cannot be read.", examples=[0]
    )
    distinct_is_estimated: bool = Field(description="Numbers of distinct values are a few percent off.")
    columns: list[ColumnProfile]
    decisions: list[str] = Field(
        description="How the file was read, in words.", examples=[["the cells are separated by `;`"]]
    )


class FirstRows(BaseModel):
    """The first rows of a version."""

    columns: list[str] = Field(description="The first 50.", examples=[["id", "desk"]])
    rows: list[list[str | None]] | None = Field(
        description="Cells as they are in the file, cut after 200 characters. Null where an older release looked at it.",
        examples=[[["T1", "FX"], ["T2", None]]],
    )
    markdown: str = Field(description="The same as a Markdown table.")


def version_item(dataset: str, version: VersionView) -> VersionItem:
    """Show a version to its owner."""
    return VersionItem(**_members(dataset, version))


def version_added(dataset: str, version: VersionView, note: str | None) -> VersionAdded:
    """Show a version to whoever just sent it."""
    return VersionAdded(**_members(dataset, version), note=note)


def _members(dataset: str, version: VersionView) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "version": version.number,
        "digest": version.digest,
        "size_bytes": version.size_bytes,
        "filename": version.filename,
        "columns": version.columns,
        "created_at": version.created_at,
        "received_at": version.received_at,
    }


def dataset_item(dataset: DatasetView) -> DatasetItem:
    """Show a dataset to its owner."""
    return DatasetItem(
        name=dataset.name,
        latest=version_item(dataset.name, dataset.latest),
        expectation=expectation_item(dataset.expected) if dataset.expected else None,
    )


def expectation_item(expectation: ExpectationView) -> Expectation:
    """Show when new versions are expected."""
    return Expectation(
        cron=expectation.cron, timezone=expectation.timezone, within_seconds=expectation.within_seconds
    )


def first_rows(profile: dict[str, Any], shown_columns: int = 50) -> FirstRows:
    """Show the first rows of a profile."""
    return FirstRows(
        columns=[column["name"] for column in profile["columns"][:shown_columns]],
        rows=profile.get("first_rows"),
        markdown=profile["preview"],
    )
