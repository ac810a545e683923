"""The head of an uploaded file: which columns it has and how the file is written.

What belongs here: judging the first bytes of a file. Pure Python on purpose, because the gateway calls it while an
upload comes in and must not load an engine. What does not: anything about the rows after the header (`text_files.py`
judges those).
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from reportgen_dagster.engine import encodings
from reportgen_dagster.engine.compression import Compression, compression_of, unpacked_head
from reportgen_dagster.engine.dialects import Record, ResolvedDialect, resolve
from reportgen_dagster.engine.signatures import seems_to_be
from reportgen_dagster.errors import FileRefusedError, Problem

if TYPE_CHECKING:
    from reportgen_dagster.contracts.models import Dialect

HEAD_BYTES = 256 * 1024
MAX_COLUMNS = 5_000

_CONTROL = frozenset(map(chr, range(32))) - {"\t", "\n", "\r", "\f"}


@dataclass(frozen=True, slots=True)
class Header:
    """What the head of a file says.

    Attributes:
        columns: The names of the columns, in the file's order, as written; as their fields are called where case does not count.
        encoding: How characters are encoded, as far as the head shows.
        encoding_told: A mark in the file or the rules tell the encoding.
        bom: Whether the file begins with a byte order mark.
        compression: How the file is compressed.
        dialect: How its cells are written.
        line: The physical line of the header, from 1; 0 if there is none.
        spans_lines: The header has a line end inside a name.
        decisions: What was found in the file rather than told, in words.
    """

    columns: tuple[str, ...]
    encoding: str
    encoding_told: bool
    bom: bool
    compression: Compression | None
    dialect: ResolvedDialect
    line: int = 1
    spans_lines: bool = False
    decisions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Head:
    """The unpacked and decoded beginning of a file."""

    text: str
    whole: bool
    encoding: str
    told: bool
    bom: bool
    compression: Compression | None
    decisions: tuple[str, ...]


def read_header(
    head: bytes,
    *,
    name: str = "input",
    dialect: Dialect | None = None,
    names: Sequence[str] | None = None,
    encoding: str | None = None,
) -> Header:
    """Judge the head of a file and return what it says.

    Args:
        head: The first `HEAD_BYTES` of the file as it was uploaded; all of it if it is shorter.
        name: What the file is called in messages.
        dialect: How the rules say that it is written.
        names: The names of the fields: the columns of a file without a header (`column1` and so on if they are not known), and
            what columns are called where the dialect says that case does not count.
        encoding: The encoding, where all of the file was looked at already.

    Raises:
        FileRefusedError: If the file is empty, is not text, has no header that names each column once, or fits several
            delimiters.
    """
    begun = _decoded(head, name=name, dialect=dialect, encoding=encoding)
    if not begun.text.strip():
        raise _refused(name, "the file is empty")
    resolved, found = resolve(dialect, begun.text, whole=begun.whole, name=name)
    record = _first_record(begun, resolved, name)
    if resolved.header:
        _refuse_names(record.cells, name, record.line)
        columns = _called_as_fields(record.cells, dialect, names)
    else:
        columns = _given_names(record, names, name)
    return Header(
        columns=columns,
        encoding=begun.encoding,
        encoding_told=begun.told,
        bom=begun.bom,
        compression=begun.compression,
        dialect=resolved,
        line=record.line if resolved.header else 0,
        spans_lines=resolved.header and any(mark in cell for cell in columns for mark in "\r\n"),
        decisions=(*begun.decisions, *found),
    )


def _refused(name: str, message: str, hint: str = "", line: int | None = None) -> FileRefusedError:
    return FileRefusedError(problems=[Problem(message, source=name, line=line)], hint=hint)


def _decoded(head: bytes, *, name: str, dialect: Dialect | None, encoding: str | None) -> _Head:
    compression = compression_of(head)
    whole = len(head) < HEAD_BYTES
    decisions: tuple[str, ...] = ()
    if compression is not None:
        head, whole = unpacked_head(head, compression, size=HEAD_BYTES, name=name)
        decisions = (f"the file is compressed by {compression}",)
    marked = encodings.mark_of(head)
    told = _told_encoding(dialect)
    encoding = told or encoding or (marked[0] if marked else None)
    mark = b""
    if marked and encoding is not None and _belongs(marked[0], encoding):
        encoding, mark = marked
    _refuse_binary(head, name, is_wide=encodings.is_wide(encoding or ""))
    body = head[len(mark) :]
    is_told = bool(told or mark)
    if encoding is None:
        encoding, is_told = _looked_up(body, name), False
    if not told and not mark and encoding != encodings.UTF_8:
        decisions += (encodings.decision(encoding),)
    text = _text(body, encoding, name, skipped=len(mark))
    return _Head(text, whole, encoding, is_told, bool(mark), compression, decisions)


def _told_encoding(dialect: Dialect | None) -> str | None:
    return encodings.canonical(dialect.encoding) if dialect is not None and dialect.encoding else None


def _belongs(marked: str, encoding: str) -> bool:
    """Tell whether a mark is one of an encoding: `utf-16` leaves open which."""
    return marked == encoding or (marked.startswith(encoding) and encoding in ("utf-16", "utf-32"))


def _looked_up(body: bytes, name: str) -> str:
    """Return the encoding of a text that nothing tells, by its looks."""
    try:
        codecs.getincrementaldecoder(encodings.UTF_8)("strict").decode(body)
    except UnicodeDecodeError as error:
        found = encodings.detect_in(body)
        if found is None:
            raise _no_encoding(body, error, name) from None
        return found
    return encodings.UTF_8


def _no_encoding(body: bytes, error: UnicodeDecodeError, name: str) -> FileRefusedError:
    byte = body[error.start]
    before = body[: error.start]
    line = 1 + before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n")
    message = f"line {line}, byte {error.start + 1} of the file: 0x{byte:02X} is not UTF-8, and the file fits no other encoding"
    return _refused(name, message, encoding_hint(f"{name}.csv"), line)


def encoding_hint(filename: str) -> str:
    """Say how a file whose encoding is not found can be read."""
    return (
        "Name its encoding in the rules, as dialect: {encoding: latin-1}, or convert it:"
        f" iconv -f LATIN1 -t UTF-8 {filename} > utf8.csv"
    )


def _refuse_binary(head: bytes, name: str, *, is_wide: bool) -> None:
    what = seems_to_be(head)
    if what is not None:
        raise _refused(name, f"this is no CSV file but {what}")
    if not is_wide and b"\0" in head:
        hint = "If it is UTF-16, save it with a byte order mark or as UTF-8, or say so: dialect: {encoding: utf-16-le}"
        raise _refused(name, "the file holds NUL bytes: it is no text, or UTF-16 without its mark", hint)


def _text(body: bytes, encoding: str, name: str, *, skipped: int) -> str:
    """Decode without the character that the end of the head may have cut."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    try:
        text = decoder.decode(body)
    except UnicodeDecodeError as error:
        before = body[: error.start].decode(encoding, "replace")
        line = 1 + before.count("\n") + before.count("\r") - before.count("\r\n")
        place = f"line {line}, byte {skipped + error.start + 1} of the file"
        message = f"{place}: 0x{body[error.start]:02X} is not valid {encoding.upper()}"
        raise _refused(name, message, encoding_hint(f"{name}.csv"), line) from None
    except UnicodeError:
        raise _refused(name, f"the file is not valid {encoding.upper()}") from None
    if "\0" in text:
        raise _refused(name, "the file holds NUL characters: it is no CSV text")
    return text.removeprefix("\ufeff")


def _first_record(begun: _Head, dialect: ResolvedDialect, name: str) -> Record:
    record = next(islice(dialect.records(begun.text), 1), None)
    if record is None:
        raise _refused(name, "the file is empty: it has nothing but comments")
    longer = f"longer than {HEAD_BYTES // 1024} KiB"
    if record.is_misquoted:
        what = f", or it is {longer}" if record.is_cut and not begun.whole else ""
        message = f"the header cannot be read: a quote is not closed as it should be{what}"
        raise _refused(name, message, line=record.line)
    if record.is_cut and not begun.whole:
        raise _refused(name, f"the header is {longer}")
    if record.cells == ("",) and dialect.header:
        raise _refused(name, f"line {record.line} is blank; the header must be the first line")
    if not _CONTROL.isdisjoint("".join(record.cells)):
        raise _refused(name, "the header holds control characters: this is no CSV text")
    return record


def _called_as_fields(
    columns: Sequence[str], dialect: Dialect | None, names: Sequence[str] | None
) -> tuple[str, ...]:
    """Call columns that are a field but for their case as the field."""
    if dialect is None or dialect.case_sensitive_header or not names:
        return tuple(columns)
    fields = {name.lower(): name for name in names}
    return tuple(fields.get(column.lower(), column) for column in columns)


def _given_names(record: Record, names: Sequence[str] | None, name: str) -> tuple[str, ...]:
    """Name the columns of a file without a header."""
    width = len(record.cells)
    if names is None:
        return tuple(f"column{number}" for number in range(1, width + 1))
    if len(names) == width:
        return tuple(names)
    message = f"the file has no header; its first row has {width:,} cells where the schema has {len(names):,} fields"
    raise _refused(name, message, "List a field for each column of the file, in its order.", record.line)


def _refuse_names(columns: Sequence[str], name: str, line: int) -> None:
    """Refuse too many, empty and repeated names, all of them at once."""
    if len(columns) > MAX_COLUMNS:
        raise _refused(name, f"the header has {len(columns):,} columns; the limit is {MAX_COLUMNS:,}")
    problems = []
    first_seen: dict[str, int] = {}
    for position, column in enumerate(columns, 1):
        if not column.strip():
            message = f"column {position} of the header has no name"
            problems.append(Problem(message, source=name, line=line))
            continue
        earlier = first_seen.setdefault(column.lower(), position)
        if earlier != position:
            message = (
                f"columns {earlier} and {position} of the header are both called `{column}`"
                " (upper and lower case count as the same)"
            )
            problems.append(Problem(message, path=column, source=name, line=line))
    if problems:
        raise FileRefusedError(problems=problems)
