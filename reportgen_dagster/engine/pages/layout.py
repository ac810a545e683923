"""How a table fits on paper: which way round, how small, how wide each column is, what is left out, where it may be parted.

What belongs here: measuring and choosing. What does not: looks (templates/report.typ, which has the same margins).

typst sets what stands between two page breaks in a thread of its own. So a long table in which each row takes one line is parted
where a page is full anyway. Where that was measured wrongly, a page has a few rows more or less, and nothing else happens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reportgen_dagster.engine.pages.table import TableColumn
from reportgen_dagster.engine.pages.texts import breakable
from reportgen_dagster.engine.pages.widths import LETTER, em

_A4_SHORT, _A4_LONG, _MARGIN = 595.28, 841.89, 42.5  # points
_ABOVE_AND_BELOW = 100.0
_PADDING, _ROW_PADDING = 8.0, 3.4  # points on both sides of a cell, and above and below its line
_HEADING = 70.0  # what stands above the table on its first page
_BOLD = 1.12
_BROAD = 0.7  # nearly the broadest letters
_MEASURED = 20  # of the longest cells
_STRETCH = 1.8  # a narrow table is made wider, but not so that its rows fall apart
_LEAST = 4  # letters of the narrowest column
_PARTS = 8
_SHORT = 25  # rows that are not parted


@dataclass(frozen=True, slots=True)
class Paper:
    """A way to print.

    Attributes:
        is_landscape: The paper lies.
        size: The size of the table's type, in points.
        longest: How many letters of a text stand on one line, before it is broken.
    """

    is_landscape: bool
    size: float
    longest: int

    @property
    def width(self) -> float:
        """Return the room for a table, in points."""
        return (_A4_LONG if self.is_landscape else _A4_SHORT) - 2 * _MARGIN

    @property
    def height(self) -> float:
        """Return how high a table on a page of its own may be, in points."""
        return (_A4_SHORT if self.is_landscape else _A4_LONG) - _ABOVE_AND_BELOW


PAPERS = (Paper(False, 8, 34), Paper(True, 8, 34), Paper(True, 7, 28), Paper(True, 6, 22))  # noqa: FBT003


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is printed.

    Attributes:
        paper: On which paper.
        widths: The widths of the columns that fit, in points.
        columns: These columns, with words that may be broken.
        parts: How many rows stand between two page breaks.
        is_short: The table stands on one page, wherever that begins.
    """

    paper: Paper
    widths: tuple[float, ...]
    columns: tuple[TableColumn, ...]
    parts: tuple[int, ...]
    is_short: bool


def fitted(columns: Sequence[TableColumn]) -> Layout:
    """Return how a table is printed as large as it goes."""
    measured = [_measured(column) for column in columns]
    for paper in PAPERS:
        widths = [found.points(paper) for found in measured]
        if sum(widths) <= paper.width:
            break
    fitting = _fitting(widths, paper.width)
    stretch = min(_STRETCH, paper.width / sum(fitting)) if fitting else 1.0
    widths = [width * stretch for width in fitting]
    shown = [_broken(column, width, paper) for column, width in zip(columns, widths, strict=False)]
    count = len(shown[0].cells) if shown else 0
    is_low = all(_is_low(column, width, paper) for column, width in zip(shown, widths, strict=True))
    parts = _parts(count, paper) if is_low else [count]
    return Layout(paper, tuple(widths), tuple(shown), tuple(parts), is_low and count <= _SHORT)


def _parts(count: int, paper: Paper) -> list[int]:
    """Return how many rows stand between two page breaks: those of several full pages, at first a few less."""
    row = paper.size + _ROW_PADDING
    a_page, first = int(paper.height / row) - 1, int((paper.height - _HEADING) / row) - 1
    if count <= a_page:
        return [count]
    pages = math.ceil(math.ceil((count - first) / a_page) / _PARTS)
    parts = [first + (pages - 1) * a_page]
    while sum(parts) < count:
        parts.append(min(pages * a_page, count - sum(parts)))
    return parts


def _is_low(column: TableColumn, width: float, paper: Paper) -> bool:
    """Tell whether each cell of a column takes one line, and its name, too."""
    room = (width - _PADDING) / paper.size
    return em(column.name) * _BOLD <= room and all(em(cell) <= room for cell in column.cells)


@dataclass(frozen=True, slots=True)
class _Measured:
    """How wide a column would be: its widest cell and the longest word of its name, in the font's size."""

    cells: float
    name: float
    is_right: bool

    def points(self, paper: Paper) -> float:
        most = paper.longest * LETTER
        cells = self.cells if self.is_right else min(self.cells, most)
        return max(cells, min(self.name, most / 2), _LEAST * LETTER) * paper.size + _PADDING


def _measured(column: TableColumn) -> _Measured:
    longest = sorted({*column.cells, column.total}, key=len)[-_MEASURED:]
    cells = max(map(em, longest), default=0.0) * (_BOLD if column.total else 1.0)
    name = max(map(em, column.name.split()), default=0.0) * _BOLD
    return _Measured(cells, name, column.is_right)


def _fitting(widths: Sequence[float], room: float) -> list[float]:
    """Return the widths of the first columns that fit, of one at least."""
    fitting: list[float] = []
    for width in widths:
        if fitting and sum(fitting) + width > room:
            break
        fitting.append(min(width, room))
    return fitting


def _broken(column: TableColumn, width: float, paper: Paper) -> TableColumn:
    """Let words be broken where they are wider than their column."""
    room = (width - _PADDING) / paper.size

    def broken(text: str, weight: float = 1.0) -> str:
        letters = max(1, int(room / _BROAD / weight))
        return text if len(text) <= letters or em(text) * weight <= room else breakable(text, letters)

    cells = [broken(cell) for cell in column.cells]
    return TableColumn(broken(column.name, _BOLD), column.is_right, cells, broken(column.total, _BOLD))
