"""Use case: what an owner sees of one run: what it is made of, which files it made, what was checked.

The list of runs and their files themselves are `runs.py`'s, the document to make one again elsewhere `manifests.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import datasets, rulesets
from reportgen_dagster.catalog import runs as queue
from reportgen_dagster.catalog.tables import Run
from reportgen_dagster.services import run_checks
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.outbox import DeliveryView, run_deliveries
from reportgen_dagster.services.run_checks import RunCheck
from reportgen_dagster.services.runs import RunView, own_run, refuse_expired, run_view


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """A version of a dataset that a run is made of.

    Attributes:
        dataset: The dataset's name.
        version: The version's number.
        digest: SHA-256 of its bytes.
        size_bytes: Their number.
        filename: What the file was called when it came.
    """

    dataset: str
    version: int
    digest: str
    size_bytes: int
    filename: str


@dataclass(frozen=True, slots=True)
class PinnedRules:
    """The version of a ruleset that a run is made by; `digest` is the SHA-256 of its text."""

    name: str
    version: int
    digest: str
    syntax: str
    filename: str


@dataclass(frozen=True, slots=True)
class RunDetail:
    """A run with everything that belongs to it.

    Attributes:
        run: What lists show of it.
        inputs: Its files, by what they are to the rules; those that were old and removed are not there.
        ruleset: Its rules.
        used_count: Rows of the input that the steps saw; None until it succeeded.
        lost_attempts: How often its worker died.
        expired_at: When its files were removed, as they were old.
        deliveries: What was or is to be delivered of it, the latest first.
    """

    run: RunView
    inputs: dict[str, PinnedFile]
    ruleset: PinnedRules
    used_count: int | None
    lost_attempts: int
    expired_at: datetime | None
    deliveries: list[DeliveryView]


@dataclass(frozen=True, slots=True)
class ArtifactView:
    """A file of a report; `digest` is the SHA-256 of its bytes, which never change."""

    format: str
    digest: str
    size_bytes: int
    media_type: str


def get_run(context: Context, owner_id: str, run_id: str) -> RunDetail:
    """Return a run of the caller's with everything that belongs to it.

    Raises:
        NotFoundError: If the caller has no such run.
    """
    deliveries = run_deliveries(context, owner_id, run_id)
    with context.catalog.reading() as session:
        run, has_rejects = own_run(session, owner_id, run_id)
        return RunDetail(
            run=run_view(run, has_rejects=has_rejects),
            inputs=_pinned_files(session, run),
            ruleset=_pinned_rules(session, run),
            used_count=run.used_count,
            lost_attempts=run.lost_attempts,
            expired_at=run.expired_at,
            deliveries=deliveries,
        )


def _pinned_files(session: Session, run: Run) -> dict[str, PinnedFile]:
    versions = datasets.named_versions(session, list(run.inputs.values()))
    found = {file: versions[id_] for file, id_ in sorted(run.inputs.items()) if id_ in versions}
    return {
        file: PinnedFile(name, version.number, version.digest, version.size_bytes, version.filename)
        for file, (name, version) in found.items()
    }


def _pinned_rules(session: Session, run: Run) -> PinnedRules:
    name, version = rulesets.named_version(session, run.ruleset_version_id)
    return PinnedRules(name, version.number, version.digest, version.syntax, version.filename)


def list_artifacts(context: Context, owner_id: str, run_id: str) -> list[ArtifactView]:
    """Return the files of the report of a run of the caller's, the main one first; none if it made no report (yet).

    Raises:
        NotFoundError: If the caller has no such run, or its files were old and are gone.
    """
    with context.catalog.reading() as session:
        run, _ = own_run(session, owner_id, run_id)
        refuse_expired(run)
        return [
            ArtifactView(made.format, made.digest, made.size_bytes, made.media_type)
            for made in queue.artifacts(session, run)
        ]


def list_checks(context: Context, owner_id: str, run_id: str) -> list[RunCheck]:
    """Return what was checked of a run of the caller's, as Dagster shows it; nothing before it ended.

    Raises:
        NotFoundError: If the caller has no such run.
    """
    with context.catalog.reading() as session:
        run, _ = own_run(session, owner_id, run_id)
        return run_checks.of_run(run)
