"""Draws the pictures of docs/rules/presentation.md: `python docs/pages.py` makes a report as PDF and HTML and looks at it.

What belongs here: rows worth looking at, and taking pictures of pages. What does not: the words beside them.
"""

from __future__ import annotations

import datetime
import random
import tempfile
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pypdfium2
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from reportgen_dagster.engine.connection import open_connection
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.pages.wish import FileFacts, PagesWish, RunFacts
from reportgen_dagster.engine.pages.writing import write_pages
from reportgen_dagster.rules.reading.presentation import Presentation

IMAGES = Path(__file__).parent / "images"
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--window-size=1240,1680",
)
SHARPNESS = 1.6  # pixels a point
ROWS = 3_000
DESKS = {"Rates": 1.3, "Credit": 1.0, "Equities": 0.8, "Currencies": 0.6, "Commodities": 0.35}
CLIENTS = ("Alder & Sons", "Banque du Léman", "Birch Holding", "Müller AG", "Rowan Capital", "Sorbus S.p.A.")
LOOK = {
    "title": "Margin by desk",
    "formats": {"Total": "#,##0.00 €", "Share": "0.0%", "Traded": "dd.mm.yyyy"},
    "totals": {"Lots": "sum", "Total": "sum", "Share": "average"},
    "sort": ["-Total", "Desk"],
    "charts": [
        {"kind": "bar", "x": "Desk", "y": "Total", "by": "Size", "title": "Total by desk and size"},
        {"kind": "line", "x": "Traded", "y": "Total", "title": "Total by day"},
        {"kind": "pie", "x": "Client", "y": "Total", "title": "Total by client"},
        {"kind": "bar", "x": "Client", "y": "Lots", "title": "Lots by client"},
    ],
}
FACTS = RunFacts(
    report="desk-margin",
    run_id="0192f1c2-77aa-7c31",
    made_at=datetime.datetime(2026, 11, 30, 6, 0, tzinfo=datetime.UTC),
    rules="margin, version 4",
    files=(
        FileFacts("input", "trades.csv, version 12", ROWS + 3),
        FileFacts("desks", "desks.csv, version 2", 5),
    ),
    input_count=ROWS + 3,
    used_count=ROWS,
    reject_count=3,
    contracts={
        "input": {
            "passed": True,
            "failures": [
                {
                    "column": "fee",
                    "check": "maximum: 0.5",
                    "message": "0.75 is more than 0.5",
                    "count": 12,
                    "severity": "warn",
                }
            ],
        },
        "output": {"passed": True, "failures": []},
    },
    warnings=("input: fee: 0.75 is more than 0.5; 12 rows like it",),
    reject_samples=[
        {"_line": line, "_column": column, "_rule": rule, "_value": value, "_reason": reason}
        for line, column, rule, value, reason in (
            ("418", "desk", "foreignKeys: desk -> desks(desk_id)", "FX9", "is not in desks(desk_id)"),
            ("1377", "traded", "type date", "2026-02-30", "is not a date"),
            ("2950", "amount", "minimum: 0", "-12.00", "is less than 0"),
        )
    ],
)


def table() -> pa.Table:
    """Return the report's rows."""
    chosen = random.Random(11)  # noqa: S311 - an example
    first = datetime.date(2026, 9, 1)
    rows = []
    for number in range(ROWS):
        desk = chosen.choice(tuple(DESKS))
        day = first + datetime.timedelta(days=chosen.randrange(88))
        large = chosen.random() < 0.3
        total = chosen.lognormvariate(8.2 + large, 0.6) * DESKS[desk] * (1 + day.toordinal() % 29 / 60)
        rows.append(
            {
                "Trade": f"T{number + 1:05}",
                "Desk": desk,
                "Size": "large" if large else "small",
                "Traded": day,
                "Client": CLIENTS[int(chosen.triangular(0, 5.99, 1))],
                "Lots": chosen.randrange(1, 40) * (10 if large else 1),
                "Total": Decimal(round(total * 100)).scaleb(-2),
                "Share": round(chosen.betavariate(2, 6), 4),
            }
        )
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("Trade", "Desk", "Size")),
            ("Traded", pa.date32()),
            ("Client", pa.string()),
            ("Lots", pa.int64()),
            ("Total", pa.decimal128(18, 2)),
            ("Share", pa.float64()),
        ]
    )
    return pa.Table.from_pylist(rows, schema)


def _html_picture(path: Path, name: str) -> None:
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in ARGUMENTS:
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        browser.get(path.as_uri())
        browser.save_screenshot(str(IMAGES / f"{name}.png"))
    finally:
        browser.quit()
    print(f"docs/images/{name}.png")


def _pdf_picture(path: Path, page: int, name: str) -> None:
    picture = pypdfium2.PdfDocument(path)[page].render(scale=SHARPNESS).to_pil()
    picture.quantize(64).save(IMAGES / f"{name}.png", optimize=True)
    print(f"docs/images/{name}.png")


def main() -> None:
    """Draw them all."""
    with tempfile.TemporaryDirectory(prefix="rg-") as name:
        folder = Path(name)
        pq.write_table(table(), folder / "rows.parquet")
        wish = PagesWish(
            "Desk margin",
            "Trades of the last three months with their margin. Large trades are those of more than 1,000.",
            Presentation.model_validate(LOOK),
            FACTS,
            "in the CSV and Excel files of this run",
        )
        html, pdf = folder / "report.html", folder / "report.pdf"
        with open_connection([], work=folder, limits=Limits()) as connection:
            write_pages(folder / "rows.parquet", wish, connection, html=html, pdf=pdf)
        _pdf_picture(pdf, 0, "pages_pdf")
        _pdf_picture(pdf, 2, "pages_pdf_table")
        _html_picture(html, "pages_html")


if __name__ == "__main__":
    main()
