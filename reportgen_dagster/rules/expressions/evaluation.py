"""What an expression is worth on each row: a value that cannot fail, and the checks that tell on which rows it is void.

What belongs here: from parsed and judged expressions to values; problems that types alone can tell. What does not: what operators
and functions make of values (operators.py, numbers.py, temporal.py, casts.py, functions/), where columns come from.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import ClassVar, Protocol

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.expressions.arguments import prepared, unknown_boolean
from reportgen_dagster.rules.expressions.faults import meant
from reportgen_dagster.rules.expressions.gate import (
    Reading,
    allow_nesting,
    arguments_of,
    function_of,
    parts_of,
    target_type,
)
from reportgen_dagster.rules.expressions.type_problems import (
    comparison_problem,
    mixture_problem,
    operand_problem,
    shown,
)
from reportgen_dagster.rules.functions import Argument, Function
from reportgen_dagster.rules.values import casts, numbers, operators, quotients, temporal
from reportgen_dagster.rules.values.folding import folded
from reportgen_dagster.rules.values.layers import MAX_LEVELS, Layers
from reportgen_dagster.rules.values.like import like
from reportgen_dagster.rules.values.literals import integer_value, literal_value
from reportgen_dagster.rules.values.typed import (
    UnfitError,
    Value,
    all_of,
    any_value,
    call,
    double,
    is_present,
    negated,
    null_value,
    present,
    text,
    true,
)

__all__ = ["Environment", "Evaluator", "Report", "Scope", "literal_value", "reads_cells", "shown"]

Report = Callable[[str, Expr], None]
_QUOTIENTS: dict[type[Expr], Callable[[Layers, Value, Value], Value]] = {
    exp.Div: numbers.divide,
    exp.IntDiv: quotients.divide,
    exp.Mod: quotients.modulo,
}
_COMPARISONS: tuple[type[exp.Binary], ...] = (exp.LT, exp.LTE, exp.GT, exp.GTE)


TOO_DEEP = (
    f"more than {MAX_LEVELS:,} calculations that each need the one before (a quotient of decimals takes nine); "
    "use fewer operators"
)


class Scope(Protocol):
    """The columns that an expression sees."""

    def column(self, name: str) -> Value | None:
        """Return a column as its type says, None if there is none of this name."""

    def cell(self, name: str) -> Value | None:
        """Return a column as the short form's functions see it, cell by cell; None if there is none of this name."""

    def names(self) -> Sequence[str]:
        """Return the columns whose names are known."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What else an expression may depend on.

    Attributes:
        parameters: The value of each `:parameter`.
        run_date: What `today()` is.
    """

    parameters: Mapping[str, Value]
    run_date: dt.date


class Evaluator:
    """Evaluates expressions over the columns of one scope.

    A user's fault is reported, and evaluation goes on with what fits everywhere.
    """

    def __init__(
        self,
        layers: Layers,
        scope: Scope,
        environment: Environment,
        report: Report,
        made: Collection[str] = (),
    ) -> None:
        """Take the columns from `scope`; tell of problems by `report(message, node)`; `made` is seen by later steps only."""
        allow_nesting()
        self.made = made
        self.layers = layers
        self.scope = scope
        self.environment = environment
        self.report = report

    def evaluate(self, tree: Expr) -> Value:
        """Return what an expression is worth."""
        value = self._evaluate(tree, "type")
        return operators.as_number(self.layers, value) if value.required else value

    def condition(self, tree: Expr) -> Value:
        """Return what a condition is worth: true, false or null."""
        value = self._evaluate(tree, "type")
        if value.kind == "boolean":
            return value
        if value.kind not in ("null", "any"):
            message = (
                f"{shown(tree)} is {operators.word_for(value)}; a condition is true or false, such as `x > 0`"
            )
            self.report(message, tree)
        return unknown_boolean(value.checks)

    def _evaluate(self, node: Expr, reading: Reading) -> Value:
        if isinstance(node, exp.Paren):
            return self._evaluate(node.this, reading)
        if isinstance(node, exp.Column):
            return self._column(node, reading)
        if isinstance(node, exp.Case):
            return self._fitting(node, lambda: self._case(node, reading))
        if isinstance(node, exp.Anonymous):
            return self._fitting(node, lambda: self._call(node, reading))
        build = self._BUILDERS[type(node)]
        return self._fitting(node, lambda: build(self, node))

    def _fitting(self, node: Expr, build: Callable[[], Value]) -> Value:
        """Report what does not fit together."""
        try:
            return self._bounded(build())
        except UnfitError as error:
            self.report(f"{shown(node)}: {error}", node)
            return any_value()

    def _bounded(self, value: Value) -> Value:
        if self.layers.is_too_deep and value.kind != "any":
            raise UnfitError(TOO_DEEP)
        return folded(self.layers, value)

    # leaves

    def _column(self, node: exp.Column, reading: Reading) -> Value:
        name = node.name
        value = self.scope.column(name) if reading == "type" else self.scope.cell(name)
        if value is None:
            self.report(self._unknown(name), node)
            return any_value()
        return value if reading == "type" else replace(value, raw=None)

    def _unknown(self, name: str) -> str:
        if name in self.made:
            return f"`{name}` is made in this very step; it can be used from the next step on"
        return f"unknown column `{name}`{meant(name, self.scope.names())}"

    def _literal(self, node: Expr) -> Value:
        digits = str(node.this)
        if node.args.get("is_string"):
            return Value("text", text(digits), literal=digits)
        if digits.isdigit():
            return integer_value(int(digits))
        exact = Decimal(digits)
        return Value("number", double(float(digits)), abs(float(digits)), literal=exact)

    def _null(self, _: Expr) -> Value:
        return null_value()

    def _boolean(self, node: Expr) -> Value:
        return literal_value(bool(node.this))

    def _parameter(self, node: Expr) -> Value:
        return self.environment.parameters.get(str(node.this)) or any_value()

    # conditions

    def _connected(self, node: Expr) -> Value:
        """Evaluate a chain of `and` or `or`, from left to right."""
        operator = exp.And if isinstance(node, exp.And) else exp.Or
        sides: list[Expr] = []
        rest: Expr = node
        while type(rest) is operator:
            sides.append(rest.expression)
            rest = rest.this
        values = [self.condition(side) for side in (rest, *reversed(sides))]
        return operators.connect(self.layers, values, operator)

    def _not(self, node: Expr) -> Value:
        return operators.negation(self.condition(node.this))

    def _is_null(self, node: Expr) -> Value:
        value = self._evaluate(node.this, "type")
        test = true() if value.kind in ("null", "any") else negated(present(value))
        return Value("boolean", test, checks=value.checks)

    def _comparison(self, node: Expr) -> Value:
        left, right = (self._evaluate(side, "type") for side in (node.this, node.expression))
        return self._compared(node, type(node), left, right)

    def _compared(self, node: Expr, operator: type[Expr], left: Value, right: Value) -> Value:
        """Compare two values; a text that is written out beside a date is one."""
        left, right = temporal.read_literals((left, right))
        by_text = operator not in _COMPARISONS and "text" in (left.kind, right.kind)
        if by_text:
            left, right = (_as_read(value) for value in (left, right))
        problem = comparison_problem(left, right)
        if problem and not (_sorts(left, right) == {"text", "number"} and reads_cells(node)):
            self.report(f"{shown(node)} {problem}", node)
            return unknown_boolean(left.checks + right.checks)
        if operator in _COMPARISONS:
            ordered = next(kind for kind in _COMPARISONS if kind is operator)
            return operators.order(self.layers, left, right, ordered)
        same = operators.equal(self.layers, left, right)
        if operator in (exp.NullSafeEQ, exp.NullSafeNEQ):
            same = _null_safe(same, left, right)
        return operators.negation(same) if operator in (exp.NEQ, exp.NullSafeNEQ) else same

    def _between(self, node: Expr) -> Value:
        value, low, high = (self._evaluate(node.args[part], "type") for part in ("this", "low", "high"))
        above = self._compared(node, exp.GTE, value, low)
        below = self._compared(node, exp.LTE, value.without_checks(), high)
        return operators.connect(self.layers, [above, below], exp.And)

    def _in(self, node: Expr) -> Value:
        value = self._evaluate(node.this, "type")
        items = [self._evaluate(item, "type") for item in node.expressions]
        if _are_alike(value, items):
            listed = exp.In(this=_text_or_sql(value), expressions=[item.sql for item in items])
            return Value("boolean", listed, checks=value.checks)
        found = [self._compared(node, exp.EQ, value.without_checks(), item) for item in items]
        return operators.connect(self.layers, found, exp.Or).with_checks(value.checks)

    def _like(self, node: Expr) -> Value:
        value = operators.as_text(self.layers, self._evaluate(node.this, "type"))
        pattern = self._evaluate(node.expression, "type")
        if pattern.kind in ("null", "any"):
            return unknown_boolean(value.checks)
        if not isinstance(pattern.literal, str):
            raise UnfitError("the pattern of `like` must be a text")
        test = like(value.sql, pattern.literal, ignore_case=isinstance(node, exp.ILike))
        return Value("boolean", negated(test) if node.args.get("negate") else test, checks=value.checks)

    # numbers, texts, dates

    def _joined(self, node: Expr) -> Value:
        """Join a chain of texts by `||`; null if one is null."""
        sides: list[Expr] = []
        rest: Expr = node
        while isinstance(rest, exp.DPipe):
            sides.append(rest.expression)
            rest = rest.this
        return operators.join_texts(
            self.layers, [self._evaluate(side, "type") for side in (rest, *reversed(sides))]
        )

    def _negative(self, node: Expr) -> Value:
        value = self._evaluate(node.this, "type")
        if value.kind in ("integer", "number", "decimal") and isinstance(value.literal, (int, Decimal)):
            return replace(numbers.negate(value), literal=-value.literal, raw=None)
        return self._arithmetic(node, [value], numbers.negate)

    def _linear(self, node: Expr) -> Value:
        operator: type[exp.Binary] = next(kind for kind in (exp.Add, exp.Sub, exp.Mul) if type(node) is kind)
        return self._arithmetic(
            node, self._operands(node), lambda left, right: numbers.linear(self.layers, operator, left, right)
        )

    def _quotient(self, node: Expr) -> Value:
        build = _QUOTIENTS[type(node)]
        return self._arithmetic(
            node, self._operands(node), lambda left, right: build(self.layers, left, right)
        )

    def _operands(self, node: Expr) -> list[Value]:
        values = [self._evaluate(side, "type") for side in (node.this, node.expression)]
        return temporal.read_literals(values)

    def _arithmetic(self, node: Expr, values: Sequence[Value], build: Callable[..., Value]) -> Value:
        if len(values) == 2 and any(value.kind in temporal.KINDS for value in values):
            return temporal.computed(self.layers, type(node), values[0], values[1])
        sides = [node.this, node.expression] if len(values) == 2 else [node.this]
        for side, value in zip(sides, values, strict=True):
            problem = operand_problem(value, is_sum=isinstance(node, exp.Add))
            if problem and not (value.kind == "text" and (value.required or reads_cells(side))):
                self.report(f"{shown(node)} {problem}", side)
                return any_value().with_checks(*(value.checks for value in values))
        return operators.arithmetic(self.layers, values, build)

    def _cast(self, node: Expr) -> Value:
        if not isinstance(node, exp.Cast):
            raise TypeError(type(node).__name__)
        return casts.cast(self.layers, self._evaluate(node.this, "type"), target_type(node))

    # choices

    def _case(self, node: exp.Case, reading: Reading) -> Value:
        subject = self._evaluate(node.this, "type") if node.this is not None else None
        branches = [
            (self._when(branch, subject), self._evaluate(branch.args["true"], reading))
            for branch in node.args["ifs"]
        ]
        default = node.args.get("default")
        rest = self._evaluate(default, reading) if default is not None else null_value()
        values = self._agreed(node, [*(value for _, value in branches), rest], reading)
        pairs = [(condition, values[at]) for at, (condition, _) in enumerate(branches)]
        made = operators.choose(self.layers, pairs, values[-1])
        return made if subject is None else made.with_checks(subject.checks)

    def _when(self, branch: exp.If, subject: Value | None) -> Value:
        if subject is None:
            return self.condition(branch.this)
        return self._compared(
            branch.this, exp.EQ, subject.without_checks(), self._evaluate(branch.this, "type")
        )

    def _agreed(self, node: Expr, values: Sequence[Value], reading: Reading) -> list[Value]:
        """Return values of which one is taken as values of one type."""
        values = temporal.read_literals(values)
        others = [value for value in values if value.kind not in ("text", "null", "any")]
        if len(others) == len(values) or all(value.kind != "text" for value in values):
            return values
        if others and all(value.raw is not None for value in others):
            return [_as_read(value) for value in values]
        if others and reading == "type" and not reads_cells(node):
            raise UnfitError(mixture_problem(others[0]))
        return values

    # functions

    def _call(self, node: exp.Anonymous, reading: Reading) -> Value:
        function = function_of(node)
        if function.build is None:
            raise UnfitError(f"`{function.name}` cannot be called here")
        nodes, _ = arguments_of(node)
        arguments = function.arguments_for(len(nodes))
        values = [self._evaluate(part, inside) for part, inside in parts_of(node, reading)]
        same = [at for at, argument in enumerate(arguments) if argument.sort == "same"]
        for at, value in zip(same, self._agreed(node, [values[at] for at in same], reading), strict=True):
            values[at] = value
        given = [
            self._prepared(function, argument, value, part)
            for argument, value, part in zip(arguments, values, nodes, strict=True)
        ]
        if function.uses_run_date:
            given.append(temporal.moment(self.environment.run_date))
        return function.build(self.layers, given)

    def _prepared(self, function: Function, argument: Argument, value: Value, node: Expr) -> Value:
        """Return an argument as its sort says; what the short form computes cell by cell is a number or a text."""
        if function.topic == "short form" and value.kind in temporal.KINDS:
            return operators.as_text(self.layers, value)
        problem = argument.kind_problem(value.kind)
        if problem and not value.required and not reads_cells(node):
            self.report(f"`{function.name}`: {problem}, not {operators.word_for(value)}", node)
            value = any_value().with_checks(value.checks)
        return prepared(self.layers, argument.sort, value)

    _BUILDERS: ClassVar[dict[type[Expr], Callable[[Evaluator, Expr], Value]]] = {
        exp.Literal: _literal,
        exp.Null: _null,
        exp.Boolean: _boolean,
        exp.Placeholder: _parameter,
        exp.And: _connected,
        exp.Or: _connected,
        exp.Not: _not,
        exp.Is: _is_null,
        exp.EQ: _comparison,
        exp.NEQ: _comparison,
        exp.LT: _comparison,
        exp.LTE: _comparison,
        exp.GT: _comparison,
        exp.GTE: _comparison,
        exp.NullSafeEQ: _comparison,
        exp.NullSafeNEQ: _comparison,
        exp.Between: _between,
        exp.In: _in,
        exp.Like: _like,
        exp.ILike: _like,
        exp.DPipe: _joined,
        exp.Neg: _negative,
        exp.Add: _linear,
        exp.Sub: _linear,
        exp.Mul: _linear,
        exp.Div: _quotient,
        exp.IntDiv: _quotient,
        exp.Mod: _quotient,
        exp.Cast: _cast,
    }


def reads_cells(node: Expr) -> bool:
    """Tell whether a part is computed cell by cell, so that only rows can show whether it is a number or a text."""
    return any(
        any(argument.sort == "cell" for argument in function_of(found).arguments)
        for found in node.find_all(exp.Anonymous)
    )


def _as_read(value: Value) -> Value:
    """Return a value that was read as the text that it was read as; others as they are."""
    if value.raw is None or value.kind == "text":
        return value
    return Value("text", value.raw, checks=value.checks)


def _text_or_sql(value: Value) -> Expr:
    return _as_read(value).sql if value.raw is not None and value.kind != "text" else value.sql


def _sorts(*values: Value) -> set[str]:
    figures = operators.NUMERIC
    return {"number" if value.kind in figures else value.kind for value in values}


def _null_safe(same: Value, left: Value, right: Value) -> Value:
    both = all_of(negated(_is_there(value)) for value in (left, right))
    return replace(same, sql=call("coalesce", same.sql, both))


def _is_there(value: Value) -> Expr:
    return is_present(exp.Null()) if value.kind in ("null", "any") else present(value)


def _are_alike(value: Value, items: Sequence[Value]) -> bool:
    """Tell whether a list is of literals of one kind with the value, so that the database's own IN says the same."""
    if value.kind == "integer" and all(item.kind == "integer" for item in items):
        return all(item.literal is not None for item in items)
    is_text = value.kind == "text" or (value.raw is not None and value.kind not in temporal.KINDS)
    return is_text and all(item.kind == "text" and item.literal is not None for item in items)
