"""Evaluates one expression on one row of typed cells in a real DuckDB."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import duckdb
from sqlglot import exp

from reportgen_dagster.contracts.types import Type
from reportgen_dagster.rules.expressions.evaluation import Environment, Evaluator, literal_value
from reportgen_dagster.rules.expressions.gate import allow_nesting, parse_expression
from reportgen_dagster.rules.values import operators
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import (
    DIALECT,
    Value,
    any_value,
    case,
    column,
    sql_type,
    try_cast,
    type_of,
    value_of_type,
)

Cell = object
_CONNECTION = duckdb.connect(config={"threads": 1})
RUN_DATE = dt.date(2024, 3, 15)
allow_nesting()  # here, so that no test seems to change the interpreter


@dataclass(frozen=True)
class Read:
    """A cell of a column without a contract: its text, and the type that was inferred for the column."""

    text: str | None
    type: str


@dataclass(frozen=True)
class Null:
    """An empty cell of a column of this type."""

    type: Type


class Unknown:
    """A cell of a column whose type is not known before data."""


@dataclass(frozen=True)
class Answer:
    """What an expression is worth."""

    written: str | None
    type: str
    problems: tuple[str, ...]


class _Row:
    """Columns over a table `input` with one row."""

    def __init__(self, layers: Layers, cells: dict[str, Cell]) -> None:
        self.layers = layers
        self.cells = cells

    def names(self) -> Sequence[str]:
        return [*self.cells]

    def cell(self, name: str) -> Value | None:
        return self.column(name)

    def column(self, name: str) -> Value | None:
        if name not in self.cells:
            return None
        cell = self.cells[name]
        if isinstance(cell, Unknown):
            return any_value()
        sql = self.layers.base(column(name, "i"), name)
        if isinstance(cell, Read):
            inferred = Type(cell.type)  # type: ignore[arg-type]  # the tests name real types
            typed = self.layers.base(try_cast(column(name, "i"), sql_type(inferred)), f"{name}_value")
            return value_of_type(inferred, typed, sql)
        return value_of_type(cell_type(cell), sql)


def cell_type(cell: Cell) -> Type:
    """Return the type of a cell by its Python value; a decimal has 18 digits, 4 of them behind the point, or as it is."""
    if isinstance(cell, Null):
        return cell.type
    if isinstance(cell, Decimal):
        _, digits, exponent = cell.as_tuple()
        scale = max(-int(exponent), 0)
        return Type("decimal", max(18, len(digits), scale), scale)
    names = {bool: "boolean", int: "integer", float: "number", str: "text", Read: "text"}
    names |= {dt.date: "date", dt.datetime: "datetime", dt.time: "time", Unknown: "text"}
    return Type(names[type(cell)])  # type: ignore[arg-type]  # names of types


def evaluate(expression: str, /, parameters: dict[str, object] | None = None, **cells: Cell) -> Answer:
    """Evaluate an expression; the row's error is shown behind `!`."""
    given = {name: literal_value(value) for name, value in (parameters or {}).items()}
    tree = parse_expression(expression, parameters=given)
    problems: list[str] = []
    layers = Layers()
    evaluator = Evaluator(
        layers, _Row(layers, cells), Environment(given, RUN_DATE), lambda message, _: problems.append(message)
    )
    value = evaluator.evaluate(tree)
    if problems:
        return Answer(None, str(type_of(value)), tuple(problems))
    error = case(*((check.condition, check.reason) for check in value.checks)) if value.checks else exp.Null()
    typed = exp.Cast(this=value.sql, to=sql_type(type_of(value)))
    outputs = [("written", operators.written(layers, value)), ("error", error)]
    if value.kind not in ("cell", "any", "null"):
        outputs.append(("typed", typed))
    _fill(cells)
    base = exp.select().from_(exp.alias_(exp.Table(this=exp.to_identifier("input")), "i", table=True))
    sql = layers.select(outputs, base).sql(DIALECT)
    row = _CONNECTION.execute(sql).fetchall()[0]
    return Answer(f"!{row[1]}" if row[1] else row[0], str(type_of(value)), ())


def _fill(cells: dict[str, Cell]) -> None:
    columns = ", ".join(f'"{name}" {sql_type(cell_type(cell)).sql(DIALECT)}' for name, cell in cells.items())
    _CONNECTION.execute(f"CREATE OR REPLACE TABLE input ({columns or 'unused INTEGER'})")
    given = [_stored(cell) for cell in cells.values()] or [1]
    marks = ", ".join("?" for _ in given)
    _CONNECTION.execute(f"INSERT INTO input VALUES ({marks})", given)  # noqa: S608 - marks only


def _stored(cell: Cell) -> object:
    if isinstance(cell, Read):
        return cell.text
    return None if isinstance(cell, (Null, Unknown)) else cell


def written(expression: str, /, parameters: dict[str, object] | None = None, **cells: Cell) -> str | None:
    """Return what is written for an expression, or the row's error behind `!`."""
    answer = evaluate(expression, parameters, **cells)
    assert not answer.problems, answer.problems
    return answer.written


def problems(
    expression: str, /, parameters: dict[str, object] | None = None, **cells: Cell
) -> tuple[str, ...]:
    """Return what is wrong with an expression by its types."""
    return evaluate(expression, parameters, **cells).problems
