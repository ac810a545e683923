"""The CSV that is written, against what Polars writes of the same rows in one go."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reportgen_dagster.contracts.types import TEXT
from reportgen_dagster.engine.writers.csv import CsvWriter
from reportgen_dagster.rules.compiling.plan import OutputColumn

PLAIN = st.sampled_from(["a", "b c", "é", " s", "1.5", "'", ";", "#x"])
AWKWARD = st.one_of(
    PLAIN, st.none(), st.text(max_size=3), st.sampled_from(["", "x,y", 'q"q', "l\nl", "r\rr"])
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[pa.RecordBatch]]:
    names = draw(st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=3, unique=True))
    schema = pa.schema([(name, pa.string()) for name in names])
    batches = []
    for cells in draw(st.lists(st.sampled_from([PLAIN, AWKWARD]), max_size=6)):
        rows = draw(st.lists(st.tuples(*(cells for _ in names)), max_size=4))
        batches.append(
            pa.RecordBatch.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema)
        )
    return names, batches


def written(path: Path, names: list[str], batches: list[pa.RecordBatch]) -> bytes:
    with CsvWriter(path, [OutputColumn(name, TEXT) for name in names]) as writer:
        for batch in batches:
            writer.write(batch)
    return path.read_bytes()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables())
def test_every_batch_is_written_as_polars_writes_it(
    tmp_path: Path, table: tuple[list[str], list[pa.RecordBatch]]
) -> None:
    names, batches = table
    frame = pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    for batch in batches:
        frame = frame.vstack(pl.DataFrame(pl.from_arrow(batch)))
    if len(names) == 1:
        frame = frame.fill_null("")
    assert written(tmp_path / "report.csv", names, batches) == frame.write_csv().encode()


@pytest.mark.parametrize("name", ["plain", "with, comma", 'with "quotes"', "two\nlines", "carriage\rreturn"])
def test_the_header_is_read_back_as_it_was(tmp_path: Path, name: str) -> None:
    written(tmp_path / "report.csv", [name, "other"], [])
    with (tmp_path / "report.csv").open(newline="") as file:
        assert next(csv.reader(file)) == [name, "other"]


def test_null_and_empty_text_stay_apart(tmp_path: Path) -> None:
    batch = pa.RecordBatch.from_pydict({"a": pa.array([None, "", "x"], pa.string()), "b": ["1", "2", "3"]})
    assert written(tmp_path / "report.csv", ["a", "b"], [batch]) == b'a,b\n,1\n"",2\nx,3\n'


def test_whole_numbers_are_written_beside_texts_that_need_quotes(tmp_path: Path) -> None:
    plain = pa.RecordBatch.from_pydict({"n": pa.array([1, None], pa.int64()), "t": ["a", "b"]})
    quoted = pa.RecordBatch.from_pydict({"n": pa.array([-(2**63), None], pa.int64()), "t": ["a,b", ""]})
    text = written(tmp_path / "report.csv", ["n", "t"], [plain, quoted])
    assert text == b'n,t\n1,a\n,b\n-9223372036854775808,"a,b"\n,""\n'


def test_a_missing_cell_of_the_only_column_is_no_empty_line(tmp_path: Path) -> None:
    batch = pa.RecordBatch.from_pydict({"n": pa.array([1, None], pa.int64())})
    assert written(tmp_path / "report.csv", ["n"], [batch]) == b'n\n1\n""\n'
