"""Runs rules on small tables in a real DuckDB, the way the engine does."""

from __future__ import annotations

import io
from collections.abc import Sequence
from csv import reader
from dataclasses import dataclass

import duckdb

from reportgen_dagster.rules.compile import CompiledQuery, TableShape, compile_ruleset
from reportgen_dagster.rules.expressions import allow_nesting
from reportgen_dagster.rules.kinds import columns_needing_kinds, kinds_sql, read_kinds
from reportgen_dagster.rules.loading import Ruleset, load_ruleset

Cell = str | None
_CONNECTION = duckdb.connect(config={"threads": 1})
allow_nesting()  # here, so that no test seems to change the interpreter


@dataclass(frozen=True)
class Result:
    """The report's rows as text, and the error of each row."""

    rows: list[tuple[Cell, ...]]
    errors: list[Cell]
    query: CompiledQuery

    def column(self, name: str) -> list[Cell]:
        """Return one column; a row with an error shows its reason behind `!`."""
        position = [column.name for column in self.query.columns].index(name)
        return [
            row[position] if error is None else "!" + error.split("\x1f")[1]
            for row, error in zip(self.rows, self.errors, strict=True)
        ]


def rules(*formulas: str, **named: str) -> Ruleset:
    """Load formulas as outputs `out0`, `out1`, ... and named ones."""
    outputs = {f"out{number}": formula for number, formula in enumerate(formulas)} | named
    lines = [f"- output: {name}\n  formula: {_quoted(formula)}" for name, formula in outputs.items()]
    return load_ruleset("\n".join(lines))


def _quoted(formula: str) -> str:
    return "'" + formula.replace("'", "''") + "'"


def _table(
    connection: duckdb.DuckDBPyConnection,
    ruleset: Ruleset,
    name: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
) -> TableShape:
    typed = ", ".join(f'"{column}" VARCHAR' for column in columns)
    connection.execute(f'CREATE OR REPLACE TABLE "{name}" ({typed})')
    if rows:
        marks = ", ".join("?" for _ in columns)
        insert = f'INSERT INTO "{name}" VALUES ({marks})'  # noqa: S608 - the names are the tests' own
        connection.executemany(insert, [list(row) for row in rows])
    needed = columns_needing_kinds(ruleset, columns)
    kinds = {}
    if needed:
        kinds = read_kinds(needed, connection.execute(kinds_sql(name, needed)).fetchall()[0])
    return TableShape(name, tuple(columns), kinds)


def run(
    ruleset: Ruleset,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    reference: tuple[Sequence[str], Sequence[Sequence[Cell]]] | None = None,
) -> Result:
    """Run rules on an input and perhaps a reference."""
    connection = _CONNECTION
    shape = _table(connection, ruleset, "input", columns, rows)
    references = {}
    if reference:
        references["reference"] = _table(connection, ruleset, "reference", *reference)
    query = compile_ruleset(ruleset, input=shape, references=references)
    found = connection.execute(query.text_sql).fetchall()
    described = connection.execute(f"DESCRIBE {query.sql}").fetchall()
    types = {"VARCHAR": "text", "BIGINT": "integer", "DOUBLE": "number", "BOOLEAN": "boolean"}
    assert [(line[0], types[line[1]]) for line in described] == [
        (column.name, column.type) for column in query.columns
    ]
    assert len(found) == len(rows)
    return Result([row[:-1] for row in found], [row[-1] for row in found], query)


def parse_csv(text: str) -> tuple[list[str], list[list[Cell]]]:
    """Read a small CSV text; empty cells are null."""
    head, *lines = reader(io.StringIO(text))
    return head, [[cell or None for cell in line] for line in lines]


def value(formula: str, **cells: Cell) -> Cell:
    """Return what one formula makes of one row, or its error behind `!`."""
    names = list(cells) or ["unused"]
    return run(rules(formula), names, [[cells.get(name) for name in names]]).column("out0")[0]
