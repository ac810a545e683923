"""A large input is computed in pieces and makes the same report as one that is read as a whole."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from reportgen_dagster.engine import pieces, text_files
from reportgen_dagster.engine.limits import Deadline
from tests.engine.making import make, make_long
from tests.engine.opening import described

COUNT = 68_000
TEXT = "x" * 1_000
SHORT = f"short {TEXT}"  # one cell where three are due


def lines_of(*, ragged: int = 0) -> list[str]:
    """Return a header and rows that are larger than two pieces; each `ragged`-th row is one."""
    rows = [f"k{n % 3},{n},{TEXT}" for n in range(COUNT)]
    for number in range(0, COUNT, ragged) if ragged else ():
        rows[number] = SHORT
    return ["key,number,text", *rows]


def report_of(numbers: range | list[int]) -> str:
    names = ("MISSING_label", "one", "two")
    return "number,what\n" + "".join(f"{n},{names[n % 3]}\n" for n in numbers)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_rows_keep_their_order_and_the_last_needs_no_line_end(line_end: str, tmp_path: Path) -> None:
    data = line_end.join(lines_of())
    assert len(data) > 2 * pieces.PIECE_BYTES
    made = make(tmp_path, data, number="number", what="label")
    assert made.report == report_of(range(COUNT))


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_rejects_of_later_pieces_have_the_lines_of_the_file(line_end: str, tmp_path: Path) -> None:
    lines = lines_of(ragged=1_000)
    cut = pieces.PIECE_BYTES // (len(lines[40_000]) + len(line_end))
    cut_rows = range(cut - 500, cut + 500)  # pieces end and begin with rows that cannot be read
    for number in cut_rows:
        lines[1 + number] = SHORT
    lines[1 + 60_001] = f"k1,not a number,{TEXT}"
    lines[1 + 60_002] = ""
    made = make(tmp_path, line_end.join(lines) + line_end, number="number * 1", what="label")
    lost = {*range(0, COUNT, 1_000), *cut_rows, 60_001, 60_002}
    assert made.report == report_of([n for n in range(COUNT) if n not in lost])
    assert made.rejects is not None
    assert [int(row["_line"]) for row in made.rejects] == sorted(2 + n for n in lost - {60_002})
    assert {row["_line"]: row["_value"] for row in made.rejects}[str(2 + 60_001)] == "number='not a number'"
    assert {row["_original"] for row in made.rejects} == {SHORT, f"k1,not a number,{TEXT}"}


def test_line_ends_inside_quotes_are_not_cut(tmp_path: Path) -> None:
    text = '"' + f"{'x' * 40}\n" * 25 + '"'
    data = "key,number,text\n" + "".join(f"k{n % 3},{n},{text}\n" for n in range(66_000))
    assert len(data) > 2 * pieces.PIECE_BYTES
    made = make(tmp_path, data, number="number", what="label")
    assert made.report == report_of(range(66_000))
    assert made.outcome.reject_count == 0


def test_a_file_without_a_header_is_cut_too(tmp_path: Path) -> None:
    data = "\n".join(lines_of(ragged=1_000)[1:])
    source = tmp_path / "source"
    source.write_text(data)
    file = text_files.open_text(
        source, name="input", work=tmp_path, deadline=Deadline(60), dialect=described(header=False)
    )
    with ExitStack() as stack:
        assert len(pieces.open_windows(file, 2, stack)) == 2
    made = make_long(
        tmp_path,
        "input: {dialect: {header: false}}\noutput: {columns: {number: column2}}",
        data.replace(SHORT, "a,b,c", 1),
    )
    lost = range(1_000, COUNT, 1_000)
    assert made.report == "number\nb\n" + "".join(f"{n}\n" for n in range(1, COUNT) if n not in lost)
    assert made.rejects is not None
    assert [int(row["_line"]) for row in made.rejects] == [1 + n for n in lost]
