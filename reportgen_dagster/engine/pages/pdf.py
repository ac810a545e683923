"""PDF pages, set by typst.

What belongs here: handing the template its data, and the file. What does not: what is said (content.py), what fits on paper
(layout.py), what it looks like (templates/report.typ).

typst is given one source, in memory, and all texts as data in JSON: it shows them as they are and never reads them as markup. Its
root is an empty folder, and its fonts are those that packages carry, so that the same report gives the same bytes everywhere.
"""

from __future__ import annotations

import datetime
import json
import os
import tempfile
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from reportgen_dagster.engine.pages import plotting
from reportgen_dagster.engine.pages.content import Content
from reportgen_dagster.engine.pages.layout import fitted
from reportgen_dagster.engine.pages.table import TableColumn
from reportgen_dagster.engine.pages.texts import breakable

MAX_ROWS = 2_000
_TEMPLATE = Path(__file__).parent / "templates" / "report.typ"
_LONGEST = 300  # characters of a cell
_WORD = 40  # characters of a word outside of the table
_FIGURE = 18  # and of one above a key figure


def write_pdf(path: Path, told: Content, made_at: datetime.datetime) -> None:
    """Write pages to a file that is on disk when this returns.

    Args:
        path: The file.
        told: What is said; its table may have more rows than are printed.
        made_at: What the file says of when it was made.
    """
    import typst  # a compiler of 80 MB that other reports do without

    with tempfile.TemporaryDirectory(prefix="typst-") as root:
        fonts = typst.Fonts(
            include_system_fonts=False, include_embedded_fonts=True, font_paths=[str(plotting.font_folder())]
        )
        compiler = typst.Compiler(
            _TEMPLATE.read_bytes(),
            root=root,
            font_paths=fonts,
            ignore_system_fonts=True,
            sys_inputs={"report": json.dumps(_data(told))},
            package_path=root,
            package_cache_path=root,
        )
        # Tags of twenty thousand cells are ten times the file, and half a second.
        made = compiler.compile(format="pdf", timestamp=int(made_at.timestamp()), pdf_tags=False)
    if not isinstance(made, bytes):  # only a type for the checker: a PDF is one file
        raise TypeError("not a PDF")
    with path.open("wb") as file:
        file.write(made)
        file.flush()
        os.fsync(file.fileno())


def _data(told: Content) -> dict[str, Any]:
    """Return everything that the template shows."""
    layout = fitted([_printed(column) for column in told.columns])
    table = replace(told, columns=layout.columns)
    return {
        "title": _spaced(told.title),
        "description": _spaced(told.description),
        "facts": [[_spaced(fact.label), _spaced(fact.value)] for fact in told.facts],
        "figures": [[breakable(figure.label, _FIGURE), _spaced(figure.value)] for figure in told.figures],
        "charts": [
            [_spaced(chart.title), chart.svg, chart.alt, [_spaced(note) for note in chart.notes]]
            for chart in told.charts
        ],
        "rejects": told.rejects,
        "reject_names": told.reject_names,
        "reject_rows": [[_spaced(cell) for cell in row] for row in told.reject_rows],
        "broken": [[_spaced(part) for part in one] for one in told.broken],
        "checks": [
            [
                _spaced(check.file),
                check.verdict,
                check.look,
                [[_spaced(part) for part in one] for one in check.failures],
            ]
            for check in told.checks
        ],
        "warnings": [_spaced(warning) for warning in told.warnings],
        "is_landscape": layout.paper.is_landscape,
        "size": layout.paper.size,
        "widths": layout.widths,
        "notes": [_spaced(note) for note in table.table_notes],
        "names": [column.name for column in table.columns],
        "looks": table.looks,
        "is_short": layout.is_short,
        "parts": [
            list(zip(*(column.cells[first:last] for column in table.columns), strict=True))
            for first, last in pairwise(accumulate(layout.parts, initial=0))
        ],
        "totals": table.total_cells,
        "footer": _spaced(told.footer),
    }


def _printed(column: TableColumn) -> TableColumn:
    """Return a column with as many rows, and as much of each cell, as is printed."""
    cells = [
        cell if len(cell) <= _LONGEST else f"{cell[: _LONGEST - 1]}…" for cell in column.cells[:MAX_ROWS]
    ]
    return replace(column, cells=cells)


def _spaced(text: str) -> str:
    return breakable(text, _WORD)
