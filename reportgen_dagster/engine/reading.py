"""How DuckDB reads a CSV text: every column as text, nothing guessed, rows that cannot be read left out.

What belongs here: the SQL of reading. What does not: which rows were left out (`rejects.py` finds them and proves
that none is missing), and what cells mean (`rules/`). DuckDB's own tables of rejects are not used: it keeps several
kilobytes for each missing cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
from sqlglot import exp

from reportgen_dagster.engine.records import MAX_RECORD_BYTES
from reportgen_dagster.engine.text_files import TextFile

SURVEY = "input:survey"  # a colon: no reference is called so
_LINE_BYTES = MAX_RECORD_BYTES + 1  # whether DuckDB reads a line of just its limit depends on its place


def create_views(connection: duckdb.DuckDBPyConnection, file: TextFile) -> None:
    """Make the rows of a file that can be read two views: one that is called as the file, and `SURVEY`.

    DuckDB hands out Arrow batches in no order where several threads read a file. The first view is read by one thread and keeps
    the file's order; the second is for aggregates over all rows.
    """
    _create(connection, "VIEW", file.name, _read_csv(file, file.path, parallel=False))
    _create(connection, "VIEW", SURVEY, _read_csv(file, file.path, parallel=True))


def create_piece_view(cursor: duckdb.DuckDBPyConnection, file: TextFile, path: Path) -> None:
    """Let a cursor see under the file's name only the rows of a piece of it, which has no header."""
    _create(cursor, "TEMP VIEW", file.name, _read_csv(file, path, parallel=False, header=False))


def create_table(connection: duckdb.DuckDBPyConnection, file: TextFile) -> int:
    """Load the rows of a file that can be read into a table that is called as the file, and return how many there are."""
    _create(connection, "TABLE", file.name, _read_csv(file, file.path, parallel=True))
    return row_count(connection, file.name)


def row_count(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    """Count the rows of a table or view."""
    query = exp.select("count(*)").from_(table(name))
    return int(connection.execute(query.sql("duckdb")).fetchall()[0][0])


def _create(connection: duckdb.DuckDBPyConnection, kind: str, name: str, source: exp.Expression) -> None:
    properties = exp.Properties(expressions=[exp.TemporaryProperty()]) if kind.startswith("TEMP") else None
    statement = exp.Create(
        this=table(name),
        kind=kind.removeprefix("TEMP "),
        expression=exp.select("*").from_(source),
        properties=properties,
    )
    connection.execute(statement.sql("duckdb"))


def table(name: str) -> exp.Table:
    """Name a table, quoted."""
    return exp.Table(this=exp.to_identifier(name, quoted=True))


def first_row(connection: duckdb.DuckDBPyConnection) -> Callable[[str], Sequence[Any]]:
    """Return what runs a query and gives its first row."""
    return lambda sql: connection.execute(sql).fetchall()[0]


def _read_csv(file: TextFile, path: Path, *, parallel: bool, header: bool = True) -> exp.Expression:
    dialect = file.header.dialect
    columns = exp.Struct(
        expressions=[
            exp.PropertyEQ(this=exp.Literal.string(column), expression=exp.Literal.string("VARCHAR"))
            for column in file.header.columns
        ]
    )
    options: dict[str, exp.Expression] = {
        "auto_detect": exp.false(),
        "header": exp.true() if header and dialect.header else exp.false(),
        "delim": exp.Literal.string(dialect.delimiter),
        "quote": exp.Literal.string(dialect.quote),
        "escape": exp.Literal.string(dialect.escape),
        "columns": columns,
        "strict_mode": exp.true(),
        "ignore_errors": exp.true(),
        "max_line_size": exp.Literal.number(_LINE_BYTES),
        "buffer_size": exp.Literal.number(_LINE_BYTES),
        "compression": exp.Literal.string("none"),
        "hive_partitioning": exp.false(),
        "parallel": exp.true() if parallel else exp.false(),
    }
    if file.path != file.text:  # DuckDB takes the first line end that it sees for all, even one inside a cell
        options["new_line"] = exp.Literal.string("\\n")
    missing = [text for text in dict.fromkeys(file.missing) if text]
    if missing:
        options["nullstr"] = exp.Array(expressions=[exp.Literal.string(text) for text in ("", *missing)])
    arguments: list[exp.Expression] = [exp.Literal.string(str(path))]
    arguments += [exp.EQ(this=exp.to_identifier(name), expression=value) for name, value in options.items()]
    return exp.Anonymous(this="read_csv", expressions=arguments)
