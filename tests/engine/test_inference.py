"""First rules for a file load, and every row of the file keeps their contract."""

from __future__ import annotations

import csv
import io
import tempfile
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reportgen_dagster.contracts.types import Type
from reportgen_dagster.engine.inference import infer_rules
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.report import make_report
from reportgen_dagster.errors import FileRefusedError
from reportgen_dagster.rules.reading.loading import load_ruleset
from tests.engine.making import carry_out

DATA = (
    "id;code;on;when;at;ok;price;ratio;12;empty;we: [ird]\n"
    "1;007;x;2024-01-31;2024-01-31 10:00:00;true;1.50;1e3;;;é\n"
    '2;008;"y\nz";2024-02-01;2024-01-31T10:00:00.5;false;20.25;2.5;5;;#a\n'
    "3;008;-;2024-02-01;2024-01-31T10:00:00;false;-3.00;-1;;;'\n"
)


def inferred(folder: Path, data: bytes) -> str:
    file, work = folder / "trades of may.csv", folder / "work"
    file.write_bytes(data)
    work.mkdir(exist_ok=True)
    return infer_rules(file, work=work)


def test_types_keys_and_needs_are_what_all_rows_keep(tmp_path: Path) -> None:
    schema = load_ruleset(inferred(tmp_path, DATA.encode("cp1252"))).document.input.schema_
    assert {field.name: field.type for field in schema.fields} == {
        "id": "integer", "code": "string", "on": "string", "when": "date", "at": "datetime", "ok": "boolean", "price": "decimal",
        "ratio": "number", "12": "integer", "empty": "string", "we: [ird]": "string",
    }  # fmt: skip
    assert schema.primary_key == ["id"]
    assert [field.name for field in schema.fields if not field.constraints.required] == ["12", "empty"]
    price = next(field for field in schema.fields if field.name == "price")
    assert Type("decimal", price.precision, price.scale) == Type("decimal", 18, 2)


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ("name,trade_id\na,1\nb,2\n", ["trade_id"]),
        ("name,tradeId\na,1\nb,2\n", ["tradeId"]),
        ("name,note\na,1\nb,2\n", ["name"]),
        ("desk,paid\na,1\na,2\n", None),
        ("desk,id\na,1\na,\n", None),
    ],
)
def test_a_key_is_named_like_one_or_stands_first(tmp_path: Path, data: str, key: list[str] | None) -> None:
    assert load_ruleset(inferred(tmp_path, data.encode())).document.input.schema_.primary_key == key


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        (["31.12.2024", "1.2.2024"], {"type": "date", "format": "%d.%m.%Y"}),
        (["01/02/2024", "31/12/2024"], {"type": "date", "format": "%d/%m/%Y"}),
        (["01/02/2024", "12/31/2024"], {"type": "date", "format": "%m/%d/%Y"}),
        (["2024/01/02", "2024/12/31"], {"type": "date", "format": "%Y/%m/%d"}),
        (["31.12.2024 10:00", ""], {"type": "datetime", "format": "%d.%m.%Y %H:%M"}),
        (["31.02.2024", "01.02.2024"], {"type": "string"}),
        (["13/01/2024", "01/13/2024"], {"type": "string"}),
        (["1.234,56", "7,00"], {"type": "decimal", "scale": 2, "decimalChar": ",", "groupChar": "."}),
        (["1,234.56", "-7.00"], {"type": "decimal", "scale": 2, "groupChar": ","}),
        (["1'234.5", "7"], {"type": "number", "groupChar": "'"}),
        (["1,5", "0,25"], {"type": "number", "decimalChar": ","}),
        (["1.234.567", "12"], {"type": "integer", "groupChar": "."}),
        (["1,234", "0,500"], {"type": "decimal", "scale": 3, "decimalChar": ","}),
        (["007,5", "1,5"], {"type": "string"}),
        (["0012", "1.234,5"], {"type": "string"}),
        (["1.2,5", "12.34,5"], {"type": "string"}),
    ],
)
def test_dates_and_numbers_of_other_customs(
    tmp_path: Path, cells: list[str], field: dict[str, object]
) -> None:
    lines = [f"{number};{cell}\n" for number, cell in enumerate(cells)]
    schema = load_ruleset(inferred(tmp_path, f"id;a\n{''.join(lines)}".encode())).document.input.schema_
    found = schema.fields[1].model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
    assert {key: found.get(key) for key in field} == field
    marks = {"format", "decimalChar", "groupChar"}
    assert marks & found.keys() == marks & field.keys()


@pytest.mark.parametrize(
    ("cells", "readings"),
    [
        (
            ["01/02/2024", "12/11/2024"],
            "{type: date, format: '%d/%m/%Y'} or {type: date, format: '%m/%d/%Y'}",
        ),
        (["1,234", "12"], "{type: integer, groupChar: ','} or {type: number, decimalChar: ','}"),
    ],
)
def test_what_may_be_meant_in_two_ways_stays_text_and_says_what_to_write(
    tmp_path: Path, cells: list[str], readings: str
) -> None:
    rules = inferred(tmp_path, ("id;a\n" + "".join(f"{cell};{cell}\n" for cell in cells)).encode())
    assert load_ruleset(rules).document.input.schema_.fields[1].type == "string"
    assert f"if they are not texts, write {readings}" in rules.splitlines()[-3]


def _written_like(*styles: str) -> st.SearchStrategy[str]:
    days = st.dates(min_value=date(1900, 1, 1), max_value=date(2100, 12, 31))
    return st.builds(lambda day, style: day.strftime(style), days, st.sampled_from(styles))


def _numbers_like(decimal: str, group: str) -> st.SearchStrategy[str]:
    marks = str.maketrans({",": group, ".": decimal})
    figures = st.decimals(-(10**9), 10**9, places=2, allow_nan=False) | st.integers(-(10**7), 10**7)
    return figures.map(lambda figure: f"{figure:,}".translate(marks))


_CELLS = (
    _written_like("%d.%m.%Y", "%d.%m.%Y"),
    _written_like("%m/%d/%Y"),
    _written_like("%d-%m-%Y", "%m-%d-%Y"),
    _written_like("%Y/%m/%d", "%Y-%m-%d"),
    _written_like("%d/%m/%Y %H:%M"),
    _numbers_like(",", "."),
    _numbers_like(".", ","),
    _numbers_like(",", ""),
    _numbers_like(".", "'"),
    st.sampled_from(
        ["007", "7", "1,234", "1.234", "0,5", "1e5", "+5", "-0", "true", "2024-01-31", "x", " 7"]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=5),
)


@st.composite
def _tables(draw: st.DrawFn) -> list[list[str]]:
    row_count = draw(st.integers(1, 6))
    columns = [
        draw(st.lists(st.one_of(st.just(""), cells, cells, cells), min_size=row_count, max_size=row_count))
        for cells in draw(st.lists(st.sampled_from(_CELLS), min_size=1, max_size=4))
    ]
    rows = zip(*columns, strict=True)
    return [["id", *(f"c{number}" for number in range(len(columns)))]] + [
        [f"k{number}", *row] for number, row in enumerate(rows)
    ]


@given(rows=_tables(), delimiter=st.sampled_from(",;\t"))
@settings(max_examples=25, deadline=None)
def test_a_file_keeps_the_contract_that_was_inferred_from_it(rows: list[list[str]], delimiter: str) -> None:
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(rows)
    with tempfile.TemporaryDirectory() as folder:
        data = written.getvalue().encode()
        rules = inferred(Path(folder), data)
        made = carry_out(Path(folder), load_ruleset(rules), data, {}, limits=Limits(memory="200MB"))
    assert made.outcome.reject_count == 0, rules
    assert [row[0] for row in csv.reader(io.StringIO(made.report))] == [row[0] for row in rows]


def test_the_file_keeps_its_own_contract(tmp_path: Path) -> None:
    text = inferred(tmp_path, DATA.encode("cp1252"))
    output, rejects, work = tmp_path / "report.csv", tmp_path / "rejects.csv", tmp_path / "work"
    outcome = make_report(
        load_ruleset(text),
        {"input": tmp_path / "trades of may.csv"},
        outputs={"csv": output},
        rejects=rejects,
        work=work,
        limits=Limits(memory="200MB"),
    )
    assert (outcome.input_count, outcome.reject_count) == (3, 0)
    assert output.read_text().splitlines()[1].startswith("1,007,x,2024-01-31,")


def test_what_is_only_likely_stands_in_comments(tmp_path: Path) -> None:
    text = inferred(tmp_path, b"n,s,t\n1,ab,\n30,abcd,x\nbad row\n")
    assert "# 1 to 30" in text
    assert "# 2 to 4 characters" in text
    assert "1 of 2 are blank" in text
    assert "1 more rows cannot be read" in text


def test_a_header_alone_gives_rules(tmp_path: Path) -> None:
    text = inferred(tmp_path, b"a,b\n")
    assert [field.type for field in load_ruleset(text).document.input.schema_.fields] == ["string", "string"]


def test_a_file_that_cannot_be_read_has_no_rules(tmp_path: Path) -> None:
    with pytest.raises(FileRefusedError, match="empty"):
        inferred(tmp_path, b"")


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("a;b\n1;x\n2;y\n", "utf-8"),
        ("a\tb\n1\tx\n2\ty\n", "utf-8"),
        ("a|b\n1|x\n2|y\n", "utf-8"),
        ("a;b\n1,5;x\n2,25;y\n", "utf-8"),
        ("a;b\n1;Gr\xfc\xdfe\n2;caf\xe9\n", "latin-1"),
        ("a,b\n1,Gr\xfc\xdfe\n2,caf\xe9\n", "latin-1"),
        ("a\n1\n2\n", "utf-8"),
    ],
)
def test_first_rules_run_however_the_file_is_written(tmp_path: Path, data: str, encoding: str) -> None:
    ruleset = load_ruleset(inferred(tmp_path, data.encode(encoding)))
    outcome = make_report(
        ruleset,
        {"input": tmp_path / "trades of may.csv"},
        outputs={"csv": tmp_path / "report.csv"},
        rejects=tmp_path / "rejects.csv",
        work=tmp_path / "work",
        limits=Limits(memory="200MB"),
    )
    assert (outcome.row_count, outcome.reject_count) == (2, 0)
