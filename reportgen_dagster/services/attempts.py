"""Use case: one attempt at a run, which is one Dagster run: its sign of life, its claim, its end.

Whatever an attempt writes is guarded by the fence that its claim got: a zombie's write changes nothing. What follows
from a lost sign of life is `reaper.py`, what Dagster is told of a result `publications.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import func
from sqlalchemy.orm import Session

from reportgen_dagster import logs
from reportgen_dagster.catalog import datasets, leases, rulesets
from reportgen_dagster.catalog import runs as queue
from reportgen_dagster.catalog.tables import STAGES, Artifact, Rejects, Run
from reportgen_dagster.errors import (
    AccountingError,
    ConflictError,
    LostFileError,
    ReportgenError,
)
from reportgen_dagster.formats import is_packed_name, media_type
from reportgen_dagster.services import outbox
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.recipes import engine_versions, recipe_of
from reportgen_dagster.services.uploads import RulesText, as_rules_text
from reportgen_dagster.storage.store import Stored

BEAT_SECONDS = 3
_COUNTS = ("input_count", "used_count", "reject_count", "row_count")

Ending = Literal["done", "lost", "interrupted"]

_CANCELLED = {
    "code": "cancelled",
    "title": "The run was cancelled",
    "fault": "request",
    "detail": "Whoever runs this service cancelled the run.",
    "hint": "Generate the report again if you still need it.",
    "problems": [],
}


@dataclass(frozen=True, slots=True)
class ClaimedFile:
    """A file that a run is pinned to.

    Attributes:
        digest: SHA-256 of its bytes, as they were uploaded.
        size_bytes: Their number.
        dataset_name: The dataset it is a version of.
        version: The version's number.
        filename: The client's name for it, for show only.
        is_reported: Dagster was told of the version.
        columns: The names in its header, as read when it came.
        profile: What a look at it found (`services/versions.py`); None: nobody looked yet.
    """

    digest: str
    size_bytes: int
    dataset_name: str
    version: int
    filename: str
    is_reported: bool
    columns: list[str]
    profile: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Claim:
    """The right of one attempt to carry out a run, as long as nobody else got a newer one.

    Attributes:
        fence: The number that guards every write; a newer claim has a higher one.
        files: By what they are to the rules.
        parameters: As they were given for this run.
        run_date: What `today()` is.
        formats: What the report is made as; None: what the rules say.
    """

    run_id: str
    fence: int
    owner_id: str
    report_name: str
    rules: RulesText
    ruleset_name: str
    ruleset_version: int
    files: dict[str, ClaimedFile]
    parameters: dict[str, Any]
    run_date: date
    formats: tuple[str, ...] | None
    accepted_at: datetime


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """A file of a report, in storage already."""

    format: str
    stored: Stored
    media_type: str

    @classmethod
    def of(cls, format: str, name: str, stored: Stored) -> NewArtifact:  # noqa: A002 - the word of the language
        """Return the artifact of a file that was called `name` when it was made."""
        return cls(format, stored, media_type(format, packed=is_packed_name(name)))


def begin(context: Context, dagster_run_id: str, worker: str) -> bool:
    """Begin to give signs of life for a Dagster run.

    Args:
        context: The installation.
        dagster_run_id: The Dagster run, which is the attempt.
        worker: Who gives them: host and process id.

    Returns:
        False if another worker does so, or has carried the Dagster run out or claimed a run for it.
    """
    with context.catalog.transaction() as session:
        return leases.begin(session, dagster_run_id, worker)


def beat(context: Context, dagster_run_id: str) -> bool:
    """Give a sign of life; due every `BEAT_SECONDS`. False if the attempt was given up already."""
    with context.catalog.transaction() as session:
        return leases.beat(session, dagster_run_id)


def end(context: Context, dagster_run_id: str, ending: Ending) -> None:
    """Write how an attempt's process ended; the first word counts.

    Args:
        context: The installation.
        dagster_run_id: The attempt.
        ending: `done`: it said all it had to; `lost`: it died; `interrupted`: a server was away, nobody's death.
    """
    with context.catalog.transaction() as session:
        leases.end(session, [dagster_run_id], ending)


def is_cancelled(
    context: Context, dagster_run_id: str, run_id: str | None, *, by_operator: bool = False
) -> bool:
    """Tell whether the run that a Dagster run carries out was cancelled.

    Args:
        context: The installation.
        dagster_run_id: The attempt.
        run_id: The run that it was launched for, if it may not have claimed it yet.
        by_operator: Count only what an operator cancelled, not what its owner did.
    """
    with context.catalog.reading() as session:
        return queue.is_cancelled(session, dagster_run_id, run_id, _CANCELLED if by_operator else None)


def is_alive(context: Context, dagster_run_id: str) -> bool | None:
    """Tell whether an attempt gave a sign of life in the last `LEASE_SECONDS`; None if it never began."""
    with context.catalog.reading() as session:
        return leases.is_alive(session, dagster_run_id)


def claim(context: Context, run_id: str, dagster_run_id: str) -> Claim | None:
    """Take an accepted run; of several attempts exactly one gets it.

    Returns:
        None if somebody else has or had it, or if there is no such run.
    """
    with context.catalog.transaction() as session:
        fence = queue.claim(session, run_id, dagster_run_id)
        if fence is None:
            return None
        leases.note_claim(session, dagster_run_id, run_id, fence)
        run = session.get_one(Run, run_id, populate_existing=True)
        logs.note(run_id=run_id, user_id=run.owner_id)
        return claim_of(session, run, fence)


def claim_of(session: Session, run: Run, fence: int) -> Claim:
    """Return what the attempt that got a fence is to do, or did."""
    ruleset_name, version = rulesets.named_version(session, run.ruleset_version_id)
    return Claim(
        run_id=run.id,
        fence=fence,
        owner_id=run.owner_id,
        report_name=run.report_name,
        rules=as_rules_text(version),
        ruleset_name=ruleset_name,
        ruleset_version=version.number,
        files=claimed_files(session, run),
        parameters=run.parameters,
        run_date=run.run_date,
        formats=tuple(run.formats) if run.formats else None,
        accepted_at=run.accepted_at,
    )


def claimed_files(session: Session, run: Run) -> dict[str, ClaimedFile]:
    """Return the files that a run is pinned to, by what they are to the rules."""
    versions = datasets.named_versions(session, list(run.inputs.values()))
    files = {}
    for name, version_id in sorted(run.inputs.items()):
        dataset_name, version = versions[version_id]
        files[name] = ClaimedFile(
            digest=version.digest,
            size_bytes=version.size_bytes,
            dataset_name=dataset_name,
            version=version.number,
            filename=version.filename,
            is_reported=version.reported_at is not None,
            columns=version.header,
            profile=version.profile,
        )
    return files


def fetch_files(context: Context, claim: Claim, work: Path) -> dict[str, Path]:
    """Return where the files of a claimed run can be read on this machine, by what they are to the rules.

    Args:
        context: The installation.
        claim: The attempt's claim.
        work: The attempt's folder, for copies if the storage is elsewhere.

    Raises:
        LostFileError: If a file is not in storage any more.
        DamagedFileError: If its bytes are not those that were uploaded.
        UnavailableError: If the storage is away.
    """
    return {name: context.store.fetch(file.digest, work) for name, file in claim.files.items()}


def enter_stage(
    context: Context, claim: Claim, stage: str, progress: int, *, rows: int | None = None
) -> None:
    """Show how far an attempt is.

    Args:
        context: The installation.
        claim: The attempt's claim.
        stage: One of `STAGES`.
        progress: Percent of the whole.
        rows: Rows read so far, if that is known.

    Raises:
        ValueError: If there is no such stage.
        ConflictError: If the claim is no longer ours; the attempt should end.
    """
    if stage not in STAGES:
        raise ValueError(f"{stage!r} is not one of {STAGES}")
    percent = max(0, min(100, progress))
    with context.catalog.transaction() as session:
        changed = {"stage": stage, "progress": percent}
        if not queue.change_claimed(session, claim.run_id, claim.fence, rows=rows, **changed):
            raise ConflictError("The run was given to another attempt, or was cancelled.")


def publish(
    context: Context,
    claim: Claim,
    *,
    artifacts: Sequence[NewArtifact],
    rejects: Stored | None,
    outcome: Mapping[str, Any],
    source: str | None = None,
) -> bool:
    """Make stored files a run's result, in one transaction.

    Args:
        context: The installation.
        claim: The attempt's claim.
        artifacts: The report's files, in storage already; the first one is what is downloaded where nobody names a format.
        rejects: The rejects, in storage already, if there are any.
        outcome: `input_count`, `used_count`, `reject_count`, `row_count`, and whatever is to be told of the result.
        source: The run whose files these are, if that is another one.

    Returns:
        False if the claim is no longer ours; nothing is published then.

    Raises:
        AccountingError: If rows in are not rows used plus rejects. Nothing is published then.
        LostFileError: If a file is not in storage. Nothing is published then.
    """
    counts = {name: int(outcome[name]) for name in _COUNTS}
    _check_accounts(counts, rejects)
    digests = [made.stored.digest for made in artifacts] + ([rejects.digest] if rejects is not None else [])
    if not all(map(context.store.exists, digests)):
        raise LostFileError("A file of the report is missing in storage.")
    with context.catalog.transaction() as session:
        if source is not None and not queue.keeps_files(session, source):
            raise LostFileError("The files of the earlier run were removed meanwhile.")
        ours = queue.change_claimed(
            session,
            claim.run_id,
            claim.fence,
            state="succeeded",
            stage="done",
            progress=100,
            finished_at=func.clock_timestamp(),
            outcome=storable({"engines": engine_versions(), **outcome}),
            formats=[made.format for made in artifacts],
            recipe=recipe_of(claim),
            **counts,
        )
        if not ours:
            return False
        session.add_all(_artifact(claim.run_id, made) for made in artifacts)
        if rejects is not None:
            session.add(_rejects(claim.run_id, rejects, counts["reject_count"]))
        outbox.note_end(session, claim.run_id)
    return True


def publish_again(context: Context, claim: Claim) -> str | None:
    """Make the files of an earlier run of the owner the result of a run whose files would be the same.

    Args:
        context: The installation.
        claim: The attempt's claim.

    Returns:
        The id of the earlier run. None if there is none, or the claim is no longer ours; nothing is published then.
    """
    recipe = recipe_of(claim)
    with context.catalog.reading() as session:
        source = queue.same_recipe(session, claim.owner_id, recipe)
        if source is None:
            return None
        artifacts = [
            NewArtifact(made.format, Stored(made.digest, made.size_bytes), made.media_type)
            for made in queue.artifacts(session, source)
        ]
        rejected = session.get(Rejects, source.id)
        rejects = Stored(rejected.digest, rejected.size_bytes) if rejected is not None else None
        outcome = {
            **(source.outcome or {}),
            **{name: getattr(source, name) for name in _COUNTS},
            "same_as": source.id,
        }
    try:
        published = publish(
            context, claim, artifacts=artifacts, rejects=rejects, outcome=outcome, source=source.id
        )
    except LostFileError:  # this run makes it again
        return None
    return source.id if published else None


def _check_accounts(counts: Mapping[str, int], rejects: Stored | None) -> None:
    """Refuse a result whose rows do not add up.

    Raises:
        AccountingError: With the counts.
    """
    if counts["input_count"] != counts["used_count"] + counts["reject_count"]:
        raise AccountingError(
            f"{counts['input_count']} rows in, but {counts['used_count']} used and {counts['reject_count']} rejected."
        )
    if (rejects is None) != (counts["reject_count"] == 0):
        raise AccountingError(
            f"{counts['reject_count']} rows rejected, and the file of rejects says otherwise."
        )


def _artifact(run_id: str, made: NewArtifact) -> Artifact:
    return Artifact(
        run_id=run_id,
        format=made.format,
        digest=made.stored.digest,
        size_bytes=made.stored.size_bytes,
        media_type=made.media_type,
    )


def _rejects(run_id: str, stored: Stored, reject_count: int) -> Rejects:
    return Rejects(run_id=run_id, digest=stored.digest, size_bytes=stored.size_bytes, row_count=reject_count)


def storable(value: Any) -> Any:
    """Return JSON data with the characters replaced that PostgreSQL does not store: NUL and lone surrogates."""
    if isinstance(value, str):
        return value.replace("\0", "\N{SYMBOL FOR NULL}").encode(errors="replace").decode()
    if isinstance(value, Mapping):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value


def fail(
    context: Context,
    claim: Claim,
    error: ReportgenError,
    *,
    rejects: Stored | None = None,
    outcome: Mapping[str, Any] | None = None,
) -> bool:
    """End a run as failed, for good; False if the claim is no longer ours.

    Args:
        context: The installation.
        claim: The attempt's claim.
        error: Why.
        rejects: Rows that were diverted before it failed, in storage already; they stay downloadable.
        outcome: What is known of the result; at least `reject_count` if `rejects` are given.
    """
    known = dict(outcome or {})
    counts = {name: int(known[name]) for name in _COUNTS if name in known and name != "row_count"}
    with context.catalog.transaction() as session:
        ours = queue.change_claimed(
            session,
            claim.run_id,
            claim.fence,
            state="failed",
            finished_at=func.clock_timestamp(),
            error=storable(error.to_json()),
            outcome=storable(known) or None,
            **counts,
        )
        if ours and rejects is not None:
            session.add(_rejects(claim.run_id, rejects, counts["reject_count"]))
        if ours:
            outbox.note_end(session, claim.run_id)
        return ours


def release(context: Context, claim: Claim) -> bool:
    """Give a run back as accepted because a server was away; not counted. False if it is no longer ours."""
    with context.catalog.transaction() as session:
        return queue.change_claimed(
            session,
            claim.run_id,
            claim.fence,
            state="accepted",
            stage="waiting",
            progress=0,
            launched_at=None,
        )


def give_up(context: Context, dagster_run_id: str, error: ReportgenError) -> bool:
    """Fail the run of an attempt whose process does not answer any more; False if it is not running.

    Args:
        context: The installation.
        dagster_run_id: The attempt.
        error: Why.
    """
    with context.catalog.transaction() as session:
        run_id = queue.fail_attempt(session, dagster_run_id, storable(error.to_json()))
        if run_id is not None:
            outbox.note_end(session, run_id)
        return run_id is not None


def cancel(context: Context, dagster_run_id: str, run_id: str | None = None) -> bool:
    """Cancel the run that a cancelled Dagster run carries out, or was launched for.

    Args:
        context: The installation.
        dagster_run_id: The cancelled Dagster run.
        run_id: The run that its tag names; needed where a sensor launched it and nobody claimed it yet.

    Returns:
        False if there is no such unfinished run.
    """
    with context.catalog.transaction() as session:
        return queue.cancel(session, dagster_run_id, run_id, _CANCELLED)
