"""CSV on its way to a spreadsheet: cells that it would take for formulas become inert, the rest stays byte by byte.

What belongs here: finding the cells in a stream of constant memory. What does not: which cells these are (formulas.py).
"""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reportgen_dagster.formulas import GUARD, is_formula

_GZIP = 16 + zlib.MAX_WBITS  # zlib's word for gzip's container


def guarded(chunks: Iterable[bytes], dialect: Mapping[str, Any], *, packed: bool) -> Iterator[bytes]:
    """Yield a CSV file of ours with a quotation mark before each cell that a spreadsheet would take for a formula.

    Args:
        chunks: The file.
        dialect: How it was written: what is not told is as in `output.dialect`'s defaults.
        packed: It is packed by gzip, and will be.
    """
    encoding = str(dialect.get("encoding", "utf-8"))
    texts = codecs.iterdecode(_unpacked(chunks) if packed else chunks, encoding)
    told = codecs.iterencode(_inert(texts, str(dialect.get("delimiter", ","))), encoding)
    yield from _packed(told) if packed else told


def _inert(texts: Iterable[str], delimiter: str) -> Iterator[str]:
    cell = re.compile(f'"(?:[^"]|"")*"|[^{re.escape(delimiter)}\\r\\n"]+')
    rest = ""
    for text in texts:
        rows, rest = _whole_rows(rest + text)
        yield cell.sub(_inert_cell, rows)
    yield cell.sub(_inert_cell, rest)


def _whole_rows(text: str) -> tuple[str, str]:
    """Split a text behind its last row that is there as a whole: a line end within quotes ends no row."""
    end = text.rfind("\n") + 1
    while end and text.count('"', 0, end) % 2:
        end = text.rfind("\n", 0, end - 1) + 1
    return text[:end], text[end:]


def _inert_cell(found: re.Match[str]) -> str:
    cell = found[0]
    if not cell.startswith('"'):
        return f"{GUARD}{cell}" if is_formula(cell) else cell
    return f'"{GUARD}{cell[1:]}' if is_formula(cell[1:-1].replace('""', '"')) else cell


def _unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    unpacking = zlib.decompressobj(_GZIP)
    for chunk in chunks:
        yield unpacking.decompress(chunk)
    yield unpacking.flush()


def _packed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    packing = zlib.compressobj(wbits=_GZIP)
    for chunk in chunks:
        yield packing.compress(chunk)
    yield packing.flush()
