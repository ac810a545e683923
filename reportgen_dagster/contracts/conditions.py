"""Conditions on the rows of a DuckDB relation: counted exactly, all in one query, with a few samples of those that are met.

What belongs here: counting and sampling, and what a pass that counted by itself says of it. What does not: what is a condition
(duckdb_backend.py, validation.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
        places: Where the samples are, as `row 3`; empty where that is not known.
        rows: The positions of the samples' rows, if the relation has them; of a key that of the second row with it.
    """

    condition: Condition
    count: int
    samples: tuple[Any, ...]
    row_count: int
    places: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()

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


@dataclass(frozen=True, slots=True)
class Positions:
    """Where the rows of a relation are.

    Attributes:
        column: The relation's column with each row's position; no part of the table that is checked.
        told: Says where rows are, as `line 7`, by their positions; leaves out what it does not know.
    """

    column: str
    told: Callable[[Collection[int]], Mapping[int, str]]

    def located(self, findings: Iterable[Finding]) -> list[Finding]:
        """Return findings that say where their samples are."""
        found = list(findings)
        wanted = {row for finding in found for row in finding.rows}
        places = self.told(wanted) if wanted else {}
        return [
            replace(finding, places=tuple(places.get(row, "") for row in finding.rows)) for finding in found
        ]


def exceeds(count: int, threshold: float | None, row_count: int) -> bool:
    """Test whether more rows break a rule than may: none without a threshold."""
    if threshold is None:
        return count > 0
    return count > (threshold if threshold >= 1 else threshold * row_count)


def find(
    relation: duckdb.DuckDBPyRelation, conditions: Sequence[Condition], position: str | None = None
) -> list[Finding]:
    """Return the conditions that some rows meet; one pass over the relation, and one more for the samples of each that is met.

    Args:
        relation: The table.
        conditions: What is looked for.
        position: A column with the position of each row, which samples are then taken by and tell.
    """
    if not conditions:
        return []
    counts = [exp.Count(this=exp.Star()), *(_count(condition) for condition in conditions)]
    row = relation.aggregate(", ".join(count.sql(_DIALECT) for count in counts)).fetchall()[0]
    return [
        _finding(relation, condition, position, count=count, row_count=row[0])
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


def _finding(
    relation: duckdb.DuckDBPyRelation,
    condition: Condition,
    position: str | None,
    *,
    count: int,
    row_count: int,
) -> Finding:
    if not condition.shown:
        return Finding(condition, count, (), row_count)
    if condition.broken is None:
        sampled = _repeated(relation, condition.shown, position)
    else:
        broken = relation.filter(condition.broken.sql(_DIALECT))
        sampled = _in_order(broken, condition.shown, position)
    rows, width = sampled.limit(SAMPLES).fetchall(), len(condition.shown)
    samples = tuple(row[0] if width == 1 else row[:width] for row in rows)
    positions = () if position is None else tuple(row[width] for row in rows)
    return Finding(condition, count, samples, row_count, rows=positions)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(_quoted(name).sql(_DIALECT) for name in names)


def _in_order(
    rows: duckdb.DuckDBPyRelation, shown: Sequence[str], position: str | None
) -> duckdb.DuckDBPyRelation:
    """Return what is shown of rows, in their order if that is known."""
    if position is None:
        return rows.project(_listed(shown))
    return rows.project(_listed((*shown, position))).order(_listed([position]))


def _repeated(
    relation: duckdb.DuckDBPyRelation, key: Sequence[str], position: str | None
) -> duckdb.DuckDBPyRelation:
    """Return the keys that are there more than once, in their order, each with the position of its second row."""
    columns, times = _listed(key), _free("times", key)
    parts = [columns, exp.alias_(exp.Count(this=exp.Star()), times).sql(_DIALECT)]
    if position is not None:
        parts.append(exp.alias_(_second(position), position, quoted=True).sql(_DIALECT))
    there = relation.filter(_present(key).sql(_DIALECT))
    repeated = there.aggregate(", ".join(parts), columns).filter(f"{times} > 1")
    names = key if position is None else (*key, position)
    return repeated.project(_listed(names)).order(columns)


def _second(column: str) -> Expr:
    two = exp.Literal.number(2)
    smallest = exp.Anonymous(this="min", expressions=[_quoted(column), two])
    return exp.Anonymous(this="list_extract", expressions=[smallest, two.copy()])


def _free(wish: str, taken: Sequence[str]) -> str:
    """Return a plain name that no column has."""
    number = 0
    while f"{wish}{number}" in {name.lower() for name in taken}:
        number += 1
    return f"{wish}{number}"
