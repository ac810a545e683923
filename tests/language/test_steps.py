"""Section `Long form`, `Steps`."""

from __future__ import annotations

import pytest

from reportgen_dagster.errors import BadDataError, DuplicateKeyError
from reportgen_dagster.rules.reading.document import STEPS
from tests.language.asking import Asking, refused

DESKS = "id,name,fee\nd1,FX,1\nd2,,2\n"


def test_the_steps_are_those_of_the_page() -> None:
    # `lookup` ..., `join` ..., `filter`, `derive`, `select`, `rename`, `drop`, `aggregate`, `window` ..., `top` ...,
    # `distinct`, `pivot`, `unpivot`, `append` ..., `sort`, `limit`.
    page = "lookup join filter derive select rename drop aggregate window top distinct pivot unpivot append sort limit"
    assert [*STEPS] == page.split()


def test_steps_run_in_order_each_seeing_the_columns_that_the_last_one_left(ask: Asking) -> None:
    # **Steps**, in order, each seeing the columns that the last one left
    steps = "derive: {b: a + 1}\nselect: b\nderive: {c: b * 2}\nfilter: c > 4\nderive: {c: c + 1}"
    assert ask.steps(steps, "a\n1\n2\n") == ["b,c", "3,7"]
    assert "unknown column `a`" in ask.refused_steps(
        "derive: {b: a + 1}\nselect: b\nderive: {c: a}", "a\n1\n"
    )


def test_a_lookup_enriches_by_key(ask: Asking) -> None:
    # `lookup` (enrich by key
    lookup = "lookup: {reference: r, match: {desk: id}, take: [fee]}"
    assert ask.steps(lookup, "n,desk\n1,d2\n2,d1\n", r=DESKS) == ["n,desk,fee", "1,d2,2", "2,d1,1"]
    composite = "lookup: {reference: r, match: {a: x, b: y}}"
    assert ask.steps(composite, "a,b\n1,2\n2,1\n", r="x,y,v\n1,2,ok\n2,2,no\n") == ["a,b,v", "1,2,ok", "2,1,"]


def test_a_lookup_never_multiplies_rows(ask: Asking) -> None:
    # never multiplies rows: a duplicate key in the reference is an error, or `duplicates: first|last`
    twice = "id,v\na,1\nb,2\na,3\n"
    with pytest.raises(DuplicateKeyError, match="'a'"):
        ask.steps("lookup: {reference: r, match: {k: id}}", "k\nb\n", r=twice)
    for which, value in (("first", "1"), ("last", "3")):
        lookup = f"lookup: {{reference: r, match: {{k: id}}, duplicates: {which}}}"
        assert ask.steps(lookup, "k\na\nb\n", r=twice) == ["k,v", f"a,{value}", "b,2"]


def test_what_becomes_of_a_row_without_a_match(ask: Asking) -> None:
    # `missing: default|reject|fail|drop`
    def lookup(missing: str) -> str:
        return f"lookup: {{reference: r, match: {{desk: id}}, take: [fee], missing: {missing}}}"

    data = "desk\nd1\nd9\n"
    assert ask.steps(lookup("default"), data, r=DESKS) == ["desk,fee", "d1,1", "d9,"]
    assert ask.steps("lookup: {reference: r, match: {desk: id}, take: [fee]}", data, r=DESKS)[2] == "d9,"
    assert ask.steps(lookup("drop"), data, r=DESKS) == ["desk,fee", "d1,1"]
    assert ask.rejected(lookup("drop"), data, r=DESKS) == []
    assert [row["_original"] for row in ask.rejected(lookup("reject"), data, r=DESKS)] == ["d9"]
    assert "d9" in ask.failing_steps(lookup("fail"), data, r=DESKS)


@pytest.mark.parametrize(
    ("how", "rows"),
    [
        ("inner", ["1,a,x", "1,a,y"]), ("left", ["1,a,x", "1,a,y", "2,b,"]),
        ("full", ["1,a,x", "1,a,y", "2,b,", ",c,z"]), ("semi", ["1,a"]), ("anti", ["2,b"]),
    ],
)  # fmt: skip
def test_a_join_may_multiply(ask: Asking, how: str, rows: list[str]) -> None:
    # `join` (may multiply; `how: inner|left|full|semi|anti`)
    found = ask.steps(
        f"join: {{reference: r, match: k, how: {how}}}", "n,k\n1,a\n2,b\n", r="k,v\na,x\nc,z\na,y\n"
    )
    assert found == ["n,k" if how in ("semi", "anti") else "n,k,v", *rows]
    if how == "inner":
        assert ask.steps("join: {reference: r, match: k}", "n,k\n1,a\n", r="k,v\na,x\n") == ["n,k,v", "1,a,x"]


def test_filter_keeps_rows_on_which_the_condition_is_true(ask: Asking) -> None:
    # `filter`
    assert ask.steps("filter: n > 1", "n,x\n1,a\n2,b\n,c\n") == ["n,x", "2,b"]


def test_derive_adds_or_replaces_and_may_use_names_above_it(ask: Asking) -> None:
    # `derive` (add or replace; a name may use names above it in the same step)
    assert ask.steps("derive: {b: a + 1, a: b * 10, c: a + 1}", "a,z\n1,9\n") == ["a,z,b,c", "20,9,2,21"]
    assert "unknown column `c`" in ask.refused_steps("derive: {b: c + 1, c: 1}", "a\n1\n")


def test_select_rename_and_drop(ask: Asking) -> None:
    # `select`, `rename`, `drop`
    data = "a,b,c\n1,2,3\n"
    assert ask.steps("select: [c, a]", data) == ["c,a", "3,1"]
    assert ask.steps("select: {x: c, y: c}", data) == ["x,y", "3,3"]
    assert ask.steps("rename: {b: x, a: b}", data) == ["b,x,c", "1,2,3"]
    assert ask.steps("drop: [a, c]", data) == ["b", "2"]
    assert ask.steps("drop: b", data) == ["a,c", "1,3"]


def test_aggregate_makes_one_row_for_each_group(ask: Asking) -> None:
    # `aggregate`
    aggregate = "aggregate: {by: [k], measures: {n: count(*), s: sum(v)}}"
    assert ask.steps(aggregate, "k,v\nb,1\na,2\nb,3\n,4\n") == ["k,n,s", "a,1,2", "b,2,4", ",1,4"]
    assert ask.steps("aggregate: {measures: {n: count(*), s: sum(v)}}", "v\n") == ["n,s", "0,"]


def test_window_has_partition_by_order_by_and_columns(ask: Asking) -> None:
    # `window` (`partition_by`, `order_by`, `columns`)
    window = "window: {partition_by: [k], order_by: [-v], columns: {r: row_number(), s: running_sum(v), t: sum(v)}}"
    assert ask.steps(window, "k,v\na,1\nb,5\na,3\n") == ["k,v,r,s,t", "a,1,2,4,4", "b,5,1,5,5", "a,3,1,3,4"]


def test_top_has_n_by_and_per(ask: Asking) -> None:
    # `top` (`n`, `by`, `per`)
    data = "k,v\na,1\nb,5\na,3\nb,2\na,4\n"
    assert ask.steps("top: {n: 2, by: [-v]}", data) == ["k,v", "b,5", "a,4"]
    assert ask.steps("top: {n: 1, by: v, per: k}", data) == ["k,v", "a,1", "b,2"]


def test_distinct_of_columns_or_of_whole_rows(ask: Asking) -> None:
    # `distinct`
    data = "k,v\na,1\na,2\na,1\n"
    assert ask.steps("distinct: [k]", data) == ["k,v", "a,1"]
    assert ask.steps("distinct: true", data) == ["k,v", "a,1", "a,2"]


def test_pivot_and_unpivot(ask: Asking) -> None:
    # `pivot`, `unpivot`
    data = "k,m,v\na,x,1\nb,y,2\na,x,3\n"
    assert ask.steps("pivot: {by: k, column: m, values: sum(v)}", data) == ["k,x,y", "a,4,", "b,,2"]
    written = "pivot: {by: k, column: m, values: {n: count(*), s: sum(v)}, columns: [y, q]}"
    assert ask.steps(written, data) == ["k,y_n,y_s,q_n,q_s", "a,0,,0,", "b,1,2,0,"]
    unpivot = "unpivot: {columns: [x, y], name: m, value: v}"
    assert ask.steps(unpivot, "k,x,y\na,1,2\nb,3,\n") == ["k,m,v", "a,x,1", "a,y,2", "b,x,3", "b,y,"]


def test_append_adds_the_rows_of_another_reference(ask: Asking) -> None:
    # `append` (rows of another reference)
    assert ask.steps("append: {reference: r}", "a,b\n1,2\n", r="b,a\n4,3\n") == ["a,b", "1,2", "3,4"]
    assert ask.steps("append: {reference: r, columns: {a: x}}", "a,b\n1,2\n", r="x,c\n3,9\n") == [
        "a,b",
        "1,2",
        "3,",
    ]


def test_sort_and_limit(ask: Asking) -> None:
    # `sort`, `limit`.
    data = "k,v\nb,1\na,2\nb,3\n"
    assert ask.steps("sort: [k, -v]\nlimit: 2", data) == ["k,v", "a,2", "b,3"]
    assert ask.steps("limit: 0", data) == ["k,v"]


def test_each_step_may_have_a_name_and_a_description(ask: Asking) -> None:
    # Each may carry `name:` and `description:`.
    bodies = {
        "lookup": "{reference: r, match: {k: id}, take: [v]}", "join": "{reference: r, match: {k: id}, take: {w: v}}",
        "filter": "n >= 0", "derive": "{m: n + 1}", "select": "[k, n, m, v]", "rename": "{m: o}", "drop": "o",
        "aggregate": "{by: [k, v], measures: {n: sum(n)}}", "window": "{columns: {c: count(*)}}", "top": "{n: 5, by: n}",
        "distinct": "true", "pivot": "{by: [k, n], column: v, values: count(*)}", "unpivot": "{columns: [x]}",
        "append": "{reference: e}", "sort": "n", "limit": "5",
    }  # fmt: skip
    assert set(bodies) == set(STEPS)
    lines = "".join(
        f"  - {{{kind}: {body}, name: my {kind}, description: why}}\n" for kind, body in bodies.items()
    )
    assert ask.long(f"steps:\n{lines}", "k,n\na,1\n", r="id,v\na,x\n", e="k,n\n").lines == [
        "k,n,name,value",
        "a,1,x,1",
    ]


def test_lookup_keys_match_as_text_character_by_character(ask: Asking) -> None:
    # Lookup keys match as text, character by character (no trim, case or number folding)
    keys = ["1", "01", "1.0", " 1", "a", "A", "a ", "é"]
    reference = "id,v\n" + "".join(f"{key},{n}\n" for n, key in enumerate(keys))
    found = ask.steps(
        "lookup: {reference: r, match: {k: id}}",
        "k\n" + "\n".join([*keys, "1.", "+1", "e\u0301"]) + "\n",
        r=reference,
    )
    assert [line.rpartition(",")[2] for line in found[1:]] == [*map(str, range(len(keys))), "", "", ""]
    # Also where both files hold numbers only.
    assert ask.steps("lookup: {reference: r, match: {k: id}}", "k\n1\n1.0\n", r="id,v\n1,x\n2,y\n") == [
        "k,v",
        "1,x",
        "1.0,",
    ]


def test_contracts_that_type_both_sides_match_values(ask: Asking) -> None:
    # unless contracts type both sides
    fields = "{{fields: [{{name: {}, type: {}}}]}}"
    text = "input: {{schema: {}}}\nreferences: {{r: {}}}\nsteps: [{{lookup: {{reference: r, match: {{k: id}}}}}}]"
    both = text.format(fields.format("k", "decimal"), "{schema: " + fields.format("id", "integer") + "}")
    assert [
        line.rpartition(",")[2] for line in ask.long(both, "k\n1.0\n01\n2\n", r="id,v\n1,x\n+2,y\n").lines[1:]
    ] == ["x", "x", "y"]
    one = text.format(fields.format("k", "integer"), "{}")
    assert ask.long(one, "k\n1\n", r="id,v\n01,x\n").lines[1].endswith(",")


def test_blank_keys_match_nothing_and_are_no_duplicates(ask: Asking) -> None:
    # blank keys match nothing and are no duplicates
    reference = "id,v\n,x\n,y\na,z\n"
    assert ask.steps("lookup: {reference: r, match: {k: id}}", "k,n\n,1\na,2\n", r=reference) == [
        "k,n,v",
        ",1,",
        "a,2,z",
    ]
    composite = "lookup: {reference: r, match: {k: id, n: v}}"
    assert ask.steps(composite, "k,n\na,\n", r="id,v,w\na,,1\na,,2\n") == ["k,n,w", "a,,"]
    assert ask.steps("join: {reference: r, match: {k: id}}", "k,n\n,1\na,2\n", r=reference) == [
        "k,n,v",
        "a,2,z",
    ]


def test_take_is_all_columns_that_are_not_keys(ask: Asking) -> None:
    # `take` defaults to all columns that are not keys
    assert ask.steps("lookup: {reference: r, match: {k: id}}", "k\na\n", r="x,id,y\n1,a,2\n") == [
        "k,x,y",
        "a,1,2",
    ]


def test_a_name_that_exists_is_refused_and_take_renames(ask: Asking) -> None:
    # a name that exists already is refused (`take: {new: old}` renames)
    lookup = "lookup: {reference: r, match: {k: id}}"
    told = ask.refused_steps(lookup, "k,x\na,0\n", r="id,x\na,1\n")
    assert "`x`" in told
    assert "take" in told
    renamed = "lookup: {reference: r, match: {k: id}, take: {rx: x}}"
    assert ask.steps(renamed, "k,x\na,0\n", r="id,x\na,1\n") == ["k,x,rx", "a,0,1"]


def test_a_default_fills_a_missing_row_never_a_null_cell(ask: Asking) -> None:
    # a default fills a missing row, never a null cell.
    lookup = "lookup: {reference: r, match: {desk: id}, defaults: {name: unknown, fee: 0}}"
    assert ask.steps(lookup, "desk\nd1\nd2\nd9\n", r=DESKS) == [
        "desk,name,fee",
        "d1,FX,1",
        "d2,,2",
        "d9,unknown,0",
    ]


def test_an_unknown_word_is_refused_with_the_words_that_there_are() -> None:
    # `duplicates: first|last`; `missing: default|reject|fail|drop`; `how: inner|left|full|semi|anti`
    assert "`first`" in refused("steps: [{lookup: {reference: r, match: [k], duplicates: frist}}]")
    assert "`reject`" in refused("steps: [{lookup: {reference: r, match: [k], missing: rejects}}]")
    assert "inner" in refused("steps: [{join: {reference: r, match: [k], how: outer}}]")


def test_missing_fail_is_an_error_of_the_data(ask: Asking) -> None:
    # `missing: default|reject|fail|drop`
    error = ask.failing(
        "steps: [{lookup: {reference: r, match: {k: id}, missing: fail}}]", "k\nz\n", r="id,v\na,1\n"
    )
    assert isinstance(error, BadDataError)


def test_a_pivot_may_have_a_computed_constant_beside_values_that_only_data_tell(ask: Asking) -> None:
    steps = "derive: {c: \"true and ('x' is null)\"}\npivot: {by: [c], column: t, values: count(*)}"
    assert ask.steps(steps, "t\nb\na\nb\n") == ["c,a,b", "false,1,2"]
