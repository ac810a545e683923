"""What the compiler gives and the engine carries out: tables to prepare, queries to run in a row, and what they promise.

What belongs here: data. What does not: how it is made (compile.py) or run (engine/).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from reportgen_dagster.contracts.types import Type, TypeName
from reportgen_dagster.errors import Problem

if TYPE_CHECKING:
    from reportgen_dagster.contracts.contract import Contract
    from reportgen_dagster.rules.compiling.kinds import ColumnKind

INPUT = "input"
# Tables that are not files have a colon in their names: no name of a reference has one.
ROWS = "rows:{}"
PREPARED = "made:{}"
PARSED = "input:parsed"
CLEAN = "input:clean"
STATE = "_state"
ROW = "_row"
PART_SEPARATOR = "\x1e"
FIELD_SEPARATOR = "\x1f"
# The state of a row is null, or parts joined by PART_SEPARATOR. A part begins with one of these letters.
DOUBTFUL = "?"  # in `ParsedInput.clean` only: the row has another state
DROPPED = "d"  # a filter or the like left it out; nothing behind the letter
BROKEN = "c"  # breaks the input's contract: number of the rule; the row is a reject
WARNED = "w"  # breaks a rule of severity `warn`: number of the rule; the row stays
ERROR = "e"  # an expression or a lookup failed: number, FIELD_SEPARATOR, reason, FIELD_SEPARATOR, values
FATAL = "f"  # like ERROR, but fails the run (`missing: fail`)
OUTPUT = "o"  # breaks the output's contract: number of the rule; the row stays, the run is judged at its end

Asked = Literal["type", "cell"]
# What a report's rows may be wanted as. `texts`: as they are written; `values`: as typed values; `json`: each row as JSON;
# `types`: columns that are only copied have the type that all their cells keep.
Form = Literal["texts", "values", "json", "types"]
TEXTS: frozenset[Form] = frozenset(("texts",))


@dataclass(frozen=True, slots=True)
class TableShape:
    """A file as the compiler sees it.

    Attributes:
        relation: Name of the table or view; its columns are texts, null where the cell is empty or a missing value.
        columns: Its columns; None while they are not known.
        kinds: What columns without a field in the contract hold; a column that is left out has type `any`.
        contract: Its contract, if it has one.
    """

    relation: str
    columns: tuple[str, ...] | None
    kinds: Mapping[str, ColumnKind] = field(default_factory=dict)
    contract: Contract | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Something that a row can break; states name it by its number in `Plan.rules`.

    Attributes:
        step: The step's path, as `steps[3].derive`; `input` or `output` for contracts.
        column: The column that is judged or made; empty if it is none.
        text: The formula, or the constraint as `minimum: 0`.
        reason: What is wrong, for contracts; states carry the reason of errors.
        severity: `warn` only counts.
        threshold: How many rows may break it, as a count (>= 1) or a share (< 1.0); None: any number for the input, none for
            the output.
        place: File, line and column that it stands at in the rules, for steps.
    """

    step: str
    column: str
    text: str
    reason: str = ""
    severity: Literal["error", "warn"] = "error"
    threshold: float | None = None
    place: tuple[str, int | None, int | None] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A table to make before any row is judged.

    Attributes:
        name: What it is called.
        sql: A SELECT over references' tables, other prepared tables, or the whole input.
        reads_input: It reads the input: `relation` of the input's shape.
    """

    name: str
    sql: str
    reads_input: bool = False


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """A key that no two rows of the input may share; all rows of it but the first are rejects.

    Attributes:
        column: The column of the first block that has the number of a key that is there more than once, from 0, else null.
        rule: Number of the rule.
        duplicates: The prepared table with a row for each such key; its column `number` numbers them.
    """

    column: str
    rule: int
    duplicates: str


@dataclass(frozen=True, slots=True)
class Block:
    """One query. The first has a row for each row of the input, in its order; each later one reads the table of the one before.

    Attributes:
        table: What its rows are called in the next block's query.
        sql: SELECT of typed columns; behind them the columns of `Plan.unique` (first block only), `ROW` (all but the first, whose
            rows the engine numbers) and, if `has_state`, `STATE`.
        has_state: A row may have a state that is not null. The next block's query leaves out rows that are not kept.
        diverts: One row still stands for one row of the input (`ROW` is its number); an error makes that a reject. Otherwise
            an error fails the run.
        scanned_once: The next block reads its table only once, so that rows can stream.
        step: Path of the step that the block begins with, for messages.
    """

    table: str
    sql: str
    has_state: bool
    diverts: bool
    scanned_once: bool = True
    step: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """Cells read as their type, in its plainest notation: `007`, `1.5e3`, `2024-01-31`; nothing before or behind it.

    Attributes:
        column: The column of the input.
        type: `integer` (64 bits), `number` (finite) or `date`.
    """

    column: str
    type: TypeName


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """The first block over rows that the engine has read; it hands on the place of each row as its last column.

    Attributes:
        table: The name of the rows.
        columns: Their columns, of those that `ParsedInput` names.
        sql: What `Block.sql` of the first block gives.
        text_sql: What `Plan.text_sql` gives, if the first block is the last.
    """

    table: str
    columns: tuple[str, ...]
    sql: str
    text_sql: str


@dataclass(frozen=True, slots=True)
class ParsedInput:
    """The first block for rows of which the engine has read all cells of `values` as their type.

    Attributes:
        texts: Columns of the input that the rows have as they are.
        values: Their further columns, by name.
        place: The name of their last column, which numbers the rows from 0.
        full: The block as it is.
        clean: The block for rows that keep all rules, which costs less. It gives a row some state, which tells nothing, where the
            row's own is neither null nor `DROPPED`. None if no row has a state.
    """

    texts: tuple[str, ...]
    values: Mapping[str, Reading]
    place: str
    full: ParsedQuery
    clean: ParsedQuery | None = None


@dataclass(frozen=True, slots=True)
class RowForms:
    """Which columns of the rows that `Plan.text_sql` gives are what.

    Attributes:
        columns: So many come first: the report's columns as they are written, a text or a whole number each; as typed values if
            nobody wants texts.
        values: For each column of the report the place of its typed value; empty if nobody wants these.
        json: The place of the row as JSON, with a line end behind it; None if nobody wants it.
    """

    columns: int = 0
    values: tuple[int, ...] = ()
    json: int | None = None

    @property
    def width(self) -> int:
        """Return how many columns there are."""
        return max(self.columns - 1, *self.values, self.json or 0, -1) + 1


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """A column of the report, or after a step.

    Attributes:
        name: Its name.
        type: What it holds.
        sources: File and column of all that it is made of, also through lookups, aggregates, windows and pivots.
    """

    name: str
    type: Type
    sources: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class StepResult:
    """What there is after a step.

    Attributes:
        path: The step's path, as `steps[3]`.
        kind: `lookup`, `filter`, ...
        label: Its `name:` if it has one, else a few words, for graphs.
        columns: The columns, in order.
        is_open: There may be more columns, whose names are not known before data.
        families: What is known of these: columns that a pivot makes, called `<values of quarter>`.
    """

    path: str
    kind: str
    label: str
    columns: tuple[OutputColumn, ...]
    is_open: bool = False
    families: tuple[OutputColumn, ...] = ()


@dataclass(frozen=True, slots=True)
class PivotQuestion:
    """The values that a pivot makes columns of, which only data can tell.

    Attributes:
        step: Number of the step.
        sql: SELECT of one text column over the table of the last block: its values in the order that their columns take.
    """

    step: int
    sql: str


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference as the plan reads it.

    Attributes:
        name: Its name.
        unique: Groups of columns that must not hold a combination twice (lookup keys, `duplicates: error`); blanks do not count.
    """

    name: str
    unique: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class StepTables:
    """Every step's result as SQL that a database can bind over empty tables, to see that its columns are of the types told.

    Attributes:
        files: The columns of each file; all of them are texts.
        values: By the number of a block, from the last to the first, a SELECT of all columns that there are after its steps, and
            of the report's if it is the last; behind them stand the columns of its table that the next block reads.
        columns: By the number of a block, in order, for each column but those of the table the step that it is first there after,
            and what is told of it.
    """

    files: Mapping[str, tuple[str, ...]]
    values: Mapping[int, str]
    columns: Mapping[int, tuple[tuple[str, OutputColumn], ...]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What rules mean for files.

    Attributes:
        problems: Why nothing can run; everything else is then of use for explanations only.
        prepared: Tables to make first, in order.
        blocks: The queries, in order; the last one's rows are the report.
        text_sql: The last block's query once more with each column as it is written, and with the further forms that were asked
            for.
        forms: Which columns of that are what.
        parsed: The first block for an engine that reads cells itself.
        columns: The report's columns.
        families: Columns that only data can tell, which stand behind them (`StepResult.families`).
        steps: What there is after each step.
        rules: What rows can break.
        unique: Keys of the input that must be unique.
        references: What must hold for the references.
        asked: For each file the columns whose kind matters: the inferred `type`, or how each `cell` reads in the short form.
        pivot: What must be known before the plan can go on behind `blocks`; give it to the compiler as `pivot_values` and
            compile anew: the blocks up to here stay the same.
        constant_checks: SQL conditions without any column, each with the problem that it is if it is true.
        step_tables: The results of all steps, if they were asked for and there are no problems.
        contract: The report's contract, if it has one; its fields have the columns' types.
    """

    problems: tuple[Problem, ...] = ()
    prepared: tuple[Prepared, ...] = ()
    blocks: tuple[Block, ...] = ()
    text_sql: str = ""
    forms: RowForms = RowForms()
    parsed: ParsedInput | None = None
    columns: tuple[OutputColumn, ...] = ()
    families: tuple[OutputColumn, ...] = ()
    steps: tuple[StepResult, ...] = ()
    rules: tuple[Rule, ...] = ()
    unique: tuple[UniqueKey, ...] = ()
    references: tuple[Reference, ...] = ()
    asked: Mapping[str, Mapping[str, frozenset[Asked]]] = field(default_factory=dict)
    pivot: PivotQuestion | None = None
    constant_checks: tuple[tuple[str, Problem], ...] = ()
    step_tables: StepTables | None = None
    contract: Contract | None = None
