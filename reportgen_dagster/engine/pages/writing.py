"""Writing the pages of a finished report: the face of this package.

What belongs here: the order of things. What does not: how any of it is done.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from reportgen_dagster.engine.pages import html as html_pages
from reportgen_dagster.engine.pages import pdf as pdf_pages
from reportgen_dagster.engine.pages.content import content
from reportgen_dagster.engine.pages.rows import Rows
from reportgen_dagster.engine.pages.wish import PagesWish
from reportgen_dagster.errors import BadDataError, Problem
from reportgen_dagster.rules.compiling.presenting import presentation_problems
from reportgen_dagster.rules.reading.positions import path_text


def write_pages(
    rows: Path,
    wish: PagesWish,
    connection: duckdb.DuckDBPyConnection,
    *,
    html: Path | None = None,
    pdf: Path | None = None,
) -> None:
    """Write a report as HTML, as PDF, or as both. The same rows and the same wish give the same bytes.

    Args:
        rows: The report as a Parquet file: columns and order are the report's, types are their own.
        wish: What to show.
        connection: A database to compute with; nothing is read by it but streams of these rows, so that it may be locked down.
        html: Where to write HTML; not, if left out.
        pdf: Where to write PDF; not, if left out.

    Raises:
        BadDataError: If the presentation names a column that the report does not have, or one that does not hold what it must.
    """
    with Rows(rows, connection) as report:
        problems = [
            Problem(wrong.message, path_text(wrong.path))
            for wrong in presentation_problems(wish.presentation, report.types())
        ]
        if problems:
            raise BadDataError(problems=problems)
        told = content(
            report,
            wish,
            most_rows=pdf_pages.MAX_ROWS if html is None else html_pages.MAX_ROWS,
            most_columns=html_pages.MAX_COLUMNS,
            most_cells=html_pages.MAX_CELLS,
        )
    if html is not None:
        html_pages.write_html(html, told)
    if pdf is not None:
        pdf_pages.write_pdf(pdf, told, wish.facts.made_at)
