"""Use case: the manifest of a run, a document from which the same bytes can be made again elsewhere (`reportgen run --manifest`).

It has the text of the rules and all that was decided; of files it has digests. What belongs here: the document, making it of a
run, what a replay is asked, and what differs. What does not: carrying a replay out (report_child.py), its command
(`cli/replaying.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.orm import Session

from reportgen_dagster.catalog import runs as queue
from reportgen_dagster.catalog.tables import Rejects, Run
from reportgen_dagster.errors import BadRequestError, ConflictError, Problem
from reportgen_dagster.formats import Syntax
from reportgen_dagster.identity import digest_text
from reportgen_dagster.services.attempts import Claim, claim_of
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.occasions import occasion_of
from reportgen_dagster.services.recipes import engine_versions
from reportgen_dagster.services.runs import own_run, refuse_expired

_DIGEST = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of its bytes.", examples=["9f" * 32])


class ManifestRules(BaseModel):
    """The rules, with their text."""

    name: str = Field(description="The ruleset.", examples=["margin"])
    version: int = Field(description="Its version.", examples=[3])
    filename: str = Field(description="What the file was called; messages name it.", examples=["margin.yaml"])
    syntax: Syntax
    digest: str = _DIGEST
    text: str


class ManifestInput(BaseModel):
    """A file that was read, without its bytes."""

    dataset: str = Field(examples=["trades"])
    version: int = Field(description="Of the dataset.", examples=[7])
    filename: str = Field(examples=["trades.csv"])
    size_bytes: int
    digest: str = _DIGEST


class ManifestFile(BaseModel):
    """A file that was made."""

    size_bytes: int
    digest: str = _DIGEST
    media_type: str = Field(examples=["text/csv"])


class ManifestCounts(BaseModel):
    """Rows: of the input, those of it that were used or rejected, and of the report."""

    input: int
    used: int
    rejected: int
    report: int


class ManifestOccasion(BaseModel):
    """What pages (HTML, PDF) tell of the run that made them."""

    report: str
    run_id: str
    made_at: str
    rules: str
    file_names: dict[str, str]


class Manifest(BaseModel):
    """What the files of a run follow from, and what they are."""

    model_config = ConfigDict(extra="forbid")

    manifest: Literal[1] = Field(1, description="The form of this document.")
    run_id: str
    report_name: str
    accepted_at: datetime
    finished_at: datetime
    rules: ManifestRules
    inputs: dict[str, ManifestInput] = Field(description="By what the files are to the rules.")
    parameters: dict[str, Any] = Field(description="As they were given.")
    run_date: date = Field(description="What `today()` was.")
    formats: list[str] = Field(description="The main format first.", examples=[["csv", "xlsx"]])
    engines: dict[str, str] = Field(
        description="Versions of this software and of the libraries that made the files.",
        examples=[{"reportgen": "1.0.0", "duckdb": "2.0.0"}],
    )
    counts: ManifestCounts
    outputs: dict[str, ManifestFile] = Field(description="By format.")
    rejects: ManifestFile | None
    occasion: ManifestOccasion


def manifest_of(context: Context, owner_id: str, run_id: str) -> Manifest:
    """Return the manifest of a run of the caller's.

    Raises:
        NotFoundError: If the caller has no such run, or its files were old and are gone.
        ConflictError: If it has no report: it is not finished, failed or was cancelled.
    """
    with context.catalog.reading() as session:
        run, _ = own_run(session, owner_id, run_id)
        refuse_expired(run)
        if run.state != "succeeded" or run.finished_at is None:
            raise ConflictError(f"This run has no report: it is {run.state}.")
        claim = claim_of(session, run, run.fence)
        maker = _maker(session, run)
        occasion = occasion_of(claim if maker is run else claim_of(session, maker, maker.fence))
        rejects = session.get(Rejects, run.id)
        return Manifest(
            run_id=run.id,
            report_name=run.report_name,
            accepted_at=run.accepted_at,
            finished_at=run.finished_at,
            rules=_rules(claim),
            inputs=_inputs(claim),
            parameters=run.parameters,
            run_date=run.run_date,
            formats=run.formats or [],
            engines=(run.outcome or {}).get("engines", {}),
            counts=_counts(run),
            outputs={
                made.format: ManifestFile(
                    size_bytes=made.size_bytes, digest=made.digest, media_type=made.media_type
                )
                for made in queue.artifacts(session, run)
            },
            rejects=ManifestFile(size_bytes=rejects.size_bytes, digest=rejects.digest, media_type="text/csv")
            if rejects is not None
            else None,
            occasion=ManifestOccasion(**occasion),
        )


def _maker(session: Session, run: Run) -> Run:
    """Return the run that made the files: of runs of the same recipe the first."""
    while (earlier := (run.outcome or {}).get("same_as")) is not None:
        run = session.get_one(Run, earlier)
    return run


def _rules(claim: Claim) -> ManifestRules:
    return ManifestRules(
        name=claim.ruleset_name,
        version=claim.ruleset_version,
        filename=claim.rules.filename,
        syntax=claim.rules.syntax,
        digest=digest_text(claim.rules.text),
        text=claim.rules.text,
    )


def _inputs(claim: Claim) -> dict[str, ManifestInput]:
    return {
        name: ManifestInput(
            dataset=file.dataset_name,
            version=file.version,
            filename=file.filename,
            size_bytes=file.size_bytes,
            digest=file.digest,
        )
        for name, file in claim.files.items()
    }


def _counts(run: Run) -> ManifestCounts:
    return ManifestCounts(
        input=run.input_count or 0,
        used=run.used_count or 0,
        rejected=run.reject_count or 0,
        report=run.row_count or 0,
    )


def read_manifest(data: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        BadRequestError: With everything that is wrong with it.
    """
    try:
        found = Manifest.model_validate_json(data)
    except ValidationError as error:
        problems = [
            Problem(wrong["msg"], path=".".join(map(str, wrong["loc"])))
            for wrong in error.errors(include_url=False, include_input=False)
        ]
        raise BadRequestError("This is no manifest of a run.", problems=problems) from None
    if digest_text(found.rules.text) != found.rules.digest:
        raise BadRequestError("The text of the rules in this manifest was changed: it has another digest.")
    return found


def replay_request(manifest: Manifest) -> dict[str, Any]:
    """Return what `report_child.make` is asked to make the files again; where files, work and limits are is the caller's."""
    return {
        "text": manifest.rules.text,
        "source": manifest.rules.filename,
        "syntax": manifest.rules.syntax,
        "parameters": manifest.parameters,
        "run_date": manifest.run_date.isoformat(),
        "formats": manifest.formats,
        "occasion": manifest.occasion.model_dump(),
    }


def differences(manifest: Manifest, made: Mapping[str, str], rejects: str | None) -> list[Problem]:
    """Return what differs of files that were made again; nothing if they are the same to the byte.

    Args:
        manifest: Of the run.
        made: The digest of each file, by its format.
        rejects: The digest of the rejects, if there are any.
    """
    wanted = {name: file.digest for name, file in manifest.outputs.items()}
    known = {"rejects": manifest.rejects.digest} if manifest.rejects is not None else {}
    found = {**made, **({"rejects": rejects} if rejects is not None else {})}
    return [
        Problem(f"is {found.get(name, 'not there')}, not {digest}", path=name)
        for name, digest in {**wanted, **known}.items()
        if found.get(name) != digest
    ] + [Problem("was not made by the run", path=name) for name in found if name not in {**wanted, **known}]


def other_engines(manifest: Manifest) -> str:
    """Say which of the manifest's software is of another version here; empty: none is."""
    here = engine_versions()
    return ", ".join(
        f"{name} {version} (here {here.get(name, 'none')})"
        for name, version in manifest.engines.items()
        if here.get(name) != version
    )
