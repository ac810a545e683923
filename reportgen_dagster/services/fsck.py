"""Use case: check that catalog, storage and Dagster agree. Nothing is changed here, only told.

On a service at work a sentence may be about what is happening at this moment; ask again after a minute.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import Connection, exc

from reportgen_dagster.catalog import consistency, resumable, retention
from reportgen_dagster.catalog.session import short_lived_engine
from reportgen_dagster.identity import utc_now
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.retention import UNKNOWN_SECONDS

LEFT_ALONE_SECONDS = 120
FORGOTTEN_SECONDS = 2 * UNKNOWN_SECONDS


def fsck(context: Context, *, at_rest: bool = False) -> list[str]:
    """Check everything and return a sentence for each thing that is wrong; none if all agree.

    Reads every file in storage.

    Args:
        context: The installation.
        at_rest: It does not run and may have no Dagster yet, so nothing is said of runs that wait, or of Dagster's.

    Raises:
        UnavailableError: If the catalog's database is away.
    """
    if at_rest:
        return [*_contradictions(context), *_storage(context), *_parts(context)]
    return [
        *_contradictions(context),
        *_left_alone(context),
        *_overdue(context),
        *_storage(context),
        *_parts(context),
        *_dagster(context),
    ]


def _contradictions(context: Context) -> list[str]:
    with context.catalog.reading() as session:
        return consistency.contradictions(session)


def _left_alone(context: Context) -> Iterator[str]:
    with context.catalog.reading() as session:
        without_worker = consistency.left_alone(session, LEFT_ALONE_SECONDS)
    waiting = _waiting(context) if without_worker else set()
    for run_id, state in without_worker:
        if run_id not in waiting:
            yield (
                f"Run {run_id} was accepted more than {LEFT_ALONE_SECONDS} seconds ago, is {state},"
                " and neither Dagster's queue nor a living worker has it."
            )


def _waiting(context: Context) -> set[str]:
    """Return the runs that wait in Dagster's queue, as they may for long; none if Dagster's database does not tell."""
    try:
        with _dagster_database(context) as dagster:
            return consistency.queued_in_dagster(dagster)
    except exc.DBAPIError:
        return set()


def _overdue(context: Context) -> Iterator[str]:
    """Tell of runs whose files should have been removed long ago: nobody sweeps."""
    with context.catalog.reading() as session:
        asked_at = utc_now() - timedelta(seconds=FORGOTTEN_SECONDS)
        count = retention.count_old_runs(session, asked_at, context.settings.retention_days)
    if count:
        yield f"{count} runs or more have files that retention should have removed; the retention sensor does that."


def _storage(context: Context) -> Iterator[str]:
    with context.catalog.reading() as session:
        files = consistency.stored_files(session)
    for digest, what in files:
        if not context.store.exists(digest):
            yield f"The file {digest} is missing in storage: {what}."
        elif not context.store.verify(digest):
            yield f"The file {digest} in storage is damaged: {what}."
    known = {digest for digest, _ in files}
    for digest in context.store.digests(older_than_seconds=FORGOTTEN_SECONDS):
        if digest not in known:
            yield f"The file {digest} in storage belongs to nothing; the retention sensor removes such files."


def _parts(context: Context) -> Iterator[str]:
    """Tell of parts on this machine that should have been removed long ago: their upload is over, or there is none."""
    rested = set(context.store.parts.ids(older_than_seconds=FORGOTTEN_SECONDS))
    with context.catalog.reading() as session:
        unknown = rested - resumable.known_among(session, rested)
        over = resumable.expired_among(session, rested)
    for upload_id in sorted(unknown | over):
        belongs = "belongs to no upload" if upload_id in unknown else "is of an upload that is over"
        yield f"The part {upload_id} in storage {belongs}; the retention sensor removes such parts."


def _dagster(context: Context) -> list[str]:
    """Compare the states of runs in the catalog and in Dagster's database."""
    try:
        with _dagster_database(context) as dagster:
            return [*_outlived(context, dagster), *_untold(context, dagster)]
    except exc.DBAPIError:
        with context.catalog.reading() as session:
            known = consistency.has_dagster_runs(session)
        return ["Dagster's runs cannot be read from its database."] if known else []


@contextmanager
def _dagster_database(context: Context) -> Iterator[Connection]:
    with short_lived_engine(context.settings.dagster_database_url).connect() as connection:
        yield connection


def _outlived(context: Context, dagster: Connection) -> Iterator[str]:
    """Tell of Dagster runs that go on although their run in the catalog is final and no process works on it."""
    live = consistency.live_in_dagster(dagster)
    with context.catalog.reading() as session:
        final = consistency.final_among(session, {run_id for _, run_id in live if run_id})
    for dagster_run_id, run_id in live:
        if run_id in final:
            yield f"Run {run_id} is {final[run_id]}, but its Dagster run {dagster_run_id} is not finished."


def _untold(context: Context, dagster: Connection) -> Iterator[str]:
    """Tell of succeeded runs whose events Dagster got neither from the run nor afterwards."""
    with context.catalog.reading() as session:
        unreported = consistency.unreported(session)
    for dagster_run_id, status in consistency.not_succeeded_in_dagster(dagster, unreported).items():
        told = f"its Dagster run {dagster_run_id} is {status}" if status else "Dagster does not know its run"
        yield f"Run {unreported[dagster_run_id]} succeeded, but {told} and Dagster was not told of it."
