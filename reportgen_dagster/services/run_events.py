"""Use case: what happened to runs, event by event, to be told live and again.

Events are written where runs are changed (catalog/runs.py); who waits for them, and how, is the caller's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reportgen_dagster.catalog import run_events as catalog
from reportgen_dagster.catalog.tables import FINAL_STATES, RunEvent
from reportgen_dagster.services.context import Context


@dataclass(frozen=True, slots=True)
class RunEventView:
    """One thing that happened to a run.

    Attributes:
        number: Which it is of the run's; later ones have higher numbers.
        kind: `accepted` (also anew, when its worker was lost), `stage`, `progress`, or how it ended: `succeeded`, `failed`,
            `cancelled`.
        progress: Percent.
        rows: Rows read so far; of a success: rows of the report. None: not known.
        error: Why it failed or was cancelled: `ReportgenError.to_json`.
    """

    run_id: str
    number: int
    kind: str
    stage: str
    progress: int
    rows: int | None
    rejected: int | None
    error: dict[str, Any] | None
    at: datetime

    @property
    def is_last(self) -> bool:
        """Tell whether nothing happens to the run after it."""
        return self.kind in FINAL_STATES


def events_after(context: Context, seen: Mapping[str, int]) -> list[RunEventView]:
    """Return what happened to runs after the event that was seen last, in that order; 0: none was.

    Args:
        context: The installation.
        seen: The number of the last event that was seen, by run.

    Raises:
        UnavailableError: If the database is away.
    """
    with context.catalog.reading() as session:
        return [_view(event) for event in catalog.after(session, seen)]


def _view(event: RunEvent) -> RunEventView:
    return RunEventView(
        run_id=event.run_id,
        number=event.number,
        kind=event.kind,
        stage=event.stage,
        progress=event.progress,
        rows=event.rows,
        rejected=event.rejected,
        error=event.error,
        at=event.at,
    )
