"""Copies of a text for DuckDB, where it would read the text otherwise than its dialect means, or not at all.

What belongs here: what a copy leaves out or writes otherwise. Its rows are those of the text, in order, each cell with the same
value. What does not: when a copy is needed (`text_files.py`).
"""

from __future__ import annotations

import tempfile
from codecs import BOM_UTF8
from pathlib import Path

import numpy as np

from reportgen_dagster.engine.dialects import ResolvedDialect
from reportgen_dagster.engine.headers import Header
from reportgen_dagster.engine.limits import Deadline
from reportgen_dagster.engine.records import Block, Flags, blocks, outside

_FILLERS = b"xyzXYZ01"


def rewritten(
    source: Path, work: Path, *, name: str, header: Header, deadline: Deadline, masked: bool = False
) -> Path:
    """Write a copy: no comments, no spaces that do not count, the header on one line, an LF behind every record.

    Line ends inside quoted cells stay as they are.

    Args:
        source: The text, in UTF-8.
        work: Where the copy is put.
        name: What the file is called in messages.
        header: What its head said.
        deadline: When to give up.
        masked: Also overwrite rows whose quotes are wrong with a row of the wrong number of cells.
    """
    is_narrow = len(header.columns) == 1
    with tempfile.NamedTemporaryFile(dir=work, suffix=".csv", delete=False) as file:
        for block in blocks(source, name=name, dialect=header.dialect):
            deadline.check()
            copied = _copied(block, masked=masked, is_narrow=is_narrow)
            if file.tell() == 0 and copied.startswith(BOM_UTF8):
                file.write(BOM_UTF8)  # these belong to a cell: readers take away the first mark only
            file.write(copied)
    return Path(file.name).absolute()


def _copied(block: Block, *, masked: bool, is_narrow: bool) -> bytes:
    data = np.frombuffer(block.data, np.uint8).copy()
    keep: Flags = np.ones(len(data), dtype=bool)
    if block.header >= 0:
        head = data[block.starts[block.header] : block.ends[block.header]]
        head[(head == ord("\n")) | (head == ord("\r"))] = ord(" ")
    if masked:
        _mask(block, data, is_narrow=is_narrow)
    _write_line_feeds(block, data, keep)
    if block.dialect.comment:
        for place in np.flatnonzero(block.is_comment()).tolist():
            end = block.starts[place + 1] if place + 1 < len(block.starts) else len(data)
            keep[block.starts[place] : end] = False
    if block.dialect.skip_initial_space and block.dialect.space:
        keep &= ~_initial_spaces(block)
    copied = data[keep].tobytes()
    is_open = int(block.ends[-1]) == len(data) and not block.is_comment()[-1]
    return copied + b"\n" if is_open else copied  # without its spaces a last row of one cell would be gone


def _mask(block: Block, data: np.ndarray, *, is_narrow: bool) -> None:
    """Overwrite misquoted records: one cell where several are wanted, two where one is."""
    filler = _filler(block.dialect)
    for place in np.flatnonzero(block.is_misquoted()).tolist():
        start, end = int(block.starts[place]), int(block.ends[place])
        data[start:end] = filler
        if is_narrow:
            data[start + 1] = ord(block.dialect.delimiter)


def _filler(dialect: ResolvedDialect) -> int:
    marks = (dialect.delimiter + dialect.quote + dialect.escape + dialect.comment).encode()
    return next(byte for byte in _FILLERS if byte not in marks)


def _write_line_feeds(block: Block, data: np.ndarray, keep: Flags) -> None:
    ends = block.ends[block.ends < len(data)]
    ends = ends[data[ends] == ord("\r")]
    is_pair = np.append(data, ord("x"))[ends + 1] == ord("\n")
    data[ends[~is_pair]] = ord("\n")
    keep[ends[is_pair]] = False


def _initial_spaces(block: Block) -> Flags:
    """Tell which bytes are spaces at the beginning of a cell, outside quotes."""
    view = np.frombuffer(block.data, np.uint8)
    flags: Flags = np.zeros(len(view), dtype=bool)
    spaces = np.flatnonzero(view == ord(" "))
    spaces = spaces[outside(spaces, block.opens, block.closes)]
    if not len(spaces):
        return flags
    begins: Flags = np.zeros(len(view) + 1, dtype=bool)
    begins[block.starts] = True
    begins[block.delimiters() + 1] = True
    is_first = np.append(True, np.diff(spaces) > 1)
    run = np.cumsum(is_first) - 1
    flags[spaces[begins[spaces[is_first]][run]]] = True
    return flags
