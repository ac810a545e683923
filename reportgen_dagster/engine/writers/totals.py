"""Totals of a report's columns, kept while its rows are written; whole numbers and decimals stay exact."""

from __future__ import annotations

import decimal
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from reportgen_dagster.rules.reading.presentation import Total

_CONTEXT = decimal.Context(prec=76)


class Totals:
    """One figure for each of some columns."""

    def __init__(self, wanted: Mapping[str, Total]) -> None:
        """Begin.

        Args:
            wanted: Which figure, by the column's name.
        """
        self._wanted = dict(wanted)
        self._counts = dict.fromkeys(wanted, 0)
        self._figures: dict[str, Any] = dict.fromkeys(wanted)

    def add(self, values: pa.RecordBatch) -> None:
        """Count rows in."""
        for name, total in self._wanted.items():
            cells = values.column(name)
            self._counts[name] += len(cells) - cells.null_count
            if total != "count" and cells.null_count < len(cells):
                self._figures[name] = _joined(total, self._figures[name], cells)

    def figures(self) -> dict[str, Any]:
        """Return the figures; None where a column has no value at all."""
        return {name: self._figure(name, total) for name, total in self._wanted.items()}

    def _figure(self, name: str, total: Total) -> Any:
        figure, count = self._figures[name], self._counts[name]
        if total == "count":
            return count
        if total != "average" or figure is None:
            return figure
        return (
            figure / count if isinstance(figure, float) else _CONTEXT.divide(decimal.Decimal(figure), count)
        )


def _joined(total: Total, figure: Any, cells: pa.Array) -> Any:
    if total in ("minimum", "maximum"):
        found = (pc.min if total == "minimum" else pc.max)(cells).as_py()
        known = [found] if figure is None else [found, figure]
        return min(known) if total == "minimum" else max(known)
    return _added(figure, _sum(cells))


def _sum(cells: pa.Array) -> Any:
    """Return the exact sum of whole numbers and decimals, which may need more digits than they have; of floats Arrow's."""
    if pa.types.is_int64(cells.type):
        return int(pc.sum(cells.cast(pa.decimal128(38, 0))).as_py())
    if pa.types.is_decimal128(cells.type):
        cells = cells.cast(pa.decimal256(76, cells.type.scale))
    return pc.sum(cells).as_py()


def _added(figure: Any, more: Any) -> Any:
    if figure is None:
        return more
    return _CONTEXT.add(figure, more) if isinstance(more, decimal.Decimal) else figure + more
