"""Use case: make a run again: a new run with the same files, rules, parameters, date and formats as another one."""

from __future__ import annotations

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import runs as queue
from reportgen_dagster.catalog.tables import Run
from reportgen_dagster.errors import ConflictError
from reportgen_dagster.services import idempotency, quotas
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.idempotency import Once
from reportgen_dagster.services.runs import RunView, accepted_view, own_run


def rerun(context: Context, owner_id: str, run_id: str, *, once: Once | None = None) -> RunView:
    """Accept a run of the caller's anew, whatever became of the first. Once this returns, it will be made.

    Args:
        context: The installation.
        owner_id: Who asks.
        run_id: Which run.
        once: The request that it is accepted for, if that may come again.

    Raises:
        RepeatedRequest: If the request was carried out before.
        NotFoundError: If the caller has no such run.
        ConflictError: If its files were old and are gone.
        TooManyError: If too many runs of the caller's wait already.
        UnavailableError: If the database is away; nothing is accepted then.
    """
    with context.catalog.transaction() as session:
        run, _ = own_run(session, owner_id, run_id)
        quotas.check_queue(context, session, owner_id)
        made = accepted_view(session, accept_copy(session, run, trigger="api"))
        idempotency.note(session, once, made)
        return made


def accept_copy(session: Session, run: Run, **values: str | None) -> str:
    """Accept a run that is pinned to what another one is pinned to, and return its id.

    Args:
        session: The transaction.
        run: The other run.
        values: Further columns of the new one.

    Raises:
        ConflictError: If the other's files were old and are gone.
    """
    if not queue.keeps_files(session, run.id):
        raise ConflictError(
            "The files of this run were old and are gone; it cannot be made again.",
            hint="Upload the files again and generate the report anew.",
        )
    return queue.accept(
        session,
        owner_id=run.owner_id,
        report_name=run.report_name,
        report_id=run.report_id,
        ruleset_version_id=run.ruleset_version_id,
        inputs=run.inputs,
        parameters=run.parameters,
        run_date=run.run_date,
        formats=run.formats,
        **values,
    )
