"""Keys of the report that must be unique, by its contract.

What belongs here: keeping the keys while the report is written, and looking for those that are there twice. What does not: other
rules of the report's contract (compiled into the last block).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType

import duckdb
import pyarrow as pa
from sqlglot import exp

from reportgen_dagster.contracts.conditions import RuleCount
from reportgen_dagster.contracts.contract import Contract, UniqueRule
from reportgen_dagster.engine.ingest import Ingested
from reportgen_dagster.engine.sieve import SAMPLES
from reportgen_dagster.rules.compiling.plan import Plan

_BATCH = "report:batch"  # a colon: no reference is called so


class OutputKeys:
    """Notes the keys of each batch of the report in DuckDB, which spills them if they are many. Use it as a context.

    Attributes:
        contract: The report's contract, if it has one.
    """

    def __init__(self, given: Ingested) -> None:
        """Begin without keys."""
        self._given = given
        self._stack = ExitStack()
        self.contract: Contract | None = None
        self._rules: list[UniqueRule] = []
        self._cursor: duckdb.DuckDBPyConnection | None = None

    def __enter__(self) -> OutputKeys:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def begin(self, plan: Plan) -> None:
        """Make room for the keys of a plan's report, if it has any."""
        self.contract = plan.contract
        names = {column.name for column in plan.columns}
        rules = plan.contract.unique if plan.contract is not None else ()
        self._rules = [rule for rule in rules if names.issuperset(rule.columns)]
        if self._rules:
            self._cursor = self._stack.enter_context(self._given.cursor())
            for number, rule in enumerate(self._rules):
                columns = ", ".join(f"{_column(name)} VARCHAR" for name in rule.columns)
                self._cursor.execute(f"CREATE TEMP TABLE {_table(number)} ({columns})")

    def noting(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Hand batches on, each after its keys were noted."""
        for batch in batches:
            if self._cursor is not None:
                for number, rule in enumerate(self._rules):
                    self._note(self._cursor, number, rule, batch)
            yield batch

    @staticmethod
    def _note(
        cursor: duckdb.DuckDBPyConnection, number: int, rule: UniqueRule, batch: pa.RecordBatch
    ) -> None:
        cursor.register(_BATCH, pa.Table.from_batches([batch.select(list(rule.columns))]))
        cursor.execute(f'INSERT INTO {_table(number)} SELECT * FROM "{_BATCH}"')  # noqa: S608 - names of our own
        cursor.unregister(_BATCH)

    def broken(self) -> list[RuleCount]:
        """Return the keys that are there more than once; a key with a missing value does not count."""
        if self._cursor is None:
            return []
        found = []
        for number, rule in enumerate(self._rules):
            count, samples = self._repeated(self._cursor, number, rule.columns)
            if count:
                columns = ", ".join(rule.columns)
                found.append(RuleCount(columns, rule.rule, count, samples, rule.severity, rule.threshold))
        return found

    @staticmethod
    def _repeated(
        cursor: duckdb.DuckDBPyConnection, number: int, columns: Sequence[str]
    ) -> tuple[int, tuple[str, ...]]:
        """Return how many rows have a key that was there before, and a few such keys."""
        keys = [exp.column(name, quoted=True) for name in columns]
        repeated = exp.select(*keys, exp.alias_(exp.Count(this=exp.Star()), "times")).from_(
            _table(number), dialect="duckdb"
        )
        for key in keys:
            repeated = repeated.where(
                exp.Not(this=exp.Is(this=key.copy(), expression=exp.null())), copy=False
            )
        repeated = repeated.group_by(*keys).having("count(*) > 1", dialect="duckdb")
        shown = exp.select(*keys, "sum(times - 1) OVER ()", dialect="duckdb").from_(
            repeated.subquery("repeated")
        )
        rows = cursor.execute(shown.order_by(*keys).limit(SAMPLES).sql("duckdb")).fetchall()
        return (int(rows[0][-1]), tuple(", ".join(row[:-1]) for row in rows)) if rows else (0, ())


def _column(name: str) -> str:
    return exp.to_identifier(name, quoted=True).sql("duckdb")


def _table(number: int) -> str:
    return _column(f"keys:{number}")
