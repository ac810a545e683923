"""Translates formulas of the short form, in the syntax of a Python expression, into expressions of the long form.

What belongs here: Python's syntax, read by `ast` and never evaluated. What does not: what the result means (evaluation.py), what
sort of value a node has (formula_sorts.py).

Only the node types named in `_Translator` are read; everything else is refused with its place.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from reportgen_dagster.rules.expressions.faults import ExpressionError, Fault, meant
from reportgen_dagster.rules.expressions.formula_sorts import Sorts, alternatives, literal
from reportgen_dagster.rules.expressions.gate import MAX_CHAIN, MAX_NESTING, allow_nesting, is_plain_name
from reportgen_dagster.rules.expressions.python_syntax import bounded, one_line, parsed
from reportgen_dagster.rules.functions import FUNCTIONS, Argument, Function, argument_problems

# What becomes of a node's value: `text` it is written, `copied` it is one of the values that may be written, `written` likewise,
# but made a text because other ones are, `cell` it counts cell by cell, `number` and `boolean` it must be one.
Context = Literal["text", "copied", "written", "cell", "number", "boolean"]
_WRITING: tuple[Context, ...] = ("text", "copied", "written")
_ATOM, _UNARY, _PRODUCT, _SUM, _COMPARISON, _NOT, _AND, _OR = 9, 7, 6, 5, 4, 3, 2, 1
_NEGATIVE_NAMES: dict[type[ast.AST], str] = {
    ast.Attribute: "attributes (`a.b`) are not allowed",
    ast.Subscript: "subscripts (`a[...]`) are not allowed",
    ast.Lambda: "`lambda` is not allowed",
    ast.NamedExpr: "`:=` is not allowed",
    ast.JoinedStr: "f-strings are not allowed; join texts with `+`",
    ast.ListComp: "comprehensions are not allowed",
    ast.SetComp: "comprehensions are not allowed",
    ast.DictComp: "comprehensions are not allowed",
    ast.GeneratorExp: "comprehensions are not allowed",
    ast.Starred: "`*` before an argument is not allowed",
    ast.Await: "`await` is not allowed",
    ast.Yield: "`yield` is not allowed",
    ast.YieldFrom: "`yield` is not allowed",
    ast.List: "a list stands only behind `in`",
    ast.Tuple: "a list stands only behind `in`",
    ast.Set: "a list stands only behind `in`",
    ast.Dict: "dictionaries are not allowed",
}
_OTHER_MARKS: dict[type[ast.operator], str] = {
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.MatMult: "@",
}


@dataclass(frozen=True, slots=True)
class Translation:
    """A formula in the long form.

    Attributes:
        expression: The expression of the long form.
        columns: The columns that it uses, in order, with the offset of each one's first use.
    """

    expression: str
    columns: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Sql:
    """A piece of an expression and how tightly it holds together."""

    text: str
    rank: int = _ATOM

    def within(self, rank: int) -> str:
        """Return the piece as an operand, in parentheses where it holds less tightly."""
        return self.text if self.rank >= rank else f"({self.text})"


def translate(formula: str) -> Translation:
    """Translate one formula.

    Raises:
        ExpressionError: If it is no formula; with every fault that can be told.
    """
    allow_nesting()
    bounded(formula)
    tree = parsed(formula)
    translator = _Translator(formula)
    translator.judge_depth(tree)
    if translator.faults:
        raise ExpressionError(translator.faults)
    result = translator.translate(tree, "text")
    if translator.faults:
        raise ExpressionError(translator.faults)
    return Translation(result.text, translator.columns)


class _Translator:
    """Walks the tree of one formula."""

    def __init__(self, formula: str) -> None:
        line = one_line(formula)
        self.blanks = len(line) - len(line.lstrip())
        self.line = line[self.blanks :]
        self.encoded = self.line.encode()
        self.faults: list[Fault] = []
        self.columns: dict[str, int] = {}
        self.sorts = Sorts()

    # places and faults

    def offset(self, node: ast.expr) -> int:
        return self.blanks + len(self.encoded[: node.col_offset].decode(errors="ignore"))

    def refuse(self, node: ast.expr, message: str) -> _Sql:
        self.faults.append(Fault(message, self.offset(node)))
        return _Sql("null")

    def judge_depth(self, tree: ast.expr) -> None:
        """Refuse trees that nest too deep, apart from operators in a row, or have too many of those."""
        stack: list[tuple[ast.AST, int, int]] = [(tree, 0, 0)]
        while stack:
            node, depth, chain = stack.pop()
            if depth > MAX_NESTING or chain > MAX_CHAIN:
                what = (
                    f"nested deeper than {MAX_NESTING} levels"
                    if depth > MAX_NESTING
                    else f"more than {MAX_CHAIN} operators in a row"
                )
                self.faults.append(Fault(what, self.offset(node) if isinstance(node, ast.expr) else 0))
                return
            for child in ast.iter_child_nodes(node):
                left_spine = (
                    isinstance(node, ast.BinOp) and child is node.left and isinstance(child, ast.BinOp)
                )
                else_spine = (
                    isinstance(node, ast.IfExp) and child is node.orelse and isinstance(child, ast.IfExp)
                )
                nests = isinstance(child, ast.expr) and any(True for _ in _operands(child))
                weight = 0 if left_spine or else_spine or not nests else _weight(child)
                stack.append((child, depth + weight, chain + 1 if left_spine or else_spine else chain))

    def refuse_texts(self, operands: Sequence[ast.expr]) -> None:
        """Refuse what is a text by its form where only a number can ever work; what is one on some rows is for the run."""
        message = "a text stands where a number is needed; number(...) reads a text as a number"
        self.faults += [Fault(message, self.offset(node)) for node in operands if self.sorts.is_text(node)]

    # translation

    def number(self, node: ast.expr) -> _Sql:
        """Translate an operand that must be a number."""
        self.refuse_texts([node])
        return self.translate(node, "number")

    def translate(self, node: ast.expr, context: Context) -> _Sql:
        """Translate a node for the context that it stands in."""
        build = self._BUILDERS.get(type(node))
        if build is None:
            message = _NEGATIVE_NAMES.get(type(node), "this is not allowed in a formula")
            return self.refuse(node, message)
        if context == "written" and not self.sorts.is_plainly_text(node) and not self.sorts.chooses(node):
            return self.as_written(node, build)
        sort = self.sorts.of(node)
        if context == "boolean" and sort not in ("boolean", "null"):
            self.faults.append(
                Fault("a condition must be a comparison, such as `x != 0` or `x == 'yes'`", self.offset(node))
            )
        elif context in ("cell", "number") and sort == "boolean":
            self.faults.append(
                Fault("true or false stands where a number or text is needed", self.offset(node))
            )
        piece: _Sql = build(self, node, context)
        if context == "number" and sort == "text":  # one of several values: an error on the rows that take it
            return _Sql(f"cell_number({piece.text})")
        return piece

    def as_written(self, node: ast.expr, build: Callable[..., _Sql]) -> _Sql:
        """Translate a node to the text that it is written as."""
        if isinstance(node, ast.Name):
            return build(self, node, "written")
        piece: _Sql = build(self, node, "text")
        return piece if self.sorts.of(node) == "null" else _Sql(f"text({piece.text})")

    def name(self, node: ast.Name, context: Context) -> _Sql:
        self.columns.setdefault(node.id, self.offset(node))
        named = node.id if is_plain_name(node.id) else '"' + node.id.replace('"', '""') + '"'
        if context == "number":
            return _Sql(f"cell_number({named})")
        return _Sql(f"as_read({named})" if context in ("copied", "written") else named)

    def constant(self, node: ast.Constant, _: Context) -> _Sql:
        value = node.value
        if value is None or isinstance(value, bool):
            return _Sql(str(value).lower() if value is not None else "null")
        if isinstance(value, str):
            if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
                return self.refuse(node, "the text has a character that no file can hold")
            return _Sql("'" + value.replace("'", "''") + "'")
        if isinstance(value, int):
            return _Sql(str(value)) if value < 2**63 else self.refuse(node, "the number is too large")
        if isinstance(value, float) and math.isfinite(value):
            return _Sql(repr(value))
        return self.refuse(node, "only numbers and texts can be written out")

    def unary(self, node: ast.UnaryOp, _: Context) -> _Sql:
        if isinstance(node.op, ast.Not):
            return _Sql(f"not {self.translate(node.operand, 'boolean').within(_COMPARISON)}", _NOT)
        if isinstance(node.op, ast.Invert):
            return self.refuse(node, "`~` is not allowed; write `not`")
        operand = self.number(node.operand)
        return operand if isinstance(node.op, ast.UAdd) else _Sql(f"-{operand.within(_ATOM)}", _UNARY)

    def binary(self, node: ast.BinOp, context: Context) -> _Sql:
        if isinstance(node.op, ast.Add):
            return self.sum(node, context)
        if isinstance(node.op, (ast.Div, ast.FloorDiv, ast.Mod)) and literal(node.right) == 0:
            self.faults.append(Fault("division by zero", self.offset(node.right)))
        for kinds, mark, rank in ((ast.Sub, "-", _SUM), (ast.Mult, "*", _PRODUCT), (ast.Div, "/", _PRODUCT)):
            if isinstance(node.op, kinds):
                left, right = self.number(node.left), self.number(node.right)
                return _Sql(f"{left.within(rank)} {mark} {right.within(rank + 1)}", rank)
        for kind, name in ((ast.FloorDiv, "floor_divide"), (ast.Mod, "floor_modulo"), (ast.Pow, "power")):
            if isinstance(node.op, kind):
                self.refuse_texts([node.left, node.right])
                return self.called(name, [node.left, node.right], "number")
        return self.refuse(node, f"`{_OTHER_MARKS[type(node.op)]}` is not allowed; there are + - * / // % **")

    def called(self, name: str, arguments: Sequence[ast.expr], context: Context) -> _Sql:
        given = [self.translate(argument, context).text for argument in arguments]
        return _Sql(f"{name}({', '.join(given)})")

    def sum(self, node: ast.BinOp, context: Context) -> _Sql:
        if self.sorts.of(node) == "number":
            self.refuse_texts([node.left, node.right])
        if context == "number" or self.sorts.of(node) == "number":
            left, right = self.translate(node.left, "number"), self.translate(node.right, "number")
            return _Sql(f"{left.within(_SUM)} + {right.within(_SUM + 1)}", _SUM)
        terms: list[ast.expr] = [node.right]
        first: ast.expr = node.left
        while (
            isinstance(first, ast.BinOp)
            and isinstance(first.op, ast.Add)
            and self.sorts.of(first) != "number"
        ):
            terms.append(first.right)
            first = first.left
        return self.called("cell_add", [first, *reversed(terms)], "cell")

    def connected(self, node: ast.BoolOp, _: Context) -> _Sql:
        word, rank = ("and", _AND) if isinstance(node.op, ast.And) else ("or", _OR)
        parts = [self.translate(value, "boolean").within(rank + 1) for value in node.values]
        return _Sql(f" {word} ".join(parts), rank)

    def conditional(self, node: ast.IfExp, context: Context) -> _Sql:
        inside = self.choice_context(node, context)
        sorts = {self.sorts.of(node.body), self.sorts.of(node.orelse)} - {"null"}
        if "boolean" in sorts and len(sorts) > 1 and context not in _WRITING:
            return self.refuse(node, "one branch is true or false, the other is not")
        text, rest = "case", node
        while True:
            condition = self.translate(rest.test, "boolean").text
            text += f" when {condition} then {self.translate(rest.body, inside).text}"
            if not isinstance(rest.orelse, ast.IfExp):
                break
            rest = rest.orelse
        return _Sql(f"{text} else {self.translate(rest.orelse, inside).text} end")

    def choice_context(self, node: ast.expr, context: Context) -> Context:
        """Return the context of values of which one is taken: as texts, if it is written and one of them is a text."""
        if context not in _WRITING:
            return context
        return "written" if context == "written" or self.sorts.mixes(alternatives(node)[0]) else "copied"

    def comparison(self, node: ast.Compare, _: Context) -> _Sql:
        sides = [node.left, *node.comparators]
        parts = [
            self.compared(operator, left, right)
            for operator, left, right in zip(node.ops, sides, sides[1:], strict=False)
        ]
        if len(parts) == 1:
            return parts[0]
        return _Sql(" and ".join(part.within(_NOT) for part in parts), _AND)

    def compared(self, operator: ast.cmpop, left: ast.expr, right: ast.expr) -> _Sql:
        if isinstance(operator, (ast.Is, ast.IsNot)):
            return self.null_test(operator, left, right)
        if isinstance(operator, (ast.In, ast.NotIn)):
            return self.membership(operator, left, right)
        for side in (left, right):
            if self.sorts.of(side) == "null":
                return self.refuse(side, "nothing compares with None; write `is None` or `is not None`")
        if isinstance(operator, (ast.Eq, ast.NotEq)):
            return _negated(self.equality(left, right), isinstance(operator, ast.NotEq))
        context: Context = "number" if "number" in (self.sorts.of(left), self.sorts.of(right)) else "cell"
        if context == "number":
            self.refuse_texts([left, right])
        swapped = isinstance(operator, (ast.Gt, ast.GtE))
        name = "cell_less" if isinstance(operator, (ast.Lt, ast.Gt)) else "cell_less_or_equal"
        return self.called(name, [right, left] if swapped else [left, right], context)

    def equality(self, left: ast.expr, right: ast.expr) -> _Sql:
        sorts = (self.sorts.of(left), self.sorts.of(right))
        if sorts == ("boolean", "boolean"):
            sides = [self.translate(side, "boolean").within(_COMPARISON + 1) for side in (left, right)]
            return _Sql(" = ".join(sides), _COMPARISON)
        return self.called("cell_equal", [left, right], "cell")

    def null_test(self, operator: ast.cmpop, left: ast.expr, right: ast.expr) -> _Sql:
        if not (isinstance(right, ast.Constant) and right.value is None):
            return self.refuse(right, "behind `is` stands only `None` or `not None`; compare with `==`")
        word = "is not null" if isinstance(operator, ast.IsNot) else "is null"
        return _Sql(f"{self.translate(left, 'text').within(_ATOM)} {word}", _COMPARISON)

    def membership(self, operator: ast.cmpop, left: ast.expr, right: ast.expr) -> _Sql:
        if not isinstance(right, (ast.List, ast.Tuple, ast.Set)):
            return self.refuse(
                right, "behind `in` stands a list, such as `['a', 'b']`; for a part use contains()"
            )
        if not right.elts:
            return self.refuse(right, "the list is empty")
        for element in right.elts:
            if self.sorts.of(element) == "null":
                return self.refuse(element, "nothing compares with None; write `is None`")
        return _negated(self.called("cell_in", [left, *right.elts], "cell"), isinstance(operator, ast.NotIn))

    def call(self, node: ast.Call, context: Context) -> _Sql:
        if not isinstance(node.func, ast.Name):
            return self.refuse(node, "only functions of the table can be called, by their names")
        function = FUNCTIONS.get(node.func.id)
        if function is None:
            return self.refuse(node, f"unknown function `{node.func.id}`{meant(node.func.id, FUNCTIONS)}")
        starred = [argument for argument in node.args if isinstance(argument, ast.Starred)]
        if node.keywords or starred:
            return self.refuse(
                node, f"`{function.name}` takes its arguments by position: {function.signature}"
            )
        target = FUNCTIONS[function.translates_to or function.alias_of or function.name]
        problem = _call_problem(function, target, len(node.args))
        if problem:
            return self.refuse(node, problem)
        for position, wrong in argument_problems(target, [*map(literal, node.args)]).items():
            self.refuse(node.args[position], f"`{function.name}`: {wrong}")
        cells = self.cell_context(target.name, node.args, context)
        same = self.choice_context(node, context)
        given = [
            self.argument(argument, value, same, cells)
            for argument, value in zip(target.arguments_for(len(node.args)), node.args, strict=True)
        ]
        return _Sql(f"{target.name}({', '.join(given)})")

    def cell_context(self, name: str, arguments: Sequence[ast.expr], context: Context) -> Context:
        """Return what the arguments are that may be numbers or texts: numbers, if one of them must be."""
        if name not in ("cell_max", "cell_min"):
            return "cell"
        figures = any(self.sorts.of(argument) == "number" for argument in arguments)
        if figures:
            self.refuse_texts(arguments)
        return "number" if figures or context == "number" else "cell"

    def argument(self, argument: Argument, value: ast.expr, same: Context, cells: Context) -> str:
        context: Context = "text"
        if argument.sort == "same":
            context = same
        elif argument.sort == "cell":
            context = cells
        elif argument.sort == "boolean":
            context = "boolean"
        elif argument.sort in ("digits", "positive", "share"):
            context = "number"
        elif argument.sort in ("date", "time", "datetime") and isinstance(value, ast.Name):
            context = "written"
        elif argument.sort in ("number", "count"):
            return self.number(value).text
        return self.translate(value, context).text

    _BUILDERS: ClassVar[dict[type[ast.expr], Callable[..., _Sql]]] = {
        ast.Name: name,
        ast.Constant: constant,
        ast.UnaryOp: unary,
        ast.BinOp: binary,
        ast.BoolOp: connected,
        ast.IfExp: conditional,
        ast.Compare: comparison,
        ast.Call: call,
    }


def _call_problem(function: Function, target: Function, given: int) -> str:
    """Return why a function cannot be called with so many arguments in a formula, or nothing."""
    if target.role != "scalar" and not (target.several and given > 1):
        return f"`{function.name}` computes over many rows; a formula sees one row"
    if target.accepts(given):
        return ""
    signature = target.signature.replace(target.name, function.name, 1)
    return f"`{function.name}` takes {target.arity}, not {given}: {signature}"


def _negated(piece: _Sql, negate: bool) -> _Sql:  # noqa: FBT001 - two callers, both beside the operator they read
    return _Sql(f"not {piece.within(_COMPARISON + 1)}", _NOT) if negate else piece


def _operands(node: ast.AST) -> list[ast.AST]:
    return [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]


def _weight(node: ast.AST) -> int:
    """Return how many levels of the long form a node may take."""
    return 2 if isinstance(node, ast.Compare) and len(node.ops) > 1 else 1
