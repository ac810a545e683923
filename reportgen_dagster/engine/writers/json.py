"""Reports as JSON: one array of objects, or a line for each (https://jsonlines.org). The query makes the objects.

A number has the digits that it has in CSV, dates and times are texts in ISO 8601, a missing cell is null.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import pyarrow as pa

from reportgen_dagster.engine.writers.files import DurableFile
from reportgen_dagster.engine.writers.texts import bytes_of


class JsonWriter:
    """Writes rows as JSON, a line each, to a file that is on disk when the context is left without an error."""

    def __init__(self, path: Path, *, as_array: bool, packed: bool = False) -> None:
        """Describe the file.

        Args:
            path: Where to write; an existing file is replaced.
            as_array: All rows are one JSON array; otherwise each line is JSON of its own.
            packed: The file is packed by gzip.
        """
        self._file = DurableFile(path, packed=packed)
        self._is_array = as_array
        self._before = b"[\n" if as_array else b""

    def __enter__(self) -> JsonWriter:
        self._file.__enter__()
        return self

    def write(self, lines: pa.StringArray) -> None:
        """Append rows: JSON, each with a line end behind it."""
        rows: memoryview | bytes = bytes_of(lines)
        if not rows:
            return
        if self._is_array:
            # Within JSON a line end is written as `\n`, so that each one here ends a row.
            self._file.stream.write(self._before)
            rows, self._before = bytes(rows)[:-1].replace(b"\n", b",\n"), b",\n"
        self._file.stream.write(rows)
        self._file.note()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._is_array:
            is_empty = self._before == b"[\n"
            self._file.stream.write(b"[]\n" if is_empty else b"\n]\n")
        self._file.__exit__(kind, error, trace)
