"""Files that are on disk when their writer is left without an error."""

from __future__ import annotations

import gzip
import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from reportgen_dagster.syncing import Syncing

_GZIP_LEVEL = 6


class DurableFile:
    """A file that is written from its begin to its end. Use it as a context; an existing file is replaced."""

    def __init__(self, path: Path, *, packed: bool = False) -> None:
        """Describe the file.

        Args:
            path: Where it is.
            packed: What is written is packed by gzip.
        """
        self._path = path
        self.is_packed = packed
        self._stack = ExitStack()

    def __enter__(self) -> DurableFile:
        self._file = self._stack.enter_context(self._path.open("wb"))
        self._syncing = Syncing.of(self._file.fileno())
        self.stream: BinaryIO | gzip.GzipFile = self._file
        if self.is_packed:
            self.stream = gzip.GzipFile("", "wb", _GZIP_LEVEL, self._file, mtime=0)
        return self

    def note(self) -> None:
        """Have what was written so far on disk soon."""
        self._syncing.note(self._file.tell())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            self._syncing.end()
            if kind is None:
                self._syncing.check()
                if self.is_packed:
                    self.stream.close()
                self._file.flush()
                os.fsync(self._file.fileno())


def fsync_file(path: Path) -> None:
    """Have a file that others wrote on disk.

    Raises:
        OSError: If it is not.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
