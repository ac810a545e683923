"""How a backup lies on a disk: as a folder that the next backup adds to, or as one tar file.

    <folder>/sets/<id>/             parts (dumps, the list of files) and manifest.json of a complete backup
    <folder>/storage/blobs/aa/...   files under their digest, of all sets together
    <file>.tar                      the same: parts, files as blobs/aa/<sha256>, and manifest.json as the last

A backup is complete once its folder or file has its name: before that it is called `.part`. What belongs here: names, and that
nothing half written counts. What does not: what is backed up (services/backups.py).
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from reportgen_dagster.errors import (
    BadRequestError,
    ConflictError,
    DamagedFileError,
    LostFileError,
    ReportgenError,
)
from reportgen_dagster.identity import DIGEST_PATTERN
from reportgen_dagster.storage.disk import CHUNK_BYTES, told_as_ours
from reportgen_dagster.storage.store import checked
from reportgen_dagster.storage.store_folder import FolderStore

TAR = ".tar"
MANIFEST = "manifest.json"
_PART = ".part"


class _Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


class BackupWriter(ABC):
    """A backup on its way. Call `add_part` for all parts, then `add_file` for the files, then `finish`."""

    @abstractmethod
    def has(self, digest: str) -> bool:
        """Tell whether a file is there from an earlier backup."""

    @abstractmethod
    def add_part(self, name: str, path: Path) -> None:
        """Take a copy of a small file, such as a dump."""

    @abstractmethod
    def add_file(self, digest: str, size_bytes: int, chunks: Iterator[bytes]) -> None:
        """Take a file.

        Raises:
            LostFileError: As the chunks raise it; nothing is taken then.
            DamagedFileError: If its bytes are others; nothing is taken then.
        """

    @abstractmethod
    def finish(self, manifest: Mapping[str, Any], digests: Collection[str]) -> None:
        """Let the backup count from now on, and remove the one before with what only that needed."""


class BackupReader(ABC):
    """A complete backup."""

    manifest: Mapping[str, Any]

    @abstractmethod
    def part(self, name: str, folder: Path) -> Path:
        """Return where a part can be read, copied into a folder if there has to be a copy."""

    @abstractmethod
    def chunks(self, digest: str) -> Iterator[bytes]:
        """Read a file; the last piece is given only if all of it has the digest.

        Raises:
            LostFileError: If it is not there.
            DamagedFileError: If its bytes are others.
        """

    @abstractmethod
    def close(self) -> None:
        """Close it."""


@contextmanager
def writing(path: Path, name: str) -> Iterator[BackupWriter]:
    """Begin a backup: one tar file if the path ends in `.tar`, else a folder. Without `finish` none is there afterwards.

    Args:
        path: Where to.
        name: The new backup's; names of later ones sort behind it.

    Raises:
        ConflictError: If the tar file is there already, or another backup into the folder is under way.
        ServiceError: If the disk does not take it.
    """
    if path.suffix == TAR:
        with told_as_ours(), _TarWriter(path) as tar:
            yield tar
    else:
        with told_as_ours(), _folder_writer(path, name) as folder:
            yield folder


def reading(path: Path) -> BackupReader:
    """Open a complete backup; of a folder the last one.

    Raises:
        BadRequestError: If there is none.
    """
    try:
        return _TarReader(path) if path.is_file() else _FolderReader(path)
    except (OSError, ValueError, KeyError, tarfile.TarError):
        raise BadRequestError(f"{path} holds no complete backup.") from None


class _FolderWriter(BackupWriter):
    def __init__(self, folder: Path, name: str) -> None:
        self._sets = folder / "sets"
        self._set = self._sets / name
        self._new = self._sets / f"{name}{_PART}"
        self._store = FolderStore(folder / "storage")
        self._sets.mkdir(mode=0o700, exist_ok=True)
        for left in self._sets.glob(f"*{_PART}"):
            shutil.rmtree(left)
        self._store.remove_stale(older_than_seconds=0)
        self._new.mkdir(mode=0o700)

    def has(self, digest: str) -> bool:
        return self._store.exists(digest)

    def add_part(self, name: str, path: Path) -> None:
        shutil.copyfile(path, self._new / name)
        (self._new / name).chmod(0o600)
        _fsync(self._new / name)

    def add_file(self, digest: str, size_bytes: int, chunks: Iterator[bytes]) -> None:  # noqa: ARG002 - as many as come
        with self._store.new_blob() as blob:
            for chunk in checked(chunks, digest):
                blob.write(chunk)
            blob.finish()

    def finish(self, manifest: Mapping[str, Any], digests: Collection[str]) -> None:
        (self._new / MANIFEST).write_text(json.dumps(manifest, indent=2))
        _fsync(self._new / MANIFEST)
        _fsync(self._new)
        self._new.rename(self._set)
        _fsync(self._sets)
        for other in self._sets.iterdir():
            if other != self._set:
                shutil.rmtree(other)
        for digest in set(self._store.digests()).difference(digests):
            self._store.remove(digest, older_than_seconds=0)


@contextmanager
def _folder_writer(folder: Path, name: str) -> Iterator[_FolderWriter]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(f"Another backup into {folder} is under way.") from None
        yield _FolderWriter(folder, name)
    finally:
        os.close(descriptor)


class _TarWriter(BackupWriter):
    def __init__(self, path: Path) -> None:
        if path.exists():
            raise ConflictError(f"{path} is there already.", hint="A folder can be added to, a file cannot.")
        self._path = path
        self._new = path.with_name(f".{path.name}{_PART}")

    def __enter__(self) -> _TarWriter:
        self._new.unlink(missing_ok=True)
        self._new.touch(mode=0o600)
        self._file = self._new.open("r+b")
        self._tar = tarfile.open(fileobj=self._file, mode="w")
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()
        self._new.unlink(missing_ok=True)

    def has(self, digest: str) -> bool:  # noqa: ARG002 - each file is there once
        return False

    def add_part(self, name: str, path: Path) -> None:
        with path.open("rb") as file:
            self._add(name, path.stat().st_size, file)

    def add_file(self, digest: str, size_bytes: int, chunks: Iterator[bytes]) -> None:
        before = self._tar.offset
        source = _Pieces(checked(chunks, digest))
        try:
            self._add(_blob(digest), size_bytes, source)
            if source.read(1):
                raise DamagedFileError
        except (OSError, ReportgenError) as error:
            # What was written of it is written over by what comes next.
            self._tar.offset = before
            self._file.seek(before)
            self._file.truncate()
            if isinstance(error, OSError) and error.errno is None:  # the file was shorter than it should be
                raise DamagedFileError from None
            raise

    def finish(self, manifest: Mapping[str, Any], digests: Collection[str]) -> None:  # noqa: ARG002
        text = json.dumps(manifest, indent=2).encode()
        self._add(MANIFEST, len(text), io.BytesIO(text))
        self._tar.close()
        self._file.flush()
        _fsync(self._new)
        self._new.rename(self._path)
        _fsync(self._path.parent)

    def _add(self, name: str, size_bytes: int, file: _Readable) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size_bytes, 0o600
        self._tar.addfile(info, file)


class _FolderReader(BackupReader):
    def __init__(self, folder: Path) -> None:
        sets = [path for path in (folder / "sets").iterdir() if path.suffix != _PART]
        self._set = max(sets, key=lambda path: path.name)
        self._blobs = folder / "storage"
        self.manifest = json.loads((self._set / MANIFEST).read_text())

    def part(self, name: str, folder: Path) -> Path:  # noqa: ARG002 - nothing is copied
        return self._set / name

    def chunks(self, digest: str) -> Iterator[bytes]:
        try:
            file = (self._blobs / _blob(digest)).open("rb")
        except FileNotFoundError:
            raise LostFileError from None
        return checked(_pieces(file), digest)

    def close(self) -> None:
        """Nothing is open."""


class _TarReader(BackupReader):
    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "r:")  # noqa: SIM115 - closed by close
        self.manifest = json.load(self._opened(MANIFEST))

    def part(self, name: str, folder: Path) -> Path:
        copy = folder / name
        with copy.open("wb") as file:
            shutil.copyfileobj(self._opened(name), file)
        return copy

    def chunks(self, digest: str) -> Iterator[bytes]:
        try:
            file = self._opened(_blob(digest))
        except KeyError:
            raise LostFileError from None
        return checked(_pieces(file), digest)

    def close(self) -> None:
        self._tar.close()

    def _opened(self, name: str) -> IO[bytes]:
        file = self._tar.extractfile(name)
        if file is None:
            raise KeyError(name)
        return file


class _Pieces:
    """Pieces as a file that can be read once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int = CHUNK_BYTES, /) -> bytes:
        while len(self._rest) < size and (piece := next(self._pieces, b"")):
            self._rest += piece
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def _blob(digest: str) -> str:
    if not DIGEST_PATTERN.fullmatch(digest):
        raise ValueError("not a SHA-256 digest")
    return f"blobs/{digest[:2]}/{digest}"


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file of this machine."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
