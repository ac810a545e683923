"""Use case: generate a report of a claimed run, step by step, and publish it.

Rows move once, in a confined process of the run's own (report_child.py); the steps here wait for it, one stage after the
other. Every write to the catalog is guarded by the claim's fence. The engine is imported where it is used: Dagster's code server
imports this module each time that it loads its definitions, and makes no reports.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reportgen_dagster.engine.confined import ConfinedProcess, Message
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.errors import ReportgenError, ServiceError
from reportgen_dagster.services import attempts
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.occasions import occasion_of
from reportgen_dagster.settings import Settings
from reportgen_dagster.tracing import span

if TYPE_CHECKING:
    from reportgen_dagster.engine.outcome import Outcome

REJECTS_FILE = "rejects.csv"
# Where each stage begins, in percent of the whole.
VALIDATE, TRANSFORM, PUBLISH = 15, 20, 95
NOTE_SECONDS = 5.0  # lines on how far a pass is come no faster

Note = Callable[[str], None]


def _silent(_line: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """A claimed run whose files are judged; its confined process goes on. Stages are waited for one after the other.

    Attributes:
        messages: What the process tells.
    """

    claim: attempts.Claim
    process: ConfinedProcess
    messages: Iterator[Message]

    def close(self) -> None:
        """End the process."""
        self.process.close()


@dataclass(frozen=True, slots=True)
class Planned:
    """A claimed run whose query is compiled and checked."""

    claim: attempts.Claim
    messages: Iterator[Message]


@dataclass(frozen=True, slots=True)
class Produced:
    """A claimed run whose files, one a format, are written, not yet visible to anybody."""

    claim: attempts.Claim
    outcome: Outcome
    files: dict[str, Path]
    rejects: Path


def run_limits(settings: Settings) -> Limits:
    """Return what one run may use."""
    return Limits(memory=settings.memory_limit, seconds=settings.time_limit_seconds, temp=settings.temp_limit)


@span("ingest")
def ingest(context: Context, claim: attempts.Claim, work: Path, note: Note = _silent) -> Ingested:
    """Start the run's confined process, which loads the rules and opens the files, and wait until it has.

    It does not wait for us: what `validate` and `transform` wait for may be done already. `note` is given lines for people here
    and in the later stages: what was done, and how far a long pass is.

    Raises:
        RulesError: If the rules do not fit the files' columns.
        BadRequestError: If the parameters are not what the rules want.
        BadDataError: If a file cannot be read.
        ServiceError: If a file is lost or damaged in storage, or the storage is away.
        ProcessLostError: If the process died, here and in the later stages.
    """
    from reportgen_dagster.services import report_child

    request = {
        "text": claim.rules.text,
        "source": claim.rules.filename,
        "syntax": claim.rules.syntax,
        "files": {name: str(path) for name, path in attempts.fetch_files(context, claim, work).items()},
        "parameters": claim.parameters,
        "run_date": claim.run_date.isoformat(),
        "work": str(work),
        "formats": claim.formats,
        "occasion": occasion_of(claim),
        "rejects": str(work / REJECTS_FILE),
        "limits": asdict(run_limits(context.settings)),
    }
    process = report_child.start(request)
    messages = process.messages()
    try:
        next(messages)
    except BaseException:
        process.close()
        raise
    files = ", ".join(
        f"{name} (version {file.version} of {file.dataset_name})" for name, file in claim.files.items()
    )
    note(f"ingest: opened {files}")
    return Ingested(claim, process, messages)


@span("validate")
def validate(context: Context, ingested: Ingested, note: Note = _silent) -> Planned:
    """Wait until lookup keys are settled and the rules are compiled and checked against the output contract.

    Raises:
        DuplicateKeyError: If a lookup key of a reference is there more than once.
        ContractError: If the query does not give what the rules promise.
    """
    attempts.enter_stage(context, ingested.claim, "validate", VALIDATE)
    next(ingested.messages)
    note(
        f"validate: version {ingested.claim.ruleset_version} of the rules {ingested.claim.ruleset_name} fits the files"
    )
    return Planned(ingested.claim, ingested.messages)


@span("transform")
def transform(context: Context, planned: Planned, work: Path, note: Note = _silent) -> Produced:
    """Wait for the pass that counts, diverts and writes into `work`, and tell the catalog how far it is.

    Raises:
        BadDataError: If the input cannot be read to its end, or a limit was reached.
        AccountingError: If rows in are not rows out plus rejects.
    """
    from reportgen_dagster.engine.outcome import Outcome

    attempts.enter_stage(context, planned.claim, "transform", TRANSFORM)
    message: Message = {}
    noted_at = time.monotonic()
    for message in planned.messages:
        if "progress" in message:
            percent = TRANSFORM + int((PUBLISH - TRANSFORM) * min(message["progress"], 1.0))
            attempts.enter_stage(context, planned.claim, "transform", percent, rows=message["rows"])
            if time.monotonic() - noted_at >= NOTE_SECONDS:
                noted_at = time.monotonic()
                note(f"transform: {100 * message['progress']:.0f} %, {message['rows']:,} rows")
    outcome = Outcome(**message["outcome"])
    files = {name: work / file for name, file in message["files"].items()}
    note(
        f"transform: {outcome.input_count:,} rows in, {outcome.reject_count:,} rejected, {outcome.row_count:,} rows of the report"
    )
    return Produced(planned.claim, outcome, files, work / REJECTS_FILE)


@span("publish")
def publish(context: Context, produced: Produced, note: Note = _silent) -> bool:
    """Store the files, then make them visible in one transaction.

    Returns:
        False if the claim is no longer ours; nothing is published then.
    """
    attempts.enter_stage(context, produced.claim, "publish", PUBLISH)
    artifacts = [
        attempts.NewArtifact.of(name, path.name, context.store.put_file(path))
        for name, path in produced.files.items()
    ]
    rejects = context.store.put_file(produced.rejects) if produced.outcome.reject_count else None
    published = attempts.publish(
        context, produced.claim, artifacts=artifacts, rejects=rejects, outcome=produced.outcome.to_json()
    )
    if published:
        sizes = ", ".join(f"{made.format} {made.stored.size_bytes:,} bytes" for made in artifacts)
        note(f"publish: {sizes}, downloadable now")
    return published


def publish_again(context: Context, claim: attempts.Claim, note: Note = _silent) -> bool:
    """Make files that the owner has already the result of a run that would make the same, and tell whether that was so."""
    source = attempts.publish_again(context, claim)
    if source is None:
        return False
    note(f"publish: files, rules and options are those of run {source}, whose files are this run's, too")
    return True


def fail(context: Context, claim: attempts.Claim, error: ReportgenError, work: Path | None) -> int:
    """End a run as failed, and keep what it had diverted before.

    Args:
        context: The installation.
        claim: The attempt's claim.
        error: Why.
        work: The folder that `transform` wrote into, if it came so far.

    Returns:
        How many rejects are kept.
    """
    count = int(error.facts.get("reject_count", 0))
    if work is None or not count:
        attempts.fail(context, claim, error, outcome=error.facts)
        return 0
    try:
        rejects = context.store.put_file(work / REJECTS_FILE)
    except ServiceError:  # the storage takes no more; the user is to know why the run failed all the same
        attempts.fail(context, claim, error)
        return 0
    attempts.fail(context, claim, error, rejects=rejects, outcome=error.facts)
    return count
