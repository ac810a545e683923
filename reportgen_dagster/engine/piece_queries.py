"""The first block's query over one piece of the input after the other.

What belongs here: which reader a piece gets, and that the rows come in the piece's order. What does not: the readers (reading.py,
parsing.py), which pieces there are (pieces.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import duckdb
import numpy as np
import pyarrow as pa

from reportgen_dagster.engine import reading
from reportgen_dagster.engine.parsing import PieceParser
from reportgen_dagster.engine.pieces import Piece, Window
from reportgen_dagster.engine.text_files import TextFile
from reportgen_dagster.engine.transform import batch_rows
from reportgen_dagster.rules.compiling.plan import PARSED


class PieceQuery:
    """One query, for a thread of its own."""

    def __init__(
        self,
        file: TextFile,
        window: Window,
        cursor: duckdb.DuckDBPyConnection,
        sql: str,
        parser: PieceParser | None,
        parsed_sql: str,
    ) -> None:
        """Begin.

        Args:
            file: What the pieces are cut from.
            window: Shows a piece to DuckDB.
            cursor: Nothing else is run on it.
            sql: The query over the file.
            parser: Reads pieces before DuckDB does; None: nothing can.
            parsed_sql: The query over what it reads.
        """
        self._window = window
        self._cursor = cursor
        self._sql = sql
        self._parser = parser
        self._parsed_sql = parsed_sql
        self._batch_rows = batch_rows(file)
        self._rows: pa.RecordBatch | None = None
        self._relation: duckdb.DuckDBPyRelation | None = None
        reading.create_piece_view(cursor, file, window.path)

    def results(self, piece: Piece) -> Iterator[pa.RecordBatch]:
        """Return the query's rows over a piece, in the piece's order."""
        self._rows = self._parser.rows(piece.read()) if self._parser is not None else None
        if self._rows is None:
            self._window.show(piece)
            yield from self._cursor.sql(self._sql).to_arrow_reader(self._batch_rows)
            return
        if self._relation is None:  # bound once for all pieces: that takes a tenth of a piece's time
            self._cursor.register(PARSED, self)
            self._relation = self._cursor.sql(self._parsed_sql)
        yield from _in_order(self._relation.to_arrow_reader(self._batch_rows))
        self._rows = None  # as large as the piece; the next one may be long in coming

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Give DuckDB the rows that were parsed; it asks each time that it runs the query."""
        if self._rows is None:
            raise ValueError("no piece was parsed")
        rows = pa.RecordBatchReader.from_batches(self._rows.schema, [self._rows])
        return rows.__arrow_c_stream__(requested_schema)


def _in_order(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Undo that DuckDB gives a large batch to several threads and hands out their rows as they come.

    The last column, which tells where a row was, is left out.
    """
    runs: list[tuple[int, pa.RecordBatch]] = []
    for batch in batches:
        places = batch.column(batch.num_columns - 1).to_numpy()
        rows = batch.select(range(batch.num_columns - 1))
        cuts = np.flatnonzero(np.diff(places) != 1) + 1
        for start, end in pairwise((0, *cuts.tolist(), len(places))):
            runs.append((int(places[start]), rows.slice(start, end - start)))
    runs.sort(key=lambda run: run[0])
    for _, rows in runs:
        yield rows
