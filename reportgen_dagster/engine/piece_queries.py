"""The first block's query over one piece of the input after the other.

What belongs here: which reader and which query a piece gets, and that the rows come in its order. What does not: the readers
(reading.py, parsing.py), which pieces there are (pieces.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reportgen_dagster.engine import reading
from reportgen_dagster.engine.parsing import PieceParser
from reportgen_dagster.engine.pieces import Piece, Window
from reportgen_dagster.engine.text_files import TextFile
from reportgen_dagster.engine.transform import batch_rows
from reportgen_dagster.engine.tries import Tries
from reportgen_dagster.rules.compiling.plan import DROPPED, ParsedQuery


class PieceQuery:
    """One query, for a thread of its own."""

    def __init__(
        self,
        file: TextFile,
        window: Window,
        cursor: duckdb.DuckDBPyConnection,
        sql: str,
        parser: PieceParser | None,
        *,
        written: bool,
    ) -> None:
        """Begin.

        Args:
            file: What the pieces are cut from.
            window: Shows a piece to DuckDB.
            cursor: Nothing else is run on it.
            sql: The query over the file.
            parser: Reads pieces before DuckDB does; None: nothing can.
            written: The rows are wanted as they are written.
        """
        self._window = window
        self._cursor = cursor
        self._sql = sql
        self._parser = parser
        self._batch_rows = batch_rows(file)
        self._full = self._clean = None
        if parser is not None:
            self._full = _OverParsed(cursor, parser.wanted.full, self._batch_rows, written=written)
            if parser.wanted.clean is not None:
                self._clean = _OverParsed(cursor, parser.wanted.clean, self._batch_rows, written=written)
        self._tries = Tries()
        reading.create_piece_view(cursor, file, window.path)

    def results(self, piece: Piece) -> Iterator[pa.RecordBatch]:
        """Return the query's rows over a piece, in the piece's order."""
        rows = self._parser.rows(piece.read()) if self._parser is not None else None
        if rows is None or self._full is None:
            self._window.show(piece)
            yield from self._cursor.sql(self._sql).to_arrow_reader(self._batch_rows)
            return
        yield from self._clean_results(rows) or self._full.results(rows)

    def _clean_results(self, rows: pa.RecordBatch) -> list[pa.RecordBatch] | None:
        """Return the rows if none is doubtful; where some were, the next pieces are not tried."""
        if self._clean is None or not self._tries.is_due():
            return None
        found = self._clean.results(rows)
        is_clean = not any(map(_has_doubtful, found))
        self._tries.note(worked=is_clean)
        return found if is_clean else None


class _OverParsed:
    """A query over the rows that were parsed."""

    def __init__(
        self, cursor: duckdb.DuckDBPyConnection, query: ParsedQuery, batch_rows: int, *, written: bool
    ) -> None:
        self._cursor = cursor
        self._query = query
        self._sql = query.text_sql if written else query.sql
        self._batch_rows = batch_rows
        self._rows: pa.RecordBatch | None = None
        self._relation: duckdb.DuckDBPyRelation | None = None

    def results(self, rows: pa.RecordBatch) -> list[pa.RecordBatch]:
        """Return the query's rows over all that was parsed, in their order."""
        self._rows = rows.select(self._query.columns)
        if self._relation is None:  # bound once for all pieces: that takes a tenth of a piece's time
            self._cursor.register(self._query.table, self)
            self._relation = self._cursor.sql(self._sql)
        found = [*_in_order(self._relation.to_arrow_reader(self._batch_rows))]
        self._rows = None  # as large as the piece; the next one may be long in coming
        return found

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Give DuckDB the rows that were parsed; it asks each time that it runs the query."""
        if self._rows is None:
            raise ValueError("no piece was parsed")
        rows = pa.RecordBatchReader.from_batches(self._rows.schema, [self._rows])
        return rows.__arrow_c_stream__(requested_schema)


def _has_doubtful(batch: pa.RecordBatch) -> bool:
    """Tell whether a row has a state, which stands last, that the clean query does not tell."""
    states = batch.column(batch.num_columns - 1)
    return states.null_count < len(states) and bool(pc.any(pc.not_equal(states, DROPPED)).as_py())


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
