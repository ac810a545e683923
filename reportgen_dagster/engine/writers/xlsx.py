"""Reports as Excel workbooks in constant memory: types, a styled header that stays, filters, widths, number formats, totals.

XlsxWriter makes the workbook, with a sample row in each sheet; the rows themselves take the sample's place. A cell costs
XlsxWriter ten microseconds of Python, which are minutes for a million rows; Arrow writes the cells of a batch in one go
(xlsx_cells.py). Excel holds 1,048,576 rows a sheet; further rows go to further sheets.
"""

from __future__ import annotations

import datetime
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import xlsxwriter
from xlsxwriter.format import Format as CellFormat
from xlsxwriter.utility import xl_col_to_name, xl_range
from xlsxwriter.worksheet import Worksheet

from reportgen_dagster.contracts.types import TypeName
from reportgen_dagster.engine.writers.files import fsync_file
from reportgen_dagster.engine.writers.texts import bytes_of
from reportgen_dagster.engine.writers.totals import Totals
from reportgen_dagster.engine.writers.xlsx_cells import MAX_CELL, RowCells, has_day
from reportgen_dagster.rules.compiling.plan import OutputColumn
from reportgen_dagster.rules.reading.presentation import Total

MAX_SHEET_ROWS = 1_048_576  # the header among them
_ROWS_AT_ONCE = 8_192
_MEASURED_ROWS = 1_000
_MIN_WIDTH, _MAX_WIDTH, _PADDING = 8, 60, 2.5  # characters; the padding is for the arrow of the filter
_ZIP_LEVEL = 2  # a third of the time of the usual level, files a tenth larger
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_LARGE_ENTRY = 2**31
_SHEET_NAME = "Report"
_NO_SHEET_NAME = re.compile(r"[\[\]:*?/\\\x00-\x1f]")
_MAX_SHEET_NAME = 25  # of 31, so that a number has room
_FORMATS: Mapping[TypeName, str] = {
    "date": "yyyy-mm-dd",
    "time": "hh:mm:ss",
    "datetime": "yyyy-mm-dd hh:mm:ss",
    "text": "@",
}
_HEADER = {"bold": True, "font_color": "#FFFFFF", "bg_color": "#1F3864", "valign": "vcenter"}
_TOTAL = {"bold": True, "top": 1, "bg_color": "#E8EDF5"}
_SUBTOTALS: Mapping[Total, int] = {"average": 101, "count": 103, "maximum": 104, "minimum": 105, "sum": 109}
_SAMPLE = re.compile(rb'<row r="2".*?</row>', re.DOTALL)
_SAMPLE_CELL = re.compile(rb'<c r="[A-Z]+2"(?: s="([0-9]+)")?')
_DIMENSION = re.compile(rb'<dimension ref="[^"]*"/>')


@dataclass(frozen=True, slots=True)
class Look:
    """How a workbook looks.

    Attributes:
        title: What it is called; may be empty.
        made_on: The day that it tells as its own, so that the same report has the same bytes.
        formats: Number formats of columns, by name.
        totals: What stands in the row of totals, by column.
    """

    title: str = ""
    made_on: datetime.date = datetime.date(1980, 1, 1)
    formats: Mapping[str, str] = field(default_factory=dict)
    totals: Mapping[str, Total] = field(default_factory=dict)


@dataclass(slots=True)
class _Sheet:
    """The rows of a sheet, as XML."""

    rows: IO[bytes]
    row_count: int = 0


class XlsxWriter:
    """Writes typed batches to a workbook that is on disk when the context is left without an error."""

    def __init__(self, path: Path, columns: Sequence[OutputColumn], look: Look) -> None:
        """Describe the file.

        Args:
            path: Where to write; an existing file is replaced. What is made on the way stands beside it.
            columns: The report's columns.
            look: How it looks.
        """
        self._path = path
        self._columns = list(columns)
        self._look = look
        self._widths = [len(column.name) for column in columns]
        self._totals = Totals(look.totals)
        self._stack = ExitStack()
        self._sheets: list[_Sheet] = []

    def warnings(self) -> list[str]:
        """Return what is not in the workbook as it is in the report, in words."""
        count = self._cells.cut_count
        what = "1 text is" if count == 1 else f"{count:,} texts are"
        return [f"xlsx: {what} longer than the {MAX_CELL:,} characters of a cell, and cut"] if count else []

    def __enter__(self) -> XlsxWriter:
        folder = tempfile.TemporaryDirectory(prefix="xlsx-", dir=self._path.parent)
        self._folder = Path(self._stack.enter_context(folder))
        self._new_sheet()
        with zipfile.ZipFile(self._frame()) as frame:
            styles = [
                int(style or 0) for style in _SAMPLE_CELL.findall(frame.read("xl/worksheets/sheet1.xml"))
            ]
        self._cells = RowCells([column.type.name for column in self._columns], styles)
        return self

    def write(self, written: pa.RecordBatch, values: pa.RecordBatch) -> None:
        """Append rows.

        Args:
            written: The columns as they are written into CSV.
            values: Their typed values.
        """
        if not self._sheets[0].row_count:
            self._measure(written)
        self._totals.add(values)
        start = 0
        while start < written.num_rows:
            room = MAX_SHEET_ROWS - 1 - bool(self._look.totals) - self._sheets[-1].row_count
            if not room:
                self._new_sheet()
                continue
            count = min(room, _ROWS_AT_ONCE, written.num_rows - start)
            self._write_rows(written.slice(start, count), values.slice(start, count))
            start += count

    def _new_sheet(self) -> None:
        path = self._folder / f"rows{len(self._sheets) + 1}.xml"
        self._sheets.append(_Sheet(self._stack.enter_context(path.open("w+b"))))

    def _measure(self, written: pa.RecordBatch) -> None:
        """Choose widths by the first rows."""
        for place, cells in enumerate(written.slice(0, _MEASURED_ROWS).columns):
            longest = pc.max(pc.utf8_length(cells.cast(pa.string()))).as_py() or 0
            self._widths[place] = max(self._widths[place], longest)

    def _write_rows(self, written: pa.RecordBatch, values: pa.RecordBatch) -> None:
        sheet = self._sheets[-1]
        sheet.rows.write(bytes_of(self._cells.rows(written, values, first=sheet.row_count + 2)))
        sheet.row_count += written.num_rows

    def _frame(self) -> Path:
        """Make the workbook with a sample row in each sheet, and return where it is."""
        path = self._folder / "frame.xlsx"
        options = {
            "tmpdir": str(self._folder),
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        }
        with xlsxwriter.Workbook(path, options) as book:
            day = datetime.datetime.combine(self._look.made_on, datetime.time(), tzinfo=datetime.UTC)
            book.set_properties({"title": self._look.title, "created": day})
            header = book.add_format(_HEADER)
            formats = [book.add_format({"num_format": self._number_format(one)}) for one in self._columns]
            for number, sheet in enumerate(self._sheets, 1):
                page = book.add_worksheet(_sheet_name(self._look.title, number))
                self._frame_sheet(page, sheet, header, formats)
            self._write_totals(book, page)
        return path

    def _number_format(self, column: OutputColumn) -> str:
        if column.name in self._look.formats:
            return self._look.formats[column.name]
        if column.type.name == "decimal":
            return "0." + "0" * column.type.scale if column.type.scale else "0"
        return _FORMATS.get(column.type.name, "General")

    def _frame_sheet(
        self, page: Worksheet, sheet: _Sheet, header: CellFormat, formats: Sequence[CellFormat]
    ) -> None:
        page.freeze_panes(1, 0)
        page.repeat_rows(0)
        page.autofilter(0, 0, sheet.row_count, len(self._columns) - 1)
        for place, column in enumerate(self._columns):
            page.set_column(place, place, min(max(self._widths[place], _MIN_WIDTH), _MAX_WIDTH) + _PADDING)
            page.write_string(0, place, column.name, header)
            page.write_blank(1, place, None, formats[place])

    def _write_totals(self, book: xlsxwriter.Workbook, page: Worksheet) -> None:
        """Write the row of totals behind the last sheet's rows; formulas only where all rows are in that sheet."""
        if not self._look.totals:
            return
        row = max(self._sheets[-1].row_count + 1, 2)
        figures = self._totals.figures()
        for place, column in enumerate(self._columns):
            style = book.add_format({**_TOTAL, "num_format": self._number_format(column)})
            figure = figures.get(column.name)
            if column.name not in figures or figure is None:
                label = "Total" if place == 0 else ""
                page.write_string(row, place, label, book.add_format(_TOTAL))
            elif isinstance(figure, datetime.date) and not has_day(figure):
                page.write_string(row, place, figure.isoformat(), style)
            elif len(self._sheets) > 1 or isinstance(figure, (datetime.date, datetime.time)):
                page.write(row, place, figure, style)
            else:
                cells = xl_range(1, place, row - 1, place)
                code = _SUBTOTALS[self._look.totals[column.name]]
                page.write_formula(row, place, f"=SUBTOTAL({code},{cells})", style, float(figure))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if kind is None:
                self._assemble()
        if kind is None:
            fsync_file(self._path)

    def _assemble(self) -> None:
        """Put the rows into the frame."""
        with (
            zipfile.ZipFile(self._frame()) as frame,
            zipfile.ZipFile(self._path, "w", zipfile.ZIP_DEFLATED, compresslevel=_ZIP_LEVEL) as book,
        ):
            sheets = {f"xl/worksheets/sheet{number}.xml": one for number, one in enumerate(self._sheets, 1)}
            for name in frame.namelist():
                info = zipfile.ZipInfo(name, _ZIP_TIME)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o600 << 16
                sheet = sheets.get(name)
                is_large = sheet is not None and sheet.rows.tell() > _LARGE_ENTRY
                with book.open(info, "w", force_zip64=is_large) as entry:
                    for part in self._parts(frame.read(name), sheet):
                        shutil.copyfileobj(part, entry) if not isinstance(part, bytes) else entry.write(part)

    def _parts(self, xml: bytes, sheet: _Sheet | None) -> Iterator[Any]:
        if sheet is None:
            yield xml
            return
        last = f"{xl_col_to_name(len(self._columns) - 1)}{sheet.row_count + 1}"
        xml = _DIMENSION.sub(f'<dimension ref="A1:{last}"/>'.encode(), xml)
        head, tail = _SAMPLE.split(xml, maxsplit=1)
        sheet.rows.seek(0)
        yield head
        yield sheet.rows
        yield tail


def _sheet_name(title: str, number: int) -> str:
    plain = _NO_SHEET_NAME.sub(" ", title)[:_MAX_SHEET_NAME].strip(" '") or _SHEET_NAME
    name = _SHEET_NAME if plain.lower() == "history" else plain  # Excel keeps that name for itself
    return name if number == 1 else f"{name} {number}"
