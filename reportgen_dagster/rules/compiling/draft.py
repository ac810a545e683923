"""What a plan gathers while the steps are gone through: problems, rules, prepared tables, questions at the files.

What belongs here: gathering. What does not: the queries themselves (blocks.py), what steps do (rows.py, relations.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.contract import Contract
from reportgen_dagster.errors import Problem
from reportgen_dagster.rules.compiling.kinds import ColumnKind
from reportgen_dagster.rules.compiling.plan import (
    PREPARED,
    TEXTS,
    Asked,
    Form,
    PivotQuestion,
    Prepared,
    Rule,
    TableShape,
    UniqueKey,
)
from reportgen_dagster.rules.compiling.scopes import Column, Scope
from reportgen_dagster.rules.expressions.evaluation import Environment, Evaluator
from reportgen_dagster.rules.expressions.faults import nearest
from reportgen_dagster.rules.reading.positions import Path, path_text
from reportgen_dagster.rules.reading.ruleset import Expression, Ruleset
from reportgen_dagster.rules.reading.steps import AggregateStep, WindowStep
from reportgen_dagster.rules.values.layers import Layers, Names
from reportgen_dagster.rules.values.typed import DIALECT

Report = Callable[[str, Expr], None]


@dataclass(slots=True)
class Draft:
    """A plan in the making.

    Attributes:
        ruleset: The rules.
        input: The input's shape.
        references: The shapes of the references that are known.
        environment: The values of parameters, and the date.
        pivot_values: The values of pivots that the data told, by the number of the step.
        given_contract: The report's contract if it does not come from the rules.
        forms: What the report's rows are wanted as.
        contract: The report's contract as it judges the report, once that is known.
    """

    ruleset: Ruleset
    input: TableShape
    references: Mapping[str, TableShape]
    environment: Environment
    pivot_values: Mapping[int, Sequence[str]]
    given_contract: Contract | None = None
    forms: frozenset[Form] = TEXTS
    contract: Contract | None = None
    problems: dict[Problem, None] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    prepared: dict[str, Prepared] = field(default_factory=dict)
    unique: list[UniqueKey] = field(default_factory=list)
    keys: dict[str, dict[tuple[str, ...], None]] = field(default_factory=dict)
    asked: dict[str, dict[str, set[Asked]]] = field(default_factory=dict)
    pivot: PivotQuestion | None = None
    pivot_block: int = 0
    constant_checks: list[tuple[str, Problem]] = field(default_factory=list)
    tables: Names = field(default_factory=Names)

    def __post_init__(self) -> None:
        """Begin with what is wrong with the rules by themselves."""
        self.problems |= dict.fromkeys(self.ruleset.problems)

    def shape(self, name: str) -> TableShape:
        """Return the shape of a reference; one without columns while it is not known."""
        return self.references.get(name) or TableShape(name, None)

    # problems

    def refuse(self, path: Path, message: str, *, key: bool = False) -> None:
        """Note a problem at a place of the rules."""
        self.problems[self.ruleset.problem(path, message, key=key)] = None

    def unknown(
        self, path: Path, name: str, names: Iterable[str], *, key: bool = False, where: str = ""
    ) -> None:
        """Note that there is no such column, and where it is looked for if that is not plain."""
        message = f"unknown column `{name}`{where and f' {where}'}{nearest(name, list(names))}"
        self.refuse(path, message, key=key)

    def report(self, expression: Expression) -> Report:
        """Return what notes problems with an expression."""

        def note(message: str, node: Expr) -> None:
            self.problems[self.ruleset.problem_in(expression, message, node)] = None

        return note

    def find(self, scope: Scope, name: str, path: Path, *, key: bool = False) -> Column | None:
        """Return a column of a scope, or note that there is none."""
        found = scope.find(name)
        if found is None:
            self.unknown(path, name, scope.names(), key=key)
        return found

    def expression(self, path: Path) -> Expression:
        """Return the expression at a path of the document."""
        return self.ruleset.expressions[path]

    def evaluator(self, layers: Layers, scope: Scope, expression: Expression) -> Evaluator:
        """Return what tells the meaning of an expression over a scope."""
        return Evaluator(
            layers, scope, self.environment, self.report(expression), self._made_beside(expression.path)
        )

    def _made_beside(self, path: Path) -> Collection[str]:
        """Return the columns that the step of a measure or a window's column makes: none of them sees another one."""
        if len(path) != 5 or path[0] != "steps":
            return ()
        step = self.ruleset.document.steps[int(path[1])]
        if isinstance(step, AggregateStep):
            return step.aggregate.measures
        return step.window.columns if isinstance(step, WindowStep) else ()

    # what the engine is to know

    def rule(self, path: Path, column: str, text: str) -> int:
        """Return the number of something that a row can break, at a place of the document."""
        at = self.ruleset.problem(path, "")
        step = path_text(self.ruleset.paths.get(path, path))
        return self.add_rule(Rule(step, column, text, place=(at.source, at.line, at.column)))

    def add_rule(self, rule: Rule) -> int:
        """Return the number of a rule, which it gets here."""
        self.rules.append(rule)
        return len(self.rules) - 1

    def prepare(self, select: exp.Select, wish: str, *, reads_input: bool = False) -> exp.Table:
        """Return a table that is made before any row is judged."""
        sql = select.sql(DIALECT)
        if sql not in self.prepared:
            self.prepared[sql] = Prepared(self.tables.new(PREPARED.format(wish)), sql, reads_input)
        return table(self.prepared[sql].name)

    def must_be_unique(self, reference: str, columns: Iterable[str]) -> None:
        """Demand that a reference holds no combination of columns twice."""
        self.keys.setdefault(reference, {})[tuple(columns)] = None

    def ask(self, file: str, shape: TableShape, column: str, what: Asked) -> ColumnKind | None:
        """Return what a column of a file holds, if it is known already, and note that it matters."""
        self.asked.setdefault(file, {}).setdefault(column, set()).add(what)
        return shape.kinds.get(column)


def table(name: str) -> exp.Table:
    """Name a table."""
    return exp.Table(this=exp.to_identifier(name, quoted=True))
