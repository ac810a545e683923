"""Conditions on the rows of a DuckDB relation: counted exactly, all in one query, with a few samples of those that are met.

What belongs here: counting and sampling, and what a pass that counted by itself says of it. What does not: what is a condition
(duckdb_backend.py, validation.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.models import Severity

SAMPLES = 5
_DIALECT = "duckdb"


@dataclass(frozen=True, slots=True)
class Condition:
    """What makes a row break something.

    Attributes:
        column: The column that is judged; empty if it is none.
        check: What is broken, as `minimum: 0`.
        shown: Columns of the relation whose values are shown as samples.
        broken: True where a row breaks it; None: rows whose `shown` were there before break it.
        severity: `warn` only counts.
        threshold: How many rows may break it: a count from 1 or a share below 1.
        reason: pandera's name for what is wrong.
    """

    column: str
    check: str
    shown: tuple[str, ...]
    broken: Expr | None
    severity: Severity = "error"
    threshold: float | None = None
    reason: str = "DATAFRAME_CHECK"


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition that some rows meet.

    Attributes:
        condition: The condition.
        count: How many rows; of keys those behind the first of each key.
        samples: A few of their values.
        row_count: Rows of the table.
        places: Where the samples are, as `row 3`, if that is known.
    """

    condition: Condition
    count: int
    samples: tuple[Any, ...]
    row_count: int
    places: tuple[str, ...] = ()

    @property
    def is_failure(self) -> bool:
        """Whether the table fails by it, rather than only being warned of."""
        return self.condition.severity == "error" and exceeds(
            self.count, self.condition.threshold, self.row_count
        )


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How many rows broke a rule of a contract, as a pass over the rows counted them.

    Attributes:
        column: The rule's column; empty if it is none.
        rule: As `minimum: 0`.
        count: How many rows.
        samples: A few of the values.
        severity: `warn` only counts.
        threshold: How many rows may break it: a count from 1 or a share below 1.
        places: Where the samples are, as `row 3`, if that is known.
    """

    column: str
    rule: str
    count: int
    samples: tuple[Any, ...] = ()
    severity: Severity = "error"
    threshold: float | None = None
    places: tuple[str, ...] = ()


def exceeds(count: int, threshold: float | None, row_count: int) -> bool:
    """Test whether more rows break a rule than may: none without a threshold."""
    if threshold is None:
        return count > 0
    return count > (threshold if threshold >= 1 else threshold * row_count)


def find(relation: duckdb.DuckDBPyRelation, conditions: Sequence[Condition]) -> list[Finding]:
    """Return the conditions that some rows meet; one pass over the relation, and one more for the samples of each that is met."""
    if not conditions:
        return []
    counts = [exp.Count(this=exp.Star()), *(_count(condition) for condition in conditions)]
    row = relation.aggregate(", ".join(count.sql(_DIALECT) for count in counts)).fetchall()[0]
    return [
        Finding(condition, count, _samples(relation, condition), row[0])
        for condition, count in zip(conditions, row[1:], strict=True)
        if count
    ]


def _quoted(name: str) -> Expr:
    return exp.column(exp.to_identifier(name, quoted=True))


def _present(columns: Sequence[str]) -> Expr:
    return exp.and_(*(exp.Not(this=exp.Is(this=_quoted(name), expression=exp.Null())) for name in columns))


def _count(condition: Condition) -> Expr:
    if condition.broken is not None:
        return exp.CountIf(this=condition.broken.copy())
    parts = [_quoted(name) for name in condition.shown]
    key = parts[0] if len(parts) == 1 else exp.Tuple(expressions=parts)
    distinct = exp.Count(this=exp.Distinct(expressions=[key]))
    where = exp.Where(this=_present(condition.shown))
    return exp.Sub(
        this=exp.CountIf(this=_present(condition.shown)),
        expression=exp.Filter(this=distinct, expression=where),
    )


def _samples(relation: duckdb.DuckDBPyRelation, condition: Condition) -> tuple[Any, ...]:
    shown = ", ".join(_quoted(name).sql(_DIALECT) for name in condition.shown)
    if condition.broken is None:
        there = relation.filter(_present(condition.shown).sql(_DIALECT))
        grouped = there.aggregate(f"{shown}, count(*) AS {_free(condition.shown)}", shown)
        repeated = grouped.filter(f"{_free(condition.shown)} > 1").project(shown)
        rows = repeated.order(shown).limit(SAMPLES).fetchall()
    elif shown:
        rows = relation.filter(condition.broken.sql(_DIALECT)).project(shown).limit(SAMPLES).fetchall()
    else:
        rows = []
    return tuple(row[0] if len(row) == 1 else row for row in rows)


def _free(taken: Sequence[str]) -> str:
    """Return a plain name that no column has."""
    number = 0
    while f"times{number}" in {name.lower() for name in taken}:
        number += 1
    return f"times{number}"
