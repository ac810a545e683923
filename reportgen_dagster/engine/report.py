"""Making a report: the face of the engine.

What belongs here: the three stages in order, `ingest` (what files are there, can they be read, what kind are their
columns), `validate` (do keys and types hold, what is the query) and `transform` (the one pass over the rows), and who
closes what. What does not: how any of it is done.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from reportgen_dagster.contracts.output import check_output
from reportgen_dagster.engine import pieces, reading
from reportgen_dagster.engine import rejects as rejects_file
from reportgen_dagster.engine import transform as one_pass
from reportgen_dagster.engine.connection import engine_errors, open_connection
from reportgen_dagster.engine.facts import file_facts
from reportgen_dagster.engine.keys import refuse_duplicates
from reportgen_dagster.engine.limits import Deadline, Limits
from reportgen_dagster.engine.outcome import Outcome, Preview
from reportgen_dagster.engine.rejects import MisquotedRowsError
from reportgen_dagster.engine.text_files import TextFile, mask_misquoted, open_text
from reportgen_dagster.engine.writers.csv import CsvWriter
from reportgen_dagster.errors import ContractError, MissingInputError, Problem, RulesError
from reportgen_dagster.rules.checks import check_columns
from reportgen_dagster.rules.compile import CompiledQuery, TableShape, compile_ruleset
from reportgen_dagster.rules.kinds import columns_needing_kinds, kinds_sql, read_kinds
from reportgen_dagster.rules.loading import Ruleset

INPUT = "input"
_ERRORS = "errors.arrow"


@dataclass(frozen=True, slots=True)
class Ingested:
    """Files that can be read, open in a locked-down DuckDB. Close it, or what is made of it."""

    ruleset: Ruleset
    input: TextFile
    references: Mapping[str, TextFile]
    shapes: Mapping[str, TableShape]
    connection: duckdb.DuckDBPyConnection
    windows: list[pieces.Window]
    opened: ExitStack
    folder: Path
    limits: Limits
    deadline: Deadline

    def close(self) -> None:
        """Close the connection and remove what was written into the work folder."""
        self.opened.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Plan:
    """A query whose keys and types were checked, ready for the pass over the rows."""

    ingested: Ingested
    query: CompiledQuery

    def close(self) -> None:
        """Close what was ingested."""
        self.ingested.close()


def make_report(
    ruleset: Ruleset,
    files: Mapping[str, Path],
    *,
    output: Path,
    rejects: Path,
    work: Path,
    limits: Limits,
    progress: Callable[[float], None] = lambda _: None,
) -> Outcome:
    """Make a report from end to end; see `ingest`, `validate` and `transform`, whose errors it raises."""
    ingested = ingest(ruleset, files, work=work, limits=limits)
    try:
        return transform(validate(ingested), output=output, rejects=rejects, progress=progress)
    finally:
        ingested.close()


def ingest(ruleset: Ruleset, files: Mapping[str, Path], *, work: Path, limits: Limits) -> Ingested:
    """Judge the files, load the references and find what kind of cells the columns hold.

    Args:
        ruleset: The rules.
        files: `input` and the name of each reference, with where the file is.
        work: A folder on a disk with room for copies and spilled data; what is put there goes when the result is closed.
        limits: What the report may use.

    Raises:
        MissingInputError: If a file that the rules need is not among `files`.
        FileRefusedError: If a header cannot be used.
        RulesError: If the rules do not fit the headers.
        UnreadableFileError: If a file cannot be read as a whole.
        LimitError: If memory or time runs out.
    """
    deadline = Deadline(limits.seconds)
    _refuse_missing(ruleset, files)
    folder = Path(tempfile.mkdtemp(prefix="report-", dir=work))
    try:
        names = (INPUT, *ruleset.reference_names)
        with engine_errors(limits):
            texts = {
                name: open_text(files[name], name=name, work=folder, deadline=deadline) for name in names
            }
            table = texts.pop(INPUT)
            _refuse_unknown_columns(ruleset, table, texts)
            return _opened(ruleset, table, texts, folder=folder, limits=limits, deadline=deadline)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def validate(ingested: Ingested) -> Plan:
    """Settle keys and types before any row moves.

    Raises:
        DuplicateKeyError: If a lookup key of a reference is not unique.
        ContractError: If the query does not give the columns and types that the rules promise.
    """
    with engine_errors(ingested.limits):
        shapes = dict(ingested.shapes)
        query = compile_ruleset(ingested.ruleset, input=shapes.pop(INPUT), references=shapes)
        refuse_duplicates(ingested.connection, query.lookups)
        _contract(ingested.connection, query)
        return Plan(ingested, query)


def transform(
    plan: Plan, *, output: Path, rejects: Path, progress: Callable[[float], None] = lambda _: None
) -> Outcome:
    """Make the one pass: compute, divert, write, count.

    Args:
        plan: From `validate`.
        output: Where to write the report.
        rejects: Where to write the rejects; the file is there afterwards only if there are any.
        progress: Called now and then with the fraction that is done.

    Raises:
        UnreadableFileError: If a quote in the input never closes.
        AccountingError: If rows in are not rows out plus rejects.
        LimitError: If memory or time runs out.
    """
    given = plan.ingested
    with engine_errors(given.limits), _removed_on_failure(output, rejects):
        try:
            return _pass(plan, output=output, rejects=rejects, progress=progress)
        except MisquotedRowsError:
            given.opened.close()
            masked = mask_misquoted(given.input, work=given.folder, deadline=given.deadline)
        again = _opened(
            given.ruleset,
            masked,
            given.references,
            folder=given.folder,
            limits=given.limits,
            deadline=given.deadline,
        )
        with again.opened:
            return _pass(validate(again), output=output, rejects=rejects, progress=progress)


def _pass(plan: Plan, *, output: Path, rejects: Path, progress: Callable[[float], None]) -> Outcome:
    """Make the pass over the rows once."""
    given = plan.ingested
    names = [column.name for column in plan.query.columns]
    preview = Preview()
    contract = _contract(given.connection, plan.query)
    with CsvWriter(output, names) as writer, _batches(plan) as batches:
        readable_count = one_pass.write_rows(
            batches,
            writer=writer,
            errors=given.folder / _ERRORS,
            preview=preview,
            on_batch=one_pass.progress_of(given.input, given.deadline, progress),
        )
    input_count, samples = _divert(plan, rejects, readable_count, writer.row_count)
    return Outcome(
        input_count=input_count,
        row_count=writer.row_count,
        reject_count=input_count - writer.row_count,
        columns=[{"name": column.name, "type": column.type} for column in plan.query.columns],
        sources={column.name: [list(source) for source in column.sources] for column in plan.query.columns},
        preview=preview.markdown(names),
        contract=contract,
        sql=plan.query.sql,
        reject_samples=samples,
        files=_facts(given, input_count),
    )


def _batches(plan: Plan) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
    """Return the rows of the query in the input's order, computed ahead of whoever takes them."""
    given, sql = plan.ingested, plan.query.text_sql
    rows = one_pass.batch_rows(given.input)
    if not given.windows:
        reader = given.connection.sql(sql).to_arrow_reader(rows)
        return one_pass.prefetched(reader, given.connection.interrupt)
    cursors = {
        window: given.opened.enter_context(closing(given.connection.cursor())) for window in given.windows
    }
    for window, cursor in cursors.items():
        reading.create_piece_view(cursor, given.input, window.path)

    def interrupt() -> None:
        for cursor in cursors.values():
            cursor.interrupt()

    return pieces.computed(
        given.input,
        given.windows,
        lambda window: cursors[window].sql(sql).to_arrow_reader(rows),
        interrupt,
    )


def _facts(given: Ingested, input_count: int) -> dict[str, dict[str, Any]]:
    facts = {
        name: file_facts(given.connection, name, text.header.columns)
        for name, text in given.references.items()
    }
    columns = given.input.header.columns
    return {INPUT: file_facts(given.connection, reading.SURVEY, columns, row_count=input_count), **facts}


def _divert(
    plan: Plan, rejects: Path, readable_count: int, row_count: int
) -> tuple[int, list[dict[str, str]]]:
    """Account for every row of the input and write the rejects if there are any.

    Returns:
        How many rows the input has, and the first rejects.
    """
    given = plan.ingested
    if row_count == readable_count and rejects_file.all_read(given.input, readable_count):
        return readable_count, []
    return rejects_file.write_rejects(
        rejects,
        given.input,
        one_pass.spooled_errors(given.folder / _ERRORS),
        formulas=plan.query.formulas,
        readable_count=readable_count,
        deadline=given.deadline,
    )


def _refuse_missing(ruleset: Ruleset, files: Mapping[str, Path]) -> None:
    missing = [name for name in (INPUT, *ruleset.reference_names) if name not in files]
    if missing:
        raise MissingInputError(problems=[Problem("the file is missing", source=name) for name in missing])


def _refuse_unknown_columns(ruleset: Ruleset, table: TextFile, references: Mapping[str, TextFile]) -> None:
    problems = check_columns(
        ruleset,
        input_columns=table.header.columns,
        reference_columns={name: text.header.columns for name, text in references.items()},
    )
    if problems:
        raise RulesError(problems=problems)


def _opened(
    ruleset: Ruleset,
    table: TextFile,
    references: Mapping[str, TextFile],
    *,
    folder: Path,
    limits: Limits,
    deadline: Deadline,
) -> Ingested:
    """Make the files readable under their names and find what kind of cells their columns hold."""
    with ExitStack() as stack:
        windows = pieces.open_windows(table, limits.threads, stack)
        texts = (table, *references.values())
        files = [*(text.path for text in texts), *(window.path for window in windows)]
        connection = stack.enter_context(closing(open_connection(files, work=folder, limits=limits)))
        reading.create_views(connection, table)
        for text in references.values():
            count = reading.create_table(connection, text)
            rejects_file.refuse_unreadable_rows(text, count, deadline)
        shapes = {name: _shape(connection, ruleset, text, name) for name, text in references.items()}
        shapes[table.name] = _shape(connection, ruleset, table, reading.SURVEY)
        opened = stack.pop_all()
    return Ingested(ruleset, table, references, shapes, connection, windows, opened, folder, limits, deadline)


def _shape(
    connection: duckdb.DuckDBPyConnection, ruleset: Ruleset, text: TextFile, scanned: str
) -> TableShape:
    is_reference = scanned == text.name
    columns = columns_needing_kinds(ruleset, text.header.columns, defaults=is_reference)
    kinds = {}
    if columns:
        row = connection.execute(kinds_sql(scanned, columns)).fetchall()[0]
        kinds = read_kinds(columns, row)
    return TableShape(relation=text.name, columns=text.header.columns, kinds=kinds)


def _contract(connection: duckdb.DuckDBPyConnection, query: CompiledQuery) -> dict[str, Any]:
    """Check the query's columns and types; it is bound, not run."""
    contract = check_output(connection.sql(query.sql).limit(0), query.columns)
    if not contract["passed"]:
        raise ContractError(
            problems=[Problem(failure["message"], path=failure["column"]) for failure in contract["failures"]]
        )
    return contract


@contextmanager
def _removed_on_failure(*paths: Path) -> Iterator[None]:
    """Leave none of these files behind when what is inside fails."""
    try:
        yield
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise
