"""Files to be sent: from a path or from memory, opened anew for each try, counted while they are read."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path

File = str | os.PathLike[str] | bytes
"""What is sent as a file: a path, or bytes."""

Progress = Callable[[int, int], None]
"""Is told how many bytes have been sent, and how many there are."""


class Source:
    """One file to be sent.

    Attributes:
        name: Its name for the service.
        size_bytes: Its length.
    """

    def __init__(self, file: File, *, name: str) -> None:
        """Look at a file.

        Args:
            file: Its path, or its bytes.
            name: Its name if it comes from memory.

        Raises:
            OSError: If it cannot be looked at.
        """
        self._file = file
        self.name = name if isinstance(file, bytes) else Path(file).name
        self.size_bytes = len(file) if isinstance(file, bytes) else Path(file).stat().st_size

    def open(self, on_read: Callable[[int], None] = lambda _: None) -> io.BufferedReader:
        """Open it at its beginning.

        Args:
            on_read: Is told the position after each piece that was read.

        Raises:
            OSError: If it cannot be read.
        """
        raw = io.BytesIO(self._file) if isinstance(self._file, bytes) else io.FileIO(self._file)
        return _Counted(raw, on_read)


class _Counted(io.BufferedReader):
    """Tells how far it was read."""

    def __init__(self, raw: io.BytesIO | io.FileIO, on_read: Callable[[int], None]) -> None:
        super().__init__(raw)
        self._on_read = on_read

    def read(self, size: int | None = -1, /) -> bytes:
        """Read the next piece."""
        data = super().read(size)
        self._on_read(self.tell())
        return data


class SharedProgress:
    """Adds up how far the files of one call are."""

    def __init__(self, sources: Mapping[str, Source], on_progress: Progress | None) -> None:
        """Begin with nothing sent of the files of a call."""
        self._total = sum(source.size_bytes for source in sources.values())
        self._sent = dict.fromkeys(sources, 0)
        self._on_progress = on_progress

    def of(self, name: str) -> Callable[[int], None]:
        """Return what is to be told how far a file is."""

        def tell(position: int) -> None:
            self._sent[name] = position
            if self._on_progress is not None:
                self._on_progress(sum(self._sent.values()), self._total)

        return tell
