"""The gate of expressions: what parses, what is refused, and why."""

from __future__ import annotations

import contextlib
import time

import pytest
from sqlglot import exp

from reportgen_dagster.rules.expressions.gate import (
    ExpressionError,
    aggregate_calls,
    columns_of,
    parse_expression,
    uses_of,
)
from reportgen_dagster.rules.expressions.sql_syntax import is_plain_name
from tests.rules.hostile import escapes

PARSES = [
    "a", '"a b"', "1", "1.5", ".5", "5.", "1e5", "'it''s'", "null", "true", "-a", "+a", "(a)", "a + b - c * d / e // f % g",
    "a || b", "a = 1", "a == 1", "a <> 1", "a != 1", "a < 1 and b <= 2 or not c > 3 and d >= 4", "a is null", "a is not null",
    "a is distinct from b", "a is not distinct from b", "a between 1 and 2", "a not between 1 and 2", "a in (1, 2)",
    "a not in ('x')", "a like 'x%'", "a not like '_x'", "a ilike 'x'", "a like :pattern", "case when a > 1 then b end",
    "case a when 1 then 'x' else 'y' end", "cast(a as text)", "cast(a as string)", "cast(a as varchar)", "cast(a as integer)",
    "cast(a as bigint)", "cast(a as int)", "cast(a as number)", "cast(a as double)", "cast(a as float)", "cast(a as decimal)",
    "cast(a as decimal(18, 4))", "cast(a as numeric(5))", "cast(a as boolean)", "cast(a as date)", "cast(a as time)",
    "cast(a as datetime)", "cast(a as timestamp)", "date '2024-01-31'", "time '10:00'", "timestamp '2024-01-31 10:00'",
    "datetime '2024-01-31'", "date > date '2024-01-31'", "upper(a)", "UPPER(a)", "COALESCE(a, 'x')", ":pattern", "a + :least",
    "year(date)", "max(a, b)", "MIN(a, b, c)", "round(a, 2)", "'a\x01b'", "'a\u202eb'", "'\ufeff'", '"a\tb"', "a\n+\tb",
]  # fmt: skip


@pytest.mark.parametrize("text", PARSES)
def test_an_expression_parses(text: str) -> None:
    assert parse_expression(text, parameters=["pattern", "least"]) is not None


REFUSED = {
    "a; b": "several statements are not allowed",
    "a -- b": "comments are not allowed",
    "a /* b */": "comments are not allowed",
    "'x": "a quote or comment never closes",
    "": "exactly one expression is expected",
    "a +": "this is no expression",
    "a\0b": "a NUL character is not allowed",
    "a\x01b": "the control character U+0001 is not allowed here",
    '"a\x7fb"': "the control character U+007F is not allowed here",
    "a\u202eb": "U+202E (RIGHT-TO-LEFT OVERRIDE) is not allowed here",
    '"a\u2066b"': "U+2066 (LEFT-TO-RIGHT ISOLATE) is not allowed here",
    "\ufeffa": "U+FEFF (ZERO WIDTH NO-BREAK SPACE) is not allowed here",
    "\ud800": "the lone surrogate U+D800 is not allowed",
    '"\ud800"': "the lone surrogate U+D800 is not allowed",
    "'a\udc80'": "the lone surrogate U+DC80 is not allowed",
    "1_000": "`1_000` is no number; write 1000",
    "1_0.5": "`1_0.5` is no number; write 10.5",
    "load 'x'": "this is no expression",
    "reset x": "this is no expression",
    "explain select 1": "this is no expression",
    "call f()": "this is no expression",
    "(select 1)": "there are no subqueries",
    "a in (select 1)": "there are no subqueries",
    "exists(select 1)": "not allowed",
    "select 1": "not allowed",
    "from t": "not allowed",
    "values (1)": "not allowed",
    "a in b": "behind `in` stands a list",
    "a in ()": "behind `in` stands a list",
    "a between symmetric 1 and 2": "`between symmetric` is not allowed",
    "a like b": "the pattern of `like` must be a text, written out",
    "a like 5": "the pattern of `like` must be a text, written out",
    f"a like '{'x' * 201}'": "a pattern has at most 200 characters",
    "a like 'x' escape '!'": "use contains",
    "a similar to 'x'": "use regex_matches",
    "a ~ 'x'": "use regex_matches",
    "a glob 'x'": "use like",
    "a is true": "only `is null` and `is not null`",
    "a ** b": "use power(a, b)",
    "a ^ b": "use power(a, b)",
    "a & b": "not allowed",
    "a | b": "not allowed",
    "~a": "not allowed",
    "a as b": "`as` is not needed: the key before the expression names it",
    "a b": 'a name with blanks stands in double quotes: "a b"',
    "t.a": "a column is named by its name alone",
    "a.b.c.d": "a column is named by its name alone",
    "*": "`*` stands only in count(*)",
    "upper(*)": "`*` stands only in count(*)",
    "t.*": "a column is named by its name alone",
    "columns(*)": "unknown function `columns`",
    "upper(distinct a)": "`distinct` stands only in an aggregate",
    "a[1]": "not allowed",
    "[x for x in a]" * 700: "not allowed",
    "[1, 2]": "a list stands only behind `in`",
    "(1, 2)": "a list stands only behind `in`",
    "{'a': 1}": "not allowed",
    "{{ a }}": "not allowed",
    "a -> b": "not allowed",
    "a->>'b'": "not allowed",
    "x -> x + 1": "not allowed",
    "lambda x: x": "this is no expression",
    "a::int": "write cast(a as integer)",
    "cast(a as int[])": "`[ ]` is not allowed",
    "cast(a as struct(x int))": "there is no type",
    "cast(a as foo)": "there is no type `foo`",
    "cast(a as varchar(10))": "`text` has no length",
    "cast(a as decimal(39, 2))": "a decimal has 1 to 38 digits",
    "cast(a as decimal(4, 5))": "a decimal has 1 to 38 digits",
    "cast(a as decimal(0, 0))": "a decimal has 1 to 38 digits",
    "cast(a as date format 'x')": "not allowed",
    "cast(a as varchar collate nocase)": "there is no type",
    "try_cast(a as int)": "unknown function `try_cast`",
    "try(a)": "unknown function `try`",
    "interval 1 day": "use add_days",
    "a at time zone 'x'": "use to_zone or from_zone",
    "a collate x": "not allowed",
    "'a' 'b'": "texts are joined by `||`",
    "e'a'": "not allowed",
    "n'x'": "not allowed",
    "$$x$$": "not allowed",
    "$1": "a parameter is written `:name`",
    "$p": "a parameter is written `:name`",
    "@a": "a parameter is written `:name`",
    "?": "a parameter is written `:name`",
    ":leest": "unknown parameter `:leest`; did you mean `least`?",
    ":other": "parameters are described under `parameters:`",
    "0x1F": "`x1F` stands behind a value",
    "1e999": "the number 1e999 is too large",
    "9223372036854775808": "the number 9223372036854775808 is too large",
    "uper(a)": "unknown function `uper`; did you mean `upper`?",
    "read_csv('/etc/passwd')": "unknown function",
    "getenv('HOME')": "unknown function",
    "query('select 1')": "unknown function",
    "random()": "unknown function",
    "unnest(a)": "unknown function",
    "s.upper(a)": "not allowed",
    "upper(a, b)": "`upper` takes 1 argument, not 2: upper(text)",
    "upper()": "`upper` takes 1 argument, not 0",
    "round(a, b)": "must be a whole number from -15 to 15, written out",
    "regex_matches(a, '(')": "this is no pattern",
    "upper(a) over ()": "windows are made by the step `window`",
    "set x = 1": "not allowed",
    "copy t to 'x'": "not allowed",
    "attach 'x'": "not allowed",
    "pragma x": "not allowed",
    "f(a := 1)": "not allowed",
    "1" + " + 1" * 1_000: "more than 500 operators in a row",
    "1" + " + 1" * 2_400: "more than 500 operators in a row",
    "x" * 10_001: "longer than 10,000 characters",
    "(" * 101 + "1" + ")" * 101: "nested deeper than 100 levels",
    "abs(" * 101 + "1" + ")" * 101: "nested deeper than 100 levels",
    "text(" * 600 + "1" + ")" * 600: "nested deeper than 100 levels",
    "case when true then " * 101 + "1" + " end" * 101: "nested deeper than 100 levels",
}


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_anything_else_is_refused_and_told_why(text: str) -> None:
    begun = time.monotonic()
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text, parameters=["least"])
    assert any(REFUSED[text] in fault.message for fault in caught.value.faults), caught.value.faults
    assert all("\n" not in fault.message for fault in caught.value.faults)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "name", ["from", "select", "where", "group", "order", "case", "end", "and", "not", "Like", "null", "true", "date", "union"]
)  # fmt: skip
def test_a_parameter_may_be_called_by_any_word(name: str) -> None:
    for text in (
        f":{name}",
        f"a + :{name} * 2",
        f"case when a > :{name} then :{name} end",
        f":{name} is not null",
    ):
        tree = parse_expression(text, parameters=[name])
        assert {str(node.this) for node in tree.find_all(exp.Placeholder)} == {name}


def test_refusals_write_nothing_to_the_terminal(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for text in (*REFUSED, *escapes()):
        with contextlib.suppress(ExpressionError):
            parse_expression(text)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records  # what nobody handles goes to stderr


def test_the_bounds_themselves_are_allowed() -> None:
    parse_expression("(" * 100 + "1" + ")" * 100)
    parse_expression("1" + " + 1" * 500)
    parse_expression("'" + "x" * 9_998 + "'")
    parse_expression("9223372036854775807")
    parse_expression(f"a like '{'x' * 200}'")


def test_every_fault_is_told_with_its_place() -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression("uper(a) + lenght(b, c) + :x")
    assert [fault.offset for fault in caught.value.faults] == [25, 0, 10]


@pytest.mark.parametrize(
    ("text", "context", "message"),
    [
        ("sum(a)", "scalar", "`sum` is an aggregate of many rows; it stands in the measures of a step `aggregate`"),
        ("max(a)", "scalar", "`max` is an aggregate"),
        ("count(*) > 1", "scalar", "`count` is an aggregate"),
        ("row_number()", "scalar", "`row_number` is a window function; it stands in the columns of a step `window`"),
        ("row_number()", "aggregate", "not in a measure"),
        ("sum(count(*))", "aggregate", "`count` stands inside `sum`"),
        ("sum(max(a))", "aggregate", "`max` stands inside `sum`"),
        ("lag(row_number())", "window", "`row_number` stands inside `lag`"),
        ("count(distinct a, b)", "aggregate", "`distinct` stands only in an aggregate of one value"),
        ("min_by(distinct a, b)", "aggregate", "`distinct` stands only in an aggregate of one value"),
        ("string_agg(a, distinct b)", "aggregate", "not"),
        ("sum(*)", "aggregate", "`*` stands only in count(*)"),
        ("sum(a) filter (where b)", "aggregate", "use count_if"),
        ("string_agg(a, ',' order by b)", "aggregate", "follow the order of the rows"),
        ("sum(a) over ()", "window", "windows are made by the step `window`"),
    ],
)  # fmt: skip
def test_aggregates_and_windows_stand_where_they_mean_something(
    text: str, context: str, message: str
) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text, context)  # type: ignore[arg-type]  # one of the three
    assert any(message in fault.message for fault in caught.value.faults), caught.value.faults


@pytest.mark.parametrize(
    ("text", "context", "calls"),
    [
        ("round(sum(a) / count(*), 2)", "aggregate", ["sum", "count"]),
        ("count(distinct a) + max(max(a, b))", "aggregate", ["count", "max"]),
        ("sum(case when a > 1 then b end)", "aggregate", ["sum"]),
        ("string_agg(distinct a, '|')", "aggregate", ["string_agg"]),
        ("count(distinct a)", "aggregate", ["count"]),
        ("max(a, b)", "aggregate", []),
        ("row_number() + sum(a)", "window", ["row_number", "sum"]),
    ],
)
def test_the_calls_over_many_rows_are_found(text: str, context: str, calls: list[str]) -> None:
    tree = parse_expression(text, context)  # type: ignore[arg-type]  # one of the three
    assert [call.this for call in aggregate_calls(tree)] == calls


def test_uses_tell_how_a_column_is_read() -> None:
    tree = parse_expression("cell_add(a, case when b > 1 then cell_number(c) else d end) || e || a")
    assert [(use.column, use.reading) for use in uses_of(tree)] == [
        ("a", "cell"),
        ("b", "type"),
        ("c", "cell_number"),
        ("d", "cell"),
        ("e", "type"),
        ("a", "type"),
    ]
    assert columns_of(tree) == ("a", "b", "c", "d", "e")


@pytest.mark.parametrize(
    ("name", "plain"), [("amount", True), ("a b", False), ("select", False), ("1a", False), ("é", False)]
)
def test_names_that_need_no_quotes(name: str, *, plain: bool) -> None:
    assert is_plain_name(name) is plain
