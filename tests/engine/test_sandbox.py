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


CONFINED = """
import ctypes, resource
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.sandbox import OPEN_FILES, confine
confine(Limits(memory="100MB", temp="5MB"))
soft = lambda name: resource.getrlimit(getattr(resource, name))[0]
print(soft("RLIMIT_CORE"), soft("RLIMIT_FSIZE"), soft("RLIMIT_NOFILE") <= OPEN_FILES, ctypes.CDLL(None).prctl(39, 0, 0, 0, 0))
try:
    bytearray(10**11)
except MemoryError:
    print("bounded")
"""


def test_a_process_of_its_own_is_confined() -> None:
    done = subprocess.run([sys.executable, "-c", CONFINED], capture_output=True, text=True, check=True)
    assert done.stdout == "0 5000000 True 1\nbounded\n"


OVERDUE = """
import time
from reportgen_dagster.engine import sandbox
from reportgen_dagster.engine.limits import Limits
sandbox.GRACE_SECONDS = 0
sandbox.end_process_when_overdue(Limits(seconds=1))
time.sleep(600)
"""


def test_a_process_that_nothing_can_interrupt_is_ended() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OVERDUE], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, done.stderr) == (
        3,
        "error: the report took longer than its limit of 1 seconds\n",
    )
