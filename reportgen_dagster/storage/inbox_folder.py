"""The watched inbox in a folder of this machine. Only here are paths in it built.

Others write into it, so no name is trusted: every folder is opened relative to the one above it and never through a
link, and a file is judged by the descriptor that it is then read from. Claiming is a rename into a private place,
`.claimed/<user>/<dataset>/<id>/<name>`, on the same file system: the place says where the file came from, so a killed
sweep leaves nothing to remember.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from reportgen_dagster.errors import ConflictError, FileRefusedError, ServiceError
from reportgen_dagster.identity import new_id
from reportgen_dagster.storage.inbox import (
    ARCHIVE,
    DONE,
    REFUSED,
    Claimed,
    Found,
    Look,
    is_finished_name,
    is_user_folder,
    mark_of,
    reason_name,
    shown,
    stamp,
)

CHUNK_BYTES = 1024 * 1024
_CLAIMED = ".claimed"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW_TEXT = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


def make_inbox(root: Path) -> None:
    """Make the folder, private to this account, unless it is there.

    Raises:
        ServiceError: If that is impossible.
    """
    with _told_as_ours():
        root.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextmanager
def open_folder(root: Path) -> Iterator[InboxFolder]:
    """Open the inbox for one sweep.

    Raises:
        ConflictError: If another sweep is at work.
        ServiceError: If it cannot be opened.
    """
    make_inbox(root)
    with ExitStack() as stack:
        with _told_as_ours():
            descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            places = {}
            for name in (_CLAIMED, ARCHIVE, REFUSED):
                places[name] = _made_folder(descriptor, name)
                stack.callback(os.close, places[name])
        try:
            fcntl.flock(places[_CLAIMED], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError("Another sweep of the inbox is at work.") from None
        yield InboxFolder(descriptor, places)


class InboxFolder:
    """The inbox while one sweep has it open."""

    def __init__(self, root: int, places: dict[str, int]) -> None:
        """Use descriptors that somebody else closes.

        Args:
            root: Of the inbox.
            places: Of its own places in it, by their names.
        """
        self._root = root
        self._places = places

    def leftovers(self) -> list[Claimed]:
        """Return what was claimed earlier and neither archived nor refused, and clear away what is empty."""
        claims: list[Claimed] = []
        base = self._places[_CLAIMED]
        for user in _names(base):
            with _opened(user, base) as datasets:
                for dataset in _names(datasets):
                    with _opened(dataset, datasets) as ids:
                        claims += self._leftovers_of(user, dataset, ids)
        return claims

    def _leftovers_of(self, user: str, dataset: str, ids: int) -> Iterator[Claimed]:
        for claim_id in _names(ids):
            with _opened(claim_id, ids) as folder:
                names = _names(folder)
                reasons = {reason_name(name) for name in names}
                own = [name for name in names if name not in reasons]
                if own:
                    found = _found(user, dataset, own[0], _status(own[0], folder), is_complete=True)
                    self._remove_marker(found)
                    yield _Claim(self, claim_id, found)
                else:
                    os.rmdir(claim_id, dir_fd=ids)

    def look(self) -> Look:
        """Look for files in the folders of all users."""
        look = Look([], [])
        for user in filter(is_user_folder, _names(self._root)):
            with _told(look, user), self._user_folder(user) as (folder, owners):
                for dataset in _names(folder):
                    if not dataset.startswith("."):
                        with _told(look, f"{user}/{dataset}"), _owned(dataset, folder, owners) as files:
                            self._look_at(user, dataset, files, look)
        return look

    def _look_at(self, user: str, dataset: str, folder: int, look: Look) -> None:
        names = set(_names(folder))
        for name in filter(is_finished_name, names):
            with suppress(FileNotFoundError):
                status = _status(name, folder)
                if stat.S_ISDIR(status.st_mode):
                    look.left_alone.append(f"{shown(f'{user}/{dataset}/{name}')}: a folder; files are taken.")
                else:
                    found = _found(user, dataset, name, status, is_complete=f"{name}{DONE}" in names)
                    look.files.append(found)

    def claim(self, found: Found) -> Claimed | None:
        """Move a file into the private place; None if it is not what was found any more, or still being written.

        Raises:
            OSError: If it cannot be moved; it stays where it is.
        """
        with suppress(FileNotFoundError), self._dataset_folder(found) as (folder, owners):
            status = _status(found.name, folder)
            if _mark(found.user, found.dataset, found.name, status) != found.mark:
                return None
            if not _why_refused(status, owners) and _is_being_written(found.name, folder):
                return None
            return self._moved(found, folder, status)
        return None

    def _moved(self, found: Found, source: int, status: os.stat_result) -> Claimed | None:
        claim_id = new_id()
        with self._inside(_CLAIMED, found) as ids:
            os.mkdir(claim_id, 0o700, dir_fd=ids)
            try:
                with _opened(claim_id, ids) as folder:
                    os.rename(found.name, found.name, src_dir_fd=source, dst_dir_fd=folder)
                    moved = _status(found.name, folder)
            except OSError:
                os.rmdir(claim_id, dir_fd=ids)
                raise
        self._remove_marker(found)
        # What took its place at the last moment stays claimed; the next sweep judges it.
        return _Claim(self, claim_id, found) if _content(moved) == _content(status) else None

    def _remove_marker(self, found: Found) -> None:
        """Remove `<name>.done`, which must not speak for the next file of that name."""
        if found.is_complete:
            with suppress(OSError), self._dataset_folder(found) as (folder, _):
                os.unlink(f"{found.name}{DONE}", dir_fd=folder)

    @contextmanager
    def _user_folder(self, name: str) -> Iterator[tuple[int, set[int]]]:
        """Open a user's folder; also return who may own what lies in it: its owner and this account."""
        with _opened(name, self._root) as descriptor:
            yield descriptor, {os.fstat(descriptor).st_uid, os.geteuid()}

    @contextmanager
    def _dataset_folder(self, found: Found) -> Iterator[tuple[int, set[int]]]:
        """Open the folder in which a file was found; also return who may own what lies in it."""
        with self._user_folder(found.user) as (user, owners), _owned(found.dataset, user, owners) as folder:
            yield folder, owners

    @contextmanager
    def _inside(self, place: str, found: Found) -> Iterator[int]:
        """Open the folder for a dataset inside one of the inbox's own places, made where it is missing."""
        user = _made_folder(self._places[place], found.user)
        try:
            dataset = _made_folder(user, found.dataset)
        finally:
            os.close(user)
        try:
            yield dataset
        finally:
            os.close(dataset)

    def owners(self, found: Found) -> set[int]:
        """Return who may own a file that was found; this account alone if its folder is gone."""
        with suppress(OSError), self._user_folder(found.user) as (_, owners):
            return owners
        return {os.geteuid()}

    @contextmanager
    def claim_folder(self, claim: _Claim) -> Iterator[int]:
        """Open the private folder of a claim."""
        with self._inside(_CLAIMED, claim.found) as ids, _opened(claim.id, ids) as folder:
            yield folder

    def move_claim(self, claim: _Claim, place: str) -> None:
        """Move the folder of a claim to another place; nothing there is ever overwritten."""
        with self._inside(_CLAIMED, claim.found) as source, self._inside(place, claim.found) as target:
            os.rename(claim.id, stamp(claim.id), src_dir_fd=source, dst_dir_fd=target)


@dataclass(frozen=True, slots=True)
class _Claim:
    """A file in the private place."""

    inbox: InboxFolder
    id: str
    found: Found

    def chunks(self) -> Iterator[bytes]:
        name = self.found.name
        with self.inbox.claim_folder(self) as folder:
            before = _status(name, folder)
            why = _why_refused(before, self.inbox.owners(self.found))
            if why:
                raise FileRefusedError(why)
            if _is_being_written(name, folder):
                raise ConflictError("The file is being written.")
            descriptor = os.open(name, _FILE, dir_fd=folder)
        try:
            yield from _unchanged_chunks(descriptor, before)
        finally:
            os.close(descriptor)

    def archive(self) -> None:
        self.inbox.move_claim(self, ARCHIVE)

    def refuse(self, reason: str) -> None:
        with self.inbox.claim_folder(self) as folder:
            descriptor = os.open(reason_name(self.found.name), _NEW_TEXT, 0o600, dir_fd=folder)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(reason)
        self.inbox.move_claim(self, REFUSED)


def _unchanged_chunks(descriptor: int, before: os.stat_result) -> Iterator[bytes]:
    """Read a file that must be, from beginning to end, the one that was judged."""
    if _state(os.fstat(descriptor)) != _state(before):
        raise ConflictError("Another file took this file's place.")
    while chunk := os.read(descriptor, CHUNK_BYTES):
        yield chunk
    if _state(os.fstat(descriptor)) != _state(before):
        raise ConflictError("The file changed while it was read.")


def _content(status: os.stat_result) -> tuple[int, ...]:
    """Return what stays of a file that is only moved."""
    return status.st_dev, status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns


def _state(status: os.stat_result) -> tuple[int, ...]:
    """Return what changes with any change of a file; times are only compared with each other, never with a clock."""
    return *_content(status), status.st_uid, status.st_nlink, status.st_ctime_ns


def _mark(user: str, dataset: str, name: str, status: os.stat_result) -> str:
    return mark_of(user, dataset, name, *_state(status))


def _found(user: str, dataset: str, name: str, status: os.stat_result, *, is_complete: bool) -> Found:
    mark = _mark(user, dataset, name, status)
    return Found(user, dataset, name, status.st_mtime_ns, mark, is_complete)


def _why_refused(status: os.stat_result, owners: set[int]) -> str:
    """Return why something is never taken, whatever is in it; empty if it is a plain file of its owner."""
    if stat.S_ISLNK(status.st_mode):
        return "A symbolic link is not taken; drop the file itself."
    if not stat.S_ISREG(status.st_mode):
        return "Only a regular file is taken."
    if status.st_nlink != 1:
        return "The file has another name on the disk (a hard link); drop a copy."
    if status.st_uid not in owners:
        return "The file belongs neither to the owner of the user's folder nor to the account of the service."
    return ""


def _is_being_written(name: str, folder: int) -> bool:
    """Whether a process has a file open for writing, as far as the kernel tells: not of others' files, nor over a network.

    It grants a read lease only on a file that nobody writes; the lease itself is given back at once.
    """
    descriptor = os.open(name, _FILE, dir_fd=folder)
    try:
        # Who opens the file meanwhile makes the kernel send a signal: not SIGIO, which would end this process.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(descriptor)
    return False


def _names(folder: int) -> list[str]:
    return os.listdir(folder)


def _status(name: str, folder: int) -> os.stat_result:
    return os.stat(name, dir_fd=folder, follow_symlinks=False)


@contextmanager
def _opened(name: str, folder: int) -> Iterator[int]:
    """Open a folder in a folder, never through a link."""
    descriptor = os.open(name, _FOLDER, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _owned(name: str, folder: int, owners: set[int]) -> Iterator[int]:
    """Open a folder in a user's folder that belongs to one of its owners."""
    with _opened(name, folder) as descriptor:
        if os.fstat(descriptor).st_uid not in owners:
            raise PermissionError(errno.EPERM, "it belongs to somebody else")
        yield descriptor


def _made_folder(folder: int, name: str) -> int:
    """Open a folder of the inbox's own, made where it is missing."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=folder)
    return os.open(name, _FOLDER, dir_fd=folder)


@contextmanager
def _told_as_ours() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno or errno.EIO)
        raise ServiceError(
            f"The inbox does not work ({why}).", hint="REPORTGEN_INBOX names a folder of this account."
        ) from error


@contextmanager
def _told(look: Look, path: str) -> Iterator[None]:
    """Turn what cannot be opened as a folder into a sentence."""
    try:
        yield
    except FileNotFoundError:
        return  # somebody removed it while we looked
    except OSError as error:
        # A link is told by ENOTDIR, since a folder was asked for, or by ELOOP.
        is_no_folder = error.errno in (errno.ENOTDIR, errno.ELOOP)
        why = "no folder of its own" if is_no_folder else error.strerror or "cannot be opened"
        look.left_alone.append(f"{shown(path)}: {why}.")
