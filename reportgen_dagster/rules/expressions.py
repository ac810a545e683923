"""The gate of expressions: SQL scalar expressions, parsed by sqlglot and judged by an allow-list of exact node types.

What belongs here: what parses, bounds, contexts of columns. What does not: Python's syntax (formulas.py), meaning (compile.py).

Bounds hold before parsing. Every function is looked up in one table (functions.py); what sqlglot knows of functions is
switched off, so that no function has a syntax of its own.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ParseError, TokenError
from sqlglot.expressions import Expr
from sqlglot.parsers.duckdb import DuckDBParser
from sqlglot.tokenizer_core import Token, TokenType

from reportgen_dagster.rules.functions import FUNCTIONS, Argument, Function, argument_problems

MAX_CHARACTERS = 10_000
MAX_NESTING = 100
MAX_CHAIN = 500
_RECURSION = 20_000  # frames; sqlglot takes about 25 for each level of nesting, the compiler fewer

Context = Literal["text", "cell", "cell_number", "number", "boolean"]
_ALLOWED: frozenset[type[Expr]] = frozenset(
    {
        exp.Column, exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.Paren, exp.Neg, exp.Not, exp.And, exp.Or,
        exp.Add, exp.Sub, exp.Mul, exp.Div, exp.DPipe, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Is,
        exp.Case, exp.If, exp.Anonymous,
    }
)  # fmt: skip
_HINTS: dict[type[Expr], str] = {
    exp.IntDiv: "use floor_divide(a, b)",
    exp.Mod: "use floor_modulo(a, b)",
    exp.Pow: "use power(a, b)",
    exp.In: "use cell_in(value, a, b, ...)",
    exp.Between: "use two comparisons",
    exp.Select: "there are no subqueries",
    exp.Subquery: "there are no subqueries",
}


class _Language(DuckDB):
    """DuckDB's syntax without its functions."""

    class Parser(DuckDBParser):
        """Reads every call as a plain call."""

        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {}
        NO_PAREN_FUNCTIONS: ClassVar[dict[Any, Any]] = {}
        NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            "CASE": DuckDBParser.NO_PAREN_FUNCTION_PARSERS["CASE"]
        }


_LANGUAGE = _Language()


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in an expression, at an offset in its text."""

    message: str
    offset: int = 0


class ExpressionError(Exception):
    """An expression was refused; `faults` tells why, all of it."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        """Carry every fault."""
        self.faults = tuple(faults)
        super().__init__(self.faults[0].message)


@dataclass(frozen=True, slots=True)
class Use:
    """A column that an expression uses, and what for: `text` is only copied or read as it is written."""

    column: str
    context: Context


def allow_nesting() -> None:
    """Raise Python's recursion limit to what nesting needs, also deep inside a web server's stack."""
    if sys.getrecursionlimit() < _RECURSION:
        sys.setrecursionlimit(_RECURSION)


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the hint at the most similar name, or nothing."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean `{close[0]}`?" if close else ""


def is_plain_name(name: str) -> bool:
    """Tell whether a column can be named without quotes."""
    if not name.isascii() or not name.isidentifier():
        return False
    tokens = _LANGUAGE.tokenize(name)
    return len(tokens) == 1 and tokens[0].token_type is TokenType.VAR


def parse_expression(text: str) -> Expr:
    """Parse one expression of the long form.

    Raises:
        ExpressionError: If it is anything but an allowed expression.
    """
    allow_nesting()
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError([Fault(f"longer than {MAX_CHARACTERS:,} characters")])
    if "\0" in text:
        raise ExpressionError([Fault("a NUL character is not allowed", text.index("\0"))])
    tokens = _tokens(text)
    try:
        trees = _LANGUAGE.parser().parse(tokens, text)
    except ParseError as error:
        raise ExpressionError([_syntax_fault(error, text)]) from None
    except RecursionError:
        raise ExpressionError([Fault("nested too deeply")]) from None
    if len(trees) != 1 or trees[0] is None:
        raise ExpressionError([Fault("exactly one expression is expected")])
    tree = trees[0]
    faults = [*_foreign(tree), *_chains(tree)] or [*_calls(tree)]
    if faults:
        raise ExpressionError(faults)
    return tree


def _tokens(text: str) -> list[Token]:
    try:
        tokens = list(_LANGUAGE.tokenize(text))
    except TokenError:
        raise ExpressionError([Fault("a quote or comment never closes")]) from None
    depth = 0
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.comments:
            raise ExpressionError([Fault("comments are not allowed", token.start)])
        if token.token_type is TokenType.SEMICOLON:
            raise ExpressionError([Fault("several statements are not allowed", token.start)])
        free = before is not None and before.text == "cell_number"
        if token.token_type in (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.CASE):
            depth += 0 if free else 1
        elif token.token_type in (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.END):
            depth -= 1
        depth = max(depth, 0)
        if depth > MAX_NESTING:
            raise ExpressionError([Fault(f"nested deeper than {MAX_NESTING} levels", token.start)])
    return tokens


def _syntax_fault(error: ParseError, text: str) -> Fault:
    found = error.errors[0] if error.errors else {}
    near = str(found.get("highlight") or "")
    offset = max(0, int(found.get("col") or 1) - len(near)) if text.count("\n") == 0 else 0
    return Fault(f"this is no expression{f', near `{near[:40]}`' if near else ''}", offset)


def offset_of(node: Expr) -> int:
    """Return where a node begins, as far as sqlglot knows."""
    for part in node.walk():
        start = part.meta.get("start") if part.meta else None
        if start is not None:
            return int(start)
    return 0


def _foreign(tree: Expr) -> Iterator[Fault]:
    for node in tree.walk(prune=lambda found: type(found) not in _ALLOWED):
        if type(node) not in _ALLOWED:
            hint = _HINTS.get(type(node))
            yield Fault(
                f"`{type(node).__name__}` is not allowed in an expression{f'; {hint}' if hint else ''}",
                offset_of(node),
            )
        elif isinstance(node, exp.Column) and len(node.parts) != 1:
            yield Fault("a column is named by its name alone", offset_of(node))
        elif isinstance(node, exp.Case) and node.this is not None:
            yield Fault("`case` needs a condition after each `when`", offset_of(node))
        elif isinstance(node, exp.Is) and not isinstance(node.expression, exp.Null):
            yield Fault("only `is null` and `is not null`", offset_of(node))
        elif isinstance(node, exp.Literal) and not node.is_string and not _is_finite(node):
            yield Fault(f"the number {str(node.this)[:30]} is too large", offset_of(node))


def _is_finite(literal: exp.Literal) -> bool:
    digits = str(literal.this)
    try:
        return (
            len(digits) < 400
            and abs(float(digits)) < float("inf")
            and not (digits.isdigit() and int(digits) >= 2**63)
        )
    except ValueError:
        return False


def _chains(tree: Expr) -> Iterator[Fault]:
    """Refuse operators in a row without end: they nest to the left."""
    level = [tree]
    for _ in range(MAX_CHAIN + 4 * MAX_NESTING):
        level = [child for node in level for child in node.iter_expressions()]
        if not level:
            return
    yield Fault(f"more than {MAX_CHAIN} operators in a row")


def _calls(tree: Expr) -> Iterator[Fault]:
    for node in tree.find_all(exp.Anonymous):
        name = str(node.this)
        function = FUNCTIONS.get(name)
        if function is None or function.translates_to:
            hint = f"; use {function.translates_to}" if function else nearest(name, FUNCTIONS)
            yield Fault(f"unknown function `{name}`{hint}", offset_of(node))
            continue
        wrong = wrong_arity(function, len(node.expressions))
        if wrong:
            yield Fault(wrong, offset_of(node))
            continue
        for position, problem in argument_problems(function, [*map(literal_of, node.expressions)]).items():
            yield Fault(f"`{name}`: {problem}", offset_of(node.expressions[position]))


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


def parts_of(node: Expr, context: Context) -> list[tuple[Expr, Context]]:
    """Return what a node consists of, each with the context that it stands in."""
    if isinstance(node, exp.Paren):
        return [(node.this, context)]
    if isinstance(node, exp.Case):
        inner: list[tuple[Expr, Context]] = []
        for branch in node.args["ifs"]:
            inner += [(branch.this, "boolean"), (branch.args["true"], context)]
        default = node.args.get("default")
        return inner + ([(default, context)] if default is not None else [])
    if isinstance(node, exp.Anonymous):
        return list(zip(node.expressions, _argument_contexts(node, context), strict=True))
    if isinstance(node, exp.Is):
        return [(node.this, "text")]
    outside = _operand_context(node)
    return [(child, outside) for child in node.iter_expressions() if not isinstance(child, exp.Identifier)]


def _operand_context(node: Expr) -> Context:
    if isinstance(node, (exp.And, exp.Or, exp.Not)):
        return "boolean"
    return "text" if isinstance(node, exp.DPipe) else "number"


def _argument_contexts(node: exp.Anonymous, context: Context) -> list[Context]:
    function = FUNCTIONS[str(node.this)]
    return [
        _argument_context(function, argument, context)
        for argument in function.arguments_for(len(node.expressions))
    ]


def _argument_context(function: Function, argument: Argument, context: Context) -> Context:
    if argument.sort == "same":
        return context
    if argument.sort == "cell":
        return "cell_number" if function.name == "cell_number" else "cell"
    if argument.sort in ("number", "count", "digits"):
        return "number"
    return "boolean" if argument.sort == "boolean" else "text"


def untyped_columns(tree: Expr, derived: Container[str]) -> Iterator[Fault]:
    """Find columns of files that something is computed with as if they had types; derived columns have."""
    for node, context in walk(tree):
        if isinstance(node, exp.Column) and context in ("number", "boolean") and node.name not in derived:
            yield Fault(
                f"columns have no types here yet: write cell_number({node.name}), or a function such as cell_equal",
                offset_of(node),
            )


def walk(tree: Expr, context: Context = "text") -> Iterator[tuple[Expr, Context]]:
    """Go through all parts with their contexts, parents first, from left to right."""
    stack: list[tuple[Expr, Context]] = [(tree, context)]
    while stack:
        node, inside = stack.pop()
        yield node, inside
        stack.extend(reversed(parts_of(node, inside)))


def uses_of(tree: Expr) -> tuple[Use, ...]:
    """Return the columns that an expression uses, each use once, in order."""
    found = {Use(node.name, context): None for node, context in walk(tree) if isinstance(node, exp.Column)}
    return tuple(found)
