"""Opening the files of a report: each becomes readable under its name in a locked-down DuckDB, with what its columns hold.

What belongs here: what is open while a report is made, who closes it, compiling the rules for it. What does not: how a file is
read (text_files.py, reading.py), what is done with its rows.
"""

from __future__ import annotations

import datetime
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
from sqlglot import exp

from reportgen_dagster.contracts.contract import Contract
from reportgen_dagster.engine import pieces, reading
from reportgen_dagster.engine import rejects as rejects_file
from reportgen_dagster.engine.connection import engine_errors, open_connection
from reportgen_dagster.engine.limits import Deadline, Limits
from reportgen_dagster.engine.references import untyped_columns
from reportgen_dagster.engine.sandbox import FolderWatch
from reportgen_dagster.engine.text_files import TextFile, mask_misquoted, open_text
from reportgen_dagster.engine.trying import failing_constants
from reportgen_dagster.errors import MissingInputError, Problem, RulesError
from reportgen_dagster.rules.compiling.compile import compile_ruleset
from reportgen_dagster.rules.compiling.kinds import find_kinds
from reportgen_dagster.rules.compiling.plan import INPUT, TEXTS, Form, Plan, Prepared, TableShape
from reportgen_dagster.rules.reading.ruleset import Ruleset

# A table that is made of the whole input does not depend on the order of its rows; several threads read them.
_INPUT_IN_ANY_ORDER = f'CREATE TEMP VIEW "{INPUT}" AS SELECT * FROM "{reading.SURVEY}"'  # noqa: S608 - constants


OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Request:
    """What a report is to be made of.

    Attributes:
        ruleset: The rules.
        files: `input` and the name of each reference, with where the file is.
        parameters: Values of the rules' parameters.
        run_date: What `today()` is.
        contracts: Contracts that come from Python instead of the rules, by the files' names; the report's is called `output`.
        until: Only the steps before this number; None: the whole report.
        forms: What the report's rows are wanted as.
    """

    ruleset: Ruleset
    files: Mapping[str, Path]
    parameters: Mapping[str, object] = field(default_factory=dict)
    run_date: datetime.date = field(default_factory=lambda: datetime.datetime.now(datetime.UTC).date())
    contracts: Mapping[str, Contract] = field(default_factory=dict)
    until: int | None = None
    forms: frozenset[Form] = TEXTS

    def compiled(
        self, shapes: Mapping[str, TableShape], pivot_values: Mapping[int, Sequence[str]] | None = None
    ) -> Plan:
        """Compile the rules for the files.

        Raises:
            RulesError: With every problem there is.
        """
        plan = compile_ruleset(
            self.ruleset,
            input=shapes[INPUT],
            references={name: shape for name, shape in shapes.items() if name != INPUT},
            parameters=self.parameters,
            run_date=self.run_date,
            pivot_values=pivot_values or {},
            until=self.until,
            output=self.contracts.get(OUTPUT),
            forms=self.forms,
        )
        problems = plan.problems or failing_constants(plan)
        if problems:
            raise RulesError(problems=problems)
        return plan


@dataclass(frozen=True, slots=True)
class Ingested:
    """Files that can be read, open in a locked-down DuckDB. Close it, or what is made of it."""

    request: Request
    input: TextFile
    references: Mapping[str, TextFile]
    shapes: Mapping[str, TableShape]
    connection: duckdb.DuckDBPyConnection
    windows: list[pieces.Window]
    cursors: list[duckdb.DuckDBPyConnection]
    opened: ExitStack
    folder: Path
    limits: Limits
    deadline: Deadline
    prepared: set[str] = field(default_factory=set)

    def close(self) -> None:
        """Close the connection and remove what was written into the work folder."""
        self.opened.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open another cursor, which is interrupted as the connection is when a limit is reached."""
        with closing(self.connection.cursor()) as cursor:
            self.cursors.append(cursor)
            try:
                yield cursor
            finally:
                self.cursors.remove(cursor)

    def prepare(self, tables: Sequence[Prepared]) -> None:
        """Make tables of a plan, as far as they are not there."""
        for table in tables:
            if table.name in self.prepared:
                continue
            self.prepared.add(table.name)
            name = exp.Table(this=exp.to_identifier(table.name, quoted=True)).sql("duckdb")
            with self.cursor() as cursor:
                if table.reads_input:
                    cursor.execute(_INPUT_IN_ANY_ORDER)
                cursor.execute(f"CREATE TABLE {name} AS {table.sql}")

    def masked(self) -> Ingested:
        """Open the files anew, with a copy of the input in which misquoted rows do no harm to those behind them."""
        self.opened.close()
        table = mask_misquoted(self.input, work=self.folder, deadline=self.deadline)
        return _opened(self.request, table, self.references, self.folder, self.limits, self.deadline)


def ingest(request: Request, *, work: Path, limits: Limits) -> Ingested:
    """Judge the files, load the references and find what the columns hold.

    Args:
        request: What is to be made of what.
        work: A folder on a disk with room for copies and spilled data; what is put there goes when the result is closed.
        limits: What the report may use.

    Raises:
        MissingInputError: If a file that the rules need is not among `files`.
        FileRefusedError: If a header cannot be used.
        RulesError: If the rules do not fit the headers.
        UnreadableFileError: If a file cannot be read as a whole.
        LimitError: If memory, time or room on the disk runs out.
    """
    deadline = Deadline(limits.seconds)
    _refuse_missing(request)
    folder = Path(tempfile.mkdtemp(prefix="report-", dir=work))
    try:
        with engine_errors(limits, deadline):
            texts = {name: _text(request, name, folder, deadline) for name in _names(request)}
            table = texts.pop(INPUT)
            return _opened(request, table, texts, folder, limits, deadline)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _names(request: Request) -> tuple[str, ...]:
    return (INPUT, *request.ruleset.reference_names)


def _refuse_missing(request: Request) -> None:
    missing = [name for name in _names(request) if name not in request.files]
    if missing:
        raise MissingInputError(problems=[Problem("the file is missing", source=name) for name in missing])


def _text(request: Request, name: str, folder: Path, deadline: Deadline) -> TextFile:
    described, contract = request.ruleset.file(name), _contract(request, name)
    return open_text(
        request.files[name],
        name=name,
        work=folder,
        deadline=deadline,
        dialect=described.dialect if described else None,
        names=tuple(field.name for field in contract.fields) if contract else None,
        missing=contract.missing_values if contract else (),
    )


def _contract(request: Request, name: str) -> Contract | None:
    if name in request.contracts:
        return request.contracts[name]
    return request.ruleset.contract(name)


def _opened(
    request: Request,
    table: TextFile,
    references: Mapping[str, TextFile],
    folder: Path,
    limits: Limits,
    deadline: Deadline,
) -> Ingested:
    """Make the files readable under their names and find what their columns hold."""
    texts = {table.name: table, **references}
    shapes = {
        name: TableShape(name, text.header.columns, contract=_contract(request, name))
        for name, text in texts.items()
    }
    dry = request.compiled(shapes).asked
    asked = {name: {**untyped_columns(shapes[name]), **dry.get(name, {})} for name in texts}
    with ExitStack() as stack:
        windows = pieces.open_windows(table, limits.threads, stack)
        files = [*(text.path for text in texts.values()), *(window.path for window in windows)]
        connection = stack.enter_context(closing(open_connection(files, work=folder, limits=limits)))
        cursors = [connection]
        watch = FolderWatch(folder, limits=limits, deadline=deadline, interrupt=lambda: _interrupt(cursors))
        stack.callback(watch.close)
        reading.create_views(connection, table)
        for text in references.values():
            count = reading.create_table(connection, text)
            rejects_file.refuse_unreadable_rows(text, count, deadline)
        for name in texts:
            scanned = reading.SURVEY if name == INPUT else name
            kinds = find_kinds(reading.first_row(connection), scanned, asked.get(name, {}))
            shapes[name] = replace(shapes[name], kinds=kinds)
        opened = stack.pop_all()
    return Ingested(
        request, table, references, shapes, connection, windows, cursors, opened, folder, limits, deadline
    )


def _interrupt(cursors: list[duckdb.DuckDBPyConnection]) -> None:
    for cursor in list(cursors):
        cursor.interrupt()
