"""What the table of functions consists of: functions, their arguments, and what an argument must be.

What belongs here: the shape of an entry, arities, arguments that must be written out. What does not: the entries themselves
and their SQL (the other modules of this package).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.patterns import (
    date_format_problem,
    group_count,
    pattern_problem,
    replacement_problem,
    zone_problem,
)
from reportgen_dagster.rules.values.typed import Value, call

Role = Literal["scalar", "aggregate", "window"]
Topic = Literal[
    "numbers",
    "text",
    "regular expressions",
    "dates and times",
    "conditionals",
    "conversion",
    "aggregates",
    "windows",
    "short form",
]
Sort = Literal[
    "text", "number", "any", "cell", "same", "boolean", "count", "date", "datetime", "time",
    "digits", "positive", "precision", "share", "pattern", "literal", "format", "unit", "zone",
]  # fmt: skip
Result = Literal[
    "text", "number", "integer", "decimal", "true or false", "date", "time", "datetime", "as its arguments"
]
MAX_DIGITS = 15
MAX_FRAME = 1_000_000
DAY_UNITS = ("year", "quarter", "month", "week", "day")
UNITS = (*DAY_UNITS, "hour", "minute", "second")
_LITERAL_TEXTS = ("pattern", "literal", "format", "unit", "zone")
_RANGES: Mapping[str, tuple[int, int]] = {
    "digits": (-MAX_DIGITS, MAX_DIGITS),
    "positive": (1, MAX_FRAME),
    "precision": (0, 38),
}
_NUMBERS = frozenset({"integer", "number", "wide", "decimal", "cell", "null", "any"})
_MOMENTS = frozenset({"date", "datetime", "text", "cell", "null", "any"})
_KINDS: Mapping[str, frozenset[str]] = {
    "number": _NUMBERS,
    "count": _NUMBERS,
    "boolean": frozenset({"boolean", "null", "any"}),
    "date": _MOMENTS,
    "datetime": _MOMENTS,
    "time": frozenset({"time", "datetime", "text", "cell", "null", "any"}),
}
_WANTED: Mapping[str, str] = {
    "number": "a number",
    "count": "a whole number",
    "boolean": "a condition",
    "date": "a date, or a text such as '2024-01-31'",
    "datetime": "a date with a time, or a text such as '2024-01-31T10:00:00'",
    "time": "a time, or a text such as '10:00:00'",
}
Build = Callable[[Layers, Sequence[Value]], Value]
Over = Callable[[Expr], Expr]
WindowBuild = Callable[[Sequence[Value], Sequence[Expr], Sequence[Expr]], Value]


def plain(aggregate: Expr) -> Expr:
    """Leave an aggregate as it is: over the rows of a group."""
    return aggregate


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that an aggregate is of.

    Attributes:
        values: The arguments on each row.
        order: The order of the rows, for what depends on it.
        distinct: Equal values count once.
        over: Puts each aggregate call over its window; it leaves it as it is in a group.
    """

    values: Sequence[Value]
    order: Sequence[Expr] = ()
    distinct: bool = False
    over: Over = plain

    @property
    def value(self) -> Value:
        """Return the first argument."""
        return self.values[0]

    def call(self, name: str, first: Expr, *rest: Expr) -> Expr:
        """Call DuckDB's aggregate of this name, with DISTINCT if that is asked for."""
        return self.over(call(name, exp.Distinct(expressions=[first]) if self.distinct else first, *rest))

    def call_in_order(self, name: str, *arguments: Expr, order: Sequence[Expr] | None = None) -> Expr:
        """Call an aggregate that follows the order of the rows, or another one."""
        keys = [
            key if isinstance(key, exp.Ordered) else exp.Ordered(this=key, nulls_first=False)
            for key in (self.order if order is None else order)
        ]
        last = exp.Order(this=arguments[-1], expressions=keys) if keys else arguments[-1]
        return self.over(call(name, *arguments[:-1], last))


Gather = Callable[[Rows], Value]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Makes the value of an aggregate.

    Attributes:
        gather: What it is of its rows.
    """

    gather: Gather

    def __call__(
        self,
        values: Sequence[Value],
        order: Sequence[Expr] = (),
        distinct: bool = False,  # noqa: FBT001, FBT002 - it stands beside the word that it was read from
        over: Over = plain,
    ) -> Value:
        """Return the value, with the checks of the result; checks of `values` are the caller's.

        Args:
            values: The arguments on each row; none for count(*).
            order: The order of the rows.
            distinct: Equal values count once.
            over: Puts each aggregate call over its window.

        Raises:
            UnfitError: If the values are of a type that it is not made for.
        """
        return self.gather(Rows(values, order, distinct, over))


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a function.

    Attributes:
        name: As the reference shows it.
        sort: `text` takes anything, as the text that it is written as; `any` takes anything as its type says, `same` too but of
            one type with the others, `cell` as the short form sees it, cell by cell; `count` is a whole number; `date`,
            `datetime` and `time` may be ISO texts; `digits`, `positive` (a whole number from 1), `precision` (0 to 38),
            `share` (0 to 1), `pattern`, `literal`, `format`, `unit` and `zone` must be written out.
    """

    name: str
    sort: Sort

    @property
    def is_written_out(self) -> bool:
        """Tell whether it must be written out, so that it is the same on every row."""
        return self.sort in _RANGES or self.sort == "share" or self.sort in _LITERAL_TEXTS

    def problem(self, literal: str | int | float | None) -> str:
        """Return what is wrong with an argument that must be written out, or nothing."""
        if self.sort in _RANGES or self.sort == "share":
            return self._number_problem(literal)
        if self.sort not in _LITERAL_TEXTS:
            return ""
        if not isinstance(literal, str):
            return f"`{self.name}` must be a text, written out"
        return self._text_problem(literal)

    def _number_problem(self, literal: str | int | float | None) -> str:
        if self.sort == "share":
            if isinstance(literal, (int, float)) and 0 <= literal <= 1:
                return ""
            return f"`{self.name}` must be a number from 0 to 1, written out"
        least, most = _RANGES[self.sort]
        if isinstance(literal, int) and least <= literal <= most:
            return ""
        return f"`{self.name}` must be a whole number from {least} to {most}, written out"

    def _text_problem(self, literal: str) -> str:
        if self.sort == "pattern":
            return pattern_problem(literal)
        if self.sort == "format":
            return date_format_problem(literal)
        if self.sort == "zone":
            return zone_problem(literal)
        if self.sort == "unit" and literal not in UNITS:
            return f"`{self.name}` is one of {', '.join(UNITS)}"
        return ""

    def kind_problem(self, kind: str) -> str:
        """Return what is wrong with a value of this kind, or nothing."""
        kinds = _KINDS.get(self.sort)
        if kinds is None or kind in kinds:
            return ""
        hint = "; if(condition, 1, 0) makes one" if self.sort == "number" and kind == "boolean" else ""
        return f"`{self.name}` must be {_WANTED[self.sort]}{hint}"


@dataclass(frozen=True, slots=True)
class Function:
    """A function that formulas and expressions may call.

    Attributes:
        name: How it is called.
        topic: What it is about.
        arguments: Its arguments in order.
        result: What it gives.
        summary: One line for the reference; it tells of errors. Unless it says otherwise, a null argument makes null.
        example: An expression that calls it; of an aggregate or window one over the table of the reference page.
        example_result: What a report shows for the example; for windows one for each row, joined by ` | `.
        build: Makes the value of a scalar function.
        role: Where it may be called.
        alias_of: The function that this is another name of.
        aggregate: Makes the value of an aggregate.
        window: Makes the value of a window function: arguments, partition, order (which ends with the order of the rows).
        has_peers: A window function that takes rows for equal which the user's order takes for equal; it gets that order alone.
        optional: How many of the last arguments may be left out.
        repeated: The last argument may be there any number of times.
        translates_to: The function that this name stands for in a formula of the short form.
        several: The scalar function that an aggregate's name stands for when it is called with several arguments.
        uses_run_date: `build` gets the run's date, a value of kind `date`, behind the arguments.
    """

    name: str
    topic: Topic
    arguments: tuple[Argument, ...]
    result: Result
    summary: str
    example: str
    example_result: str
    build: Build | None = None
    role: Role = "scalar"
    alias_of: str = ""
    aggregate: Aggregate | None = None
    window: WindowBuild | None = None
    has_peers: bool = False
    optional: int = 0
    repeated: bool = False
    translates_to: str = ""
    several: str = ""
    uses_run_date: bool = False

    @property
    def signature(self) -> str:
        """Return how it is called, as `round(number[, digits])`."""
        must = len(self.arguments) - self.optional
        names = [argument.name for argument in self.arguments]
        shown = ", ".join(names[:must])
        for name in names[must:]:
            shown += f"[, {name}]" if shown else f"[{name}]"
        return f"{self.name}({shown}{', ...' if self.repeated else ''})"

    @property
    def arity(self) -> str:
        """Return how many arguments it takes, in words."""
        least, most = len(self.arguments) - self.optional, len(self.arguments)
        if self.repeated:
            return f"{least} or more arguments"
        if most == 0:
            return "no arguments"
        count = str(most) if least == most else f"{least} to {most}"
        return f"{count} argument{'' if count == '1' else 's'}"

    @property
    def formula_sort(self) -> str:
        """Return what a formula of the short form takes its result for: `number`, `text`, `boolean`, or nothing if it depends."""
        if self.result == "as its arguments":
            return ""
        if self.result in ("number", "integer", "decimal"):
            return "number"
        return "boolean" if self.result == "true or false" else "text"

    def accepts(self, given: int) -> bool:
        """Tell whether it takes so many arguments."""
        return len(self.arguments) - self.optional <= given and (
            self.repeated or given <= len(self.arguments)
        )

    def arguments_for(self, given: int) -> list[Argument]:
        """Return the argument that each of so many given ones stands for."""
        extra = max(0, given - len(self.arguments))
        return [*self.arguments, *(self.arguments[-1:] * extra)][:given]


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
    name = function.alias_of or function.name
    if name == "regex_extract" and isinstance(pattern, str) and isinstance(last, int):
        if not 0 <= last <= min(group_count(pattern), 9):
            problems[2] = f"the pattern has {group_count(pattern)} groups (at most 9 can be named)"
    elif name == "regex_replace" and isinstance(pattern, str) and isinstance(last, str):
        problem = replacement_problem(last, pattern)
        problems |= {2: problem} if problem else {}
    return problems


def read_arguments(text: str) -> tuple[tuple[Argument, ...], int, bool]:
    """Read `name:sort name:sort? name:sort...`: the arguments, how many are optional, whether the last one repeats."""
    words = text.split()
    parts = [word.rstrip("?.").split(":") for word in words]
    arguments = tuple(Argument(part[0], _SORTS[part[1]]) for part in parts)
    return arguments, sum("?" in word for word in words), text.endswith("...")


_SORTS: Mapping[str, Sort] = {sort: sort for sort in get_args(Sort)}


def scalar(
    topic: Topic,
    rows: Iterable[tuple[str, str, Result, str, str, str, Build]],
) -> tuple[Function, ...]:
    """Read rows of name, arguments, result, summary, example, its result, and builder."""
    found = []
    for name, text, result, summary, example, example_result, build in rows:
        arguments, optional, repeated = read_arguments(text)
        found.append(
            Function(
                name, topic, arguments, result, summary, example, example_result, build,
                optional=optional, repeated=repeated,
            )
        )  # fmt: skip
    return tuple(found)


def alias(name: str, function: Function, example: str) -> Function:
    """Give a function a second name, with an example that has the same result."""
    return replace(function, name=name, alias_of=function.name, example=example)
