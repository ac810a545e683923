"""Rows as the XML of Excel's sheets, whole batches at a time (ECMA-376 part 1, section 18.3.1).

A cell that holds a text is of the type text, whatever it looks like: no formula and no link is ever made of data. What a cell of
Excel cannot hold is a text: whole numbers and decimals of more than 15 digits, days before 1900-03-01. A text of more than 32,767
characters is cut.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from xlsxwriter.utility import xl_col_to_name

from reportgen_dagster.contracts.types import TypeName

MAX_CELL = 32_767
_CUT = "…"
_MOST_DIGITS = 15
_LARGEST_EXACT = 10**_MOST_DIGITS - 1
_FIRST_DAY = datetime.date(1900, 3, 1)  # before it Excel counts a day that never was
_DAY_ZERO = datetime.date(1899, 12, 30)
_TO_1970 = (datetime.date(1970, 1, 1) - _DAY_ZERO).days
_DAY_MICROSECONDS = 86_400_000_000
# XML has no such characters; Excel reads `_x0001_` as one, and what looks so already has its own `_` written that way.
_NO_XML = "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|_x[0-9A-Fa-f]{4}_"
_CONTROL = re.compile(_NO_XML)


class RowCells:
    """Makes rows of cells.

    Attributes:
        cut_count: Texts that were longer than a cell can be.
    """

    def __init__(self, types: Sequence[TypeName], styles: Sequence[int]) -> None:
        """Describe the columns.

        Args:
            types: What each column holds.
            styles: The number of each column's style in the workbook.
        """
        self.cut_count = 0
        self._types = list(types)
        self._begins = [f'<c r="{xl_col_to_name(place)}' for place in range(len(types))]
        self._styles = [f'" s="{style}"' for style in styles]

    def rows(self, written: pa.RecordBatch, values: pa.RecordBatch, *, first: int) -> pa.StringArray:
        """Return rows as XML.

        Args:
            written: The columns as they are written into CSV.
            values: Their typed values.
            first: The number of the first row, from 1.
        """
        numbers = pa.array(np.arange(first, first + written.num_rows)).cast(pa.string())
        cells = [
            self._column(place, numbers, written.column(place), values.column(place))
            for place in range(len(self._types))
        ]
        return pc.binary_join_element_wise('<row r="', numbers, '">', *cells, "</row>", "")

    def _column(
        self, place: int, numbers: pa.StringArray, written: pa.Array, values: pa.Array
    ) -> pa.StringArray:
        """Return the cells of a column; an empty text where there is none."""
        type_name = self._types[place]
        number_of = _NUMBERS.get(type_name)
        if number_of is None:
            return self._texts(place, numbers, written.cast(pa.string())).fill_null("")
        number, fits = number_of(written, values)
        kind = ' t="b"><v>' if type_name == "boolean" else "><v>"
        begin, style = self._begins[place], self._styles[place]
        cells = pc.binary_join_element_wise(begin, numbers, f"{style}{kind}", number, "</v></c>", "")
        if fits is not None and not pc.all(fits).as_py():
            texts = self._texts(place, numbers, written.cast(pa.string()))
            cells = pc.if_else(fits, cells, texts)
        return cells.fill_null("")

    def _texts(self, place: int, numbers: pa.StringArray, texts: pa.StringArray) -> pa.StringArray:
        shown = _escaped(self._cut(texts))
        begin, style = self._begins[place], self._styles[place]
        middle = f'{style} t="inlineStr"><is><t xml:space="preserve">'
        return pc.binary_join_element_wise(begin, numbers, middle, shown, "</t></is></c>", "")

    def _cut(self, texts: pa.StringArray) -> pa.StringArray:
        longest = pc.max(pc.binary_length(texts)).as_py()
        if longest is None or longest <= MAX_CELL:
            return texts
        is_long = pc.greater(pc.utf8_length(texts), MAX_CELL)
        self.cut_count += pc.sum(is_long).as_py() or 0
        head = pc.utf8_slice_codeunits(texts, 0, MAX_CELL - len(_CUT))
        return pc.if_else(is_long, pc.binary_join_element_wise(head, _CUT, ""), texts)


def has_day(day: datetime.date) -> bool:
    """Tell whether Excel counts a day, or the day of a moment, right."""
    return (day.date() if isinstance(day, datetime.datetime) else day) >= _FIRST_DAY


def _escaped(texts: pa.StringArray) -> pa.StringArray:
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        texts = pc.replace_substring(texts, character, entity)
    if not pc.any(pc.match_substring_regex(texts, _NO_XML)).as_py():
        return texts
    return pa.array([None if text is None else _without_control(text) for text in texts.to_pylist()])


def _without_control(text: str) -> str:
    return _CONTROL.sub(lambda found: f"_x{ord(found[0][0]):04X}_{found[0][1:]}", text)


Number = tuple[pa.StringArray, pa.BooleanArray | None]
"""The number that a cell holds, as text, and on which rows it fits; None: on all."""


def _integer(_written: pa.Array, values: pa.Array) -> Number:
    fits = pc.and_(pc.less_equal(values, _LARGEST_EXACT), pc.greater_equal(values, -_LARGEST_EXACT))
    return values.cast(pa.string()), fits


def _decimal(written: pa.Array, _values: pa.Array) -> Number:
    digits = pc.utf8_trim(pc.replace_substring_regex(written, "[^0-9]", ""), "0")
    return written, pc.less_equal(pc.utf8_length(digits), _MOST_DIGITS)


def _boolean(_written: pa.Array, values: pa.Array) -> Number:
    return pc.if_else(values, "1", "0"), None


def _date(_written: pa.Array, values: pa.Array) -> Number:
    days = pc.add(values.cast(pa.int32()), _TO_1970)
    return days.cast(pa.string()), pc.greater_equal(values, pa.scalar(_FIRST_DAY, pa.date32()))


def _datetime(_written: pa.Array, values: pa.Array) -> Number:
    days = pc.add(pc.divide(values.cast(pa.int64()).cast(pa.float64()), _DAY_MICROSECONDS), _TO_1970)
    return days.cast(pa.string()), pc.greater_equal(days, (_FIRST_DAY - _DAY_ZERO).days)


def _time(_written: pa.Array, values: pa.Array) -> Number:
    days = pc.divide(values.cast(pa.int64()).cast(pa.float64()), _DAY_MICROSECONDS)
    return days.cast(pa.string()), None


_NUMBERS: Mapping[TypeName, Callable[[pa.Array, pa.Array], Number]] = {
    "integer": _integer,
    "number": lambda written, _: (written, None),
    "decimal": _decimal,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "time": _time,
}
