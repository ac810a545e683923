"""Queries on how much of the service an owner uses. How much is allowed is for the services to say."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from reportgen_dagster.catalog.tables import Run

# The same bytes of one owner lie in storage once, whatever they are.
_FILES = text(
    """
    SELECT coalesce(sum(size_bytes), 0) AS stored_bytes, coalesce(sum(versions), 0) AS files FROM (
        SELECT digest, max(size_bytes) AS size_bytes, sum(is_version) AS versions FROM (
            SELECT v.digest, v.size_bytes, 1 AS is_version FROM dataset_versions v
                JOIN datasets d ON d.id = v.dataset_id WHERE d.owner_id = :owner_id
            UNION ALL SELECT v.rejects_digest, v.rejects_bytes, 0 FROM dataset_versions v
                JOIN datasets d ON d.id = v.dataset_id
                WHERE d.owner_id = :owner_id AND v.rejects_digest IS NOT NULL
            UNION ALL SELECT a.digest, a.size_bytes, 0 FROM artifacts a
                JOIN runs r ON r.id = a.run_id WHERE r.owner_id = :owner_id
            UNION ALL SELECT j.digest, j.size_bytes, 0 FROM rejects j
                JOIN runs r ON r.id = j.run_id WHERE r.owner_id = :owner_id
        ) AS every GROUP BY digest
    ) AS distinct_files
    """
)
# A text lies in the database once for each version.
_RULES = text(
    """
    SELECT coalesce(sum(octet_length(v.text)), 0) FROM ruleset_versions v JOIN rulesets r ON r.id = v.ruleset_id
    WHERE r.owner_id = :owner_id
    """
)
_OPEN_UPLOADS = text(
    """
    SELECT count(*) AS open_uploads, coalesce(sum(size_bytes), 0) AS promised_bytes FROM resumable_uploads
    WHERE owner_id = :owner_id AND state = 'receiving' AND expires_at >= clock_timestamp()
    """
)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one owner uses.

    Attributes:
        stored_bytes: Bytes of versions of datasets, reports and rejects, the same bytes once, and of each version of rules.
        files: Versions of datasets, those of last uploads and of single runs among them.
        open_uploads: Resumable uploads that have not come whole.
        promised_bytes: What these will have.
        queued_runs: Runs that wait for their turn.
    """

    stored_bytes: int
    files: int
    open_uploads: int
    promised_bytes: int
    queued_runs: int


def of_owner(session: Session, owner_id: str) -> Usage:
    """Return what an owner uses."""
    files = session.execute(_FILES, {"owner_id": owner_id}).one()
    rules_bytes = session.scalar(_RULES, {"owner_id": owner_id}) or 0
    uploads = session.execute(_OPEN_UPLOADS, {"owner_id": owner_id}).one()
    return Usage(
        stored_bytes=int(files.stored_bytes + rules_bytes),
        files=int(files.files),
        open_uploads=uploads.open_uploads,
        promised_bytes=int(uploads.promised_bytes),
        queued_runs=queued_runs(session, owner_id),
    )


def lock(session: Session, owner_id: str) -> None:
    """Let nobody else count what an owner uses before the transaction ends, so that what is counted may be added to."""
    key = {"key": f"usage of {owner_id}"}
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), key)


def queued_runs(session: Session, owner_id: str) -> int:
    """Return how many runs of an owner wait for their turn."""
    waiting = select(func.count()).where(Run.owner_id == owner_id, Run.state == "accepted")
    return session.scalar(waiting) or 0
