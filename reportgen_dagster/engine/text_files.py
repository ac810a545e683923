"""From an uploaded file to UTF-8 text with one kind of line end, and the judgement that it is text at all.

What belongs here: everything that looks at the bytes of a whole file before DuckDB reads it: encodings, gzip, line
ends, NUL. A file that is fine as it is stays where it is; only what DuckDB cannot read is written anew into the work
folder. What does not: the header (`headers.py`), cells and rows.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from reportgen_dagster.engine.headers import HEAD_BYTES, Encoding, Header, conversion_hint, read_header
from reportgen_dagster.engine.limits import Deadline
from reportgen_dagster.engine.records import Block, blocks
from reportgen_dagster.errors import LimitError, Problem, UnreadableFileError

CHUNK_BYTES = 1024 * 1024
MAX_UNPACKED_BYTES = 100 * 1000**3


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file that DuckDB can read.

    Attributes:
        name: What the rules and messages call it: `input` or the name of a reference.
        path: What DuckDB reads: the uploaded file itself, or a copy in the work folder.
        text: Where the rows stand as they were written; another file than `path` only if rows were masked.
        header: What the head of the uploaded file said.
        size_bytes: Size of the text.
        line_count: Physical lines, the header among them.
        line_feed_ends_row: Whether each LF ends a row and each row ends with one: there are no quotes, and no bare CR.
    """

    name: str
    path: Path
    text: Path
    header: Header
    size_bytes: int
    line_count: int
    line_feed_ends_row: bool


def open_text(source: Path, *, name: str, work: Path, deadline: Deadline) -> TextFile:
    """Read a file once from end to end, judge it, and write what needs it anew into `work`.

    Raises:
        FileRefusedError: If its header cannot be used.
        UnreadableFileError: If it is not text in an encoding that is read; names line and byte.
        LimitError: If it unpacks to more than `MAX_UNPACKED_BYTES`, or time is over.
    """
    with source.open("rb") as file:
        header = read_header(file.read(HEAD_BYTES), name=name)
    judge = _Judge(name)
    path = source
    if header.compressed or header.encoding != "utf-8":
        path = work / f"{name}.csv"
        _write(path, judge.judged(_text_chunks(source, header, name), deadline))
    else:
        for _ in judge.judged(_chunks(source), deadline):
            pass
    if judge.mixed_line_ends:
        path = _normalised(path, work / f"{name}.lines.csv", name=name, deadline=deadline)
    path = path.absolute()
    return TextFile(name, path, path, header, path.stat().st_size, judge.line_count, judge.line_feed_ends_row)


def mask_misquoted(file: TextFile, *, work: Path, deadline: Deadline) -> TextFile:
    """Return the file with a copy for DuckDB in which rows with text after a closing quote have the wrong number of cells.

    DuckDB, told to leave out rows that it cannot read, gives up on what follows such a row. The copy has the same size and lines.
    """
    target = work / f"{file.name}.masked.csv"
    is_narrow = len(file.header.columns) == 1
    with target.open("wb") as copy:
        for block in blocks(file.text, name=file.name):
            deadline.check()
            data = bytearray(block.data)
            for place in np.flatnonzero(block.is_misquoted()):
                start, end = int(block.starts[place]), int(block.ends[place])
                data[start:end] = b"x" * (end - start)
                data[start + 1] = ord(",") if is_narrow else ord("x")
            copy.write(data)
    return replace(file, path=target.absolute())


def unreadable(name: str, message: str, line: int | None = None, hint: str = "") -> UnreadableFileError:
    """Return the error of a file that cannot be read as a whole, at a line."""
    return UnreadableFileError(problems=[Problem(message, source=name, line=line)], hint=hint)


class _Judge:
    """Watches the UTF-8 bytes of a file go by: are they valid, which line ends."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._offset = 0
        self._line_feeds = self._returns = self._pairs = 0
        self._quoted = False
        self._last = b""

    @property
    def line_count(self) -> int:
        open_line = bool(self._last) and self._last not in (b"\n", b"\r")
        return self._ended_lines + open_line

    @property
    def line_feed_ends_row(self) -> bool:
        return not self._quoted and self._returns == self._pairs

    @property
    def mixed_line_ends(self) -> bool:
        kinds = (self._pairs, self._line_feeds - self._pairs, self._returns - self._pairs)
        return sum(count > 0 for count in kinds) > 1

    @property
    def _ended_lines(self) -> int:
        return self._line_feeds + self._returns - self._pairs

    def judged(self, chunks: Iterable[bytes], deadline: Deadline) -> Iterator[bytes]:
        """Hand the chunks on, each after it was judged."""
        for chunk in chunks:
            deadline.check()
            self._judge(chunk)
            yield chunk
        self._validate(b"", final=True)

    def _judge(self, chunk: bytes) -> None:
        if b"\0" in chunk:
            line = self._line_of(chunk, chunk.index(b"\0"))
            raise unreadable(self._name, f"line {line} holds a NUL byte: this is no CSV text", line)
        if not chunk.isascii() or self._decoder.getstate()[0]:
            self._validate(chunk, final=False)
        self._line_feeds += int(np.count_nonzero(np.frombuffer(chunk, np.uint8) == ord("\n")))
        self._quoted = self._quoted or b'"' in chunk
        if b"\r" in chunk:
            self._returns += chunk.count(b"\r")
            self._pairs += chunk.count(b"\r\n")
        self._pairs += self._last == b"\r" and chunk.startswith(b"\n")
        self._last = chunk[-1:]
        self._offset += len(chunk)

    def _line_of(self, chunk: bytes, position: int) -> int:
        before = chunk[:position]
        ends = before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n")
        return self._ended_lines + ends + 1

    def _validate(self, chunk: bytes, *, final: bool) -> None:
        pending = len(self._decoder.getstate()[0])
        try:
            self._decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            position = max(error.start - pending, 0)
            line = self._line_of(chunk, position)
            byte = error.object[error.start]
            place = f"line {line}, byte {self._offset + error.start - pending + 1} of the file"
            message = (
                f"{place}: 0x{byte:02X} ({bytes([byte]).decode('latin-1')!r} in Latin-1) is not UTF-8;"
                " the file looks like Latin-1 or Windows-1252"
            )
        else:
            return
        raise unreadable(self._name, message, line, conversion_hint(f"{self._name}.csv"))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _text_chunks(source: Path, header: Header, name: str) -> Iterator[bytes]:
    """Yield the file's text as UTF-8, unpacked."""
    chunks = _unpacked(source, name) if header.compressed else _chunks(source)
    return chunks if header.encoding == "utf-8" else _transcoded(chunks, header.encoding, name)


def _unpacked(source: Path, name: str) -> Iterator[bytes]:
    size = 0
    try:
        with gzip.open(source) as file:
            while chunk := file.read(CHUNK_BYTES):
                size += len(chunk)
                if size > MAX_UNPACKED_BYTES:
                    raise LimitError(
                        f"{name}: unpacked, the file is larger than {MAX_UNPACKED_BYTES:,} bytes"
                    )
                yield chunk
    except (EOFError, gzip.BadGzipFile, zlib.error):
        message = f"the gzip data is damaged or cut off after {size:,} bytes of text"
        raise unreadable(name, message) from None


def _transcoded(chunks: Iterable[bytes], encoding: Encoding, name: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    line = 1
    try:
        for chunk in chunks:
            text = decoder.decode(chunk).removeprefix("\ufeff" if line == 1 else "")
            line += text.count("\n")
            yield text.encode()
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        message = f"the file begins as UTF-16 but is not valid UTF-16 at line {line} or soon after"
        raise unreadable(name, message, line) from None


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(chunks)


def _normalised(source: Path, target: Path, *, name: str, deadline: Deadline) -> Path:
    """Write a copy in which every record ends with LF; line ends inside quoted cells stay as they are."""
    with target.open("wb") as file:
        for block in blocks(source, name=name):
            deadline.check()
            file.write(_with_line_feeds(block))
    return target


def _with_line_feeds(block: Block) -> bytes:
    data = np.frombuffer(block.data, np.uint8).copy()
    ends = block.ends[block.ends < len(data)]
    ends = ends[data[ends] == ord("\r")]
    is_pair = data[np.minimum(ends + 1, len(data) - 1)] == ord("\n")
    data[ends[~is_pair]] = ord("\n")
    return np.delete(data, ends[is_pair]).tobytes()
