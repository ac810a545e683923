"""Guarding CSV while it is sent: the same cells as a CSV parser sees, in every dialect, however the bytes come."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from reportgen_dagster.formulas import inert
from reportgen_dagster.services.guarding import guarded

CELLS = st.one_of(
    st.sampled_from(
        ["=1", "+a", "-5", "-a", "@x", "\t=", "", "plain", 'q"=', "a\n=b", "=x;y", "=\u00e4", "'=1"]
    ),
    st.text(alphabet="=+-@\t\n\"',; a1\u00a0", max_size=6),
)


def parts(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=6),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["plain", "packed"]),
    st.integers(1, 40),
)
def test_each_cell_is_what_the_rule_says(
    rows: list[list[str]], delimiter: str, encoding: str, line_end: str, kind: str, size: int
) -> None:
    packed = kind == "packed"
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=line_end).writerows(rows)
    data = out.getvalue().encode(encoding)
    sent = gzip.compress(data) if packed else data
    told = b"".join(guarded(parts(sent, size), {"delimiter": delimiter, "encoding": encoding}, packed=packed))
    text = (gzip.decompress(told) if packed else told).decode(encoding)
    read = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    assert list(read) == [[inert(cell) for cell in row] for row in rows]
