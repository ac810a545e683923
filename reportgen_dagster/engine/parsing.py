"""Pieces of the input read by Arrow, with their cells as values of their types.

Arrow reads the plainest notation of a type several times as fast as DuckDB does by strict casts. It takes a piece as a whole or
not at all: where a row has the wrong number of cells or a cell any other notation, DuckDB reads the piece, which tells the good
rows from the bad.

What belongs here: reading, and what Arrow takes that is not of a type. What does not: cutting (pieces.py), queries
(piece_queries.py).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from reportgen_dagster.engine.records import MAX_RECORD_BYTES
from reportgen_dagster.engine.text_files import TextFile
from reportgen_dagster.engine.tries import Tries
from reportgen_dagster.rules.compiling.plan import ParsedInput, Reading

_TYPES = {"integer": pa.int64(), "number": pa.float64(), "date": pa.date32()}
# What Arrow reads and the rules do not: hexadecimal numbers, and a year that is none.
_FOREIGN = {"integer": ("0x", "0X"), "date": ("0000",)}


class PieceParser:
    """Reads pieces of one file; after pieces that it could not read it is tried less often. Threads may share it.

    Attributes:
        wanted: What is wanted of each row.
    """

    def __init__(self, file: TextFile, parsed: ParsedInput) -> None:
        """Begin.

        Args:
            file: What the pieces are cut from; no LF of it is inside a cell.
            parsed: What is wanted of each row.
        """
        names = list(file.header.columns)
        wanted = dict.fromkeys([*parsed.texts, *(reading.column for reading in parsed.values.values())])
        self.wanted = parsed
        self._names = names
        self._parse = csv.ParseOptions(
            delimiter=file.header.dialect.delimiter, quote_char=False, escape_char=False
        )
        self._convert = csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=["", *file.missing],
            strings_can_be_null=True,
            include_columns=list(wanted) or names[:1],
            check_utf8=False,  # the whole file was checked already
        )
        self._tries = Tries()

    def rows(self, piece: bytes) -> pa.RecordBatch | None:
        """Return the rows of a piece with all that is wanted of them; None if another reader must look at it."""
        if not self._tries.is_due():
            return None
        read = self._read(piece)
        self._tries.note(worked=read is not None)
        return read

    def _read(self, piece: bytes) -> pa.RecordBatch | None:
        if _may_hold_long_line(piece):
            return None
        # One block, so that the rows are one batch.
        options = csv.ReadOptions(use_threads=False, column_names=self._names, block_size=len(piece) + 1)
        try:
            batches = csv.read_csv(pa.BufferReader(piece), options, self._parse, self._convert).to_batches()
            if len(batches) != 1:
                return None
            columns = {name: batches[0][name] for name in self.wanted.texts}
            for name, reading in self.wanted.values.items():
                columns[name] = _cast(batches[0][reading.column], reading)
        except (pa.ArrowInvalid, _ForeignError):
            return None
        columns[self.wanted.place] = _places(batches[0].num_rows)
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


class _ForeignError(Exception):
    """A cell is not of a type though Arrow reads it. Never leaves this module."""


def can_parse(file: TextFile) -> bool:
    """Tell whether Arrow sees the same rows as DuckDB in a file without quotes."""
    dialect = file.header.dialect
    # A blank line is a row where there is one column, and no row where there are more.
    return len(file.header.columns) > 1 and dialect.escape in ("", dialect.quote)


def _may_hold_long_line(piece: bytes) -> bool:
    """Tell whether a line may be longer than is read: one would leave half of its length without a line end."""
    half = MAX_RECORD_BYTES // 2
    return any(piece.find(b"\n", start, start + half) < 0 for start in range(0, len(piece) - half, half))


def _cast(cells: pa.Array, reading: Reading) -> pa.Array:
    """Return the values of texts.

    Raises:
        ArrowInvalid: If Arrow cannot read one.
        _ForeignError: If the rules do not read one.
    """
    values = pc.cast(cells, _TYPES[reading.type])
    marked = [pc.starts_with(cells, mark) for mark in _FOREIGN.get(reading.type, ())]
    infinite = [pc.invert(pc.is_finite(values))] if reading.type == "number" else []
    if any(flags.true_count for flags in (*marked, *infinite)):
        raise _ForeignError
    return values


def _places(count: int) -> pa.Array:
    """Number rows; without Arrow's own conversion, which would import pandas."""
    return pa.Array.from_buffers(pa.int32(), count, [None, pa.py_buffer(np.arange(count, dtype=np.int32))])
