"""Reports as Parquet, with the columns' types; decimals stay exact."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import pyarrow as pa
from pyarrow import parquet

from reportgen_dagster.contracts.types import Type, TypeName
from reportgen_dagster.engine.writers.files import fsync_file
from reportgen_dagster.rules.compiling.plan import OutputColumn

_GROUP_ROWS = 122_880  # as DuckDB's own row groups
_GROUP_BYTES = 32 * 1024 * 1024
_TYPES: Mapping[TypeName, Callable[[Type], pa.DataType]] = {
    "integer": lambda _: pa.int64(),
    "number": lambda _: pa.float64(),
    "decimal": lambda type_: pa.decimal128(type_.precision, type_.scale),
    "boolean": lambda _: pa.bool_(),
    "date": lambda _: pa.date32(),
    "time": lambda _: pa.time64("us"),
    "datetime": lambda _: pa.timestamp("us"),
}


def arrow_schema(columns: Sequence[OutputColumn]) -> pa.Schema:
    """Return the schema of the report's typed values; what has no type is text."""
    return pa.schema([pa.field(column.name, _arrow_type(column.type)) for column in columns])


def _arrow_type(type_: Type) -> pa.DataType:
    make = _TYPES.get(type_.name)
    return pa.string() if make is None else make(type_)


class ParquetWriter:
    """Writes typed batches to a file that is on disk when the context is left without an error."""

    def __init__(self, path: Path, columns: Sequence[OutputColumn]) -> None:
        """Describe the file.

        Args:
            path: Where to write; an existing file is replaced.
            columns: The report's columns.
        """
        self._path = path
        self._schema = arrow_schema(columns)
        self._waiting: list[pa.RecordBatch] = []
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="reportgen-parquet")
        self._last: Future[None] | None = None
        self._rows = self._bytes = 0

    def __enter__(self) -> ParquetWriter:
        # Numbers hardly repeat: looking for what does would take twice as long as all else.
        texts = [field.name for field in self._schema if pa.types.is_string(field.type)]
        self._file = parquet.ParquetWriter(
            self._path, self._schema, compression="snappy", use_dictionary=texts or False
        )
        return self

    def write(self, values: pa.RecordBatch) -> None:
        """Append rows; small batches become one group of rows."""
        self._waiting.append(values)
        self._rows += values.num_rows
        self._bytes += values.nbytes
        if self._rows >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        """Have the rows that wait written by a thread, once it is done with those before: packing takes a while."""
        self._settle()
        group = pa.Table.from_batches(self._waiting, self._schema)
        self._last = self._pool.submit(self._file.write_table, group)
        self._waiting.clear()
        self._rows = self._bytes = 0

    def _settle(self) -> None:
        if self._last is not None:
            self._last.result()
            self._last = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if self._waiting:
                    self._write_group()
                self._settle()
        finally:
            self._pool.shutdown()
            self._file.close()
        if kind is None:
            fsync_file(self._path)
