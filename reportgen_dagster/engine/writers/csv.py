"""Reports as CSV: UTF-8, comma, LF, quoted only where needed; null is an empty cell, an empty text is `""`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import polars as pl
import pyarrow as pa


class CsvWriter:
    """Writes batches of text columns to a file that is on disk when the context is left without an error."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        """Describe the file.

        Args:
            path: Where to write; an existing file is replaced.
            columns: The names in the header, in order.
        """
        self._path = path
        self._columns = list(columns)
        self.row_count = 0

    def __enter__(self) -> CsvWriter:
        # Unbuffered: Polars hands over large pieces.
        self._file = self._path.open("wb", buffering=0)
        pl.DataFrame(schema=dict.fromkeys(self._columns, pl.String)).write_csv(self._file)
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the rows of a batch; its columns are texts in the header's order, written as they are."""
        frame = pl.from_arrow(batch)
        if not isinstance(frame, pl.DataFrame):  # only a type for the checker: a batch always is a frame
            raise TypeError("not a record batch")
        if len(self._columns) == 1:
            # An empty line would be no row to many readers.
            frame = frame.with_columns(pl.all().fill_null(""))
        frame.write_csv(self._file, include_header=False)
        self.row_count += batch.num_rows

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                os.fsync(self._file.fileno())
