"""Use case: what becomes of accepted and running runs that nobody takes care of. The only authority that retries.

Called every few seconds by a Dagster sensor and by the gateway; of two at once, one works.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func
from sqlalchemy.orm import Session

from reportgen_dagster.catalog import idempotency, leases, run_events
from reportgen_dagster.catalog import runs as queue
from reportgen_dagster.catalog.tables import Run
from reportgen_dagster.errors import WorkerLostError
from reportgen_dagster.services import outbox
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.launching import Launch, as_launch

MAX_LOST_ATTEMPTS = 3
LAUNCH_AFTER_SECONDS = 10
REAPER_LOCK = 7_301_002  # key of the advisory lock


def reap(context: Context) -> list[str]:
    """Make running runs whose worker is gone accepted again, or failed when that happened too often.

    A worker that died counts; one that ended because a server was away does not.

    Returns:
        What was done, a sentence for each run.

    Raises:
        UnavailableError: If the database is away; nothing is done then.
    """
    with context.catalog.transaction() as session:
        if not leases.try_lock(session, REAPER_LOCK):
            return []
        dead = queue.dead(session)
        told = [_settle(session, run, ending) for run, ending in dead]
        session.flush()
        for run, _ in dead:
            run_events.note(session, run.id)
        leases.end(session, [run.dagster_run_id for run, _ in dead if run.dagster_run_id], "lost")
        idempotency.remove_old(session)
        return told


def _settle(session: Session, run: Run, ending: str | None) -> str:
    """Decide what becomes of a run whose attempt is over without a word.

    A process that came to its own end and left no word could not write one: the database was away then.
    """
    if ending in ("interrupted", "done"):
        _accept_again(run)
        return f"Run {run.id} was interrupted by a server that was away; it is accepted again."
    run.lost_attempts += 1
    count = f"{run.lost_attempts} of {MAX_LOST_ATTEMPTS}"
    if run.lost_attempts < MAX_LOST_ATTEMPTS:
        _accept_again(run)
        return f"Run {run.id} lost its worker ({count}); it is accepted again."
    _fail(
        run, WorkerLostError(f"The worker of this run died {run.lost_attempts} times; it is not tried again.")
    )
    session.flush()
    outbox.note_end(session, run.id)
    return f"Run {run.id} lost its worker ({count}); it failed."


def _accept_again(run: Run) -> None:
    run.state = "accepted"
    run.stage = "waiting"
    run.progress = 0
    run.launched_at = None


def _fail(run: Run, error: WorkerLostError) -> None:
    run.state = "failed"
    run.error = error.to_json()
    run.finished_at = func.clock_timestamp()


def launchable(context: Context, *, older_than_seconds: float = LAUNCH_AFTER_SECONDS) -> list[Launch]:
    """Return accepted runs that nobody asked Dagster for lately, those first whose turn it is.

    Args:
        context: The installation.
        older_than_seconds: How long after acceptance, or after its first launch, a run is launched again; later
            launches wait up to six times as long. A run that was given back is launchable at once.
    """
    with context.catalog.reading() as session:
        rows = queue.launchable(session, timedelta(seconds=older_than_seconds))
    return [as_launch(row) for row in rows]


def mark_launched(context: Context, run_id: str, dagster_run_id: str | None) -> str:
    """Write that Dagster was asked for a run.

    Args:
        context: The installation.
        run_id: The run.
        dagster_run_id: The Dagster run, if its id is known already.

    Returns:
        A name that no other launch of this run has; empty if the run is not accepted any more.
    """
    with context.catalog.transaction() as session:
        launched = queue.mark_launched(session, run_id, dagster_run_id)
    return "-".join(map(str, launched)) if launched else ""


def mark_waiting(context: Context, run_ids: Sequence[str]) -> None:
    """Write that Dagster still has accepted runs in its queue, so that others are looked at before them."""
    with context.catalog.transaction() as session:
        queue.mark_waiting(session, run_ids)
