"""Calls of aggregates and window functions inside expressions: arguments on the rows before, results on the rows after.

What belongs here: taking such an expression apart and putting it together again. What does not: what a function means
(functions/), which rows there are afterwards (relations.py, windows.py, pivots.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.compiling.blocks import OpenBlock, judge
from reportgen_dagster.rules.compiling.draft import Draft
from reportgen_dagster.rules.compiling.scopes import Scope, mapped, named
from reportgen_dagster.rules.expressions.arguments import prepared
from reportgen_dagster.rules.expressions.evaluation import Evaluator
from reportgen_dagster.rules.expressions.gate import aggregate_calls, arguments_of, function_of
from reportgen_dagster.rules.functions import Function
from reportgen_dagster.rules.reading.positions import Path
from reportgen_dagster.rules.reading.ruleset import Expression
from reportgen_dagster.rules.values import operators
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import Check, UnfitError, Value, any_value

UNNAMED = "\0"  # a measure that has no name of its own
Make = Callable[[Function, Sequence[Value], bool], Value]


@dataclass(frozen=True, slots=True)
class Call:
    """A call whose arguments are columns of the rows that the next block begins with."""

    function: Function
    values: tuple[Value, ...]
    distinct: bool
    node: Expr


@dataclass(frozen=True, slots=True)
class Apart:
    """An expression without its calls.

    Attributes:
        path: Where it stands in the document.
        expression: As a whole.
        tree: With a placeholder for each call.
        calls: The calls by their placeholders.
    """

    path: Path
    expression: Expression
    tree: Expr
    calls: Mapping[str, Call]

    @property
    def outside(self) -> list[str]:
        """Return the columns that it names outside of calls."""
        found = [node.name for node in self.tree.find_all(exp.Column)]
        return [name for name in found if name not in self.calls]

    @property
    def is_count(self) -> bool:
        """Tell whether it only counts, so that it is 0 where there is no row."""
        tree = self.tree
        call = self.calls.get(tree.name) if isinstance(tree, exp.Column) else None
        return call is not None and call.function.name.startswith("count")


def taken_apart(draft: Draft, block: OpenBlock, path: Path) -> Apart:
    """Take an expression apart; rows on which an argument fails get their verdict."""
    expression = draft.expression(path)
    evaluator = draft.evaluator(block.layers, block.scope, expression)
    root = exp.Paren(this=expression.tree.copy())
    calls: dict[str, Call] = {}
    for node in aggregate_calls(root):
        name = f"\0{len(calls)}"
        calls[name] = _call(draft, block, path, evaluator, node)
        placeholder = exp.column(exp.to_identifier(name, quoted=True))
        placeholder.meta.update(node.meta)
        node.replace(placeholder)
    return Apart(path, expression, root.this, calls)


def _call(draft: Draft, block: OpenBlock, path: Path, evaluator: Evaluator, node: exp.Anonymous) -> Call:
    function = function_of(node)
    arguments, distinct = arguments_of(node)
    values = []
    for argument, part in zip(function.arguments_for(len(arguments)), arguments, strict=True):
        value = evaluator.evaluate(part)
        problem = argument.kind_problem(value.kind)
        if problem:
            message = f"`{function.name}`: {problem}, not {operators.word_for(value)}"
            draft.report(draft.expression(path))(message, part)
            value = any_value()
        value = prepared(block.layers, argument.sort, value)
        judge(draft, block, path, value.checks)
        plain = named(block.layers, value.without_checks(), "argument")
        values.append(mapped(plain, block.handed, "argument"))
    return Call(function, tuple(values), distinct, node)


def rule_of(draft: Draft, apart: Apart, name: str) -> Callable[[], int]:
    """Return what gives the number of the rule that the column of an expression is."""
    return lambda: draft.rule(apart.path, "" if name == UNNAMED else name, apart.expression.text)


def put_together(
    draft: Draft, block: OpenBlock, apart: Apart, scope: Scope, make: Make
) -> tuple[Value, tuple[Check, ...]]:
    """Return what an expression is worth on the rows after, and what makes them errors.

    Args:
        draft: The plan in the making.
        block: The rows after.
        apart: The expression.
        scope: The columns that it may name outside of calls.
        make: Makes the value of a call, over the rows that the block begins with.
    """
    results: dict[str, Value] = {}
    checks: list[Check] = []
    for name, call in apart.calls.items():
        try:
            made = make(call.function, call.values, call.distinct)
        except UnfitError as error:
            draft.report(apart.expression)(f"`{call.function.name}`: {error}", call.node)
            made = any_value()
        checks += [_based(block.layers, check) for check in made.checks]
        results[name] = mapped(made, block.layers.base, call.function.name, also_constants=True)
    evaluator = draft.evaluator(block.layers, _with(scope, results), apart.expression)
    value = evaluator.evaluate(apart.tree)
    return value.without_checks(), (*checks, *value.checks)


def _based(layers: Layers, check: Check) -> Check:
    reason = check.reason if check.reason.find(exp.Column) is None else layers.base(check.reason, "reason")
    return Check(layers.base(check.condition, "fails"), reason)


@dataclass(frozen=True, slots=True)
class _Overlaid(Scope):
    """A scope with the results of calls, which have no names that a user knows."""

    results: Mapping[str, Value] | None = None

    def column(self, name: str) -> Value | None:
        """Return what a column or the result of a call is worth."""
        if self.results is not None and name in self.results:
            return self.results[name]
        found = self.find(name)
        return found.value() if found else None

    def cell(self, name: str) -> Value | None:
        """Return what the short form's functions take a column or the result of a call for."""
        if self.results is not None and name in self.results:
            return self.results[name]
        found = self.find(name)
        return found.cell() if found else None


def _with(scope: Scope, results: Mapping[str, Value]) -> Scope:
    return _Overlaid(scope.columns, scope.more, results=results)
