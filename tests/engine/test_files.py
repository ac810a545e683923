"""What is wrong or unusual about a file as a whole."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest
from backports import zstd

from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.records import MAX_RECORD_BYTES
from reportgen_dagster.engine.report import ingest, make_report
from reportgen_dagster.errors import (
    DuplicateKeyError,
    FileRefusedError,
    MissingInputError,
    RulesError,
    UnreadableFileError,
)
from reportgen_dagster.rules.reading.loading import load_ruleset
from tests.engine.making import Made, make, rules

INPUT = 'key,name,amount\nk1,Ann,2\nk2,"Müller, Bob",3\nk9,Cy,4\n'
EXPECTED = 'who,what,double\nAnn,one,4\n"Müller, Bob",two,6\nCy,MISSING_label,8\n'
FORMULAS = {"who": "name", "what": "label", "double": "amount * 2"}
LIMITS = Limits(memory="200MB")
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00"


def made_by(text: str, folder: Path, data: bytes | str) -> Made:
    """Make a report of an input by long-form rules without a reference."""
    source, output, rejects, work = (folder / name for name in ("data", "out.csv", "bad.csv", "work"))
    source.write_bytes(data.encode() if isinstance(data, str) else data)
    work.mkdir(exist_ok=True)
    outcome = make_report(
        load_ruleset(text),
        {"input": source},
        outputs={"csv": output},
        rejects=rejects,
        work=work,
        limits=LIMITS,
    )
    rows = list(csv.DictReader(io.StringIO(rejects.read_text(), newline=""))) if rejects.exists() else None
    return Made(outcome, output.read_text(), rows)


@pytest.mark.parametrize(
    "data",
    [
        INPUT.encode(),
        INPUT.encode("utf-8-sig"),
        INPUT.encode("utf-16"),
        b"\xfe\xff" + INPUT.encode("utf-16-be"),
        INPUT.replace("\n", "\r\n").encode(),
        INPUT.replace("\n", "\r").encode(),
        INPUT.replace("k1,Ann,2\n", "k1,Ann,2\r\n").replace("3\n", "3\r").encode(),
        gzip.compress(INPUT.encode(), mtime=0),
        gzip.compress(INPUT.encode("utf-16"), mtime=0),
        zstd.compress(INPUT.encode()),
        INPUT.encode("utf-32"),
        INPUT.encode("latin-1"),
        INPUT.replace(",", ";").replace('"Müller; Bob"', '"Müller, Bob"').encode(),
        INPUT.replace(",", "\t").replace('"Müller\t Bob"', '"Müller, Bob"').encode("cp1252"),
        INPUT.rstrip("\n").encode(),
        INPUT.replace("\n", "\n\n\n").encode(),
        INPUT.replace("Ann", ' "Ann" ').encode(),
        INPUT.replace(",2\n", ",2,\n").encode(),
    ],
    ids=[
        "plain", "bom", "utf-16", "utf-16-be", "crlf", "cr", "mixed-newlines", "gzip", "gzip-utf-16", "zstd", "utf-32", "latin-1",
        "semicolons", "tabs-and-windows-1252", "no-final-newline", "blank-lines", "spaces-around-quotes", "one-more-empty-cell",
    ],
)  # fmt: skip
def test_the_same_rows_in_other_wrappings_make_the_same_report(data: bytes, tmp_path: Path) -> None:
    made = make(tmp_path, data, **FORMULAS)
    assert made.report == EXPECTED
    assert made.outcome.reject_count == 0


def test_line_ends_inside_cells_stay_as_they_are(tmp_path: Path) -> None:
    data = 'key,name\r\nk1,"two\nlines"\rk2,"also\r\ntwo"\n'
    assert make(tmp_path, data, who="name").report == 'who\n"two\nlines"\n"also\r\ntwo"\n'


def test_a_header_alone_is_a_report_without_rows(tmp_path: Path) -> None:
    made = make(tmp_path, "key,name\n", who="name", what="label")
    assert made.report == "who,what\n"
    assert (made.outcome.input_count, made.outcome.reject_count) == (0, 0)


def test_a_reference_with_a_header_alone_gives_defaults(tmp_path: Path) -> None:
    reference = "key,label,factor\n"
    made = make(tmp_path, "key,amount\nk1,2\n", reference, what="label", product="amount * factor")
    assert made.lines == ["what,product", "MISSING_label,0"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ["empty"]),
        (b"\n \n", ["empty"]),
        (b"\xef\xbb\xbf", ["empty"]),
        (b"\nkey,name\n", ["line 1 is blank"]),
        (PNG, ["PNG"]),
        (b"PK\x03\x04rest", ["ZIP"]),
        (b"key,na\x00me\n", ["NUL"]),
        ("key,name\nk1,x\n".encode("utf-16-le"), ["NUL"]),
        (b"key,name,Name\n", ["columns 2 and 3", "`Name`"]),
        (b"key,,name\n", ["column 2", "no name"]),
        (b'key,"name\nk1,x\n', ["quote"]),
        (b"a" * 300_000, ["longer than 256 KiB"]),
        (",".join(f"c{n}" for n in range(5001)).encode(), ["5,001", "5,000"]),
    ],
    ids=lambda value: repr(value)[:25] if isinstance(value, bytes) else "",
)
def test_a_file_whose_head_cannot_be_used_is_refused(data: bytes, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(FileRefusedError) as caught:
        make(tmp_path, data, who="name")
    assert all(word in caught.value.detail for word in words), caught.value.detail


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (("key,name\nk1,é\n" + "k1,x\n" * 60_000).encode() + b"k2,\xe9t\n", ["line 60003", "byte 300019", "0xE9", "UTF-8"]),
        (b"key,name\nk1,x\nk2,\xe2\x82", ["line 3", "0xE2"]),
        (b"key,name\n" + b"k1,x\n" * 400_000 + b"k2,\0\n", ["line 400002", "NUL"]),
        (b'key,name\nk1,x\nk2,"never\nk1,y\nk2,z\n', ["line 3", "a quote opens here and never closes"]),
        (b'key,name\nk1,x\nk2,"y', ["line 3", "never closes"]),
        (
            b'key,name\nk1,"never\n' + b"k1,y\n" * 5_000_000,
            ["line 2", "a quote opens here and never closes"],
        ),
        (b'key,name\nk1,"a\nk2,"b",c\nk1,d\n', ["line 2", "closes on another line"]),
        (gzip.compress(b"key,name\n" + bytes(range(65, 90)) * 9000, mtime=0)[:-9], ["gzip", "cut off"]),
        ("key,name\nk1,x\n".encode("utf-16") + b"\x00", ["UTF-16"]),
    ],
    ids=[
        "damaged-utf-8", "cut-character", "nul", "open-quote", "open-quote-in-the-last-line", "open-quote-of-25-MB",
        "quote-over-lines", "cut-gzip", "cut-utf-16",
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_as_a_whole_is_refused_with_the_place(
    data: bytes, words: list[str], tmp_path: Path
) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        make(tmp_path, data, who="name")
    assert all(word in caught.value.detail for word in words), caught.value.detail


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Müller, 5 €; Gärtner “x”, Straße", "cp1252"),
        ("Łódź, Kraków, Gdańsk, Świnoujście", "cp1250"),
        ("Москва, Санкт-Петербург, Казань", "cp1251"),
        ("東京、大阪市、カタカナとひらがな", "cp932"),
        ("北京、上海市、广州和深圳", "gb18030"),
        ("서울, 부산광역시, 대한민국", "cp949"),
    ],
)
def test_an_encoding_is_found_shown_and_can_be_overridden(text: str, encoding: str, tmp_path: Path) -> None:
    data = f'key,name\nk1,"{text}"\n'.encode(encoding)
    made = make(tmp_path, data, who="name")
    assert made.report.splitlines()[1].strip('"') == text
    assert any(encoding in said for said in made.outcome.decisions["input"])
    told = made_by(f"version: 1\ninput: {{dialect: {{encoding: {encoding}}}}}\n", tmp_path, data)
    assert told.report == f"key,name\nk1,{text if ',' not in text else chr(34) + text + chr(34)}\n"
    assert not any(encoding in said for said in told.outcome.decisions["input"])


def test_an_encoding_is_found_over_the_whole_file(tmp_path: Path) -> None:
    rows = "k1,x\n" * 100_000
    made = make(tmp_path, f"key,name\n{rows}k2,été\n".encode("latin-1"), who="name")
    assert made.report.endswith("été\n")
    with pytest.raises(UnreadableFileError, match=r"line 100002, byte 500015.*0xE9.*not valid CP932"):
        made_by(
            "version: 1\ninput: {dialect: {encoding: cp932}}\n",
            tmp_path,
            f"key,name\n{rows}k2,été\n".encode("latin-1"),
        )


def test_a_file_that_fits_no_encoding_is_told_how_to_become_utf_8(tmp_path: Path) -> None:
    data = "key,name\nk1,é è à\n".encode() + b"k1,x\n" * 60_000 + b"k2,\xe9\n"
    with pytest.raises(UnreadableFileError) as caught:
        make(tmp_path, data, who="name")
    assert "iconv -f LATIN1 -t UTF-8" in caught.value.case_hint
    assert "dialect: {encoding: latin-1}" in caught.value.case_hint


def test_rows_of_the_wrong_length_are_rejects_with_their_physical_lines(tmp_path: Path) -> None:
    data = 'key,name\nk1,"two\nlines"\nk2\nk3,x,more\nk4,y\n"k5"z,w\n'
    made = make(tmp_path, data, who="name")
    assert made.report == 'who\n"two\nlines"\ny\n'
    assert made.rejects is not None
    assert [(row["_line"], row["_reason"], row["_original"]) for row in made.rejects] == [
        ("4", "too few cells", "k2"),
        ("5", "too many cells", "k3,x,more"),
        ("7", "text after a closing quote", '"k5"z,w'),
    ]


def test_a_title_above_the_header_shifts_nothing_in_silence(tmp_path: Path) -> None:
    data = "Report of May\nkey,name\nk1,x\n"
    with pytest.raises(RulesError, match="`name`"):
        made_by("version: 1\nsteps: [{select: [name]}]\n", tmp_path, data)
    text = "version: 1\ninput: {dialect: {commentChar: R}}\n"
    assert made_by(text, tmp_path, data).report == "key,name\nk1,x\n"


def test_a_type_that_changes_late_loses_no_row(tmp_path: Path) -> None:
    data = "key,n\n" + "k1,1\n" * 30_000 + "k1,x\n"
    made = make(tmp_path, data, n="n", more="n * 2")
    assert made.outcome.row_count == 30_000
    assert made.rejects is not None
    assert [row["_line"] for row in made.rejects] == ["30002"]
    again = tmp_path / "again"
    again.mkdir()
    assert make(again, data, n="n").report.endswith("\n1\nx\n")


def test_codes_keep_their_zeros_and_blanks_are_nothing(tmp_path: Path) -> None:
    made = make(tmp_path, 'key,code\nk1,00123\nk1,""\nk1,\n', code="code")
    assert made.lines == ["code", "00123", '""', '""'] or made.lines == ["code", "00123", "", ""]


TYPED = """
version: 1
input:
  dialect: {delimiter: ";", decimalChar: ",", groupChar: "."}
  schema:
    missingValues: ["", NA]
    fields:
      - {name: amount, type: decimal, precision: 12, scale: 2}
      - {name: traded, type: date, format: "%d/%m/%Y"}
      - {name: count, type: integer}
"""


def test_marks_and_dates_are_read_as_the_contract_says(tmp_path: Path) -> None:
    made = made_by(TYPED, tmp_path, "amount;traded;count\n1.234,5;01/02/2024;7\nNA;NA;NA\n")
    assert made.report == "amount,traded,count\n1234.50,2024-02-01,7\n,,\n"


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        *(("count", cell) for cell in ("1.6", "1_000", " 2 ", "0x1F", "1e2", "nan", "9223372036854775808")),
        *(("amount", cell) for cell in ("1,234", "12,5O", "inf", "1,2,3")),
        *(("traded", cell) for cell in ("31/02/2024", "2024-02-01", "epoch", "1/13/2024")),
    ],
)
def test_what_is_no_value_of_its_type_is_a_reject(column: str, cell: str, tmp_path: Path) -> None:
    cells = {"amount": "1,5", "traded": "01/02/2024", "count": "7", column: cell}
    made = made_by(TYPED, tmp_path, f"amount;traded;count\n{';'.join(cells.values())}\n")
    assert made.rejects is not None
    assert [(row["_line"], row["_column"], row["_value"]) for row in made.rejects] == [("2", column, cell)]


def test_long_cells_are_read(tmp_path: Path) -> None:
    cell = "x" * 5_000_000
    assert make(tmp_path, f"key,name\nk1,{cell}\n", who="name").report == f"who\n{cell}\n"


def test_duplicate_keys_are_named_with_their_values(tmp_path: Path) -> None:
    reference = "key,other,label\nk1,a,x\nk1,b,y\n,c,z\n,c,z\nk3,c,z\n"
    with pytest.raises(DuplicateKeyError) as caught:
        make(tmp_path, "key,other\nk1,a\n", reference, what="label")
    text = " ".join(map(str, caught.value.problems))
    assert "`key`" in text
    assert "'k1' (2 times)" in text
    assert "`other`" in text
    assert "'c' (3 times)" in text


def test_a_reference_without_the_keys_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match="no key"):
        make(tmp_path, "key,name\nk1,x\n", "id,label\nk1,x\n", what="label")


def test_a_reference_row_that_cannot_be_read_is_not_dropped(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=r"line 4: too few cells \(2 such rows\)"):
        make(tmp_path, "key,name\nk1,x\n", "key,label\nk1,x\n\nk2\nk3\n", what="label")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="reference"):
        ingest(rules(what="label"), {"input": tmp_path}, work=tmp_path, limits=Limits())


def test_every_unknown_column_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(RulesError) as caught:
        make(tmp_path, "key,name\nk1,x\n", a="nam", b="lable")
    assert [("nam" in str(one), "lable" in str(one)) for one in caught.value.problems] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize("rows_before", [0, 300_000])
def test_a_line_may_be_as_long_as_is_told_wherever_it_stands(rows_before: int, tmp_path: Path) -> None:
    before = "key,name\n" + "k1,x\n" * rows_before
    longest = "k2," + "y" * (MAX_RECORD_BYTES - 3)
    made = make(tmp_path, f"{before}{longest}\nk1,z\n", out="name")
    assert (made.outcome.row_count, made.outcome.reject_count) == (rows_before + 2, 0)
    assert len(made.outcome.to_json()["preview"]) < 20_000
    with pytest.raises(
        UnreadableFileError, match=f"line {rows_before + 2}: .* is longer than 20,000,000 bytes"
    ):
        make(tmp_path, f"{before}{longest}yy\nk1,z\n", out="label")
