"""Carries out the blocks of a plan: the first one over the input in pieces, later ones over the table of the one before.

What belongs here: what is streamed, what becomes a table, in which order. What does not: SQL (`rules/`), which rows stay
(sieve.py), what a broken rule means for the run (verdict.py).

The first block's rows reach a later one as an Arrow stream that DuckDB pulls while other cursors compute ahead. That cannot lock
up: each piece is computed by a thread of its own that works off its query itself, even if all of DuckDB's threads wait for the
stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from types import TracebackType

import duckdb
import pyarrow as pa
from sqlglot import exp

from reportgen_dagster.engine import pieces, reading
from reportgen_dagster.engine.ingest import Ingested
from reportgen_dagster.engine.parsing import PieceParser, can_parse
from reportgen_dagster.engine.piece_queries import PieceQuery
from reportgen_dagster.engine.promises import refuse_other_columns
from reportgen_dagster.engine.sieve import Findings, FirstOfKeys, Layout, Sieve
from reportgen_dagster.engine.spool import Spool
from reportgen_dagster.engine.transform import batch_rows, prefetched
from reportgen_dagster.engine.verdict import refuse_failures
from reportgen_dagster.errors import BadDataError, RulesError
from reportgen_dagster.rules.compiling.plan import ROW, STATE, Block, Plan
from reportgen_dagster.rules.reading.steps import MAX_PIVOTED

_STATES_AT_ONCE = 16_384
_STREAM = "rows:stream"  # a colon: no reference is called so
Rows = Iterator[pa.RecordBatch]


class Blocks:
    """Carries out the blocks of one plan, and of the same plan once more is known. Use it as a context.

    Attributes:
        findings: What broke which rule in blocks whose rows divert, and of the output's contract.
        failures: Errors where no row stands for a row of the input any more: they fail the run.
        is_complete: Every row of the input was judged.
    """

    def __init__(self, given: Ingested, spool: Spool, on_batch: Callable[[int], None]) -> None:
        """Begin.

        Args:
            given: The files; prepared tables are there already.
            spool: Gets the rejected rows.
            on_batch: Called with the number of rows of the input that were read so far, after each batch of them.
        """
        self.findings = Findings()
        self.failures = Findings()
        self._given = given
        self._spool = spool
        self._on_batch = on_batch
        self._stack = ExitStack()
        self._sieves: list[Sieve] = []
        self._made = 0
        self._source: Rows = iter(())
        self._error: BaseException | None = None
        self.is_complete = False

    def __enter__(self) -> Blocks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def read_count(self) -> int:
        """Rows of the input that could be read."""
        return self._sieves[0].read_count

    @property
    def dropped_count(self) -> int:
        """Rows of the input that filters and the like left out."""
        return sum(sieve.dropped_count for sieve in self._sieves)

    def settled(self, plan: Plan) -> Plan:
        """Return a plan whose pivots have their columns, which the rows tell.

        Raises:
            BadDataError: If a pivot makes more than `MAX_PIVOTED` columns, or the rules do not fit the columns that it makes.
        """
        values: dict[int, list[str]] = {}
        request = self._given.request
        while plan.pivot is not None:
            self._make(plan, len(plan.blocks))
            found = self._given.connection.execute(plan.pivot.sql).fetchall()
            if len(found) > MAX_PIVOTED:
                message = (
                    f"the column has {len(found):,} values; each becomes a column, and {MAX_PIVOTED:,} may"
                )
                place = ("steps", plan.pivot.step, "pivot")
                raise BadDataError(problems=[request.ruleset.problem(place, message)])
            values[plan.pivot.step] = [str(row[0]) for row in found]
            try:
                plan = request.compiled(self._given.shapes, values)
            except RulesError as error:  # they fitted all that was known before
                raise BadDataError(problems=error.problems) from None
            self._given.prepare(plan.prepared)
        return plan

    def finish(self, plan: Plan) -> None:
        """Judge the rows of the input that nobody asked for, and fail if an error was found that no reject can be made of.

        Raises:
            BadDataError: Names step and values.
        """
        self._drain()
        refuse_failures(self.failures, plan.rules)

    @contextmanager
    def rows(self, plan: Plan) -> Iterator[Rows]:
        """Give the rows of the report, computed ahead of whoever takes them; `Plan.forms` tells what their columns are.

        Call `finish` when all were taken.
        """
        last = len(plan.blocks) - 1
        self._make(plan, last)
        block = plan.blocks[last]
        refuse_other_columns(self._given.connection, block.sql, plan.columns)
        if last == 0 and not self._made:
            sieve = self._first_sieve(plan, plan.forms.width)
            with self._batches(plan, written=True) as batches:
                yield self._kept(batches, sieve)
            return
        layout = Layout(plan.forms.width, has_row=True, has_state=block.has_state)
        sieve = self._sieve(plan, layout, diverts=block.diverts)
        connection = self._given.connection
        with self._told():
            # A sort or a group holds all the memory there is; few rows wait for the writer beside it.
            reader = connection.sql(plan.text_sql).to_arrow_reader(batch_rows(self._given.input, parts=4))
            with prefetched(reader, connection.interrupt) as batches:
                yield (sieve.kept(batch) for batch in batches)
            reader.close()

    def _make(self, plan: Plan, count: int) -> None:
        """Make the tables of the first blocks, as far as they are not there."""
        for number in range(self._made, count):
            block = plan.blocks[number]
            is_last = number == len(plan.blocks) - 1
            if number == 0:
                self._make_first(plan, as_table=is_last or not block.scanned_once)
            elif block.has_state or is_last or not block.scanned_once:
                self._make_table(plan, block)
            else:
                self._create("VIEW", block.table, block.sql)
            self._made = number + 1

    def _make_first(self, plan: Plan, *, as_table: bool) -> None:
        """Let the rows of the first block that stay flow into a table, or into whoever reads it."""
        block = plan.blocks[0]
        width = self._width(plan, block)
        schema = self._schema(block.sql, width)
        sieve = self._first_sieve(plan, width)
        batches = self._stack.enter_context(self._batches(plan, written=False))
        self._source = self._noting_errors(self._kept(batches, sieve, numbered=True))
        name = _STREAM if as_table else block.table
        self._given.connection.register(name, pa.RecordBatchReader.from_batches(schema, self._source))
        if as_table:
            with self._told():
                self._create("TABLE", block.table, f'SELECT * FROM "{_STREAM}"')  # noqa: S608 - a constant
            self._given.connection.unregister(_STREAM)
            self._drain()

    def _make_table(self, plan: Plan, block: Block) -> None:
        """Make the table of a later block and look at the states of its rows."""
        with self._told():
            self._create("TABLE", block.table, block.sql)
        self._drain()
        if not block.has_state:
            return
        sieve = self._sieve(plan, Layout(0, has_row=True, has_state=True), diverts=block.diverts)
        state = exp.column(STATE, quoted=True)
        told = (
            exp.select(exp.column(ROW, quoted=True), state)
            .from_(reading.table(block.table))
            .where(exp.Not(this=exp.Is(this=state.copy(), expression=exp.null())))
            .order_by(exp.column(ROW, quoted=True))
        )
        with closing(
            self._given.connection.sql(told.sql("duckdb")).to_arrow_reader(_STATES_AT_ONCE)
        ) as batches:
            for batch in batches:
                sieve.kept(batch)
        refuse_failures(self.failures, plan.rules)

    def _first_sieve(self, plan: Plan, width: int) -> Sieve:
        keys = [
            FirstOfKeys(
                key.rule,
                reading.row_count(self._given.connection, key.duplicates),
                only_counts=plan.rules[key.rule].severity == "warn",
            )
            for key in plan.unique
        ]
        layout = Layout(width, keys, has_state=plan.blocks[0].has_state)
        return self._sieve(plan, layout, diverts=True)

    def _sieve(self, plan: Plan, layout: Layout, *, diverts: bool) -> Sieve:
        columns = {number: rule.column for number, rule in enumerate(plan.rules) if rule.step == "output"}
        sieve = Sieve(
            layout,
            findings=self.findings if diverts else self.failures,
            spool=self._spool if diverts else None,
            output_columns=columns,
        )
        self._sieves.append(sieve)
        return sieve

    def _width(self, plan: Plan, block: Block) -> int:
        """Return how many columns of the first block are not hidden."""
        described = self._given.connection.sql(block.sql).columns
        return len(described) - len(plan.unique) - block.has_state

    def _schema(self, sql: str, width: int) -> pa.Schema:
        """Return what the rows of the first block look like with their number behind them."""
        schema = self._given.connection.sql(sql).limit(0).to_arrow_table().schema
        return pa.schema([*(schema.field(place) for place in range(width)), pa.field(ROW, pa.int64())])

    def _create(self, kind: str, name: str, sql: str) -> None:
        # Temporary: a view may stand over a stream, which belongs to this connection.
        table = reading.table(name).sql("duckdb")
        self._given.connection.execute(f"CREATE TEMP {kind} {table} AS {sql}")

    def _batches(self, plan: Plan, *, written: bool) -> AbstractContextManager[Rows]:
        """Return the rows of the first block in the input's order, computed ahead of whoever takes them.

        Args:
            plan: The plan.
            written: They are the report's rows, as they are written; otherwise the next block's.
        """
        given = self._given
        sql = plan.text_sql if written else plan.blocks[0].sql
        cursors = [self._stack.enter_context(given.cursor()) for _ in given.windows or (None,)]

        def interrupt() -> None:
            for cursor in cursors:
                cursor.interrupt()

        if not given.windows:
            return prefetched(cursors[0].sql(sql).to_arrow_reader(batch_rows(given.input)), interrupt)
        parser = PieceParser(given.input, plan.parsed) if plan.parsed and can_parse(given.input) else None
        queries = {
            window: PieceQuery(given.input, window, cursor, sql, parser, written=written)
            for window, cursor in zip(given.windows, cursors, strict=True)
        }
        return pieces.computed(
            given.input,
            given.windows,
            lambda window, piece: queries[window].results(piece),
            interrupt,
            piece_bytes=pieces.piece_bytes_beside(given.references.values(), into_block=not written),
        )

    def _kept(self, batches: Rows, sieve: Sieve, *, numbered: bool = False) -> Rows:
        for batch in batches:
            kept = sieve.kept(batch, numbered=numbered)
            self._on_batch(sieve.read_count)
            if kept.num_rows:
                yield kept

    def _noting_errors(self, batches: Rows) -> Rows:
        """Keep an error that goes through DuckDB, which would tell only its text."""
        try:
            yield from batches
        except BaseException as error:
            self._error = error
            raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raise what failed in the first block as itself."""
        try:
            yield
        except (duckdb.Error, OSError):
            if self._error is not None:
                raise self._error from None
            raise

    def _drain(self) -> None:
        """Read the rows of the first block that nobody asked for: each row of the input is to be judged."""
        for _ in self._source:
            pass
        self.is_complete = True
