"""What sort of value a node of a formula has, as far as it can be told without files.

What belongs here: `number`, `text`, `boolean`, `null`, or nothing where only the files can tell. What does not: translating
(formulas.py).
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from reportgen_dagster.rules.functions import FUNCTIONS, Function


class Sorts:
    """Tells the sorts of the nodes of one formula."""

    def __init__(self) -> None:
        """Begin without any."""
        self._known: dict[int, str] = {}

    def of(self, node: ast.expr) -> str:
        """Return the sort of a node; nothing where only the files can tell."""
        key = id(node)
        if key not in self._known:
            self._known[key] = self._sort(node)
        return self._known[key]

    def _sort(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return _constant_sort(node.value)
        if isinstance(node, (ast.Compare, ast.BoolOp)):
            return "boolean"
        if isinstance(node, ast.UnaryOp):
            return "boolean" if isinstance(node.op, ast.Not) else "number"
        if isinstance(node, ast.BinOp):
            return self._sum_sort(node) if isinstance(node.op, ast.Add) else "number"
        if isinstance(node, ast.IfExp):
            return _common([self.of(node.body), self.of(node.orelse)])
        return self._call_sort(node) if isinstance(node, ast.Call) else ""

    def _sum_sort(self, node: ast.BinOp) -> str:
        sorts = {self.of(node.left), self.of(node.right)}
        return next((sort for sort in ("number", "text") if sort in sorts), "")

    def _call_sort(self, node: ast.Call) -> str:
        function = _called(node)
        if function is None:
            return ""
        if function.result == "as its arguments":
            return _common([self.of(argument) for argument in _passed_on(function, node.args)])
        return function.formula_sort

    def is_text(self, node: ast.expr) -> bool:
        """Tell whether a node is by its form never a number, on no row."""
        if self.of(node) in ("text", "number"):
            return self.of(node) == "text"
        parts, every = alternatives(node)
        known = [self.is_text(part) for part in parts if self.of(part) != "null"]
        if not every:
            return any(known) and not any(self.of(part) == "number" for part in parts)
        return bool(known) and all(known)

    def is_plainly_text(self, node: ast.expr) -> bool:
        """Tell whether a node is a text in the long form, too, where a date is none."""
        if isinstance(node, ast.Constant):
            return isinstance(node.value, str)
        function = _called(node)
        return function is not None and function.result == "text"

    def chooses(self, node: ast.expr) -> bool:
        """Tell whether a node's value is one of its parts'."""
        function = _called(node)
        chosen = function is not None and any(argument.sort == "same" for argument in function.arguments)
        return isinstance(node, ast.IfExp) or chosen

    def mixes(self, parts: Sequence[ast.expr]) -> bool:
        """Tell whether values of which one is written must be made texts, because one is a text or they are of many sorts."""
        sorts = {self.of(part) for part in parts} - {"null"}
        return ("boolean" in sorts and len(sorts) > 1) or any(self._is_copied_as_text(part) for part in parts)

    def _is_copied_as_text(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name) or self.of(node) == "text":
            return True
        return self.chooses(node) and self.mixes(alternatives(node)[0])


def _called(node: ast.expr) -> Function | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return FUNCTIONS.get(node.func.id)
    return None


def _passed_on(function: Function, given: Sequence[ast.expr]) -> list[ast.expr]:
    """Return the arguments that a function may give back."""
    target = FUNCTIONS[function.translates_to] if function.translates_to else function
    arguments = target.arguments_for(len(given))
    return [
        value for argument, value in zip(arguments, given, strict=False) if argument.sort in ("same", "cell")
    ]


def alternatives(node: ast.expr) -> tuple[list[ast.expr], bool]:
    """Return the parts whose sort a node has, and whether each of them may be its value alone."""
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse], True
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [node.left, node.right], False
    function = _called(node)
    if function is None or not isinstance(node, ast.Call):
        return [], True
    if function.name in ("max", "min"):
        return node.args, False
    same = any(argument.sort == "same" for argument in function.arguments)
    return (_passed_on(function, node.args) if same else []), True


def _common(sorts: Sequence[str]) -> str:
    known = set(sorts) - {"null"}
    if not known:
        return "null"
    return known.pop() if len(known) == 1 else ""


def _constant_sort(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, (int, float)) else "text"


def literal(node: ast.expr) -> str | int | float | None:
    """Return the text or number that is written out, None for anything else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = literal(node.operand)
        sign = -1 if isinstance(node.op, ast.USub) else 1
        return sign * value if isinstance(value, (int, float)) else None
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float)):
        return None if isinstance(node.value, bool) else node.value
    return None
