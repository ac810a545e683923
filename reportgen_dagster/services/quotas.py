"""Use case: how much of the service one user may use, and the refusal of what is beyond it.

What belongs here: the bounds of a user. What does not: counting (`catalog/usage.py`), how many runs of a user work at the same
time (the queue's), the size of one file (`uploads.py`). A file is measured while it comes, to end what is too much early, and
once more in the transaction that adds it, so that requests that begin together exceed no bound either.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import usage
from reportgen_dagster.catalog.usage import Usage
from reportgen_dagster.errors import TooLargeError, TooManyError
from reportgen_dagster.services.context import Context

_HINT = "Delete datasets or wait until old files are removed; whoever runs this service sets the bound."
_RETRY_SECONDS = 60
_FILES = "files (versions of datasets)"


@dataclass(slots=True)
class Room:
    """What one user may still store; it gets less as files come in.

    Attributes:
        used_bytes: What is stored or promised.
        most_bytes: What is allowed; 0: no bound.
    """

    used_bytes: int = 0
    most_bytes: int = 0

    def check(self, size_bytes: int) -> None:
        """Refuse what is beyond it.

        Raises:
            TooLargeError: With the numbers.
        """
        if self.most_bytes and self.used_bytes + size_bytes > self.most_bytes:
            raise TooLargeError(
                f"You may store {self.most_bytes:,} bytes and have {self.used_bytes:,};"
                f" {size_bytes:,} more are too many.",
                hint=_HINT,
            )

    def take(self, size_bytes: int) -> None:
        """Count what comes in.

        Raises:
            TooLargeError: If it is beyond it.
        """
        self.check(size_bytes)
        self.used_bytes += size_bytes


def usage_of(context: Context, owner_id: str) -> Usage:
    """Return what a user uses.

    Raises:
        UnavailableError: If the database is away.
    """
    with context.catalog.reading() as session:
        return usage.of_owner(session, owner_id)


def room_for_files(context: Context, owner_id: str, *, files: int = 1) -> Room:
    """Return what a user may still store.

    Args:
        context: The installation.
        owner_id: Whose files.
        files: How many are to come.

    Raises:
        TooManyError: If they are too many.
        UnavailableError: If the database is away.
    """
    settings = context.settings
    if not settings.stored_bytes_per_user and not settings.files_per_user:
        return Room()
    with context.catalog.reading() as session:
        used = usage.of_owner(session, owner_id)
    _check_count(used.files + used.open_uploads + files, settings.files_per_user, _FILES)
    return Room(used.stored_bytes + used.promised_bytes, settings.stored_bytes_per_user)


def check_added(context: Context, session: Session, owner_id: str) -> None:
    """Refuse files, rules and open uploads that were just added, if a user has more than is allowed with them.

    Raises:
        TooLargeError: If they are too many bytes.
        TooManyError: If they are too many.
    """
    settings = context.settings
    if not (settings.stored_bytes_per_user or settings.files_per_user or settings.open_uploads_per_user):
        return
    usage.lock(session, owner_id)
    used = usage.of_owner(session, owner_id)
    _check_count(used.files + used.open_uploads, settings.files_per_user, _FILES)
    _check_count(used.open_uploads, settings.open_uploads_per_user, "open uploads")
    most, stored = settings.stored_bytes_per_user, used.stored_bytes + used.promised_bytes
    if most and stored > most:
        raise TooLargeError(f"You may store {most:,} bytes; with this they would be {stored:,}.", hint=_HINT)


def check_queue(context: Context, session: Session, owner_id: str) -> None:
    """Refuse a further run of a user of whom too many wait.

    Raises:
        TooManyError: With the number.
    """
    most = context.settings.queued_runs_per_user
    if most:
        usage.lock(session, owner_id)
        _check_count(usage.queued_runs(session, owner_id) + 1, most, "runs that wait for their turn")


def _check_count(wanted: int, most: int, what: str) -> None:
    if most and wanted > most:
        raise TooManyError(
            f"You may have {most:,} {what}; this would be number {wanted:,}.",
            retry_seconds=_RETRY_SECONDS,
            hint=_HINT,
        )
