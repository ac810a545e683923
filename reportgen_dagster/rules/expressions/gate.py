"""The gate of expressions: SQL scalar expressions, judged by an allow-list of exact node types.

What belongs here: what is allowed, in which context; how columns are used. What does not: syntax and bounds (sql_syntax.py),
Python's syntax (formulas.py), types and meaning (evaluation.py).

Every function is looked up in one table (functions/); what sqlglot knows of functions is switched off, so that no
function has a syntax of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.types import Type
from reportgen_dagster.rules.expressions.faults import ExpressionError, Fault, meant, nearest
from reportgen_dagster.rules.expressions.refusals import refusal
from reportgen_dagster.rules.expressions.sql_syntax import (
    MAX_CHAIN,
    MAX_CHARACTERS,
    MAX_NESTING,
    allow_nesting,
    is_plain_name,
    parsed,
    refuse_chains,
)
from reportgen_dagster.rules.functions import FUNCTIONS, Argument, Function, argument_problems
from reportgen_dagster.rules.values.typed import MAX_PRECISION

__all__ = [
    "MAX_CHAIN", "MAX_CHARACTERS", "MAX_NESTING", "REFUSED", "ExpressionError", "Fault", "Judged", "Use", "aggregate_calls",
    "allow_nesting", "arguments_of", "columns_of", "function_of", "is_plain_name", "judge_expression", "literal_of", "nearest",
    "offset_of", "parse_expression", "parts_of", "refused", "target_type", "uses_of", "walk", "wrong_arity",
]  # fmt: skip

MAX_LIKE = 200
DEFAULT_DECIMAL = (MAX_PRECISION, 9)

Context = Literal["scalar", "aggregate", "window"]
Reading = Literal["type", "cell", "cell_number"]
_ALLOWED: frozenset[type[Expr]] = frozenset(
    {
        exp.Column, exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.Paren, exp.Neg, exp.Not, exp.And, exp.Or,
        exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.DPipe, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE,
        exp.NullSafeEQ, exp.NullSafeNEQ, exp.Is, exp.In, exp.Between, exp.Like, exp.ILike, exp.Case, exp.If, exp.Cast,
        exp.Anonymous, exp.Placeholder,
    }
)  # fmt: skip
REFUSED = "\0"  # the name of no parameter
_Refusal = tuple[Expr, Fault]
_TYPES = {
    exp.DataType.Type.TEXT: "text",
    exp.DataType.Type.VARCHAR: "text",
    exp.DataType.Type.INT: "integer",
    exp.DataType.Type.BIGINT: "integer",
    exp.DataType.Type.DOUBLE: "number",
    exp.DataType.Type.FLOAT: "number",
    exp.DataType.Type.DECIMAL: "decimal",
    exp.DataType.Type.BOOLEAN: "boolean",
    exp.DataType.Type.DATE: "date",
    exp.DataType.Type.TIME: "time",
    exp.DataType.Type.TIMESTAMP: "datetime",
    exp.DataType.Type.TIMESTAMPNTZ: "datetime",
}
_TYPE_NAMES = "text, integer, number, decimal(p, s), boolean, date, time, datetime"


@dataclass(frozen=True, slots=True)
class Use:
    """A column that an expression uses, and how.

    Attributes:
        column: Its name.
        reading: `type`: by its type; `cell`: cell by cell, as the short form does; `cell_number`: so, as a number.
    """

    column: str
    reading: Reading


@dataclass(frozen=True, slots=True)
class Judged:
    """An expression that parses.

    Attributes:
        tree: What of it is allowed, in which `refused()` stands for all that is not; so the rest can be judged further.
        faults: Why something is not; an expression without any may be used.
    """

    tree: Expr
    faults: tuple[Fault, ...] = ()


def refused() -> Expr:
    """Return what stands for a refused part: a value of which nothing is known."""
    return exp.Placeholder(this=REFUSED)


def parse_expression(text: str, context: Context = "scalar", parameters: Collection[str] = ()) -> Expr:
    """Parse one expression of the long form as `judge_expression` does.

    Raises:
        ExpressionError: If it is anything but an allowed expression; with every fault that can be told.
    """
    judged = judge_expression(text, context, parameters)
    if judged.faults:
        raise ExpressionError(judged.faults)
    return judged.tree


def judge_expression(text: str, context: Context = "scalar", parameters: Collection[str] = ()) -> Judged:
    """Parse one expression of the long form and judge all its parts.

    Names of functions come out as the table has them: in small letters, aliases replaced.

    Args:
        text: The expression.
        context: `aggregate` for measures, `window` for the columns of a window; else nothing of both may be called.
        parameters: The names that `:name` may have.

    Raises:
        ExpressionError: If it is not one expression, or breaks a bound.
    """
    tree = parsed(text)
    refuse_chains(tree)
    root = exp.Paren(this=tree)
    judges: tuple[Callable[[Expr], Iterator[_Refusal]], ...] = (
        _foreign,
        lambda tree: _parameters(tree, parameters),
        _calls,
        lambda tree: _misplaced(tree, context),
    )
    faults: list[Fault] = []
    for judge in judges:
        for node, fault in [*judge(root.this)]:
            faults.append(fault)
            node.replace(refused())
    return Judged(root.this.pop(), tuple(faults))


# the shape of the tree


def offset_of(node: Expr) -> int:
    """Return where a node begins, as far as sqlglot knows."""
    starts = (part.meta.get("start") for part in node.walk() if part.meta)
    return min((int(start) for start in starts if start is not None), default=0)


def _foreign(tree: Expr) -> Iterator[_Refusal]:
    stack = [tree]
    while stack:
        node = stack.pop()
        problem = _problem(node) if type(node) in _ALLOWED else refusal(node)
        stack.extend(() if problem else reversed(_inside(node)))
        if problem:
            yield node, Fault(problem, offset_of(node))


def _inside(node: Expr) -> list[Expr]:
    """Return what of a node is judged on its own."""
    if isinstance(node, exp.Cast):
        return [node.this]
    if isinstance(node, exp.Anonymous):
        return arguments_of(node)[0]
    return list(node.iter_expressions())


def _problem(node: Expr) -> str:
    """Return what is wrong with an allowed node by itself, or nothing."""
    if isinstance(node, exp.Column):
        return "" if len(node.parts) == 1 else "a column is named by its name alone"
    if isinstance(node, exp.Is):
        plain = isinstance(node.expression, exp.Null)
        return "" if plain else "only `is null` and `is not null`; write `x` or `not x` for a condition"
    if isinstance(node, exp.Literal):
        return _literal_problem(node)
    if isinstance(node, exp.Cast):
        return _type_problem(node)
    return _operand_problem(node)


def _operand_problem(node: Expr) -> str:
    if isinstance(node, exp.In):
        if node.args.get("query") is not None:
            return "there are no subqueries"
        return "" if node.expressions else "behind `in` stands a list, such as (1, 2, 3)"
    if isinstance(node, exp.Between) and node.args.get("symmetric"):
        return "`between symmetric` is not allowed"
    if isinstance(node, (exp.Like, exp.ILike)):
        return _like_problem(node.expression)
    if isinstance(node, exp.Anonymous) and not isinstance(node.this, str):
        return "a function is called by its name alone"
    return ""


def _like_problem(pattern: Expr) -> str:
    if isinstance(pattern, exp.Placeholder):
        return ""
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        return "the pattern of `like` must be a text, written out; for a part use contains(text, part)"
    return f"a pattern has at most {MAX_LIKE} characters" if len(str(pattern.this)) > MAX_LIKE else ""


def _literal_problem(node: exp.Literal) -> str:
    if node.is_string or _is_finite(str(node.this)):
        return ""
    return f"the number {str(node.this)[:30]} is too large"


def _is_finite(digits: str) -> bool:
    try:
        return (
            len(digits) < 400
            and math.isfinite(float(digits))
            and not (digits.isdigit() and int(digits) >= 2**63)
        )
    except ValueError:
        return False


def _type_problem(node: exp.Cast) -> str:
    to = node.to
    name = _TYPES.get(to.this)
    digits = [part.this for part in to.expressions if isinstance(part, exp.DataTypeParam)]
    more = [*_more(node, "this", "to"), *_more(to, "this", "expressions")]
    if name is None or more or len(digits) != len(to.expressions):
        return f"there is no type `{to.sql('duckdb').lower()[:40]}`; the types are {_TYPE_NAMES}"
    if not digits:
        return ""
    numbers = [int(str(part.this)) for part in digits if str(part.this).isdigit()]
    if name != "decimal" or len(numbers) != len(digits):
        return f"`{name}` has no length; the types are {_TYPE_NAMES}"
    precision, last = numbers[0], numbers[-1]
    if len(numbers) > 2 or not 1 <= precision <= MAX_PRECISION or last > precision:
        return f"a decimal has 1 to {MAX_PRECISION} digits, and no more of them behind the point"
    return ""


def _more(node: Expr, *known: str) -> list[str]:
    """Return what else is said of a node than what is known."""
    return [key for key, value in node.args.items() if value and key not in known]


def target_type(node: exp.Cast) -> Type:
    """Return the type that a cast asks for; a decimal without digits has 38, 9 of them behind the point."""
    name = _TYPES[node.to.this]
    if name != "decimal":
        return Type(name)  # type: ignore[arg-type]  # the table's values are names of types
    digits = [int(str(part.this.this)) for part in node.to.expressions]
    precision, scale = (*digits, 0)[:2] if digits else DEFAULT_DECIMAL
    return Type("decimal", precision, scale)


# parameters and functions


def _parameters(tree: Expr, known: Collection[str]) -> Iterator[_Refusal]:
    for node in tree.find_all(exp.Placeholder):
        name = node.name
        if name not in known and name != REFUSED:
            hint = nearest(name, known) or "; parameters are described under `parameters:`"
            yield node, Fault(f"unknown parameter `:{name}`{hint}", offset_of(node))


def _calls(tree: Expr) -> Iterator[_Refusal]:
    for node in list(tree.find_all(exp.Anonymous)):
        name = str(node.this)
        function = FUNCTIONS.get(name.lower())
        if function is None:
            yield node, Fault(f"unknown function `{name}`{meant(name.lower(), FUNCTIONS)}", offset_of(node))
            continue
        node.set("this", function.alias_of or function.name)
        yield from ((node, fault) for fault in _call_faults(node))


def _call_faults(node: exp.Anonymous) -> Iterator[Fault]:
    function = function_of(node)
    arguments, distinct = arguments_of(node)
    starred = any(isinstance(argument, exp.Star) for argument in node.expressions)
    if starred and (function.name != "count" or len(node.expressions) != 1):
        yield Fault("`*` stands only in count(*)", offset_of(node))
        return
    if distinct and not _takes_distinct(function, len(arguments)):
        yield Fault(
            "`distinct` stands only in an aggregate of one value, such as count(distinct x)", offset_of(node)
        )
        return
    if wrong := wrong_arity(function, len(arguments)):
        yield Fault(wrong, offset_of(node))
        return
    for position, problem in argument_problems(function, [*map(literal_of, arguments)]).items():
        if arguments[position].name == REFUSED:
            continue
        yield Fault(f"`{function.name}`: {problem}", offset_of(arguments[position]) or offset_of(node))


def _takes_distinct(function: Function, given: int) -> bool:
    """Tell whether a call is an aggregate of one value, beside what is written out."""
    others = function.arguments_for(given)[1:]
    return function.role == "aggregate" and given > 0 and all(other.is_written_out for other in others)


def function_of(node: exp.Anonymous) -> Function:
    """Return the function that a judged call means: `max` and `min` of several values are not the aggregates."""
    function = FUNCTIONS[str(node.this)]
    if function.several and len(node.expressions) > 1:
        return FUNCTIONS[function.several]
    return function


def arguments_of(node: exp.Anonymous) -> tuple[list[Expr], bool]:
    """Return the arguments of a call, none for `*`, and whether equal ones count once."""
    arguments = list(node.expressions)
    if len(arguments) == 1 and isinstance(arguments[0], exp.Star):
        return [], False
    if len(arguments) == 1 and isinstance(arguments[0], exp.Distinct):
        return list(arguments[0].expressions), True
    return arguments, False


def _misplaced(tree: Expr, context: Context) -> Iterator[_Refusal]:
    """Refuse aggregates and window functions where they mean nothing."""
    stack: list[tuple[Expr, str]] = [(tree, "")]
    while stack:
        node, outer = stack.pop()
        role = _role(node)
        if role != "scalar" and isinstance(node, exp.Anonymous):
            if problem := _misplacement(str(node.this), role, context, outer):
                yield node, Fault(problem, offset_of(node))
            outer = str(node.this)
        stack.extend((child, outer) for child in reversed(list(node.iter_expressions())))


def _role(node: Expr) -> str:
    """Return `aggregate` or `window` for a call of such a function that the table knows, else `scalar`."""
    known = isinstance(node, exp.Anonymous) and str(node.this) in FUNCTIONS
    return function_of(node).role if known and isinstance(node, exp.Anonymous) else "scalar"


def _misplacement(name: str, role: str, context: Context, outer: str) -> str:
    if context == "scalar":
        if role == "aggregate":
            return (
                f"`{name}` is an aggregate of many rows; it stands in the measures of a step `aggregate`, or in the "
                "columns of a step `window`"
            )
        return f"`{name}` is a window function; it stands in the columns of a step `window`"
    if role == "window" and context == "aggregate":
        return f"`{name}` is a window function; it stands in the columns of a step `window`, not in a measure"
    if outer:
        return f"`{name}` stands inside `{outer}`; compute the inner one in a step of its own before"
    return ""


def aggregate_calls(tree: Expr) -> list[exp.Anonymous]:
    """Return the calls of aggregates and window functions in a judged expression, from left to right."""
    found: list[exp.Anonymous] = []
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, exp.Anonymous) and _role(node) != "scalar":
            found.append(node)
        else:
            stack.extend(reversed(list(node.iter_expressions())))
    return found


def literal_of(node: Expr) -> str | int | float | None:
    """Return the value of a literal, None for anything else."""
    if isinstance(node, exp.Neg):
        value = literal_of(node.this)
        return -value if isinstance(value, (int, float)) else None
    if not isinstance(node, exp.Literal):
        return None
    digits = str(node.this)
    if node.is_string:
        return digits
    return int(digits) if digits.isdigit() else float(digits)


def wrong_arity(function: Function, given: int) -> str:
    """Return what is wrong with the number of arguments, or nothing."""
    if function.accepts(given):
        return ""
    return f"`{function.name}` takes {function.arity}, not {given}: {function.signature}"


# how columns are used


def parts_of(node: Expr, reading: Reading) -> list[tuple[Expr, Reading]]:
    """Return what a node consists of, each with how columns are read there."""
    if isinstance(node, exp.Paren):
        return [(node.this, reading)]
    if isinstance(node, exp.Case):
        return _case_parts(node, reading)
    if isinstance(node, exp.Anonymous):
        arguments, _ = arguments_of(node)
        function = function_of(node)
        readings = [
            _argument_reading(function, argument, reading)
            for argument in function.arguments_for(len(arguments))
        ]
        return list(zip(arguments, readings, strict=True))
    if isinstance(node, exp.Cast):
        return [(node.this, "type")]
    return [(child, "type") for child in node.iter_expressions() if not isinstance(child, exp.Identifier)]


def _case_parts(node: exp.Case, reading: Reading) -> list[tuple[Expr, Reading]]:
    inner: list[tuple[Expr, Reading]] = [(node.this, "type")] if node.this is not None else []
    for branch in node.args["ifs"]:
        inner += [(branch.this, "type"), (branch.args["true"], reading)]
    default = node.args.get("default")
    return inner + ([(default, reading)] if default is not None else [])


def _argument_reading(function: Function, argument: Argument, reading: Reading) -> Reading:
    if argument.sort == "same":
        return reading
    if argument.sort == "cell":
        return "cell_number" if function.name == "cell_number" else "cell"
    return "type"


def walk(tree: Expr, reading: Reading = "type") -> Iterator[tuple[Expr, Reading]]:
    """Go through all parts of a judged expression and how columns are read there, parents first, from left to right."""
    stack: list[tuple[Expr, Reading]] = [(tree, reading)]
    while stack:
        node, inside = stack.pop()
        yield node, inside
        stack.extend(reversed(parts_of(node, inside)))


def uses_of(tree: Expr) -> tuple[Use, ...]:
    """Return the columns that an expression uses, each use once, in order."""
    found = {Use(node.name, reading): None for node, reading in walk(tree) if isinstance(node, exp.Column)}
    return tuple(found)


def columns_of(tree: Expr) -> tuple[str, ...]:
    """Return the columns that an expression names, each once, in order."""
    return tuple(dict.fromkeys(use.column for use in uses_of(tree)))
