"""Rows that make it into no report are all in the rejects, each with its line and its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.making import make


def told(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("_line", "_column", "_rule", "_value", "_reason"))


def test_rejects_tell_line_rule_values_reason_and_the_line_as_it_was(tmp_path: Path) -> None:
    data = 'key,name,amount\n\nk1,"two\nlines",1\nk1,short\nk2,b,x\nk2,"q"q,1\n\nk2,"more\n\nlines",2\nk1,a,b,c,d\n'
    made = make(tmp_path, data, double="amount * 2", who="name")
    assert made.lines == ["double,who", '2,"two', 'lines"', '4,"more', "", 'lines"']
    assert made.rejects is not None
    assert [told(row) for row in made.rejects] == [
        ("5", "", "3 cells", "2 cells", "too few cells"),
        ("6", "double", "amount * 2", "amount='x'", "text where a number is needed"),
        ("7", "", "quotes around whole cells", "", "text after a closing quote"),
        ("12", "", "3 cells", "5 cells", "too many cells"),
    ]
    assert [row["_original"] for row in made.rejects] == ["k1,short", "k2,b,x", 'k2,"q"q,1', "k1,a,b,c,d"]
    assert [row["name"] for row in made.rejects] == ["short", "b", '"q"q', "a"]
    assert list(made.rejects[0]) == [
        "_line", "_column", "_rule", "_value", "_reason", "_original", "key", "name", "amount",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\n", "\r\n", 2).encode(),
    ],
    ids=["crlf", "cr", "utf-16", "mixed"],
)
def test_lines_are_those_of_the_uploaded_file(encode, tmp_path: Path) -> None:
    data = encode("key,amount\nk1,1\n\nk1,ä\nk1\nk2,2\n")
    made = make(tmp_path, data, double="amount * 2")
    assert made.rejects is not None
    assert [(row["_line"], row["_original"]) for row in made.rejects] == [("4", "k1,ä"), ("5", "k1")]


def test_a_row_is_rejected_once_for_the_first_formula_that_fails(tmp_path: Path) -> None:
    made = make(tmp_path, "key,amount\nk1,x\nk1,0\n", double="amount * 2", inverse="1 / amount")
    assert made.rejects is not None
    assert [row["_column"] for row in made.rejects] == ["double", "inverse"]
    assert made.report == "double,inverse\n"


def test_in_a_file_of_one_column_a_blank_line_is_a_row(tmp_path: Path) -> None:
    made = make(tmp_path, "key\nk1\n\na,b\nk2\n", "key,label\nk1,one\n", what="label")
    assert made.lines == ["what", "one", "MISSING_label", "MISSING_label"]
    assert made.rejects is not None
    assert told(made.rejects[0]) == ("4", "", "1 cells", "2 cells", "too many cells")


def test_every_row_may_be_a_reject(tmp_path: Path) -> None:
    made = make(tmp_path, "key,amount\n" + "k1,x\nk1\n" * 3, double="amount * 2")
    assert made.report == "double\n"
    assert made.outcome.reject_count == 6


def test_many_rejects_of_all_kinds_are_all_there_in_order(tmp_path: Path) -> None:
    pattern = ["k1,1", "k1,x", "k1", '"k"1,1', "k1,2,3", 'k2,"7"', ""]
    data = "key,amount\n" + "\n".join(pattern * 30_000) + "\n"
    made = make(tmp_path, data, double="amount * 2")
    assert (made.outcome.row_count, made.outcome.reject_count) == (60_000, 120_000)
    assert made.rejects is not None
    lines = [int(row["_line"]) for row in made.rejects]
    assert lines == [2 + 7 * block + place for block in range(30_000) for place in (1, 2, 3, 4)]
    assert made.lines[1:] == ["2", "14"] * 30_000


def test_columns_called_like_those_of_the_rejects_get_names_of_their_own(tmp_path: Path) -> None:
    made = make(tmp_path, "key,_LINE,_line_,_reason\nk1,a,b,c\nk1,short\n", double="_LINE * 2")
    assert made.rejects is not None
    assert list(made.rejects[0]) == [
        "_line", "_column", "_rule", "_value", "_reason", "_original", "key", "_LINE__", "_line_", "_reason_",
    ]  # fmt: skip
    assert [(row["_line"], row["_reason"]) for row in made.rejects] == [
        ("2", "text where a number is needed"),
        ("3", "too few cells"),
    ]
    assert [made.rejects[0][name] for name in ("_LINE__", "_line_", "_reason_")] == ["a", "b", "c"]
    assert made.outcome.reject_samples[0]["_line"] == "2"
