"""Section `Long form`, `Order`."""

from __future__ import annotations

import pytest

from reportgen_dagster.engine import pieces
from reportgen_dagster.engine.limits import Limits
from tests.language.asking import Asking

COUNT = 20_000
MIXED = "k,n\n" + "".join(f"{'cab'[n % 3]},{n * 7919 % COUNT}\n" for n in range(COUNT))


@pytest.mark.parametrize(
    "steps",
    ["filter: n >= 0", "derive: {m: n * 2}\nselect: [k, n]", "lookup: {reference: r, match: [k]}\ndrop: v",
     "window: {partition_by: k, order_by: -n, columns: {c: row_number()}}\ndrop: c", "join: {reference: r, match: k}\ndrop: v",
     "append: {reference: none}", "distinct: true"],
)  # fmt: skip
def test_rows_keep_the_inputs_order_until_a_step_that_has_its_own(ask: Asking, steps: str) -> None:
    # Rows keep the input's order until a step that has its own.
    assert ask.steps(steps, MIXED, r="k,v\na,1\nb,2\nc,3\n", none="k,n\n") == MIXED.splitlines()


def test_groups_come_in_the_order_of_by_nulls_last(ask: Asking) -> None:
    # `aggregate` gives its groups in the order of `by` (nulls last)
    data = "k,n\nb,10\n,1\nb,9\na,\na,2\n,\n"
    found = ask.steps("aggregate: {by: [k, n], measures: {c: count(*)}}", data)
    assert found == ["k,n,c", "a,2,1", "a,,1", "b,9,1", "b,10,1", ",1,1", ",,1"]


def test_distinct_keeps_the_first(ask: Asking) -> None:
    # `distinct` keeps the first
    first = {line.split(",")[0]: line for line in reversed(MIXED.splitlines()[1:])}
    assert ask.steps("distinct: k", MIXED) == ["k,n", first["c"], first["a"], first["b"]]


def test_a_join_keeps_left_then_right_order(ask: Asking) -> None:
    # `join` keeps left then right order
    reference = "k,v\n" + "".join(f"{'abz'[n % 3]},{n}\n" for n in range(60))
    left = [f"{'cab'[n % 3]},{n}" for n in range(300)]
    of = {key: [str(n) for n in range(60) if "abz"[n % 3] == key] for key in "abcz"}
    data = "k,n\n" + "\n".join(left) + "\n"
    expected = [f"{line},{v}" for line in left for v in of[line[0]]]
    assert ask.steps("join: {reference: r, match: k}", data, r=reference)[1:] == expected
    full = [f"{line},{v}" for line in left for v in (of[line[0]] or [""])] + [f"z,,{v}" for v in of["z"]]
    assert ask.steps("join: {reference: r, match: k, how: full}", data, r=reference)[1:] == full


def test_sort_is_stable_with_nulls_last_both_ways(ask: Asking) -> None:
    # `sort` is stable with nulls last both ways
    data = "k,n\nb,1\n,2\na,3\nb,4\n,5\na,6\n"
    assert ask.steps("sort: k", data)[1:] == ["a,3", "a,6", "b,1", "b,4", ",2", ",5"]
    assert ask.steps("sort: -k", data)[1:] == ["b,1", "b,4", "a,3", "a,6", ",2", ",5"]
    expected = sorted(MIXED.splitlines()[1:], key=lambda line: line[0], reverse=False)
    assert ask.steps("sort: k", MIXED)[1:] == expected


def test_top_breaks_ties_by_input_order(ask: Asking) -> None:
    # `top` breaks ties by input order
    lines = MIXED.splitlines()[1:]
    assert ask.steps("top: {n: 50, by: k}", MIXED)[1:] == [line for line in lines if line[0] == "a"][:50]
    per = ask.steps("derive: {one: 1}\ntop: {n: 2, by: -one, per: k}\ndrop: one", MIXED)[1:]
    assert per == [line for key in "abc" for line in [one for one in lines if one[0] == key][:2]]


def test_pivoted_columns_are_sorted_by_value(ask: Asking) -> None:
    # pivoted columns are sorted by value
    text = "pivot: {column: m, values: count(*)}"
    assert ask.steps(text, "m\nz\nB\na\nz\n")[0] == "B,a,z"
    assert ask.steps(text, "m\n10\n9\n-1\n")[0] == "-1,9,10"
    assert ask.steps(text, "m\n2024-02-01\n2023-12-31\n")[0] == "2023-12-31,2024-02-01"


def test_first_last_and_string_agg_follow_row_order(ask: Asking) -> None:
    # `first`, `last` and `string_agg` follow row order.
    measures = "measures: {f: first(n), l: last(n), s: \"string_agg(n, '-')\"}"
    data = "k,n\na,3\na,1\na,2\n"
    assert ask.steps(f"aggregate: {{{measures}}}", data) == ["f,l,s", "3,2,3-1-2"]
    assert ask.steps(f"sort: -n\naggregate: {{{measures}}}", data) == ["f,l,s", "3,1,3-2-1"]
    numbers = [line.split(",")[1] for line in MIXED.splitlines()[1:] if line[0] == "b"]
    found = ask.steps(f"aggregate: {{by: k, {measures}}}", MIXED)[2]
    assert found == f"b,{numbers[0]},{numbers[-1]},{'-'.join(numbers)}"


PARAMETER = "parameters: {p: {type: integer}}\n"
ALL_KINDS = """
references: {r: {schema: {fields: [{name: v, type: decimal, precision: 9, scale: 2}]}}}
input: {schema: {fields: [{name: id, constraints: {unique: true}}]}}
steps:
  - derive: {e: 1000 / n, m: "n % 97"}
  - lookup: {reference: r, match: [k], take: {w: v}}
  - join: {reference: r, match: k, how: left}
  - window: {partition_by: m, order_by: n, columns: {rs: running_sum(w), rn: row_number()}}
  - aggregate:
      by: [m]
      measures: {c: count(*), s: sum(w * n + :p), f: first(id), l: last(id), j: "string_agg(rn, '')", d: count(distinct k)}
  - sort: [-c, s]
"""


@pytest.mark.parametrize(
    "text", [ALL_KINDS, "steps: [{derive: {e: 1000 / n}}, {lookup: {reference: r, match: [k]}}]"]
)
def test_the_same_files_rules_and_parameters_give_the_same_bytes_threads_or_not(
    ask: Asking, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The same files, rules and parameters give the same bytes, threads or not
    data = "id,k,n\n" + "".join(f"i{n % 9000},{'cabx'[n % 4]},{n * 7919 % 4001}\n" for n in range(10_000))
    reference = "k,v\na,0.10\nb,0.20\nc,0.30\n"
    seen = set()
    for threads, piece in ((1, 2**25), (2, 2**25), (2, 5_000), (3, 1_000)):
        monkeypatch.setattr(pieces, "PIECE_BYTES", piece)
        limits = Limits(memory="300MB", threads=threads)
        made = ask.long(PARAMETER + text, data, limits=limits, options={"parameters": {"p": 7}}, r=reference)
        seen.add((made.report, (ask.folder / "rejects.csv").read_bytes()))
    assert len(seen) == 1


def test_aggregates_of_decimals_and_integers_never_differ_and_those_of_floats_only_past_12_digits(
    ask: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    # only aggregates of floats (never of decimals or integers) may differ, past 12 significant digits.
    monkeypatch.setattr(pieces, "PIECE_BYTES", 5_000)
    fields = "[{name: f, type: number}, {name: d, type: decimal, precision: 18, scale: 3}, {name: i, type: integer}]"
    measures = "{f: sum(f), d: sum(d), i: sum(i), a: avg(d)}"
    text = f"input: {{schema: {{fields: {fields}}}}}\nsteps: [{{aggregate: {{measures: {measures}}}}}]"
    rows = [(n * 7919 % 10007 / 10, f"{n * 31 % 977}.{n % 1000:03}", n * n) for n in range(10_000)]
    data = "f,d,i\n" + "".join(f"{f},{d},{i}\n" for f, d, i in rows)
    found = [
        ask.long(text, data, limits=Limits(memory="300MB", threads=n)).lines[1].split(",") for n in (1, 2)
    ]
    assert found[0][1:] == found[1][1:]
    assert float(found[0][0]) == pytest.approx(float(found[1][0]), rel=1e-12)
    assert found[0][2] == str(sum(i for *_, i in rows))


@pytest.mark.parametrize("before", ["sort: [name]", "join: {reference: r, match: {name: k}}\ndrop: v"])
def test_a_rank_takes_for_equal_what_its_own_order_does(ask: Asking, before: str) -> None:
    window = "window: {order_by: [x], columns: {r: rank(), d: dense_rank(), c: cume_dist()}}"
    found = ask.steps(
        f"{before}\n{window}\ndrop: name", "name,x\nc,2\na,1\nb,2\nb,1\n", r="k,v\na,1\nb,2\nc,3\n"
    )
    assert sorted(found[1:]) == ["1,1,1,0.5", "1,1,1,0.5", "2,3,2,1", "2,3,2,1"]
