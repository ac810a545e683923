"""Functions of a row among the rows of its partition: numbers, ranks, neighbours, running and moving aggregates.

What belongs here: SQL with its OVER. What does not: aggregates (aggregates.py), which windows.py only puts into frames.
The order that they get always ends with the order of the rows, so that no two rows are equal in it, but for ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.functions.aggregates import (
    average,
    count,
    largest,
    like,
    smallest,
    total,
)
from reportgen_dagster.rules.functions.given import is_unknown, written_integer
from reportgen_dagster.rules.functions.table import (
    Function,
    Gather,
    Over,
    Result,
    Rows,
    WindowBuild,
    read_arguments,
)
from reportgen_dagster.rules.values import numbers
from reportgen_dagster.rules.values.typed import (
    UnfitError,
    Value,
    any_value,
    binary,
    call,
    case,
    cast,
    common_type,
    double,
    null_value,
    sql_type,
    try_cast,
    type_of,
    value_of_type,
    whole,
)

_UNBOUNDED = "UNBOUNDED"


def frame(before: str | Expr = _UNBOUNDED, after: str | Expr = "CURRENT ROW") -> exp.WindowSpec:
    """Write a frame of rows, from so many before to so many after."""
    return exp.WindowSpec(
        kind="ROWS",
        start=before,
        start_side="" if before == "CURRENT ROW" else "PRECEDING",
        end=after,
        end_side="" if after == "CURRENT ROW" else "FOLLOWING",
    )


def window(
    called: Expr, partition: Sequence[Expr], order: Sequence[Expr] = (), spec: exp.WindowSpec | None = None
) -> Expr:
    """Put a call over a window."""
    keys = [
        key if isinstance(key, exp.Ordered) else exp.Ordered(this=key, nulls_first=False) for key in order
    ]
    return exp.Window(
        this=called,
        partition_by=[part.copy() for part in partition],
        order=exp.Order(expressions=[key.copy() for key in keys]) if keys else None,
        spec=spec.copy() if spec is not None else None,
    )


def window_of_aggregate(
    function: Function,
    values: Sequence[Value],
    distinct: bool,  # noqa: FBT001 - it stands beside the word that it was read from
    partition: Sequence[Expr],
    order: Sequence[Expr] = (),
) -> Value:
    """Return an aggregate over its whole partition.

    Args:
        function: The aggregate.
        values: Its arguments; none for count(*).
        distinct: Equal values count once.
        partition: What its rows have in common; nothing: all rows.
        order: The order of the rows, for aggregates that follow it.

    Raises:
        UnfitError: If the values are of a type that it is not made for.
    """
    if function.aggregate is None:
        raise UnfitError(f"`{function.name}` is no aggregate")
    return function.aggregate(values, order, distinct, lambda called: window(called, partition))


def _numbered(name: str) -> WindowBuild:
    """Make a number of a row in the full order."""
    return lambda _, partition, order: Value("integer", window(call(name), partition, order), 2.0**62)


def _ranked(name: str) -> WindowBuild:
    """Make a rank, equal for rows that are equal in the order that the user gave."""
    return lambda _, partition, order: Value("integer", window(call(name), partition, order), 2.0**62)


def _share_of_rank(name: str) -> WindowBuild:
    return lambda _, partition, order: Value("number", window(call(name), partition, order), 1.0)


def ntile(values: Sequence[Value], partition: Sequence[Expr], order: Sequence[Expr]) -> Value:
    """Deal the rows into so many parts."""
    parts = whole(written_integer(values[0], 1))
    return Value("integer", window(call("ntile", parts), partition, order), 1e6)


def neighbour(name: str) -> WindowBuild:
    """Make the value some rows before or after."""

    def build(values: Sequence[Value], partition: Sequence[Expr], order: Sequence[Expr]) -> Value:
        value, offset = values[0], whole(written_integer(values[1], 1) if len(values) > 1 else 1)
        if is_unknown(values):
            return any_value()
        if len(values) < 3 or values[2].kind == "null":
            return (
                null_value()
                if value.kind == "null"
                else _gathered(value, call(name, _plain(value), offset), partition, order)
            )
        wanted = common_type([type_of(value), type_of(values[2])])
        numeric = {"integer", "number", "decimal"}
        if value.kind not in ("null", wanted.name) and not {value.kind, wanted.name} <= numeric:
            raise UnfitError(
                f"the value and what stands for a missing one have no type in common in `{name}`"
            )
        sides = [_widened(side, sql_type(wanted)) for side in (value, values[2])]
        return value_of_type(wanted, window(call(name, sides[0], offset, sides[1]), partition, order))

    return build


def _widened(value: Value, to: exp.DataType) -> Expr:
    return try_cast(_plain(value), to)


def _plain(value: Value) -> Expr:
    if value.kind == "cell":
        raise UnfitError("a number on some rows and a text on others; use number(x) or text(x)")
    return value.sql


def _gathered(
    value: Value,
    called: Expr,
    partition: Sequence[Expr],
    order: Sequence[Expr],
    spec: exp.WindowSpec | None = None,
) -> Value:
    return like(value, window(called, partition, order, spec))


def _value_in(spec: exp.WindowSpec, name: str, *, filled: bool = False) -> WindowBuild:
    """Make a value of another row of a frame: the first, the last, or the one of a number."""

    def build(values: Sequence[Value], partition: Sequence[Expr], order: Sequence[Expr]) -> Value:
        value = values[0]
        if value.kind in ("any", "null"):
            return any_value() if value.kind == "any" else null_value()
        if filled:
            node = exp.FirstValue if name == "first_value" else exp.LastValue
            return _gathered(value, exp.IgnoreNulls(this=node(this=_plain(value))), partition, order, spec)
        rest = [whole(written_integer(values[1], 1))] if len(values) > 1 else []
        return _gathered(value, call(name, _plain(value), *rest), partition, order, spec)

    return build


def running(gather: Gather) -> WindowBuild:
    """Make an aggregate of the rows from the first one to this one."""
    return lambda values, partition, order: gather(Rows(values, (), over=_over(partition, order, frame())))


def moving(gather: Gather) -> WindowBuild:
    """Make an aggregate of this row and those before it, so many in all."""

    def build(values: Sequence[Value], partition: Sequence[Expr], order: Sequence[Expr]) -> Value:
        before = whole(written_integer(values[1], 1) - 1)
        return gather(Rows(values[:1], (), over=_over(partition, order, frame(before))))

    return build


def _over(partition: Sequence[Expr], order: Sequence[Expr], spec: exp.WindowSpec) -> Over:
    return lambda called: window(called, partition, order, spec)


def share(values: Sequence[Value], partition: Sequence[Expr], _: Sequence[Expr]) -> Value:
    """Divide a number by the sum of its partition."""
    value = values[0]
    if value.kind in ("any", "null"):
        return Value("number", cast(exp.Null(), "DOUBLE"), 0.0)
    if value.kind == "cell":
        raise UnfitError("a number on some rows and a text on others has no sum; use number(x)")
    number = replace(value, kind="number", sql=numbers.as_double(value))
    added = total(Rows([number], over=lambda called: window(called, partition)))
    made = binary(exp.Div, number.sql, call("nullif", added.sql, double(0.0)))
    return Value("number", case((call("isfinite", made), made)), checks=added.checks)


_WHOLE = frame(after=_UNBOUNDED)
_SO_FAR = frame()
_FROM_HERE = frame("CURRENT ROW", _UNBOUNDED)
_WITH_PEERS = frozenset({"rank", "dense_rank", "percent_rank", "cume_dist"})
_Row = tuple[str, str, Result, str, str, str, WindowBuild]
_TABLE: tuple[_Row, ...] = (
    ("row_number", "", "integer",
     "The number of the row in its partition, from 1.",
     "row_number()", "1 | 2 | 3 | 4", _numbered("row_number")),
    ("rank", "", "integer",
     "The rank of the row, from 1; equal rows have one rank, and as many ranks are left out behind them.",
     "rank()", "1 | 2 | 2 | 4", _ranked("rank")),
    ("dense_rank", "", "integer",
     "The rank of the row, from 1; equal rows have one rank, and none is left out.",
     "dense_rank()", "1 | 2 | 2 | 3", _ranked("dense_rank")),
    ("percent_rank", "", "number",
     "The rank as a share from 0 to 1: (rank - 1) / (rows - 1).",
     "round(percent_rank(), 2)", "0 | 0.33 | 0.33 | 1", _share_of_rank("percent_rank")),
    ("cume_dist", "", "number",
     "The share of rows up to this one and those equal to it.",
     "cume_dist()", "0.25 | 0.75 | 0.75 | 1", _share_of_rank("cume_dist")),
    ("ntile", "parts:positive", "integer",
     "The part, from 1, when the rows are dealt in order into so many parts of the same size.",
     "ntile(2)", "1 | 1 | 2 | 2", ntile),
    ("lag", "value:same rows:positive? instead:same?", "as its arguments",
     "The value of the row before, or so many rows before; null or `instead` where there is none.",
     "lag(x, 1, 0)", "0 | 1 | 2 | 2", neighbour("lag")),
    ("lead", "value:same rows:positive? instead:same?", "as its arguments",
     "The value of the row behind, or so many rows behind; null or `instead` where there is none.",
     "lead(name, 1, '-')", "b | c | d | -", neighbour("lead")),
    ("first_value", "value:any", "as its arguments",
     "The value of the partition's first row, also if it is null.",
     "first_value(name)", "a | a | a | a", _value_in(_WHOLE, "first_value")),
    ("last_value", "value:any", "as its arguments",
     "The value of the partition's last row, also if it is null.",
     "last_value(name)", "d | d | d | d", _value_in(_WHOLE, "last_value")),
    ("nth_value", "value:any number:positive", "as its arguments",
     "The value of the partition's row of this number, from 1; null where there is none.",
     "nth_value(name, 2)", "b | b | b | b", _value_in(_WHOLE, "nth_value")),
    ("fill_down", "value:any", "as its arguments",
     "The value; where it is null the last one before that is not.",
     "fill_down(x)", "1 | 2 | 2 | 2", _value_in(_SO_FAR, "last_value", filled=True)),
    ("fill_up", "value:any", "as its arguments",
     "The value; where it is null the next one behind that is not.",
     "coalesce(fill_up(x), -1)", "1 | 2 | 2 | -1", _value_in(_FROM_HERE, "first_value", filled=True)),
    ("running_sum", "number:number", "number",
     "The sum from the first row to this one.",
     "running_sum(x)", "1 | 3 | 5 | 5", running(total)),
    ("running_count", "value:any?", "integer",
     "How many values up to this row are not null; without an argument how many rows.",
     "running_count(x)", "1 | 2 | 3 | 3", running(count)),
    ("running_avg", "number:number", "number",
     "The average from the first row to this one.",
     "round(running_avg(x), 2)", "1 | 1.5 | 1.67 | 1.67", running(average)),
    ("running_min", "value:any", "as its arguments",
     "The smallest value from the first row to this one.",
     "running_min(x)", "1 | 1 | 1 | 1", running(smallest)),
    ("running_max", "value:any", "as its arguments",
     "The largest value from the first row to this one.",
     "running_max(x)", "1 | 2 | 2 | 2", running(largest)),
    ("moving_sum", "number:number rows:positive", "number",
     "The sum of this row and those before it, so many in all.",
     "moving_sum(x, 2)", "1 | 3 | 4 | 2", moving(total)),
    ("moving_avg", "number:number rows:positive", "number",
     "The average of this row and those before it, so many in all, leaving out nulls.",
     "moving_avg(x, 2)", "1 | 1.5 | 2 | 2", moving(average)),
    ("moving_min", "value:any rows:positive", "as its arguments",
     "The smallest value of this row and those before it, so many in all.",
     "moving_min(x, 2)", "1 | 1 | 2 | 2", moving(smallest)),
    ("moving_max", "value:any rows:positive", "as its arguments",
     "The largest value of this row and those before it, so many in all.",
     "moving_max(x, 2)", "1 | 2 | 2 | 2", moving(largest)),
    ("share", "number:number", "number",
     "The number as a share of the partition's sum; null where that is 0.",
     "coalesce(share(x), -1)", "0.2 | 0.4 | 0.4 | -1", share),
)  # fmt: skip


def _entry(row: _Row) -> Function:
    name, given, result, summary, example, example_result, build = row
    arguments, optional, repeated = read_arguments(given)
    return Function(
        name, "windows", arguments, result, summary, example, example_result,
        role="window", window=build, has_peers=name in _WITH_PEERS, optional=optional,
        repeated=repeated,
    )  # fmt: skip


ENTRIES: tuple[Function, ...] = tuple(_entry(row) for row in _TABLE)
