"""Use case: runs of named reports: accepting them, whoever starts them, and what they made.

What belongs here: which versions a run of a report is pinned to. What does not: what a report is (reports.py), the way of an
accepted run (attempts.py, reaper.py).
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import reports as catalog
from reportgen_dagster.catalog import runs as queue
from reportgen_dagster.catalog.reports import Pinned
from reportgen_dagster.catalog.runs import RunFilter
from reportgen_dagster.catalog.tables import Report, Run
from reportgen_dagster.errors import ConflictError, NotFoundError
from reportgen_dagster.identity import ID_PATTERN, utc_now
from reportgen_dagster.services import cursors, idempotency, quotas
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.idempotency import Once
from reportgen_dagster.services.reports import find_own
from reportgen_dagster.services.rerunning import accept_copy
from reportgen_dagster.services.runs import FileView, RunView, accepted_view, report_file, run_view

NEW_DATA_AT_ONCE = 100


def report_runs(context: Context, owner_id: str, name: str, *, limit: int = 20) -> list[RunView]:
    """Return the runs of a report of the caller's, most recently accepted first, at most so many.

    Raises:
        NotFoundError: If there is no report of that name.
    """
    with context.catalog.reading() as session:
        report = find_own(session, owner_id, name)
        rows = queue.page(session, owner_id, limit=limit, wanted=RunFilter(report_id=report.id))
        return [run_view(run, has_rejects=has_rejects) for run, has_rejects in rows]


def page_of_runs(
    context: Context, owner_id: str, name: str, *, limit: int = 50, cursor: str | None = None
) -> tuple[list[RunView], str | None]:
    """Return a page of the runs of a report of the caller's, most recently accepted first, and the cursor of the next page.

    Args:
        context: The installation.
        owner_id: Who asks.
        name: Which report.
        limit: At most so many, from 1 to 500.
        cursor: Where the page begins, as the page before gave it.

    Raises:
        BadRequestError: If limit or cursor cannot be used.
        NotFoundError: If there is no report of that name.
    """
    cursors.check_limit(limit)
    before = cursors.decode(cursor) if cursor else None
    with context.catalog.reading() as session:
        report = find_own(session, owner_id, name)
        rows = queue.page(
            session, owner_id, limit=limit + 1, before=before, wanted=RunFilter(report_id=report.id)
        )
        page, last = cursors.cut([run_view(run, has_rejects=rejects) for run, rejects in rows], limit)
    return page, cursors.encode(last.accepted_at, last.id) if last else None


def made_file(
    context: Context,
    owner_id: str,
    name: str,
    run_id: str | None = None,
    format: str | None = None,  # noqa: A002 - the word of the language
) -> FileView:
    """Return what a run of a report of the caller's made; without an id, the last that made anything.

    Args:
        context: The installation.
        owner_id: Who asks.
        name: Which report.
        run_id: Which run.
        format: Which of its files; None: CSV if there is one, else the main one.

    Raises:
        BadRequestError: If there is no such format.
        NotFoundError: If there is no such report, no such run of it, or no such file of the run.
        ConflictError: If the run has made nothing, or none has.
        ServiceError: If the file is gone from storage.
    """
    with context.catalog.reading() as session:
        report = find_own(session, owner_id, name)
        found = queue.find(session, run_id, owner_id) if run_id and ID_PATTERN.fullmatch(run_id) else None
        run = found[0] if found else None
        if run_id is None:
            run = catalog.last_run(session, report.id, states=("succeeded",))
            if run is None:
                raise ConflictError(f"No run of the report {name} has made it yet.")
    if run is None or run.report_id != report.id:
        raise NotFoundError(f"The report {name} has no such run.")
    return report_file(context, owner_id, run.id, format)


def run_report(
    context: Context, owner_id: str, name: str, *, run_date: date | None = None, once: Once | None = None
) -> RunView:
    """Accept a run of a report of the caller's, paused or not. Once this returns, it will be made, whatever is killed next.

    Args:
        context: The installation.
        owner_id: Who asks.
        name: Which report.
        run_date: What `today()` is; the present date in UTC if left out.
        once: The request that it is accepted for, if that may come again.

    Raises:
        NotFoundError: If there is none of that name.
        TooManyError: If too many runs of the caller's wait already.
        RepeatedRequest: If the request was carried out before.
        UnavailableError: If the database is away; nothing is accepted then.
    """
    with context.catalog.transaction() as session:
        report = find_own(session, owner_id, name)
        quotas.check_queue(context, session, owner_id)
        run = accepted_view(session, accept(session, report, trigger="api", run_date=run_date))
        idempotency.note(session, once, run)
        return run


def accept_from_dagster(context: Context, report_id: str, dagster_run_id: str) -> str:
    """Accept the run of a report that somebody started in Dagster, and return its id; once for each origin.

    Args:
        context: The installation.
        report_id: Which report.
        dagster_run_id: What in Dagster it comes from.

    Raises:
        NotFoundError: If the report is gone.
    """
    with context.catalog.transaction() as session:
        report = catalog.lock(session, report_id)
        if report is None:
            raise NotFoundError("This report was deleted.")
        return accept(session, report, trigger="dagster", origin_dagster_run_id=dagster_run_id)


def accept_again(context: Context, run_id: str, dagster_run_id: str) -> str:
    """Accept a new run with the inputs, parameters and date of another one; return its id. Once for each Dagster run.

    Raises:
        NotFoundError: If there is no such run.
        ConflictError: If its files were old and are gone.
    """
    with context.catalog.transaction() as session:
        run = session.get(Run, run_id)
        if run is None:
            raise NotFoundError("There is no such run.")
        return accept_copy(
            session,
            run,
            schedule_id=run.schedule_id,
            trigger="dagster",
            origin_dagster_run_id=dagster_run_id,
        )


def accept_on_new_data(context: Context) -> dict[str, str]:
    """Accept a run of each report that follows a dataset with a new version and wants to run on it.

    A hundred at most; who calls again goes on.

    Returns:
        The owner by the id of each run. A version leads to one run, however often and from wherever this is called.
    """
    with context.catalog.reading() as session:
        waiting = catalog.with_new_data(session, limit=NEW_DATA_AT_ONCE)
    accepted = {}
    for report_id in waiting:
        with context.catalog.transaction() as session:
            report = catalog.lock(session, report_id)
            # With the report locked, it is looked at once more: another process may have been faster.
            if report is not None and catalog.has_new_data(session, report_id):
                accepted[accept(session, report, trigger="data")] = report.owner_id
    return accepted


def accept(
    session: Session,
    report: Report,
    *,
    pinned: Pinned | None = None,
    run_date: date | None = None,
    due_at: datetime | None = None,
    **values: str | None,
) -> str:
    """Accept a run of a report with the versions of this moment, and return its id.

    Args:
        session: The transaction.
        report: The report.
        pinned: The versions, if they were looked up already.
        run_date: What `today()` is; the present date in UTC if left out.
        due_at: When it was due, for a tick.
        values: Further columns of the run.
    """
    versions = pinned or catalog.pinned(session, report)
    return queue.accept(
        session,
        owner_id=report.owner_id,
        report_id=report.id,
        report_name=report.name,
        ruleset_version_id=versions.ruleset_version_id,
        inputs=versions.inputs,
        parameters=report.parameters,
        formats=report.formats,
        run_date=run_date or utc_now().date(),
        due_at=due_at,
        **values,
    )
