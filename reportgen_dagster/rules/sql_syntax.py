"""How expressions are read: sqlglot's DuckDB syntax without its functions, and the bounds that hold before parsing.

What belongs here: from text to a tree of any kind. What does not: which trees are allowed (expressions.py).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, ClassVar

from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ParseError, TokenError
from sqlglot.expressions import Expr
from sqlglot.parsers.duckdb import DuckDBParser
from sqlglot.tokenizer_core import Token, TokenType

from reportgen_dagster.rules.faults import ExpressionError, Fault

MAX_CHARACTERS = 10_000
MAX_NESTING = 100
_RECURSION = 20_000  # frames; sqlglot takes about 25 for each level of nesting, the compiler fewer
_OPENING = (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.CASE)
_CLOSING = (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.END)
_WRAPPERS = ("cell_number", "as_read", "text")  # what translating a formula puts around its parts
_REFUSED: dict[TokenType, str] = {
    TokenType.SEMICOLON: "several statements are not allowed",
    TokenType.DCOLON: "`::` is not allowed; write cast(a as integer)",
    TokenType.PARAMETER: "a parameter is written `:name`",
    TokenType.PLACEHOLDER: "a parameter is written `:name`",
}


class _Language(DuckDB):
    """DuckDB's syntax without its functions."""

    class Tokenizer(DuckDB.Tokenizer):
        """Reads `number` as the name of the type of that name."""

        KEYWORDS: ClassVar[dict[str, TokenType]] = {**DuckDB.Tokenizer.KEYWORDS, "NUMBER": TokenType.DOUBLE}

    class Parser(DuckDBParser):
        """Reads every call as a plain call, and no digits into a type that has none."""

        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {"CAST": DuckDBParser.FUNCTION_PARSERS["CAST"]}
        NO_PAREN_FUNCTIONS: ClassVar[dict[Any, Any]] = {}
        NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            "CASE": DuckDBParser.NO_PAREN_FUNCTION_PARSERS["CASE"]
        }
        TYPE_CONVERTERS: ClassVar[dict[Any, Any]] = {}


_LANGUAGE = _Language()


def allow_nesting() -> None:
    """Raise Python's recursion limit to what nesting needs, also deep inside a web server's stack."""
    if sys.getrecursionlimit() < _RECURSION:
        sys.setrecursionlimit(_RECURSION)


def is_plain_name(name: str) -> bool:
    """Tell whether a column can be named without quotes."""
    if not name.isascii() or not name.isidentifier():
        return False
    tokens = _LANGUAGE.tokenize(name)
    return len(tokens) == 1 and tokens[0].token_type is TokenType.VAR


def parsed(text: str) -> Expr:
    """Parse one expression, whatever it consists of.

    Raises:
        ExpressionError: If it is too long, nested too deeply, or not one expression.
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
    return trees[0]


def _tokens(text: str) -> list[Token]:
    try:
        tokens = list(_LANGUAGE.tokenize(text))
    except TokenError:
        raise ExpressionError([Fault("a quote or comment never closes")]) from None
    for token in tokens:
        if token.comments:
            raise ExpressionError([Fault("comments are not allowed", token.start)])
        if token.token_type in _REFUSED:
            raise ExpressionError([Fault(_REFUSED[token.token_type], token.start)])
    _judge_depth(tokens)
    return tokens


def _judge_depth(tokens: Iterable[Token]) -> None:
    """Refuse deep nesting; the calls that translating a formula adds are free, unless they stand in one another."""
    open_marks: list[bool] = []
    before = ""
    for token in tokens:
        if token.token_type in _OPENING:
            free = token.token_type is TokenType.L_PAREN and before in _WRAPPERS
            open_marks.append(not free or (bool(open_marks) and not open_marks[-1]))
        elif token.token_type in _CLOSING and open_marks:
            open_marks.pop()
        if len(open_marks) > MAX_NESTING and sum(open_marks) > MAX_NESTING:
            raise ExpressionError([Fault(f"nested deeper than {MAX_NESTING} levels", token.start)])
        before = token.text


def _syntax_fault(error: ParseError, text: str) -> Fault:
    found = error.errors[0] if error.errors else {}
    near = str(found.get("highlight") or "")
    offset = max(0, int(found.get("col") or 1) - len(near)) if text.count("\n") == 0 else 0
    return Fault(f"this is no expression{f', near `{near[:40]}`' if near else ''}", offset)
