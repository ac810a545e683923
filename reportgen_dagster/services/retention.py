"""Use case: remove what is old or belongs to nothing, so that the disk does not fill.

What belongs here: for how long what is kept. What does not: which rows that is (catalog/retention.py), removing bytes (storage/).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from reportgen_dagster.catalog import consistency, retention
from reportgen_dagster.identity import utc_now
from reportgen_dagster.services import audit, resumable, throttling
from reportgen_dagster.services.context import Context

# A file may lie in storage for so long before the catalog knows of it: longer than any upload or report takes.
UNKNOWN_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed.

    Attributes:
        runs: Runs whose files were removed; the runs stay.
        versions: Versions of datasets.
        files: Files in storage, of these or that belonged to nothing.
        left_over: What killed processes had left half written.
        uploads: Resumable uploads that are over.
    """

    runs: int
    versions: int
    files: int
    left_over: int
    uploads: int

    def __str__(self) -> str:
        """Tell it in a sentence."""
        return (
            f"Removed the files of {self.runs} runs, {self.versions} versions of datasets,"
            f" {self.files} files in storage, {self.left_over} left-overs of killed processes"
            f" and {self.uploads} uploads that are over."
        )


def remove_old(
    context: Context, *, now: datetime | None = None, unknown_seconds: float = UNKNOWN_SECONDS
) -> Removed:
    """Remove what RETENTION_DAYS and nobody's need allow, a batch of each.

    Args:
        context: The installation.
        now: The present time, if not that of this machine.
        unknown_seconds: How long a file in storage may be unknown to the catalog.

    Raises:
        UnavailableError: If the database is away; nothing is removed then.
        ServiceError: If the storage refuses.
    """
    runs = versions = 0
    audit.remove_old(context)
    throttling.remove_old(context)
    days = context.settings.retention_days
    if days is not None:
        before = (now or utc_now()) - timedelta(days=days)
        with context.catalog.transaction() as session:
            runs = len(retention.expire_runs(session, before))
        with context.catalog.transaction() as session:
            versions = retention.remove_versions(session, before)
    return Removed(
        runs=runs,
        versions=versions,
        files=_remove_unknown(context, unknown_seconds),
        left_over=context.store.remove_stale(),
        uploads=resumable.remove_expired(context),
    )


def _remove_unknown(context: Context, unknown_seconds: float) -> int:
    """Remove files that lie in storage for long and that the catalog does not speak of; return how many."""
    old = set(context.store.digests(older_than_seconds=unknown_seconds))
    with context.catalog.transaction() as session:
        known = {digest for digest, _ in consistency.stored_files(session)}
    return sum(context.store.remove(digest, older_than_seconds=unknown_seconds) for digest in old - known)
