"""The bounds of a run that DuckDB does not keep itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.errors import LimitError
from tests.engine.making import make_long

LARGE = "key,n\n" + "".join(f"{'x' * 60}{n * 7919 % 1_000_003},{n}\n" for n in range(1_000_000))
SORT = "steps:\n  - sort: [key]\n  - window: {order_by: [n], columns: {nr: row_number()}}\n"


def test_spilled_data_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="1MB of temporary room") as caught:
        make_long(tmp_path, SORT, LARGE, Limits(memory="80MB", temp="1MB"))
    assert "more room" in caught.value.case_hint


def test_spilled_data_within_its_bound_is_fine(tmp_path: Path) -> None:
    made = make_long(tmp_path, SORT, LARGE, Limits(memory="80MB", temp="2GB"))
    assert made.outcome.row_count == 1_000_000


def test_a_run_that_is_interrupted_says_that_its_time_is_over(tmp_path: Path) -> None:
    text = "steps:\n  - join: {reference: r, match: {a: x}}\n  - aggregate: {measures: {total: sum(n * y)}}\n"
    rows = "".join(f"k,{n}\n" for n in range(60_000))
    with pytest.raises(LimitError, match="limit of 2 seconds"):
        make_long(tmp_path, text, f"a,n\n{rows}", Limits(seconds=2), r=f"x,y\n{rows}")


BOUND = """
import ctypes, os, resource
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.sandbox import OPEN_FILES, bound
bound(Limits(memory="100MB", seconds=70, temp="5MB"))
both = lambda name: resource.getrlimit(getattr(resource, name))
cores = os.cpu_count()
print([limit - 100 * cores for limit in both("RLIMIT_CPU")])
print(both("RLIMIT_CORE"), both("RLIMIT_FSIZE"), both("RLIMIT_NOFILE")[1] <= OPEN_FILES, ctypes.CDLL(None).prctl(39, 0, 0, 0, 0))
try:
    bytearray(10**11)
except MemoryError:
    print("bounded")
"""


def test_a_process_of_its_own_is_bounded_for_good() -> None:
    done = subprocess.run([sys.executable, "-c", BOUND], capture_output=True, text=True, check=True)
    assert done.stdout == "[0, 1]\n(0, 0) (5000000, 5000000) True 1\nbounded\n"
