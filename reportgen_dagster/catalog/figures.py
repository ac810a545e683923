"""One query for the figures of the whole installation that are worth a graph.

What belongs here: counting. What does not: how figures are called and shown (services/figures.py, the gateway).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, func, select, text
from sqlalchemy.orm import Session

from reportgen_dagster.catalog.leases import is_live
from reportgen_dagster.catalog.tables import Lease, LoadedDefinitions

# Both by an index: a pass over all runs that there ever were would take seconds.
_UNFINISHED = text(
    "SELECT state, count(*) AS runs FROM runs WHERE state IN ('accepted', 'running') GROUP BY state"
)
_OF_THE_LAST_HOUR = text(
    """
    SELECT state, count(*) AS runs, coalesce(sum(row_count), 0) AS row_count,
        coalesce(sum(reject_count), 0) AS reject_count
    FROM runs WHERE finished_at > now() - interval '1 hour' GROUP BY state
    """
)
_OLDEST = text(
    """
    SELECT coalesce(extract(epoch FROM clock_timestamp() - min(accepted_at)), 0)::float8 FROM runs
    WHERE state = 'accepted'
    """
)
_DELIVERIES = text(
    """
    SELECT 'pending', count(*) FROM deliveries WHERE state = 'pending'
    UNION ALL SELECT 'dead', count(*) FROM deliveries WHERE state = 'dead'
    """
)


def unfinished(session: Session) -> dict[str, int]:
    """Return how many runs are accepted, and how many running."""
    return dict(session.execute(_UNFINISHED).all())


def finished_lately(session: Session) -> list[Row[Any]]:
    """Return for each final state how many runs came to it in the last hour, with their rows and their rejects."""
    return list(session.execute(_OF_THE_LAST_HOUR))


def oldest_accepted_seconds(session: Session) -> float:
    """Return for how long the run that waits the longest has waited; 0 if none does."""
    return float(session.scalar(_OLDEST) or 0.0)


def attempts(session: Session) -> tuple[int, int]:
    """Return how many attempts are alive, and how many never ended but give no sign of life."""
    live = func.count().filter(is_live())
    row = session.execute(select(live, func.count() - live).where(Lease.ended_at.is_(None))).one()
    return int(row[0]), int(row[1])


def deliveries(session: Session) -> dict[str, int]:
    """Return how many deliveries are on their way, and how many are dead."""
    return dict(session.execute(_DELIVERIES).all())


def locations(session: Session) -> list[LoadedDefinitions]:
    """Return what each of Dagster's code locations loaded the last time, and how that went."""
    return list(session.scalars(select(LoadedDefinitions).order_by(LoadedDefinitions.location)))
