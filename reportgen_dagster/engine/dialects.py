"""How the text of a file is cut into cells: what its rules say, and what is found in the file where they say nothing.

What belongs here: the marks of a dialect, finding the delimiter, cutting the first records of a text. Pure Python on purpose: the
gateway calls it while an upload comes in. What does not: bytes and encodings (`encodings.py`), all rows (`records.py`).

A quote counts where a cell begins (spaces before it allowed); elsewhere it is a character like any other. `records.py` and
DuckDB have it the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from reportgen_dagster.engine.encodings import line_ends
from reportgen_dagster.errors import FileRefusedError, Problem

if TYPE_CHECKING:
    from reportgen_dagster.contracts.models import Dialect

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_RECORDS = 100
_WORDS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}


@dataclass(frozen=True)
class ResolvedDialect:
    """How a file is written; nothing is left open.

    Attributes:
        delimiter: Stands between cells; one ASCII character.
        quote: Stands around cells that need it; empty if cells are never quoted.
        escape: Makes a quote inside a quoted cell count as a character; the quote itself where it is
            doubled, empty if nothing does.
        skip_initial_space: Spaces at the beginning of a cell, before its quote if it has one, do not count.
        header: The first record names the columns.
        comment: Lines that begin with it are no records; empty if there are none.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str = '"'
    skip_initial_space: bool = False
    header: bool = True
    comment: str = ""

    @property
    def double_quote(self) -> bool:
        """Whether two quotes inside a quoted cell are one."""
        return bool(self.quote) and self.escape == self.quote

    @property
    def space(self) -> str:
        """What may stand between a delimiter and a quote: a space, unless it is a mark itself."""
        return "" if " " in (self.delimiter, self.quote, self.escape, self.comment) else " "

    def quoted_pattern(self) -> str:
        """Return a regular expression of a quoted cell; its groups are `body` and, if there is a last quote, `close`."""
        quote, escape = re.escape(self.quote), re.escape(self.escape)
        if self.double_quote:
            body = rf"[^{quote}]*+(?:{quote}{quote}[^{quote}]*+)*+"
        elif self.escape:
            body = rf"(?:[^{quote}{escape}]++|{escape}[\s\S])*+"
        else:
            body = rf"[^{quote}]*+"
        return rf"{quote}(?P<body>{body})(?P<close>{quote})?"

    @cached_property
    def _cell(self) -> re.Pattern[str]:
        end = rf"(?P<end>{re.escape(self.delimiter)}|\r\n|\r|\n|\Z)"
        plain = rf"(?P<plain>[^{re.escape(self.delimiter)}\r\n]*+){end}"
        if not self.quote:
            return re.compile(plain)
        spaces = f"{self.space}*+" if self.space else ""
        quoted = rf"{spaces}{self.quoted_pattern()}{spaces}(?=(?:{re.escape(self.delimiter)}|[\r\n]|\Z))"
        return re.compile(rf"(?:{quoted}(?P<after>{end.replace('<end>', '<quoted_end>')})|{plain})")

    def records(self, text: str) -> Iterator[Record]:
        """Cut a text into records, comments left out."""
        position, line = 0, 1
        while position < len(text):
            record = self._record(text, position, line)
            if not record.is_comment:
                yield record
            line += line_ends(text[position : record.end])
            position = record.end

    def _record(self, text: str, position: int, line: int) -> Record:
        if self.comment and text.startswith(self.comment, position):
            found = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)").match(text, position)
            end = found.end() if found else len(text)
            return Record((), line, end, is_comment=True)
        cells: list[str] = []
        is_misquoted = False
        while True:
            cell, mark, position, is_wrong = self._cell_at(text, position)
            cells.append(cell)
            is_misquoted = is_misquoted or is_wrong
            if mark != self.delimiter:
                # A last CR may be half of a CRLF.
                is_cut = not mark or (mark == "\r" and position == len(text))
                return Record(tuple(cells), line, position, is_misquoted=is_misquoted, is_cut=is_cut)

    def _cell_at(self, text: str, position: int) -> tuple[str, str, int, bool]:
        """Return a cell, what ends it, where the next begins, and whether its quotes are wrong."""
        found = self._cell.match(text, position)
        if found is None:  # a quote opens and never closes
            return text[position:], "", len(text), True
        parts = found.groupdict()
        if parts.get("after") is not None:
            is_open = parts["close"] is None
            return self._unescaped(parts["body"]), parts["quoted_end"], found.end(), is_open
        plain = parts["plain"]
        is_wrong = bool(self.quote) and plain.lstrip(self.space or None).startswith(self.quote)
        return plain.lstrip(" ") if self.skip_initial_space else plain, parts["end"], found.end(), is_wrong

    def _unescaped(self, body: str) -> str:
        if self.double_quote:
            return body.replace(self.quote * 2, self.quote)
        return re.sub(rf"{re.escape(self.escape)}([\s\S])", r"\1", body) if self.escape else body


@dataclass(frozen=True, slots=True)
class Record:
    """A record at the beginning of a file.

    Attributes:
        cells: Its cells, without quotes.
        line: Its first line, from 1.
        end: Where the next one begins.
        is_comment: It is none.
        is_misquoted: A quote in it does not close as it should.
        is_cut: It ends where the text ends, so there may be more of it.
    """

    cells: tuple[str, ...]
    line: int
    end: int
    is_comment: bool = False
    is_misquoted: bool = False
    is_cut: bool = False


STANDARD = ResolvedDialect()


def resolve(
    dialect: Dialect | None, text: str, *, whole: bool, name: str
) -> tuple[ResolvedDialect, tuple[str, ...]]:
    """Settle how a file is written, and say in words what was found rather than told.

    Args:
        dialect: What the rules say.
        text: The beginning of the file.
        whole: Whether that is all of it.
        name: What the file is called in messages.

    Raises:
        FileRefusedError: If two marks are the same, or more than one delimiter fits.
    """
    told = _told(dialect, name)
    if dialect is not None and dialect.delimiter:
        return told, ()
    delimiter = _found_delimiter(told, text, whole=whole, name=name)
    found = replace(told, delimiter=delimiter)
    _refuse_same_marks(found, name)
    if delimiter == ",":
        return found, ()
    return found, (f"cells are separated by {_WORDS[delimiter]}, as the header shows",)


def _told(dialect: Dialect | None, name: str) -> ResolvedDialect:
    if dialect is None:
        return STANDARD
    quote = '"' if dialect.quote_char is None else dialect.quote_char
    escape = dialect.escape_char or (quote if dialect.double_quote else "")
    told = ResolvedDialect(
        delimiter=dialect.delimiter or "",
        quote=quote,
        escape=escape if quote else "",
        skip_initial_space=dialect.skip_initial_space,
        header=dialect.header,
        comment=dialect.comment_char or "",
    )
    _refuse_same_marks(told, name)
    return told


def _refuse_same_marks(dialect: ResolvedDialect, name: str) -> None:
    marks = [dialect.delimiter, dialect.quote, dialect.comment]
    if not dialect.double_quote:
        marks.append(dialect.escape)
    marks = [mark for mark in marks if mark]
    if len(set(marks)) < len(marks):
        message = "delimiter, quote, escape and comment character of the dialect must differ"
        raise FileRefusedError(problems=[Problem(message, source=name)])


def _found_delimiter(told: ResolvedDialect, text: str, *, whole: bool, name: str) -> str:
    """Return the delimiter that the header and the first rows are written with; a comma where there is one column."""
    free = [mark for mark in DELIMITERS if mark not in (told.quote, told.escape, told.comment)]
    counts: dict[str, int] = {}
    regular: list[str] = []
    for mark in free:
        records = _sample(replace(told, delimiter=mark), text, whole=whole)
        if records and len(records[0].cells) > 1 and not records[0].is_misquoted:
            counts[mark] = len(records[0].cells)
            if all(len(record.cells) == counts[mark] for record in records if any(record.cells)):
                regular.append(mark)
    if not counts:
        return ","
    pool = regular or list(counts)
    widest = max(counts[mark] for mark in pool)
    best = [mark for mark in pool if counts[mark] == widest]
    if len(pool) == 1 or best == [","]:
        return best[0]
    if not regular and "," in counts:
        return ","
    raise _ambiguous(pool, name)


def _sample(dialect: ResolvedDialect, text: str, *, whole: bool) -> list[Record]:
    records = list(islice(dialect.records(text), SAMPLE_RECORDS))
    if len(records) > 1 and records[-1].is_cut and not whole:
        records.pop()
    return records


def _ambiguous(marks: list[str], name: str) -> FileRefusedError:
    words = " or ".join(_WORDS[mark] for mark in marks)
    message = f"cells may be separated by {words}; the first rows fit each of them"
    hint = 'Say which in the rules: dialect: {delimiter: ";"}'
    return FileRefusedError(problems=[Problem(message, source=name)], hint=hint)
