"""Answers about one run: what it is made of, its files, its checks."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from api_gateway.deliveries.schemas import DeliveryItem, delivery_item
from api_gateway.reports.schemas import Links, RunItem, download_path, run_item
from reportgen_dagster.formats import Syntax
from reportgen_dagster.services.run_checks import RunCheck
from reportgen_dagster.services.run_details import ArtifactView, RunDetail
from reportgen_dagster.settings import Settings

_DIGEST = Field(description="SHA-256 of its bytes.", examples=["9f" * 32])


class PinnedFile(BaseModel):
    """The version of a dataset that a run is made of, whatever comes after it."""

    dataset: str = Field(examples=["trades"])
    version: int = Field(examples=[7])
    digest: str = _DIGEST
    size_bytes: int
    filename: str = Field(description="What the file was called when it came.", examples=["trades.csv"])


class PinnedRules(BaseModel):
    """The version of a ruleset that a run is made by."""

    name: str = Field(examples=["margin"])
    version: int = Field(examples=[3])
    digest: str = Field(description="SHA-256 of its text.", examples=["9f" * 32])
    syntax: Syntax
    filename: str = Field(examples=["margin.yaml"])


class RunCounts(BaseModel):
    """Rows; null as long as they are not known."""

    input: int | None = Field(description="Rows of the input.")
    used: int | None = Field(description="Those that the steps saw.")
    rejected: int | None = Field(description="Those that were diverted to the rejects.")
    report: int | None = Field(description="Rows of the report.")


class RunLinks(Links):
    """Where else to look, of one run."""

    events: str = Field(description="Live events (server-sent).")
    artifacts: str
    checks: str
    manifest: str | None = Field(description="Null as long as there is no report.")


class RunShown(RunItem):
    """A run with everything that belongs to it."""

    links: RunLinks
    inputs: dict[str, PinnedFile] = Field(
        description="Its files by what they are to the rules; those that were old and removed are not there."
    )
    ruleset: PinnedRules
    formats: list[str] | None = Field(
        description="What the report is made as; null: what the rules say.", examples=[["csv", "xlsx"]]
    )
    counts: RunCounts
    lost_attempts: int = Field(description="How often its worker died; the third time it fails.")
    expired_at: datetime | None = Field(description="When its files were removed, as they were old.")
    deliveries: list[DeliveryItem] = Field(description="What was or is to be sent of it, the latest first.")


class ArtifactItem(BaseModel):
    """A file of a report."""

    format: str = Field(examples=["csv"])
    media_type: str = Field(examples=["text/csv"])
    size_bytes: int = Field(examples=[52_113])
    digest: str = _DIGEST
    download: str = Field(
        description="Path of the file.", examples=[f"/api/download-report/{'0' * 32}/?format=csv"]
    )


class CheckItem(BaseModel):
    """Whether a file or the report is as it should be."""

    name: str = Field(description="As Dagster calls it.", examples=["input_contract"])
    passed: bool
    severity: Literal["error", "warn"] = Field(
        description="How bad it is if not: warn lets the report be made."
    )
    words: str = Field(description="Why, in a sentence.", examples=["No row was diverted to the rejects."])
    count: int | None = Field(description="Rows that are not as they should be; null where nobody counted.")
    failures: list[dict[str, Any]] = Field(
        description="What breaks a contract: column, check, message, count, samples, severity."
    )
    samples: list[dict[str, str]] = Field(description="The first few rejects, with line and reason.")


def run_shown(detail: RunDetail, settings: Settings) -> RunShown:
    """Show a run with everything that belongs to it."""
    run = detail.run
    item = run_item(run, settings)
    path = f"/api/v1/runs/{run.id}"
    return RunShown(
        **{
            **dict(item),
            "links": RunLinks(
                **dict(item.links),
                events=f"{path}/events",
                artifacts=f"{path}/artifacts",
                checks=f"{path}/checks",
                manifest=f"{path}/manifest"
                if run.state == "succeeded" and detail.expired_at is None
                else None,
            ),
        },
        inputs={name: PinnedFile(**asdict(file)) for name, file in detail.inputs.items()},
        ruleset=PinnedRules(**asdict(detail.ruleset)),
        formats=list(run.formats) if run.formats else None,
        counts=RunCounts(
            input=run.input_count,
            used=detail.used_count,
            rejected=run.reject_count,
            report=run.row_count,
        ),
        lost_attempts=detail.lost_attempts,
        expired_at=detail.expired_at,
        deliveries=[delivery_item(one) for one in detail.deliveries],
    )


def artifact_item(run_id: str, artifact: ArtifactView) -> ArtifactItem:
    """Show a file of a run."""
    return ArtifactItem(**asdict(artifact), download=f"{download_path(run_id)}?format={artifact.format}")


def check_item(check: RunCheck) -> CheckItem:
    """Show a check of a run."""
    counted = [failure["count"] for failure in check.failures if failure.get("count") is not None]
    count = check.reject_count if check.reject_count is not None else sum(counted) if counted else None
    return CheckItem(
        name=check.name,
        passed=check.passed,
        severity=check.severity,
        words=check.words,
        count=count,
        failures=check.failures,
        samples=check.samples,
    )
