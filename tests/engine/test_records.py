"""Cutting a file into records gives the same whatever size the pieces have in which it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from reportgen_dagster.engine.dialects import ResolvedDialect
from reportgen_dagster.engine.records import blocks

TEXT = b'a,b\r\n"x\r\ny",1\r\n\r\n"d""d",2\rq,5" p\n"long\n\n\ncell",3\r\nlast,4'


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 5, 7, 11, 64, 1024])
def test_records_do_not_depend_on_how_the_file_is_read(chunk_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(TEXT)
    found = [
        (int(line), block.data[start:end])
        for block in blocks(path, name="input", chunk_bytes=chunk_bytes)
        for start, end, line in zip(block.starts, block.ends, block.lines, strict=True)
    ]
    assert found == [
        (1, b"a,b"),
        (2, b'"x\r\ny",1'),
        (4, b""),
        (5, b'"d""d",2'),
        (6, b'q,5" p'),
        (7, b'"long\n\n\ncell",3'),
        (11, b"last,4"),
    ]


@pytest.mark.parametrize("chunk_bytes", [1, 4, 1024])
def test_wrong_quotes_are_found(chunk_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b'a,b\n"x"y,1\n"x",2\n')
    wrong = [
        bool(flag)
        for block in blocks(path, name="input", chunk_bytes=chunk_bytes)
        for flag in block.is_misquoted()
    ]
    assert wrong == [False, True, False]


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 5, 7, 1024])
@pytest.mark.parametrize(
    ("dialect", "text", "records"),
    [
        (ResolvedDialect(escape="\\"), b'a,"x\\"\n\\\\",b\nc\n', [(1, b'a,"x\\"\n\\\\",b'), (3, b"c")]),
        (ResolvedDialect(quote="'", escape="'"), b"'a\n''',\"\nb\n", [(1, b"'a\n''',\""), (3, b"b")]),
        (ResolvedDialect(quote="", escape=""), b'"a\nb",\n', [(1, b'"a'), (2, b'b",')]),
        (ResolvedDialect(escape=""), b'"a\n",b\n"c"\n', [(1, b'"a\n",b'), (3, b'"c"')]),
        (ResolvedDialect(comment="#"), b'#"\n"#\n#",b\n#c', [(1, b'#"'), (2, b'"#\n#",b'), (4, b"#c")]),
    ],
)
def test_records_of_other_dialects(
    chunk_bytes: int, dialect: ResolvedDialect, text: bytes, records: list[tuple[int, bytes]], tmp_path: Path
) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(text)
    found = [
        (int(line), block.data[start:end])
        for block in blocks(path, name="input", dialect=dialect, chunk_bytes=chunk_bytes)
        for start, end, line in zip(block.starts, block.ends, block.lines, strict=True)
    ]
    assert found == records


@pytest.mark.parametrize("chunk_bytes", [1, 1024])
def test_the_first_record_that_is_no_comment_is_the_header(chunk_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"\xef\xbb\xbf#x\n#y\na,b\n\n1,2\n#z\n")
    found = [
        int(line)
        for block in blocks(path, name="input", dialect=ResolvedDialect(comment="#"), chunk_bytes=chunk_bytes)
        for line in block.lines[block.is_row(2)]
    ]
    assert found == [5]
