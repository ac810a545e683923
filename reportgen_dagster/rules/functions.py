"""The table of functions: names, arguments, results, one line and one worked example each.

The reference page, `reportgen functions`, the gate and the tests of every example are made from it. What does not belong
here: SQL (scalar.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

from reportgen_dagster.rules import numbers, operators, scalar
from reportgen_dagster.rules.patterns import (
    date_format_problem,
    group_count,
    pattern_problem,
    replacement_problem,
)
from reportgen_dagster.rules.scalar import Build

Sort = Literal["text", "number", "cell", "same", "boolean", "count", "digits", "pattern", "literal", "format"]
Result = Literal["text", "number", "true or false", "as its arguments"]
MAX_DIGITS = 15
_LITERAL_TEXTS = ("pattern", "literal", "format")


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a function.

    Attributes:
        name: As the reference shows it.
        sort: `cell` and `same` take anything; `count` is a whole number; `digits`, `pattern`, `literal` and `format` must be
            written out.
    """

    name: str
    sort: Sort

    def problem(self, literal: str | int | float | None) -> str:
        """Return what is wrong with an argument that must be written out, or nothing."""
        if self.sort == "digits":
            if isinstance(literal, int) and abs(literal) <= MAX_DIGITS:
                return ""
            return f"`{self.name}` must be a whole number from -{MAX_DIGITS} to {MAX_DIGITS}, written out"
        if self.sort not in _LITERAL_TEXTS:
            return ""
        if not isinstance(literal, str):
            return f"`{self.name}` must be a text, written out"
        if self.sort == "pattern":
            return pattern_problem(literal)
        return date_format_problem(literal) if self.sort == "format" else ""


@dataclass(frozen=True, slots=True)
class Function:
    """A function that formulas and expressions may call.

    Attributes:
        name: How it is called.
        arguments: Its arguments in order.
        result: What it gives.
        summary: One line for the reference.
        example: A formula that calls it.
        example_result: What a report shows for the example.
        build: Makes the value of it; None if it only stands for another.
        optional: How many of the last arguments may be left out.
        repeated: The last argument may be there any number of times.
        translates_to: The function of the long form that this name stands for in a formula.
    """

    name: str
    arguments: tuple[Argument, ...]
    result: Result
    summary: str
    example: str
    example_result: str
    build: Build | None = None
    optional: int = 0
    repeated: bool = False
    translates_to: str = ""

    @property
    def signature(self) -> str:
        """Return how it is called, as `round(number[, digits])`."""
        must = len(self.arguments) - self.optional
        names = [argument.name for argument in self.arguments]
        shown = ", ".join(names[:must]) + "".join(f"[, {name}]" for name in names[must:])
        return f"{self.name}({shown}{', ...' if self.repeated else ''})"

    @property
    def arity(self) -> str:
        """Return how many arguments it takes, in words."""
        least, most = len(self.arguments) - self.optional, len(self.arguments)
        if self.repeated:
            return f"{least} or more arguments"
        count = str(most) if least == most else f"{least} to {most}"
        return f"{count} argument{'' if count == '1' else 's'}"

    def accepts(self, given: int) -> bool:
        """Tell whether it takes so many arguments."""
        return len(self.arguments) - self.optional <= given and (
            self.repeated or given <= len(self.arguments)
        )

    def arguments_for(self, given: int) -> list[Argument]:
        """Return the argument that each of so many given ones stands for."""
        extra = max(0, given - len(self.arguments))
        return [*self.arguments, *([self.arguments[-1]] * extra)][:given]


def argument_problems(function: Function, literals: Sequence[str | int | float | None]) -> dict[int, str]:
    """Return what is wrong with arguments that must be written out, by their positions; None is what is not a literal."""
    arguments = function.arguments_for(len(literals))
    found = {
        position: argument.problem(literal)
        for position, (argument, literal) in enumerate(zip(arguments, literals, strict=True))
    }
    problems = {position: problem for position, problem in found.items() if problem}
    if problems or len(literals) < 3:
        return problems
    pattern, last = literals[1], literals[2]
    if function.name == "regex_extract" and isinstance(pattern, str) and isinstance(last, int):
        if not 0 <= last <= min(group_count(pattern), 9):
            problems[2] = f"the pattern has {group_count(pattern)} groups (at most 9 can be named)"
    elif function.name == "regex_replace" and isinstance(pattern, str) and isinstance(last, str):
        problem = replacement_problem(last, pattern)
        problems |= {2: problem} if problem else {}
    return problems


_Row = tuple[str, str, Result, str, str, str, Build | None]


def _function(row: _Row) -> Function:
    """Read a row of the table; its second member is `name:sort name:sort? name:sort...`."""
    name, arguments, result, summary, example, example_result, build = row
    words = arguments.split()
    parts = [word.rstrip("?.").split(":") for word in words]
    known: dict[str, Sort] = dict(_SORTS)
    return Function(
        name=name,
        arguments=tuple(Argument(part[0], known[part[1]]) for part in parts),
        result=result,
        summary=summary,
        example=example,
        example_result=example_result,
        build=build,
        optional=sum(word.endswith("?") for word in words),
        repeated=arguments.endswith("..."),
        translates_to=_STANDS_FOR.get(name, ""),
    )


_SORTS: tuple[tuple[str, Sort], ...] = (
    ("text", "text"), ("number", "number"), ("cell", "cell"), ("same", "same"), ("boolean", "boolean"),
    ("count", "count"), ("digits", "digits"), ("pattern", "pattern"), ("literal", "literal"), ("format", "format"),
)  # fmt: skip
_STANDS_FOR = {"max": "cell_max", "min": "cell_min", "round": "round_half_even"}
_NEGATIVE = "a negative number has no square root"
_LOGARITHM = "a logarithm needs a number above 0"

# fmt: off
_TABLE: tuple[_Row, ...] = (
    # numbers
    ("abs", "number:number", "number",
     "The number without its sign.",
     "abs(-3.5)", "3.5", scalar.operation(numbers.absolute)),
    ("max", "value:cell value:cell...", "as its arguments",
     "The largest value; null if one is null. Texts compare by code point.",
     "max(2, 10, 3)", "10", None),
    ("min", "value:cell value:cell...", "as its arguments",
     "The smallest value; null if one is null. Texts compare by code point.",
     "min(2, 10, 3)", "2", None),
    ("round", "number:number digits:digits?", "number",
     "The number rounded half to even.",
     "round(2.5)", "2", None),
    ("floor", "number:number", "number",
     "The largest whole number that is not above it.",
     "floor(-1.5)", "-2", scalar.rounding("floor")),
    ("ceil", "number:number", "number",
     "The smallest whole number that is not below it.",
     "ceil(1.2)", "2", scalar.rounding("ceil")),
    ("trunc", "number:number", "number",
     "The number without its decimals.",
     "trunc(-1.7)", "-1", scalar.rounding("trunc")),
    ("sign", "number:number", "number",
     "-1, 0 or 1.",
     "sign(-7.5)", "-1", scalar.operation(scalar.sign)),
    ("sqrt", "number:number", "number",
     "The square root; an error below 0.",
     "sqrt(16)", "4", scalar.from_domain("sqrt", 0.0, open_end=False, reason=_NEGATIVE)),
    ("exp", "number:number", "number",
     "e to this power.",
     "exp(0)", "1", scalar.numeric(scalar.exponential)),
    ("ln", "number:number", "number",
     "The natural logarithm; an error at 0 and below.",
     "ln(1)", "0", scalar.from_domain("ln", 0.0, open_end=True, reason=_LOGARITHM)),
    ("log10", "number:number", "number",
     "The decimal logarithm; an error at 0 and below.",
     "log10(1000)", "3", scalar.from_domain("log10", 0.0, open_end=True, reason=_LOGARITHM)),
    ("power", "base:number exponent:number", "number",
     "The base to this power; the operator `**`.",
     "power(2, 10)", "1024", scalar.numeric(numbers.power)),
    # texts
    ("upper", "text:text", "text",
     "In capitals.",
     "upper('abc')", "ABC", scalar.text_function("upper")),
    ("lower", "text:text", "text",
     "In small letters.",
     "lower('ABC')", "abc", scalar.text_function("lower")),
    ("trim", "text:text", "text",
     "Without spaces at both ends.",
     "trim('  a b ')", "a b", scalar.text_function("trim")),
    ("trim_left", "text:text", "text",
     "Without spaces at the beginning.",
     "trim_left('  ab')", "ab", scalar.text_function("ltrim")),
    ("trim_right", "text:text", "text",
     "Without spaces at the end.",
     "trim_right('ab  ')", "ab", scalar.text_function("rtrim")),
    ("length", "text:text", "number",
     "How many characters it has.",
     "length('Zürich')", "6", scalar.count_function("length")),
    ("left", "text:text count:count", "text",
     "So many characters of the beginning.",
     "left('report', 3)", "rep", scalar.end("left")),
    ("right", "text:text count:count", "text",
     "So many characters of the end.",
     "right('report', 3)", "ort", scalar.end("right")),
    ("substring", "text:text start:count count:count?", "text",
     "The part from a character on, counted from 1.",
     "substring('report', 3, 2)", "po", scalar.slice_from),
    ("replace", "text:text part:text new:text", "text",
     "With a part replaced everywhere.",
     "replace('1-2-3', '-', '.')", "1.2.3", scalar.replace),
    ("contains", "text:text part:text", "true or false",
     "Whether the part is in it.",
     "contains('report', 'por')", "true", scalar.test_function("contains")),
    ("starts_with", "text:text part:text", "true or false",
     "Whether it begins with the part.",
     "starts_with('report', 're')", "true", scalar.test_function("starts_with")),
    ("ends_with", "text:text part:text", "true or false",
     "Whether it ends with the part.",
     "ends_with('report', 're')", "false", scalar.test_function("ends_with")),
    ("position", "text:text part:text", "number",
     "Where the part begins, counted from 1; 0 where it is not in it.",
     "position('report', 'port')", "3", scalar.count_function("strpos")),
    ("repeat", "text:text count:count", "text",
     "So many times; at most 100000 characters.",
     "repeat('ab', 3)", "ababab", scalar.repeat),
    ("pad_left", "text:text length:count fill:text?", "text",
     "Filled at the beginning up to a length; a longer text stays whole.",
     "pad_left('7', 3, '0')", "007", scalar.pad("lpad")),
    ("pad_right", "text:text length:count fill:text?", "text",
     "Filled at the end up to a length; a longer text stays whole.",
     "pad_right('7', 3, '.')", "7..", scalar.pad("rpad")),
    ("reverse", "text:text", "text",
     "From its end to its beginning.",
     "reverse('abc')", "cba", scalar.text_function("reverse")),
    ("split_part", "text:text separator:text number:count", "text",
     "The part of this number between separators, counted from 1; empty where there is none.",
     "split_part('a/b/c', '/', 2)", "b", scalar.split_part),
    ("concat", "text:text text:text...", "text",
     "The texts joined; nulls are left out.",
     "concat('a', None, 'b')", "ab", scalar.concat),
    # regular expressions
    ("regex_matches", "text:text pattern:pattern", "true or false",
     "Whether the pattern matches anywhere.",
     "regex_matches('T-007', '^T-[0-9]+$')", "true", scalar.regex_matches),
    ("regex_extract", "text:text pattern:pattern group:digits?", "text",
     "What the pattern or a group of it matches first; null where it does not.",
     "regex_extract('T-007', '([A-Z])-([0-9]+)', 2)", "007", scalar.regex_extract),
    ("regex_replace", "text:text pattern:pattern new:literal", "text",
     "With every match replaced; `\\1` is its first group.",
     "regex_replace('a1b22', '[0-9]+', '#')", "a#b#", scalar.regex_replace),
    # dates, as texts such as 2024-01-31
    ("year", "date:text", "number",
     "The year of a date.",
     "year('2024-01-31')", "2024", scalar.date_part("year")),
    ("month", "date:text", "number",
     "The month of a date.",
     "month('2024-01-31')", "1", scalar.date_part("month")),
    ("day", "date:text", "number",
     "The day of a date.",
     "day('2024-01-31')", "31", scalar.date_part("day")),
    ("weekday", "date:text", "number",
     "The day of the week, 1 for Monday to 7 for Sunday.",
     "weekday('2024-01-31')", "3", scalar.date_part("isodow")),
    ("add_days", "date:text days:count", "text",
     "The date so many days later.",
     "add_days('2024-02-28', 2)", "2024-03-01", scalar.add_to_date("days")),
    ("add_months", "date:text months:count", "text",
     "The date so many months later, at most the last day of that month.",
     "add_months('2024-01-31', 1)", "2024-02-29", scalar.add_to_date("months")),
    ("days_between", "from:text to:text", "number",
     "How many days lie between two dates.",
     "days_between('2024-01-31', '2024-03-01')", "30", scalar.days_between),
    ("last_day", "date:text", "text",
     "The last day of a date's month.",
     "last_day('2024-02-01')", "2024-02-29", scalar.last_day),
    ("format_date", "date:text format:format", "text",
     "The date in another format.",
     "format_date('2024-01-31', '%d.%m.%Y')", "31.01.2024", scalar.format_date),
    ("parse_date", "text:text format:format", "text",
     "The date that a text in another format means.",
     "parse_date('31.01.2024', '%d.%m.%Y')", "2024-01-31", scalar.parse_date),
    ("is_date", "text:text", "true or false",
     "Whether it is a date such as 2024-01-31.",
     "is_date('2024-02-30')", "false", scalar.is_date),
    # conditionals and conversion
    ("coalesce", "value:same value:same...", "as its arguments",
     "The first value that is not null.",
     "coalesce(None, 'none')", "none", operators.first_present),
    ("nullif", "value:cell other:cell", "as its arguments",
     "The value, but null where it equals the other.",
     "coalesce(nullif('n/a', 'n/a'), 'none')", "none", scalar.nullif),
    ("is_blank", "text:text", "true or false",
     "Whether there is nothing, or nothing but spaces.",
     "is_blank('  ')", "true", scalar.is_blank),
    ("is_number", "text:text", "true or false",
     "Whether it reads as a number.",
     "is_number('1_000')", "false", scalar.is_number),
    ("number", "text:text", "number",
     "The number that a text reads as; an error where it does not.",
     "number('007') + 8", "15", scalar.as_number),
    ("text", "value:text", "text",
     "The text that a value is written as.",
     "text(1.50) + ' EUR'", "1.5 EUR", scalar.as_text),
    # what formulas mean by their operators
    ("cell_number", "cell:cell", "number",
     "The cell as the number it reads as; computing with another text is an error on that row.",
     "cell_number(2) * 3", "6", scalar.as_cell_number),
    ("cell_add", "value:cell value:cell...", "as its arguments",
     "Numbers added, texts joined, from left to right; the operator `+`.",
     "cell_add('a', 'b', 'c')", "abc", operators.add_cells),
    ("cell_max", "value:cell value:cell...", "as its arguments",
     "The largest value; null if one is null.",
     "cell_max('a', 'b')", "b", scalar.largest),
    ("cell_min", "value:cell value:cell...", "as its arguments",
     "The smallest value; null if one is null.",
     "cell_min('a', 'b')", "a", scalar.smallest),
    ("cell_equal", "value:cell other:cell", "true or false",
     "Whether they are equal; a text and a number are not. The operator `==`.",
     "cell_equal('7', 7)", "false", scalar.equal),
    ("cell_less", "value:cell other:cell", "true or false",
     "Whether the first is smaller; the operator `<`.",
     "cell_less(9, 10)", "true", scalar.less(exp.LT)),
    ("cell_less_or_equal", "value:cell other:cell", "true or false",
     "Whether the first is not larger; the operator `<=`.",
     "cell_less_or_equal(10, 10)", "true", scalar.less(exp.LTE)),
    ("cell_in", "value:cell item:cell...", "true or false",
     "Whether it equals one of the others; the operator `in`.",
     "cell_in('b', 'a', 'b')", "true", scalar.is_in),
    ("floor_divide", "number:number by:number", "number",
     "The quotient rounded down; the operator `//`.",
     "floor_divide(-7, 2)", "-4", scalar.numeric(numbers.floor_divide)),
    ("floor_modulo", "number:number by:number", "number",
     "The rest of it, with the sign of the right side; the operator `%`.",
     "floor_modulo(-7, 2)", "1", scalar.numeric(numbers.floor_modulo)),
    ("round_half_even", "number:number digits:digits?", "number",
     "The number rounded half to even.",
     "round_half_even(0.125, 2)", "0.12", scalar.round_half_even),
)
# fmt: on

FUNCTIONS: dict[str, Function] = {row[0]: _function(row) for row in _TABLE}
