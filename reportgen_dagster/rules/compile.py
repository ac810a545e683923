"""Compiles a ruleset and the shapes of its files to one query.

What belongs here: from expressions to values, from values to the two SELECTs. What does not: what operators and functions mean
(operators.py, scalar.py), where columns come from (sources.py).

Each expression is compiled twice over: to a value that cannot fail, and to the checks that tell on which rows it is void.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.errors import RulesError
from reportgen_dagster.rules import numbers, operators
from reportgen_dagster.rules.expressions import Context, allow_nesting, literal_of, parts_of, walk
from reportgen_dagster.rules.functions import FUNCTIONS
from reportgen_dagster.rules.layers import Layers, Names
from reportgen_dagster.rules.loading import Formula, Ruleset
from reportgen_dagster.rules.sources import LookupKey, Sources, TableShape
from reportgen_dagster.rules.values import (
    DIALECT,
    Check,
    Value,
    binary,
    call,
    case,
    cast,
    double,
    false,
    integer_literal,
    is_null,
    literal_integer,
    negated,
    null_value,
    present,
    text,
    true,
    whole,
)

__all__ = ["CompiledQuery", "LookupKey", "OutputColumn", "TableShape", "compile_ruleset"]

SEPARATOR = "\x1f"
MAX_VALUE_SHOWN = 200
MAX_COUNT = 1_000_000
_SIBLINGS = ("cell_add", "cell_max", "cell_min", "cell_less", "cell_less_or_equal")
_COMPARISONS: tuple[type[exp.Binary], ...] = (exp.LT, exp.LTE, exp.GT, exp.GTE)
_TYPES: dict[str, Literal["text", "integer", "number", "boolean"]] = {
    "integer": "integer",
    "number": "number",
    "wide": "number",
    "boolean": "boolean",
}
_SQL_TYPES = {"integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN", "text": "VARCHAR"}


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """A column of the report.

    Attributes:
        name: Its name.
        type: What it holds.
        sources: File and column of all that it is made of.
    """

    name: str
    type: Literal["text", "integer", "number", "boolean"]
    sources: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class CompiledQuery:
    """What runs.

    Attributes:
        sql: SELECT with typed columns.
        text_sql: SELECT with each column as the text to write, and last the error column: null, or number of the formula,
            reason and values, joined by SEPARATOR. One row for each row of the input, in its order.
        columns: The report's columns.
        formulas: What the numbers in the error column count.
        error_column: The error column's name.
        lookups: Reference columns that must not hold a value twice.
    """

    sql: str
    text_sql: str
    columns: tuple[OutputColumn, ...]
    formulas: tuple[Formula, ...]
    error_column: str
    lookups: tuple[LookupKey, ...]


def compile_ruleset(
    ruleset: Ruleset,
    *,
    input: TableShape,  # noqa: A002 - the file's name
    references: Mapping[str, TableShape],
) -> CompiledQuery:
    """Compile rules for files whose headers `check_columns` found fit.

    Args:
        ruleset: The rules.
        input: The input's shape.
        references: The shape of each reference that the rules look up.

    Raises:
        RulesError: If the result is too large to be run.
    """
    allow_nesting()
    layers = Layers()
    looked_up = [(name, references[name]) for name in ruleset.reference_names if name in references]
    kinds = {name: kind.kind for shape in (*references.values(), input) for name, kind in shape.kinds.items()}
    sources = Sources(layers, input, looked_up, _used_as_numbers(ruleset, kinds))
    try:
        return _Compiler(ruleset, layers, sources).query()
    except RecursionError:
        raise RulesError("The rules are nested too deeply to be run.") from None


def _used_as_numbers(ruleset: Ruleset, kinds: Mapping[str, str]) -> set[str]:
    """Return the columns that some formula uses as numbers, by its operators or beside a column of numbers."""
    found = {use.column for use in ruleset.uses if use.context == "cell_number"}
    for derivation in ruleset.derivations:
        for node, _ in walk(derivation.expression):
            if isinstance(node, exp.Anonymous) and str(node.this) in _SIBLINGS:
                names = [child.name for child in node.expressions if isinstance(child, exp.Column)]
                if any(kinds.get(name) in ("integer", "number") for name in names):
                    found.update(names)
    return found


class _Compiler:
    """Compiles one ruleset."""

    def __init__(self, ruleset: Ruleset, layers: Layers, sources: Sources) -> None:
        self.ruleset = ruleset
        self.layers = layers
        self.sources = sources
        self.derived: dict[str, Value] = {}
        self.origins: dict[str, tuple[tuple[str, str], ...]] = {}

    def query(self) -> CompiledQuery:
        failures: list[tuple[Expr, Expr]] = []
        for index, derivation in enumerate(self.ruleset.derivations):
            value = self.output_value(self.evaluate(derivation.expression, "text"))
            failures += self.failures(index, value.checks)
            self.origins[derivation.name] = self.origin(self.ruleset.formulas[index].columns)
            self.derived[derivation.name] = value.without_checks()
        values = [(output, name, self.output_of(name)) for output, name in self.ruleset.outputs]
        typed = [(output, self.typed(value)) for output, _, value in values]
        base = self.sources.base()
        sql = self.layers.select(typed, base.copy()).sql(DIALECT, pretty=True)
        written = [(output, operators.written(self.layers, value)) for output, _, value in values]
        error_column = Names(self.ruleset.output_columns).new("_error")
        error = case(*failures) if failures else cast(exp.Null(), "VARCHAR")
        return CompiledQuery(
            sql=sql,
            text_sql=self.layers.select([*written, (error_column, error)], base).sql(DIALECT),
            columns=tuple(
                OutputColumn(
                    output, _TYPES.get(value.kind, "text"), self.origins.get(name) or self.origin((name,))
                )
                for output, name, value in values
            ),
            formulas=self.ruleset.formulas,
            error_column=error_column,
            lookups=self.sources.lookups(),
        )

    def typed(self, value: Value) -> Expr:
        return operators.written(self.layers, value) if value.kind == "cell" else _typed(value)

    def output_value(self, value: Value) -> Value:
        return operators.as_number(self.layers, value) if value.required else value

    def output_of(self, name: str) -> Value:
        if name in self.derived:
            return self.derived[name]
        return Value("text", self.sources.raw(name))

    def origin(self, columns: Sequence[str]) -> tuple[tuple[str, str], ...]:
        found: dict[tuple[str, str], None] = {}
        for name in columns:
            found.update(dict.fromkeys(self.origins.get(name) or (self.sources.source(name),)))
        return tuple(found)

    def failures(self, index: int, checks: Sequence[Check]) -> list[tuple[Expr, Expr]]:
        """Return the branches of the error column for one formula."""
        if not checks:
            return []
        shown = self.shown_values(self.ruleset.formulas[index].columns)
        return [
            (
                check.condition,
                call("concat", text(f"{index}{SEPARATOR}"), check.reason, text(SEPARATOR), *shown),
            )
            for check in checks
        ]

    def shown_values(self, columns: Sequence[str]) -> list[Expr]:
        """Return the values of columns as `field3='abc', field5=null`."""
        shown: list[Expr] = []
        for name in columns:
            raw = (
                operators.written(self.layers, self.derived[name])
                if name in self.derived
                else self.sources.raw(name)
            )
            quoted = call("concat", text("'"), call("left", raw, whole(MAX_VALUE_SHOWN)), text("'"))
            shown += [
                text(f"{', ' if shown else ''}{name}="),
                case((is_null(raw), text("null")), default=quoted),
            ]
        return shown or [text("")]

    # expressions

    def evaluate(self, node: Expr, context: Context) -> Value:
        """Return what an expression is worth in the context that it stands in."""
        if isinstance(node, exp.Column):
            return self.column(node.name, context)
        if isinstance(node, exp.Literal):
            return _literal_value(node)
        if isinstance(node, exp.Null):
            return null_value()
        if isinstance(node, exp.Boolean):
            return Value("boolean", true() if node.this else false())
        if isinstance(node, exp.Paren):
            return self.evaluate(node.this, context)
        return self.operation(node, context)

    def column(self, name: str, context: Context) -> Value:
        if name in self.derived:
            return self.derived[name]
        return Value("text", self.sources.raw(name)) if context == "text" else self.sources.value(name)

    def operation(self, node: Expr, context: Context) -> Value:
        if isinstance(node, (exp.And, exp.Or)):
            return self.connection(node)
        if isinstance(node, exp.Case):
            return self.conditional(node, context)
        values = [self.evaluate(part, inside) for part, inside in parts_of(node, context)]
        if isinstance(node, exp.Anonymous):
            return self.call(str(node.this), values)
        if isinstance(node, exp.Not):
            return operators.negation(values[0])
        if isinstance(node, exp.Is):
            test = negated(present(values[0])) if values[0].kind != "null" else true()
            return Value("boolean", test, checks=values[0].checks)
        if isinstance(node, exp.DPipe):
            sides = [operators.as_text(self.layers, value) for value in values]
            joined = exp.DPipe(this=sides[0].sql, expression=sides[1].sql)
            return Value("text", joined, checks=sides[0].checks + sides[1].checks)
        if isinstance(node, exp.Neg):
            return operators.arithmetic(self.layers, values, numbers.negate)
        return self.binary(node, values)

    def binary(self, node: Expr, values: Sequence[Value]) -> Value:
        if isinstance(node, exp.Div):
            return operators.arithmetic(
                self.layers, values, lambda left, right: numbers.divide(self.layers, left, right)
            )
        if isinstance(node, (exp.EQ, exp.NEQ)):
            same = operators.equal(self.layers, values[0], values[1])
            return operators.negation(same) if isinstance(node, exp.NEQ) else same
        if isinstance(node, _COMPARISONS):
            return operators.order(self.layers, values[0], values[1], type(node))
        operator: type[exp.Binary] = next(kind for kind in (exp.Add, exp.Sub, exp.Mul) if type(node) is kind)
        return operators.arithmetic(
            self.layers, values, lambda left, right: numbers.linear(self.layers, operator, left, right)
        )

    def connection(self, node: exp.And | exp.Or) -> Value:
        """Compile a chain of `and` or `or`, from left to right."""
        operator = type(node)
        sides: list[Expr] = []
        rest: Expr = node
        while type(rest) is operator:
            sides.append(rest.expression)
            rest = rest.this
        values = [self.condition(side) for side in (rest, *reversed(sides))]
        return operators.connect(self.layers, values, operator)

    def condition(self, node: Expr) -> Value:
        value = self.evaluate(node, "boolean")
        return Value("boolean", cast(exp.Null(), "BOOLEAN")) if value.kind == "null" else value

    def conditional(self, node: exp.Case, context: Context) -> Value:
        branches = [
            (self.condition(branch.this), self.evaluate(branch.args["true"], context))
            for branch in node.args["ifs"]
        ]
        default = node.args.get("default")
        rest = self.evaluate(default, context) if default is not None else null_value()
        if context == "text" and _mixes(branches, rest):
            branches = [(condition, operators.as_text(self.layers, value)) for condition, value in branches]
            rest = operators.as_text(self.layers, rest)
        return operators.choose(self.layers, branches, rest)

    def call(self, name: str, values: Sequence[Value]) -> Value:
        function = FUNCTIONS[name]
        arguments = function.arguments_for(len(values))
        prepared = [
            self.prepared(argument.sort, value) for argument, value in zip(arguments, values, strict=True)
        ]
        if function.build is None:
            raise RulesError(f"`{name}` cannot be called here.")
        return function.build(self.layers, prepared)

    def prepared(self, sort: str, value: Value) -> Value:
        """Return an argument as its sort says."""
        if sort in ("text", "pattern", "literal", "format"):
            return operators.as_text(self.layers, value) if value.kind != "text" else value
        return self.count(value) if sort == "count" else value

    def count(self, value: Value) -> Value:
        """Return a number as a whole one; others are errors."""
        number = operators.as_number(self.layers, value)
        literal = literal_integer(number.sql)
        if literal is not None:
            return Value("integer", whole(max(min(literal, MAX_COUNT), -MAX_COUNT)), number.largest)
        amount = self.layers.bind(numbers.as_double(number), "count")
        odd = Check(binary(exp.NEQ, amount, call("trunc", amount)), text("a whole number is needed"))
        clamped = call("greatest", call("least", amount, double(float(MAX_COUNT))), double(-float(MAX_COUNT)))
        counted = case((negated(is_null(amount)), cast(call("trunc", clamped), "BIGINT")))
        return Value("integer", self.layers.bind(counted, "count"), MAX_COUNT, checks=(*number.checks, odd))


def _mixes(branches: Sequence[tuple[Value, Value]], rest: Value) -> bool:
    """Tell whether what is only written comes from texts and from other values."""
    kinds = {value.kind for value in _results(branches, rest)} - {"null"}
    return len(kinds) > 1 and bool(kinds & {"text", "boolean"})


def _results(branches: Sequence[tuple[Value, Value]], rest: Value) -> Iterator[Value]:
    yield from (value for _, value in branches)
    yield rest


def _literal_value(node: exp.Literal) -> Value:
    value = literal_of(node)
    if isinstance(value, str):
        return Value("text", text(value))
    if isinstance(value, int):
        return Value("integer", integer_literal(value), float(value))
    return Value("number", double(float(value or 0.0)), abs(float(value or 0.0)))


def _typed(value: Value) -> Expr:
    """Return a value with the type that its output column promises."""
    kind = _TYPES.get(value.kind, "text")
    return value.sql if isinstance(value.sql, exp.Column) else cast(value.sql, _SQL_TYPES[kind])
