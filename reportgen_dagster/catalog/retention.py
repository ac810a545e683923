"""Queries that remove what is old: files of finished runs, replaced versions of datasets. Bytes in storage are not theirs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

BATCH = 500

# An owner's days bound all that is his: a report's own may be fewer, and its last successes stay as long as the owner's.
_OLD = """
    SELECT r.id FROM runs r
    JOIN users u ON u.id = r.owner_id
    LEFT JOIN reports p ON p.id = r.report_id
    CROSS JOIN LATERAL (SELECT coalesce(u.retention_days, CAST(:days AS bigint)) AS days) AS owners
    WHERE r.state IN ('succeeded', 'failed', 'cancelled') AND r.expired_at IS NULL AND (
        r.finished_at < CAST(:now AS timestamptz) - make_interval(days => owners.days::int)
        OR r.finished_at < CAST(:now AS timestamptz) - make_interval(days => p.retention_days::int)
        AND NOT (r.state = 'succeeded' AND p.keep_runs IS NOT NULL AND (
            SELECT count(*) FROM runs later
            WHERE later.report_id = r.report_id AND later.state = 'succeeded'
                AND (later.finished_at, later.id) > (r.finished_at, r.id)) < p.keep_runs)
    )
    ORDER BY r.finished_at LIMIT :most
"""
_OLD_RUNS = text(f"{_OLD} FOR UPDATE OF r SKIP LOCKED")
_EXPIRE = (
    text("DELETE FROM artifacts WHERE run_id = ANY(:ids)"),
    text("DELETE FROM rejects WHERE run_id = ANY(:ids)"),
    text("DELETE FROM deliveries WHERE run_id = ANY(:ids)"),
    text("DELETE FROM run_events WHERE run_id = ANY(:ids) AND kind IN ('stage', 'progress')"),
    text("UPDATE runs SET expired_at = clock_timestamp() WHERE id = ANY(:ids)"),
    # Files that came with one call go with its run, and with the last that was made of them again.
    text(
        """
        DELETE FROM datasets d WHERE d.name ~ '^run-'
            AND d.id IN (
                SELECT v.dataset_id FROM runs r, jsonb_each_text(r.inputs) AS input
                JOIN dataset_versions v ON v.id = input.value WHERE r.id = ANY(:ids))
            AND NOT EXISTS (
                SELECT FROM runs r, jsonb_each_text(r.inputs) AS input
                JOIN dataset_versions v ON v.id = input.value
                WHERE r.owner_id = d.owner_id AND r.expired_at IS NULL AND v.dataset_id = d.id)
        """
    ),
)
# A version that is the latest, that a report is pinned to, or that a run is made of whose files are kept, stays.
_OLD_VERSIONS = text(
    """
    DELETE FROM dataset_versions WHERE id IN (
        SELECT v.id FROM dataset_versions v JOIN datasets d ON d.id = v.dataset_id JOIN users u ON u.id = d.owner_id
        WHERE greatest(v.created_at, v.received_at)
                < CAST(:now AS timestamptz) - make_interval(days => coalesce(u.retention_days, CAST(:days AS bigint))::int)
            AND (d.name ~ '^deleted-' OR EXISTS (
                SELECT FROM dataset_versions later WHERE later.dataset_id = v.dataset_id AND later.number > v.number))
            AND NOT EXISTS (SELECT FROM report_inputs i WHERE i.version_id = v.id)
            AND NOT EXISTS (
                SELECT FROM runs r, jsonb_each_text(r.inputs) AS input
                WHERE r.expired_at IS NULL AND r.owner_id = d.owner_id AND input.value = v.id)
        ORDER BY v.created_at LIMIT :most
    )
    """
)


def expire_runs(session: Session, now: datetime, days: int | None) -> Sequence[str]:
    """Remove the files of runs that ended too long ago, at most `BATCH`; return the runs' ids.

    Args:
        session: The transaction.
        now: The present time.
        days: For how long files are kept whose owner has no number of his own; None: for ever.
    """
    ids = list(session.scalars(_OLD_RUNS, {"now": now, "days": days, "most": BATCH}))
    for statement in _EXPIRE if ids else ():
        session.execute(statement, {"ids": ids})
    return ids


def count_old_runs(session: Session, now: datetime, days: int | None) -> int:
    """Return how many runs `expire_runs` would take at a time; at most `BATCH`."""
    return len(session.scalars(text(_OLD), {"now": now, "days": days, "most": BATCH}).all())


def remove_versions(session: Session, now: datetime, days: int | None) -> int:
    """Remove versions of datasets that came too long ago and that nothing needs, at most `BATCH`; return how many.

    Args:
        session: The transaction.
        now: The present time.
        days: For how long those are kept whose owner has no number of his own; None: for ever.
    """
    removed = session.execute(_OLD_VERSIONS, {"now": now, "days": days, "most": BATCH})
    return int(getattr(removed, "rowcount", 0))
