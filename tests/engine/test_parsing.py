"""What Arrow reads of a piece is what the strict casts give, anything else it leaves to them, and rows keep their order."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlglot import exp

from reportgen_dagster.contracts.casts import Notation, strict_cast
from reportgen_dagster.contracts.types import Type, TypeName
from reportgen_dagster.engine import pieces, tries
from reportgen_dagster.engine.limits import Deadline
from reportgen_dagster.engine.parsing import PieceParser
from reportgen_dagster.engine.text_files import TextFile, open_text
from reportgen_dagster.rules.compiling.plan import ParsedInput, ParsedQuery, Reading
from reportgen_dagster.rules.values.typed import column
from tests.engine.making import make_long

NO_QUERY = ParsedQuery("", (), "", "")
TYPES: tuple[TypeName, ...] = ("integer", "number", "date")
ODD = (
    "0x1F", "0X1f", "-0x1", " 5", "5 ", "\t5", "+5", "-0", "007", "1_000", "1.", ".5", "+.5e1", "1e3", "1E+3", "1e400", "-1e-400",
    "nan", "NaN", "inf", "-Infinity", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "1.6", "1e2", "--1",
    "0000-01-01", "0001-01-01", "9999-12-31", "10000-01-01", "2024-02-30", "2024-2-3", "2024/02/03", "2024-02-03 ", "20240203",
    "2024-02-03T00:00:00", "-2024-01-01", "infinity", "epoch", "NULL", "NA", "true", "١٢", "0b1", "0o7", "5%", "$5", "1,5", "",
)  # fmt: skip
CELLS = st.sampled_from(ODD) | st.text("0123456789+-.eE_xX ", max_size=12)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> TextFile:
    source = tmp_path_factory.mktemp("file") / "input.csv"
    source.write_text("cell;number\na;0\n")
    return open_text(source, name="input", work=source.parent, deadline=Deadline(60))


@pytest.mark.parametrize("type_name", TYPES)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(CELLS, min_size=1, max_size=3))
def test_what_arrow_reads_is_what_the_casts_give(
    file: TextFile, type_name: TypeName, cells: list[str]
) -> None:
    wanted = ParsedInput(("number",), {"value": Reading("cell", type_name)}, "place", NO_QUERY)
    piece = "".join(f"{cell};{number}\n" for number, cell in enumerate(cells)).encode()
    rows = PieceParser(file, wanted).rows(piece)
    if rows is None:
        return
    cast = strict_cast(column("cell"), Type(type_name), Notation())
    query = exp.select(cast).from_("(SELECT nullif(unnest(?), '') AS cell)").sql("duckdb")
    with duckdb.connect() as connection:
        given = connection.execute(query, [cells]).fetchall()
    assert [(value,) for value in rows.column("value").to_pylist()] == given
    assert all(value is not None for (value,), cell in zip(given, cells, strict=True) if cell)


@pytest.mark.parametrize(
    ("type_name", "cells"),
    [
        ("integer", ["0", "-12", "007", "9223372036854775807", ""]),
        ("number", ["0.5", "-12", "1e3", ""]),
        ("date", ["2024-02-29", "0001-01-01", ""]),
    ],
)
def test_the_plain_notation_is_read(file: TextFile, type_name: TypeName, cells: list[str]) -> None:
    wanted = ParsedInput((), {"value": Reading("cell", type_name)}, "place", NO_QUERY)
    rows = PieceParser(file, wanted).rows("".join(f"{cell};0\n" for cell in cells).encode())
    assert rows is not None
    assert rows.column("value").null_count == 1


RULES = """
input:
  schema: {fields: [{name: number, type: integer}, {name: price, type: number}, {name: day, type: date}]}
steps:
  - lookup: {reference: labels, match: [key], defaults: {label: none}}
  - derive: {twice: number * 2, year: year(day), half: price / 2}
output: {columns: [number, label, twice, year, half]}
"""
LABELS = "key,label\nk1,one\nk2,two\n"
LABEL_OF = ("none", "one", "two")


def lines_of(count: int, odd: dict[int, str] | None = None) -> list[str]:
    """Return a header and rows with small cells; `odd` has other cells for the price of some."""
    prices = odd or {}
    return [
        "key,number,price,day",
        *(f"k{n % 3},{n},{prices.get(n, '0.5')},2024-01-31" for n in range(count)),
    ]


def report_of(numbers: range | list[int]) -> str:
    rows = (f"{n},{LABEL_OF[n % 3]},{2 * n},2024,0.25\n" for n in numbers)
    return "number,label,twice,year,half\n" + "".join(rows)


def test_pieces_of_very_many_rows_keep_their_order(tmp_path: Path) -> None:
    count = 1_400_000  # more rows in a piece than DuckDB gives one thread
    data = "\n".join(lines_of(count))
    assert len(data) > 2 * pieces.PIECE_BYTES
    assert make_long(tmp_path, RULES, data, labels=LABELS).report == report_of(range(count))


@pytest.mark.parametrize("odd", ["5e-1 ", "1_0", "x", "0x1"])
def test_a_piece_that_arrow_cannot_read_loses_only_its_bad_rows(
    odd: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 20_000)
    monkeypatch.setattr(tries, "_MOST_SPARED", 2)
    lost = [5, 1_500, 1_501, 9_000]
    data = "\n".join(lines_of(10_000, dict.fromkeys(lost, odd)))
    made = make_long(tmp_path, RULES, data, labels=LABELS)
    assert made.report == report_of([n for n in range(10_000) if n not in lost])
    assert made.rejects is not None
    assert [int(row["_line"]) for row in made.rejects] == [n + 2 for n in lost]


def test_rows_of_the_wrong_length_and_blank_lines_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 20_000)
    lines = lines_of(6_000)
    lines[100], lines[3_000], lines[5_000] = "k1,99", "", "k1,4999,0.5,2024-01-31,more"
    made = make_long(tmp_path, RULES, "\n".join(lines), labels=LABELS)
    assert made.report == report_of([n for n in range(6_000) if n not in (99, 2_999, 4_999)])
    assert made.rejects is not None
    assert [int(row["_line"]) for row in made.rejects] == [101, 5_001]


def test_a_later_block_gets_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 20_000)
    rules = (
        RULES.partition("output")[0]
        + "  - aggregate: {by: [label], measures: {rows: count(*), sum: sum(twice)}}\n"
    )
    made = make_long(tmp_path, rules, "\n".join(lines_of(9_000)), labels=LABELS)
    sums = {name: sum(2 * n for n in range(9_000) if LABEL_OF[n % 3] == name) for name in LABEL_OF}
    assert made.report == "label,rows,sum\n" + "".join(f"{name},3000,{sums[name]}\n" for name in LABEL_OF)


def test_columns_that_are_called_as_the_parsed_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 20_000)
    rules = """
input: {schema: {fields: [{name: n, type: integer}]}}
steps: [derive: {sum: n + 1}]
output: {columns: [n, "n:integer", place, sum]}
"""
    data = "n,n:integer,place\n" + "".join(f"{n},a{n},b{n}\n" for n in range(5_000))
    made = make_long(tmp_path, rules, data)
    assert made.report == "n,n:integer,place,sum\n" + "".join(
        f"{n},a{n},b{n},{n + 1}\n" for n in range(5_000)
    )


JUDGED = """
input:
  schema:
    fields:
      - {name: key, type: string, constraints: {required: true, maxLength: 2}}
      - {name: number, type: integer, constraints: {required: true, maximum: 9000}}
      - {name: price, type: number, severity: warn, constraints: {required: true, minimum: 0}}
steps:
  - filter: number % 7 <> 0
  - derive: {share: number / (price - 2)}
output: {columns: [key, number, share], schema: {fields: [{name: share, severity: warn, constraints: {minimum: -8990}}]}}
rejects: {policy: divert}
"""


@pytest.mark.parametrize("spared", [1, 64])
def test_rows_that_break_rules_are_told_whichever_query_reads_their_piece(
    spared: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tries, "_MOST_SPARED", spared)
    lines = ["key,number,price", *(f"k{n % 3},{n},1" for n in range(9_000))]
    broken = {1_000: "toolong,999,1", 1_002: "k1,,1", 4_000: "k1,9001,1", 4_001: ",5,1"}
    warned = {2_000: "k1,1999,-1", 6_000: "k2,5999,"}
    failed = {3_000: "k2,2999,2", 7_001: "k1,7000,2"}  # 7000 was filtered before its share could fail
    for line, text in (broken | warned | failed).items():
        lines[line] = text
    data = "\n".join(lines)
    whole = make_long(tmp_path, JUDGED, data)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 4_000)
    cut = make_long(tmp_path, JUDGED, data)
    assert (cut.report, cut.rejects) == (whole.report, whole.rejects)
    assert cut.outcome.to_json() == whole.outcome.to_json()
    assert cut.rejects is not None
    assert [int(row["_line"]) for row in cut.rejects] == [n + 1 for n in (1_000, 1_002, 3_000, 4_000, 4_001)]
    assert cut.outcome.contracts["input"]["failures"]
