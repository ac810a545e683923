"""The rows that made it into no report: which line each is on, what is wrong with it, and the line as it was.

What belongs here: finding the rows of a file that could not be read, proving that DuckDB read exactly the others, and
the rejects file. All of it is one pass over the file that holds a few megabytes at a time, however many rejects there
are, and that is left out where counting lines shows that there are none. What does not: deciding on which rows a
formula fails (the compiled rules do).
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from reportgen_dagster.engine.limits import Deadline
from reportgen_dagster.engine.records import Block, Flags, Positions, blocks
from reportgen_dagster.engine.text_files import TextFile, unreadable
from reportgen_dagster.errors import AccountingError
from reportgen_dagster.rules.loading import Formula

REJECT_COLUMNS = ("_line", "_column", "_rule", "_value", "_reason", "_original")
SAMPLES = 5
ERROR_SEPARATOR = "\x1f"
ERROR_SCHEMA = pa.schema([("ordinal", pa.int64()), ("error", pa.string())])


class MisquotedRowsError(Exception):
    """Rows have text after a closing quote; DuckDB needs a file in which they are masked. Never leaves the engine."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one block of a file: no header, no blank lines.

    In a file of one column a blank line is a row with an empty cell.

    Attributes:
        block: What they are in.
        starts: Where each begins in the block.
        ends: Where each ends.
        lines: The physical line of each.
        cell_counts: How many cells each has; empty ones after the last column do not count.
        misquoted: Whether its quotes are wrong.
        readable: Whether DuckDB reads it.
    """

    block: Block
    starts: Positions
    ends: Positions
    lines: Positions
    cell_counts: Positions
    misquoted: Flags
    readable: Flags

    def text(self, place: int) -> str:
        """Return a row as it was written."""
        return self.block.data[int(self.starts[place]) : int(self.ends[place])].decode()


def all_read(file: TextFile, readable_count: int) -> bool:
    """Tell without reading the file again whether DuckDB gave a row for each line after the header.

    A row takes one line or more, so as many rows as lines leave no room for one that is missing.
    """
    return readable_count == file.line_count - 1


def rows_of(file: TextFile, deadline: Deadline) -> Iterator[Rows]:
    """Cut a file into its rows.

    Raises:
        UnreadableFileError: If a quote swallows the rows after it.
    """
    width = len(file.header.columns)
    for block in blocks(file.text, name=file.name):
        deadline.check()
        keep: Flags = np.ones(len(block.starts), dtype=bool)
        if width > 1:
            keep = block.ends > block.starts
        if block.offset == 0:
            keep[0] = False
        counts, misquoted = block.cell_counts(width)[keep], block.is_misquoted()[keep]
        readable = (counts == width) & ~misquoted
        rows = Rows(
            block, block.starts[keep], block.ends[keep], block.lines[keep], counts, misquoted, readable
        )
        _refuse_swallowed_rows(file, rows)
        yield rows


def _refuse_swallowed_rows(file: TextFile, rows: Rows) -> None:
    """Refuse a row whose quotes are wrong and that spans lines: it may hold rows that are good.

    Text after a closing quote on one line concerns that row alone.
    """
    for place in np.flatnonzero(rows.misquoted).tolist():
        text, line = rows.text(place), int(rows.lines[place])
        if text.count('"') % 2 and rows.block.misquoted[-1] < rows.ends[place] == len(rows.block.data):
            raise unreadable(file.name, f"line {line}: a quote opens here and never closes", line)
        if "\n" in text or "\r" in text:
            what = "a quote opens here and closes on another line, in the middle of a cell"
            raise unreadable(file.name, f"line {line}: {what}", line)


def refuse_unreadable_rows(file: TextFile, readable_count: int, deadline: Deadline) -> None:
    """Demand that every row of a file can be read, as is due for references: they lose no row in silence.

    Raises:
        UnreadableFileError: If one cannot; names the first and says how many there are.
        AccountingError: If the file does not have `readable_count` rows.
    """
    if all_read(file, readable_count):
        return
    first, count, total = "", 0, 0
    line = None
    for rows in rows_of(file, deadline):
        places = np.flatnonzero(~rows.readable)
        if len(places) and not first:
            line = int(rows.lines[places[0]])
            first = f"line {line}: {_shape_reason(rows, places[0], len(file.header.columns))[3]}"
        count += len(places)
        total += len(rows.starts)
    if count:
        more = f" ({count:,} such rows)" if count > 1 else ""
        raise unreadable(file.name, first + more, line, "Every row of a reference must be readable.")
    if total != readable_count:
        raise AccountingError(f"{file.name} has {total:,} rows where {readable_count:,} were read")


def write_rejects(
    path: Path,
    file: TextFile,
    failed: Iterable[pa.RecordBatch],
    *,
    formulas: Sequence[Formula],
    readable_count: int,
    deadline: Deadline,
) -> tuple[int, list[dict[str, str]]]:
    """Write the rejects file; return how many rows the input has and the first rejects.

    A column of the input that is called like one of `REJECT_COLUMNS` gets `_` behind its name until no other is called so.

    Args:
        path: Where to write; nothing is written if there are no rejects after all (blank lines, cells with line ends).
        file: The input.
        failed: Batches of `ERROR_SCHEMA`: the number of a row among those that DuckDB read, from 0, and what the
            compiled rules say of it.
        formulas: The formulas that the errors point to.
        readable_count: How many rows DuckDB read.
        deadline: When to give up.

    Raises:
        MisquotedRowsError: If there are misquoted rows and DuckDB read a file in which they are not masked.
        UnreadableFileError: If a quote swallows the rows after it.
        AccountingError: If DuckDB did not read exactly the rows that can be read, or a reject has no place among them.
    """
    names = _names(file.header.columns)
    samples: list[dict[str, str]] = []
    search = _Search(file, failed, formulas)
    found = search.found(deadline)
    first = next(found, None)
    if first is not None:
        with path.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerows((names, first))
            samples.append(dict(zip(names, first, strict=True)))
            for row in found:
                writer.writerow(row)
                if len(samples) < SAMPLES:
                    samples.append(dict(zip(names, row, strict=True)))
            handle.flush()
            os.fsync(handle.fileno())
    search.settle(readable_count)
    return search.row_count, samples


def _names(columns: Sequence[str]) -> list[str]:
    """Name the columns of the rejects file; as in every header, upper and lower case count as the same."""
    taken = {name.lower() for name in (*REJECT_COLUMNS, *columns)}
    names = list(REJECT_COLUMNS)
    for column in columns:
        name = column
        if name.lower() in REJECT_COLUMNS:
            while name.lower() in taken:
                name += "_"
            taken.add(name.lower())
        names.append(name)
    return names


class _Search:
    """One pass over the input that meets the rejects in the order in which they come."""

    def __init__(self, file: TextFile, failed: Iterable[pa.RecordBatch], formulas: Sequence[Formula]) -> None:
        self._file = file
        self._failed = _Ahead(failed)
        self._formulas = formulas
        self._width = len(file.header.columns)
        self._readable_count = 0
        self._quoted = False
        self.row_count = 0

    def found(self, deadline: Deadline) -> Iterator[list[str]]:
        """Yield the rows of the rejects file."""
        for rows in rows_of(self._file, deadline):
            if rows.misquoted.any() and self._file.path == self._file.text:
                raise MisquotedRowsError
            self._quoted = self._quoted or b'"' in rows.block.data
            readable_places = np.flatnonzero(rows.readable)
            end = self._readable_count + len(readable_places)
            errors = {
                int(readable_places[ordinal - self._readable_count]): error
                for ordinal, error in self._failed.below(end)
            }
            places = sorted({*errors, *np.flatnonzero(~rows.readable).tolist()})
            for place in places:
                yield self._row(rows, place, errors.get(place))
            self._readable_count = end
            self.row_count += len(rows.starts)

    def settle(self, readable_count: int) -> None:
        """Compare with what DuckDB read.

        Raises:
            UnreadableFileError: If they differ and there are quotes: a quote that opens after spaces and never closes, and worse.
            AccountingError: If they differ otherwise.
        """
        if self._readable_count == readable_count and self._failed.exhausted:
            return
        if self._quoted:
            what = "quotes stand where they can be read in more than one way; rows cannot be told apart"
            raise unreadable(self._file.name, what)
        raise AccountingError(
            f"{self._readable_count:,} rows of the input can be read where {readable_count:,} were read"
        )

    def _row(self, rows: Rows, place: int, error: str | None) -> list[str]:
        original = rows.text(place)
        told = self._formula(error) if error is not None else _shape_reason(rows, place, self._width)
        cells = (_cells(original) + [""] * self._width)[: self._width]
        return [str(rows.lines[place]), *told, original, *cells]

    def _formula(self, error: str) -> tuple[str, str, str, str]:
        index, why, values = error.split(ERROR_SEPARATOR, 2)
        formula = self._formulas[int(index)]
        return formula.output, formula.text, values, why


def _shape_reason(rows: Rows, place: int, width: int) -> tuple[str, str, str, str]:
    """Say why a row could not be read, as column, rule, value and reason."""
    if rows.misquoted[place]:
        return "", "quotes around whole cells", "", "text after a closing quote"
    count = int(rows.cell_counts[place])
    reason = "too few cells" if count < width else "too many cells"
    return "", f"{width} cells", f"{count} cells", reason


def _cells(original: str) -> list[str]:
    """Take a line apart as far as it goes."""
    try:
        return next(csv.reader(io.StringIO(original, newline="")), [])
    except csv.Error:
        return []


class _Ahead:
    """The errors of rows, taken in the rows' order."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches = iter(batches)
        self._ordinals: Positions = np.empty(0, np.int64)
        self._errors: list[Any] = []
        self._next = 0
        self.exhausted = False
        self._advance()

    def below(self, ordinal: int) -> Iterator[tuple[int, str]]:
        """Take ordinal and error of the rows before a row."""
        while not self.exhausted:
            end = int(np.searchsorted(self._ordinals, ordinal))
            yield from zip(
                self._ordinals[self._next : end].tolist(), self._errors[self._next : end], strict=True
            )
            self._next = end
            if end < len(self._ordinals):
                return
            self._advance()

    def _advance(self) -> None:
        batch = next(self._batches, None)
        if batch is None:
            self.exhausted = True
            return
        self._ordinals = batch.column("ordinal").to_numpy()
        self._errors = batch.column("error").to_pylist()
        self._next = 0
