"""Use case: generate a report of a claimed run, step by step, and publish it.

Rows move once, in `transform`; what the steps hand on are plans. Every write to the catalog is guarded by the claim's fence.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reportgen_dagster.engine import report
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.outcome import Outcome
from reportgen_dagster.errors import ReportgenError, ServiceError
from reportgen_dagster.rules.reading.loading import load_ruleset
from reportgen_dagster.services import attempts
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.parameters import typed_parameters
from reportgen_dagster.settings import Settings

PROGRESS_INTERVAL_SECONDS = 1.0
REPORT_FILE = "report.csv"
REJECTS_FILE = "rejects.csv"
# Where each stage begins, in percent of the whole.
INGEST, VALIDATE, TRANSFORM, PUBLISH = 5, 15, 20, 95


@dataclass(frozen=True, slots=True)
class Ingested:
    """A claimed run whose files are judged and open."""

    claim: attempts.Claim
    report: report.Ingested

    def close(self) -> None:
        """Close the engine's connection."""
        self.report.close()


@dataclass(frozen=True, slots=True)
class Planned:
    """A claimed run whose query is compiled and checked."""

    claim: attempts.Claim
    plan: report.Plan


@dataclass(frozen=True, slots=True)
class Produced:
    """A claimed run whose files are written, not yet visible to anybody."""

    claim: attempts.Claim
    outcome: Outcome
    report: Path
    rejects: Path


def run_limits(settings: Settings) -> Limits:
    """Return what one run may use."""
    return Limits(memory=settings.memory_limit, seconds=settings.time_limit_seconds, temp=settings.temp_limit)


def ingest(context: Context, claim: attempts.Claim, work: Path) -> Ingested:
    """Load the rules and open the files.

    Raises:
        RulesError: If the rules do not fit the files' columns.
        BadRequestError: If the parameters are not what the rules want.
        BadDataError: If a file cannot be read.
    """
    ruleset = load_ruleset(claim.rules.text, source=claim.rules.filename, syntax=claim.rules.syntax)
    ingested = report.ingest(
        ruleset,
        {name: file.path for name, file in claim.files.items()},
        work=work,
        limits=run_limits(context.settings),
        parameters=typed_parameters(ruleset, claim.parameters),
        run_date=claim.run_date,
    )
    return Ingested(claim, ingested)


def validate(context: Context, ingested: Ingested) -> Planned:
    """Settle lookup keys, compile the rules and check the query against the output contract.

    Raises:
        DuplicateKeyError: If a lookup key of a reference is there more than once.
        ContractError: If the query does not give what the rules promise.
    """
    attempts.enter_stage(context, ingested.claim, "validate", VALIDATE)
    return Planned(ingested.claim, report.validate(ingested.report))


def transform(context: Context, planned: Planned, work: Path) -> Produced:
    """Run the pass that counts, diverts and writes into `work`.

    Raises:
        BadDataError: If the input cannot be read to its end, or a limit was reached.
        AccountingError: If rows in are not rows out plus rejects.
    """
    attempts.enter_stage(context, planned.claim, "transform", TRANSFORM)
    output, rejects = work / REPORT_FILE, work / REJECTS_FILE
    outcome = report.transform(
        planned.plan, output=output, rejects=rejects, progress=_reporter(context, planned.claim)
    )
    return Produced(planned.claim, outcome, output, rejects)


def _reporter(context: Context, claim: attempts.Claim) -> Callable[[float], None]:
    """Return a callback that writes progress to the catalog, at most once a second."""
    last = time.monotonic()

    def report_progress(fraction: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_INTERVAL_SECONDS:
            last = now
            percent = TRANSFORM + int((PUBLISH - TRANSFORM) * min(fraction, 1.0))
            attempts.enter_stage(context, claim, "transform", percent)

    return report_progress


def publish(context: Context, produced: Produced) -> bool:
    """Store the files, then make them visible in one transaction.

    Returns:
        False if the claim is no longer ours; nothing is published then.
    """
    stored = context.store.put_file(produced.report)
    rejects = context.store.put_file(produced.rejects) if produced.outcome.reject_count else None
    return attempts.publish(
        context, produced.claim, report=stored, rejects=rejects, outcome=produced.outcome.to_json()
    )


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
