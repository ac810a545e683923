"""The profile of one stored file: its rows, what each column holds, and the first rows, for people who look at a version.

What belongs here: choosing what is told of a file, and reading it off all rows. What does not: how types are found
(`rules/compiling/kinds.py`), what becomes a contract (inference.py), which file is looked at and why (`services/profiling.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.casts import Notation
from reportgen_dagster.contracts.models import Dialect
from reportgen_dagster.contracts.types import TypeName
from reportgen_dagster.engine import reading
from reportgen_dagster.engine.connection import engine_errors, open_connection
from reportgen_dagster.engine.limits import Deadline, Limits
from reportgen_dagster.engine.notations import Way
from reportgen_dagster.engine.outcome import PREVIEW_ROWS, markdown
from reportgen_dagster.engine.rejects import write_rejects
from reportgen_dagster.engine.rows import all_read, rows_of
from reportgen_dagster.engine.sandbox import FolderWatch
from reportgen_dagster.engine.text_files import TextFile, mask_misquoted, open_text
from reportgen_dagster.rules.compiling.kinds import find_kinds
from reportgen_dagster.rules.values.typed import DIALECT, call, cast, column

REJECTS_FILE = "unreadable_rows.csv"
EXACT_ROWS = 100_000  # up to so many rows distinct values are counted, beyond that estimated
SHOWN_COLUMNS = 50  # of the first rows
SHOWN_CHARACTERS = 200  # of a cell, a least or a greatest value
_TEXTS: tuple[TypeName, ...] = ("text", "null")
_FIGURES = 4


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What the rows of a file show of one column.

    Attributes:
        name: The column.
        type: What every cell is: `integer`, `number`, `boolean`, `date`, `datetime`, else `text`; `null` without any cell.
        nulls: Rows without a cell.
        distinct: How many values there are.
        least: The smallest value; of texts the first by their characters, cut where it is long. None if there is no cell.
        greatest: The largest.
    """

    name: str
    type: str
    nulls: int
    distinct: int
    least: str | None
    greatest: str | None


@dataclass(frozen=True, slots=True)
class Profile:
    """What a file holds.

    Attributes:
        rows: Rows that can be read, the header not counted.
        unreadable_rows: Rows that would be rejects.
        distinct_is_estimated: The numbers of distinct values are estimates, a few percent off.
        columns: The columns, in the file's order.
        preview: The first rows as a Markdown table.
        first_rows: The same rows, cells as texts; null is None. Of at most SHOWN_COLUMNS columns, long cells cut.
        decisions: How the file was read, in words.
    """

    rows: int
    unreadable_rows: int
    distinct_is_estimated: bool
    columns: tuple[ColumnProfile, ...]
    preview: str
    first_rows: tuple[tuple[str | None, ...], ...]
    decisions: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return all of it as data for JSON."""
        return asdict(self)


def profile_file(file: Path, *, work: Path, limits: Limits, columns: Sequence[str] = ()) -> Profile:
    """Look at every row of a file; those that cannot be read are written as REJECTS_FILE into the folder `work`.

    Args:
        file: The CSV file, as it was uploaded.
        work: A folder for copies and the rejects.
        limits: What may be used.
        columns: What the columns are called where the file is known; tells a file without a header, whose first line is a row.

    Raises:
        FileRefusedError: If its header cannot be used.
        UnreadableFileError: If it cannot be read as a whole.
        AccountingError: If it is not every row that was read or written to the rejects.
        LimitError: If memory, time or room on the disk runs out.
    """
    deadline = Deadline(limits.seconds)
    connections: list[duckdb.DuckDBPyConnection] = []

    def interrupt() -> None:
        for connection in connections:
            connection.interrupt()

    with (
        engine_errors(limits, deadline),
        closing(FolderWatch(work, limits=limits, deadline=deadline, interrupt=interrupt)),
    ):
        source = _opened(file, work, deadline, tuple(columns))
        profile = _profile(source, work, limits, connections)
        if all_read(source, profile.rows) or all(rows.readable.all() for rows in rows_of(source, deadline)):
            return profile
        masked = mask_misquoted(source, work=work, deadline=deadline)
        profile = _profile(masked, work, limits, connections)
        accounts = write_rejects(
            work / REJECTS_FILE, masked, (), rules=(), readable_count=profile.rows, deadline=deadline
        )
        return replace(profile, unreadable_rows=accounts.reject_count)


def _opened(file: Path, work: Path, deadline: Deadline, columns: tuple[str, ...]) -> TextFile:
    source = open_text(file, name="file", work=work, deadline=deadline)
    found = source.header.columns
    if not columns or found == columns or len(found) != len(columns):
        return source
    bare = Dialect.model_validate({"header": False})
    return open_text(file, name="file", work=work, deadline=deadline, dialect=bare, names=columns)


def _profile(
    source: TextFile,
    work: Path,
    limits: Limits,
    connections: list[duckdb.DuckDBPyConnection],
) -> Profile:
    is_estimated = source.most_rows > EXACT_ROWS
    with _opened_among(connections, source, work, limits) as connection:
        reading.create_views(connection, source)
        rows, columns = _columns(connection, source.header.columns, is_estimated=is_estimated)
        first_rows = _first_rows(connection, source)
        return Profile(
            rows=rows,
            unreadable_rows=0,
            distinct_is_estimated=is_estimated,
            columns=columns,
            preview=markdown(source.header.columns[:SHOWN_COLUMNS], first_rows),
            first_rows=first_rows,
            decisions=source.decisions,
        )


@contextmanager
def _opened_among(
    connections: list[duckdb.DuckDBPyConnection], source: TextFile, work: Path, limits: Limits
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a connection that can be interrupted while it is open."""
    with closing(open_connection([source.path], work=work, limits=limits)) as connection:
        connections.append(connection)
        try:
            yield connection
        finally:
            connections.remove(connection)


def _columns(
    connection: duckdb.DuckDBPyConnection, names: Sequence[str], *, is_estimated: bool
) -> tuple[int, tuple[ColumnProfile, ...]]:
    """Return how many rows there are, and what each column shows over all of them."""
    query = reading.first_row(connection)
    kinds = find_kinds(query, reading.SURVEY, dict.fromkeys(names, frozenset(("type",))))
    figures: list[Expr] = [call("count", exp.Star())]
    for name in names:
        figures += _figures(column(name), kinds[name].type, is_estimated=is_estimated)
    row = iter(query(exp.select(*figures).from_(reading.table(reading.SURVEY)).sql(DIALECT)))
    rows = int(next(row))
    found = []
    for name in names:
        cells, distinct, least, greatest = [next(row) for _ in range(_FIGURES)]
        found.append(ColumnProfile(name, kinds[name].type, rows - int(cells), int(distinct), least, greatest))
    return rows, tuple(found)


def _figures(raw: Expr, type_: TypeName, *, is_estimated: bool) -> list[Expr]:
    """Return cells, distinct values, least and greatest."""
    value = raw if type_ in _TEXTS else Way(type_, Notation(), "").value(raw)
    distinct = (
        call("approx_count_distinct", raw)
        if is_estimated
        else exp.Count(this=exp.Distinct(expressions=[raw.copy()]))
    )
    return [
        call("count", raw),
        distinct,
        _shown(call("min", value)),
        _shown(call("max", value.copy())),
    ]


def _shown(value: Expr) -> Expr:
    return call("left", cast(value, "VARCHAR"), exp.Literal.number(SHOWN_CHARACTERS))


def _first_rows(
    connection: duckdb.DuckDBPyConnection, source: TextFile
) -> tuple[tuple[str | None, ...], ...]:
    names = source.header.columns[:SHOWN_COLUMNS]
    cells = [call("left", column(name), exp.Literal.number(SHOWN_CHARACTERS)) for name in names]
    query = exp.select(*cells).from_(reading.table(source.name)).limit(PREVIEW_ROWS)
    return tuple(connection.execute(query.sql(DIALECT)).fetchall())
