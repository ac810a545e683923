"""Use case: files that somebody drops into the watched inbox become versions of that user's datasets.

One `sweep` does what there is to do at this moment. It may be killed anywhere: a file is claimed first and its claim's id
is the version's id, so the next sweep finishes what this one began and adds nothing twice. How files are found, claimed
and put away is the storage's (`storage/inbox_folder.py`, `inbox_bucket.py`).
"""

from __future__ import annotations

import json
import logging
import time
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import zip_longest

from reportgen_dagster.catalog import accounts, datasets
from reportgen_dagster.errors import (
    BadRequestError,
    ConflictError,
    ReportgenError,
    ServiceError,
    UnavailableError,
)
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.fitting import judge_as_text
from reportgen_dagster.services.names import checked_name
from reportgen_dagster.services.uploads import Receiver, new_version
from reportgen_dagster.settings import Settings
from reportgen_dagster.storage.inbox import Claimed, Found, OpenInbox, shown
from reportgen_dagster.storage.inbox_folder import open_folder

FILES_A_SWEEP = 100
SECONDS_A_SWEEP = 20.0  # then it begins no further file: Dagster waits a minute for a sensor
MAX_REMEMBERED = 10_000
_SHOWN = 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that is in the catalog now.

    Attributes:
        path: Where it was found, for people.
        owner_id: Whose dataset it is.
        dataset: The dataset's name.
        number: The version's number.
        version_id: The version's id.
        is_new: Whether it made that version; otherwise it has the bytes of the latest one.
    """

    path: str
    owner_id: str
    dataset: str
    number: int
    version_id: str
    is_new: bool

    def __str__(self) -> str:
        what = "version" if self.is_new else "the same as version"
        return f"{self.path} is {what} {self.number}"


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that lies in `refused/` now, with the reason beside it."""

    path: str
    error: ReportgenError

    def __str__(self) -> str:
        return f"{self.path} was refused: {self.error.detail}"


@dataclass(frozen=True, slots=True)
class Failed:
    """A file that could not be taken for a reason that is not its own; it stays and is tried again."""

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path} stays: {self.why}"


@dataclass(slots=True)
class Swept:
    """What a sweep did.

    Attributes:
        taken: In the order in which they were taken.
        refused: In that order.
        failed: In that order.
        waiting: Files that may be taken by a later sweep.
        left_alone: What lies where it does not belong, in words.
        cursor: What the next sweep has to be given.
    """

    taken: list[Taken] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)
    cursor: str = ""

    def __str__(self) -> str:
        told = [*self.taken, *self.refused, *self.failed, *self.left_alone]
        lines = [str(each) for each in told[:_SHOWN]]
        if len(told) > _SHOWN:
            lines.append(f"and {len(told) - _SHOWN} more")
        if self.waiting:
            lines.append(f"{len(self.waiting)} waiting until they are known to be complete")
        return "; ".join(lines) or "The inbox is empty."


def sweep(context: Context, cursor: str = "", *, limit: int = FILES_A_SWEEP) -> Swept:
    """Take the files that are complete, the oldest of each user first and the users in turn.

    A file is complete when it looks as it did to the sweep before, or when `<name>.done` lies beside it.

    Args:
        context: The installation.
        cursor: What the sweep before returned; without it files wait for one sweep more.
        limit: How many files are taken, refused or tried at most.

    Raises:
        ConflictError: If another sweep is at work.
        UnavailableError: If the database is away; nothing is touched then.
        ServiceError: If the inbox cannot be opened.
    """
    with _opened(context.settings) as inbox:
        return _Sweep(context, inbox, limit).run(_remembered(cursor))


def _opened(settings: Settings) -> AbstractContextManager[OpenInbox]:
    if settings.inbox_bucket:
        from reportgen_dagster.storage.inbox_bucket import (
            open_bucket,
        )  # loads a client that few installations need

        return open_bucket(settings.inbox_bucket)
    return open_folder(settings.inbox_path)


class _Sweep:
    """One sweep at work."""

    def __init__(self, context: Context, inbox: OpenInbox, limit: int) -> None:
        self._context = context
        self._inbox = inbox
        self._places_left = limit
        self._ends_at = time.monotonic() + SECONDS_A_SWEEP
        self._owners: dict[str, str | None] = {}
        self._swept = Swept()

    def run(self, remembered: set[str]) -> Swept:
        """Finish what was claimed, then claim what is complete."""
        swept = self._swept
        look = self._inbox.look()
        swept.left_alone += sorted(look.left_alone)
        files = [found for found in look.files if self._belongs(found)]
        complete = [found for found in files if found.is_complete or found.mark in remembered]
        later = {found.mark: found for found in _in_turn(files)}
        try:
            leftovers = {left.found: left for left in self._inbox.leftovers()}
            kept = self._places_left // 2  # for what is new, should all of these fail again and again
            for found in _in_turn(leftovers):
                if self._belongs(found) and self._places_left > kept and self._has_room():
                    self._take(leftovers[found])
            for found in _in_turn(complete):
                claimed = self._claim(found) if self._has_room() else None
                if claimed is not None:
                    del later[found.mark]
                    self._take(claimed)
        except UnavailableError as error:
            _log.warning("the inbox waits: %s", error.detail)
        swept.waiting += [found.path for found in later.values()]
        swept.cursor = json.dumps(list(later)[:MAX_REMEMBERED])
        return swept

    def _has_room(self) -> bool:
        return self._places_left > 0 and time.monotonic() < self._ends_at

    def _belongs(self, found: Found) -> bool:
        """Whether a file lies in the folder of a user and a dataset; told once for each folder otherwise."""
        try:
            _dataset(found)
            why = ""
        except BadRequestError as error:
            why = f"{shown(f'{found.user}/{found.dataset}')}: {error.detail}"
        if self._owner_of(found.user) is None:
            why = f"{shown(found.user)}: nobody with this e-mail or id has an account."
        if why and why not in self._swept.left_alone:
            self._swept.left_alone.append(why)
        return not why

    def _owner_of(self, folder: str) -> str | None:
        """Return the id of the user that a folder is called after: by e-mail, whatever the case, or by id."""
        if folder not in self._owners:
            self._owners[folder] = self._find_owner(folder) if folder.isprintable() else None
        return self._owners[folder]

    def _find_owner(self, folder: str) -> str | None:
        with self._context.catalog.reading() as session:
            user = accounts.find_user(session, folder.lower()) or accounts.find_user_by_id(session, folder)
            return user.id if user else None

    def _claim(self, found: Found) -> Claimed | None:
        try:
            return self._inbox.claim(found)
        except OSError as error:
            self._fail(found, error)
            return None

    def _take(self, claimed: Claimed) -> None:
        """Make a claimed file a version, or refuse it; whatever fails leaves it claimed.

        Raises:
            UnavailableError: If the database is away.
        """
        try:
            self._take_or_refuse(claimed)
        except ConflictError:
            self._swept.waiting.append(claimed.found.path)
        except UnavailableError as error:
            self._fail(claimed.found, error)
            raise
        except (ServiceError, OSError) as error:
            self._fail(claimed.found, error)
        except Exception as error:
            # A mistake of ours with one file must not hold up the others.
            _log.exception("inbox: a file cannot be taken")
            self._fail(claimed.found, error)
        else:
            self._places_left -= 1

    def _take_or_refuse(self, claimed: Claimed) -> None:
        try:
            taken = self._accept(claimed)
        except (ConflictError, ServiceError):
            raise
        except ReportgenError as error:
            claimed.refuse(_reason(claimed.found, error))
            self._swept.refused.append(Refused(claimed.found.path, error))
            _log.info("inbox: %s", self._swept.refused[-1])
            return
        claimed.archive()
        self._swept.taken.append(taken)
        _log.info("inbox: %s", taken)

    def _accept(self, claimed: Claimed) -> Taken:
        """Store a file and add it to the catalog; again and again, it is one version."""
        found = claimed.found
        owner_id, dataset = self._owner_of(found.user) or "", _dataset(found)
        with Receiver(self._context, found.name, dataset, judge_as_text) as receiver:
            for chunk in claimed.chunks():
                receiver.write(chunk)
            upload = receiver.finish()
        new = new_version(upload, version_id=claimed.id)
        with self._context.catalog.transaction() as session:
            version = datasets.add_version(session, owner_id, dataset, new)
            is_new = version.id == claimed.id
            return Taken(found.path, owner_id, dataset, version.number, version.id, is_new)

    def _fail(self, found: Found, error: Exception) -> None:
        self._places_left -= 1
        self._swept.failed.append(Failed(found.path, _why(error)))
        _log.warning("inbox: %s", self._swept.failed[-1])


def _why(error: Exception) -> str:
    if isinstance(error, ReportgenError):
        return error.detail
    return f"{error.strerror}." if isinstance(error, OSError) and error.strerror else f"{ServiceError.title}."


def _dataset(found: Found) -> str:
    """Return the name of the dataset that a folder stands for, whichever way its system spells letters with accents.

    Raises:
        BadRequestError: If no dataset can be called so.
    """
    return checked_name(unicodedata.normalize("NFC", found.dataset), "dataset")


def _age(found: Found) -> tuple[int, str]:
    return found.modified_ns, found.name


def _in_turn(files: Iterable[Found]) -> Iterator[Found]:
    """Order files: the oldest of each user, then the second of each, so that nobody's thousand hold up another's one."""
    by_user: dict[str, list[Found]] = defaultdict(list)
    for found in sorted(files, key=_age):
        by_user[found.user].append(found)
    for files_of_a_round in zip_longest(*by_user.values()):
        yield from filter(None, files_of_a_round)


def _remembered(cursor: str) -> set[str]:
    """Return the marks of a cursor; none if it is not one of ours."""
    try:
        marks = json.loads(cursor or "[]")
    except ValueError:
        return set()
    return {mark for mark in marks if isinstance(mark, str)} if isinstance(marks, list) else set()


def _reason(found: Found, error: ReportgenError) -> str:
    """Return why a file was refused, as a text for whoever dropped it."""
    problems = [f"- {problem}" for problem in error.problems]
    parts = [
        f"{found.path} was refused.",
        f"{error.title}: {error.detail}",
        "\n".join(problems),
        error.case_hint,
    ]
    return "\n\n".join(filter(None, parts)) + "\n"
