"""What the head of a file tells, before anything else of it is read."""

from __future__ import annotations

import gzip
import subprocess
import sys

import pytest
from backports import zstd

from reportgen_dagster.contracts.models import Dialect
from reportgen_dagster.engine.headers import HEAD_BYTES, read_header
from reportgen_dagster.errors import FileRefusedError
from tests.engine.opening import described


@pytest.mark.parametrize(
    ("data", "columns"),
    [
        (b"a,b\n1,2\n", ("a", "b")),
        (b"a", ("a",)),
        (b' "a, b" ,"c"\n', ("a, b", "c")),
        (b'"a""b",c\n', ('a"b', "c")),
        (b'a,5" pipe\n', ("a", '5" pipe')),
        (b'"two\nlines",b\n', ("two\nlines", "b")),
        (b" a , b\n", (" a ", " b")),
        ("größe,日本\n".encode(), ("größe", "日本")),
        ("größe,日本\n".encode("utf-16"), ("größe", "日本")),
        ("größe,日本\n".encode("utf-32"), ("größe", "日本")),
        ("größe,b\n".encode("latin-1"), ("größe", "b")),
        ("都市,人口\n東京,カタカナとひらがな\n".encode("cp932"), ("都市", "人口")),
        (gzip.compress(b"a,b\n", mtime=0), ("a", "b")),
        (gzip.compress(b"", mtime=0) + gzip.compress(b"a,b\n", mtime=0), ("a", "b")),
        (zstd.compress(b"a,b\n"), ("a", "b")),
        (b"a\rb\r", ("a",)),
        (b"a,b\r" + b"1,2\r" * HEAD_BYTES, ("a", "b")),
    ],
)
def test_names_are_as_written(data: bytes, columns: tuple[str, ...]) -> None:
    assert read_header(data).columns == columns


def test_what_was_found_is_told_in_words() -> None:
    header = read_header(gzip.compress("größe;b\n1;2\n".encode("latin-1")))
    assert header.compression == "gzip"
    assert header.encoding == "cp1252"
    said = " / ".join(header.decisions)
    assert all(word in said for word in ("gzip", "cp1252", "`dialect: {encoding: ...}`", "semicolon"))
    assert read_header(b"a,b\n").decisions == ()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"a,A\n", ["columns 1 and 2", "`A`", "upper and lower case"]),
        (b"a,,b,\n", ["column 2 of the header has no name", "1 more"]),
        (b"a, \n", ["column 2"]),
        (b'a,"b\n', ["quote is not closed"]),
        (b'a,"b"c\n', ["quote is not closed"]),
        (b'"a' + b"x" * HEAD_BYTES, ["quote is not closed", "longer than 256 KiB"]),
        (b"PAR1\x15", ["Parquet"]),
        (b"BZh9", ["bzip2", "only gzip and zstd"]),
        (gzip.compress(gzip.compress(b"a\n", mtime=0), mtime=0), ["compressed twice"]),
        (b"\x28\xb5\x2f\xfd\xff\xff\xff\xff\xff", ["zstd", "damaged"]),
        (b"\x1f\x8b\x08\xff\xff\xff\xff\xff\xff\xff\xff", ["gzip", "damaged"]),
        (b"a,\x01b\n", ["control characters"]),
        (b"a,\xff\xfe\xff\n\xc3\xa9,\xc3\xa9,\xc3\xa9,\xc3\xa9\n", ["line 1", "byte 3", "0xFF"]),
    ],
)  # fmt: skip
def test_a_head_that_cannot_be_used_is_refused_with_the_reason(data: bytes, words: list[str]) -> None:
    with pytest.raises(FileRefusedError) as caught:
        read_header(data)
    assert all(word in caught.value.detail for word in words), caught.value.detail


def test_all_that_is_wrong_with_names_is_told_at_once() -> None:
    with pytest.raises(FileRefusedError) as caught:
        read_header(b"a,,A,b,B\n")
    assert len(caught.value.problems) == 3


def test_without_a_header_fields_name_the_columns() -> None:
    dialect = described(header=False)
    assert read_header(b"1,1,\n", dialect=dialect).columns == ("column1", "column2", "column3")
    assert read_header(b"1,1,\n", dialect=dialect, names=("x", "y", "z")).columns == ("x", "y", "z")
    with pytest.raises(FileRefusedError, match="3 cells where the schema has 2 fields"):
        read_header(b"1,1,\n", dialect=dialect, names=("x", "y"))


def test_a_told_encoding_beats_what_the_file_looks_like() -> None:
    data = "größe,b\n".encode("cp1250")
    assert read_header(data, dialect=described(encoding="cp1251")).columns == ("grцЯe", "b")
    wide = "größe,b\n".encode("utf-16-le")
    assert read_header(wide, dialect=described(encoding="UTF-16LE")).columns == ("größe", "b")
    marked = b"\xff\xfe" + wide
    assert read_header(marked, dialect=described(encoding="utf-16")).columns == ("größe", "b")
    with pytest.raises(FileRefusedError, match="not valid UTF-8"):
        read_header(data, dialect=described(encoding="utf-8"))


def test_the_gateway_judges_a_head_without_an_engine() -> None:
    code = (
        "import sys; from reportgen_dagster.engine.headers import read_header; read_header(b'a,b\\n');"
        "print([name for name in ('duckdb', 'numpy', 'pandas', 'pydantic', 'charset_normalizer') if name in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


def test_columns_are_called_as_their_fields_where_case_does_not_count() -> None:
    any_case = Dialect.model_validate({"caseSensitiveHeader": False})
    assert read_header(b"ID,Other\n", dialect=any_case, names=["id", "x"]).columns == ("id", "Other")
    assert read_header(b"ID,Other\n", dialect=Dialect(), names=["id", "x"]).columns == ("ID", "Other")
