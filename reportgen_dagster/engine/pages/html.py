"""HTML pages: one file that needs no other, runs nothing and asks nobody.

What belongs here: carrying out the template. What does not: what is said (content.py), what it looks like
(templates/report.html.jinja).
"""

from __future__ import annotations

import base64
import os
from functools import cache
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined, Template
from jinja2.sandbox import SandboxedEnvironment

from reportgen_dagster.engine.pages.content import Content

MAX_ROWS = 10_000
MAX_COLUMNS = 500
MAX_CELLS = 500_000
TEMPLATES = Path(__file__).parent / "templates"
_BUFFERED = 1_024  # pieces of the template that are written at once


def write_html(path: Path, told: Content) -> None:
    """Write pages to a file that is on disk when this returns."""
    rows = zip(*(column.cells for column in told.columns), strict=True)
    with path.open("wb") as file:
        stream = _template().stream(told=told, rows=rows, picture=_picture)
        stream.enable_buffering(_BUFFERED)
        stream.dump(file, encoding="utf-8")
        file.flush()
        os.fsync(file.fileno())


@cache
def _template() -> Template:
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja")


def _picture(svg: str) -> str:
    """Return a chart as the address of an image: a browser runs nothing in it and loads nothing for it."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
