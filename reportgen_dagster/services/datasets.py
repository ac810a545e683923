"""Use case: named datasets: add versions, look at them, expect new ones in time, delete.

What belongs here: what an owner does with a dataset. What does not: how bytes come in, last uploads without a name of
their own (both uploads.py), when reports run on new data (reports.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import accounts, datasets
from reportgen_dagster.catalog import reports as definitions
from reportgen_dagster.catalog.tables import CSV_TYPE, Dataset, DatasetVersion
from reportgen_dagster.errors import BadRequestError, ConflictError, NotFoundError, Problem
from reportgen_dagster.identity import slug
from reportgen_dagster.services import audit, cursors, idempotency, quotas
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.cron import check_cron
from reportgen_dagster.services.idempotency import Once
from reportgen_dagster.services.names import RESERVED, checked_name, deleted_name, may_exist, nearest_name
from reportgen_dagster.services.preconditions import WHATEVER, Precondition, fingerprint
from reportgen_dagster.services.runs import FileView, file_view
from reportgen_dagster.services.uploads import Upload, new_version

MAX_WITHIN_SECONDS = 31 * 24 * 3600


@dataclass(frozen=True, slots=True)
class VersionView:
    """One version of a dataset; it never changes.

    Attributes:
        number: 1, 2, 3 ... within the dataset.
        digest: SHA-256 of its bytes.
        size_bytes: Its length as it came.
        filename: What the file was called.
        columns: The names in its header.
        created_at: When it came.
        received_at: When these bytes last came while it was the latest; when it was made if they never came again.
        profile: Rows, columns and first rows, once they were looked at.
    """

    number: int
    digest: str
    size_bytes: int
    filename: str
    columns: list[str]
    created_at: datetime
    received_at: datetime
    profile: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class ExpectationView:
    """When new versions of a dataset are expected.

    Attributes:
        cron: Five fields.
        timezone: An IANA name.
        within_seconds: How long after its time a version may come.
        since: Since when; changes with each change.
    """

    cron: str
    timezone: str
    within_seconds: int
    since: datetime

    @property
    def fingerprint(self) -> str:
        """What changes with any of it."""
        return fingerprint(self)


@dataclass(frozen=True, slots=True)
class DatasetView:
    """A dataset as its owner sees it.

    Attributes:
        name: Its name.
        latest: Its latest version.
        expected: When new versions are expected; None: nobody minds.
    """

    name: str
    latest: VersionView
    expected: ExpectationView | None

    @property
    def fingerprint(self) -> str:
        """What changes with any of it, also once the latest version was looked at."""
        return fingerprint(self)


def add_version(
    context: Context, owner_id: str, name: str, upload: Upload, *, once: Once | None = None
) -> VersionView:
    """Make a stored file the latest version of a dataset, made if there is none; the same bytes again are no new version.

    Args:
        context: The installation.
        owner_id: Whose dataset.
        name: What it is called.
        upload: The file.
        once: The request that it is added for, if that may come again.

    Raises:
        RepeatedRequest: If the request was carried out before.
        BadRequestError: If the name cannot be used.
        TooLargeError: If the owner has more bytes with it than he may store.
        TooManyError: If the owner has too many files with it.
        UnavailableError: If the database is away; nothing is accepted then.
    """
    plain = checked_name(name, "dataset")
    with context.catalog.transaction() as session:
        version = _version(datasets.add_version(session, owner_id, plain, new_version(upload)))
        quotas.check_added(context, session, owner_id)
        idempotency.note(session, once, version)
        return version


def list_datasets(context: Context, owner_id: str) -> list[DatasetView]:
    """Return the caller's named datasets in the order of their names."""
    with context.catalog.reading() as session:
        rows = datasets.with_latest(session, owner_id)
    return [_view(dataset, latest) for dataset, latest in rows if not RESERVED.fullmatch(dataset.name)]


def page_of_datasets(
    context: Context, owner_id: str, *, limit: int = 50, cursor: str | None = None
) -> tuple[list[DatasetView], str | None]:
    """Return a page of the caller's datasets in the order of their names, without profiles, and the cursor of the next page.

    Args:
        context: The installation.
        owner_id: Who asks.
        limit: At most so many, from 1 to 500.
        cursor: Where the page begins, as the page before gave it.

    Raises:
        BadRequestError: If limit or cursor cannot be used.
    """
    cursors.check_limit(limit)
    after = cursors.decode_text(cursor) if cursor else None
    with context.catalog.reading() as session:
        rows, last = cursors.cut(datasets.page(session, owner_id, after=after, limit=limit + 1), limit)
        views = [_view(dataset, version, with_profile=False) for dataset, version in rows]
    return views, cursors.encode_text(last[0].name) if last else None


def get_dataset(context: Context, owner_id: str, name: str) -> DatasetView:
    """Return a dataset of the caller's.

    Raises:
        NotFoundError: If there is none of that name.
    """
    with context.catalog.reading() as session:
        dataset = find_own(session, owner_id, name)
        return _view(dataset, find_version(session, dataset))


def list_versions(context: Context, owner_id: str, name: str) -> list[VersionView]:
    """Return the versions of a dataset of the caller's, the latest first.

    Raises:
        NotFoundError: If there is none of that name.
    """
    with context.catalog.reading() as session:
        dataset = find_own(session, owner_id, name)
        return [_version(version) for version in datasets.versions(session, dataset.id)]


def page_of_versions(
    context: Context, owner_id: str, name: str, *, limit: int = 50, cursor: str | None = None
) -> tuple[list[VersionView], str | None]:
    """Return a page of the versions of a dataset of the caller's, the latest first, and the cursor of the next page.

    Args:
        context: The installation.
        owner_id: Who asks.
        name: Which dataset.
        limit: At most so many, from 1 to 500.
        cursor: Where the page begins, as the page before gave it.

    Raises:
        BadRequestError: If limit or cursor cannot be used.
        NotFoundError: If there is none of that name.
    """
    cursors.check_limit(limit)
    before = cursors.decode_number(cursor) if cursor else None
    with context.catalog.reading() as session:
        dataset = find_own(session, owner_id, name)
        found = datasets.versions(session, dataset.id, before=before, limit=limit + 1, with_profiles=False)
        page, last = cursors.cut([_version(version, with_profile=False) for version in found], limit)
    return page, cursors.encode_text(str(last.number)) if last else None


def get_version(context: Context, owner_id: str, name: str, number: int | None = None) -> VersionView:
    """Return a version of a dataset of the caller's; the latest without a number.

    Raises:
        NotFoundError: If there is no such dataset or version.
    """
    with context.catalog.reading() as session:
        return _version(find_version(session, find_own(session, owner_id, name), number))


def get_profile(context: Context, owner_id: str, name: str, number: int) -> dict[str, Any]:
    """Return what a version of a dataset of the caller's holds: the members of engine/profile.py's `Profile`.

    Raises:
        NotFoundError: If there is no such dataset or version.
        ConflictError: If nobody looked at it yet, or it cannot be read.
    """
    profile = get_version(context, owner_id, name, number).profile
    if profile is None:
        raise ConflictError(
            f"Version {number} of {name} was not looked at yet.", hint="Ask again in a few seconds."
        )
    if "error" in profile:
        error = profile["error"]
        raise ConflictError(
            f"Version {number} of {name} cannot be read as it is: {error['detail']}",
            problems=[Problem(**problem) for problem in error["problems"]],
            hint=error["hint"],
        )
    return profile


def version_file(context: Context, owner_id: str, name: str, number: int | None = None) -> FileView:
    """Return the bytes of a version of a dataset of the caller's as they were uploaded; the latest without a number.

    Raises:
        NotFoundError: If there is no such dataset or version.
        ServiceError: If the file is gone from storage.
    """
    with context.catalog.transaction() as session:
        version = find_version(session, find_own(session, owner_id, name), number)
        audit.note(session, "download", owner_id, f"dataset/{name}@{version.number}")
    return file_view(context, version.digest, version.size_bytes, CSV_TYPE, version.filename)


def version_rejects(context: Context, owner_id: str, name: str, number: int) -> FileView:
    """Return the rows of a version of a dataset of the caller's that cannot be read, each with its line and the reason.

    Raises:
        NotFoundError: If there is no such dataset or version, or every row can be read.
        ConflictError: If nobody looked at it yet, or it cannot be read as a whole.
        ServiceError: If the file is gone from storage.
    """
    get_profile(context, owner_id, name, number)
    with context.catalog.transaction() as session:
        version = find_version(session, find_own(session, owner_id, name), number)
        if version.rejects_digest is None:
            raise NotFoundError(f"Every row of version {number} of {name} can be read.")
        audit.note(session, "download", owner_id, f"dataset/{name}@{number}/rejects")
    filename = f"{slug(name)}_{number}_rejects.csv"
    return file_view(context, version.rejects_digest, version.rejects_bytes or 0, CSV_TYPE, filename)


def reports_of(context: Context, owner_id: str, name: str) -> list[str]:
    """Return the names of the reports that are made of a dataset of the caller's.

    Raises:
        NotFoundError: If there is no such dataset.
    """
    with context.catalog.reading() as session:
        return definitions.using(session, dataset_id=find_own(session, owner_id, name).id)


def expect_dataset(
    context: Context,
    owner_id: str,
    name: str,
    *,
    cron: str | None,
    timezone: str = "UTC",
    within_seconds: int = 3600,
    expected: Precondition = WHATEVER,
) -> DatasetView:
    """Say when new versions of a dataset are expected; a late one is told by the dataset's check `on_time`.

    Args:
        context: The installation.
        owner_id: Whose dataset.
        name: Which dataset.
        cron: Five fields; None: they are not expected at any time.
        timezone: An IANA name.
        within_seconds: How long after its time a version may come.
        expected: What the expectation must be before.

    Raises:
        NotFoundError: If there is no such dataset.
        CronError: If cron or time zone are not valid.
        BadRequestError: If the seconds are none, or more than a month.
        PreconditionError: If the expectation is not what was expected.
    """
    if cron is not None:
        check_cron(cron, timezone)
        if not 0 < within_seconds <= MAX_WITHIN_SECONDS:
            raise BadRequestError(f"within_seconds: 1 to {MAX_WITHIN_SECONDS:,} are possible.")
    with context.catalog.transaction() as session:
        accounts.lock_definitions(session, owner_id)
        dataset = find_own(session, owner_id, name)
        present = _expectation(dataset)
        expected.check(present.fingerprint if present else None)
        datasets.expect(
            session,
            dataset.id,
            cron=" ".join(cron.split()) if cron is not None else None,
            timezone=timezone if cron is not None else None,
            within_seconds=within_seconds if cron is not None else None,
        )
        session.refresh(dataset)
        return _view(dataset, find_version(session, dataset))


def get_expectation(context: Context, owner_id: str, name: str) -> ExpectationView:
    """Return when new versions of a dataset of the caller's are expected.

    Raises:
        NotFoundError: If there is no such dataset, or nobody minds when it gets new versions.
    """
    with context.catalog.reading() as session:
        found = _expectation(find_own(session, owner_id, name))
    if found is None:
        raise NotFoundError(f"New versions of {name} are not expected at any time.")
    return found


def put_expectation(
    context: Context, owner_id: str, name: str, *, expected: Precondition = WHATEVER, **times: Any
) -> ExpectationView:
    """Say when new versions of a dataset are expected, as `expect_dataset`, and return that.

    Raises:
        ReportgenError: As `expect_dataset`.
    """
    expect_dataset(context, owner_id, name, expected=expected, **times)
    return get_expectation(context, owner_id, name)


def delete_dataset(context: Context, owner_id: str, name: str, *, expected: Precondition = WHATEVER) -> None:
    """Delete a dataset of the caller's. Runs keep the versions that they were made of.

    Raises:
        NotFoundError: If there is none of that name.
        ConflictError: If reports are made of it.
        PreconditionError: If it is not what was expected.
    """
    with context.catalog.transaction() as session:
        accounts.lock_definitions(session, owner_id)
        dataset = find_own(session, owner_id, name, lock=True)
        expected.check(_view(dataset, find_version(session, dataset)).fingerprint)
        users = definitions.using(session, dataset_id=dataset.id)
        if users:
            raise ConflictError(
                f"Reports are made of the dataset {name}: {', '.join(users)}.",
                hint="Delete these reports, or make them of another dataset, first.",
            )
        datasets.rename(session, dataset.id, deleted_name(dataset.id))
        audit.note(session, "dataset-deleted", owner_id, f"dataset/{name}")


def find_own(session: Session, owner_id: str, name: str, *, lock: bool = False) -> Dataset:
    """Return a named dataset of an owner; locked, nobody deletes it or makes a report of it meanwhile.

    Raises:
        NotFoundError: If there is none; with the nearest name that there is.
    """
    found = datasets.find(session, owner_id, name, lock=lock) if may_exist(name) else None
    if found is None:
        known = [dataset.name for dataset, _ in datasets.with_latest(session, owner_id)]
        hint = nearest_name(name, [one for one in known if not RESERVED.fullmatch(one)])
        raise NotFoundError(f"There is no dataset {name}.", hint=hint)
    return found


def find_version(session: Session, dataset: Dataset, number: int | None = None) -> DatasetVersion:
    """Return a version of a dataset; the latest without a number.

    Raises:
        NotFoundError: If there is no such version.
    """
    found = datasets.version(session, dataset.id, number)
    if found is None:
        last = datasets.version(session, dataset.id)
        known = f"; the latest is {last.number}" if last else ""
        raise NotFoundError(f"The dataset {dataset.name} has no version {number}{known}.")
    return found


def _version(version: DatasetVersion, *, with_profile: bool = True) -> VersionView:
    return VersionView(
        number=version.number,
        digest=version.digest,
        size_bytes=version.size_bytes,
        filename=version.filename,
        columns=version.header,
        created_at=version.created_at,
        received_at=version.received_at,
        profile=version.profile if with_profile else None,
    )


def _view(dataset: Dataset, latest: DatasetVersion, *, with_profile: bool = True) -> DatasetView:
    return DatasetView(dataset.name, _version(latest, with_profile=with_profile), _expectation(dataset))


def _expectation(dataset: Dataset) -> ExpectationView | None:
    if dataset.expected_cron is None:
        return None
    return ExpectationView(
        dataset.expected_cron,
        dataset.expected_timezone or "UTC",
        dataset.expected_within_seconds or 0,
        dataset.expected_since or dataset.created_at,
    )
