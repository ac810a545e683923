"""All files of one report, written in one pass.

What belongs here: which form of the rows a format takes. What does not: how a format is written (one module each).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import pyarrow as pa

from reportgen_dagster.engine.outcome import Preview
from reportgen_dagster.engine.writers.csv import CsvWriter
from reportgen_dagster.formats import Format, is_packed_name
from reportgen_dagster.rules.compiling.plan import TEXTS, Form, Plan
from reportgen_dagster.rules.reading.document import LongForm
from reportgen_dagster.rules.reading.output import Output

if TYPE_CHECKING:
    from reportgen_dagster.engine.writers.xlsx import Look

_FORMS: Mapping[Format, frozenset[Form]] = {
    "csv": TEXTS,
    "json": frozenset(("types", "json")),
    "ndjson": frozenset(("types", "json")),
    "parquet": frozenset(("types", "values")),
    "xlsx": frozenset(("texts", "types", "values")),
    "html": frozenset(("types", "values")),
    "pdf": frozenset(("types", "values")),
}


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the report in the forms that writers take.

    Attributes:
        columns: The columns as they are written, a text or a whole number each; as typed values if nobody wants texts.
        values: The columns as typed values; None if nobody wants these.
        lines: Each row as JSON with a line end behind it; None if nobody wants these.
    """

    columns: pa.RecordBatch
    values: pa.RecordBatch | None
    lines: pa.StringArray | None


def forms_of(formats: Iterable[Format], output: Output | None) -> frozenset[Form]:
    """Return what the rows must be there as.

    Args:
        formats: What the report is written as.
        output: How it is written.
    """
    formats, output = tuple(formats), output or Output()
    wanted = frozenset[Form]().union(*(_FORMS[name] for name in formats))
    needs_types = output.dialect.decimal_char != "." or output.dialect.quoting == "texts"
    return wanted | {"types"} if "csv" in formats and needs_types else wanted


class ReportWriter:
    """Writes the rows of a report to all its files. Use it as a context: they are on disk when it is left without an error.

    Attributes:
        row_count: Rows written so far.
    """

    def __init__(
        self,
        files: Mapping[Format, Path],
        plan: Plan,
        document: LongForm,
        *,
        made_on: datetime.date,
        preview: Preview,
    ) -> None:
        """Describe the files.

        Args:
            files: Where to write each format.
            plan: Tells columns and forms of the rows.
            document: The rules: how files are to look.
            made_on: The day that files tell as their own.
            preview: Gets the first rows.
        """
        self.row_count = 0
        self._plan = plan
        self._names = [column.name for column in plan.columns]
        self._made_on = made_on
        self._preview = preview
        self._document = document
        self._files = files
        self._stack = ExitStack()
        self._writes: list[Callable[[Rows], None]] = []
        self._warnings: list[Callable[[], Sequence[str]]] = []

    def __enter__(self) -> ReportWriter:
        with ExitStack() as stack:
            for name, path in self._files.items():
                self._writes.append(self._opened(stack, name, path))
            self._stack = stack.pop_all()
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows, as the plan's query gives them."""
        if not batch.num_rows:
            return
        rows = self._rows(batch)
        self._preview.add(rows.columns)
        for write in self._writes:
            write(rows)
        self.row_count += batch.num_rows

    def warnings(self) -> list[str]:
        """Return what is not in some file as it is in the report, in words."""
        return [text for told in self._warnings for text in told()]

    def _rows(self, batch: pa.RecordBatch) -> Rows:
        forms = self._plan.forms
        values = None
        if forms.values:
            values = pa.RecordBatch.from_arrays([batch.column(place) for place in forms.values], self._names)
        lines = None if forms.json is None else batch.column(forms.json)
        return Rows(batch.select(range(forms.columns)), values, lines)

    def _opened(self, stack: ExitStack, name: Format, path: Path) -> Callable[[Rows], None]:
        """Open the writer of a format and return what gives it rows. Modules are loaded where they are needed: some are heavy."""
        if name == "csv":
            csv = stack.enter_context(self._csv(path))
            return lambda rows: csv.write(rows.columns)
        if name == "parquet":
            from reportgen_dagster.engine.writers.parquet import ParquetWriter

            parquet = stack.enter_context(ParquetWriter(path, self._plan.columns))
            return lambda rows: parquet.write(rows.values)
        if name == "xlsx":
            from reportgen_dagster.engine.writers.xlsx import XlsxWriter

            look = self._look()
            xlsx = stack.enter_context(XlsxWriter(path, self._plan.columns, look))
            self._warnings.append(xlsx.warnings)
            return lambda rows: xlsx.write(rows.columns, rows.values)
        from reportgen_dagster.engine.writers.json import JsonWriter

        lines = stack.enter_context(
            JsonWriter(path, as_array=name == "json", packed=is_packed_name(path.name))
        )
        return lambda rows: lines.write(rows.lines)

    def _look(self) -> Look:
        from reportgen_dagster.engine.writers.xlsx import Look

        presentation = self._document.presentation
        title = presentation.title or self._document.title or ""
        return Look(title, self._made_on, presentation.formats, presentation.told)

    def _csv(self, path: Path) -> CsvWriter:
        output = self._document.output or Output()
        return CsvWriter(
            path,
            self._plan.columns,
            output.dialect,
            is_guarded=output.guard == "spreadsheet",
            packed=output.dialect.compression == "gzip" or is_packed_name(path.name),
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
