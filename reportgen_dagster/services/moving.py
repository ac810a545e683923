"""Use case: copy every file that the catalog knows from one storage to another.

It may run while the service works, and again: files never change, and what is there already and whole is skipped. What belongs
here: which files, and what became of each. What does not: switching over, which is a setting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from reportgen_dagster.catalog import consistency
from reportgen_dagster.errors import DamagedFileError, LostFileError
from reportgen_dagster.services.context import Context
from reportgen_dagster.storage.store import ObjectStore, Stored, checked

Progress = Callable[[float], None]  # the fraction of the files that is done


@dataclass(slots=True)
class Copied:
    """What was copied.

    Attributes:
        copied: How many files.
        size_bytes: Their length together.
        there: How many were there already.
        problems: A sentence for each that could not be copied.
    """

    copied: int = 0
    size_bytes: int = 0
    there: int = 0
    problems: list[str] = field(default_factory=list)


def copy_files(
    context: Context, source: ObjectStore, target: ObjectStore, progress: Progress = lambda _fraction: None
) -> Copied:
    """Copy what the catalog knows, each file checked by its digest. Nothing is removed.

    Args:
        context: The installation.
        source: From where.
        target: To where.
        progress: Is told how far it is.

    Raises:
        UnavailableError: If database or a storage is away. What was copied stays; the next call goes on.
        ServiceError: If the target takes no more.
    """
    with context.catalog.reading() as session:
        files = consistency.stored_files(session)
    done = Copied()
    for place, (digest, what) in enumerate(files):
        progress(place / len(files))
        if target.verify(digest):
            done.there += 1
            continue
        try:
            stored = _copy(digest, source, target)
        except (LostFileError, DamagedFileError) as error:
            done.problems.append(f"{what} ({digest}): {error.title}.")
        else:
            done.copied += 1
            done.size_bytes += stored.size_bytes
    progress(1.0)
    return done


def _copy(digest: str, source: ObjectStore, target: ObjectStore) -> Stored:
    with target.new_blob() as blob:
        for chunk in checked(source.chunks(digest), digest):
            blob.write(chunk)
        return blob.finish()
