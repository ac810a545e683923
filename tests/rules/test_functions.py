"""Each function's example in the reference is what the function does."""

from __future__ import annotations

import pytest

from reportgen_dagster.rules.functions import FUNCTIONS
from tests.rules.harness import rules, run, value


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_worked_example_holds(name: str) -> None:
    function = FUNCTIONS[name]
    assert f"{name}(" in function.example
    assert value(function.example) == function.example_result


ODD_CELLS = [
    "0", "-1", "3.7", "1e300", "-1e300", "9223372036854775807", "x", "é😀", "2024-01-31", "0001-01-01", "9999-12-31",
    "2024-13-01", " ", "1e-300", "100000", "-99999", "inf", "31.01.2024", "%Y", "(", "\\", None,
]  # fmt: skip
WRITTEN_OUT = {"digits": "1", "pattern": "'(a|[0-9]+)'", "literal": "'x'", "format": "'%d.%m.%Y'"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_cell_aborts_the_query(name: str) -> None:
    function = FUNCTIONS[name]
    columns = ["a", "b", "c"]
    given = [
        WRITTEN_OUT.get(argument.sort, column)
        for argument, column in zip(function.arguments_for(len(function.arguments)), columns, strict=False)
    ]
    rows = [[one, other, "2"] for one in ODD_CELLS for other in ODD_CELLS]
    assert len(run(rules(f"{name}({', '.join(given)})"), columns, rows).rows) == len(rows)
