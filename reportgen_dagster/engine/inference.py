"""First rules for a file: what every row of it keeps, as a contract to go on from.

What belongs here: choosing what a contract says from what all rows show, and writing it as YAML. What does not: finding types
(`rules/compiling/kinds.py`, notations.py), reading (`reading.py`). What is only likely stands in comments.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from ruamel.yaml import YAML
from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.casts import Notation
from reportgen_dagster.contracts.types import TypeName
from reportgen_dagster.engine import reading
from reportgen_dagster.engine.connection import engine_errors, open_connection
from reportgen_dagster.engine.dialects import STANDARD
from reportgen_dagster.engine.limits import Deadline, Limits
from reportgen_dagster.engine.notations import Way, find_ways, readings
from reportgen_dagster.engine.rows import all_read, rows_of
from reportgen_dagster.engine.text_files import TextFile, mask_misquoted, open_text
from reportgen_dagster.rules.compiling.kinds import find_kinds
from reportgen_dagster.rules.values.typed import (
    DIALECT,
    any_of,
    binary,
    call,
    case,
    cast,
    column,
    is_present,
    text,
    whole,
)

MAX_NAME = 300
MAX_KEY_CANDIDATES = 5
_LIKELY_UNIQUE = 0.9  # the estimate of distinct values is off by a few percent
_DECIMAL_PRECISION = 18
_SHOWN = 40
# A word of its own, also the last of `tradeId`.
_KEY_NAME = re.compile(
    r"(?:^|[^A-Za-z])(?i:id|key|code|no|nr|number)(?:$|[^A-Za-z])|[a-z](?:Id|Key|Code|No|Nr|Number)$"
)
_SHAPE_FIGURES = 4
_FIGURES = 4 + _SHAPE_FIGURES
_TEXTS: tuple[TypeName, ...] = ("text", "null")
_TEXT = Way("text", Notation(), "")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rows of a file show of one column.

    Attributes:
        name: The column.
        type: `string`, `integer`, `number`, `decimal`, `boolean`, `date` or `datetime`.
        way: How its values are written.
        unsettled: Several ways in which they may be meant; the type is `string` then.
        scale: Digits behind the point of every cell, for `decimal`.
        blank_count: Rows without a cell.
        least: The smallest value as text, of texts the length of the shortest; None if there is no cell.
        greatest: The largest.
        distinct_estimate: About how many values there are.
    """

    name: str
    type: str
    way: Way
    unsettled: tuple[Way, ...]
    scale: int
    blank_count: int
    least: str | None
    greatest: str | None
    distinct_estimate: int


def infer_rules(file: Path, *, work: Path, limits: Limits | None = None) -> str:
    """Write long-form rules whose contract every readable row of a file keeps.

    Args:
        file: The CSV file.
        work: A folder for copies.
        limits: What may be used.

    Raises:
        FileRefusedError: If its header cannot be used.
        UnreadableFileError: If it cannot be read as a whole.
        LimitError: If memory or time runs out.
    """
    limits = limits or Limits()
    deadline = Deadline(limits.seconds)
    with engine_errors(limits, deadline):
        source = open_text(file, name="input", work=work, deadline=deadline)
        unreadable_count = _unreadable_rows(source, deadline, work, limits)
        if unreadable_count:
            source = mask_misquoted(source, work=work, deadline=deadline)
        with closing(open_connection([source.path], work=work, limits=limits)) as connection:
            reading.create_views(connection, source)
            row_count, facts = _facts(connection, source)
            key = _primary_key(connection, row_count, facts)
    return _written(file.name, source, row_count, unreadable_count, facts, key)


def _unreadable_rows(source: TextFile, deadline: Deadline, work: Path, limits: Limits) -> int:
    with closing(open_connection([source.path], work=work, limits=limits)) as connection:
        reading.create_views(connection, source)
        if all_read(source, reading.row_count(connection, reading.SURVEY)):
            return 0
    return sum(int((~rows.readable).sum()) for rows in rows_of(source, deadline))


def _facts(connection: duckdb.DuckDBPyConnection, source: TextFile) -> tuple[int, list[Facts]]:
    """Return how many rows the file has, and what each column shows."""
    names = source.header.columns
    ways = _ways(connection, names)
    settled = {name: found[0] if len(found) == 1 else _TEXT for name, found in ways.items()}
    figures: list[Expr] = [call("count", exp.Star())]
    for name in names:
        figures += _figures(column(name), settled[name])
    query = exp.select(*figures).from_(exp.to_identifier(reading.SURVEY))
    row = iter(connection.execute(query.sql(DIALECT)).fetchall()[0])
    row_count = int(next(row))
    facts = []
    for name, found in ways.items():
        unsettled = found if len(found) > 1 else ()
        facts.append(_fact(name, settled[name], unsettled, row_count, [next(row) for _ in range(_FIGURES)]))
    return row_count, facts


def _ways(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> dict[str, tuple[Way, ...]]:
    """Return for each column how its values are written; several ways if that cannot be told."""

    def query(sql: str) -> Sequence[Any]:
        row: Sequence[Any] = connection.execute(sql).fetchall()[0]
        return row

    kinds = find_kinds(query, reading.SURVEY, dict.fromkeys(names, frozenset(("type",))))
    texts = [name for name in names if kinds[name].type == "text"]
    found = find_ways(query, reading.SURVEY, texts)
    return {
        name: readings(found[name]) if name in found else (Way(kinds[name].type, Notation(), ""),)
        for name in names
    }


def _figures(raw: Expr, way: Way) -> list[Expr]:
    """Return cells, distinct values, least and greatest; behind them how numbers are written.

    That is the fewest and most digits behind the decimal mark, the length, and how many have an exponent.
    """
    value = call("length", raw) if way.type in _TEXTS else way.value(raw)
    figures = [
        call("count", raw),
        call("approx_count_distinct", raw),
        cast(call("min", value), "VARCHAR"),
        cast(call("max", value), "VARCHAR"),
    ]
    if way.type != "number":
        return figures + [exp.Null()] * _SHAPE_FIGURES
    point = call("instr", raw, text(way.notation.decimal))
    is_whole = binary(exp.EQ, point, whole(0))
    behind = case((is_whole, whole(0)), default=binary(exp.Sub, call("length", raw), point))
    exponent = any_of(call("contains", raw, text(mark)) for mark in ("e", "E"))
    return [
        *figures,
        call("min", behind),
        call("max", behind),
        call("max", call("length", raw)),
        exp.Filter(this=call("count", exp.Star()), expression=exp.Where(this=exponent)),
    ]


def _fact(name: str, way: Way, unsettled: tuple[Way, ...], row_count: int, figures: Sequence[Any]) -> Facts:
    cells, distinct, least, greatest, fewest, most, length, exponents = figures
    type_name, scale = "string" if way.type in _TEXTS else way.type, 0
    if way.type == "number" and not exponents and fewest == most and most and length <= _DECIMAL_PRECISION:
        type_name, scale = "decimal", int(most)
    blank_count = row_count - int(cells)
    return Facts(name, type_name, way, unsettled, scale, blank_count, least, greatest, int(distinct))


def _primary_key(connection: duckdb.DuckDBPyConnection, row_count: int, facts: Sequence[Facts]) -> str | None:
    """Return the first column that is named like a key, or else the first one, if it has another value in each row.

    It holds codes or whole numbers.
    """
    likely = [
        fact.name
        for fact in sorted(facts, key=lambda fact: not _KEY_NAME.search(fact.name))
        if fact.type in ("string", "integer")
        and (fact is facts[0] or _KEY_NAME.search(fact.name))
        and not fact.blank_count
        and fact.distinct_estimate >= _LIKELY_UNIQUE * row_count
        and len(fact.name) <= MAX_NAME
    ]
    for name in likely[:MAX_KEY_CANDIDATES] if row_count > 1 else ():
        distinct = exp.Count(this=exp.Distinct(expressions=[column(name)]))
        query = exp.select(distinct).from_(exp.to_identifier(reading.SURVEY)).where(is_present(column(name)))
        if connection.execute(query.sql(DIALECT)).fetchall()[0][0] == row_count:
            return name
    return None


def _written(
    filename: str,
    source: TextFile,
    row_count: int,
    unreadable_count: int,
    facts: Sequence[Facts],
    key: str | None,
) -> str:
    lines = [
        f"# First rules for {_plain(filename)}, from all of its {row_count:,} rows. Behind # stands what they show; make it a"
        " constraint where it must hold.",
    ]
    if unreadable_count:
        lines.append(f"# {unreadable_count:,} more rows cannot be read and would be rejects.")
    lines += ["version: 1", f"title: {_flow(Path(filename).name.partition('.')[0] or 'report')}", "input:"]
    dialect = _dialect(source)
    if dialect:
        lines.append(f"  dialect: {_flow(dialect)}")
    lines.append("  schema:")
    if key is not None:
        lines.append(f"    primaryKey: {_flow(key)}")
    lines.append("    fields:")
    for fact in facts:
        if len(fact.name) <= MAX_NAME:
            lines.append(f"      - {_flow(_field(fact, row_count))}{_comment(fact, row_count)}")
    if all(len(fact.name) <= MAX_NAME for fact in facts):
        lines += ["output:", f"  columns: {_flow([fact.name for fact in facts])}"]
    return "\n".join(lines) + "\n"


def _dialect(source: TextFile) -> dict[str, str]:
    """Return what a reader of the file has to know, as far as it is out of the ordinary."""
    header = source.header
    told = {}
    if header.dialect.delimiter != STANDARD.delimiter:
        told["delimiter"] = header.dialect.delimiter
    if not header.bom and header.encoding != "utf-8":
        told["encoding"] = header.encoding
    return told


def _field(fact: Facts, row_count: int) -> dict[str, Any]:
    field: dict[str, Any] = {"name": fact.name} | fact.way.in_field() | {"type": fact.type}
    if fact.type == "decimal":
        field |= {"precision": _DECIMAL_PRECISION, "scale": fact.scale}
    if row_count and not fact.blank_count:
        field["constraints"] = {"required": True}
    return field


def _comment(fact: Facts, row_count: int) -> str:
    if fact.least is None or fact.greatest is None:
        return "  # no values"
    words = []
    if fact.type == "string":
        size = fact.greatest if fact.least == fact.greatest else f"{fact.least} to {fact.greatest}"
        words.append(f"{size} characters")
    elif fact.type != "boolean":
        words.append(f"{fact.least} to {fact.greatest}")
    if fact.blank_count:
        words.append(f"{fact.blank_count:,} of {row_count:,} are blank")
    shown = _plain(", ".join(words))
    if fact.unsettled:
        shown += (
            f"; if they are not texts, write {' or '.join(_flow(way.in_field()) for way in fact.unsettled)}"
        )
    return f"  # {shown}" if shown else ""


def _plain(written: str) -> str:
    """Make a text fit for a comment: one line, no control characters."""
    return re.sub(r"[^\x20-\x7e\xa0-\u2027\u2030-\ud7ff]", "?", written)[: 3 * _SHOWN]


def _flow(value: str | Sequence[str] | Mapping[str, Any]) -> str:
    """Write a value as YAML on one line."""
    writer: Any = YAML(typ="safe", pure=True)
    writer.default_flow_style = True
    writer.width = 10**9
    writer.sort_base_mapping_type_on_output = False
    written = io.StringIO()
    if not isinstance(value, str):
        writer.dump(dict(value) if isinstance(value, Mapping) else [*value], written)
        return written.getvalue().strip()
    writer.dump([value], written)  # alone it would end with a mark of the document's end
    return written.getvalue().strip()[1:-1]
