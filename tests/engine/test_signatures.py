"""Files that are called CSV and are something else, and bombs: refused in words, by what they are."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
import xlsxwriter
from backports import zstd

from reportgen_dagster.engine.compression import Compression, Unpacking
from reportgen_dagster.engine.headers import read_header
from reportgen_dagster.errors import FileRefusedError

TABLE = b"key,price\n" + b"A,1\n" * 2000


def _zip(names: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return packed.getvalue()


def _workbook() -> bytes:
    written = io.BytesIO()
    with xlsxwriter.Workbook(written) as book:
        book.add_worksheet().write("A1", "key")
    return written.getvalue()


def _tar() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("table.csv")
        entry.size = len(TABLE)
        archive.addfile(entry, io.BytesIO(TABLE))
    return packed.getvalue()


def _sqlite() -> bytes:
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE t (a)")
        return database.serialize()


def _written_by_duckdb(statement: str) -> Callable[[Path], bytes]:
    def make(folder: Path) -> bytes:
        path = folder / "made"
        with duckdb.connect() as database:
            database.execute(statement.format(path=path))
        return path.read_bytes()

    return make


OTHERS: dict[str, tuple[bytes | Callable[[Path], bytes], str]] = {
    "zip": (_zip({"table.csv": TABLE}), "a ZIP archive"),
    "empty zip": (_zip({}), "a ZIP archive"),
    "xlsx": (_workbook(), "an Excel workbook"),
    "ods": (
        _zip({"mimetype": b"application/vnd.oasis.opendocument.spreadsheet"}),
        "a document of LibreOffice",
    ),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500, "an old Excel workbook"),
    "parquet": (_written_by_duckdb("COPY (SELECT 1 AS a) TO '{path}' (FORMAT parquet)"), "a Parquet file"),
    "duckdb": (_written_by_duckdb("ATTACH '{path}' AS d; CREATE TABLE d.t (a INT)"), "a DuckDB database"),
    "sqlite": (_sqlite(), "an SQLite database"),
    "tar": (_tar(), "a tar archive"),
    "bzip2": (bz2.compress(TABLE), "compressed by bzip2"),
    "xz": (lzma.compress(TABLE), "compressed by xz"),
    "pickle": (pickle.dumps({"key": [1, 2]}), "a Python pickle"),
    "png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image"),
    "jpeg": (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "a JPEG image"),
    "gif": (b"GIF89a\1\0\1\0", "a GIF image"),
    "webp": (b"RIFF\x24\0\0\0WEBPVP8 ", "a WebP image"),
    "mp4": (b"\0\0\0\x20ftypisom\0\0\2\0", "sound or a film"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "a PDF document"),
    "rtf": (b"{\\rtf1\\ansi hello}", "an RTF document"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4", "a 7-Zip archive"),
    "rar": (b"Rar!\x1a\x07\x01\0", "a RAR archive"),
    "elf": (b"\x7fELF\2\1\1\0", "a program"),
    "exe": (b"MZ\x90\0\3\0\0\0\4", "a program"),
    "avro": (b"Obj\x01\4\x14avro.codec", "an Avro file"),
    "hdf5": (b"\x89HDF\r\n\x1a\n\0", "an HDF5 file"),
    "html": (b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>", "a web page"),
    "xml": (b'<?xml version="1.0"?><rows/>', "an XML document"),
}


@pytest.mark.parametrize("packing", [bytes, gzip.compress, zstd.compress], ids=["plain", "gzip", "zstd"])
@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_csv_is_named(tmp_path: Path, name: str, packing: Callable[[bytes], bytes]) -> None:
    made, words = OTHERS[name]
    content = made if isinstance(made, bytes) else made(tmp_path)
    with pytest.raises(FileRefusedError) as caught:
        read_header(packing(content))
    assert f"this is no CSV file but {words}" in caught.value.detail


@pytest.mark.parametrize("outer", [gzip.compress, zstd.compress])
@pytest.mark.parametrize("inner", [gzip.compress, zstd.compress])
def test_one_level_of_compression_is_read(
    outer: Callable[[bytes], bytes], inner: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(FileRefusedError, match="compressed twice"):
        read_header(outer(inner(TABLE)))


@pytest.mark.parametrize(
    "header",
    [
        "PAR1,PAR2", "PAR1", "MZ,a", "BM,a", "BMW,Audi", "Obj,a", "ORC,a", "ARROW1,a", "abc,ftype,b", "ID3,a", "RIFF,WEBP",
        "BZh9,a", "II*,a", "GIF8,a", "7z,a", "Rar!,a", "SQLite format 3,a", "PK,a", "html,xml", "<html5>,a", "%PDF,a", "{a},b",
        "€,b",
    ],
)  # fmt: skip
def test_a_name_of_a_column_is_taken_for_no_mark(header: str) -> None:
    for content in (f"{header}\n1,2,3\n".encode(), f"{header}\n1,2,3\n".encode("utf-16")):
        assert read_header(content).columns == tuple(header.split(","))


def _watched(content: bytes, compression: Compression, step: int) -> None:
    watcher = Unpacking(compression, name="input")
    for start in range(0, len(content), step):
        watcher.feed(content[start : start + step])
    watcher.finish()


PACKERS = pytest.mark.parametrize(
    ("pack", "compression"), [(gzip.compress, "gzip"), (zstd.compress, "zstd")], ids=["gzip", "zstd"]
)


@PACKERS
@pytest.mark.parametrize("step", [1, 7, 1000, 10**9])
def test_a_compressed_file_is_whole_in_any_pieces(
    pack: Callable[[bytes], bytes], compression: Compression, step: int
) -> None:
    _watched(pack(TABLE), compression, step)
    _watched(pack(b"") + pack(TABLE) + pack(b"B,2\n"), compression, step)


@PACKERS
@pytest.mark.parametrize("step", [7, 10**9])
def test_a_compressed_file_that_is_cut_off_or_damaged_is_refused(
    pack: Callable[[bytes], bytes], compression: Compression, step: int
) -> None:
    content = pack(b"".join(b"%d,%d\n" % (row, row * 7) for row in range(20_000)))
    for cut in (len(content) - 1, len(content) // 2):
        with pytest.raises(FileRefusedError, match=f"{compression} data is cut off"):
            _watched(content[:cut], compression, step)
    with pytest.raises(FileRefusedError, match=f"{compression} data is damaged"):
        _watched(content + b"and more", compression, step)


def test_zeros_behind_gzip_are_padding() -> None:
    _watched(gzip.compress(TABLE) + b"\0" * 512, "gzip", 100)


@PACKERS
def test_a_bomb_is_refused_while_it_unpacks(pack: Callable[[bytes], bytes], compression: Compression) -> None:
    bomb = pack(b"\0" * 70_000_000)
    with pytest.raises(FileRefusedError, match="100 times its own size"):
        _watched(bomb, compression, 10_000)
    _watched(pack(b"1" * 10_000_000), compression, 10_000)  # small enough to do no harm
