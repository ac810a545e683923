"""Use case: remove what is old or belongs to nothing, so that the disk does not fill.

What belongs here: for how long what is kept, and when nothing is removed at all. What does not: which
rows that is (catalog/retention.py), removing bytes (storage/).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import accounts as users
from reportgen_dagster.catalog import consistency, retention
from reportgen_dagster.errors import Problem
from reportgen_dagster.identity import utc_now
from reportgen_dagster.services import accounts, audit, resumable, throttling
from reportgen_dagster.services.context import Context
from reportgen_dagster.settings import Settings

# A file may lie in storage for so long before the catalog knows of it: longer than any upload or report takes.
UNKNOWN_SECONDS = 24 * 3600.0
REMOVAL_LOCK = 7_301_015  # key of the advisory lock that a sweep holds, and a backup
MAX_DAYS = 36_500


def checked_days(days: int | None, path: str) -> list[Problem]:
    """Return what is wrong with a number of days for which files are to be kept."""
    if days is None or 1 <= days <= MAX_DAYS:
        return []
    return [Problem(f"1 to {MAX_DAYS:,} are possible", path=path)]


def retention_bound(session: Session, owner_id: str, settings: Settings) -> int | None:
    """Return for how many days at most files of an owner are kept; None: for ever."""
    owner = users.find_user_by_id(session, owner_id)
    own = owner.retention_days if owner else None
    return settings.retention_days if own is None else own


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

    runs: int = 0
    versions: int = 0
    files: int = 0
    left_over: int = 0
    uploads: int = 0

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
    """Remove what is older than its owner, its report or RETENTION_DAYS say and what nobody needs, a batch of each.

    While a backup is made nothing is removed: it copies what the catalog named when it began.

    Args:
        context: The installation.
        now: The present time, if not that of this machine.
        unknown_seconds: How long a file in storage may be unknown to the catalog.

    Raises:
        UnavailableError: If the database is away; nothing is removed then.
        ServiceError: If the storage refuses.
    """
    with context.catalog.exclusive(REMOVAL_LOCK) as is_ours:
        return _removed(context, now or utc_now(), unknown_seconds) if is_ours else Removed()


def _removed(context: Context, now: datetime, unknown_seconds: float) -> Removed:
    accounts.remove_old(context)
    audit.remove_old(context)
    throttling.remove_old(context)
    days = context.settings.retention_days
    with context.catalog.transaction() as session:
        runs = len(retention.expire_runs(session, now, days))
    with context.catalog.transaction() as session:
        versions = retention.remove_versions(session, now, days)
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
    with context.catalog.reading() as session:
        known = {digest for digest, _ in consistency.stored_files(session)}
    return sum(context.store.remove(digest, older_than_seconds=unknown_seconds) for digest in old - known)
