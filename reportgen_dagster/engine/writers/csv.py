"""Reports as CSV: UTF-8, comma, LF, quoted only where needed, unless the rules say otherwise.

Null is an empty cell, an empty text is `""`. Most batches need no quotes at all. Arrow writes these three times as fast as
Polars; it refuses a batch with a cell that needs quotes, which Polars then writes.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from reportgen_dagster.contracts.types import TypeName
from reportgen_dagster.engine.tries import Tries
from reportgen_dagster.engine.writers.files import DurableFile
from reportgen_dagster.errors import BadDataError, Problem
from reportgen_dagster.formulas import FORMULA_PATTERN, GUARD, NUMBER_PATTERN, inert
from reportgen_dagster.rules.compiling.plan import OutputColumn
from reportgen_dagster.rules.reading.output import OutputDialect

_BATCH_ROWS = 4_096
_FRACTIONS: tuple[TypeName, ...] = ("number", "decimal")
_TEXTS: tuple[TypeName, ...] = ("text", "cell", "null", "any")


class CsvWriter:
    """Writes texts and whole numbers in batches to a file that is on disk when the context is left without an error."""

    def __init__(
        self,
        path: Path,
        columns: Sequence[OutputColumn],
        dialect: OutputDialect = OutputDialect(),  # noqa: B008 - frozen
        *,
        is_guarded: bool = False,
        packed: bool = False,
    ) -> None:
        """Describe the file.

        Args:
            path: Where to write; an existing file is replaced.
            columns: The report's columns.
            dialect: How it is written.
            is_guarded: Cells that a spreadsheet would take for a formula become inert.
            packed: The file is packed by gzip.
        """
        self._columns = list(columns)
        self._dialect = dialect
        self._cells = _Cells(columns, dialect, is_guarded=is_guarded)
        self._special = re.compile(f'["\r\n{re.escape(dialect.delimiter)}]')
        self._options = csv.WriteOptions(
            include_header=False, quoting_style="none", batch_size=_BATCH_ROWS, delimiter=dialect.delimiter
        )
        self._unquoted = Tries()
        self._is_unquoted = dialect.quoting == "needed" and dialect.line_terminator == "\n"
        self._file = DurableFile(path, packed=packed)

    def __enter__(self) -> CsvWriter:
        self._file.__enter__()
        self._stream = self._file.stream
        self._recoded: codecs.StreamRecoder | None = None
        if codecs.lookup(self._dialect.encoding).name != "utf-8":
            self._recoded = codecs.EncodedFile(self._stream, "utf-8", self._dialect.encoding)
        if self._dialect.header:
            self._write_header()
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the rows of a batch; its columns are in the header's order, and texts are written as they are.

        Raises:
            BadDataError: If a character is not in the encoding.
        """
        batch = self._cells.prepared(batch)
        if not (self._is_unquoted and self._unquoted.is_due() and self._written_unquoted(batch)):
            self._write_quoted(batch)
        self._file.note()

    def _write_header(self) -> None:
        names = [inert(column.name) if self._cells.is_guarded else column.name for column in self._columns]
        if self._is_unquoted and all(name and not self._special.search(name) for name in names):
            self._append(memoryview((self._dialect.delimiter.join(names) + "\n").encode()))
            return
        header = pa.RecordBatch.from_pydict({str(place): [name] for place, name in enumerate(names)})
        self._write_quoted(self._cells.quoted(header, range(len(names))))

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
        if self._file.is_packed or self._recoded is not None:
            return self._try_in_memory(batch)
        before = self._stream.tell()
        try:
            csv.write_csv(batch, self._stream, self._options)
        except pa.ArrowInvalid:
            self._stream.seek(before)
            self._stream.truncate()
            return False
        return True

    def _try_in_memory(self, batch: pa.RecordBatch) -> bool:
        rows = io.BytesIO()
        try:
            csv.write_csv(batch, rows, self._options)
        except pa.ArrowInvalid:
            return False
        self._append(rows.getbuffer())
        return True

    def _write_quoted(self, batch: pa.RecordBatch) -> None:
        import polars as pl  # a tenth of a second that many reports do without

        frame = pl.from_arrow(batch)
        if not isinstance(frame, pl.DataFrame):  # only a type for the checker: a batch always is a frame
            raise TypeError("not a record batch")
        if batch.num_columns == 1:
            frame = frame.cast(pl.String).fill_null("")
        rows = io.BytesIO()
        frame.write_csv(
            rows,
            include_header=False,
            separator=self._dialect.delimiter,
            line_terminator=self._dialect.line_terminator,
            quote_style="necessary" if self._dialect.quoting == "needed" else "never",
        )
        self._append(rows.getbuffer())

    def _append(self, rows: memoryview) -> None:
        if self._recoded is None:
            self._stream.write(rows)
            return
        try:
            self._recoded.write(bytes(rows))
        except UnicodeEncodeError as error:
            raise BadDataError(problems=[_not_in_encoding(error, self._dialect.encoding)]) from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.__exit__(kind, error, trace)


class _Cells:
    """Makes cells look as the rules want them: decimal mark, guard, quotes that are not needed."""

    def __init__(self, columns: Sequence[OutputColumn], dialect: OutputDialect, *, is_guarded: bool) -> None:
        names = [column.type.name for column in columns]
        self.is_guarded = is_guarded
        self._mark = dialect.decimal_char
        self._fractions = [place for place, name in enumerate(names) if name in _FRACTIONS]
        self._quotes_nothing = (
            dialect.quoting == "all" or len(columns) == 1
        )  # an empty line would be no row to many readers
        is_quoted = {"needed": (), "texts": _TEXTS, "all": names}[dialect.quoting]
        self._quoted = [place for place, name in enumerate(names) if name in is_quoted]
        self._has_quotes = dialect.quoting != "needed"

    def prepared(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the cells as they are to be written."""
        if self._mark != ".":
            for place in self._fractions:
                batch = _replaced(batch, place, pc.replace_substring(batch.column(place), ".", self._mark))
        if self.is_guarded:
            for place, cells in enumerate(batch.columns):
                if pa.types.is_string(cells.type):
                    batch = _replaced(batch, place, _guarded(cells))
        return self.quoted(batch, self._quoted)

    def quoted(self, batch: pa.RecordBatch, places: Sequence[int]) -> pa.RecordBatch:
        """Return the cells with quotes around those of some columns, needed or not, if the rules want that."""
        if not self._has_quotes:
            return batch
        for place in places:
            cells = pc.replace_substring(batch.column(place).cast(pa.string()), '"', '""')
            batch = _replaced(batch, place, pc.binary_join_element_wise('"', cells, '"', ""))
        if self._quotes_nothing:
            for place, cells in enumerate(batch.columns):
                batch = _replaced(batch, place, cells.cast(pa.string()).fill_null('""'))
        return batch


def _replaced(batch: pa.RecordBatch, place: int, cells: pa.Array) -> pa.RecordBatch:
    return batch.set_column(place, batch.schema.names[place], cells)


def _guarded(cells: pa.StringArray) -> pa.StringArray:
    is_live = pc.match_substring_regex(cells, FORMULA_PATTERN)
    if not pc.any(is_live).as_py():
        return cells
    is_live = pc.and_not(is_live, pc.match_substring_regex(cells, NUMBER_PATTERN))
    return pc.if_else(is_live, pc.binary_join_element_wise(GUARD, cells, ""), cells)


def _has_empty_text(column: pa.Array) -> bool:
    return bool(pa.types.is_string(column.type) and pc.min(pc.binary_length(column)).as_py() == 0)


def _not_in_encoding(error: UnicodeEncodeError, encoding: str) -> Problem:
    text: str = error.object
    line = text[text.rfind("\n", 0, error.start) + 1 :].split("\n", 1)[0]
    character = text[error.start]
    return Problem(
        f"the character {character!r} (U+{ord(character):04X}) is not in {encoding}; it stands in the row `{line[:200]}`;"
        " write `output.dialect.encoding: utf-8`",
        path="output.dialect.encoding",
    )
