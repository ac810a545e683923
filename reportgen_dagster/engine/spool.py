"""What is told of rejected rows, kept on disk until the lines of the input are known.

What belongs here: writing row numbers with their states, and reading them in the order of the rows, a batch at a time.
What does not: what a state says (sieve.py), the rejects file (rejects.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlglot import exp

_SCHEMA = pa.schema([("ordinal", pa.int64()), ("state", pa.string())])
_NAME = "rows:rejected"
REJECTED_FILE = "rejected.arrow"  # in the folder of a run


class Spool:
    """A file of row numbers and states. Write all of it, close it, then read it."""

    def __init__(self, path: Path) -> None:
        """Open the file for writing."""
        self._path = path
        self._file = pa.OSFile(str(path), "wb")
        self._stream = pa.ipc.new_stream(self._file, _SCHEMA)
        self._last = -1
        self._is_sorted = True
        self.count = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, ordinals: NDArray[np.int64], states: pa.Array) -> None:
        """Append rows; each row is written once at most."""
        if not len(ordinals):
            return
        self._is_sorted = (
            self._is_sorted and self._last < int(ordinals[0]) and bool((np.diff(ordinals) > 0).all())
        )
        self._last = int(ordinals[-1])
        self.count += len(ordinals)
        columns = [pa.array(ordinals, pa.int64()), states]
        self._stream.write_batch(pa.RecordBatch.from_arrays(columns, schema=_SCHEMA))

    def close(self) -> None:
        """Finish the file."""
        if not self._file.closed:
            self._stream.close()
            self._file.close()

    def in_order(self, connection: duckdb.DuckDBPyConnection) -> Iterator[pa.RecordBatch]:
        """Read the rows in the order of their numbers.

        Later blocks may tell of rows that come before those that earlier ones told of; DuckDB sorts these, on disk if need be.
        """
        self.close()
        with pa.OSFile(str(self._path)) as file, pa.ipc.open_stream(file) as reader:
            if self._is_sorted:
                yield from reader
                return
            with closing(connection.cursor()) as cursor:
                cursor.register(_NAME, reader)
                query = exp.select("ordinal", "state").from_(exp.to_identifier(_NAME)).order_by("ordinal")
                yield from cursor.sql(query.sql("duckdb")).to_arrow_reader(_ROWS_AT_ONCE)


_ROWS_AT_ONCE = 16_384
