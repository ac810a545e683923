"""The rows of a finished report, in a Parquet file: as a stream for DuckDB, never as a whole.

What belongs here: the file, its types, streams of some of its columns. What does not: queries (figures.py, table.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp

from reportgen_dagster.contracts.types import Type
from reportgen_dagster.rules.values.layers import Names

_SOURCE = "pages:rows"  # a colon: no file is called so
_ALIAS = "report"
_BATCH_CELLS = 1_000_000
_MOST_BATCH_ROWS = 65_536


class Rows:
    """The rows of a report. Use it as a context."""

    def __init__(self, path: Path, connection: duckdb.DuckDBPyConnection) -> None:
        """Open the file.

        Args:
            path: The Parquet file, whose columns are the report's.
            connection: A database of which nothing but its computing is used: it may be locked down.
        """
        self._file = pq.ParquetFile(path)
        self._connection = connection
        self.schema: pa.Schema = self._file.schema_arrow
        self.count: int = self._file.metadata.num_rows
        self._number = Names(self.names).new("row")

    def __enter__(self) -> Rows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def names(self) -> list[str]:
        """Return the report's columns, in order."""
        return list(self.schema.names)

    @property
    def number(self) -> exp.Column:
        """Name the number of a row, from 0, in a query."""
        return column(self._number)

    def types(self) -> dict[str, Type]:
        """Return the columns with their types; texts that are all null are of type null, since they may stand for any."""
        return {
            field.name: Type("null") if self._is_blank(number) else _type_of(field.type)
            for number, field in enumerate(self.schema)
        }

    def _is_blank(self, number: int) -> bool:
        if not _is_text(self.schema.field(number).type):
            return False
        metadata = self._file.metadata
        groups = (metadata.row_group(group) for group in range(metadata.num_row_groups))
        return all(
            group.column(number).statistics is not None
            and group.column(number).statistics.has_null_count
            and group.column(number).statistics.null_count == group.num_rows
            for group in groups
        )

    @contextmanager
    def query(self, select: exp.Select, columns: Iterable[str]) -> Iterator[duckdb.DuckDBPyRelation]:
        """Give the result of a query over `source()`, whose columns are these and `number`."""
        with self._source(columns):
            yield self._connection.sql(select.sql("duckdb"))

    @contextmanager
    def table(self, name: str, select: exp.Select, columns: Iterable[str]) -> Iterator[None]:
        """Keep such a result as a table of this name as long as the context lasts."""
        table = exp.Table(this=exp.to_identifier(name, quoted=True)).sql("duckdb")
        with self._source(columns):
            self._connection.execute(f"CREATE TEMP TABLE {table} AS {select.sql('duckdb')}")
        try:
            yield
        finally:
            self._connection.execute(f"DROP TABLE {table}")

    @contextmanager
    def _source(self, columns: Iterable[str]) -> Iterator[None]:
        with closing(self._stream(list(dict.fromkeys(columns)))) as reader:
            self._connection.register(_SOURCE, reader)
            try:
                yield
            finally:
                self._connection.unregister(_SOURCE)

    def fetched(self, sql: str, given: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        """Return the few rows of a query over a table, with values for its parameters."""
        return self._connection.execute(sql, given or {}).fetchall()

    def _stream(self, columns: Sequence[str]) -> pa.RecordBatchReader:
        """Return the rows in order, with some columns and their number."""
        schema = pa.schema(
            [*(self.schema.field(name) for name in columns), pa.field(self._number, pa.int64())]
        )
        size = max(1, min(_MOST_BATCH_ROWS, _BATCH_CELLS // (len(columns) + 1)))

        def batches() -> Iterator[pa.RecordBatch]:
            first = 0
            for batch in self._file.iter_batches(size, columns=list(columns), use_threads=False):
                numbers = pa.array(np.arange(first, first + batch.num_rows))
                arrays = [*(batch.column(name) for name in columns), numbers]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)
                first += batch.num_rows

        return pa.RecordBatchReader.from_batches(schema, batches())


def source() -> exp.Table:
    """Name the rows in a query."""
    return exp.Table(
        this=exp.to_identifier(_SOURCE, quoted=True), alias=exp.TableAlias(this=exp.to_identifier(_ALIAS))
    )


def column(name: str) -> exp.Column:
    """Name a column of them, in such a way that it is nothing that a query calls so."""
    return exp.column(exp.to_identifier(name, quoted=True), table=_ALIAS)


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_null(type_))


def _type_of(type_: pa.DataType) -> Type:
    """Return what a column holds in the words of the rules."""
    if pa.types.is_decimal(type_):
        return Type("decimal", type_.precision, type_.scale)
    if pa.types.is_integer(type_):
        return Type("integer")
    if pa.types.is_floating(type_):
        return Type("number")
    if pa.types.is_boolean(type_):
        return Type("boolean")
    if pa.types.is_date(type_):
        return Type("date")
    if pa.types.is_timestamp(type_):
        return Type("datetime")
    return Type("time") if pa.types.is_time(type_) else Type("text")
