"""Functions that formulas of the short form are translated to: what Python's operators mean there, cell by cell.

What belongs here: these. What does not: their SQL (operators.py, numbers.py, floors.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from reportgen_dagster.rules.functions.conditionals import nullif
from reportgen_dagster.rules.functions.given import numeric, written_integer
from reportgen_dagster.rules.functions.moments import as_written
from reportgen_dagster.rules.functions.table import Build, Function, scalar
from reportgen_dagster.rules.values import floors, numbers, operators
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import Value, cast


def as_cell_number(layers: Layers, values: Sequence[Value]) -> Value:
    """Mark a cell as a number: a text is an error as soon as something is computed with it."""
    value = values[0]
    if value.kind in ("text", "cell"):
        part = numbers.bound(layers, value.number) if value.number is not None else None
        return Value(
            "cell",
            exp.Null(),
            number=part or Value("number", cast(exp.Null(), "DOUBLE"), 0.0),
            text=layers.bind(value.sql) if value.kind == "text" else value.text,
            required=True,
            checks=value.checks,
        )
    return value


def as_read(layers: Layers, values: Sequence[Value]) -> Value:
    """Return the text that a cell was read as."""
    return as_written(layers, values[0])


def less(operator: type[exp.Binary]) -> Build:
    """Compare by size."""
    return lambda layers, values: operators.order(layers, values[0], values[1], operator)


def round_half_even(layers: Layers, values: Sequence[Value]) -> Value:
    """Round half to even."""
    digits = written_integer(values[1]) if len(values) > 1 else None
    return numeric(lambda _, number: numbers.round_half_even(layers, number, digits))(layers, values[:1])


ENTRIES: tuple[Function, ...] = scalar(
    "short form",
    (
        ("as_read", "cell:text", "text",
         "The cell's text as it was read from the file.",
         "as_read(1.50)", "1.5", as_read),
        ("cell_number", "cell:cell", "number",
         "The cell as the number it reads as; computing with another text is an error on that row.",
         "cell_number(2) * 3", "6", as_cell_number),
        ("cell_add", "value:cell value:cell...", "as its arguments",
         "Numbers added, texts joined, from left to right; a formula's operator `+`.",
         "cell_add('a', 'b', 'c')", "abc", operators.add_cells),
        ("cell_max", "value:cell value:cell...", "as its arguments",
         "The largest value; null if one is null.",
         "cell_max('a', 'b')", "b", lambda layers, values: operators.extreme(layers, values, exp.GTE)),
        ("cell_min", "value:cell value:cell...", "as its arguments",
         "The smallest value; null if one is null.",
         "cell_min('a', 'b')", "a", lambda layers, values: operators.extreme(layers, values, exp.LTE)),
        ("cell_nullif", "value:cell other:cell", "as its arguments",
         "The value, but null where it equals the other.",
         "coalesce(cell_nullif('n/a', 'n/a'), 'none')", "none", nullif),
        ("cell_equal", "value:cell other:cell", "true or false",
         "Whether they are equal; a text and a number are not. A formula's operator `==`.",
         "cell_equal('7', 7)", "false", lambda layers, values: operators.equal(layers, *values)),
        ("cell_less", "value:cell other:cell", "true or false",
         "Whether the first is smaller; a formula's operator `<`.",
         "cell_less(9, 10)", "true", less(exp.LT)),
        ("cell_less_or_equal", "value:cell other:cell", "true or false",
         "Whether the first is not larger; a formula's operator `<=`.",
         "cell_less_or_equal(10, 10)", "true", less(exp.LTE)),
        ("cell_in", "value:cell item:cell...", "true or false",
         "Whether it equals one of the others; a formula's operator `in`.",
         "cell_in('b', 'a', 'b')", "true",
         lambda layers, values: operators.is_in(layers, values[0], values[1:])),
        ("floor_divide", "number:number by:number", "number",
         "The quotient rounded down; a formula's operator `//`.",
         "floor_divide(-7, 2)", "-4", numeric(floors.floor_divide)),
        ("floor_modulo", "number:number by:number", "number",
         "The rest of it, with the sign of the right side; a formula's operator `%`.",
         "floor_modulo(-7, 2)", "1", numeric(floors.floor_modulo)),
        ("round_half_even", "number:number digits:digits?", "number",
         "The number rounded half to even.",
         "round_half_even(0.125, 2)", "0.12", round_half_even),
    ),
)  # fmt: skip
