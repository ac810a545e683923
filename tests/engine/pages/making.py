"""Makes pages of small tables, and reads them again.

What belongs here: ways to make and to read. What does not: what has to be on the pages.
"""

from __future__ import annotations

import datetime
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pypdf import PdfReader

from reportgen_dagster.engine.connection import open_connection
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.pages.texts import SOFT_BREAK
from reportgen_dagster.engine.pages.wish import FileFacts, PagesWish, RunFacts
from reportgen_dagster.engine.pages.writing import write_pages
from reportgen_dagster.rules.reading.presentation import Presentation

FACTS = RunFacts(
    report="daily",
    run_id="0192f1c2",
    made_at=datetime.datetime(2026, 11, 29, 6, 0, tzinfo=datetime.UTC),
    rules="margin, version 4",
    files=(FileFacts("input", "trades.csv", 12),),
    input_count=12,
    used_count=12,
    reject_count=0,
    contracts={},
)
WHOLE = "in the CSV file of this run"
VOID = frozenset({"meta", "img", "br"})


def table(columns: Mapping[str, Sequence[Any]], types: Mapping[str, pa.DataType] | None = None) -> pa.Table:
    """Return a table; columns without a type have the one that Arrow finds."""
    known = types or {}
    return pa.table({name: pa.array(values, known.get(name)) for name, values in columns.items()})


def wish(presentation: Mapping[str, Any] | None = None, **facts: Any) -> PagesWish:
    """Return what pages are to show."""
    chosen = Presentation.model_validate(presentation or {})
    return PagesWish("Desk margin", "What each desk made.", chosen, replace(FACTS, **facts), WHOLE)


@dataclass
class Element:
    """An element of a page, with what is in it."""

    tag: str
    attributes: dict[str, str | None]
    text: str = ""
    parts: list[Element] = field(default_factory=list)

    def all(self, tag: str) -> list[Element]:
        """Return all elements of a tag within it."""
        return [found for part in self.parts for found in ([part] * (part.tag == tag) + part.all(tag))]


class Page(HTMLParser):
    """An HTML page as the standard library reads it."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.open = [self.root]
        self.elements: list[Element] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.elements.append(element)
        self.open[-1].parts.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data

    def rows(self) -> list[list[str]]:
        """Return the cells of the table, without head and totals."""
        body = self.root.all("table")[-1].all("tbody")[0]
        return [[cell.text for cell in row.all("td")] for row in body.all("tr")]

    def totals(self) -> list[str]:
        """Return the row of totals."""
        return [cell.text for cell in self.root.all("table")[-1].all("tfoot")[0].all("td")]

    def names(self) -> list[str]:
        """Return the names of the table's columns."""
        return [cell.text for cell in self.root.all("table")[-1].all("thead")[0].all("th")]

    def figures(self) -> dict[str, str]:
        """Return the key figures."""
        (listed,) = (found for found in self.root.all("ul") if found.attributes.get("class") == "figures")
        return {one.all("span")[0].text: one.all("strong")[0].text for one in listed.all("li")}

    def notes(self) -> str:
        """Return all notes."""
        return "\n".join(one.text for one in self.root.all("p") if one.attributes.get("class") == "note")


@dataclass(frozen=True)
class Pages:
    """What was written."""

    html: bytes
    pdf: bytes

    @property
    def page(self) -> Page:
        return Page(self.html.decode())

    @property
    def sheets(self) -> list[str]:
        """Return the text of each page of the PDF."""
        return [sheet.extract_text().replace(SOFT_BREAK, "") for sheet in self.reader.pages]

    @property
    def reader(self) -> PdfReader:
        return PdfReader(io.BytesIO(self.pdf))


def make(folder: Path, rows: pa.Table, told: PagesWish, *, kinds: Sequence[str] = ("html", "pdf")) -> Pages:
    """Write pages of a table, in a database that is locked down as a run's."""
    source = folder / "rows.parquet"
    pq.write_table(rows, source, row_group_size=1_000)
    paths = {kind: folder / f"report.{kind}" for kind in kinds}
    with open_connection([], work=folder, limits=Limits(memory="200MB")) as connection:
        write_pages(source, told, connection, **paths)
    return Pages(*(paths[kind].read_bytes() if kind in kinds else b"" for kind in ("html", "pdf")))
