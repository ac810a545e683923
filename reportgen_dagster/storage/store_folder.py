"""The store in a local folder; only here are paths of stored files built.

The folder holds `blobs/aa/<sha256>` (complete files, never changed) beside the scratch that every store has.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from reportgen_dagster.errors import LostFileError, ServiceError
from reportgen_dagster.identity import DIGEST_PATTERN, new_id
from reportgen_dagster.storage.disk import CHUNK_BYTES, told_as_ours
from reportgen_dagster.storage.store import ObjectStore, Stored, checked_digest


class FolderStore(ObjectStore):
    """The store in one folder. A file is read where it lies; nothing is copied."""

    def __init__(self, root: Path) -> None:
        """Make the folders where they are missing.

        Args:
            root: The folder that holds everything.

        Raises:
            ServiceError: If the folders cannot be made.
        """
        super().__init__(root)
        self._blobs = root / "blobs"
        with told_as_ours():
            self._blobs.mkdir(mode=0o700, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Return where a file lies, whether or not it is there.

        Raises:
            ValueError: If the digest is not 64 hex digits.
        """
        return self._blobs / checked_digest(digest)[:2] / digest

    local_path = path

    def _publish(self, file: Path, stored: Stored) -> None:
        """Rename a durable file to its digest and make the name durable.

        Where the digest is there already, the same bytes replace it, which also heals a damaged file.
        """
        path = self.path(stored.digest)
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self.disk.sync_names(self._blobs)
        file.replace(path)
        self.disk.sync_names(path.parent)

    def ping(self) -> None:
        """Look whether the folder is there and can be written, and if the disk failed before, whether it keeps a file."""
        if not os.access(self._blobs, os.R_OK | os.W_OK | os.X_OK):
            raise ServiceError("The folder of the storage cannot be used.")
        self.disk.check()

    def exists(self, digest: str) -> bool:
        """Tell whether a file is there."""
        return self.path(digest).is_file()

    def fetch(self, digest: str, folder: Path) -> Path:  # noqa: ARG002 - nothing is copied
        """Return where a file lies."""
        if not self.exists(digest):
            raise LostFileError
        return self.path(digest)

    def chunks(self, digest: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Read a file, or a part of it; whether it is whole is `verify`'s to say."""
        try:
            file = self.path(digest).open("rb")
        except FileNotFoundError:
            raise LostFileError from None
        with told_as_ours(), file:
            place = file.seek(start)
            while chunk := file.read(CHUNK_BYTES if stop is None else min(CHUNK_BYTES, stop - place)):
                place += len(chunk)
                yield chunk

    def signed_url(
        self,
        digest: str,  # noqa: ARG002 - a folder serves nothing
        lifetime: timedelta,  # noqa: ARG002
        *,
        disposition: str,  # noqa: ARG002
        media_type: str,  # noqa: ARG002
    ) -> str | None:
        """Return None: the gateway signs links to what lies in a folder."""
        return None

    def digests(self, *, older_than_seconds: float = 0.0) -> Iterator[str]:
        """Name every file in the store, in no order."""
        newest = time.time() - older_than_seconds
        for folder in self._blobs.iterdir():
            for path in folder.iterdir():
                if DIGEST_PATTERN.fullmatch(path.name) and _is_older(path, newest):
                    yield path.name

    def remove(self, digest: str, *, older_than_seconds: float) -> bool:
        """Remove a file that nothing speaks of; one that somebody stored anew meanwhile stays."""
        path, newest = self.path(digest), time.time() - older_than_seconds
        aside = self._temporary / f"{new_id()}.part"
        with told_as_ours():
            if not _is_older(path, newest):
                return False
            with suppress(FileNotFoundError):
                path.rename(aside)
                # Who stores the same bytes replaces the file: before the rename it is new now, after it is another one.
                if _is_older(aside, newest):
                    aside.unlink()
                    return True
                aside.rename(path)
        return False

    def verify(self, digest: str) -> bool:
        """Read a file again and tell whether it is there and its bytes still have the digest."""
        try:
            with self.path(digest).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == digest
        except OSError:
            return False


def _is_older(path: Path, newest: float) -> bool:
    try:
        return path.stat().st_mtime <= newest
    except FileNotFoundError:
        return False
