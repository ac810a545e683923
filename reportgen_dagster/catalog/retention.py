"""Queries that remove what is old: files of finished runs, replaced versions of datasets. Bytes in storage are not theirs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

BATCH = 500

_OLD_RUNS = text(
    """
    SELECT id FROM runs
    WHERE state IN ('succeeded', 'failed', 'cancelled') AND finished_at < :before AND expired_at IS NULL
    ORDER BY finished_at LIMIT :most FOR UPDATE SKIP LOCKED
    """
)
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
        SELECT v.id FROM dataset_versions v JOIN datasets d ON d.id = v.dataset_id
        WHERE v.created_at < :before AND v.received_at < :before
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


def expire_runs(session: Session, before: datetime) -> Sequence[str]:
    """Remove the files of runs that ended before a time, at most `BATCH`; return the runs' ids."""
    ids = list(session.scalars(_OLD_RUNS, {"before": before, "most": BATCH}))
    for statement in _EXPIRE if ids else ():
        session.execute(statement, {"ids": ids})
    return ids


def remove_versions(session: Session, before: datetime) -> int:
    """Remove versions of datasets that came before a time and that nothing needs, at most `BATCH`; return how many."""
    removed = session.execute(_OLD_VERSIONS, {"before": before, "most": BATCH})
    return int(getattr(removed, "rowcount", 0))
