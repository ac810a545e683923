"""Queries on what happened to runs, event by event. Who may watch which run belongs to the services.

An event is written in the transaction that changes the run, after the change: the run's row is locked then, so a run's events
have no gaps, and whoever has read one has read all before it.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import BigInteger, Text, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from reportgen_dagster.catalog.tables import RunEvent

# What there is to tell follows from the run and from the event before. Progress of less than a percent tells nothing.
_NOTE = text(
    """
    INSERT INTO run_events (run_id, number, kind, stage, progress, rows, rejected, error)
    SELECT run.id, coalesce(last.number, 0) + 1,
        CASE WHEN run.state <> 'running' THEN run.state WHEN last.went_on THEN 'progress' ELSE 'stage' END,
        run.stage, run.progress, coalesce(:rows, run.row_count), run.reject_count, run.error
    FROM runs run LEFT JOIN LATERAL (
        SELECT number, progress, kind IN ('stage', 'progress') AND stage = run.stage AS went_on
        FROM run_events WHERE run_id = run.id ORDER BY number DESC LIMIT 1
    ) last ON true
    WHERE run.id = :run_id
        AND (run.state = 'running' AND last.went_on AND last.progress = run.progress) IS NOT TRUE
    """
).bindparams(bindparam("rows", type_=BigInteger))


def note(session: Session, run_id: str, rows: int | None = None) -> None:
    """Write what just happened to a run.

    Args:
        session: The transaction that changed the run.
        run_id: Which run.
        rows: Rows read so far, if that is known.
    """
    session.execute(_NOTE, {"run_id": run_id, "rows": rows})


def after(session: Session, seen: Mapping[str, int]) -> list[RunEvent]:
    """Return the events of runs after the last that was seen of each, in the order in which they happened to it.

    Args:
        session: The transaction.
        seen: The number of that event by run; 0: none was.
    """
    wanted = (
        func.unnest(
            bindparam("ids", list(seen), ARRAY(Text)),
            bindparam("numbers", list(seen.values()), ARRAY(BigInteger)),
        )
        .table_valued("run_id", "number")
        .render_derived()
    )
    return list(
        session.scalars(
            select(RunEvent)
            .join(wanted, (RunEvent.run_id == wanted.c.run_id) & (RunEvent.number > wanted.c.number))
            .order_by(RunEvent.run_id, RunEvent.number)
        )
    )
