"""First rules for a file load, and every row of the file keeps their contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from reportgen_dagster.contracts.types import Type
from reportgen_dagster.engine.inference import infer_rules
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.report import make_report
from reportgen_dagster.errors import FileRefusedError
from reportgen_dagster.rules.reading.loading import load_ruleset

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


def test_the_file_keeps_its_own_contract(tmp_path: Path) -> None:
    text = inferred(tmp_path, DATA.encode("cp1252"))
    output, rejects, work = tmp_path / "report.csv", tmp_path / "rejects.csv", tmp_path / "work"
    outcome = make_report(
        load_ruleset(text),
        {"input": tmp_path / "trades of may.csv"},
        output=output,
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
        output=tmp_path / "report.csv",
        rejects=tmp_path / "rejects.csv",
        work=tmp_path / "work",
        limits=Limits(memory="200MB"),
    )
    assert (outcome.row_count, outcome.reject_count) == (2, 0)
