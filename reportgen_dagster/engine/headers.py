"""The first line of an uploaded file: which columns it has and how the file is written.

What belongs here: judging the first bytes of a file. Pure Python on purpose, because the gateway calls it while an
upload comes in and must not load an engine. What does not: anything about the rows after the header (`text_files.py`
judges those).
"""

from __future__ import annotations

import codecs
import csv
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from reportgen_dagster.errors import FileRefusedError, Problem

HEAD_BYTES = 256 * 1024
MAX_COLUMNS = 5_000

Encoding = Literal["utf-8", "utf-16-le", "utf-16-be"]

GZIP_MAGIC = b"\x1f\x8b"
_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF-": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or an Excel workbook; save it as CSV",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old Excel workbook; save it as CSV",
    b"PAR1": "a Parquet file",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; only gzip is read",
    b"BZh": "compressed by bzip2; only gzip is read",
    b"\xfd7zXZ\x00": "compressed by xz; only gzip is read",
    codecs.BOM_UTF32_LE: "UTF-32; only UTF-8 and UTF-16 are read",
    codecs.BOM_UTF32_BE: "UTF-32; only UTF-8 and UTF-16 are read",
}
_MARKS: dict[bytes, Encoding] = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_CONTROL = frozenset(map(chr, range(32))) - {"\t", "\n", "\r", "\f"}


@dataclass(frozen=True, slots=True)
class Header:
    """What the head of a file says.

    Attributes:
        columns: The names of the columns, in the file's order, as written.
        encoding: How characters are encoded.
        bom: Whether the file begins with a byte order mark.
        compressed: Whether the file is gzip-compressed.
    """

    columns: tuple[str, ...]
    encoding: Encoding
    bom: bool
    compressed: bool


def read_header(head: bytes, *, name: str = "input") -> Header:
    """Judge the head of a file and return what it says.

    Args:
        head: The first `HEAD_BYTES` of the file as it was uploaded; all of it if it is shorter.
        name: What the file is called in messages.

    Raises:
        FileRefusedError: If the file is empty, is not text, or has no header that names each column once.
    """
    compressed = head.startswith(GZIP_MAGIC)
    whole = len(head) < HEAD_BYTES
    if compressed:
        head, whole = _unpacked(head, name)
    encoding, mark = _encoding(head)
    _refuse_binary(head, encoding, name)
    text = _text(head[len(mark) :], encoding)
    columns = _first_record(text, whole=whole, name=name)
    _refuse_encoding(columns, text, encoding, name)
    _refuse_names(columns, name)
    return Header(tuple(columns), encoding, bool(mark), compressed)


def _refused(name: str, message: str, hint: str = "") -> FileRefusedError:
    return FileRefusedError(problems=[Problem(message, source=name)], hint=hint)


def _unpacked(head: bytes, name: str) -> tuple[bytes, bool]:
    """Return the beginning of what a gzip file holds, and whether that is all of it."""
    decompressor = zlib.decompressobj(wbits=31)
    try:
        text = decompressor.decompress(head, HEAD_BYTES)
    except zlib.error:
        raise _refused(name, "the file begins like gzip but is damaged") from None
    return text, decompressor.eof and not decompressor.unused_data


def _encoding(head: bytes) -> tuple[Encoding, bytes]:
    if not head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        for mark, encoding in _MARKS.items():
            if head.startswith(mark):
                return encoding, mark
    return "utf-8", b""


def _refuse_binary(head: bytes, encoding: Encoding, name: str) -> None:
    for signature, what in _SIGNATURES.items():
        if head.startswith(signature):
            raise _refused(name, f"this is no CSV file but {what}")
    if encoding == "utf-8" and b"\0" in head:
        hint = "If it is UTF-16, save it with a byte order mark or as UTF-8."
        raise _refused(name, "the file holds NUL bytes: it is no text, or UTF-16 without its mark", hint)


def _text(head: bytes, encoding: Encoding) -> str:
    """Decode without failing: wrong bytes become lone surrogates (UTF-8) or U+FFFD (UTF-16)."""
    errors = "surrogateescape" if encoding == "utf-8" else "replace"
    return codecs.getincrementaldecoder(encoding)(errors).decode(head)


def _first_record(text: str, *, whole: bool, name: str) -> list[str]:
    if not text.strip():
        raise _refused(name, "the file is empty")
    lines = _Lines(text)
    try:
        columns = next(csv.reader(lines, strict=True))
    except csv.Error:
        what = "" if whole else f", or it is longer than {HEAD_BYTES // 1024} KiB"
        message = f"the header cannot be read: a quote is not closed as it should be{what}"
        raise _refused(name, message) from None
    if lines.exhausted and not whole:
        raise _refused(name, f"the header is longer than {HEAD_BYTES // 1024} KiB")
    if not columns or columns == [""]:
        raise _refused(name, "line 1 is blank; the header must be the first line")
    return columns


class _Lines(Iterator[str]):
    """The lines of a text, with a note whether the last one given ended the text without a line end."""

    def __init__(self, text: str) -> None:
        self._lines = iter(io.StringIO(text, newline=""))
        self.exhausted = False

    def __next__(self) -> str:
        try:
            line = next(self._lines)
        except StopIteration:
            self.exhausted = True
            raise
        self.exhausted = not line.endswith(("\n", "\r"))
        return line


def _refuse_encoding(columns: list[str], text: str, encoding: Encoding, name: str) -> None:
    joined = "".join(columns)
    if not _CONTROL.isdisjoint(joined):
        raise _refused(name, "the header holds control characters: this is no CSV text")
    wrong = next((mark for mark in joined if "\udc80" <= mark <= "\udcff" or mark == "\ufffd"), None)
    if wrong is None:
        return
    if encoding != "utf-8":
        raise _refused(name, "the header is not valid UTF-16")
    byte = ord(wrong) - 0xDC00
    before = text[: text.index(wrong)]
    line = 1 + before.count("\n")
    message = (
        f"line {line}, byte 0x{byte:02X} ({bytes([byte]).decode('latin-1')!r} in Latin-1) is not UTF-8;"
        " the file looks like Latin-1"
    )
    raise FileRefusedError(
        problems=[Problem(message, source=name, line=line)], hint=conversion_hint(f"{name}.csv")
    )


def conversion_hint(filename: str) -> str:
    """Say how a Latin-1 file becomes UTF-8."""
    return f"Save it as UTF-8, or convert it: iconv -f LATIN1 -t UTF-8 {filename} > utf8.csv"


def _refuse_names(columns: list[str], name: str) -> None:
    """Refuse too many, empty and repeated names, all of them at once."""
    if len(columns) > MAX_COLUMNS:
        raise _refused(name, f"the header has {len(columns):,} columns; the limit is {MAX_COLUMNS:,}")
    problems = []
    first_seen: dict[str, int] = {}
    for position, column in enumerate(columns, 1):
        if not column.strip():
            problems.append(Problem(f"column {position} of the header has no name", source=name, line=1))
            continue
        earlier = first_seen.setdefault(column.lower(), position)
        if earlier != position:
            message = (
                f"columns {earlier} and {position} of the header are both called `{column}`"
                " (upper and lower case count as the same)"
            )
            problems.append(Problem(message, path=column, source=name, line=1))
    if problems:
        raise FileRefusedError(problems=problems)
