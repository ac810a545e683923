"""Which accepted run of the catalog a Dagster run carries out.

Normally the one that its config names. A re-execution of a finished run in the Dagster UI is a new run with the same inputs.
"""

from __future__ import annotations

from dagster import OpExecutionContext

from reportgen_dagster.catalog.tables import FINAL_STATES
from reportgen_dagster.defs.failures import failure
from reportgen_dagster.errors import ConflictError, NotFoundError
from reportgen_dagster.services import report_runs, runs
from reportgen_dagster.services.context import Context


def accepted_run_id(context: OpExecutionContext, service: Context, run_id: str) -> str:
    """Return the id of the run to claim; accepts one where an operator re-executes a finished run.

    Raises:
        Failure: If the catalog has no such run, or its files are gone.
    """
    try:
        state = runs.state_of(service, run_id)
        if context.run.parent_run_id is not None and state in FINAL_STATES:
            return report_runs.accept_again(service, run_id, context.run_id)
    except NotFoundError as error:
        unknown = NotFoundError(f"The catalog has no run {run_id!r}.", hint="Launch reports through the API.")
        raise failure(unknown) from error
    except ConflictError as error:
        raise failure(error) from error
    return run_id
