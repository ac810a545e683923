"""Values as people of a country read them: numbers, dates and times by a column's format code, or by its type.

What belongs here: from one value to its text. What does not: what a code means (rules/reading/cell_formats.py), tables.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
from babel import Locale
from babel.dates import format_date, format_datetime, format_time, parse_pattern

from reportgen_dagster.engine.pages.texts import shown
from reportgen_dagster.rules.reading.cell_formats import (
    CellFormat,
    NumberFormat,
    TemporalFormat,
    TextFormat,
)

Writer = Callable[[Any], str]
LONGEST = 1_000  # characters of a cell
# More digits than any double or decimal has.
_EXACT = decimal.Context(prec=1_000, rounding=decimal.ROUND_HALF_UP)
_NO_BREAK = "\u00a0"
_MOST_DECIMALS = 6  # of a number without a format
_SMALLEST, _LARGEST = 1e-6, 1e15  # beyond which such a number has an exponent
_FIELDS = {"year": "y", "month": "M", "day": "d", "hour": "H", "minute": "m", "second": "s"}


class Values:
    """Writes values in one locale."""

    def __init__(self, locale: str) -> None:
        """Prepare.

        Args:
            locale: As Babel knows it.
        """
        self.locale = Locale.parse(locale)
        self._groups: tuple[int, int] = self.locale.decimal_formats[None].grouping
        self._group_mark: str = self.locale.number_symbols["latn"]["group"]

    def writer(self, type_: pa.DataType, told: CellFormat | None, *, is_amount: bool = False) -> Writer:
        """Return what writes the values of a column; null is an empty text.

        Args:
            type_: What they are in the rows.
            told: Their format, if the rules have one.
            is_amount: Whole numbers without a format get marks between thousands: they are no ids and no years.
        """
        written = self._written(type_, told, is_amount=is_amount)
        return lambda value: "" if value is None else written(value)

    def count(self, value: int) -> str:
        """Write how many there are of something."""
        return self._number(NumberFormat(is_grouped=True))(value)

    def moment(self, value: datetime.datetime) -> str:
        """Write when something was."""
        return f"{format_date(value, 'long', self.locale)}, {value:%H:%M} {value.tzname() or ''}".rstrip()

    def aligned(self, texts: list[str]) -> list[str]:
        """Return doubles that were written without a format with as many decimals as any of them has."""
        mark = self.locale.number_symbols["latn"]["decimal"]
        behind = [len(text.partition(mark)[2]) for text in texts]
        most = max(behind, default=0)
        if not most or any("e" in text for text in texts):
            return texts
        return [
            text if not text or count == most else f"{text}{'' if count else mark}{'0' * (most - count)}"
            for text, count in zip(texts, behind, strict=True)
        ]

    def _written(self, type_: pa.DataType, told: CellFormat | None, *, is_amount: bool) -> Writer:
        if pa.types.is_string(type_) or pa.types.is_large_string(type_):
            return lambda value: shown(value, LONGEST)
        if pa.types.is_boolean(type_) or isinstance(told, TextFormat):
            return _plain
        if isinstance(told, TemporalFormat):
            return self._moment(told)
        if pa.types.is_date(type_):
            return lambda value: format_date(value, "medium", self.locale)
        if pa.types.is_timestamp(type_):
            return lambda value: format_datetime(value, "medium", locale=self.locale)
        if pa.types.is_time(type_):
            return lambda value: format_time(value, "medium", locale=self.locale)
        if isinstance(told, NumberFormat):
            return self._number(told)
        if pa.types.is_floating(type_):
            return self._float()
        scale = type_.scale if pa.types.is_decimal(type_) else 0
        is_grouped = is_amount or pa.types.is_decimal(type_)
        return self._number(NumberFormat(is_grouped=is_grouped, decimals=scale))

    def _float(self) -> Writer:
        """Write doubles with a few decimals; very large and very small ones with an exponent."""
        usual = self._number(NumberFormat(is_grouped=True, optional=_MOST_DECIMALS))
        return lambda value: (
            usual(value) if not value or _SMALLEST <= abs(value) < _LARGEST else f"{value:.6g}"
        )

    def _number(self, told: NumberFormat) -> Writer:
        """Write numbers exactly, rounded half away from zero as spreadsheets do; the sign goes before all else."""
        most = told.decimals + told.optional
        unit = Decimal(1).scaleb(-most)
        shift = 2 if told.is_percentage else 0
        symbols = self.locale.number_symbols["latn"]

        def write(value: Any) -> str:
            exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
            rounded = exact.scaleb(shift, _EXACT).quantize(unit, context=_EXACT)
            whole, _, decimals = f"{rounded.copy_abs():f}".partition(".")
            decimals = decimals[: told.decimals] + decimals[told.decimals :].rstrip("0")
            parts = [
                symbols["minusSign"] if rounded < 0 else "",
                told.prefix.replace(" ", _NO_BREAK),
                self._grouped(whole) if told.is_grouped else whole.zfill(told.whole),
                symbols["decimal"] + decimals if decimals else "",
                told.suffix.replace(" ", _NO_BREAK),
            ]
            return "".join(parts)

        return write

    def _grouped(self, digits: str) -> str:
        """Put the locale's marks between groups of digits, which in India are of two but for the last."""
        last, others = self._groups
        head, groups = digits[:-last], [digits[-last:]]
        while head:
            head, group = head[:-others], head[-others:]
            groups.append(group)
        return self._group_mark.join(reversed(groups))

    def _moment(self, told: TemporalFormat) -> Writer:
        parts = [
            part if isinstance(part, str) else parse_pattern(_FIELDS[part.unit] * part.width)
            for part in told.parts
        ]
        return lambda value: "".join(
            part if isinstance(part, str) else part.apply(value, self.locale) for part in parts
        )


def _plain(value: Any) -> str:
    """Write a value as it stands in a CSV file, or nearly so."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return f"{value:f}" if isinstance(value, Decimal) else str(value).removesuffix(".0")
