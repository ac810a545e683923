"""Files with hundreds of steps: what comes out of them, and that their queries grow no faster than the steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.rules.compiling.plan import Plan
from reportgen_dagster.rules.reading.loading import load_ruleset
from reportgen_dagster.services.rules_problems import dry_plan
from tests.engine.making import make_long

LARGEST = 2**63 - 1
UNPIVOT = "  - unpivot: {columns: [a], name: n, value: v}\n  - select: {a: v, b: b}\n"
JOIN = "  - join: {{reference: twice, match: k, take: {{t{}: t}}, how: left}}\n"


def _plan(steps: str) -> Plan:
    fields = "".join(f"      - {{name: c{number}, type: integer}}\n" for number in range(4))
    return dry_plan(
        load_ruleset(f"version: 1\ninput:\n  schema:\n    fields:\n{fields}steps:\n{steps}"),
        {"input": [f"c{number}" for number in range(4)], "twice": ["k", "t"]},
    )


def _size(plan: Plan) -> int:
    assert plan.problems == ()
    shown = plan.step_tables
    of_steps = [] if shown is None else [*shown.values.values()]
    return sum(map(len, [*(block.sql for block in plan.blocks), plan.text_sql, *of_steps]))


def test_a_hundred_unpivots_in_a_row(tmp_path: Path) -> None:
    made = make_long(
        tmp_path, f"steps:\n{UNPIVOT * 100}", "a,b\n3,x\n1,y\n2,z\n", limits=Limits(memory="256MB")
    )
    assert made.lines == ["a,b", "3,x", "1,y", "2,z"]


def test_rows_keep_their_order_through_many_joins_that_multiply_them(tmp_path: Path) -> None:
    steps = "".join(map(JOIN.format, range(6)))
    unpivots = (
        "  - unpivot: {columns: [t0, t1], name: n, value: t0}\n  - drop: [n]\n  - derive: {t1: t0}\n" * 4
    )
    taken = ", ".join(["b", *(f"t{number}" for number in range(2, 6)), "t0"])
    made = make_long(
        tmp_path,
        f"steps:\n{steps}{unpivots}  - select: [{taken}]\n",
        "k,b\nk,9\nnone,8\nk,7\n",
        twice="k,t\nk,2\nk,1\n",
    )
    of_a_row = [
        (t2, t3, t4, t5, t)
        for t0 in "21"
        for t1 in "21"
        for t2 in "21"
        for t3 in "21"
        for t4 in "21"
        for t5 in "21"
        for first in (t0, t1)
        for t in [first] * 8
    ]
    expected = [",".join((b, *values)) for b in "97" for values in of_a_row]
    none = ["8" + "," * 5] * 16
    half = len(of_a_row)
    assert made.lines[1:] == [*expected[:half], *none, *expected[half:]]


def test_rows_keep_their_order_through_many_appends(tmp_path: Path) -> None:
    steps = "  - append: {reference: more}\n" * 12
    made = make_long(tmp_path, f"steps:\n{steps}", "a\n2\n1\n", more="a\n9\n8\n")
    assert made.lines == ["a", "2", "1", *["9", "8"] * 12]


@pytest.mark.parametrize("at", [3, 300, 498])
def test_a_row_that_fails_at_any_of_499_steps_is_a_reject(at: int, tmp_path: Path) -> None:
    steps = "".join(f"  - derive: {{x: x + {number}}}\n" for number in range(499))
    fails = LARGEST - sum(range(at))
    made = make_long(tmp_path, f"steps:\n{steps}", f"x,y\n1,a\n{fails},b\n2,c\n")
    assert made.lines == ["x,y", f"{1 + sum(range(499))},a", f"{2 + sum(range(499))},c"]
    assert made.rejects is not None
    assert [(row["_line"], row["_rule"], row["y"]) for row in made.rejects] == [("3", f"x + {at}", "b")]
    assert made.outcome.dropped_count == 0


def test_rows_that_filters_far_behind_leave_out_are_counted(tmp_path: Path) -> None:
    steps = "".join(f"  - derive: {{x: x + {number}}}\n" for number in range(200))
    made = make_long(tmp_path, f"steps:\n{steps}  - filter: y != 'b'\n", "x,y\n1,a\n5,b\n2,c\n")
    assert [line[-1] for line in made.lines] == ["y", "a", "c"]
    assert (made.outcome.used_count, made.outcome.dropped_count, made.rejects) == (3, 1, None)


@pytest.mark.parametrize(
    "step",
    [
        "  - unpivot: {{columns: [c0], name: n{0}, value: v}}\n  - select: {{c0: v, c1: c1}}\n",
        "  - join: {{reference: twice, match: {{c0: k}}, take: {{t{0}: t}}}}\n  - drop: [t{0}]\n",
        "  - append: {{reference: twice, columns: {{c0: k}}}}\n",
        "  - top: {{n: 3, by: -c0, per: [c1]}}\n",
        "  - sort: [-c0, c1]\n",
        "  - derive: {{c1: c1 + {0}}}\n",
    ],
)
def test_queries_grow_in_proportion_to_the_steps(step: str) -> None:
    few, many = (_size(_plan("".join(map(step.format, range(count))))) for count in (80, 240))
    assert many < 3.5 * few
