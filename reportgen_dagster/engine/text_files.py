"""From an uploaded file to UTF-8 text that DuckDB reads, and the judgement that it is text at all.

What belongs here: everything that looks at the bytes of a whole file before DuckDB reads it: its encoding, compression, line
ends, NUL. A file that is fine as it is stays where it is; only what DuckDB cannot read is written anew into the work
folder. What does not: the header (`headers.py`), what an encoding looks like (`encodings.py`), how a copy differs (`copies.py`).
"""

from __future__ import annotations

import codecs
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reportgen_dagster.engine import encodings
from reportgen_dagster.engine.compression import CHUNK_BYTES, unpacked
from reportgen_dagster.engine.copies import rewritten
from reportgen_dagster.engine.dialects import ResolvedDialect
from reportgen_dagster.engine.headers import HEAD_BYTES, Header, encoding_hint, read_header
from reportgen_dagster.engine.limits import Deadline
from reportgen_dagster.errors import Problem, UnreadableFileError

if TYPE_CHECKING:
    from reportgen_dagster.contracts.models import Dialect


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file that DuckDB can read.

    Attributes:
        name: What the rules and messages call it: `input` or the name of a reference.
        path: What DuckDB reads: the uploaded file itself, or a copy in the work folder.
        text: Where the rows stand as they were written; another file than `path` if that is a copy that differs.
        header: What the head of the uploaded file said, with its final encoding.
        size_bytes: Size of what DuckDB reads.
        line_count: Physical lines of the text, the header among them.
        most_rows: There are no more rows than this, readable or not.
        line_feed_ends_row: Whether each LF of `path` ends a row and each row ends with one: there are no quotes, and no bare CR.
        missing: Texts that mean that there is no value; the empty text always does.
        is_masked: Misquoted rows are masked in `path`.
        decisions: What was found in the file rather than told, in words.
    """

    name: str
    path: Path
    text: Path
    header: Header
    size_bytes: int
    line_count: int
    most_rows: int
    line_feed_ends_row: bool
    missing: tuple[str, ...] = ()
    is_masked: bool = False

    @property
    def decisions(self) -> tuple[str, ...]:
        """What was found in the file rather than told, in words."""
        return self.header.decisions


class _NotUtf8Error(Exception):
    """A file that was taken for UTF-8 is none; holds the error that says where. Never leaves this module."""

    def __init__(self, told: UnreadableFileError) -> None:
        super().__init__(str(told))
        self.told = told


def open_text(
    source: Path,
    *,
    name: str,
    work: Path,
    deadline: Deadline,
    dialect: Dialect | None = None,
    names: Sequence[str] | None = None,
    missing: Sequence[str] = (),
) -> TextFile:
    """Read a file once from end to end, judge it, and write what needs it anew into `work`.

    Args:
        source: The uploaded file.
        name: What rules and messages call it.
        work: Where copies are put.
        deadline: When to give up.
        dialect: How the rules say that it is written.
        names: The columns of a file without a header.
        missing: Texts that mean that there is no value, beside the empty one.

    Raises:
        FileRefusedError: If its header cannot be used.
        UnreadableFileError: If it is not text in an encoding that is read; names line and byte.
        LimitError: If it unpacks to more than `compression.MAX_UNPACKED_BYTES`, or time is over.
    """
    with source.open("rb") as file:
        head = file.read(HEAD_BYTES)
    header = read_header(head, name=name, dialect=dialect, names=names)
    opening = _Opening(source, name, work, deadline)
    encoding = header.encoding
    if not header.encoding_told and encoding != encodings.UTF_8:
        encoding = _detected(opening, header, None)
    while True:
        if encoding != header.encoding:
            header = read_header(head, name=name, dialect=dialect, names=names, encoding=encoding)
        try:
            judge, path = opening.judged(header)
        except _NotUtf8Error as error:
            if header.encoding_told:
                raise error.told from None
            encoding = _detected(opening, header, error.told)
        else:
            break
    return _finished(opening, header, judge, path, tuple(missing))


def mask_misquoted(file: TextFile, *, work: Path, deadline: Deadline) -> TextFile:
    """Return the file with a copy for DuckDB in which rows with text after a closing quote have the wrong number of cells.

    DuckDB, told to leave out rows that it cannot read, gives up on what follows such a row. The copy has the same lines.
    """
    path = rewritten(file.text, work, name=file.name, header=file.header, deadline=deadline, masked=True)
    return replace(file, path=path, size_bytes=path.stat().st_size, is_masked=True)


def unreadable(name: str, message: str, line: int | None = None, hint: str = "") -> UnreadableFileError:
    """Return the error of a file that cannot be read as a whole, at a line."""
    return UnreadableFileError(problems=[Problem(message, source=name, line=line)], hint=hint)


@dataclass(frozen=True, slots=True)
class _Opening:
    source: Path
    name: str
    work: Path
    deadline: Deadline

    def bytes_of(self, header: Header) -> Iterator[bytes]:
        """Yield what the file holds, unpacked."""
        if header.compression is not None:
            chunks = unpacked(self.source, header.compression, name=self.name)
        else:
            chunks = _chunks(self.source)
        for chunk in chunks:
            self.deadline.check()
            yield chunk

    def judged(self, header: Header) -> tuple[_Judge, Path]:
        """Judge the file as text of the header's encoding; write a copy if it is packed or no UTF-8.

        Raises:
            _NotUtf8Error: If it should be UTF-8 and is not.
        """
        judge = _Judge(self.name, header.dialect)
        chunks = self.bytes_of(header)
        if header.encoding != encodings.UTF_8:
            chunks = encodings.transcoded(chunks, header.encoding, name=self.name)
        if header.compression is None and header.encoding == encodings.UTF_8:
            for _ in judge.judged(chunks):
                pass
            return judge, self.source
        with tempfile.NamedTemporaryFile(dir=self.work, suffix=".csv", delete=False) as file:
            file.writelines(judge.judged(chunks))
        return judge, Path(file.name)


def _detected(opening: _Opening, header: Header, told: UnreadableFileError | None) -> str:
    """Find the encoding from the whole file.

    Raises:
        UnreadableFileError: If nothing fits all of it: `told` if that says where, else the place that is no UTF-8.
    """
    found = encodings.detect(lambda: opening.bytes_of(header))
    if found is not None:
        return found
    if told is not None:
        raise told
    try:
        opening.judged(replace(header, encoding=encodings.UTF_8))
    except _NotUtf8Error as error:
        raise error.told from None
    raise unreadable(opening.name, "the file fits no encoding")


def _finished(
    opening: _Opening, header: Header, judge: _Judge, path: Path, missing: tuple[str, ...]
) -> TextFile:
    """Write a copy if DuckDB reads the text as it stands otherwise than it is meant."""
    text, copy, most_rows = path, path, judge.line_count - bool(header.dialect.header)
    if judge.mixed_line_ends or judge.needs_rewriting or header.spans_lines:
        copy = rewritten(path, opening.work, name=opening.name, header=header, deadline=opening.deadline)
    copy, text = copy.absolute(), text.absolute()
    return TextFile(
        name=opening.name,
        path=copy,
        text=text,
        header=header,
        size_bytes=copy.stat().st_size,
        line_count=judge.line_count,
        most_rows=most_rows,
        line_feed_ends_row=judge.line_feed_ends_row,
        missing=missing,
    )


class _Judge:
    """Watches the UTF-8 bytes of a file go by: are they valid, which line ends, which marks."""

    def __init__(self, name: str, dialect: ResolvedDialect) -> None:
        self._name = name
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._offset = 0
        self._line_feeds = self._returns = self._pairs = 0
        self._quote, self._comment = dialect.quote.encode(), dialect.comment.encode()
        self._space = b" " if dialect.skip_initial_space else b""
        self._quoted = False
        self._last = b""
        self.needs_rewriting = False

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

    def judged(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Hand the chunks on, each after it was judged."""
        for chunk in chunks:
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
        self._quoted = self._quoted or (bool(self._quote) and self._quote in chunk)
        self.needs_rewriting = self.needs_rewriting or any(
            bool(mark) and mark in chunk for mark in (self._comment, self._space)
        )
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
            message = f"{place}: 0x{byte:02X} is not UTF-8, and the file fits no other encoding"
        else:
            return
        raise _NotUtf8Error(unreadable(self._name, message, line, encoding_hint(f"{self._name}.csv")))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
