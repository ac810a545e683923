"""Each way of writing a file gives the same rows, told or found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reportgen_dagster.engine.headers import read_header
from reportgen_dagster.errors import FileRefusedError, UnreadableFileError
from tests.engine.opening import described, opened

ROWS = [("1", "x, y"), ("2", 'say "hi"'), ("3", None)]


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ('id,text\n1,"x, y"\n2,"say ""hi"""\n3,\n', {}),
        ('id;text\n1;x, y\n2;"say ""hi"""\n3;\n', {}),
        ('id\ttext\n1\tx, y\n2\t"say ""hi"""\n3\t\n', {}),
        ('id|text\n1|x, y\n2|"say ""hi"""\n3|\n', {}),
        ('id:text\n1:x, y\n2:"say ""hi"""\n3:\n', {"delimiter": ":"}),
        ("id,text\n1,'x, y'\n2,'say \"hi\"'\n3,\n", {"quoteChar": "'"}),
        ('id,text\n1,"x, y"\n2,"say \\"hi\\""\n3,\n', {"escapeChar": "\\"}),
        ('id,text\n1,"x, y"\n2,say "hi"\n3,\n', {"doubleQuote": False}),
        ('id;text\n1;x, y\n2;say "hi"\n3;\n', {"quoteChar": "", "delimiter": ";"}),
        ('1,"x, y"\n2,"say ""hi"""\n3,\n', {"header": False}),
        ('# made by hand, "twice\nid,text\n1,"x, y"\n#2,no\n2,"say ""hi"""\n3,\n#', {"commentChar": "#"}),
        ('id,  text\n 1, "x, y"\n2,   "say ""hi"""\n3, \n', {"skipInitialSpace": True}),
        ('id,text\r\n1,"x, y"\r2,"say ""hi"""\n3,', {"lineTerminator": "\r\n"}),
    ],
)  # fmt: skip
def test_the_same_rows_written_in_other_ways(text: str, dialect: dict[str, Any], tmp_path: Path) -> None:
    read = opened(tmp_path, text, names=("id", "text"), **dialect)
    assert read.file.header.columns == ("id", "text")
    assert read.rows == ROWS
    assert read.wrong_lines == []


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2,5\n", ";"),
        ("amount (EUR, net);date;name\n1,5;2024;x\n2;2024;y\n", ";"),
        ('"a;b;c",d\n1,2\n', ","),
        ("a,b;c\n1,2\n3,4\n", ","),
        ("a,b|c|d\n1,2\n1\n", ","),
        ("name\na;b\n", ","),
        ("a;b\n1\n2;3\n", ";"),
        ("a;b", ";"),
    ],
)
def test_the_delimiter_is_found_where_nobody_tells_it(text: str, delimiter: str) -> None:
    assert read_header(text.encode()).dialect.delimiter == delimiter


@pytest.mark.parametrize("text", ["a,b;c\n1,2;3\n", "a|b,c;d;e\n1|2,3;4;5\n", "x (a, b);c\n1,5;2\n"])
def test_a_delimiter_that_may_be_another_is_not_guessed(text: str) -> None:
    with pytest.raises(FileRefusedError, match="may be separated by") as caught:
        read_header(text.encode())
    assert "dialect: {delimiter" in caught.value.case_hint
    assert read_header(text.encode(), dialect=described(delimiter=",")).columns[0] in ("a", "a|b", "x (a")


def test_marks_must_differ() -> None:
    with pytest.raises(FileRefusedError, match="must differ"):
        read_header(b"a,b\n", dialect=described(delimiter='"'))


def test_comments_keep_their_lines(tmp_path: Path) -> None:
    read = opened(tmp_path, "#1\n#2\na,b\n#4\n1,2\n\n3\n#8\n4,5\n", commentChar="#")
    assert read.rows == [("1", "2"), ("4", "5")]
    assert read.wrong_lines == [7]


def test_a_comment_sign_counts_at_the_beginning_of_a_line_only(tmp_path: Path) -> None:
    read = opened(tmp_path, 'a,b\n1,#2\n"#3",4 # x\n "5\n#6",7\n', commentChar="#")
    assert read.rows == [("1", "#2"), ("#3", "4 # x"), ("5\n#6", "7")]


def test_spaces_inside_quotes_and_at_the_end_stay(tmp_path: Path) -> None:
    read = opened(tmp_path, 'a,b\n  x ,  " y "\n', skipInitialSpace=True)
    assert read.rows == [("x ", " y ")]


def test_a_file_without_a_header_has_all_its_rows(tmp_path: Path) -> None:
    read = opened(tmp_path, "1,2\n1,2\n3\n", header=False)
    assert read.file.header.columns == ("column1", "column2")
    assert read.rows == [("1", "2"), ("1", "2")]
    assert read.wrong_lines == [3]


def test_missing_values_are_read_as_nothing(tmp_path: Path) -> None:
    read = opened(tmp_path, 'a,b\nNA,-\n"NA",x\n,NAN\n', missing=("", "NA", "-"))
    assert read.rows == [(None, None), (None, "x"), (None, "NAN")]


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("a;b\n1;'never\n2;x\n", {"quoteChar": "'"}),
        ('a,b\n1,"never\\"\n2,x\n', {"escapeChar": "\\"}),
        ('a,b\n#"\n1,"never\n2,x\n', {"commentChar": "#"}),
        ('"never,b\n2,x\n', {"header": False}),
    ],
)
def test_a_quote_that_never_closes_is_refused_in_every_dialect(
    text: str, dialect: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises((UnreadableFileError, FileRefusedError), match=r"never closes|not closed"):
        opened(tmp_path, text, **dialect)


def test_rows_between_two_stray_quotes_are_not_taken_for_a_cell(tmp_path: Path) -> None:
    rows = "".join(f"{number},x,y\n" for number in range(30))
    with pytest.raises(UnreadableFileError, match=r"line 2: .* look like rows of the file"):
        opened(tmp_path, f'a,b,c\n1,x,"\n{rows}31,x,"\n')


def test_a_cell_of_many_lines_is_a_cell(tmp_path: Path) -> None:
    prose = "".join(f"line {number}, and so on\n" for number in range(50))
    assert opened(tmp_path, f'a,b,c\n1,x,"{prose}"\n').rows == [("1", "x", prose)]


def test_all_the_columns_there_may_be_are_read(tmp_path: Path) -> None:
    header, row = ",".join(f"c{n}" for n in range(5000)), ",".join(map(str, range(5000)))
    (cells,) = opened(tmp_path, f"{header}\n{row}\n").rows
    assert cells[-1] == "4999"


def test_line_ends_inside_cells_may_differ_from_those_of_rows(tmp_path: Path) -> None:
    read = opened(tmp_path, '#\r"x\r\ny",1\r"z\nz",2\rw,3', header=False, commentChar="#")
    assert read.rows == [("x\r\ny", "1"), ("z\nz", "2"), ("w", "3")]
