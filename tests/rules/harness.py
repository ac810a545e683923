"""Runs rules on small tables in a real DuckDB, block by block as the engine does, without the engine."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Mapping, Sequence
from csv import reader
from dataclasses import dataclass, field, replace
from textwrap import dedent
from typing import Any

import duckdb

from reportgen_dagster.contracts.contract import Contract, contract_of
from reportgen_dagster.errors import RulesError
from reportgen_dagster.rules.compiling.compile import compile_ruleset
from reportgen_dagster.rules.compiling.kinds import find_kinds
from reportgen_dagster.rules.compiling.plan import FIELD_SEPARATOR, PART_SEPARATOR, Block, Plan, TableShape
from reportgen_dagster.rules.expressions.gate import allow_nesting
from reportgen_dagster.rules.reading.loading import load_ruleset
from reportgen_dagster.rules.reading.ruleset import Ruleset
from reportgen_dagster.rules.values.typed import sql_type

Cell = str | None
Table = tuple[Sequence[str], Sequence[Sequence[Cell]]]
RUN_DATE = dt.date(2024, 1, 31)
_CONNECTION = duckdb.connect(config={"threads": 1})
_QUESTIONS_AT_MOST = 10
allow_nesting()  # here, so that no test seems to change the interpreter


class FailedRunError(Exception):
    """A run failed: an error after rows ceased to stand for input rows, a lookup that fails the run, a duplicate key."""


@dataclass(frozen=True)
class Reject:
    """A row of the input, numbered from 1, that is not in the report, with all its reasons."""

    row: int
    columns: tuple[str, ...]
    rules: tuple[str, ...]
    reasons: tuple[str, ...]
    values: str = ""


@dataclass
class Report:
    """What a run gave."""

    plan: Plan
    rows: list[tuple[Cell, ...]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    dropped: int = 0
    warned: dict[str, int] = field(default_factory=dict)
    broken_output: dict[str, int] = field(default_factory=dict)

    @property
    def header(self) -> list[str]:
        """Return the report's columns."""
        return [column.name for column in self.plan.columns]

    @property
    def types(self) -> list[str]:
        """Return the types of the report's columns."""
        return [str(column.type) for column in self.plan.columns]

    def column(self, name: str) -> list[Cell]:
        """Return one column of the report."""
        return [row[self.header.index(name)] for row in self.rows]

    @property
    def text(self) -> list[str]:
        """Return header and rows, each as one text; null is nothing."""
        return [",".join("" if cell is None else cell for cell in row) for row in (self.header, *self.rows)]


@dataclass
class Result:
    """The rows of a report that has but one block, also those with an error, and the error of each row."""

    rows: list[tuple[Cell, ...]]
    errors: list[Cell]
    plan: Plan

    def column(self, name: str) -> list[Cell]:
        """Return one column; a row with an error shows its reason behind `!`."""
        position = [column.name for column in self.plan.columns].index(name)
        return [
            row[position] if error is None else "!" + error.split(FIELD_SEPARATOR)[1]
            for row, error in zip(self.rows, self.errors, strict=True)
        ]


def rules(*formulas: str, **named: str) -> Ruleset:
    """Load formulas as outputs `out0`, `out1`, ... and named ones."""
    outputs = {f"out{number}": formula for number, formula in enumerate(formulas)} | named
    lines = [f"- output: {name}\n  formula: {_quoted(formula)}" for name, formula in outputs.items()]
    return load_ruleset("\n".join(lines))


def _quoted(formula: str) -> str:
    return "'" + formula.replace("'", "''") + "'"


def long_form(text: str) -> Ruleset:
    """Load rules in the long form, perhaps indented; the version may be left out."""
    text = dedent(text)
    return load_ruleset(text if text.lstrip().startswith("version") else f"version: 1\n{text}")


def parse_csv(text: str) -> tuple[list[str], list[list[Cell]]]:
    """Read a small CSV text; empty cells are null."""
    head, *lines = reader(io.StringIO(text))
    return head, [[cell or None for cell in line] for line in lines]


def table(text: str) -> Table:
    """Read a table that is written with spaces around `|` or `,` for people, one row a line."""
    head, *lines = [line.strip() for line in text.strip().splitlines()]
    columns = [cell.strip() for cell in head.split(",")]
    return columns, [[cell.strip() or None for cell in line.split(",")] for line in lines]


# running


def contracts_of(ruleset: Ruleset) -> dict[str, Contract]:
    """Return the contracts that rules give their files."""
    document = ruleset.document
    files = {"input": document.input, **document.references}
    return {
        name: contract_of(file.schema_, file.dialect)
        for name, file in files.items()
        if file is not None and file.schema_ is not None
    }


class Run:
    """One run: tables in, report out."""

    def __init__(
        self,
        ruleset: Ruleset,
        tables: Mapping[str, Table],
        *,
        parameters: Mapping[str, object] | None = None,
        until: int | None = None,
    ) -> None:
        """Make the tables and compile the rules for them."""
        self.connection = _CONNECTION.cursor()
        self.made: list[str] = []
        self.ruleset = ruleset
        self.pivot_values: dict[int, Sequence[str]] = {}
        self.options: dict[str, Any] = {"parameters": parameters, "run_date": RUN_DATE, "until": until}
        contracts = contracts_of(ruleset)
        self.shapes = {}
        for name, (columns, rows) in tables.items():
            self._make_table(name, columns, rows, contracts.get(name))
            self.shapes[name] = TableShape(name, tuple(columns), {}, contracts.get(name))
        self.tables = tables

    def __enter__(self) -> Run:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what was made."""
        for name in reversed(self.made):
            self.connection.execute(f'DROP TABLE IF EXISTS "{name}"')

    def _make_table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], contract: Contract | None
    ) -> None:
        typed = ", ".join(f'"{column}" VARCHAR' for column in columns)
        self.connection.execute(f'CREATE OR REPLACE TABLE "{name}" ({typed})')
        self.made.append(name)
        missing = contract.missing_values if contract else ()
        if rows:
            marks = ", ".join("?" for _ in columns)
            insert = f'INSERT INTO "{name}" VALUES ({marks})'  # noqa: S608 - the names are the tests' own
            self.connection.executemany(
                insert, [[None if cell in missing else cell for cell in row] for row in rows]
            )

    def compile(self) -> Plan:
        """Compile for the tables as they are."""
        shapes = dict(self.shapes)
        return compile_ruleset(
            self.ruleset,
            input=shapes.pop("input"),
            references=shapes,
            pivot_values=self.pivot_values,
            **self.options,
        )

    def survey(self) -> Plan:
        """Find what columns hold as far as the plan asks, and compile again."""
        dry = self.compile()
        if dry.problems:
            raise RulesError(problems=dry.problems)
        for name, asked in dry.asked.items():
            shape = self.shapes[name]
            kinds = find_kinds(lambda sql: self.connection.execute(sql).fetchall()[0], shape.relation, asked)
            self.shapes[name] = replace(shape, kinds=kinds)
        plan = self.compile()
        if plan.problems:
            raise RulesError(problems=plan.problems)
        for name, asked in plan.asked.items():
            assert set(asked) <= set(dry.asked[name]), "what matters does not depend on what the files hold"
        return plan

    def prepare(self, plan: Plan) -> None:
        """Judge the references' keys and make the tables that come before the rows."""
        for reference in plan.references:
            if reference.name not in self.tables:
                continue
            columns, rows = self.tables[reference.name]
            for key in reference.unique:
                keys = [tuple(row[list(columns).index(name)] for name in key) for row in rows]
                full = [one for one in keys if None not in one]
                if len(full) != len(set(full)):
                    raise FailedRunError(f"duplicate key {', '.join(key)} in {reference.name}")
        for one in plan.prepared:
            self._keep(one.name, one.sql)

    def _keep(self, name: str, sql: str) -> None:
        self.connection.execute(f'CREATE OR REPLACE TABLE "{name}" AS {sql}')
        self.made.append(name)

    def report(self) -> Report:
        """Run."""
        plan = self.survey()
        self.prepare(plan)
        done = 0
        report = Report(plan)
        for _ in range(_QUESTIONS_AT_MOST):
            for number, block in list(enumerate(plan.blocks))[done:]:
                if number < len(plan.blocks) - 1 or plan.pivot is not None:
                    self._block(report, plan, number, block)
            if plan.pivot is None:
                break
            done = len(plan.blocks)
            answers = self.connection.execute(plan.pivot.sql).fetchall()
            self.pivot_values[plan.pivot.step] = [row[0] for row in answers]
            after = self.compile()
            if after.problems:
                raise RulesError(problems=after.problems)
            assert [block.sql for block in after.blocks[:done]] == [block.sql for block in plan.blocks]
            plan = report.plan = after
        self._last(report, plan)
        return report

    def _block(self, report: Report, plan: Plan, number: int, block: Block) -> None:
        sql = block.sql
        self._keep(f"{block.table}_all", sql)
        columns = [row[0] for row in self.connection.execute(f'DESCRIBE "{block.table}_all"').fetchall()]
        if number == 0:
            rows = self.connection.execute(f'SELECT * FROM "{block.table}_all"').fetchall()  # noqa: S608
            kept = self._judge(report, plan, block, columns, rows)
            self.connection.execute(
                f'CREATE OR REPLACE TABLE "{block.table}" AS SELECT *, rowid AS _row FROM "{block.table}_all"'  # noqa: S608
            )
            self.connection.execute(
                f'DELETE FROM "{block.table}" WHERE NOT list_contains(?, _row)',  # noqa: S608
                [[row for row, keep in enumerate(kept) if keep] or [-1]],
            )
        else:
            self._keep(block.table, sql)
            if block.has_state:
                rows = self.connection.execute(f'SELECT * FROM "{block.table}"').fetchall()  # noqa: S608
                self._judge(report, plan, block, columns, rows)
        self.made.append(block.table)

    def _last(self, report: Report, plan: Plan) -> None:
        last = plan.blocks[-1]
        described = self.connection.execute(f"DESCRIBE {last.sql}").fetchall()
        width = len(plan.columns)
        wanted = [sql_type(column.type).sql("duckdb").replace("TEXT", "VARCHAR") for column in plan.columns]
        found = [line[1].replace(" ", "") for line in described[:width]]
        assert found == [one.replace(" ", "") for one in wanted], (found, wanted)
        result = self.connection.execute(plan.text_sql)
        columns = [one[0] for one in result.description]
        rows = result.fetchall()
        kept = self._judge(report, plan, last, columns, rows)
        report.rows = [_as_texts(row[:width]) for row, keep in zip(rows, kept, strict=True) if keep]

    def _judge(
        self, report: Report, plan: Plan, block: Block, columns: Sequence[str], rows: Sequence[Any]
    ) -> list[bool]:
        """Note what becomes of rows; return which are kept."""
        is_first = block is plan.blocks[0]
        if is_first:
            assert len(rows) == len(self.tables["input"][1])
        duplicated = self._duplicates(plan, columns, rows) if is_first else {}
        kept = []
        for number, row in enumerate(rows):
            at = number if is_first else row[len(row) - (2 if block.has_state else 1)]
            state = row[-1] if block.has_state else None
            reasons = [plan.rules[rule] for rule in duplicated.get(number, ())]
            kept.append(self._judge_row(report, plan, block, at, state, reasons))
        return kept

    @staticmethod
    def _duplicates(plan: Plan, columns: Sequence[str], rows: Sequence[Any]) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for unique in plan.unique:
            seen: set[int] = set()
            place = list(columns).index(unique.column)
            for number, row in enumerate(rows):
                if row[place] in seen and row[place] is not None:
                    found.setdefault(number, []).append(unique.rule)
                seen.add(row[place])
        return found

    def _judge_row(
        self, report: Report, plan: Plan, block: Block, at: int, state: Cell, duplicated: Sequence[Any]
    ) -> bool:
        parts = state.split(PART_SEPARATOR) if state else []
        broken = [plan.rules[int(part[1:])] for part in parts if part[0] == "c"] + list(duplicated)
        if broken:
            reject = Reject(
                at + 1,
                tuple(rule.column for rule in broken),
                tuple(rule.text for rule in broken),
                tuple(rule.reason for rule in broken),
            )
            report.rejects.append(reject)
            return False
        for part in parts:
            if part[0] in "ef":
                number, reason, values = part[1:].split(FIELD_SEPARATOR)
                rule = plan.rules[int(number)]
                if part[0] == "f" or not block.diverts:
                    raise FailedRunError(f"{rule.step} {rule.column}: {reason} ({values})")
                report.rejects.append(Reject(at + 1, (rule.column,), (rule.text,), (reason,), values))
                return False
            if part == "d":
                report.dropped += 1
                return False
            counted = report.warned if part[0] == "w" else report.broken_output
            rule = plan.rules[int(part[1:])]
            counted[f"{rule.column} {rule.text}"] = counted.get(f"{rule.column} {rule.text}", 0) + 1
        return True


def run_long(text: str | Ruleset, input_table: str | Table, **tables: Any) -> Report:
    """Run rules of the long form.

    Args:
        text: The rules.
        input_table: The input, as `table` reads it.
        **tables: References in the same way, and the options of `Run`.
    """
    ruleset = long_form(text) if isinstance(text, str) else text
    options = {name: tables.pop(name) for name in ("parameters", "until") if name in tables}
    read = {
        name: table(one) if isinstance(one, str) else one
        for name, one in {"input": input_table, **tables}.items()
    }
    with Run(ruleset, read, **options) as one:
        return one.report()


def run(
    ruleset: Ruleset,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    reference: Table | None = None,
) -> Result:
    """Run rules of one block on an input and perhaps a reference."""
    tables: dict[str, Table] = {"input": (columns, rows)}
    if reference:
        tables["reference"] = reference
    with Run(ruleset, tables) as one:
        plan = one.survey()
        one.prepare(plan)
        found = one.connection.execute(plan.text_sql).fetchall()
    assert len(plan.blocks) == 1
    assert len(found) == len(rows)
    if not plan.blocks[0].has_state:
        return Result([_as_texts(row) for row in found], [None] * len(found), plan)
    return Result([_as_texts(row[:-1]) for row in found], [row[-1] and row[-1][1:] for row in found], plan)


def _as_texts(row: Sequence[Any]) -> tuple[Cell, ...]:
    """Return the cells as the report has them: whole numbers come as such from the query."""
    return tuple(None if cell is None else str(cell) for cell in row)


def value(formula: str, **cells: Cell) -> Cell:
    """Return what one formula makes of one row, or its error behind `!`."""
    names = list(cells) or ["unused"]
    return run(rules(formula), names, [[cells.get(name) for name in names]]).column("out0")[0]
