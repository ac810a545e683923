"""What the gate of expressions tells: whole messages with their places, and its bounds at their edges.

What belongs here: each message word for word, offsets, bounds, how columns are read. What does not: what parses and what does not
(test_expressions.py). `make mutants` changes the gate in every small way and counts which changes these tests notice.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from sqlglot import exp

from reportgen_dagster.contracts.types import Type
from reportgen_dagster.rules.expressions.gate import (
    Context,
    ExpressionError,
    Use,
    aggregate_calls,
    arguments_of,
    columns_of,
    function_of,
    literal_of,
    offset_of,
    parse_expression,
    target_type,
    uses_of,
    walk,
)
from reportgen_dagster.rules.expressions.sql_syntax import allow_nesting, is_plain_name

_TYPES = "the types are text, integer, number, decimal(p, s), boolean, date, time, datetime"
_AGGREGATE = "is an aggregate of many rows; it stands in the measures of a step `aggregate`, or in the columns of a step `window`"
_WINDOW = "is a window function; it stands in the columns of a step `window`"
_DIGITS = "a decimal has 1 to 38 digits, and no more of them behind the point"
_BRACKETS = (
    "`[ ]` is not allowed in an expression; a list stands only behind `in`, in round brackets; "
    "a part of a text is substring(text, start, length) or split_part"
)
_LIKE = "the pattern of `like` must be a text, written out; for a part use contains(text, part)"
_ROUND = "`round`: `digits` must be a whole number from -15 to 15, written out"
_UPPER = "unknown function `uper`; did you mean `upper`?"
_LEAST = "unknown parameter `:leas`; did you mean `least`?"
_INNER = "; compute the inner one in a step of its own before"
_PARAMETER = "; parameters are described under `parameters:`"
_DISTINCT = "`distinct` stands only in an aggregate of one value, such as count(distinct x)"


def told(text: str, context: Context = "scalar", parameters: tuple[str, ...] = ()) -> list[tuple[int, str]]:
    """Return what is told of a refused expression, each with its offset."""
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text, context, parameters)
    return [(fault.offset, fault.message) for fault in caught.value.faults]


def not_allowed(name: str, hint: str = "") -> str:
    """Return how a construct is refused."""
    return f"{name} is not allowed in an expression{f'; {hint}' if hint else ''}"


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("x + a & b", 0, not_allowed("`&`", "there are no operators on bits; write `and`")),
        ("x = ~ a", 6, not_allowed("`~`", "there are no operators on bits; write `not`")),
        ("[]", 0, _BRACKETS),
        ("1 + a ** b", 4, not_allowed("`^` or `**`", "use power(a, b)")),
        ("x + s.upper(a)", 4, not_allowed("`.` behind a value", "a column is named by its name alone")),
        ("x || (y, z)", 6, not_allowed("`( )` with commas", "a list stands only behind `in`")),
        ("x || [y]", 5, _BRACKETS),
        ("x = (select y)", 12, not_allowed("a query", "there are no subqueries")),
        ("x + t.a", 4, "a column is named by its name alone"),
        ("upper(t.a)", 6, "a column is named by its name alone"),
        ('x + "upper"(a)', 4, "a function is called by its name alone"),
        ("x or a is true", 5, "only `is null` and `is not null`; write `x` or `not x` for a condition"),
        ("x or a in (select 1)", 5, "there are no subqueries"),
        ("x or a in b", 5, "behind `in` stands a list, such as (1, 2, 3)"),
        ("x or a not in ()", 5, "behind `in` stands a list, such as (1, 2, 3)"),
        ("x or a between symmetric 1 and 2", 5, "`between symmetric` is not allowed"),
        ("x or a like b", 5, _LIKE),
        ("x or a ilike 5", 5, _LIKE),
        ("x or a not like 'y' || b", 5, _LIKE),
        (f"x or a like '{'%' * 201}'", 5, "a pattern has at most 200 characters"),
        ("x or a ilike '" + "%" * 201 + "'", 5, "a pattern has at most 200 characters"),
    ],
)
def test_a_construct_is_refused_at_its_place(text: str, offset: int, message: str) -> None:
    assert told(text) == [(offset, message)]


@pytest.mark.parametrize(
    ("text", "offset", "near"),
    [
        ("a + ) b", 4, ")"),
        ("a )b", 2, ")"),
        ("+ a = ", 4, "="),
        ("(a", 1, "a"),
        ("case a end", 7, "end"),
        ("cast(a)", 6, ")"),
        ("a\n+ ) b", 4, ")"),
        ("a +\n\n   b ) c\n", 10, ")"),
        ("a 'x\ny'", 2, "'x y'"),
        (f"a + b '{'x' * 38}'", 6, f"'{'x' * 38}'"),
        (f"a + b '{'x' * 39}'", 6, f"'{'x' * 39}"),
        (f"a +) {'x' * 41}", 3, ")"),
    ],
)
def test_a_slip_of_syntax_is_told_with_the_word_at_hand(text: str, offset: int, near: str) -> None:
    assert told(text) == [(offset, f"this is no expression, near `{near}`")]


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("a\0b\0", 1, "a NUL character is not allowed"),
        ("a + '\ud800'", 5, "the lone surrogate U+D800 is not allowed"),
        ("a +\x07 b\x07", 3, "the control character U+0007 is not allowed here"),
        ("'\x07' +\x07 b", 5, "the control character U+0007 is not allowed here"),
        ("a 'x", 0, "a quote or comment never closes"),
        ("a /* b */ + c", 0, "comments are not allowed"),
        ("a + b -- c", 4, "comments are not allowed"),
        ("a; b", 1, "several statements are not allowed"),
        ("a::int", 1, "`::` is not allowed; write cast(a as integer)"),
        ("a + $1", 4, "a parameter is written `:name`"),
        ("a + {:1}", 4, "`{` is not allowed"),
        ("a + map {'b': 1}", 8, "`{` is not allowed"),
        ("a + ?", 4, "a parameter is written `:name`"),
        ("a + 1_000", 4, "`1_000` is no number; write 1000"),
        ("a + 1_" + "0" * 39, 4, f"`1_{'0' * 38}` is no number; write 1{'0' * 39}"),
        ("a + 1_" + "0" * 40, 4, f"`1_{'0' * 38}` is no number; write 1{'0' * 39}"),
        ("", 0, "exactly one expression is expected"),
        (" \n", 0, "exactly one expression is expected"),
        ("not " * 2_400 + "a", 0, "nested too deeply"),
        ("x" * 10_001, 0, "longer than 10,000 characters"),
        ("a + 1e309", 4, "the number 1e309 is too large"),
        ("a + 1e", 4, "the number 1e is too large"),
        ("a + " + "9" * 31, 4, f"the number {'9' * 30} is too large"),
        ("a - 9223372036854775808", 4, "the number 9223372036854775808 is too large"),
        ("a - 0." + "0" * 398, 4, f"the number 0.{'0' * 28} is too large"),
    ],
)  # fmt: skip
def test_text_that_cannot_be_read_is_refused_at_its_place(text: str, offset: int, message: str) -> None:
    assert told(text) == [(offset, message)]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("foo", f"there is no type `foo`; {_TYPES}"),
        ("date default 5 on conversion error", f"there is no type `date`; {_TYPES}"),
        ("text format 'x'", f"there is no type `text`; {_TYPES}"),
        ("text collate nocase", f"there is no type `text collate nocase`; {_TYPES}"),
        (f"struct({'x' * 40} int)", f"there is no type `struct({'x' * 33}`; {_TYPES}"),
        ("timestamp with time zone", f"there is no type `timestamptz`; {_TYPES}"),
        ("varchar(10)", f"`text` has no length; {_TYPES}"),
        ("timestamp(3)", f"`datetime` has no length; {_TYPES}"),
        ("integer(4)", f"`integer` has no length; {_TYPES}"),
        ("decimal(x)", f"`decimal` has no length; {_TYPES}"),
        ("decimal(5, x)", f"`decimal` has no length; {_TYPES}"),
        ("decimal(0)", _DIGITS),
        ("decimal(39)", _DIGITS),
        ("decimal(1, 2)", _DIGITS),
        ("decimal(5, 2, 3)", _DIGITS),
        ("decimal(38, 39)", _DIGITS),
    ],
)
def test_a_type_is_refused_at_its_cast(kind: str, message: str) -> None:
    assert told(f"x || cast(a as {kind})") == [(10, message)]


@pytest.mark.parametrize(
    ("kind", "type_"),
    [
        ("string", Type("text")),
        ("varchar", Type("text")),
        ("int", Type("integer")),
        ("bigint", Type("integer")),
        ("number", Type("number")),
        ("double", Type("number")),
        ("float", Type("number")),
        ("boolean", Type("boolean")),
        ("date", Type("date")),
        ("time", Type("time")),
        ("timestamp", Type("datetime")),
        ("datetime", Type("datetime")),
        ("decimal", Type("decimal", 38, 9)),
        ("numeric(5)", Type("decimal", 5, 0)),
        ("decimal(1)", Type("decimal", 1, 0)),
        ("decimal(1, 1)", Type("decimal", 1, 1)),
        ("decimal(18, 4)", Type("decimal", 18, 4)),
        ("decimal(38)", Type("decimal", 38, 0)),
        ("decimal(38, 38)", Type("decimal", 38, 38)),
    ],
)
def test_a_cast_names_its_type(kind: str, type_: Type) -> None:
    cast = parse_expression(f"cast(a as {kind})")
    assert isinstance(cast, exp.Cast)
    assert target_type(cast) == type_


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("a + uper(b)", [(4, _UPPER)]),
        ("a + UPER(b)", [(4, "unknown function `UPER`; did you mean `upper`?")]),
        ("qqqqqq(b)", [(0, "unknown function `qqqqqq`")]),
        ("uper(lenght(a))", [(0, _UPPER), (5, "unknown function `lenght`; did you mean `length`?")]),
        ("a + upper()", [(4, "`upper` takes 1 argument, not 0: upper(text)")]),
        ("a + upper(b, c)", [(4, "`upper` takes 1 argument, not 2: upper(text)")]),
        ("a + round(b, c)", [(13, _ROUND)]),
        ("a + round(b, null)", [(4, _ROUND)]),
        ("a + round(b, 1.5)", [(13, _ROUND)]),
        ("round(b, 16)", [(9, _ROUND)]),
        ("round(b, -16)", [(10, _ROUND)]),
        ("round(b, -c)", [(10, _ROUND)]),
        ("round(b, -'x')", [(10, _ROUND)]),
        ("round(b, '2')", [(9, _ROUND)]),
        ("a + upper(*)", [(4, "`*` stands only in count(*)")]),
        ("a + upper(distinct b)", [(4, _DISTINCT)]),
    ],
)  # fmt: skip
def test_a_call_is_refused_at_its_place(text: str, faults: list[tuple[int, str]]) -> None:
    assert sorted(told(text)) == faults


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        (":x", [(0, f"unknown parameter `:x`{_PARAMETER}")]),
        ("a + : x", [(4, f"unknown parameter `:x`{_PARAMETER}")]),
        (":x + :x", [(0, f"unknown parameter `:x`{_PARAMETER}"), (5, f"unknown parameter `:x`{_PARAMETER}")]),
        (":leas + :least + ':le' + :lesst", [(0, _LEAST), (25, "unknown parameter `:lesst`; did you mean `least`?")]),
        ("a like :x", [(7, f"unknown parameter `:x`{_PARAMETER}")]),
    ],
)  # fmt: skip
def test_an_unknown_parameter_is_told_at_its_place(text: str, faults: list[tuple[int, str]]) -> None:
    assert sorted(told(text, parameters=("least",))) == faults


@pytest.mark.parametrize(
    ("text", "context", "faults"),
    [
        ("1 + sum(a)", "scalar", [(4, f"`sum` {_AGGREGATE}")]),
        ("1 + lag(a)", "scalar", [(4, f"`lag` {_WINDOW}")]),
        ("1 + lag(a)", "aggregate", [(4, f"`lag` {_WINDOW}, not in a measure")]),
        ("1 + sum(1 + max(a))", "aggregate", [(12, f"`max` stands inside `sum`{_INNER}")]),
        ("1 + sum(lag(a))", "window", [(8, f"`lag` stands inside `sum`{_INNER}")]),
        ("abs(sum(abs(min(a)))) + max(b)", "window", [(12, f"`min` stands inside `sum`{_INNER}")]),
        ("1 + sum(*)", "aggregate", [(4, "`*` stands only in count(*)")]),
        ("1 + count(distinct a, b)", "aggregate", [(4, _DISTINCT)]),
        ("1 + sum(distinct)", "aggregate", [(4, _DISTINCT)]),
        ("1 + lag(distinct a)", "window", [(4, _DISTINCT)]),
        ("1 + min_by(distinct a, b)", "window", [(4, _DISTINCT)]),
    ],
)  # fmt: skip
def test_what_is_of_many_rows_is_refused_at_its_place(
    text: str, context: Context, faults: list[tuple[int, str]]
) -> None:
    assert sorted(told(text, context)) == faults


def test_one_row_is_the_context_unless_another_is_asked_for() -> None:
    for text, message in (("sum(a)", f"`sum` {_AGGREGATE}"), ("lag(a)", f"`lag` {_WINDOW}")):
        with pytest.raises(ExpressionError) as caught:
            parse_expression(text)
        assert str(caught.value) == message


@pytest.mark.parametrize("opening", ["text(", "date(", "number(", "time(", "(text + ", "x = date("])
def test_deep_calls_named_like_types_are_read_at_once(opening: str) -> None:
    assert columns_of(parse_expression(opening * 90 + "a" + ")" * 90))[-1] == "a"


@pytest.mark.parametrize(
    ("opening", "closing"), [("decimal(a, ", ")"), ("array[", "]"), ("date * exclude (", ")")]
)
def test_deep_nonsense_named_like_types_is_refused_at_once(opening: str, closing: str) -> None:
    assert told(opening * 90 + "1" + closing * 90)


@pytest.mark.parametrize(
    ("opening", "closing", "deepest", "offset"),
    [
        ("(", ")", 100, 100),
        ("abs(", ")", 100, 403),
        ("case when true then ", " end", 100, 2_000),
        ("text((", "))", 100, 605),
        ("as_read(cell_number(", "))", 100, 2_019),
        ("cell_number(", ")", 200, None),
    ],
)
def test_nesting_ends_at_100_levels(opening: str, closing: str, deepest: int, offset: int | None) -> None:
    parse_expression(opening * deepest + "1" + closing * deepest)
    more = deepest + 1 if offset is not None else deepest + 2
    faults = told(opening * more + "1" + closing * more)
    assert [message for _, message in faults] == ["nested deeper than 100 levels"]
    assert offset is None or faults[0][0] == offset


@pytest.mark.parametrize("part", ["abs(a)", "(a)", "text((a))", "case when a then b end", "cast(a as int)"])
def test_what_stands_side_by_side_is_not_nested(part: str) -> None:
    parse_expression(" + ".join([part] * 250))


@pytest.mark.parametrize("operator", ["+", "*", "||", "and", "="])
def test_a_chain_has_500_operators(operator: str) -> None:
    parse_expression("a" + f" {operator} a" * 500)
    assert told("a" + f" {operator} a" * 501) == [(0, "more than 500 operators in a row")]


def test_a_chain_ends_where_trees_get_900_levels() -> None:
    parse_expression("not " * 898 + "a")
    assert told("not " * 899 + "a") == [(0, "more than 500 operators in a row")]


def test_the_edges_of_texts_and_numbers_are_allowed() -> None:
    for text in (
        f"a like '{'_' * 200}'",
        f"a ilike '{'_' * 200}'",
        "x" * 10_000,
        "0." + "0" * 397,
        "1e308",
        "9223372036854775807",
        "9223372036854775808.0",
        "round(a, -15)",
        "round(a, 15)",
        "round(a, - -2)",
    ):
        parse_expression(text)


@pytest.fixture
def low_limit() -> Iterator[int]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000)
    yield 1_000
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("low_limit")
def test_nesting_needs_no_recursion_limit_of_the_caller() -> None:
    parse_expression("abs(" * 100 + "1" + ")" * 100)


def test_a_higher_recursion_limit_stays() -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(before + 100_000)
    allow_nesting()
    assert sys.getrecursionlimit() == before + 100_000
    sys.setrecursionlimit(before)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ("- -5", 5),
        ("1.5", 1.5),
        ("-1e3", -1000.0),
        ("'5'", "5"),
        ("-'5'", None),
        ("-a", None),
        ("a", None),
        ("null", None),
        ("(5)", None),
    ],
)
def test_only_what_is_written_out_is_a_literal(text: str, value: str | float | None) -> None:
    found = literal_of(parse_expression(text))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "name", "arguments", "distinct"),
    [
        ("count(*)", "count", 0, False),
        ("count(distinct a)", "count", 1, True),
        ("string_agg(distinct a, ',')", "string_agg", 2, True),
        ("max(a)", "max", 1, False),
        ("max(a, b)", "greatest", 2, False),
        ("MIN(a, b, c)", "least", 3, False),
        ("substr(a, 1)", "substring", 2, False),
        ("Upper(a)", "upper", 1, False),
    ],
)
def test_a_call_means_one_function(text: str, name: str, arguments: int, *, distinct: bool) -> None:
    call = parse_expression(text, "aggregate")
    assert isinstance(call, exp.Anonymous)
    assert function_of(call).name == name
    assert (len(arguments_of(call)[0]), arguments_of(call)[1]) == (arguments, distinct)


@pytest.mark.parametrize(
    ("text", "uses"),
    [
        ("a + a", [("a", "type")]),
        ('"a b" || c', [("a b", "type"), ("c", "type")]),
        ("cast(a as text)", [("a", "type")]),
        ("a between b and c", [("a", "type"), ("b", "type"), ("c", "type")]),
        ("case a when b then c when d then e end", [(name, "type") for name in "abcde"]),
        ("case when a then b else c end", [("a", "type"), ("b", "type"), ("c", "type")]),
        ("cell_add(a, cast(b as int))", [("a", "cell"), ("b", "type")]),
        ("cell_add(1, case a when b then c else d end)", [("a", "type"), ("b", "type"), ("c", "cell"), ("d", "cell")]),
        ("cell_add(coalesce(a, (b)), upper(c))", [("a", "cell"), ("b", "cell"), ("c", "type")]),
        ("cell_number(coalesce(a, 1)) + a", [("a", "cell_number"), ("a", "type")]),
        ("coalesce(a, cell_number(b))", [("a", "type"), ("b", "cell_number")]),
    ],
)  # fmt: skip
def test_each_column_is_read_in_one_way_where_it_stands(text: str, uses: list[tuple[str, str]]) -> None:
    tree = parse_expression(text)
    assert [(use.column, use.reading) for use in uses_of(tree)] == uses
    assert columns_of(tree) == tuple(dict.fromkeys(column for column, _ in uses))


def test_a_tree_may_be_read_cell_by_cell_as_a_whole() -> None:
    tree = parse_expression("coalesce(a, b + c)")
    readings = {node.name: reading for node, reading in walk(tree, "cell") if isinstance(node, exp.Column)}
    assert readings == {"a": "cell", "b": "type", "c": "type"}
    assert uses_of(parse_expression("a")) == (Use("a", "type"),)


def test_aggregates_are_found_from_left_to_right_and_not_inside_one_another() -> None:
    tree = parse_expression("case when sum(a) > 1 then abs(max(b, c)) else lag(d) end + count(*)", "window")
    assert [call.name for call in aggregate_calls(tree)] == ["sum", "lag", "count"]
    assert [offset_of(call) for call in aggregate_calls(tree)] == [10, 46, 59]


@pytest.mark.parametrize(
    ("name", "plain"),
    [("a1_", True), ("_a", True), ("", False), ("a.b", False), ("a-b", False), ("case", False), ("null", False), ("über", False)],
)  # fmt: skip
def test_a_plain_name_is_one_word_of_its_own(name: str, *, plain: bool) -> None:
    assert is_plain_name(name) is plain
