"""Reads the text of a formula by Python's grammar, within bounds that hold before its parser starts.

What belongs here: text to tree. What does not: which trees are formulas (formulas.py).
"""

from __future__ import annotations

import ast
import io
import token as tokens
import tokenize
import warnings

from reportgen_dagster.rules.expressions.characters import SURROGATE, character
from reportgen_dagster.rules.expressions.gate import (
    MAX_CHAIN,
    MAX_CHARACTERS,
    MAX_NESTING,
    ExpressionError,
    Fault,
)


def bounded(formula: str) -> None:
    """Refuse before parsing what is too long, too deep or more than an expression.

    Raises:
        ExpressionError: With the first such thing.
    """
    if len(formula) > MAX_CHARACTERS:
        raise ExpressionError([Fault(f"the formula is longer than {MAX_CHARACTERS:,} characters")])
    if "\0" in formula:
        raise ExpressionError([Fault("a NUL character is not allowed", formula.index("\0"))])
    lone = SURROGATE.search(formula)
    if lone:
        raise ExpressionError([Fault(f"{character(lone[0])} is not allowed", lone.start())])
    if not formula.strip():
        raise ExpressionError([Fault("the formula is empty")])
    depth = prefixes = 0
    for kind, text, offset in _lexed(formula):
        if kind == tokens.COMMENT:
            raise ExpressionError([Fault("comments are not allowed in a formula", offset)])
        if text == ";":
            raise ExpressionError([Fault("several statements are not allowed", offset)])
        depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
        prefixes = prefixes + 1 if text in ("-", "+", "~", "not", "**", "if", "lambda") else prefixes
        if depth > MAX_NESTING:
            raise ExpressionError([Fault(f"nested deeper than {MAX_NESTING} levels", offset)])
        if prefixes > 4 * MAX_CHAIN:
            raise ExpressionError([Fault(f"more than {MAX_CHAIN} operators in a row", offset)])


def _lexed(formula: str) -> list[tuple[int, str, int]]:
    """Return kind, text and offset of the tokens, as far as they can be told."""
    found: list[tuple[int, str, int]] = []
    line = one_line(formula)
    try:
        found.extend(
            (token.type, token.string, token.start[1])
            for token in tokenize.generate_tokens(io.StringIO(line).readline)
        )
    except (tokenize.TokenError, SyntaxError, UnicodeError):
        depth = sum(line.count(mark) for mark in "([{")
        if depth > MAX_NESTING:
            raise ExpressionError([Fault(f"nested deeper than {MAX_NESTING} levels")]) from None
    return found


def one_line(formula: str) -> str:
    """Return the formula with blanks for line ends and tabs, so that offsets stay."""
    return formula.translate({10: " ", 13: " ", 12: " ", 9: " "}).rstrip()


def parsed(formula: str) -> ast.expr:
    """Return the tree of a formula that is within the bounds.

    Raises:
        ExpressionError: If it is no expression of Python.
    """
    line = one_line(formula)
    blanks = len(line) - len(line.lstrip())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(line[blanks:], mode="eval")
    except SyntaxError as error:
        offset = blanks + min((error.offset or len(line)) - 1, len(line) - blanks)
        raise ExpressionError([Fault(f"this is no formula: {_plain_reason(error, line)}", offset)]) from None
    except (ValueError, MemoryError, RecursionError, UnicodeError):
        raise ExpressionError([Fault("this is no formula: nested too deeply or not readable")]) from None
    return tree.body


def _plain_reason(error: SyntaxError, line: str) -> str:
    reason = (error.msg or "invalid syntax").split(". ")[0]
    if "=" in line and "==" not in line and "invalid syntax" in reason:
        return f"{reason}; compare with `==`"
    return reason
