"""The rows that made it into no report: which line each is on, what is wrong with it, and the line as it was.

What belongs here: proving that DuckDB read exactly the rows that can be read, and the rejects file. All of it is one pass over
the file that holds a few megabytes at a time, however many rejects there are, and that is left out where counting lines shows
that there are none. What does not: which rows can be read (rows.py), on which rows a rule is broken (the compiled rules).
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from reportgen_dagster.engine.limits import Deadline
from reportgen_dagster.engine.records import Positions
from reportgen_dagster.engine.rows import (
    MisquotedRowsError,
    Rows,
    all_read,
    refuse_other_count,
    rows_of,
)
from reportgen_dagster.engine.sieve import SAMPLES, Part, parts_of
from reportgen_dagster.engine.text_files import TextFile, unreadable
from reportgen_dagster.errors import AccountingError
from reportgen_dagster.rules.compiling.plan import BROKEN, ERROR, FATAL, Rule

REJECT_COLUMNS = ("_line", "_column", "_rule", "_value", "_reason", "_original")
MAX_VALUE_SHOWN = 200
REASON_JOINT = "; "
_REJECTING = BROKEN + ERROR + FATAL


def refuse_unreadable_rows(file: TextFile, readable_count: int, deadline: Deadline) -> None:
    """Demand that every row of a file can be read, as is due for references: they lose no row in silence.

    Raises:
        UnreadableFileError: If one cannot; names the first and says how many there are.
        AccountingError: If the file does not have `readable_count` rows.
    """
    if all_read(file, readable_count):
        return
    first, count, total = "", 0, 0
    line = None
    for rows in rows_of(file, deadline):
        places = np.flatnonzero(~rows.readable)
        if len(places) and not first:
            line = int(rows.lines[places[0]])
            first = f"line {line}: {_shape_reason(rows, places[0], len(file.header.columns))[3]}"
        count += len(places)
        total += len(rows.starts)
    if count:
        more = f" ({count:,} such rows)" if count > 1 else ""
        raise unreadable(file.name, first + more, line, "Every row of a reference must be readable.")
    if total != readable_count:
        raise AccountingError(f"{file.name} has {total:,} rows where {readable_count:,} were read")


@dataclass(frozen=True, slots=True)
class Accounts:
    """What the rejects file and the input add up to.

    Attributes:
        input_count: Rows of the input, readable or not.
        reject_count: Rows of the rejects file.
        samples: The first rejects, a mapping of the rejects file's columns each.
        cells: The cells of the rows that were asked for, by their numbers among the rows that can be read.
        lines: On which physical line of the file these rows begin; only if there are rejects.
    """

    input_count: int
    reject_count: int
    samples: list[dict[str, str]]
    cells: dict[int, list[str]]
    lines: dict[int, int] = field(default_factory=dict)


def write_rejects(
    path: Path,
    file: TextFile,
    told: Iterable[pa.RecordBatch],
    *,
    rules: Sequence[Rule],
    readable_count: int,
    deadline: Deadline,
    wanted: Iterable[int] = (),
) -> Accounts:
    """Write the rejects file and account for every row of the input.

    A column of the input that is called like one of `REJECT_COLUMNS` gets `_` behind its name until no other is called so.

    Args:
        path: Where to write; nothing is written if there are no rejects after all (blank lines, cells with line ends).
        file: The input.
        told: From `Spool.in_order`: the number of a row among those that DuckDB read, from 0, and its state.
        rules: What the states point to.
        readable_count: How many rows DuckDB read.
        deadline: When to give up.
        wanted: Numbers of rows whose cells are asked for.

    Raises:
        MisquotedRowsError: If there are misquoted rows and DuckDB read a file in which they are not masked.
        UnreadableFileError: If a quote swallows the rows after it.
        AccountingError: If DuckDB did not read exactly the rows that can be read, or a reject has no place among them.
    """
    names = _names(file.header.columns)
    samples: list[dict[str, str]] = []
    search = _Search(file, told, rules, wanted)
    found = search.found(deadline)
    first = next(found, None)
    if first is not None:
        with path.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerows((names, first))
            samples.append(dict(zip(names, first, strict=True)))
            for row in found:
                writer.writerow(row)
                if len(samples) < SAMPLES:
                    samples.append(dict(zip(names, row, strict=True)))
            handle.flush()
            os.fsync(handle.fileno())
    search.settle(readable_count)
    return Accounts(search.row_count, search.reject_count, samples, search.cells, search.lines)


def cells_of(file: TextFile, wanted: Iterable[int], deadline: Deadline) -> dict[int, list[str]]:
    """Return the cells of a few rows by their numbers among the rows that can be read, from 0."""
    return {number: _cells(file, rows.text(place)) for number, rows, place in _met(file, wanted, deadline)}


def lines_of(file: TextFile, wanted: Iterable[int], deadline: Deadline) -> dict[int, int]:
    """Return the physical lines on which a few rows begin by their numbers among the rows that can be read, from 0."""
    return {number: int(rows.lines[place]) for number, rows, place in _met(file, wanted, deadline)}


def _met(file: TextFile, wanted: Iterable[int], deadline: Deadline) -> Iterator[tuple[int, Rows, int]]:
    """Yield each row that is wanted with its number, the rows that it is among and its place among them."""
    missing, count = sorted(set(wanted), reverse=True), 0
    for rows in rows_of(file, deadline) if missing else ():
        places = np.flatnonzero(rows.readable)
        while missing and missing[-1] < count + len(places):
            number = missing.pop()
            yield number, rows, int(places[number - count])
        count += len(places)
        if not missing:
            return


def _names(columns: Sequence[str]) -> list[str]:
    """Name the columns of the rejects file; as in every header, upper and lower case count as the same."""
    taken = {name.lower() for name in (*REJECT_COLUMNS, *columns)}
    names = list(REJECT_COLUMNS)
    for column in columns:
        name = column
        if name.lower() in REJECT_COLUMNS:
            while name.lower() in taken:
                name += "_"
            taken.add(name.lower())
        names.append(name)
    return names


class _Search:
    """One pass over the input that meets the rejects in the order in which they come."""

    def __init__(
        self, file: TextFile, told: Iterable[pa.RecordBatch], rules: Sequence[Rule], wanted: Iterable[int]
    ) -> None:
        self._file = file
        self._told = _Ahead(told)
        self._rules = rules
        self._wanted = sorted(set(wanted), reverse=True)
        self._columns = file.header.columns
        self._readable_count = 0
        self._quoted = False
        self.row_count = 0
        self.reject_count = 0
        self.cells: dict[int, list[str]] = {}
        self.lines: dict[int, int] = {}

    def found(self, deadline: Deadline) -> Iterator[list[str]]:
        """Yield the rows of the rejects file."""
        for rows in rows_of(self._file, deadline):
            if rows.misquoted.any() and not self._file.is_masked:
                raise MisquotedRowsError
            self._quoted = self._quoted or rows.has_quotes
            readable_places = np.flatnonzero(rows.readable)
            end = self._readable_count + len(readable_places)
            states = {
                int(readable_places[ordinal - self._readable_count]): state
                for ordinal, state in self._told.below(end)
            }
            self._keep_wanted(rows, readable_places)
            places = sorted({*states, *np.flatnonzero(~rows.readable).tolist()})
            for place in places:
                yield self._row(rows, place, states.get(place))
            self._readable_count = end
            self.reject_count += len(places)
            self.row_count += len(rows.starts)

    def _keep_wanted(self, rows: Rows, readable_places: Positions) -> None:
        while self._wanted and self._wanted[-1] < self._readable_count + len(readable_places):
            number = self._wanted.pop()
            place = int(readable_places[number - self._readable_count])
            self.cells[number] = _cells(self._file, rows.text(place))
            self.lines[number] = int(rows.lines[place])

    def settle(self, readable_count: int) -> None:
        """Compare with what DuckDB read.

        Raises:
            UnreadableFileError: If they differ and there are quotes: a quote that opens after spaces and never closes, and worse.
            AccountingError: If they differ otherwise.
        """
        refuse_other_count(self._file, self._readable_count, readable_count, is_quoted=self._quoted)
        if not self._told.exhausted:
            raise AccountingError(f"there are more rejects than the {readable_count:,} rows that were read")

    def _row(self, rows: Rows, place: int, state: str | None) -> list[str]:
        original = rows.text(place)
        cells = _cells(self._file, original)
        if state is None:
            told = list(_shape_reason(rows, place, len(self._columns)))
        else:
            reasons = [self._reason(part, cells) for part in parts_of(state) if part.letter in _REJECTING]
            told = [REASON_JOINT.join(texts) for texts in zip(*reasons, strict=True)]
        return [str(rows.lines[place]), *told, original, *cells]

    def _reason(self, part: Part, cells: Sequence[str]) -> tuple[str, str, str, str]:
        """Return column, rule, value and reason."""
        rule = self._rules[part.rule]
        if part.letter != BROKEN:
            return rule.column, rule.text, part.values, part.reason
        return rule.column, rule.text, judged_cell(rule, self._columns, cells)[:MAX_VALUE_SHOWN], rule.reason


def _shape_reason(rows: Rows, place: int, width: int) -> tuple[str, str, str, str]:
    """Say why a row could not be read, as column, rule, value and reason."""
    if rows.misquoted[place]:
        return "", "quotes around whole cells", "", "text after a closing quote"
    count = int(rows.cell_counts[place])
    reason = "too few cells" if count < width else "too many cells"
    return "", f"{width} cells", f"{count} cells", reason


def _cells(file: TextFile, original: str) -> list[str]:
    """Take a row apart as far as it goes, to as many cells as the file has columns."""
    width, dialect = len(file.header.columns), file.header.dialect
    if dialect.skip_initial_space or (dialect.quote and dialect.quote in original):
        record = next(dialect.records(original), None)
        cells = list(record.cells) if record else []
    else:
        cells = original.split(dialect.delimiter)
    return (cells + [""] * width)[:width]


def judged_cell(rule: Rule, columns: Sequence[str], cells: Sequence[str]) -> str:
    """Return what a rule of the input's contract judges in a row: a cell, or those of a key of several columns."""
    places = {name.lower(): place for place, name in enumerate(columns)}
    names = [rule.column] if rule.column.lower() in places else rule.column.split(", ")
    return ", ".join(cells[places[name.lower()]] for name in names if name.lower() in places)


class _Ahead:
    """The states of rejected rows, taken in the rows' order."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches = iter(batches)
        self._ordinals: Positions = np.empty(0, np.int64)
        self._states: list[Any] = []
        self._next = 0
        self.exhausted = False
        self._advance()

    def below(self, ordinal: int) -> Iterator[tuple[int, str]]:
        """Take number and state of the rows before a row."""
        while not self.exhausted:
            end = int(np.searchsorted(self._ordinals, ordinal))
            yield from zip(
                self._ordinals[self._next : end].tolist(), self._states[self._next : end], strict=True
            )
            self._next = end
            if end < len(self._ordinals):
                return
            self._advance()

    def _advance(self) -> None:
        batch = next(self._batches, None)
        if batch is None:
            self.exhausted = True
            return
        self._ordinals = batch.column("ordinal").to_numpy()
        self._states = batch.column("state").to_pylist()
        self._next = 0
