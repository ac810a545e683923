"""Functions of the rows of a group: counts, sums, averages, spreads, first and last.

What belongs here: their SQL and the checks of their results. What does not: windows of their own (windows.py).
Each is built of calls that `over` puts over a window where the aggregate stands in one; a call that is written several times is
computed once.
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.functions.given import is_unknown, written_out, written_text
from reportgen_dagster.rules.functions.means import decimal_mean, decimal_median
from reportgen_dagster.rules.functions.sums import decimal_sum
from reportgen_dagster.rules.functions.table import (
    Aggregate,
    Function,
    Gather,
    Result,
    Rows,
    alias,
    read_arguments,
)
from reportgen_dagster.rules.values import numbers
from reportgen_dagster.rules.values.typed import (
    LARGEST_INTEGER,
    Check,
    UnfitError,
    Value,
    any_value,
    binary,
    call,
    case,
    cast,
    double,
    is_present,
    negated,
    null_value,
    text,
    try_cast,
    whole,
)

MAX_JOINED = 1_000_000
_MOST_ROWS = 2.0**62
_ONLY_ONE_SORT = "a number on some rows and a text on others cannot be gathered; use number(x) or text(x)"


def _simple(build: Gather) -> Gather:
    """Make an aggregate of one value; what is not known or always null stays so.

    Raises:
        UnfitError: If it is a number on some rows and a text on others.
    """

    def made(rows: Rows) -> Value:
        if is_unknown(rows.values):
            return any_value()
        if rows.value.kind == "null":
            return null_value()
        if any(value.kind == "cell" for value in rows.values):
            raise UnfitError(_ONLY_ONE_SORT)
        return build(rows)

    return made


def _without_distinct(name: str, build: Gather) -> Gather:
    def made(rows: Rows) -> Value:
        if rows.distinct:
            raise UnfitError(f"`{name}` has no `distinct`")
        return build(rows)

    return made


def _identity(value: Value) -> Expr:
    """Return what tells the values of a kind apart."""
    if value.kind == "cell" and value.number is not None and value.text is not None:
        return case((is_present(value.text), value.text), default=cast(value.number.sql, "VARCHAR"))
    return value.sql


def count(rows: Rows) -> Value:
    """Count the rows, or the values that are not null."""
    counted = (
        rows.call("count", _identity(rows.value)) if rows.values else rows.over(call("count", exp.Star()))
    )
    return Value("integer", counted, _MOST_ROWS)


def count_distinct(rows: Rows) -> Value:
    """Count the different values that are not null."""
    return count(replace(rows, distinct=True))


def count_if(rows: Rows) -> Value:
    """Count the rows on which a condition is true."""
    return Value("integer", rows.over(call("count", case((rows.value.sql, whole(1))))), _MOST_ROWS)


def only_if(gather: Gather) -> Gather:
    """Make an aggregate of the rows on which the second argument is true."""

    def made(rows: Rows) -> Value:
        value, condition = rows.values
        kept = replace(value, sql=case((condition.sql, value.sql)), raw=None, literal=None)
        return gather(replace(rows, values=[value if value.kind in ("any", "null", "cell") else kept]))

    return made


def _finite(value: Expr) -> Value:
    """Make a number of an aggregate, an error where it is none that is finite."""
    check = Check(negated(call("isfinite", value)), text(numbers.NOT_FINITE))
    return Value("number", value, checks=(check,))


def _sum(rows: Rows) -> Value:
    value = rows.value
    if value.kind == "decimal":
        return decimal_sum(rows)
    if value.kind != "integer":
        return _finite(rows.call("fsum", numbers.as_double(value)))
    added = rows.call("sum", value.sql)
    fits = exp.Between(this=added, low=whole(-LARGEST_INTEGER), high=whole(LARGEST_INTEGER))
    check = Check(negated(fits), text(numbers.TOO_LARGE))
    return Value("integer", try_cast(added, "BIGINT"), float(LARGEST_INTEGER), checks=(check,))


def _average(rows: Rows) -> Value:
    if rows.value.kind == "decimal":
        return decimal_mean(decimal_sum(rows), rows.call("count", rows.value.sql))
    if rows.value.kind == "integer":
        return _finite(rows.call("avg", rows.value.sql))
    return _finite(rows.call("favg", numbers.as_double(rows.value)))


def _median(rows: Rows) -> Value:
    if rows.value.kind == "decimal":
        return decimal_median(rows)
    return _finite(rows.call("median", numbers.as_double(rows.value)))


def spread(name: str) -> Gather:
    """Make DuckDB's aggregate of numbers of this name."""
    return _simple(lambda rows: _finite(rows.call(name, numbers.as_double(rows.value))))


def _quantile(rows: Rows) -> Value:
    part = double(float(written_out(rows.values[1]) or 0))
    return _finite(rows.call("quantile_cont", numbers.as_double(rows.value), part))


def _correlation(rows: Rows) -> Value:
    if any(value.kind == "null" for value in rows.values):
        return null_value()
    found = rows.over(call("corr", *(numbers.as_double(value) for value in rows.values)))
    return Value("number", case((call("isfinite", found), found)), 1.0)


def like(value: Value, sql: Expr) -> Value:
    """Make a value of the same type."""
    kind = "number" if value.kind == "wide" else value.kind
    return Value(kind, sql, value.largest, precision=value.precision, scale=value.scale)


def extreme(name: str) -> Gather:
    """Make `min` or `max` of values of any one type."""
    return _simple(lambda rows: like(rows.value, rows.over(call(name, rows.value.sql))))


def in_order(name: str) -> Gather:
    """Make an aggregate of values of any one type that follows the order of the rows."""
    return _without_distinct(
        name, _simple(lambda rows: like(rows.value, rows.call_in_order(name, rows.value.sql)))
    )


def by_key(*, largest: bool) -> Gather:
    """Make the value of the row whose key is smallest or largest; the first such row counts."""

    def build(rows: Rows) -> Value:
        value, key = rows.values
        keys = [exp.Ordered(this=key.sql, desc=largest, nulls_first=False), *rows.order]
        found = rows.call_in_order("first", value.sql, order=keys)
        keyed = binary(exp.GT, rows.over(call("count", key.sql)), whole(0))
        return like(value, case((keyed, found)))

    return _without_distinct("max_by" if largest else "min_by", _simple(build))


def string_agg(rows: Rows) -> Value:
    """Join texts in the order of the rows; different ones in their own order."""
    separator = text(written_text(rows.values[1]) if len(rows.values) > 1 else ",")
    plain = rows.value.sql
    first = exp.Distinct(expressions=[plain]) if rows.distinct else plain
    joined = rows.call_in_order("string_agg", first, separator, order=[plain] if rows.distinct else None)
    fits = binary(exp.LTE, call("length", joined), whole(MAX_JOINED))
    check = Check(negated(fits), text(f"the joined text would be longer than {MAX_JOINED} characters"))
    return Value("text", case((fits, joined)), checks=(check,))


def _of_conditions(name: str) -> Gather:
    return lambda rows: Value("boolean", rows.over(call(name, cast(rows.value.sql, "BOOLEAN"))))


total = _simple(_sum)
average = _simple(_average)
smallest = extreme("min")
largest = extreme("max")
_Row = tuple[str, str, Result, str, str, str, Gather]
_TABLE: tuple[_Row, ...] = (
    ("count", "value:any?", "integer",
     "How many values are not null; count(*) counts the rows, count(distinct x) different values.",
     "count(x)", "3", count),
    ("count_distinct", "value:any", "integer",
     "How many different values there are, without null; the same as count(distinct x).",
     "count_distinct(x)", "2", count_distinct),
    ("count_if", "condition:boolean", "integer",
     "On how many rows a condition is true.",
     "count_if(x > 1)", "2", count_if),
    ("sum", "number:number", "number",
     "The sum, leaving out nulls; null of nothing. Whole numbers and decimals are exact; past 64 bits or 38 digits it is an"
     " error.",
     "sum(x)", "5", total),
    ("sum_if", "number:number condition:boolean", "number",
     "The sum of the rows on which a condition is true; null of nothing.",
     "sum_if(x, x > 1)", "4", only_if(total)),
    ("avg", "number:number", "number",
     "The average, leaving out nulls; of decimals a decimal with at least 10 digits behind the point.",
     "round(avg(x), 4)", "1.6667", average),
    ("avg_if", "number:number condition:boolean", "number",
     "The average of the rows on which a condition is true; null of nothing.",
     "avg_if(x, x > 1)", "2", only_if(average)),
    ("min", "value:any value:any...", "as its arguments",
     "The smallest value, leaving out nulls. Of several arguments the smallest on each row, as `least`.",
     "min(x)", "1", smallest),
    ("max", "value:any value:any...", "as its arguments",
     "The largest value, leaving out nulls. Of several arguments the largest on each row, as `greatest`.",
     "max(x)", "2", largest),
    ("median", "number:number", "number",
     "The value in the middle, the mean of two where there is none; decimals stay exact.",
     "median(x)", "2", _simple(_median)),
    ("quantile", "number:number share:share", "number",
     "The value that this share of all is below; where it falls between two, in proportion.",
     "quantile(x, 0.25)", "1.5", _simple(_quantile)),
    ("mode", "value:any", "as its arguments",
     "The most frequent value; of several the one that comes first.",
     "mode(x)", "2", in_order("mode")),
    ("stddev", "number:number", "number",
     "The standard deviation of a sample; null below two values.",
     "round(stddev(x), 4)", "0.5774", spread("stddev_samp")),
    ("stddev_pop", "number:number", "number",
     "The standard deviation of a whole population.",
     "round(stddev_pop(x), 4)", "0.4714", spread("stddev_pop")),
    ("variance", "number:number", "number",
     "The variance of a sample; null below two values.",
     "round(variance(x), 4)", "0.3333", spread("var_samp")),
    ("var_pop", "number:number", "number",
     "The variance of a whole population.",
     "round(var_pop(x), 4)", "0.2222", spread("var_pop")),
    ("correlation", "number:number other:number", "number",
     "Pearson's correlation of two numbers; null where one of them never changes.",
     "correlation(x, 2 * x)", "1", _without_distinct("correlation", _simple(_correlation))),
    ("first", "value:any", "as its arguments",
     "The value of the first row, also if it is null.",
     "first(x)", "1", in_order("first")),
    ("last", "value:any", "as its arguments",
     "The value of the last row, also if it is null.",
     "coalesce(last(x), -1)", "-1", in_order("last")),
    ("min_by", "value:any key:any", "as its arguments",
     "The value of the row with the smallest key; of several rows the first.",
     "min_by(name, x)", "a", by_key(largest=False)),
    ("max_by", "value:any key:any", "as its arguments",
     "The value of the row with the largest key; of several rows the first.",
     "max_by(name, x)", "b", by_key(largest=True)),
    ("string_agg", "text:text separator:literal?", "text",
     "The texts joined in the order of the rows, with a comma or the separator between; nulls are left out. With distinct each"
     " once, in the order of the texts. An error past 1000000 characters.",
     "string_agg(name, '-')", "a-b-c-d", string_agg),
    ("any_true", "condition:boolean", "true or false",
     "Whether a condition is true on any row.",
     "any_true(x > 1)", "true", _of_conditions("bool_or")),
    ("all_true", "condition:boolean", "true or false",
     "Whether a condition is true on every row on which it is not null.",
     "all_true(x > 1)", "false", _of_conditions("bool_and")),
)  # fmt: skip
_SEVERAL = {"max": "greatest", "min": "least"}


def _entry(row: _Row) -> Function:
    name, given, result, summary, example, example_result, build = row
    arguments, optional, repeated = read_arguments(given)
    if name in _SEVERAL:
        arguments = arguments[:1]
    return Function(
        name, "aggregates", arguments, result, summary, example, example_result,
        role="aggregate", aggregate=Aggregate(build), optional=optional, repeated=repeated, several=_SEVERAL.get(name, ""),
    )  # fmt: skip


_BY_NAME = {row[0]: _entry(row) for row in _TABLE}
ENTRIES: tuple[Function, ...] = (
    *_BY_NAME.values(),
    alias("mean", _BY_NAME["avg"], "round(mean(x), 4)"),
    alias("stddev_samp", _BY_NAME["stddev"], "round(stddev_samp(x), 4)"),
    alias("stdev", _BY_NAME["stddev"], "round(stdev(x), 4)"),
    alias("var_samp", _BY_NAME["variance"], "round(var_samp(x), 4)"),
    alias("corr", _BY_NAME["correlation"], "corr(x, 2 * x)"),
    alias("bool_or", _BY_NAME["any_true"], "bool_or(x > 1)"),
    alias("bool_and", _BY_NAME["all_true"], "bool_and(x > 1)"),
    alias("listagg", _BY_NAME["string_agg"], "listagg(name, '-')"),
)
