"""Use case: what Dagster is told of published reports and the rules that they are made by, and that it was told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import datasets, reports, rulesets
from reportgen_dagster.catalog import runs as queue
from reportgen_dagster.catalog.tables import Artifact, Report, RulesetVersion, Run
from reportgen_dagster.errors import NotFoundError
from reportgen_dagster.services.attempts import ClaimedFile, claimed_files
from reportgen_dagster.services.context import Context

# What the outcome of a run that was published before revision 0002 does not tell.
_UNTOLD: dict[str, Any] = {"rules": [], "contracts": {}, "decisions": {}, "warnings": []}


@dataclass(frozen=True, slots=True)
class RulesVersion:
    """A version of a ruleset as Dagster is told of it.

    Attributes:
        number: 1, 2, 3 ... within the ruleset.
        digest: SHA-256 of the text.
        text: The rules.
        syntax: `yaml` or `json`.
        title: What the rules call themselves; may be empty.
        is_reported: Dagster was told of the version.
    """

    number: int
    digest: str
    text: str
    syntax: str
    title: str
    is_reported: bool

    @classmethod
    def of(cls, version: RulesetVersion) -> RulesVersion:
        """Return what Dagster is told of a version in the catalog."""
        return cls(
            number=version.number,
            digest=version.digest,
            text=version.text,
            syntax=version.syntax,
            title=str((version.summary or {}).get("title") or ""),
            is_reported=version.reported_at is not None,
        )


@dataclass(frozen=True, slots=True)
class Reportable:
    """A published report as Dagster is told of it.

    Attributes:
        artifact_id: Of the main file.
        artifact_digest: SHA-256 of the main file.
        sizes: Bytes of each file, by its format; the main one first.
        fresh_within_seconds: A report older than that is stale; None: nobody minds.
        public_url: Where users reach the API; empty if that is not known.
    """

    run_id: str
    owner_id: str
    report_name: str
    dagster_run_id: str | None
    outcome: dict[str, Any]
    files: dict[str, ClaimedFile]
    ruleset_name: str
    rules: RulesVersion
    artifact_id: str
    artifact_digest: str
    sizes: dict[str, int]
    parameters: dict[str, Any]
    run_date: date
    finished_at: datetime
    fresh_within_seconds: int | None
    public_url: str


def reportable(context: Context, run_id: str) -> Reportable:
    """Return a published report as Dagster is told of it.

    Raises:
        NotFoundError: If the run did not succeed.
    """
    with context.catalog.reading() as session:
        row = queue.published(session, run_id)
        if row is None:
            raise NotFoundError("This run has no report.")
        return _reportable(context, session, *row)


def latest(context: Context, report_id: str) -> Reportable:
    """Return the last published report of a definition.

    Raises:
        NotFoundError: If it was not made yet.
    """
    with context.catalog.reading() as session:
        run = reports.last_run(session, report_id, states=("succeeded",))
        row = queue.published(session, run.id) if run is not None else None
        if row is None:
            raise NotFoundError("This report has not been made yet.", hint="Materialize it.")
        return _reportable(context, session, *row)


def unreported(context: Context) -> list[Reportable]:
    """Return published reports that Dagster was not told of and whose worker is gone, oldest first."""
    with context.catalog.reading() as session:
        return [_reportable(context, session, *row) for row in queue.unreported(session)]


def mark_reported(context: Context, run_id: str) -> None:
    """Write that Dagster has all events of a published report."""
    with context.catalog.transaction() as session:
        queue.mark_reported(session, run_id)
        run = session.get_one(Run, run_id)
        # Versions of what is named wait for `report_new_versions`, which tells more of them.
        datasets.mark_unnamed_reported(session, list(run.inputs.values()))
        rulesets.mark_unnamed_reported(session, run.ruleset_version_id)


def _reportable(context: Context, session: Session, run: Run, artifact: Artifact) -> Reportable:
    ruleset_name, version = rulesets.named_version(session, run.ruleset_version_id)
    report = session.get(Report, run.report_id) if run.report_id is not None else None
    return Reportable(
        run_id=run.id,
        owner_id=run.owner_id,
        report_name=run.report_name,
        dagster_run_id=run.dagster_run_id,
        outcome={**_UNTOLD, "used_count": run.used_count, **(run.outcome or {})},
        files=claimed_files(session, run),
        ruleset_name=ruleset_name,
        rules=RulesVersion.of(version),
        artifact_id=artifact.id,
        artifact_digest=artifact.digest,
        sizes={made.format: made.size_bytes for made in queue.artifacts(session, run)},
        parameters=run.parameters,
        run_date=run.run_date,
        finished_at=run.finished_at or artifact.created_at,
        fresh_within_seconds=report.fresh_within_seconds if report is not None else None,
        public_url=context.settings.public_url.rstrip("/"),
    )
