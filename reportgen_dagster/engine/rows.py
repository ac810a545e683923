"""The rows of a file and which of them DuckDB reads, found without DuckDB.

What belongs here: from records to rows, and refusing a file in which quotes swallow or hide rows. What does not: bytes
(`records.py`), the rejects file (`rejects.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reportgen_dagster.engine.limits import Deadline
from reportgen_dagster.engine.records import MIN_SWALLOWED_LINES, Block, Flags, Positions, blocks
from reportgen_dagster.engine.text_files import TextFile, unreadable
from reportgen_dagster.errors import AccountingError


class MisquotedRowsError(Exception):
    """Rows have text after a closing quote; DuckDB needs a file in which they are masked. Never leaves the engine."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one block of a file: no header, no comments, no blank lines.

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

    @property
    def has_quotes(self) -> bool:
        """Tell whether there are quotes somewhere among them."""
        quote = self.block.dialect.quote.encode()
        return bool(quote) and quote in self.block.data

    def text(self, place: int) -> str:
        """Return a row as it was written."""
        return self.block.data[int(self.starts[place]) : int(self.ends[place])].decode()


def all_read(file: TextFile, readable_count: int) -> bool:
    """Tell without reading the file again whether DuckDB gave a row for each line that may be one.

    A row takes one line or more, so as many rows as lines leave no room for one that is missing.
    """
    return readable_count == file.most_rows


def refuse_lost_rows(file: TextFile, read_count: int, deadline: Deadline) -> None:
    """See that quotes keep no row of a file from being read, for who needs no rejects of it.

    Args:
        file: The file.
        read_count: How many rows DuckDB read.
        deadline: When to give up.

    Raises:
        UnreadableFileError: If a quote never closes, swallows rows, or can be read in more than one way.
        MisquotedRowsError: If there are misquoted rows and DuckDB read a file in which they are not masked.
        AccountingError: If DuckDB did not read exactly the rows that can be read.
    """
    if all_read(file, read_count):
        return
    readable_count, is_quoted = 0, False
    for rows in rows_of(file, deadline):
        if rows.misquoted.any() and not file.is_masked:
            raise MisquotedRowsError
        readable_count += int(rows.readable.sum())
        is_quoted = is_quoted or rows.has_quotes
    refuse_other_count(file, readable_count, read_count, is_quoted=is_quoted)


def refuse_other_count(file: TextFile, readable_count: int, read_count: int, *, is_quoted: bool) -> None:
    """Compare how many rows can be read with what DuckDB read.

    Raises:
        UnreadableFileError: If they differ and there are quotes: a quote that opens after spaces and never closes, and worse.
        AccountingError: If they differ otherwise.
    """
    if readable_count == read_count:
        return
    if is_quoted:
        what = "quotes stand where they can be read in more than one way; rows cannot be told apart"
        raise unreadable(file.name, what)
    raise AccountingError(
        f"{readable_count:,} rows of {file.name} can be read where {read_count:,} were read"
    )


def rows_of(file: TextFile, deadline: Deadline) -> Iterator[Rows]:
    """Cut a file into its rows.

    Raises:
        UnreadableFileError: If a quote swallows the rows after it.
    """
    width = len(file.header.columns)
    for block in blocks(file.text, name=file.name, dialect=file.header.dialect):
        deadline.check()
        keep = block.is_row(width)
        counts, misquoted = block.cell_counts(width)[keep], block.is_misquoted()[keep]
        readable = (counts == width) & ~misquoted
        rows = Rows(
            block, block.starts[keep], block.ends[keep], block.lines[keep], counts, misquoted, readable
        )
        _refuse_swallowed_rows(file, rows, width)
        yield rows


def _refuse_swallowed_rows(file: TextFile, rows: Rows, width: int) -> None:
    """Refuse a row whose quotes are wrong and that spans lines: it may hold rows that are good.

    Text after a closing quote on one line concerns that row alone. Where the quotes are right, lines inside a cell that look like
    rows of the file tell that two rows have a quote too many or too few.
    """
    for place in np.flatnonzero(rows.misquoted).tolist():
        text, line = rows.text(place), int(rows.lines[place])
        if rows.block.closes[-1] > len(rows.block.data) == rows.ends[place]:
            raise unreadable(file.name, f"line {line}: a quote opens here and never closes", line)
        if "\n" in text or "\r" in text:
            what = "a quote opens here and closes on another line, in the middle of a cell"
            raise unreadable(file.name, f"line {line}: {what}", line)
    if width > 1:
        for record in rows.block.swallowed_rows(width).tolist():
            line = int(rows.block.lines[record])
            what = f"a quote opens here and holds {MIN_SWALLOWED_LINES} or more lines that look like rows of the file"
            hint = "Close the quote, or double it if it belongs to the text."
            raise unreadable(file.name, f"line {line}: {what}", line, hint)
