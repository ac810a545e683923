"""Section `Long form`, `Rejects`."""

from __future__ import annotations

import pytest

from reportgen_dagster.defs.assets import part_reports, report_assets
from reportgen_dagster.errors import ContractError
from reportgen_dagster.services.definitions import ReportDefinition
from tests.language.asking import Asking

DATA = "k,n\na,1\nb,0\nc,x\nd,4\ne,5,6\n"
CONTRACT = "input: {schema: {fields: [{name: k}, {name: n, type: integer, constraints: {maximum: 4}}]}}\n"
INVERSE = "steps: [{derive: {i: 12 / n}}]\n"


def test_what_cannot_be_read_or_breaks_the_contract_or_fails_goes_to_the_rejects(ask: Asking) -> None:
    # A row that cannot be read, or that breaks the input contract, or on which an expression fails, goes to the rejects:
    # physical line number in the uploaded file, column, rule, value, reason, the original line.
    made = ask.long(CONTRACT + INVERSE, 'k,n\n\n"a\nb",1\nb,0\nc,x\nd,4\ne,5,6\nf,5\n')
    assert made.lines == ["k,n,i", '"a', 'b",1,12', "d,4,3"]
    told = [
        [row[name] for name in ("_line", "_column", "_rule", "_value", "_reason", "_original")]
        for row in made.rejects or ()
    ]
    assert told == [
        ["5", "i", "12 / n", "n='0'", "division by zero", "b,0"],
        ["6", "n", "type integer", "x", told[1][4], "c,x"],
        ["8", "", "2 cells", "3 cells", "too many cells", "e,5,6"],
        ["9", "n", "maximum: 4", "5", told[3][4], "f,5"],
    ]
    assert "integer" in told[1][4]
    assert "4" in told[3][4]


def test_divert_is_the_default_and_makes_the_report_from_the_rows_that_hold(ask: Asking) -> None:
    # `policy: divert` (default) makes the report from the rows that hold
    made = ask.long(CONTRACT + INVERSE, DATA)
    assert made.lines == ["k,n,i", "a,1,12", "d,4,3"]
    assert ask.long(CONTRACT + INVERSE + "rejects: {policy: divert}", DATA).report == made.report


def test_fail_refuses_the_file(ask: Asking) -> None:
    # `policy: fail` refuses the file
    error = ask.failing(CONTRACT + INVERSE + "rejects: {policy: fail}", DATA)
    assert isinstance(error, ContractError)
    assert "3 of 5 rows are rejects" in str(error.problems[0])
    assert ask.long(INVERSE + "rejects: {policy: fail}", "k,n\na,1\n").lines == ["k,n,i", "a,1,12"]


@pytest.mark.parametrize(
    ("allowed", "fails"), [("3", False), ("2", True), ("60%", False), ("59.9%", True), ("0", True)]
)
def test_max_turns_diverting_into_failure_past_that(ask: Asking, allowed: str, *, fails: bool) -> None:
    # `max` (a count or a percentage, default none) turns diverting into failure past that.
    text = CONTRACT + INVERSE + f"rejects: {{max: {allowed}}}"
    if fails:
        assert "3 of 5 rows are rejects" in str(ask.failing(text, DATA).problems[0])
    else:
        assert ask.long(text, DATA).outcome.reject_count == 3


def test_without_a_max_every_row_may_be_a_reject(ask: Asking) -> None:
    # `max` (a count or a percentage, default none)
    assert ask.long(INVERSE, "n\n" + "0\n" * 50).outcome.reject_count == 50


def test_rejects_are_there_also_when_the_run_fails_and_are_counted(ask: Asking) -> None:
    # Rejects are always downloadable, counted in the run, and shown as an asset check.
    ask.failing(CONTRACT + INVERSE + "rejects: {policy: fail}", DATA)
    assert [row["_line"] for row in ask.rejects_left()] == ["3", "4", "6"]
    assert ask.long(CONTRACT + INVERSE, DATA).outcome.reject_count == 3


def test_every_report_has_an_asset_check_for_its_rejects() -> None:
    # Rejects are always downloadable, counted in the run, and shown as an asset check.
    report = ReportDefinition(
        "a1", "u1", "ann@example.org", "daily", paused=False, on_new_data=False, fresh_within_seconds=None, ruleset_name="r",
        ruleset_version=1, is_pinned=False, ruleset_digest="0" * 64, rules_text="", syntax="yaml", summary=None,
        datasets={"input": "d"}, parameters={}, formats=None, delivers=False, schedules=()
    )  # fmt: skip
    (assets,) = report_assets(part_reports([report])[0])
    assert "no_rejects" in {key.name for key in assets.check_keys}


STEPS_OF_ALL_KINDS = [
    "filter: n > 2", "limit: 1", "aggregate: {measures: {c: count(*)}}", "join: {reference: r, match: k}", "sort: -n\nlimit: 2",
    "distinct: true", "lookup: {reference: r, match: [k], missing: drop, duplicates: last}",
    "join: {reference: r, match: k, how: anti}",
]  # fmt: skip


@pytest.mark.parametrize("steps", STEPS_OF_ALL_KINDS)
def test_rows_in_are_rows_used_and_rows_rejected(ask: Asking, steps: str) -> None:
    # Rows in = rows used + rows rejected, always.
    lines = "\n".join(f"  - {line}" for line in ["derive: {i: 12 / n}", *steps.splitlines()])
    outcome = ask.long(f"{CONTRACT}steps:\n{lines}", DATA, r="k,v\na,1\na,2\nz,3\n").outcome
    assert (outcome.input_count, outcome.used_count, outcome.reject_count) == (5, 2, 3)


ONE_FOR_ONE = [
    "filter: n < 9", "lookup: {reference: r, match: {k: id}}", "join: {reference: r, match: {k: id}, how: semi}",
    "join: {reference: none, match: {k: id}, how: anti}", "select: [k, n]", "rename: {k: kk}", "drop: k", "sort: -n", "limit: 99",
]  # fmt: skip
ENDS_IT = [
    "join: {reference: r, match: {k: id}}", "join: {reference: r, match: {k: id}, how: left}",
    "join: {reference: r, match: {k: id}, how: full}", "append: {reference: more}", "aggregate: {by: n, measures: {c: count(*)}}",
    "window: {columns: {c: count(*)}}", "pivot: {by: n, column: k, values: count(*)}", "unpivot: {columns: [k]}",
    "distinct: true", "top: {n: 9, by: n}",
]  # fmt: skip
FILES = {"r": "id,v\na,1\nb,2\n", "none": "id\n", "more": "k,n\nc,7\n"}


@pytest.mark.parametrize("step", ONE_FOR_ONE)
def test_a_row_error_diverts_as_long_as_one_row_stands_for_one_input_row(ask: Asking, step: str) -> None:
    # A row error diverts the input row as long as one row stands for one input row (up to the first join that multiplies,
    # append, aggregate, window, pivot, unpivot, distinct or top)
    rejects = ask.rejected(f"{step}\nderive: {{i: 12 / n}}", "k,n\na,1\nb,0\n", **FILES)
    assert [(row["_line"], row["_column"], row["_value"]) for row in rejects] == [("3", "i", "n='0'")]


@pytest.mark.parametrize("step", ENDS_IT)
def test_after_that_it_fails_the_run_and_names_the_step_and_the_values(ask: Asking, step: str) -> None:
    # after that it fails the run and names the step and the values.
    told = ask.failing_steps(f"filter: n >= 0\n{step}\nderive: {{i: 12 / n}}", "k,n\na,1\nb,0\n", **FILES)
    assert "steps[2].derive" in told
    assert "division by zero" in told
    assert "n='0'" in told


def test_a_measure_that_fails_names_its_step(ask: Asking) -> None:
    # after that it fails the run and names the step and the values.
    told = ask.failing_steps("aggregate: {by: k, measures: {m: sum(n) / (count(*) - 1)}}", "k,n\na,1\n")
    assert "steps[0].aggregate" in told
    assert "division by zero" in told


def test_an_error_in_a_derive_rejects_a_row_that_a_later_filter_would_drop(ask: Asking) -> None:
    # A row is judged step by step: an error in a derive rejects it even if a later filter would have dropped it
    rejects = ask.rejected("derive: {i: 12 / n}\nfilter: n > 0", "n\n1\n0\n")
    assert [row["_line"] for row in rejects] == ["3"]
    # ... and the other way round: a row that a filter left out is judged no more.
    assert ask.rejected("filter: n > 0\nderive: {i: 12 / n}", "n\n1\n0\n") == []


def test_an_error_rejects_a_row_although_nothing_uses_the_column(ask: Asking) -> None:
    # an error in a derive rejects it
    rejects = ask.rejected("derive: {i: 12 / n}\nselect: n", "n\n1\n0\n")
    assert [row["_line"] for row in rejects] == ["3"]


def test_a_rejected_row_reaches_no_later_step(ask: Asking) -> None:
    # a rejected row reaches no later step.
    made = ask.long("steps: [{derive: {i: 12 / n}}, {derive: {j: 1 / (n - n)}}]", "n\n1\n0\n")
    assert [(row["_line"], row["_column"], row["_reason"]) for row in made.rejects or ()] == [
        ("2", "j", "division by zero"), ("3", "i", "division by zero"),
    ]  # fmt: skip
    assert ask.steps("derive: {i: 12 / n}\nlimit: 1", "n\n0\n3\n4\n") == ["n,i", "3,4"]
    assert ask.steps("derive: {i: 12 / n}\naggregate: {measures: {c: count(*)}}", "n\n0\n3\n4\n") == [
        "c",
        "2",
    ]
    assert ask.steps("derive: {i: 12 / n}\nwindow: {columns: {c: row_number()}}", "n\n0\n3\n") == [
        "n,i,c",
        "3,4,1",
    ]


def test_a_rejected_row_fails_no_later_step_and_a_row_left_out_is_judged_no_more(ask: Asking) -> None:
    # a rejected row reaches no later step.
    lookup = "lookup: {reference: r, match: [k], missing: fail}"
    assert ask.steps(f"derive: {{i: 1 / n}}\n{lookup}", "k,n\nz,0\na,1\n", r="k,v\na,1\n") == [
        "k,n,i,v",
        "a,1,1,1",
    ]
    assert ask.rejected("limit: 1\nderive: {i: 1 / n}", "n\n1\n0\n") == []
    assert ask.rejected("sort: -n\nlimit: 1\nderive: {i: 1 / n}", "n\n0\n1\n") == []


def test_a_row_that_breaks_the_contract_reaches_no_step(ask: Asking) -> None:
    # a rejected row reaches no later step.
    made = ask.long(CONTRACT + INVERSE, "k,n\na,9\na,0\n")
    assert [(row["_column"], row["_rule"]) for row in made.rejects or ()] == [
        ("n", "maximum: 4"),
        ("i", "12 / n"),
    ]


@pytest.mark.parametrize(
    "schema", ["primaryKey: id, fields: [{name: id}]", "fields: [{name: id, constraints: {unique: true}}]"]
)
def test_of_equal_keys_all_but_the_first_in_file_order_are_rejects(ask: Asking, schema: str) -> None:
    # With unique or a primary key, all rows of a key but the first in file order are rejects
    rows = [f"{n % 2000},{n}" for n in range(5000)]
    made = ask.long(f"input: {{schema: {{{schema}}}}}", "id,n\n" + "\n".join(rows) + "\n")
    assert made.lines[1:] == rows[:2000]
    assert [row["_line"] for row in made.rejects or ()] == [str(n) for n in range(2002, 5002)]


def test_an_unknown_foreign_key_rejects_its_row(ask: Asking) -> None:
    # an unknown foreign key rejects its row.
    schema = "{fields: [{name: d}], foreignKeys: [{fields: d, reference: {resource: r, fields: id}}]}"
    made = ask.long(f"input: {{schema: {schema}}}", "d\na\nz\n", r="id\na\n")
    assert (made.lines, [row["_value"] for row in made.rejects or ()]) == (["d", "a"], ["z"])


def test_a_broken_contract_of_a_reference_fails_the_run(ask: Asking) -> None:
    # A broken contract of a reference or of the output fails the run.
    text = "references: {r: {schema: {fields: [{name: v, type: integer}]}}}\nsteps: [{lookup: {reference: r, match: [k]}}]"
    error = ask.failing(text, "k\nb\n", r="k,v\na,x\nb,1\n")
    assert isinstance(error, ContractError)
    assert "'x'" in str(error.problems[0])


def test_a_broken_contract_of_the_output_fails_the_run(ask: Asking) -> None:
    # A broken contract of a reference or of the output fails the run.
    error = ask.failing("output: {schema: {fields: [{name: n, constraints: {minimum: 0}}]}}", "n\n1\n-1\n")
    assert isinstance(error, ContractError)
    assert "-1" in str(error.problems[0])
    key = "output: {schema: {primaryKey: n, fields: [{name: n}]}}"
    assert isinstance(ask.failing(key, "n\n1\n2\n1\n"), ContractError)
