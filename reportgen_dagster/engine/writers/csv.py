"""Reports as CSV: UTF-8, comma, LF, quoted only where needed; null is an empty cell, an empty text is `""`.

Most batches need no quotes at all. Arrow writes these three times as fast as Polars; it refuses a batch with a cell that needs
quotes, which Polars then writes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from reportgen_dagster.engine.tries import Tries
from reportgen_dagster.engine.writers.syncing import Syncing

_SPECIAL = re.compile('[",\r\n]')
_UNQUOTED = csv.WriteOptions(include_header=False, quoting_style="none", batch_size=4_096)


class CsvWriter:
    """Writes texts and whole numbers in batches to a file that is on disk when the context is left without an error."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        """Describe the file.

        Args:
            path: Where to write; an existing file is replaced.
            columns: The names in the header, in order.
        """
        self._path = path
        self._columns = list(columns)
        self._unquoted = Tries()
        self.row_count = 0

    def __enter__(self) -> CsvWriter:
        self._file = self._path.open("wb")
        self._syncing = Syncing(self._file.fileno())
        if any(not name or _SPECIAL.search(name) for name in self._columns):
            import polars as pl

            pl.DataFrame(schema=dict.fromkeys(self._columns, pl.String)).write_csv(self._file)
        else:
            self._file.write((",".join(self._columns) + "\n").encode())
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the rows of a batch; its columns are in the header's order, and texts are written as they are."""
        if not (self._unquoted.is_due() and self._written_unquoted(batch)):
            self._write_quoted(batch)
        self.row_count += batch.num_rows
        self._syncing.note(self._file.tell())

    def _written_unquoted(self, batch: pa.RecordBatch) -> bool:
        """Append the rows if no cell needs quotes, and tell whether that is so."""
        worked = self._try_unquoted(batch)
        self._unquoted.note(worked=worked)
        return worked

    def _try_unquoted(self, batch: pa.RecordBatch) -> bool:
        if any(_has_empty_text(column) for column in batch.columns):
            return False
        if batch.num_columns == 1 and batch.column(0).null_count:
            return False  # an empty line would be no row to many readers
        before = self._file.tell()
        try:
            csv.write_csv(batch, self._file, _UNQUOTED)
        except pa.ArrowInvalid:
            self._file.seek(before)
            self._file.truncate()
            return False
        return True

    def _write_quoted(self, batch: pa.RecordBatch) -> None:
        import polars as pl  # a tenth of a second that many reports do without

        frame = pl.from_arrow(batch)
        if not isinstance(frame, pl.DataFrame):  # only a type for the checker: a batch always is a frame
            raise TypeError("not a record batch")
        if len(self._columns) == 1:
            frame = frame.cast(pl.String).fill_null("")
        frame.write_csv(self._file, include_header=False)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            self._syncing.end()
            if kind is None:
                self._syncing.check()
                self._file.flush()
                os.fsync(self._file.fileno())


def _has_empty_text(column: pa.Array) -> bool:
    return bool(pa.types.is_string(column.type) and pc.min(pc.binary_length(column)).as_py() == 0)
