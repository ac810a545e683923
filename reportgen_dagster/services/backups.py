"""Use case: back up an installation while it works, and restore one into an empty place.

The catalog is read first, in one snapshot; then every file that it names is copied, each checked by its digest. A file is in
storage before the catalog names it and is never changed, and nothing is removed meanwhile (`REMOVAL_LOCK`): the two fit together.
What belongs here: what a backup is made of, in which order, and what a restored installation must not believe. What does not: how
a backup lies on a disk (storage/backup_files.py), servers (supervisor/).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import consistency, dumps, restoring
from reportgen_dagster.catalog.session import is_known_revision, migrate
from reportgen_dagster.errors import (
    BadRequestError,
    ConflictError,
    DamagedFileError,
    LostFileError,
    Problem,
)
from reportgen_dagster.identity import utc_now
from reportgen_dagster.services import keys
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.fsck import fsck
from reportgen_dagster.services.retention import REMOVAL_LOCK
from reportgen_dagster.storage.backup_files import BackupReader, BackupWriter, digest_of, reading, writing

FORMAT = 1
CATALOG, DAGSTER, FILES = "catalog.dump", "dagster.dump", "files.txt"

Progress = Callable[[float], None]  # the fraction of the files that is done


@dataclass(slots=True)
class Made:
    """What a backup has.

    Attributes:
        path: Where it lies.
        copied: Files that were copied now.
        there: Files that the folder had from the backup before.
        size_bytes: The length of what was copied.
        has_dagster: Dagster's history is in it.
        has_key: The key of tokens and links is in it.
        lacking: A sentence for each file that could not be copied: the installation itself lacks it.
    """

    path: str
    copied: int = 0
    there: int = 0
    size_bytes: int = 0
    has_dagster: bool = False
    has_key: bool = False
    lacking: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Restored:
    """What was restored.

    Attributes:
        made_at: When the backup was made.
        release: The release that made it.
        files: Files that were put into storage, or were there from an interrupted restore.
        runs: Runs that were accepted or running; they are made once the service starts.
        has_dagster: Dagster's history came along.
        has_key: The key of tokens and links came along.
        problems: What `fsck` says of the result.
    """

    made_at: str
    release: str
    files: int = 0
    runs: int = 0
    has_dagster: bool = False
    has_key: bool = False
    problems: list[str] = field(default_factory=list)


def back_up(
    context: Context,
    path: Path,
    *,
    with_dagster: bool = False,
    with_key: bool = False,
    progress: Progress = lambda _fraction: None,
) -> Made:
    """Back up catalog and storage into a folder, which is added to, or a new file that ends in `.tar`.

    The service may work meanwhile. Whatever ends this in its middle leaves the backup that was there before.

    Args:
        context: The installation.
        path: Where to.
        with_dagster: Dagster's database too: the history of its runs, ticks and assets.
        with_key: The keys of the home too, with which anybody can sign tokens.
        progress: Is told how far it is.

    Raises:
        ConflictError: If the file is there already, or another backup into the folder is under way.
        BadRequestError: If there is no key in the home although it is wanted.
        UnavailableError: If database or storage is away.
        ServiceError: If a dump cannot be made or the disk takes no more.
    """
    kept = {name: context.settings.home / name for name in keys.FILES if with_key}
    key_files = {name: place for name, place in kept.items() if place.is_file()}
    if with_key and not key_files:
        raise BadRequestError("There is no key in the home; REPORTGEN_SECRET_KEY is yours to keep.")
    began = utc_now()
    made = Made(str(path), has_dagster=with_dagster, has_key=with_key)
    environment = context.settings.environment()
    with (
        context.catalog.exclusive(REMOVAL_LOCK, waits=True),
        context.store.work_folder("backup") as work,
        writing(path, f"{began:%Y%m%dT%H%M%S%f}") as backup,
    ):
        with context.catalog.snapshot() as (session, snapshot):
            revision, files = restoring.revision(session), consistency.stored_sizes(session)
            dumps.dump(context.settings.catalog_url, work / CATALOG, environment, snapshot=snapshot)
        if with_dagster:
            dumps.dump(context.settings.dagster_database_url, work / DAGSTER, environment)
        (work / FILES).write_text("".join(f"{digest}\n" for digest, _, _ in files))
        parts = [CATALOG, FILES, *([DAGSTER] if with_dagster else [])]
        places = {name: work / name for name in parts} | key_files
        for name, place in places.items():
            backup.add_part(name, place)
        _copy_files(context, backup, files, made, progress)
        manifest = {
            "format": FORMAT,
            "made_at": began.isoformat(),
            "release": version("reportgen"),
            "revision": revision,
            "parts": {name: digest_of(place) for name, place in places.items()},
            "lacking": made.lacking,
        }
        backup.finish(manifest, {digest for digest, _, _ in files})
    return made


def _copy_files(
    context: Context,
    backup: BackupWriter,
    files: Collection[tuple[str, int, str]],
    made: Made,
    progress: Progress,
) -> None:
    for place, (digest, size_bytes, what) in enumerate(files):
        progress(place / len(files))
        if backup.has(digest):
            made.there += 1
            continue
        try:
            backup.add_file(digest, size_bytes, context.store.chunks(digest))
        except (LostFileError, DamagedFileError) as error:
            made.lacking.append(f"{what} ({digest}): {error.title}.")
        else:
            made.copied += 1
            made.size_bytes += size_bytes
    progress(1.0)


def check(path: Path) -> list[str]:
    """Read a backup and return a sentence for each thing that is wrong with it; none if it can be restored whole.

    Raises:
        BadRequestError: If there is no complete backup.
    """
    backup = reading(path)
    try:
        with TemporaryDirectory() as folder:
            told = {name: backup.part(name, Path(folder)) for name in backup.manifest["parts"]}
            wrong = [
                f"The part {name} is damaged."
                for name, digest in backup.manifest["parts"].items()
                if digest_of(told[name]) != digest
            ]
            return [*wrong, *_wrong_files(backup, told[FILES].read_text().split())]
    finally:
        backup.close()


def _wrong_files(backup: BackupReader, digests: Collection[str]) -> Iterator[str]:
    for digest in digests:
        try:
            for _chunk in backup.chunks(digest):
                pass
        except LostFileError:
            yield f"The file {digest} is missing in the backup."
        except DamagedFileError:
            yield f"The file {digest} in the backup is damaged."


def restore(context: Context, path: Path, *, progress: Progress = lambda _fraction: None) -> Restored:
    """Restore a backup into an installation that has a database, but nothing in it, and no files of others.

    Interrupted before the database is filled, it can be called again. Who was signed in is not any more; runs that
    were accepted or running are accepted, and made once the service starts.

    Args:
        context: The installation; nothing of it may run.
        path: The backup's folder or file.
        progress: Is told how far it is.

    Raises:
        BadRequestError: If there is no complete backup, it is damaged, or a later release made it.
        ConflictError: If the database or the storage is not empty.
        ServiceError: If the database or the storage does not take it.
    """
    backup = reading(path)
    try:
        with context.store.work_folder("restore") as work:
            return _restored(context, backup, work, progress)
    finally:
        backup.close()


def _restored(context: Context, backup: BackupReader, work: Path, progress: Progress) -> Restored:
    settings, manifest = context.settings, backup.manifest
    if manifest.get("format") != FORMAT or not is_known_revision(manifest["revision"]):
        raise BadRequestError(
            f"The backup was made by release {manifest.get('release')}, which is later than this one.",
            hint="Restore it with that release or a later one.",
        )
    parts = _checked_parts(backup, work)
    digests = parts[FILES].read_text().split()
    _refuse_filled(context, digests, with_dagster=DAGSTER in parts)
    done = Restored(manifest["made_at"], manifest["release"])
    _put_files(context, backup, digests, done, progress)
    environment = settings.environment()
    if DAGSTER in parts:
        dumps.restore(settings.dagster_database_url, parts[DAGSTER], environment)
        done.has_dagster = True
    if settings.secret_key is None:
        for name in parts.keys() & set(keys.FILES):
            _put_key(settings.home / name, parts[name].read_text())
            done.has_key = True
    dumps.restore(settings.catalog_url, parts[CATALOG], environment)
    migrate(settings.catalog_url)
    with context.catalog.transaction() as session:
        done.runs = _settle(session)
    done.problems = fsck(context, at_rest=True)
    return done


def _checked_parts(backup: BackupReader, work: Path) -> dict[str, Path]:
    """Return where each part lies.

    Raises:
        BadRequestError: If one is not what it was.
    """
    parts = {name: backup.part(name, work) for name in backup.manifest["parts"]}
    damaged = [name for name, digest in backup.manifest["parts"].items() if digest_of(parts[name]) != digest]
    if damaged:
        raise BadRequestError(problems=[Problem("is damaged", path=name) for name in damaged])
    return parts


def _refuse_filled(context: Context, digests: Collection[str], *, with_dagster: bool) -> None:
    """Refuse to touch what is there already.

    Raises:
        ConflictError: If a database has tables, or the storage files of others.
    """
    problems = []
    with context.catalog.reading() as session:
        if not restoring.is_empty(session):
            problems.append(Problem("the database of the catalog is not empty"))
    if with_dagster and not restoring.is_empty_database(context.settings.dagster_database_url):
        problems.append(Problem("the database of Dagster is not empty"))
    if set(context.store.digests()).difference(digests):
        problems.append(Problem("the storage has files that the backup does not name"))
    if problems:
        raise ConflictError(problems=problems, hint="A backup is restored into an empty home or database.")


def _put_files(
    context: Context, backup: BackupReader, digests: Collection[str], done: Restored, progress: Progress
) -> None:
    """Put the files into storage; one that the backup lacks or that is damaged is told by `fsck` in the end."""
    for place, digest in enumerate(digests):
        progress(place / len(digests))
        if not context.store.verify(digest):
            try:
                with context.store.new_blob() as blob:
                    for chunk in backup.chunks(digest):
                        blob.write(chunk)
                    blob.finish()
            except (LostFileError, DamagedFileError):
                continue
        done.files += 1
    progress(1.0)


def _put_key(path: Path, key: str) -> None:
    if path.exists():
        raise ConflictError(
            f"The home has a {path.name} already.", hint="Remove it to take that of the backup."
        )
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key)


def _settle(session: Session) -> int:
    """Correct what was true only where the backup was made; return how many runs are to be made."""
    restoring.end_sessions(session)
    restoring.end_leases(session)
    return restoring.accept_again(session)
