"""How expressions are read: sqlglot's DuckDB syntax without its functions, and the bounds that hold before parsing.

What belongs here: from text to a tree of any kind. What does not: which trees are allowed (gate.py).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ParseError, TokenError
from sqlglot.expressions import Expr
from sqlglot.parsers.duckdb import DuckDBParser
from sqlglot.tokenizer_core import Token, TokenType

from reportgen_dagster.rules.expressions.characters import SURROGATE, UNSEEN, character
from reportgen_dagster.rules.expressions.faults import ExpressionError, Fault

MAX_CHARACTERS = 10_000
MAX_NESTING = 100
MAX_CHAIN = 500
_RECURSION = 20_000  # frames; sqlglot takes about 25 for each level of nesting, the compiler fewer
_OPENING = (TokenType.L_PAREN, TokenType.CASE)
_CLOSING = (TokenType.R_PAREN, TokenType.END)
_WRAPPERS = ("cell_number", "as_read", "text")  # what translating a formula puts around its parts
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFUSED: dict[TokenType, str] = {
    TokenType.SEMICOLON: "several statements are not allowed",
    TokenType.DCOLON: "`::` is not allowed; write cast(a as integer)",
    TokenType.L_BRACE: "`{` is not allowed",
    # Before parsing: many of them in a row take the parser seconds.
    TokenType.L_BRACKET: "`[ ]` is not allowed in an expression; a list stands only behind `in`, in round brackets;"
    " a part of a text is substring(text, start, length) or split_part",
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

        def _warn_unsupported(self) -> None:
            """Refuse statements that sqlglot knows only the first word of."""
            self.raise_error("a statement is no expression")

        def _parse_types(self, check_func: bool = False, *args: Any, **options: Any) -> Expr | None:  # noqa: FBT001, FBT002 - sqlglot's
            """Read a name as a type only before a text, as `date '..'`: to try both takes twice as long at each level."""
            named = check_func and not (self._next and self._next.token_type is TokenType.STRING)
            return None if named else super()._parse_types(check_func, *args, **options)

        def _parse_placeholder(self) -> Expr | None:
            """Keep where a parameter stands."""
            colon = self._curr
            parameter = super()._parse_placeholder()
            return parameter.update_positions(colon) if parameter else None


_LANGUAGE = _Language()


def allow_nesting() -> None:
    """Raise Python's recursion limit to what nesting needs, also deep inside a web server's stack."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION))


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
    lone = SURROGATE.search(text)
    if lone:
        raise ExpressionError([Fault(f"{character(lone[0])} is not allowed", lone.start())])
    tokens = _tokens(text)
    try:
        trees = _LANGUAGE.parser().parse(tokens, text)
    except ParseError as error:
        raise ExpressionError([_syntax_fault(error, text, tokens)]) from None
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
    _judge_characters(text, tokens)
    for token in tokens:
        if token.comments:
            raise ExpressionError([Fault("comments are not allowed", token.start)])
        if token.token_type in _REFUSED:
            raise ExpressionError([Fault(_REFUSED[token.token_type], token.start)])
        written = text[token.start : token.end + 1]
        if token.token_type is TokenType.NUMBER and "_" in written:
            raise ExpressionError(
                [Fault(f"`{written[:40]}` is no number; write {token.text[:40]}", token.start)]
            )
    _name_parameters(text, tokens)
    _judge_depth(tokens)
    return tokens


def _judge_characters(text: str, tokens: Iterable[Token]) -> None:
    """Refuse what cannot be seen, but in texts."""
    unseen = [found.start() for found in UNSEEN.finditer(text)]
    if not unseen:
        return
    texts = [(token.start, token.end) for token in tokens if token.token_type is TokenType.STRING]
    for at in unseen:
        if not any(start <= at <= end for start, end in texts):
            raise ExpressionError([Fault(f"{character(text[at])} is not allowed here", at)])


def _name_parameters(text: str, tokens: Iterable[Token]) -> None:
    """Read any word behind a colon as a name, whatever else it means."""
    before = None
    for token in tokens:
        written = text[token.start : token.end + 1]
        if before is TokenType.COLON and _WORD.fullmatch(written):
            token.token_type, token.text = TokenType.VAR, written
        before = token.token_type


def _judge_depth(tokens: Iterable[Token]) -> None:
    """Refuse deep nesting; the calls that translating a formula adds are free, unless they stand in one another."""
    open_marks: list[bool] = []
    before = ""
    for token in tokens:
        if token.token_type in _OPENING:
            free = token.token_type is TokenType.L_PAREN and before in _WRAPPERS
            open_marks.append(not free or (bool(open_marks) and not open_marks[-1]))
            if sum(open_marks) > MAX_NESTING:
                raise ExpressionError([Fault(f"nested deeper than {MAX_NESTING} levels", token.start)])
        elif token.token_type in _CLOSING and open_marks:
            open_marks.pop()
        before = token.text


def _syntax_fault(error: ParseError, text: str, tokens: Sequence[Token]) -> Fault:
    """Tell of the last token that sqlglot had come to."""
    found = error.errors[0]
    place = (int(found["line"]), int(found["col"]))
    near = [token for token in tokens if (token.line, token.col) <= place][-1]
    written = " ".join(text[near.start : near.end + 1].split())
    hint = _two_names_hint(text, [token for token in tokens if token.start <= near.start])
    return Fault(f"this is no expression, near `{written[:40]}`{hint}", near.start)


def _two_names_hint(text: str, tokens: Sequence[Token]) -> str:
    """Return what to do where a name stands right behind another one, as when a column's name has a blank."""
    for first, second in pairwise(tokens):
        is_pair = first.token_type is TokenType.VAR and second.token_type is TokenType.VAR
        if is_pair and '"' not in (text[first.start], text[second.start]):
            return f'; a name with blanks stands in double quotes: "{first.text} {second.text}"'
    return ""


def refuse_chains(tree: Expr) -> None:
    """Refuse operators in a row without end: they nest to the left.

    Raises:
        ExpressionError: If there are too many.
    """
    fault = Fault(f"more than {MAX_CHAIN} operators in a row")
    if _longest_chain(tree) > MAX_CHAIN:
        raise ExpressionError([fault])
    level = [tree]
    for _ in range(MAX_CHAIN + 4 * MAX_NESTING):
        level = [child for node in level for child in node.iter_expressions()]
        if not level:
            return
    raise ExpressionError([fault])


def _longest_chain(tree: Expr) -> int:
    """Return how many operators with two sides stand one right below another, at most."""
    longest = 0
    stack = [(tree, 0)]
    while stack:
        node, above = stack.pop()
        count = above + 1 if isinstance(node, exp.Binary) else 0
        longest = max(longest, count)
        stack += [(child, count) for child in node.iter_expressions()]
    return longest
