"""Where the records of a CSV text begin and end and how many cells each has, found by bytes alone.

What belongs here: cutting a file into whole records with their positions, physical lines and faults. DuckDB reads the
cells; this module is asked only where positions matter: to normalise mixed line ends, to find rejects and their
lines, to count a file a second time. It works on arrays of positions, never row by row.

A quote counts where a cell begins (spaces before it allowed), as DuckDB has it; elsewhere it is a character like any
other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reportgen_dagster.errors import Problem, UnreadableFileError

CHUNK_BYTES = 512 * 1024
MAX_RECORD_BYTES = 20_000_000

_LF, _CR, _QUOTE, _COMMA = 10, 13, 34, 44
_QUOTED_CELL = re.compile(rb'(?:(?<=[,\r\n])|(?<![\s\S])) *("[^"]*(?:""[^"]*)*(?:"|\Z))( *(?:[,\r\n]|\Z))?')
_EMPTY_CELLS = re.compile(rb'(?:,(?: *"" *)?)*')

Positions = NDArray[np.int64]
Flags = NDArray[np.bool_]
_Bytes = NDArray[np.uint8]
_NONE: Positions = np.empty(0, np.int64)
# Which bytes may stand outside next to a quote: where only these do, quotes open and close by turns.
_NEIGHBOUR: Flags = np.isin(np.arange(256), (_COMMA, _LF, _CR, _QUOTE))


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole records of a file.

    Attributes:
        data: The bytes of the block.
        offset: Where the block begins in the file, in bytes.
        starts: Where each record begins in `data`; a blank line is a record of no bytes.
        ends: Where each record ends in `data`, without its line end.
        lines: The physical line of each record's first byte, from 1.
        opens: Where quoted stretches of cells begin in `data`, their first quote.
        closes: Where these stretches end, after their last quote.
        misquoted: Where in `data` something else than a comma or a line end follows a quoted cell, or a quote never closes.
    """

    data: bytes
    offset: int
    starts: Positions
    ends: Positions
    lines: Positions
    opens: Positions
    closes: Positions
    misquoted: Positions

    def cell_counts(self, width: int) -> Positions:
        """Count the cells of each record; a blank line has one.

        Args:
            width: How many cells are wanted. Empty ones after so many do not count, as DuckDB has it.
        """
        commas = np.flatnonzero(np.frombuffer(self.data, np.uint8) == _COMMA)
        commas = commas[_outside(commas, self.opens, self.closes)]
        first = np.searchsorted(commas, self.starts)
        counts = 1 + np.searchsorted(commas, self.ends) - first
        for place in np.flatnonzero(counts > width):
            rest = self.data[commas[first[place] + width - 1] : self.ends[place]]
            if _EMPTY_CELLS.fullmatch(rest):
                counts[place] = width
        return counts

    def is_misquoted(self) -> Flags:
        """Tell for each record whether its quotes are wrong."""
        flags: Flags = np.zeros(len(self.starts), dtype=bool)
        flags[np.searchsorted(self.starts, self.misquoted, side="right") - 1] = True
        return flags


def blocks(path: Path, *, name: str, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Block]:
    """Cut a UTF-8 file into blocks of whole records.

    Args:
        path: The file.
        name: What the file is called in messages.
        chunk_bytes: How much is read at a time.

    Raises:
        UnreadableFileError: If a record is longer than `MAX_RECORD_BYTES`.
    """
    offset, line, rest = 0, 1, b""
    with path.open("rb", buffering=0) as file:
        while True:
            chunk = file.read(chunk_bytes)
            data = rest + chunk
            block, physical_lines = _block(data, offset, line, last=not chunk)
            used = 0
            if block is not None:
                yield block
                used = len(block.data)
            if not chunk:
                return
            rest, offset, line = data[used:], offset + used, line + physical_lines
            if len(rest) > MAX_RECORD_BYTES:
                raise _too_long(name, line)


def _too_long(name: str, line: int) -> UnreadableFileError:
    message = f"line {line}: a quote opens here and never closes, or the line is longer than {MAX_RECORD_BYTES:,} bytes"
    return UnreadableFileError(problems=[Problem(message, source=name, line=line)])


def _block(data: bytes, offset: int, line: int, *, last: bool) -> tuple[Block | None, int]:
    """Return the whole records of `data` and how many physical lines they take."""
    view: _Bytes = np.frombuffer(data, np.uint8)
    line_ends, widths = _line_ends(data, view, last=last)
    opens, closes, misquoted = _quoted(data, view)
    outside = _outside(line_ends, opens, closes)
    ends, next_starts = line_ends[outside], (line_ends + widths)[outside]
    used = int(next_starts[-1]) if len(next_starts) else 0
    if last and used < len(data):
        ends, next_starts = np.append(ends, len(data)), np.append(next_starts, len(data))
        used = len(data)
    if not len(ends):
        return None, 0
    starts = np.concatenate((_NONE, [0], next_starts[:-1]))
    lines = line + np.searchsorted(line_ends, starts)
    block = Block(
        data[:used], offset, starts, ends, lines, opens, closes, misquoted[misquoted < max(used, 1)]
    )
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
    ends = np.union1d(np.setdiff1d(ends, pairs + 1, assume_unique=True), returns)
    return ends, 1 + np.isin(ends, pairs).astype(np.int64)


def _quoted(data: bytes, view: _Bytes) -> tuple[Positions, Positions, Positions]:
    """Find the quoted stretches and the places where quoting is wrong.

    Where every quote stands as it should, they open and close by turns (a doubled quote closes and opens again).
    Where one does not, each cell has to be looked at.
    """
    if b'"' not in data:
        return _NONE, _NONE, _NONE
    quotes = np.flatnonzero(view == _QUOTE)
    opens, closes = quotes[0::2], quotes[1::2]
    padded = np.append(view, np.uint8(_LF))
    if _NEIGHBOUR[padded[opens - 1]].all() and _NEIGHBOUR[padded[closes + 1]].all():
        if len(opens) > len(closes):
            return opens, np.append(closes + 1, len(data) + 1), opens[-1:]
        return opens, closes + 1, _NONE
    return _quoted_one_by_one(data)


def _quoted_one_by_one(data: bytes) -> tuple[Positions, Positions, Positions]:
    opens, closes, misquoted = [], [], []
    for match in _QUOTED_CELL.finditer(data):
        start, end = match.span(1)
        is_open = match.group(1).count(b'"') % 2 == 1
        opens.append(start)
        closes.append(end + is_open)
        if is_open or match.group(2) is None:
            misquoted.append(start)
    return np.array(opens, np.int64), np.array(closes, np.int64), np.array(misquoted, np.int64)


def _outside(positions: Positions, opens: Positions, closes: Positions) -> Flags:
    """Tell which positions are in no quoted stretch."""
    if not len(opens):
        return np.ones(len(positions), dtype=bool)
    before = np.searchsorted(opens, positions, side="right")
    outside: Any = (before == 0) | (positions >= closes[np.maximum(before - 1, 0)])
    flags: Flags = outside
    return flags
