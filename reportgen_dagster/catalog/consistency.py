"""Queries that look for what must not be in the catalog. Each returns what is wrong as a sentence's material.

Only `services/fsck.py` uses them. Nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import Connection, exists, func, select, text
from sqlalchemy.orm import Session

from reportgen_dagster.catalog.runs import has_live_lease
from reportgen_dagster.catalog.tables import FINAL_STATES, Run

RUN_ID_TAG = "reportgen/run_id"

_FILES = text(
    """
    SELECT digest, max(size_bytes) AS size_bytes, min(what) AS what FROM (
        SELECT v.digest, v.size_bytes, format('version %s of the dataset %s (%s)', v.number, d.name, v.id) AS what
        FROM dataset_versions v JOIN datasets d ON d.id = v.dataset_id
        UNION ALL SELECT v.rejects_digest, v.rejects_bytes,
            format('the unreadable rows of version %s of the dataset %s (%s)', v.number, d.name, v.id)
        FROM dataset_versions v JOIN datasets d ON d.id = v.dataset_id WHERE v.rejects_digest IS NOT NULL
        UNION ALL SELECT digest, size_bytes, format('the report of run %s', run_id) FROM artifacts
        UNION ALL SELECT digest, size_bytes, format('the rejects of run %s', run_id) FROM rejects
    ) AS files GROUP BY digest ORDER BY digest
    """
)

_CONTRADICTIONS = text(
    """
    -- A success names its formats; those from before there were formats are CSV.
    SELECT format('Run %s succeeded but has no report as %s.', r.id, made.format)
    FROM runs r, jsonb_array_elements_text(coalesce(nullif(r.formats, 'null'), '["csv"]')) AS made(format)
    WHERE r.state = 'succeeded' AND r.expired_at IS NULL AND NOT EXISTS (
        SELECT FROM artifacts a WHERE a.run_id = r.id AND a.format = made.format)
    UNION ALL
    SELECT format('Run %s is %s but has a report.', r.id, r.state) FROM runs r
    WHERE state <> 'succeeded' AND EXISTS (SELECT FROM artifacts a WHERE a.run_id = r.id)
    UNION ALL
    SELECT format('Run %s is %s but has rejects.', r.id, r.state)
    FROM runs r JOIN rejects j ON j.run_id = r.id WHERE r.state NOT IN ('succeeded', 'failed')
    UNION ALL
    SELECT format('Run %s has %s rows in, %s used and %s rejected, which does not add up.',
                  id, input_count, used_count, reject_count) FROM runs
    WHERE state = 'succeeded' AND (row_count IS NOT NULL AND input_count = used_count + reject_count) IS NOT TRUE
    UNION ALL
    SELECT format('Run %s rejected %s rows, but its file of rejects has %s.',
                  r.id, r.reject_count, coalesce(j.row_count, 0))
    FROM runs r LEFT JOIN rejects j ON j.run_id = r.id
    WHERE r.expired_at IS NULL AND (r.state = 'succeeded' OR j.run_id IS NOT NULL)
        AND coalesce(j.row_count, 0) IS DISTINCT FROM r.reject_count
    UNION ALL
    SELECT format('Run %s is %s but does not say when or why.', id, state) FROM runs
    WHERE state IN ('succeeded', 'failed', 'cancelled')
      AND (finished_at IS NULL OR (state <> 'succeeded' AND error IS NULL))
    UNION ALL
    SELECT format('Run %s is pinned to a file that the catalog does not have.', r.id)
    FROM runs r, jsonb_each_text(r.inputs) AS input
    WHERE r.expired_at IS NULL AND NOT EXISTS (SELECT FROM dataset_versions v WHERE v.id = input.value)
    UNION ALL
    SELECT format('Attempt %s of run %s was claimed by %s Dagster runs.', fence, run_id, count(*))
    FROM leases WHERE run_id IS NOT NULL GROUP BY run_id, fence HAVING count(*) > 1
    UNION ALL
    SELECT format('Version %s of the ruleset %s was changed after it was stored.', v.number, r.name)
    FROM ruleset_versions v JOIN rulesets r ON r.id = v.ruleset_id
    WHERE encode(sha256(convert_to(v.text, 'UTF8')), 'hex') <> v.digest
    """
)


def stored_files(session: Session) -> list[tuple[str, str]]:
    """Return each digest that the catalog speaks of, with one thing that it is."""
    return [(digest, what) for digest, _, what in stored_sizes(session)]


def stored_sizes(session: Session) -> list[tuple[str, int, str]]:
    """Return each digest that the catalog speaks of, with its length in bytes and one thing that it is."""
    return [(digest, size_bytes, what) for digest, size_bytes, what in session.execute(_FILES)]


def contradictions(session: Session) -> list[str]:
    """Return a sentence for each thing in the catalog that contradicts another."""
    return list(session.scalars(_CONTRADICTIONS))


def left_alone(session: Session, seconds: float) -> list[tuple[str, str]]:
    """Return id and state of unfinished runs accepted so long ago that no living attempt has."""
    statement = (
        select(Run.id, Run.state)
        .where(
            Run.state.in_(("accepted", "running")),
            Run.accepted_at < func.clock_timestamp() - timedelta(seconds=seconds),
            ~has_live_lease(),
        )
        .order_by(Run.accepted_at)
    )
    return list(session.execute(statement))


def final_among(session: Session, run_ids: Collection[str]) -> dict[str, str]:
    """Return the state of each final run among these whose last attempt gives no sign of life."""
    statement = select(Run.id, Run.state).where(
        Run.id.in_(run_ids), Run.state.in_(FINAL_STATES), ~has_live_lease()
    )
    return {row.id: row.state for row in session.execute(statement)}


def unreported(session: Session) -> dict[str, str]:
    """Return the Dagster run of each succeeded run that is not noted as reported and that no process works on."""
    statement = select(Run.dagster_run_id, Run.id).where(
        Run.state == "succeeded", Run.reported_at.is_(None), ~has_live_lease()
    )
    return {dagster_run_id or "": run_id for dagster_run_id, run_id in session.execute(statement)}


def has_dagster_runs(session: Session) -> bool:
    """Tell whether the catalog knows of any Dagster run."""
    return bool(session.scalar(select(exists().where(Run.dagster_run_id.is_not(None)))))


# Dagster's own database: its tables `runs` and `run_tags`, as dagster 1.13 has them.

_LIVE_IN_DAGSTER = text(
    """
    SELECT r.run_id, t.value
    FROM runs r LEFT JOIN run_tags t ON t.run_id = r.run_id AND t.key = :tag
    WHERE r.status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')
    """
)
_NOT_SUCCEEDED_IN_DAGSTER = text(
    """
    SELECT asked.run_id, r.status
    FROM unnest(CAST(:run_ids AS text[])) AS asked(run_id) LEFT JOIN runs r ON r.run_id = asked.run_id
    WHERE r.status IS DISTINCT FROM 'SUCCESS'
    """
)


_QUEUED_IN_DAGSTER = text(
    """
    SELECT t.value FROM runs r JOIN run_tags t ON t.run_id = r.run_id AND t.key = :tag
    WHERE r.status IN ('QUEUED', 'NOT_STARTED')
    """
)


def queued_in_dagster(dagster: Connection) -> set[str]:
    """Return the catalog runs whose Dagster runs wait for their turn."""
    return set(dagster.scalars(_QUEUED_IN_DAGSTER, {"tag": RUN_ID_TAG}))


def live_in_dagster(dagster: Connection) -> list[tuple[str, str | None]]:
    """Return each unfinished Dagster run, with the catalog run that its tag names."""
    return [(run_id, named) for run_id, named in dagster.execute(_LIVE_IN_DAGSTER, {"tag": RUN_ID_TAG})]


def not_succeeded_in_dagster(dagster: Connection, run_ids: Collection[str]) -> dict[str, str | None]:
    """Return the state of those Dagster runs that did not succeed; None if Dagster does not know it."""
    rows = dagster.execute(_NOT_SUCCEEDED_IN_DAGSTER, {"run_ids": list(run_ids)})
    return {row.run_id: row.status for row in rows}
