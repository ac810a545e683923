"""Where the records of a CSV text begin and end and how many cells each has, found by bytes alone.

What belongs here: cutting a file into whole records with their positions, physical lines and faults. DuckDB reads the
cells; this module is asked only where positions matter: to normalise what DuckDB does not read, to find rejects and their
lines, to count a file a second time. It works on arrays of positions, never row by row.

A quote counts where a cell begins (spaces before it allowed), as DuckDB has it; elsewhere it is a character like any
other.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reportgen_dagster.engine.dialects import STANDARD, ResolvedDialect
from reportgen_dagster.errors import Problem, UnreadableFileError

CHUNK_BYTES = 512 * 1024
MAX_RECORD_BYTES = 20_000_000
MIN_SWALLOWED_LINES = 20
_SWALLOWED_SHARE = 0.9

_LF, _CR = 10, 13

Positions = NDArray[np.int64]
Flags = NDArray[np.bool_]
_Bytes = NDArray[np.uint8]
_NONE: Positions = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole records of a file.

    Attributes:
        data: The bytes of the block.
        offset: Where the block begins in the file, in bytes; a byte order mark does not count.
        starts: Where each record begins in `data`; a blank line is a record of no bytes.
        ends: Where each record ends in `data`, without its line end.
        lines: The physical line of each record's first byte, from 1.
        opens: Where quoted stretches of cells begin in `data`, their first quote; comments are such stretches too.
        closes: Where these stretches end, after their last quote.
        misquoted: Where in `data` something else than a delimiter or a line end follows a quoted cell, or a quote never closes.
        dialect: How cells are written.
        header: Which record is the file's header; -1 if none of these is.
    """

    data: bytes
    offset: int
    starts: Positions
    ends: Positions
    lines: Positions
    opens: Positions
    closes: Positions
    misquoted: Positions
    dialect: ResolvedDialect = STANDARD
    header: int = -1

    def cell_counts(self, width: int) -> Positions:
        """Count the cells of each record; a blank line has one.

        Args:
            width: How many cells are wanted. Empty ones after so many do not count, as DuckDB has it.
        """
        delimiters = self.delimiters()
        first = np.searchsorted(delimiters, self.starts)
        counts = 1 + np.searchsorted(delimiters, self.ends) - first
        empty = _marks_of(self.dialect).empty_cells
        for place in np.flatnonzero(counts > width):
            rest = self.data[delimiters[first[place] + width - 1] : self.ends[place]]
            if empty.fullmatch(rest):
                counts[place] = width
        return counts

    def delimiters(self) -> Positions:
        """Return where in `data` the delimiters are that end cells."""
        view = np.frombuffer(self.data, np.uint8)
        found = np.flatnonzero(view == ord(self.dialect.delimiter))
        return found[outside(found, self.opens, self.closes)]

    def is_misquoted(self) -> Flags:
        """Tell for each record whether its quotes are wrong."""
        flags: Flags = np.zeros(len(self.starts), dtype=bool)
        flags[np.searchsorted(self.starts, self.misquoted, side="right") - 1] = True
        return flags

    def is_comment(self) -> Flags:
        """Tell for each record whether it is a comment."""
        flags: Flags = np.zeros(len(self.starts), dtype=bool)
        if self.dialect.comment:
            view = np.frombuffer(self.data, np.uint8)
            filled = np.flatnonzero(self.ends > self.starts)
            flags[filled] = view[self.starts[filled]] == ord(self.dialect.comment)
        return flags

    def is_row(self, width: int) -> Flags:
        """Tell for each record whether it is a row: no header, no comment, no blank line.

        Args:
            width: How many columns the file has; in a file of one column a blank line is a row with an empty cell.
        """
        flags = ~self.is_comment()
        if width > 1:
            flags &= self.ends > self.starts
        if self.header >= 0:
            flags[self.header] = False
        return flags

    def swallowed_rows(self, width: int) -> Positions:
        """Return the records with a cell that spans lines and looks like rows that a quote swallowed.

        At least `MIN_SWALLOWED_LINES` lines inside quotes have as many delimiters as rows of the file, and hardly any has not.

        Args:
            width: How many columns the file has, more than one.
        """
        view = np.frombuffer(self.data, np.uint8)
        line_ends, _ = _line_ends(self.data, view, last=True)
        inside = line_ends[~outside(line_ends, self.opens, self.closes)]
        if len(inside) <= MIN_SWALLOWED_LINES:
            return _NONE
        delimiters = np.flatnonzero(view == ord(self.dialect.delimiter))
        counts = np.diff(np.searchsorted(delimiters, inside))
        record = np.searchsorted(self.starts, inside, side="right") - 1
        is_whole_line = record[1:] == record[:-1]
        lines = np.bincount(record[1:][is_whole_line], minlength=len(self.starts))
        alike = np.bincount(record[1:][is_whole_line & (counts == width - 1)], minlength=len(self.starts))
        suspect: Positions = np.flatnonzero(
            (alike >= MIN_SWALLOWED_LINES) & (alike >= _SWALLOWED_SHARE * lines)
        )
        return suspect


@dataclass(frozen=True)
class _Marks:
    """The dialect as bytes and patterns of bytes.

    Attributes:
        quote: The quote's byte, -1 if there is none.
        neighbour: Which bytes may stand outside next to a quote: where only these do, quotes open and close by turns.
        quoted_cell: A quoted cell, or a comment in group `comment`; group `after` is what must follow a cell.
        empty_cells: Nothing but empty cells.
    """

    quote: int
    neighbour: Flags
    quoted_cell: re.Pattern[bytes]
    empty_cells: re.Pattern[bytes]


@lru_cache(maxsize=16)
def _marks_of(dialect: ResolvedDialect) -> _Marks:
    delimiter, quote = re.escape(dialect.delimiter), re.escape(dialect.quote)
    spaces = f"{dialect.space}*" if dialect.space else ""
    begin = rf"(?:(?<=[{delimiter}\r\n])|(?<![\s\S]))"
    quoted = (
        rf"{begin}{spaces}(?P<cell>{dialect.quoted_pattern()})(?P<after>{spaces}(?:[{delimiter}\r\n]|\Z))?"
    )
    if dialect.comment:
        comment = re.escape(dialect.comment)
        quoted = rf"(?:(?<=[\r\n])|(?<![\s\S]))(?P<comment>{comment}[^\r\n]*)|{quoted}"
    empty = rf"(?:{spaces}{quote}{quote}{spaces})?" if quote else ""
    empty = rf"{empty}|{spaces}" if dialect.skip_initial_space else empty
    beside = [_LF, _CR, ord(dialect.delimiter)]
    if dialect.double_quote:
        beside.append(ord(dialect.quote))
    return _Marks(
        quote=ord(dialect.quote) if dialect.quote else -1,
        neighbour=np.isin(np.arange(256), beside),
        quoted_cell=re.compile(quoted.encode()),
        empty_cells=re.compile(rf"(?:{delimiter}(?:{empty}))*".encode()),
    )


def blocks(
    path: Path, *, name: str, dialect: ResolvedDialect = STANDARD, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[Block]:
    """Cut a UTF-8 file into blocks of whole records.

    Args:
        path: The file.
        name: What the file is called in messages.
        dialect: How its cells are written.
        chunk_bytes: How much is read at a time.

    Raises:
        UnreadableFileError: If a record is longer than `MAX_RECORD_BYTES`.
    """
    offset, line, rest = 0, 1, b""
    wants_header = dialect.header
    with path.open("rb", buffering=0) as file:
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            file.seek(0)
        while True:
            chunk = file.read(max(chunk_bytes, len(rest)))  # a long record is not looked at over and over
            data = rest + chunk
            block, physical_lines = _block(data, offset, line, dialect, last=not chunk)
            used = 0
            if block is not None:
                _refuse_long_records(block, name)
                block, wants_header = _with_header(block, wanted=wants_header)
                yield block
                used = len(block.data)
            if not chunk:
                return
            rest, offset, line = data[used:], offset + used, line + physical_lines
            if len(rest) > MAX_RECORD_BYTES:
                raise _too_long(name, line)


def _with_header(block: Block, *, wanted: bool) -> tuple[Block, bool]:
    """Mark the file's first record that is no comment; return also whether it is still to come."""
    if not wanted:
        return block, False
    records = np.flatnonzero(~block.is_comment())
    if not len(records):
        return block, True
    return replace(block, header=int(records[0])), False


def _refuse_long_records(block: Block, name: str) -> None:
    if len(block.data) > MAX_RECORD_BYTES:
        for record in np.flatnonzero(block.ends - block.starts > MAX_RECORD_BYTES).tolist():
            raise _too_long(name, int(block.lines[record]))


def _too_long(name: str, line: int) -> UnreadableFileError:
    message = f"line {line}: a quote opens here and never closes, or the line is longer than {MAX_RECORD_BYTES:,} bytes"
    return UnreadableFileError(problems=[Problem(message, source=name, line=line)])


def _block(
    data: bytes, offset: int, line: int, dialect: ResolvedDialect, *, last: bool
) -> tuple[Block | None, int]:
    """Return the whole records of `data` and how many physical lines they take."""
    view: _Bytes = np.frombuffer(data, np.uint8)
    line_ends, widths = _line_ends(data, view, last=last)
    opens, closes, misquoted = _quoted(data, view, dialect)
    is_outside = outside(line_ends, opens, closes)
    ends, next_starts = line_ends[is_outside], (line_ends + widths)[is_outside]
    used = int(next_starts[-1]) if len(next_starts) else 0
    if last and used < len(data):
        ends, next_starts = np.append(ends, len(data)), np.append(next_starts, len(data))
        used = len(data)
    if not len(ends):
        return None, 0
    starts = np.concatenate((_NONE, [0], next_starts[:-1]))
    lines = line + np.searchsorted(line_ends, starts)
    misquoted = misquoted[misquoted < max(used, 1)]
    block = Block(data[:used], offset, starts, ends, lines, opens, closes, misquoted, dialect)
    return block, int(np.searchsorted(line_ends, used))


def _line_ends(data: bytes, view: _Bytes, *, last: bool) -> tuple[Positions, Positions]:
    """Return where each LF, CRLF or CR begins and how many bytes it has.

    A CR that is the last byte read is left for the next block, where the LF that may follow is seen.
    """
    ends = np.flatnonzero(view == _LF)
    if b"\r" not in data:
        return ends, np.ones_like(ends)
    returns = np.flatnonzero(view == _CR)
    if not last:
        returns = returns[returns < len(data) - 1]
    pairs = returns[np.append(view, np.uint8(_LF))[returns + 1] == _LF]
    if last and len(pairs) and pairs[-1] == len(data) - 1:
        pairs = pairs[:-1]
    ends = np.union1d(np.setdiff1d(ends, pairs + 1, assume_unique=True), returns)
    return ends, 1 + np.isin(ends, pairs).astype(np.int64)


def _quoted(data: bytes, view: _Bytes, dialect: ResolvedDialect) -> tuple[Positions, Positions, Positions]:
    """Find the quoted stretches and the places where quoting is wrong.

    Where every quote stands as it should, they open and close by turns (a doubled quote closes and opens again).
    Where one does not, each cell has to be looked at, and so where another character escapes quotes, and where comments are.
    """
    marks = _marks_of(dialect)
    has_comments = bool(dialect.comment) and dialect.comment.encode() in data
    if not has_comments and (not dialect.quote or dialect.quote.encode() not in data):
        return _NONE, _NONE, _NONE
    has_escapes = not dialect.double_quote and bool(dialect.escape) and dialect.escape.encode() in data
    if has_comments or has_escapes:
        return _quoted_one_by_one(data, marks)
    quotes = np.flatnonzero(view == marks.quote)
    opens, closes = quotes[0::2], quotes[1::2]
    padded = np.append(view, np.uint8(_LF))
    if marks.neighbour[padded[opens - 1]].all() and marks.neighbour[padded[closes + 1]].all():
        if len(opens) > len(closes):
            return opens, np.append(closes + 1, len(data) + 1), opens[-1:]
        return opens, closes + 1, _NONE
    return _quoted_one_by_one(data, marks)


def _quoted_one_by_one(data: bytes, marks: _Marks) -> tuple[Positions, Positions, Positions]:
    opens, closes, misquoted = [], [], []
    for match in marks.quoted_cell.finditer(data):
        parts = match.groupdict()
        kind = "comment" if parts.get("comment") is not None else "cell"
        start, end = match.span(kind)
        is_open = kind == "cell" and parts["close"] is None
        opens.append(start)
        closes.append(end + is_open)
        if kind == "cell" and (is_open or parts["after"] is None):
            misquoted.append(start)
    return np.array(opens, np.int64), np.array(closes, np.int64), np.array(misquoted, np.int64)


def outside(positions: Positions, opens: Positions, closes: Positions) -> Flags:
    """Tell which positions are in no quoted stretch."""
    if not len(opens):
        return np.ones(len(positions), dtype=bool)
    before = np.searchsorted(opens, positions, side="right")
    found: Any = (before == 0) | (positions >= closes[np.maximum(before - 1, 0)])
    flags: Flags = found
    return flags
