"""Compiles a ruleset and the shapes of its files to a plan.

What belongs here: going through the steps, the report's columns, the plan. What does not: what a step does (rows.py, lookups.py,
relations.py, windows.py, pivots.py, joins.py), how a query is put together (blocks.py, layers.py).

Each expression is compiled twice over: to a value that cannot fail, and to the checks that tell on which rows it is void.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sqlglot import exp

from reportgen_dagster.contracts.contract import Contract
from reportgen_dagster.contracts.types import ANY, TEXT, Type
from reportgen_dagster.errors import Problem
from reportgen_dagster.rules.compiling.blocks import OpenBlock, used_columns
from reportgen_dagster.rules.compiling.contract_rules import judge_input, judge_output
from reportgen_dagster.rules.compiling.draft import Draft, table
from reportgen_dagster.rules.compiling.file_columns import input_columns
from reportgen_dagster.rules.compiling.joins import append, join
from reportgen_dagster.rules.compiling.lookups import lookup
from reportgen_dagster.rules.compiling.parsed import ParsedRows, parsed_rows
from reportgen_dagster.rules.compiling.pivots import pivot
from reportgen_dagster.rules.compiling.plan import (
    INPUT,
    TEXTS,
    Block,
    Form,
    OutputColumn,
    ParsedInput,
    ParsedQuery,
    Plan,
    Reference,
    StepResult,
    TableShape,
)
from reportgen_dagster.rules.compiling.presenting import judge_presentation
from reportgen_dagster.rules.compiling.relations import aggregate, distinct, top, unpivot
from reportgen_dagster.rules.compiling.report_forms import report_columns, typed_value
from reportgen_dagster.rules.compiling.rows import (
    derive,
    drop,
    keep,
    limit,
    rename,
    select,
    selected,
    sort,
    unread,
)
from reportgen_dagster.rules.compiling.scopes import Column, Scope, settled
from reportgen_dagster.rules.compiling.step_tables import step_tables
from reportgen_dagster.rules.compiling.windows import window
from reportgen_dagster.rules.expressions.evaluation import Environment
from reportgen_dagster.rules.expressions.gate import allow_nesting
from reportgen_dagster.rules.reading.labels import label
from reportgen_dagster.rules.reading.parameters import parameter_value
from reportgen_dagster.rules.reading.ruleset import Ruleset
from reportgen_dagster.rules.reading.steps import MAX_COLUMNS
from reportgen_dagster.rules.values.layers import BASE, Layers, sql_text
from reportgen_dagster.rules.values.literals import literal_value
from reportgen_dagster.rules.values.typed import (
    Value,
    any_value,
    cast,
    sql_type,
    value_of_type,
)

StepCompiler = Callable[[Draft, OpenBlock, int, Any], OpenBlock]
_STEPS: Mapping[str, StepCompiler] = {
    "lookup": lookup, "join": join, "filter": keep, "derive": derive, "select": select, "rename": rename, "drop": drop,
    "aggregate": aggregate, "window": window, "top": top, "distinct": distinct, "pivot": pivot, "unpivot": unpivot,
    "append": append, "sort": sort, "limit": limit, "unread": unread,
}  # fmt: skip


def compile_ruleset(
    ruleset: Ruleset,
    *,
    input: TableShape,  # noqa: A002 - the file's name
    references: Mapping[str, TableShape],
    parameters: Mapping[str, object] | None = None,
    run_date: dt.date | None = None,
    pivot_values: Mapping[int, Sequence[str]] | None = None,
    until: int | None = None,
    with_steps: bool = False,
    with_queries: bool = True,
    output: Contract | None = None,
    forms: Collection[Form] = TEXTS,
) -> Plan:
    """Compile rules for files of these shapes.

    Args:
        ruleset: The rules.
        input: The input's shape.
        references: The shapes of the references, as far as they are known.
        parameters: The typed values of parameters that the run is given; others have their defaults.
        run_date: What `today()` is; the present date if left out, for plans that are only shown.
        pivot_values: The values of pivots that data told, by the number of the step.
        until: Compile only the steps before this number; all their columns are the report's.
        with_steps: Render the results of all steps, too: `Plan.step_tables`.
        with_queries: Render the plan's own queries: `Plan.blocks` and `Plan.text_sql`.
        output: The report's contract if it comes from Python instead of the rules.
        forms: What the report's rows are wanted as.

    Returns:
        The plan; if it has problems, it has all of them, and is of use for explanations only.
    """
    allow_nesting()
    environment = Environment(
        _parameters(ruleset, parameters or {}), run_date or dt.datetime.now(tz=dt.UTC).date()
    )
    draft = Draft(ruleset, input, references, environment, dict(pivot_values or {}), output, frozenset(forms))
    try:
        return _Walk(draft, until).plan(with_steps=with_steps, with_queries=with_queries)
    except RecursionError:
        draft.refuse((), "The rules are nested too deeply to be run.")
        return Plan(problems=tuple(draft.problems))


def _parameters(ruleset: Ruleset, given: Mapping[str, object]) -> dict[str, Value]:
    """Return the value of each parameter; what is given none and has no default is a null of its type."""
    values = {}
    for name, parameter in ruleset.document.parameters.items():
        if ruleset.is_wrong("parameters", name):
            values[name] = any_value()
            continue
        value = given[name] if name in given else parameter_value(parameter.type, parameter.default)
        values[name] = _parameter(parameter.type, value)
    return values


def _parameter(kind: str, value: object) -> Value:
    if value is not None:
        return literal_value(value)
    type_ = Type("decimal", 38, 9) if kind == "decimal" else Type(kind)  # type: ignore[arg-type]  # the names are types'
    return value_of_type(type_, cast(exp.Null(), sql_type(type_)))


class _Walk:
    """Goes through the steps of one ruleset."""

    def __init__(self, draft: Draft, until: int | None) -> None:
        self.draft = draft
        self.document = draft.ruleset.document
        self.steps = self.document.steps if until is None else self.document.steps[:until]
        self.is_whole = len(self.steps) == len(self.document.steps) and until is None
        self.blocks: list[OpenBlock] = []
        self.results: list[tuple[StepResult, OpenBlock, Scope]] = []
        self._outputs_of: dict[int, tuple[Column, OutputColumn]] = {}

    def plan(self, *, with_steps: bool, with_queries: bool) -> Plan:
        draft = self.draft
        block = self._input_block()
        judge_input(draft, block)
        self.blocks.append(block)
        for index, step in enumerate(self.steps):
            block = _STEPS[step.kind](draft, self._in_reach(block, index), index, step)
            if index in draft.ruleset.open_steps:
                block.scope = block.scope.opened()
            if block is not self.blocks[-1]:
                self._open(block)
            self.results.append((self._result(index, step, block.scope), block, block.scope))
        columns = self._outputs(block)
        block, columns = self._last(block, columns)
        is_rendered = with_queries and not draft.problems
        rendered_plan = self._rendered(block, columns) if is_rendered else Plan()
        shown = tuple(self._written(column) for column in columns)
        asked = {
            file: {name: frozenset(what) for name, what in of.items()} for file, of in draft.asked.items()
        }
        rendered = self.blocks if draft.pivot is None else self.blocks[: draft.pivot_block + 1]
        wanted = with_steps and not draft.problems
        # As they are worth now: once a column is asked for its value, it may be written as that.
        report = (
            []
            if draft.pivot
            else [(column.final(), told) for column, told in zip(columns, shown, strict=True)]
        )
        tables = step_tables(draft, rendered, self.results, report, typed_value) if wanted else None
        return replace(
            rendered_plan,
            problems=_sorted(draft.problems),
            prepared=tuple(draft.prepared.values()),
            columns=shown,
            families=self._families(),
            steps=tuple(result for result, _, _ in self.results),
            rules=tuple(draft.rules),
            unique=tuple(draft.unique),
            references=self._references(),
            asked=asked,
            pivot=draft.pivot,
            constant_checks=tuple(dict.fromkeys(draft.constant_checks)),
            step_tables=tables,
            contract=draft.contract,
        )

    def _open(self, block: OpenBlock) -> None:
        """Take note of a block, and of those between it and the last one."""
        between = [block]
        while between[0].before is not None and between[0].before is not self.blocks[-1]:
            between.insert(0, between[0].before)
        self.blocks += between

    @staticmethod
    def _in_reach(block: OpenBlock, index: int) -> OpenBlock:
        """Return a block that a step can go on in: after very many steps a new one."""
        if not block.layers.is_long:
            return block
        return block.following(step=f"steps[{index}]", diverts=block.diverts)

    def _input_block(self) -> OpenBlock:
        shape = self.draft.input
        layers = Layers(joins_first=True)
        rows = exp.select().from_(exp.alias_(table(shape.relation), BASE, table=True))
        files = input_columns(self.draft, layers)
        known = shape.columns
        if known is None and shape.contract is not None:
            known = tuple(field.name for field in shape.contract.fields)
        columns = {name: files.column(name) for name in known or ()}
        scope = Scope(columns, files.column if shape.columns is None else None)
        return OpenBlock(0, layers, lambda _: rows.copy(), scope)

    def _result(self, index: int, step: Any, scope: Scope) -> StepResult:
        if len(scope.columns) > MAX_COLUMNS:
            message = f"there are {len(scope.columns):,} columns after this step; at most {MAX_COLUMNS:,} are possible"
            self.draft.refuse(("steps", index, step.kind), message)
        columns = tuple(self._described(column) for column in scope)
        return StepResult(
            f"steps[{index}]",
            step.kind,
            label(step),
            columns,
            scope.more is not None,
            scope.families,
        )

    def _described(self, column: Column) -> OutputColumn:
        """Describe a column; it is the same after many steps."""
        if id(column) not in self._outputs_of:
            self._outputs_of[id(column)] = (column, column.as_output())
        return self._outputs_of[id(column)][1]

    def _outputs(self, block: OpenBlock) -> list[Column]:
        """Return the report's columns, whose values the last block computes."""
        output = self.document.output if self.is_whole else None
        if self.draft.ruleset.is_wrong("output", "columns"):
            return []
        if output is None or output.columns is None:
            columns = list(block.scope)
        else:
            columns = list(selected(self.draft, block.scope, output.columns, ("output", "columns")).values())
        if not columns and block.scope.more is None:
            self.draft.refuse(("output",), "the report has no columns")
        return columns

    def _families(self) -> tuple[OutputColumn, ...]:
        """Return what is known of the report's further columns."""
        output = self.document.output if self.is_whole else None
        chooses = output is not None and output.columns is not None
        return () if chooses or not self.results else self.results[-1][0].families

    def _written(self, column: Column) -> OutputColumn:
        """Describe a column of the report; the copy of a cell that nothing was computed with is a text, as it was read."""
        files = {file for file, _ in column.sources}
        if column.type == ANY and not (files and all(self._is_known(file) for file in files)):
            return column.as_output()
        output = column.as_output(is_written=True)
        is_copy = output.type.name != "text" and column.final().kind == "text"
        return replace(output, type=TEXT) if is_copy else output

    def _is_known(self, file: str) -> bool:
        shape = self.draft.input if file == INPUT else self.draft.shape(file)
        return shape.columns is not None

    def _references(self) -> tuple[Reference, ...]:
        return tuple(
            Reference(name, tuple(self.draft.keys.get(name, ())))
            for name in self.draft.ruleset.reference_names
        )

    # queries

    def _last(self, block: OpenBlock, columns: list[Column]) -> tuple[OpenBlock, list[Column]]:
        """Return the block that gives the report, with the report's columns in it, judged by the output's contract."""
        if block.number == 0 and block.order:
            before, block = block, block.following(step=block.step, diverts=True)
            self.blocks.append(block)
            columns = [block.carried(before, column) for column in columns]
        if self.is_whole:
            judge_output(self.draft, block, columns)
            judge_presentation(self.draft, block.scope, columns)
        return block, columns

    def _rendered(self, block: OpenBlock, columns: list[Column]) -> Plan:
        """Render the blocks from the last to the first, each with what the one behind it uses."""
        if self.draft.pivot is not None:
            blocks, parsed = self._handing(self.blocks[: self.draft.pivot_block + 1], frozenset())
            return Plan(blocks=tuple(blocks), parsed=parsed)
        values = [(column.name, settled(column.final())) for column in columns]
        report = report_columns(block.layers, values, self.draft.forms)
        both = (report.typed, report.wanted)
        typed, wanted = (block.select(outputs, in_order=block.number > 0) for outputs in both)
        before_last, parsed = self._handing(self.blocks[:-1], used_columns(typed) | used_columns(wanted))
        if block.number == 0:
            parsed = self._parsed(block, [partial(block.select, outputs, in_order=False) for outputs in both])
        return Plan(
            blocks=(*before_last, block.closed(typed)),
            text_sql=sql_text(wanted),
            forms=report.forms,
            parsed=parsed,
        )

    def _handing(
        self, blocks: Sequence[OpenBlock], used: frozenset[str]
    ) -> tuple[list[Block], ParsedInput | None]:
        """Render blocks that others follow, given what the one behind them uses."""
        closed, parsed = [], None
        for block in reversed(blocks):
            if block.number == 0:
                parsed = self._parsed(block, [partial(block.handing, used)])
            selected = block.handing(used)
            used = used_columns(selected)
            closed.append(block.closed(selected))
        return closed[::-1], parsed

    def _parsed(self, block: OpenBlock, selects: Sequence[Callable[..., exp.Select]]) -> ParsedInput:
        """Render the first block over rows that the engine has read."""
        rows = parsed_rows(self.draft, block.layers)

        def query(over: ParsedRows) -> ParsedQuery:
            return over.query([select(over=over) for select in selects])

        return rows.input(query(rows), query(rows.clean) if block.has_state else None)


def _sorted(problems: Mapping[Problem, None]) -> tuple[Problem, ...]:
    """Return problems in the order of their places in the file."""
    return tuple(sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0)))
