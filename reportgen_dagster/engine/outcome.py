"""What came out of making a report, as plain data that can be stored, shown and sent."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
from tabulate import tabulate

PREVIEW_ROWS = 10
_SHOWN = 1_000  # characters of a cell in a table for people


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures and descriptions of one finished report.

    Attributes:
        input_count: Rows of the input, the header not counted.
        used_count: Rows of the input that were used; with `reject_count` they add up to `input_count`.
        dropped_count: Those of the used ones that filters and the like left out.
        reject_count: Rows of the input that were diverted.
        row_count: Rows of the report.
        columns: Name and type of each column of the report, and a description where the rules have one.
        sources: For each column of the report the file and column names that it is computed from.
        preview: The first rows as a Markdown table.
        rules: What was broken on how many rows: `step`, `column`, `rule`, `severity` and `count` each.
        contracts: For each file that has a contract, and for the `output`, whether it was kept (`passed`), and in `failures` what
            broke it: `column`, `check`, `message`, `count`, `samples` and `severity` each.
        decisions: For each file how it was read, in words.
        warnings: What an operator should look at, in words.
        sql: The queries that made the report.
        reject_samples: The first few rejects, a mapping of the rejects file's columns each.
        reject_limit: How many rows the rules allow to be rejects: a count, or a share such as `1%`; None: any number.
        dialect: How CSV was written, in the words of `output.dialect`.
        files: For each file its `rows`, `columns` and a `preview` of the first ones, in Markdown.
    """

    input_count: int
    used_count: int
    dropped_count: int
    reject_count: int
    row_count: int
    columns: list[dict[str, str]]
    sources: dict[str, list[list[str]]]
    preview: str
    rules: list[dict[str, Any]]
    contracts: dict[str, dict[str, Any]]
    decisions: dict[str, list[str]]
    warnings: list[str]
    sql: str
    reject_samples: list[dict[str, str]]
    reject_limit: int | str | None
    files: dict[str, dict[str, Any]]
    dialect: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return all of it as data for JSON."""
        return asdict(self)


class Preview:
    """Collects the first rows of a stream of batches."""

    def __init__(self, count: int = PREVIEW_ROWS) -> None:
        self._rows: list[list[str | None]] = []
        self._count = count

    @property
    def is_full(self) -> bool:
        """Tell whether no more rows are needed."""
        return len(self._rows) >= self._count

    def rows(self) -> list[list[str | None]]:
        """Return the rows."""
        return self._rows

    def add(self, batch: pa.RecordBatch) -> None:
        """Keep what is still missing of the first rows."""
        if not self.is_full:
            # As texts of Python's: a slice would keep the whole batch in memory.
            head = batch.slice(0, self._count - len(self._rows)).to_pydict()
            self._rows += [
                [None if cell is None else _text(cell) for cell in row]
                for row in zip(*head.values(), strict=True)
            ]

    def markdown(self, columns: Sequence[str]) -> str:
        """Show the rows as a Markdown table, cells as they are in the report."""
        return markdown(columns, self.rows())


def _text(cell: object) -> str:
    """Return a value as it is written."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        return repr(cell).removesuffix(".0")
    return cell.isoformat() if isinstance(cell, datetime.date | datetime.time) else str(cell)


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str | None]]) -> str:
    """Show a few rows of texts as a Markdown table."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    return tabulate(cells, [_cell(name) for name in columns], tablefmt="pipe", disable_numparse=True)


def _cell(value: str | None) -> str:
    """Write a text so that it stays inside its cell, the beginning of a very long one."""
    if value is None:
        return ""
    shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"
    return shown.replace("|", "\\|").replace("\r", " ").replace("\n", " ")
