"""Rules of several queries: what flows from one into the next, which rows are accounted for, which errors fail the run."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from reportgen_dagster.engine import pieces
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.preview import preview
from reportgen_dagster.errors import BadDataError, UnreadableFileError
from reportgen_dagster.rules.reading.loading import load_ruleset
from tests.engine.making import make_long, rejects_in


def test_rows_that_a_filter_leaves_out_are_used_rows(tmp_path: Path) -> None:
    made = make_long(
        tmp_path, "steps:\n  - filter: n > 1\n  - derive: {x: 6 / (n - 2)}\n", "n\n1\n2\n3\n0\n4,4\n5,5\n"
    )
    outcome = made.outcome
    assert made.lines == ["n,x", "3,6"]
    assert (outcome.input_count, outcome.used_count, outcome.dropped_count, outcome.reject_count) == (
        6,
        3,
        2,
        3,
    )


def test_rows_are_grouped_and_sorted(tmp_path: Path) -> None:
    text = """
steps:
  - filter: n > 0
  - aggregate: {by: desk, measures: {rows: count(*), total: sum(n)}}
  - sort: [-total]
"""
    made = make_long(tmp_path, text, "desk,n\na,1\nb,5\na,2\nc,0\nb,1\n,3\n")
    assert made.lines == ["desk,rows,total", "b,2,6", "a,2,3", ",1,3"]
    assert (made.outcome.used_count, made.outcome.row_count) == (6, 3)
    assert made.outcome.sources["total"] == [["input", "n"]]


def test_an_error_on_a_group_fails_the_run_and_names_step_and_values(tmp_path: Path) -> None:
    text = """
input: {schema: {fields: [{name: n, type: integer}]}}
steps:
  - aggregate: {by: desk, measures: {total: sum(n)}}
  - derive: {share: 1 / (total - 3)}
"""
    with pytest.raises(BadDataError) as caught:
        make_long(tmp_path, text, "desk,n\na,1\na,2\nb,3\nc,x\n")
    problem = caught.value.problems[0]
    assert problem.path == "steps[1].derive.share"
    assert "division by zero" in problem.message
    assert "total='3'" in problem.message
    assert "2 rows like it" in problem.message
    assert [row["_line"] for row in rejects_in(tmp_path) or ()] == ["5"]


def test_an_error_in_the_middle_of_several_queries_fails_the_run(tmp_path: Path) -> None:
    text = """
steps:
  - aggregate: {by: desk, measures: {total: sum(n)}}
  - derive: {share: 1 / (total - 3)}
  - aggregate: {measures: {all: sum(share)}}
"""
    with pytest.raises(BadDataError, match="division by zero"):
        make_long(tmp_path, text, "desk,n\na,1\na,2\n")
    assert make_long(tmp_path, text, "desk,n\na,1\nb,2\nb,2\n").lines == ["all", "0.5"]


def test_rows_behind_a_limit_still_divert_and_stand_in_the_file_s_order(tmp_path: Path) -> None:
    text = """
steps:
  - filter: n <> 3
  - sort: [-n]
  - limit: 4
  - derive: {x: 4 / (n - 9)}
  - derive: {y: 4 / (n - 5)}
"""
    made = make_long(tmp_path, text, "id,n\na,1\nb,9\nbad\nc,8\nd,9\ne,3\nf,5\n")
    assert made.lines == ["id,n,x,y", "c,8,-4,1.3333333333333333"]
    assert made.rejects is not None
    assert [(row["_line"], row["_reason"]) for row in made.rejects] == [
        ("3", "division by zero"),
        ("4", "too few cells"),
        ("6", "division by zero"),
        ("8", "division by zero"),
    ]
    assert (made.outcome.input_count, made.outcome.used_count, made.outcome.dropped_count) == (7, 3, 2)


def test_every_row_is_judged_though_a_limit_needs_few(tmp_path: Path) -> None:
    data = "n\n" + "".join(f"{n}\n" for n in range(300_000)) + "a,b\n"
    made = make_long(
        tmp_path, "steps:\n  - derive: {x: 1 / (n - 299000)}\n  - limit: 2\n  - select: [n]\n", data
    )
    assert made.lines == ["n", "0", "1"]
    assert (made.outcome.input_count, made.outcome.reject_count) == (300_001, 2)


def test_a_pivot_makes_columns_of_what_the_data_hold(tmp_path: Path) -> None:
    text = """
steps:
  - filter: v < 9
  - pivot: {by: [id], column: kind, values: sum(v)}
  - derive: {x: coalesce(x, 0)}
  - sort: [-x]
"""
    made = make_long(tmp_path, text, "id,kind,v\na,y,2\na,x,1\nb,x,3\nc,z,9\nc,y,4\nd\n")
    assert made.lines == ["id,x,y", "b,3,", "a,1,2", "c,0,4"]
    assert made.outcome.columns[1] == {"name": "x", "type": "integer"}
    assert (made.outcome.used_count, made.outcome.reject_count) == (5, 1)


def test_several_pivots_follow_each_other(tmp_path: Path) -> None:
    text = """
steps:
  - pivot: {by: [id, day], column: kind, values: sum(v)}
  - derive: {n: x}
  - pivot: {by: [id], column: day, values: sum(n)}
"""
    made = make_long(tmp_path, text, "id,day,kind,v\na,d1,x,1\na,d2,x,2\nb,d1,x,3\nb,d1,x,4\n")
    assert made.lines == ["id,d1,d2", "a,1,2", "b,7,"]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("pivot: {by: [id], column: kind, values: sum(v)}", "two columns would be called `id`"),
        ("pivot: {by: [id], column: kind, values: sum(v)}\n  - select: [id, w]", "unknown column `w`"),
    ],
)
def test_a_pivot_whose_columns_do_not_fit_the_rules_is_the_datas_fault(
    tmp_path: Path, step: str, message: str
) -> None:
    kind = "id" if "called" in message else "x"
    with pytest.raises(BadDataError, match=message):
        make_long(tmp_path, f"steps:\n  - {step}\n", f"id,kind,v\na,{kind},1\n")


def test_a_pivot_with_too_many_columns_is_refused(tmp_path: Path) -> None:
    data = "id,kind,v\n" + "".join(f"a,k{n},1\n" for n in range(1_500))
    with pytest.raises(BadDataError, match="1,500 values"):
        make_long(tmp_path, "steps:\n  - pivot: {by: [id], column: kind, values: sum(v)}\n", data)


def test_large_inputs_flow_in_pieces_into_later_queries(tmp_path: Path) -> None:
    width = "x" * 1_000
    data = "key,n,text\n" + "".join(f"k{n % 3},{n},{width}\n" for n in range(68_000))
    data = data.replace("k1,40000,", "k1,oops,")
    assert len(data) > 2 * pieces.PIECE_BYTES
    text = """
input: {schema: {fields: [{name: n, type: integer}]}}
steps:
  - derive: {size: length(text)}
  - aggregate: {by: key, measures: {rows: count(*), first: first(n), sizes: sum(size)}}
"""
    made = make_long(tmp_path, text, data)
    rows = [sum(n % 3 == k and n != 40_000 for n in range(68_000)) for k in range(3)]
    assert made.lines[1:] == [f"k{k},{rows[k]},{k},{rows[k] * 1000}" for k in range(3)]
    assert [row["_line"] for row in made.rejects or ()] == ["40002"]


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_the_same_bytes_come_out_whatever_the_threads(threads: int, tmp_path: Path) -> None:
    data = "key,n,text\n" + "".join(f"k{n % 30_011},{n},{'x' * 500}\n" for n in range(140_000))
    text = """
steps:
  - lookup: {reference: r, match: {key: id}, defaults: {label: none}}
  - window: {partition_by: [label], order_by: [n], columns: {nr: row_number()}}
  - aggregate: {by: [label], measures: {rows: count(*), last: last(key), top: max(nr)}}
"""
    reference = "id,label\n" + "".join(f"k{n},l{n % 7}\n" for n in range(20_000))
    made = make_long(tmp_path, text, data, Limits(memory="300MB", threads=threads), r=reference)
    expected: dict[str, list[str]] = {}
    for n in range(140_000):
        number = n % 30_011
        expected.setdefault(f"l{number % 7}" if number < 20_000 else "none", []).append(f"k{number}")
    assert made.lines[1:] == [
        f"{label},{len(keys)},{keys[-1]},{len(keys)}" for label, keys in sorted(expected.items())
    ]


def test_parameters_and_the_date_of_the_run_are_used(tmp_path: Path) -> None:
    text = "parameters: {least: {type: integer, default: 1}}\nsteps:\n  - filter: n >= :least\n  - derive: {at: today()}\n"
    options = {"parameters": {"least": 2}, "run_date": datetime.date(2024, 2, 29)}
    assert make_long(tmp_path, text, "n\n1\n2\n", options=options).lines == ["n,at", "2,2024-02-29"]
    assert len(make_long(tmp_path, text, "n\n1\n2\n").lines) == 3


STEPS = """version: 1
steps:
  - filter: n > 1
  - derive: {x: n * 2}
  - aggregate: {measures: {total: sum(x)}}
"""


@pytest.mark.parametrize(
    ("step", "columns", "rows"),
    [
        (0, ["n"], [["1"], ["2"]]),
        (1, ["n"], [["2"], ["3"]]),
        (2, ["n", "x"], [["2", "4"], ["3", "6"]]),
        (3, ["total"], [["28"]]),
        (None, ["total"], [["28"]]),
    ],
)
def test_the_first_rows_after_any_step_can_be_seen(
    step: int | None, columns: list[str], rows: list[list[str]], tmp_path: Path
) -> None:
    (tmp_path / "input").write_text("n\n1\n2\n3\n4\n5\n6,6\n")
    (tmp_path / "work").mkdir()
    shown = preview(
        load_ruleset(STEPS),
        {"input": tmp_path / "input"},
        step=step,
        rows=2,
        work=tmp_path / "work",
        limits=Limits(),
    )
    assert ([one["name"] for one in shown.columns], shown.rows) == (columns, rows)
    assert all(name in shown.preview for name in columns)
    assert list((tmp_path / "work").iterdir()) == []


def previewed(folder: Path, steps: str, data: str) -> list[list[str | None]]:
    source = folder / "input.csv"
    source.write_text(data)
    work = folder / "work"
    work.mkdir(exist_ok=True)
    ruleset = load_ruleset(f"version: 1\nsteps: [{steps}]\n")
    return preview(ruleset, {"input": source}, step=None, work=work, limits=Limits(memory="200MB")).rows


@pytest.mark.parametrize("steps", ["filter: a > 0", "sort: -a"])
def test_a_preview_notices_a_quote_that_never_closes(tmp_path: Path, steps: str) -> None:
    with pytest.raises(UnreadableFileError, match="line 3: a quote opens here and never closes"):
        previewed(tmp_path, steps, 'a,b\n1,x\n2,"y\n3,z\n')


def test_a_preview_goes_on_behind_a_misquoted_row(tmp_path: Path) -> None:
    assert previewed(tmp_path, "filter: a > 0", 'a,b\n1,x\n2,"y"q\n3,z\n') == [["1", "x"], ["3", "z"]]


@pytest.mark.parametrize(
    "name",
    ["rows0", "ROWS1", "duplicates", "duplicates_2", "rows0_first", "input_kinds", "__survey", "__stream", "__rejected",
     "__report_keys", "keys0", "cells", "layer0", "keys", "i", "r1", "_row", "_state", "rows.0", "main.input", "temp"],
)  # fmt: skip
def test_a_reference_may_be_called_as_anything(name: str, tmp_path: Path) -> None:
    text = f"""
input: {{schema: {{fields: [{{name: k, type: string}}, {{name: n, type: integer}}], primaryKey: k}}}}
references: {{{name}: {{schema: {{fields: [{{name: k}}, {{name: v}}]}}}}, {name}_first: {{}}}}
steps:
  - lookup: {{reference: {name}, match: {{k: k}}, duplicates: first, missing: default}}
  - lookup: {{reference: {name}_first, match: {{k: k}}, take: {{w: v}}, missing: default}}
  - derive: {{x: 6 / n}}
  - aggregate: {{by: [k, v, w], measures: {{total: sum(x)}}}}
  - sort: k
  - filter: total > 1
output: {{schema: {{fields: [{{name: k}}, {{name: v}}, {{name: w}}, {{name: total}}], primaryKey: k}}}}
"""
    references = {name: "k,v\na,1\na,2\n", f"{name}_first": "k,v\na,3\n"}
    made = make_long(tmp_path, text, "k,n\na,1\nb,2\nb,1\nc,0\n", **references)
    assert made.lines[1:] == ["a,1,3,6", "b,,,3"]
    assert made.outcome.reject_count == 2


@pytest.mark.parametrize(("operator", "value"), [("+", "501"), ("||", "1" * 501), ("-", "-499")])
def test_500_operators_in_a_row_are_computed(operator: str, value: str, tmp_path: Path) -> None:
    text = f"steps:\n  - derive: {{x: '{f' {operator} '.join(['b'] * 501)}'}}\n"
    assert make_long(tmp_path, text, "b\n1\n").lines == ["b,x", f"1,{value}"]
