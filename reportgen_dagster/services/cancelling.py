"""Use case: an owner cancels a run that is not finished. What an operator cancels in Dagster is `attempts.cancel`.

The catalog decides: from its commit on nothing of the run is published, whatever still works on it.
"""

from __future__ import annotations

from reportgen_dagster.catalog import runs as queue
from reportgen_dagster.catalog.tables import Run
from reportgen_dagster.errors import ConflictError
from reportgen_dagster.identity import ID_PATTERN
from reportgen_dagster.services import runs
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.runs import RunView

_CANCELLED = {
    "code": "cancelled",
    "title": "The run was cancelled",
    "fault": "request",
    "detail": "You cancelled the run.",
    "hint": "Generate the report again if you need it after all.",
    "problems": [],
}


def cancel_run(context: Context, owner_id: str, run_id: str) -> RunView:
    """Cancel a run of the caller's, whether it waits or works.

    Raises:
        NotFoundError: If the caller has no such run.
        ConflictError: If it is finished.
    """
    with context.catalog.transaction() as session:
        cancelled = ID_PATTERN.fullmatch(run_id) and queue.cancel_own(session, owner_id, run_id, _CANCELLED)
    run = runs.find_run(context, owner_id, run_id)
    if not cancelled:
        raise ConflictError(f"This run is finished: it is {run.state}.")
    return run


def is_cancelled(context: Context, run_id: str) -> bool:
    """Tell whether somebody cancelled a run.

    Raises:
        NotFoundError: If there is no such run.
    """
    return runs.state_of(context, run_id) == "cancelled"


def is_cancelled_by_owner(context: Context, run_id: str) -> bool:
    """Tell whether it was its owner who cancelled a run."""
    with context.catalog.reading() as session:
        run = session.get(Run, run_id)
        return run is not None and run.state == "cancelled" and run.error == _CANCELLED
