"""The engine against independent readings of the same files, on generated ones."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.making import make

CELL = st.sampled_from(["", "a", "1", '"q"', '"x,y"', '"n\nn"', '"d""d"', '""', '5" p', "é", "x y"])
LINE = st.lists(CELL, min_size=1, max_size=4).map(",".join)
KEY = st.sampled_from(["", "a", "b", "c", "A", " a", "01", "1"])
EXAMPLES = settings(max_examples=30, deadline=None)


def parsed(text: str) -> list[tuple[int, list[str]]]:
    """Read with Python's csv module: line and cells of each row after the header that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""))
    rows, line = [], 1
    for cells in reader:
        rows.append((line, cells))
        line = reader.line_num + 1
    return [(line, cells) for line, cells in rows[1:] if cells]


@EXAMPLES
@given(lines=st.lists(LINE, max_size=8), newline=st.sampled_from(["\n", "\r\n"]), end=st.booleans())
def test_each_row_is_in_the_report_or_in_the_rejects(lines: list[str], newline: str, end: bool) -> None:  # noqa: FBT001
    text = newline.join(["key,b", *lines]) + (newline if end else "")
    expected = parsed(text)
    good = [cells for _, cells in expected if len(cells) >= 2 and not any(cells[2:])]
    bad = [str(line) for line, cells in expected if len(cells) < 2 or any(cells[2:])]
    with tempfile.TemporaryDirectory() as folder:
        made = make(Path(folder), text, key="key", b="b")
    rows = [cells for _, cells in parsed(made.report)]
    assert rows == [cells[:2] for cells in good]
    assert [row["_line"] for row in made.rejects or ()] == bad


@EXAMPLES
@given(
    rows=st.lists(st.tuples(KEY, KEY, st.integers(-99, 99)), min_size=1, max_size=12),
    first=st.lists(KEY.filter(bool), unique=True, max_size=5),
    second=st.lists(KEY.filter(bool), unique=True, min_size=5, max_size=5),
    numbers=st.lists(st.sampled_from(["1", "2.5", "-3", ""]), min_size=5, max_size=5),
    texts=st.lists(st.sampled_from(["u", "v", ""]), min_size=5, max_size=5),
)
def test_lookups_and_defaults_agree_with_pandas(
    rows: list[tuple[str, str, int]],
    first: list[str],
    second: list[str],
    numbers: list[str],
    texts: list[str],
) -> None:
    table = pd.DataFrame(rows, columns=["k1", "k2", "n"]).astype(str)
    padded = first + [""] * (5 - len(first))
    reference = pd.DataFrame({"k1": padded, "k2": second, "number": numbers, "text": texts})
    is_numeric = any(numbers)
    defaults = {
        "number": "0" if is_numeric else "MISSING_number",
        "text": "MISSING_text",
    }
    wanted = []
    for row in table.itertuples():
        found = pd.Series(defaults)
        for key in ("k1", "k2"):
            cell = getattr(row, key)
            match = reference[reference[key] == cell]
            if cell and len(match):
                found = match.iloc[0]
        wanted.append([row.n, found["number"], found["text"]])
    with tempfile.TemporaryDirectory() as folder:
        made = make(
            Path(folder),
            table.to_csv(index=False, lineterminator="\n"),
            reference.to_csv(index=False, lineterminator="\n"),
            n="n",
            number="number",
            text="text",
        )
    assert [cells for _, cells in parsed(made.report)] == wanted
