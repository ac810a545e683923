"""A report's DuckDB reads the report's files and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from reportgen_dagster.engine.connection import engine_errors, open_connection
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.errors import LimitError, ServiceError
from tests.engine.making import make


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    (tmp_path / "allowed.csv").write_text("a\n1\n")
    (tmp_path / "other.csv").write_text("a\n2\n")
    opened = open_connection([tmp_path / "allowed.csv"], work=tmp_path, limits=Limits(seconds=1))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM '{folder}/other.csv'",
        "SELECT * FROM '{folder}/../../../../../../../../etc/passwd'",
        "SELECT * FROM read_csv('{folder}/*.csv')",
        "SELECT * FROM read_text('/proc/self/environ')",
        "COPY (SELECT 1) TO '{folder}/written.csv'",
        "ATTACH '{folder}/written.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM 'https://127.0.0.1/x.csv'",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "SET lock_configuration = false",
        "PRAGMA threads = 64",
        "SELECT * FROM tmp_path",
    ],
)
def test_nothing_else_can_be_reached(
    connection: duckdb.DuckDBPyConnection, statement: str, tmp_path: Path
) -> None:
    with pytest.raises(duckdb.Error):
        connection.execute(statement.format(folder=tmp_path)).fetchall()
    assert {path.name for path in tmp_path.iterdir()} <= {"allowed.csv", "other.csv", "spill"}


def test_the_report_s_own_file_can_be_read(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    assert connection.execute(f"SELECT * FROM '{tmp_path}/allowed.csv'").fetchall() == [(1,)]  # noqa: S608


def test_a_query_that_takes_too_long_is_a_limit(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(LimitError, match="1 seconds"), engine_errors(Limits(seconds=1)):
        connection.execute(
            "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b"
        ).fetchall()


def test_a_query_that_fails_otherwise_is_our_fault_and_tells_no_paths(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    with pytest.raises(ServiceError) as caught, engine_errors(Limits()):
        connection.execute(f"SELECT * FROM '{tmp_path}/other.csv'")  # noqa: S608
    assert str(tmp_path) not in caught.value.detail


@pytest.mark.parametrize("full", ["report.csv", "rejects.csv"])
def test_a_full_disk_is_a_limit(full: str, tmp_path: Path) -> None:
    (tmp_path / full).symlink_to("/dev/full")
    data = "key,amount\n" + "k1,1\nk1,x\n" * 100_000
    with pytest.raises(LimitError, match="the disk is full"):
        make(tmp_path, data, double="amount * 2")


FULL = """
import resource, sys
from pathlib import Path
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.report import make_report
from reportgen_dagster.errors import LimitError
from tests.engine.making import rules
folder, many = Path(sys.argv[1]), sys.argv[2]
counts = {"input": 1, "reference": 1, many: 500_000}
files = {name: folder / name for name in counts}
for name, path in files.items():
    head = "key,label" if name == "reference" else "key,name"
    path.write_text(head + "\\n" + "".join(f"k{n},{'x' * 100}{n}\\n" for n in range(counts[name])))
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
places = {"outputs": {"csv": folder / "report.csv"}, "rejects": folder / "rejects.csv", "work": folder}
try:
    make_report(rules(who="name", what="label"), files, limits=Limits(memory="60MB"), **places)
except LimitError as error:
    print(error.detail)
"""


@pytest.mark.parametrize("many", ["input", "reference"], ids=["report", "spilled"])
def test_a_file_that_may_not_grow_is_past_the_limit_of_room(many: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path), many]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "the report needs more than its 100GB of temporary room on the disk\n", done.stderr


def test_another_error_of_the_system_stays_what_it_is() -> None:
    with pytest.raises(FileNotFoundError), engine_errors(Limits()):
        Path("/nowhere").read_bytes()
