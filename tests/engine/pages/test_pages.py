"""What stands on the pages: all that was asked for, and where the rest is."""

from __future__ import annotations

import datetime
import io
import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pypdfium2
import pytest

from reportgen_dagster.engine.pages.wish import FileFacts
from reportgen_dagster.errors import BadDataError
from tests.engine.pages.making import Pages, make, table, wish

DAY = datetime.date(2026, 1, 31)
ROWS = table(
    {
        "Desk": ["Rates", "Credit", None, "FX"],
        "Total": [Decimal("1234567.50"), Decimal("-0.05"), None, Decimal("2000.00")],
        "Trades": [12, 3_000, 4, None],
        "Share": [0.125, 1.0, None, -0.5],
        "Traded": [DAY, None, datetime.date(1999, 12, 1), DAY],
        "Done": [True, False, None, True],
    },
    {"Total": pa.decimal128(18, 2)},
)
TOLD = {
    "title": "Margin by desk",
    "locale": "de",
    "formats": {"Total": "#,##0.00 €", "Share": "0.0%", "Traded": "dd.mm.yyyy"},
    "totals": {"Trades": "sum", "Total": "sum", "Share": "average", "Done": "count"},
    "sort": ["-Total", "Desk"],
    "charts": [
        {"kind": "bar", "x": "Desk", "y": "Total", "title": "Total by desk"},
        {"kind": "line", "x": "Traded", "y": "Trades"},
    ],
}
MADE: dict[str, Any] = {
    "files": (FileFacts("input", "trades.csv, version 3", 1_005), FileFacts("desks", "desks.csv", 1)),
    "input_count": 1_005,
    "used_count": 1_004,
    "reject_count": 1,
    "contracts": {
        "input": {
            "passed": True,
            "failures": [
                {
                    "column": "amount",
                    "check": "minimum: 0",
                    "message": "-3 is less than 0",
                    "count": 1_001,
                    "severity": "warn",
                }
            ],
        },
        "output": {"passed": True, "failures": []},
    },
    "broken": [
        {
            "step": "steps[1].derive.fee",
            "column": "",
            "rule": "division by zero",
            "severity": "error",
            "count": 1,
        },
        {"step": "input", "column": "amount", "rule": "minimum: 0", "severity": "warn", "count": 1_001},
    ],
    "warnings": ["input: amount: -3 is less than 0"],
    "reject_samples": [
        {
            "_line": "4",
            "_column": "desk",
            "_rule": "enum",
            "_value": "K9",
            "_reason": "is none of them",
            "_original": "x",
        }
    ],
}
FACTS = (
    *(
        "Margin by desk",
        "What each desk made.",
        "daily",
        "29. November 2026, 06:00 UTC",
        "0192f1c2",
        "margin, version 4",
    ),
    *("trades.csv, version 3, 1.005 rows", "desks.csv, 1 row", "Total by desk", "Trades by Traded"),
    *(
        "1.004 of 1.005 rows of the input were used, 1 was rejected.",
        "is none of them",
        "kept, with warnings",
    ),
    *("-3 is less than 0", "1.001", "steps[1].derive.fee", "division by zero"),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return make(tmp_path_factory.mktemp("pages"), ROWS, wish(TOLD, **MADE))


def test_html_shows_facts_figures_charts_checks_and_rejects(made: Pages) -> None:
    page = made.page
    text = page.root.text
    assert [fact for fact in FACTS if fact not in text] == []
    assert page.figures() == {
        "Rows": "4",
        "Trades": "3.016",
        "Total": "1.236.567,45\u00a0€",
        "Share (average)": "20,8%",
        "Done (count)": "3",
    }
    images = page.root.all("img")
    assert [image.attributes["alt"] for image in images] == [
        "Bar chart: Total by Desk, 4 values of Desk",
        "Line chart: Trades by Traded, 3 values of Traded",
    ]


def test_html_shows_the_table_in_its_order_with_formats_and_totals(made: Pages) -> None:
    page = made.page
    assert page.names() == ["Desk", "Total", "Trades", "Share", "Traded", "Done"]
    assert page.rows() == [
        ["Rates", "1.234.567,50\u00a0€", "12", "12,5%", "31.01.2026", "true"],
        ["FX", "2.000,00\u00a0€", "", "-50,0%", "31.01.2026", "true"],
        ["Credit", "-0,05\u00a0€", "3.000", "100,0%", "", "false"],
        ["", "", "4", "", "01.12.1999", ""],
    ]
    assert page.totals() == ["All rows", "1.236.567,45\u00a0€", "3.016", "average 20,8%", "", "count 3"]
    assert page.notes().splitlines() == ["Warning: input: amount: -3 is less than 0"]


def test_pdf_shows_the_same(made: Pages) -> None:
    words = " ".join(" ".join(made.sheets).split())
    assert [fact for fact in FACTS if fact not in words] == []
    for told in (
        "Rates 1.234.567,50 € 12 12,5% 31.01.2026 true",
        "Credit -0,05 € 3.000 100,0% false",
        "1 / 2",
    ):
        assert told in words
    assert made.reader.metadata is not None
    assert made.reader.metadata.title == "Margin by desk"
    assert made.reader.metadata.creation_date == datetime.datetime(2026, 11, 29, 6, 0, tzinfo=datetime.UTC)


def test_long_tables_are_cut_and_say_where_the_rest_is(tmp_path: Path) -> None:
    rows = table({"n": list(range(12_000)), "text": ["x"] * 12_000})
    made = make(tmp_path, rows, wish({"sort": ["-n"], "totals": ["n"]}))
    page = made.page
    assert [row[0] for row in page.rows()] == [f"{number:,}" for number in range(11_999, 1_999, -1)]
    assert page.totals() == ["71,994,000", "Total"]
    told = "These are the first {} rows. The whole table has 12,000 rows; it is in the CSV file of this run."
    assert page.notes() == told.format("10,000")
    sheets = made.sheets
    assert told.format("2,000") in " ".join(sheets[1].split())
    numbers = [line.split()[0] for sheet in sheets for line in sheet.splitlines() if line.endswith(" x")]
    assert numbers == [f"{number:,}" for number in range(11_999, 9_999, -1)]
    for place, sheet in enumerate(sheets, start=1):
        assert f"{place} / {len(sheets)}" in sheet
        assert place <= 2 or sheet.split()[:2] == ["n", "text"]  # the header stands on each page
    assert len(sheets) > 30
    assert "71,994,000" in sheets[-1]


def test_rows_of_several_lines_are_all_there(tmp_path: Path) -> None:
    words = "several words that take more than a line, or two, or three of their column"
    rows = table({f"text {place}": [f"<{row}> {words}" for row in range(120)] for place in range(4)})
    text = "".join(make(tmp_path, rows, wish(), kinds=["pdf"]).sheets)
    assert re.findall(r"<(\d+)>", text) == [str(row) for row in range(120) for _ in range(4)]


def test_wide_tables_lie_and_are_cut_and_say_so(tmp_path: Path) -> None:
    rows = table({f"column {number}": [number] * 3 for number in range(5_000)})
    made = make(tmp_path, rows, wish({"sort": ["-column 4999"], "totals": ["column 0"]}))
    page = made.page
    assert page.names() == [f"column {number}" for number in range(500)]
    assert page.rows() == [[str(number) for number in range(500)]] * 3
    assert (
        page.notes()
        == "These are the first 500 of 5,000 columns; the others are in the CSV file of this run."
    )
    (sheet,) = made.reader.pages
    assert sheet.mediabox.width > sheet.mediabox.height
    words = " ".join(made.sheets[0].split())
    assert "of 5,000 columns; the others are in the CSV file of this run." in words
    assert "column 15" in words


@pytest.mark.parametrize(("count", "lies"), [(3, False), (12, True)])
def test_paper_lies_where_a_table_needs_it(tmp_path: Path, count: int, lies: bool) -> None:  # noqa: FBT001
    rows = table({f"name {number}": ["some text"] for number in range(count)})
    sheet = make(tmp_path, rows, wish(), kinds=["pdf"]).reader.pages[0]
    assert (sheet.mediabox.width > sheet.mediabox.height) is lies


def test_a_report_without_rows_has_pages(tmp_path: Path) -> None:
    rows = ROWS.slice(0, 0)
    made = make(tmp_path, rows, wish(TOLD))
    page = made.page
    assert (page.names(), page.rows()) == (ROWS.column_names, [])
    assert page.figures()["Total"] == "\u2013"
    assert page.notes().splitlines() == [
        "There are no rows to draw.",
        "There are no rows to draw.",
        "The report has no rows.",
    ]
    assert page.root.all("img") == []
    assert "The report has no rows." in made.sheets[0]


def test_one_column_of_nulls_has_pages(tmp_path: Path) -> None:
    rows = table({"x": [None, None]}, {"x": pa.string()})
    told = {"formats": {"x": "0.00"}, "totals": ["x"], "charts": [{"kind": "pie", "x": "x", "y": "x"}]}
    made = make(tmp_path, rows, wish(told))
    assert made.page.rows() == [[""], [""]]
    assert len(made.reader.pages) == 1


def test_numbers_without_a_format_are_written_by_their_type(tmp_path: Path) -> None:
    rows = table(
        {
            "year": [2024, 2025],
            "amount": [1_000_000, 2],
            "double": [1234.5, 0.25],
            "tiny": [1e-9, 1.0],
            "money": [Decimal("1234.50"), Decimal("-1.00")],
            "at": [datetime.datetime(2026, 1, 31, 14, 5), None],
            "time": [datetime.time(14, 5), None],
        },
        {"money": pa.decimal128(10, 2)},
    )
    page = make(tmp_path, rows, wish({"totals": {"amount": "average"}}), kinds=["html"]).page
    assert page.rows() == [
        [
            "2024",
            "1,000,000",
            "1,234.50",
            "1e-09",
            "1,234.50",
            "Jan 31, 2026, 2:05:00\u202fPM",
            "2:05:00\u202fPM",
        ],
        ["2025", "2", "0.25", "1", "-1.00", "", ""],
    ]
    assert page.figures()["amount (average)"] == "500,001.00"


def test_what_only_the_rows_tell_is_an_error_of_the_data(tmp_path: Path) -> None:
    rows = table({"Desk": ["a"], "Total": [1]})
    told = {"charts": [{"kind": "bar", "x": "Dsk", "y": "Desk"}], "sort": ["-Totl"], "formats": {"Desk": "0"}}
    with pytest.raises(BadDataError) as caught:
        make(tmp_path, rows, wish(told))
    assert [str(problem) for problem in caught.value.problems] == [
        "presentation.formats.Desk  `0` writes numbers; `Desk` is text",
        "presentation.sort[0]  unknown column `Totl`; did you mean `Total`?",
        "presentation.charts[0].x  unknown column `Dsk`; did you mean `Desk`?",
        "presentation.charts[0].y  a chart shows sums of numbers; `Desk` is text",
    ]
    assert not (tmp_path / "report.pdf").exists()


def test_letters_of_many_scripts_are_on_the_pages(tmp_path: Path) -> None:
    texts = ["Ünïcödé", "Ελληνικά", "Кириллица", "日本語", "\U0001d54f", "naïve “quoted”", "a\nb\tc"]
    made = make(tmp_path, table({"text": texts}), wish())
    assert [row[0] for row in made.page.rows()] == [*texts[:-1], "a b c"]
    for text in (*texts[:3], texts[5]):
        assert text in made.sheets[0]


def test_a_number_stands_on_one_line_and_a_long_word_in_its_column(tmp_path: Path) -> None:
    wide = Decimal("-12345678901234567890123456789.012345678")
    rows = table({"word": ["w" * 200], "n": [wide], "last": ["end"]}, {"n": pa.decimal128(38, 9)})
    made = make(tmp_path, rows, wish({"formats": {"n": "#,##0.000000000"}}), kinds=["pdf"])
    lines = [line.strip() for line in made.sheets[0].splitlines()]
    assert any("-12,345,678,901,234,567,890,123,456,789.012345678" in line for line in lines)
    assert "".join(lines).count("w") >= 200
    page = pypdfium2.PdfDocument(io.BytesIO(made.pdf))[0]
    picture = page.render(scale=1).to_pil().convert("L")
    margin = picture.crop((picture.width - 40, 100, picture.width, picture.height - 80))
    assert margin.getextrema() == (255, 255)  # nothing stands outside of the table


CONFINED = """
import json, os, sys
from pathlib import Path
from reportgen_dagster.engine.confined import ConfinedProcess
from reportgen_dagster.engine.limits import Limits
from tests.engine.pages.making import make, wish
from tests.engine.pages.test_pages import MADE, ROWS, TOLD
folder = Path(sys.argv[1])
os.chdir(sys.argv[2])
def work(tell):
    make(folder, ROWS, wish(TOLD, **MADE))
    tell({"files": sorted(path.name for path in folder.iterdir())})
with ConfinedProcess.forked(work, limits=Limits(memory="200MB"), reads=[], writes=[folder]) as process:
    print(json.dumps([*process.messages()]))
"""


def test_a_run_s_process_which_reaches_nothing_else_gives_the_same_bytes(made: Pages, tmp_path: Path) -> None:
    """Somebody's settings of matplotlib lie where it looks for some: they count for nothing, and nothing is left behind."""
    folder, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    for path in (folder, elsewhere):
        path.mkdir()
    (elsewhere / "matplotlibrc").write_text("savefig.dpi: 9\naxes.facecolor: red\n")
    environment = {"HOME": str(elsewhere), "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "-c", CONFINED, str(folder), str(elsewhere)],
        capture_output=True, text=True, env=environment, timeout=120, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert json.loads(done.stdout) == [{"files": ["report.html", "report.pdf", "rows.parquet"]}]
    assert (folder / "report.pdf").read_bytes() == made.pdf
    assert (folder / "report.html").read_bytes() == made.html
    assert [path.name for path in elsewhere.iterdir()] == ["matplotlibrc"]


def test_columns_may_be_called_as_anything_that_queries_use(tmp_path: Path) -> None:
    names = [
        "row",
        "Row_2",
        "pages:rows",
        "report",
        "c0",
        "c1",
        "v0",
        "x",
        "line",
        "seen",
        "total",
        "a.b",
        'q"q',
        "-c0",
    ]
    rows = table({name: [place * 10 + row for row in (3, 1, 2)] for place, name in enumerate(names)})
    for sort in (["c1"], ["-row"], ["-c0"]):
        descending = sort == ["-row"]
        told = {
            "sort": sort,
            "totals": names,
            "charts": [
                {"kind": "bar", "x": "x", "y": "total", "by": "line"},
                {"kind": "line", "x": "seen", "y": 'q"q'},
            ],
        }
        page = make(tmp_path, rows, wish(told), kinds=["html"]).page
        assert [row[4] for row in page.rows()] == sorted(["41", "42", "43"], reverse=descending)
        assert page.totals() == [str(30 * place + 6) for place in range(len(names))]
