"""Use case: the figures of the whole installation, for whoever watches it. They are the same whichever process looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reportgen_dagster.catalog import figures as catalog
from reportgen_dagster.catalog.tables import FINAL_STATES
from reportgen_dagster.services.context import Context

UNFINISHED_STATES = ("accepted", "running")


@dataclass(frozen=True, slots=True)
class Figures:
    """What the catalog says at a moment.

    Attributes:
        unfinished: How many runs are `accepted`, and how many `running`.
        finished: How many runs came to each final state in the last hour.
        row_count: Rows of the reports that were made in the last hour.
        reject_count: Rows that were diverted in the last hour.
        oldest_seconds: For how long the run that waits the longest has waited; 0 if none does.
        attempts: Attempts that are alive: each has a worker's slot.
        silent_attempts: Those that never ended but give no sign of life.
        deliveries: How many are `pending`, and how many `dead`.
        reload_seconds: For each code location, how long its last reload took.
        failed_locations: For each code location, whether its last reload failed.
    """

    unfinished: Mapping[str, int]
    finished: Mapping[str, int]
    row_count: int
    reject_count: int
    oldest_seconds: float
    attempts: int
    silent_attempts: int
    deliveries: Mapping[str, int]
    reload_seconds: Mapping[str, float]
    failed_locations: Mapping[str, bool]


def look(context: Context) -> Figures:
    """Return the present figures.

    Raises:
        UnavailableError: If the database is away.
    """
    with context.catalog.reading() as session:
        unfinished = catalog.unfinished(session)
        finished = {row.state: row for row in catalog.finished_lately(session)}
        alive, silent = catalog.attempts(session)
        locations = catalog.locations(session)
        return Figures(
            unfinished={state: unfinished.get(state, 0) for state in UNFINISHED_STATES},
            finished={state: finished[state].runs if state in finished else 0 for state in FINAL_STATES},
            row_count=sum(int(row.row_count) for row in finished.values()),
            reject_count=sum(int(row.reject_count) for row in finished.values()),
            oldest_seconds=catalog.oldest_accepted_seconds(session),
            attempts=alive,
            silent_attempts=silent,
            deliveries=catalog.deliveries(session),
            reload_seconds={one.location: one.reload_seconds or 0.0 for one in locations},
            failed_locations={one.location: one.problem is not None for one in locations},
        )
