"""Use case: accept a run with everything pinned, and show runs and their files to their owner.

A run's way from accepted to its end is `attempts.py` and `reaper.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import datasets, rulesets
from reportgen_dagster.catalog import runs as queue
from reportgen_dagster.catalog.runs import ANY_RUN, RunFilter
from reportgen_dagster.catalog.tables import CSV_TYPE, Rejects, RulesetVersion, Run
from reportgen_dagster.errors import (
    BadRequestError,
    ConflictError,
    LostFileError,
    NotFoundError,
    Problem,
)
from reportgen_dagster.formats import GZIP_TYPE, file_name, known_formats
from reportgen_dagster.identity import ID_PATTERN, new_id, slug, utc_now
from reportgen_dagster.services import audit, cursors, idempotency, quotas
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.fitting import Check, files_named, files_to_take
from reportgen_dagster.services.idempotency import Once
from reportgen_dagster.services.rules_facts import RulesFacts
from reportgen_dagster.services.uploads import DEFAULT, RulesText, Upload, as_rules_text, new_version
from reportgen_dagster.storage.store import ObjectStore

CSV = "csv"
STANDARD_FILES = ("input", "reference")


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as its owner sees it. Times are aware; counts are None until it succeeded.

    Attributes:
        formats: What the report is made as, the main format first; None: what the rules say, until it succeeded.
    """

    id: str
    owner_id: str
    report_name: str
    trigger: str
    state: str
    stage: str
    progress: int
    row_count: int | None
    input_count: int | None
    reject_count: int | None
    error: dict[str, Any] | None
    dagster_run_id: str | None
    accepted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    due_at: datetime | None
    schedule_id: str | None
    has_rejects: bool
    parameters: dict[str, Any]
    run_date: date
    formats: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class FileView:
    """A stored file that may be downloaded.

    Attributes:
        digest: SHA-256 of its bytes, which never change.
        size_bytes: Its length.
        media_type: What it is, for HTTP.
        filename: What a download is to be called; ASCII.
        format: Which file of the report it is; empty if it is none.
        store: Where it lies.
        dialect: How it is written, if it is CSV, in the words of `output.dialect`.
    """

    digest: str
    size_bytes: int
    media_type: str
    filename: str
    store: ObjectStore
    format: str = ""
    dialect: Mapping[str, Any] | None = None

    @property
    def path(self) -> Path | None:
        """Where it lies on this machine; None if the storage is elsewhere."""
        return self.store.local_path(self.digest)

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Read it, or the part from `start` to before `stop`.

        Raises:
            LostFileError: If it is gone from storage.
            DamagedFileError: If its bytes are seen to be others; the last piece was not given then.
            UnavailableError: If the storage is away.
        """
        return self.store.chunks(self.digest, start, stop)


def run_view(run: Run, *, has_rejects: bool) -> RunView:
    """Return what an owner sees of a run."""
    return RunView(
        id=run.id,
        owner_id=run.owner_id,
        report_name=run.report_name,
        trigger=run.trigger,
        state=run.state,
        stage=run.stage,
        progress=run.progress,
        row_count=run.row_count,
        input_count=run.input_count,
        reject_count=run.reject_count,
        error=run.error,
        dagster_run_id=run.dagster_run_id,
        accepted_at=run.accepted_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        due_at=run.due_at,
        schedule_id=run.schedule_id,
        has_rejects=has_rejects,
        parameters=run.parameters,
        run_date=run.run_date,
        formats=tuple(run.formats) if run.formats else None,
    )


def accept_run(
    context: Context,
    owner_id: str,
    *,
    files: Mapping[str, Upload],
    rules: RulesText | None,
    parameters: Mapping[str, Any] | None = None,
    formats: Sequence[str] | None = None,
    once: Once | None = None,
    check: Check | None = None,
) -> RunView:
    """Accept a run. Once this returns, the report will be made, whatever is killed next.

    Args:
        context: The installation.
        owner_id: Who asks.
        files: Files sent with the call, by what they are to the rules; pinned to this run.
        rules: Rules sent with the call. What is missing is the caller's last upload.
        parameters: Values of the rules' parameters.
        formats: What the report is made as; None: what the rules say.
        once: The request that it is accepted for, if that may come again.
        check: Judges rules, columns and parameters; default: `services.check.check_report`.

    Raises:
        RepeatedRequest: If the request was carried out before.
        MissingInputError: If something was neither sent nor uploaded before.
        RulesError: With everything that is wrong with the rules, also in view of the files' columns.
        FileRefusedError: If the header of a file cannot be used as the rules want it read.
        BadRequestError: With every parameter that is unknown, missing or not of its type, or a format that there is not.
        TooLargeError: If files and rules are more bytes than the caller may store.
        TooManyError: If the files are too many, or too many runs of the caller's wait already.
        UnavailableError: If the database is away; nothing is accepted then.
    """
    wanted = checked_formats(formats)
    uploaded = {f"{DEFAULT}-{name}": name for name in STANDARD_FILES if name not in files}
    with context.catalog.reading() as session:
        versions = datasets.last_versions(session, owner_id, list(uploaded))
        last_rules = rulesets.last_version(session, owner_id, DEFAULT)
    inputs = {uploaded[dataset]: version.id for dataset, version in versions.items()}
    at_hand = {uploaded[dataset]: version.digest for dataset, version in versions.items()}
    at_hand |= {name: upload.stored.digest for name, upload in files.items()}
    used_rules = rules or (as_rules_text(last_rules) if last_rules else None)
    facts = files_to_take(context, used_rules, at_hand, sent=files, parameters=parameters, check=check)
    run_id = new_id()
    with context.catalog.transaction() as session:
        quotas.check_queue(context, session, owner_id)
        inputs |= pin_files(session, owner_id, f"run-{run_id}", files)
        pinned_rules = pin_rules(session, owner_id, f"run-{run_id}", rules, facts) if rules else last_rules
        if files or rules:
            quotas.check_added(context, session, owner_id)
        queue.accept(
            session,
            id=run_id,
            owner_id=owner_id,
            trigger="api",
            report_name=DEFAULT,
            ruleset_version_id=pinned_rules.id if pinned_rules else None,
            inputs={name: inputs[name] for name in files_named(facts)},
            parameters=dict(parameters or {}),
            run_date=utc_now().date(),
            formats=wanted,
        )
        run = accepted_view(session, run_id)
        idempotency.note(session, once, run)
        return run


def checked_formats(names: Sequence[str] | None) -> list[str] | None:
    """Return formats that a run can make, each once; None for none.

    Raises:
        BadRequestError: Naming what there is.
    """
    try:
        return list(known_formats(names)) if names else None
    except ValueError as error:
        raise BadRequestError(problems=[Problem(str(error), path="formats")]) from None


def pin_files(session: Session, owner_id: str, prefix: str, files: Mapping[str, Upload]) -> dict[str, str]:
    """Make each file a version of the dataset `<prefix>-<name>` and return the versions' ids by name."""
    return {
        name: datasets.add_version(session, owner_id, f"{prefix}-{name}", new_version(upload)).id
        for name, upload in sorted(files.items())
    }


def pin_rules(
    session: Session, owner_id: str, name: str, rules: RulesText, facts: RulesFacts
) -> RulesetVersion:
    """Make rules a version of the ruleset `name`."""
    return rulesets.add_version(
        session,
        owner_id,
        name,
        text=rules.text,
        syntax=rules.syntax,
        filename=rules.filename,
        summary=dict(facts.summary),
    )


def accepted_view(session: Session, run_id: str) -> RunView:
    """Return a run that is known to exist."""
    return run_view(session.get_one(Run, run_id), has_rejects=False)


def find_run(context: Context, owner_id: str, run_id: str | None) -> RunView:
    """Return a run of the caller's; without an id the most recently accepted, whatever started it.

    Raises:
        NotFoundError: If the caller has no such run.
    """
    with context.catalog.reading() as session:
        run, has_rejects = own_run(session, owner_id, run_id)
        return run_view(run, has_rejects=has_rejects)


def state_of(context: Context, run_id: str) -> str:
    """Return the state of anybody's run, for Dagster.

    Raises:
        NotFoundError: If there is no such run.
    """
    with context.catalog.reading() as session:
        row = queue.find(session, run_id, None) if ID_PATTERN.fullmatch(run_id) else None
    if row is None:
        raise NotFoundError("There is no such run.")
    return row[0].state


def own_run(session: Session, owner_id: str, run_id: str | None) -> queue.RunRow:
    """Return a run of an owner's, without an id the most recently accepted, and whether it has rejects.

    Raises:
        NotFoundError: If there is no such run.
    """
    if run_id is None:
        rows = queue.page(session, owner_id, limit=1)
        if not rows:
            raise NotFoundError("There is no report yet.")
        return rows[0]
    row = queue.find(session, run_id, owner_id) if ID_PATTERN.fullmatch(run_id) else None
    if row is None:
        raise NotFoundError("There is no such report.")
    return row


def list_runs(
    context: Context,
    owner_id: str,
    *,
    wanted: RunFilter = ANY_RUN,
    limit: int = 50,
    cursor: str | None = None,
) -> tuple[list[RunView], str | None]:
    """Return a page of the caller's runs, most recently accepted first, and the cursor of the next page.

    Args:
        context: The installation.
        owner_id: Who asks.
        wanted: Which of them.
        limit: At most so many, from 1 to 500.
        cursor: Where the page begins, as the page before gave it.

    Raises:
        BadRequestError: If limit or cursor cannot be used.
    """
    cursors.check_limit(limit)
    before = cursors.decode(cursor) if cursor else None
    with context.catalog.reading() as session:
        rows = queue.page(session, owner_id, limit=limit + 1, before=before, wanted=wanted)
        views = [run_view(run, has_rejects=has_rejects) for run, has_rejects in rows[:limit]]
    last = views[-1] if len(rows) > limit else None
    return views, cursors.encode(last.accepted_at, last.id) if last else None


def report_file(
    context: Context,
    owner_id: str,
    run_id: str | None,
    format: str | None = None,  # noqa: A002 - the HTTP parameter's name
) -> FileView:
    """Return the report of a run of the caller's; without an id, of the most recently accepted.

    Args:
        context: The installation.
        owner_id: Who asks.
        run_id: Which run.
        format: Which of its files; None: CSV if there is one, else the main one.

    Raises:
        BadRequestError: If there is no such format.
        NotFoundError: If the caller has no such run, it has no such file, or its files were old and are gone.
        ConflictError: If the run has no report: it is not finished, failed or was cancelled.
        ServiceError: If the file is gone from storage.
    """
    checked_formats([format] if format else None)
    with context.catalog.transaction() as session:
        run, _ = own_run(session, owner_id, run_id)
        refuse_expired(run)
        artifacts = {artifact.format: artifact for artifact in queue.artifacts(session, run)}
        if not artifacts:
            raise ConflictError(f"This run has no report: it is {run.state}.")
        wanted = format or (CSV if CSV in artifacts else next(iter(artifacts)))
        if wanted not in artifacts:
            raise NotFoundError(
                f"This run has made {', '.join(artifacts)}, not {wanted}.",
                hint="Name the formats when the report is generated, or in the rules: `output: {formats: [...]}`.",
            )
        audit.note(session, "download", owner_id, f"run/{run.id}/{wanted}")
    artifact = artifacts[wanted]
    name = file_name(slug(run.report_name), wanted, packed=artifact.media_type == GZIP_TYPE)
    view = file_view(context, artifact.digest, artifact.size_bytes, artifact.media_type, name)
    dialect = (run.outcome or {}).get("dialect", {}) if wanted == CSV else None
    return replace(view, format=wanted, dialect=dialect)


def rejects_file(context: Context, owner_id: str, run_id: str | None) -> FileView:
    """Return the rows that a run of the caller's diverted.

    Raises:
        NotFoundError: If the caller has no such run, it has no rejects, or its files were old and are gone.
        ServiceError: If the file is gone from storage.
    """
    with context.catalog.transaction() as session:
        run, _ = own_run(session, owner_id, run_id)
        refuse_expired(run)
        rejects = session.get(Rejects, run.id)
        if rejects is None:
            raise NotFoundError("This run has no rejects.")
        audit.note(session, "download", owner_id, f"run/{run.id}/rejects")
    name = f"{slug(run.report_name)}_rejects.csv"
    return file_view(context, rejects.digest, rejects.size_bytes, CSV_TYPE, name)


def refuse_expired(run: Run) -> None:
    """Refuse to look for files that were removed.

    Raises:
        NotFoundError: Saying when.
    """
    if run.expired_at is not None:
        hint = "Generate the report again if you still need it."
        raise NotFoundError(
            f"The files of this run were old and removed on {run.expired_at:%Y-%m-%d}.", hint=hint
        )


def file_view(context: Context, digest: str, size_bytes: int, media_type: str, filename: str) -> FileView:
    """Return a file of the storage that a download may be made of.

    Raises:
        LostFileError: If it is gone from storage.
        UnavailableError: If the storage is away.
    """
    if not context.store.exists(digest):
        raise LostFileError
    return FileView(digest, size_bytes, media_type, filename, context.store)
