"""What is wrong or unusual about a file as a whole."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from reportgen_dagster.errors import (
    DuplicateKeyError,
    FileRefusedError,
    MissingInputError,
    RulesError,
    UnreadableFileError,
)
from tests.engine.making import make, rules

INPUT = 'key,name,amount\nk1,Ann,2\nk2,"Müller, Bob",3\nk9,Cy,4\n'
EXPECTED = 'who,what,double\nAnn,one,4\n"Müller, Bob",two,6\nCy,MISSING_label,8\n'
FORMULAS = {"who": "name", "what": "label", "double": "amount * 2"}
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00"


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
        gzip.compress(INPUT.encode()),
        gzip.compress(INPUT.encode("utf-16")),
        INPUT.rstrip("\n").encode(),
        INPUT.replace("\n", "\n\n\n").encode(),
        INPUT.replace("Ann", ' "Ann" ').encode(),
        INPUT.replace(",2\n", ",2,\n").encode(),
    ],
    ids=[
        "plain", "bom", "utf-16", "utf-16-be", "crlf", "cr", "mixed-newlines", "gzip", "gzip-utf-16", "no-final-newline",
        "blank-lines", "spaces-around-quotes", "one-more-empty-cell",
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
        (b"PK\x03\x04rest", ["Excel"]),
        (b"key,na\x00me\n", ["NUL"]),
        ("key,name\nk1,x\n".encode("utf-16-le"), ["NUL"]),
        ("key,größe\n".encode("latin-1"), ["line 1", "0xF6", "Latin-1"]),
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
        ("key,name\nk1,x\nk2,été\n".encode("latin-1"), ["line 3", "byte 18", "0xE9", "Latin-1"]),
        (b"key,name\nk1,x\nk2,\xe2\x82", ["line 3", "0xE2"]),
        (b"key,name\n" + b"k1,x\n" * 400_000 + b"k2,\0\n", ["line 400002", "NUL"]),
        (b'key,name\nk1,x\nk2,"never\nk1,y\nk2,z\n', ["line 3", "a quote opens here and never closes"]),
        (b'key,name\nk1,x\nk2,"y', ["line 3", "never closes"]),
        (
            b'key,name\nk1,"never\n' + b"k1,y\n" * 5_000_000,
            ["line 2", "a quote opens here and never closes"],
        ),
        (b'key,name\nk1,"a\nk2,"b",c\nk1,d\n', ["line 2", "closes on another line"]),
        (gzip.compress(b"key,name\n" + bytes(range(65, 90)) * 9000)[:-9], ["gzip", "cut off"]),
        ("key,name\nk1,x\n".encode("utf-16") + b"\x00", ["UTF-16"]),
    ],
    ids=[
        "latin-1", "cut-character", "nul", "open-quote", "open-quote-in-the-last-line", "open-quote-of-25-MB",
        "quote-over-lines", "cut-gzip", "cut-utf-16",
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_as_a_whole_is_refused_with_the_place(
    data: bytes, words: list[str], tmp_path: Path
) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        make(tmp_path, data, who="name")
    assert all(word in caught.value.detail for word in words), caught.value.detail


def test_a_latin_1_file_is_told_how_to_become_utf_8(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        make(tmp_path, "key,name\nk2,été\n".encode("latin-1"), who="name")
    assert "iconv -f LATIN1 -t UTF-8" in caught.value.case_hint


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
    from reportgen_dagster.engine.limits import Limits
    from reportgen_dagster.engine.report import ingest

    with pytest.raises(MissingInputError, match="reference"):
        ingest(rules(what="label"), {"input": tmp_path}, work=tmp_path, limits=Limits())


def test_every_unknown_column_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(RulesError) as caught:
        make(tmp_path, "key,name\nk1,x\n", a="nam", b="lable")
    assert [("nam" in str(one), "lable" in str(one)) for one in caught.value.problems] == [
        (True, False),
        (False, True),
    ]
