"""Steps of the long form: rules in, rows out (and rejects), on small tables in a real DuckDB."""

from __future__ import annotations

import duckdb
import pytest

from reportgen_dagster.errors import Problem, RulesError
from reportgen_dagster.rules.compiling.compile import compile_ruleset
from reportgen_dagster.rules.compiling.plan import Plan
from reportgen_dagster.rules.reading.ruleset import Ruleset
from tests.rules.checking import check_report, shape_of
from tests.rules.harness import FailedRunError, long_form, run_long

TRADES = """
desk , product, amount, day       , code
rates, swap   , 10    , 2024-01-02, 007
rates, bond   , 2.50  , 2024-01-03, 008
fx   , spot   ,       , 2024-01-04,
     , swap   , 7     , 2024-01-05, 009
fx   , spot   , 3     , 2024-01-06, 010
rates, swap   , 4     , 2024-01-02, 011
"""
DESKS = """
desk_id, desk_name, fee
rates  , Rates    , 0.5
fx     , Forex    , 2
"""


def steps(*lines: str) -> str:
    """Return rules that have these steps."""
    return "steps:\n" + "\n".join(f"  - {line}" for line in lines)


def texts(*lines: str, table: str = TRADES, **tables: str) -> list[str]:
    """Return header and rows of the report that steps make."""
    return run_long(steps(*lines), table, **tables).text


def problems_of(ruleset: Ruleset, **columns: list[str]) -> list[str]:
    """Return the problems with files of which only the headers are known."""
    shapes = {name: shape_of(ruleset, name, found) for name, found in columns.items()}
    return [str(problem) for problem in check_report(ruleset, shapes)]


def dry_plan(text: str) -> Plan:
    """Return the plan of rules for files of which nothing is known."""
    ruleset = long_form(text)
    references = {name: shape_of(ruleset, name, None) for name in ruleset.reference_names}
    return compile_ruleset(ruleset, input=shape_of(ruleset, "input", None), references=references)


# columns


def test_columns_that_no_step_computes_are_written_as_they_were_read() -> None:
    written = "a,b,c\n007,1.50,2024-01-31\n1e3,-0,x\n"
    assert run_long("steps: []", written).text == written.split()


def test_a_column_that_is_used_elsewhere_is_still_written_as_it_was_read() -> None:
    assert texts("derive: {twice: a * 2}", "sort: -a", table="a\n1.50\n2e0\n") == [
        "a,twice",
        "2e0,4",
        "1.50,3",
    ]


def test_types_hold_for_every_row() -> None:
    report = run_long(steps("derive: {b: a || '!'}"), "a\n1\n2\n003\n")
    assert report.column("b") == ["1!", "2!", "003!"]
    assert report.types == ["text", "text"]


def test_codes_with_leading_zeros_stay_text() -> None:
    with pytest.raises(RulesError, match="adds a text"):
        run_long(steps("derive: {b: a + 1}"), "a\n00123\n")


def test_derive_sees_names_above_it_and_replaces_in_place() -> None:
    found = texts("derive: {x: a + b, a: x * 10, y: a + 1}", table="a,b\n1,2\n")
    assert found == ["a,b,x,y", "30,2,3,31"]


def test_select_rename_and_drop() -> None:
    lines = ("rename: {desk: Desk, amount: Amount}", "drop: [code, day]", "derive: {Amount: Amount * 2}")
    assert texts(*lines, "limit: 1") == ["Desk,product,Amount", "rates,swap,20"]
    assert texts(*lines, "select: {A: Amount, D: Desk}", "limit: 1") == ["A,D", "20,rates"]
    assert texts("select: code", "limit: 2") == ["code", "007", "008"]


def test_filter_keeps_only_rows_on_which_the_condition_is_true() -> None:
    report = run_long(steps("filter: amount > 3", "select: [amount]"), TRADES)
    assert report.text == ["amount", "10", "7", "4"]
    assert report.dropped == 3


def test_parameters_are_typed_and_have_defaults() -> None:
    rules = (
        "parameters:\n  least: {type: integer, default: 5}\n  day: {type: date, default: 2024-01-02}\n"
        + steps("filter: amount >= :least and day > :day", "select: [amount]")
    )
    assert run_long(rules, TRADES).text == ["amount", "7"]
    assert run_long(rules, TRADES, parameters={"least": 3}).text == ["amount", "7", "3"]


def test_output_chooses_orders_and_names() -> None:
    rules = "steps: []\noutput: {columns: {Product: product, Code: code, Again: code}}"
    assert run_long(rules, TRADES).text[:2] == ["Product,Code,Again", "swap,007,007"]


# rejects


def test_a_row_is_judged_step_by_step() -> None:
    report = run_long(
        steps(
            "derive: {q: 1 / (amount - 10)}",
            "filter: amount < 5",
            "derive: {r: 1 / (amount - 3)}",
            "limit: 5",
            "derive: {s: 1 / (amount - 4)}",
            "select: [amount]",
        ),
        TRADES,
    )
    assert report.text == ["amount", "2.50"]
    assert [(reject.row, reject.columns, reject.reasons) for reject in report.rejects] == [
        (1, ("q",), ("division by zero",)),
        (5, ("r",), ("division by zero",)),
        (6, ("s",), ("division by zero",)),
    ]
    assert report.rejects[0].values == "amount='10'"
    assert report.rejects[0].rules == ("1 / (amount - 10)",)
    assert report.dropped == 2


def test_an_error_rejects_a_row_even_if_nothing_uses_the_value() -> None:
    report = run_long(steps("derive: {q: 1 / a}", "select: [b]"), "a,b\n0,x\n1,y\n")
    assert report.column("b") == ["y"]
    assert [reject.row for reject in report.rejects] == [1]


def test_an_error_in_the_argument_of_an_aggregate_rejects_the_row() -> None:
    report = run_long(steps("aggregate: {measures: {t: sum(6 / a), n: count(*)}}"), "a\n0\n1\n2\n")
    assert report.rows == [("9", "2")]
    assert [(reject.row, reject.columns) for reject in report.rejects] == [(1, ("t",))]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ("aggregate: {by: desk, measures: {t: sum(amount)}}", "derive: {q: 1 / (t - 7)}"),
            "division by zero .*t='7'",
        ),
        (("aggregate: {by: desk, measures: {t: 1 / (sum(amount) - 7)}}",), "division by zero .*desk=null"),
        (("distinct: [desk]", "derive: {q: 1 / (amount - 7)}"), "division by zero .*amount='7'"),
        (("top: {n: 2, by: amount}", "derive: {q: 1 / (amount - 3)}"), "division by zero"),
        (("window: {columns: {q: 1 / (row_number() - 2)}}",), "steps\\[0\\].*division by zero"),
        (("aggregate: {measures: {t: sum(9223372036854775807)}}",), "too large"),
    ],
)
def test_an_error_on_a_row_that_is_no_input_row_fails_the_run(lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(FailedRunError, match=message):
        run_long(steps(*lines), TRADES)


# lookup


def test_lookup_adds_columns_and_defaults_fill_missing_rows_only() -> None:
    rules = steps(
        "lookup: {reference: desks, match: {desk: desk_id}, defaults: {desk_name: unknown, fee: 0}}",
        "derive: {gross: amount * fee}",
        "select: [desk, desk_name, fee, gross]",
    )
    report = run_long(rules, TRADES, desks=DESKS.replace("Forex", "     "))
    assert report.text == [
        "desk,desk_name,fee,gross",
        "rates,Rates,0.5,5",
        "rates,Rates,0.5,1.25",
        "fx,,2,",
        ",unknown,0,0",
        "fx,,2,6",
        "rates,Rates,0.5,2",
    ]
    assert report.types == ["text", "text", "number", "number"]


def test_a_default_widens_an_inferred_column_and_must_fit_a_typed_one() -> None:
    line = "lookup: {reference: r, match: [k], defaults: {v: none}}"
    assert texts(line, table="k\na\nb\n", r="k,v\na,1\n") == ["k,v", "a,1", "b,none"]
    contract = "references: {r: {schema: {fields: [{name: k}, {name: v, type: integer}]}}}\n"
    with pytest.raises(RulesError, match="the default 'none' does not fit `v`, which is integer"):
        run_long(contract + steps(line), "k\na\n", r="k,v\na,1\n")


def test_lookup_keys_match_as_text() -> None:
    found = texts(
        "lookup: {reference: r, match: {a: k}, take: [v]}",
        table="a\n7\n07\n7.0\nA\n",
        r="k,v\n7,x\na,y\n",
    )
    assert found == ["a,v", "7,x", "07,", "7.0,", "A,"]


def test_lookup_keys_match_by_value_where_contracts_type_both_sides() -> None:
    contracts = (
        "input: {schema: {fields: [{name: k, type: integer}]}}\n"
        "references: {r: {schema: {fields: [{name: k, type: number}, {name: v}]}}}\n"
    )
    rules = contracts + steps("lookup: {reference: r, match: [k]}")
    assert run_long(rules, "k\n01\n2\n", r="k,v\n1.0,a\n2,b\n").text == ["k,v", "1,a", "2,b"]
    with pytest.raises(FailedRunError, match="several rows of r have this key"):
        run_long(rules, "k\n1\n", r="k,v\n1.0,a\n1,b\n")


def test_keys_of_types_that_are_never_equal_are_a_problem() -> None:
    ruleset = long_form(
        "input: {schema: {fields: [{name: k, type: date}]}}\n"
        "references: {r: {schema: {fields: [{name: k, type: integer}]}}}\n"
        + steps("lookup: {reference: r, match: [k]}")
    )
    assert "`k` is date and `k` of the reference is integer" in problems_of(ruleset)[0]


def test_blank_keys_match_nothing_and_are_no_duplicates() -> None:
    assert texts("lookup: {reference: r, match: [k]}", table="k,x\n,1\n", r="k,v\n,a\n,b\n") == [
        "k,x,v",
        ",1,",
    ]


def test_composite_keys() -> None:
    found = texts(
        "lookup: {reference: r, match: {a: x, b: y}}",
        table="a,b\n1,2\n1,3\n1,\n",
        r="x,y,v\n1,2,p\n1,3,q\n2,3,r\n",
    )
    assert found == ["a,b,v", "1,2,p", "1,3,q", "1,,"]


def test_a_duplicate_key_is_an_error_unless_the_rules_choose() -> None:
    def found(rest: str) -> list[str]:
        return texts(f"lookup: {{reference: r, match: [k]{rest}}}", table="k\na\n", r="k,v\na,1\nb,9\na,2\n")

    assert found(", duplicates: first") == ["k,v", "a,1"]
    assert found(", duplicates: last") == ["k,v", "a,2"]
    with pytest.raises(FailedRunError, match="duplicate key k in r"):
        found("")


def test_rows_without_a_match() -> None:
    def report(missing: str) -> tuple[list[str | None], int, int]:
        rules = steps(f"lookup: {{reference: desks, match: {{desk: desk_id}}, missing: {missing}}}")
        found = run_long(rules, TRADES, desks=DESKS)
        return found.column("desk_name"), len(found.rejects), found.dropped

    names: list[str | None] = ["Rates", "Rates", "Forex", "Forex", "Rates"]
    assert report("reject") == (names, 1, 0)
    assert report("drop") == (names, 0, 1)
    assert report("default")[0].count(None) == 1
    with pytest.raises(FailedRunError, match=r"no row of desks has this key \(`desk_id`\) \(desk=null\)"):
        report("fail")


def test_a_reject_of_a_lookup_tells_the_key() -> None:
    rules = steps("lookup: {reference: desks, match: {desk: desk_id}, missing: reject}")
    (reject,) = run_long(rules, TRADES, desks=DESKS).rejects
    assert (reject.row, reject.columns, reject.values) == (4, ("desk",), "desk=null")


def test_lookups_follow_each_other_also_on_derived_keys() -> None:
    found = texts(
        "derive: {k: upper(a)}",
        "lookup: {reference: one, match: [k], take: {first: v}}",
        "lookup: {reference: two, match: {first: k}, take: {second: v}}",
        "filter: second is not null",
        table="a\nx\ny\n",
        one="k,v\nX,p\nY,q\n",
        two="k,v\nq,end\n",
    )
    assert found == ["a,k,first,second", "y,Y,q,end"]


def test_a_lookup_refuses_names_that_exist() -> None:
    ruleset = long_form(steps("lookup: {reference: r, match: [k], take: [v]}"))
    found = problems_of(ruleset, input=["k", "V"], r=["k", "v"])
    assert "there is a column `V` already; take it under another name (`take: {v_2: v}`)" in found[0]


# joins


def test_joins_keep_left_then_right_order() -> None:
    def found(how: str) -> list[str]:
        line = f"join: {{reference: r, match: {{desk: id}}, how: {how}}}"
        return texts(line, "select: [desk, amount, v]", r="id,v\nfx,1\nem,9\nfx,2\n")

    inner = ["fx,,1", "fx,,2", "fx,3,1", "fx,3,2"]
    left = ["rates,10,", "rates,2.50,", "fx,,1", "fx,,2", ",7,", "fx,3,1", "fx,3,2", "rates,4,"]
    assert found("inner") == ["desk,amount,v", *inner]
    assert found("left") == ["desk,amount,v", *left]
    assert found("full") == ["desk,amount,v", *left, "em,,9"]


def test_semi_and_anti_joins_only_choose_rows() -> None:
    def found(how: str) -> list[str]:
        line = f"join: {{reference: r, match: {{desk: id}}, how: {how}}}"
        return texts(line, "select: [amount]", r="id,v\nfx,1\n,3\nfx,2\n")

    assert found("semi") == ["amount", "", "3"]
    assert found("anti") == ["amount", "10", "2.50", "7", "4"]


# groups


def test_aggregate_orders_groups_by_their_keys_nulls_last() -> None:
    found = texts(
        "aggregate: {by: [desk], measures: {n: count(*), total: sum(amount), share: 'round(sum(amount) / count(*), 2)',"
        " kinds: count(distinct product), first: first(product)}}"
    )
    assert found == [
        "desk,n,total,share,kinds,first",
        "fx,2,3,1.5,1,spot",
        "rates,3,16.5,5.5,2,swap",
        ",1,7,7,1,swap",
    ]


def test_aggregate_without_by_is_one_row_also_of_nothing() -> None:
    line = "aggregate: {measures: {n: count(*), total: sum(a)}}"
    assert texts(line, table="a\n1\n2\n") == ["n,total", "2,3"]
    assert texts(line, table="a\n") == ["n,total", "0,"]
    assert texts("aggregate: {by: a, measures: {n: count(*)}}", table="a\n") == ["a,n"]


def test_numbers_that_are_equal_are_one_group_and_the_first_is_written() -> None:
    found = texts("aggregate: {by: a, measures: {n: count(*)}}", table="a\n1.0\n2.5\n1\n1.00\n")
    assert found == ["a,n", "1.0,3", "2.5,1"]


def test_steps_after_an_aggregate() -> None:
    found = texts(
        "aggregate: {by: [desk, product], measures: {total: sum(amount)}}",
        "filter: total > 2",
        "lookup: {reference: desks, match: {desk: desk_id}, missing: drop, take: [fee]}",
        "derive: {net: total * fee}",
        "sort: -net",
        "limit: 2",
        desks=DESKS,
    )
    assert found == ["desk,product,total,fee,net", "rates,swap,14,0.5,7", "fx,spot,3,2,6"]


def test_a_measure_that_names_a_single_rows_column_is_told() -> None:
    ruleset = long_form(steps("aggregate: {by: [a], measures: {t: sum(b) / c}}"))
    assert (
        "`c` has many values in a group; put it into `by`" in problems_of(ruleset, input=["a", "b", "c"])[0]
    )


@pytest.mark.parametrize(
    "step",
    [
        "aggregate: {measures: {total: sum(b), share: sum(b) / total}}",
        "aggregate: {measures: {total: sum(b), share: max(total)}}",
        "window: {columns: {total: sum(b), share: b / total}}",
        "window: {columns: {total: row_number(), share: sum(total)}}",
    ],
)
def test_a_measure_that_uses_another_one_of_its_step_is_told(step: str) -> None:
    told = problems_of(long_form(steps(step)), input=["a", "b"])
    assert len(told) == 1
    assert "`total` is made in this very step; it can be used from the next step on" in told[0]


def test_joining_texts_over_and_over_ends_at_the_bound() -> None:
    doubling = ["derive: {x: \"x || 'x'\"}" if not number else "derive: {x: x || x}" for number in range(40)]
    report = run_long(steps(*doubling), "x\na\nb\n")
    assert report.rows == []
    assert [reject.reasons for reject in report.rejects] == [
        ("the text would be longer than 100000 characters",)
    ] * 2


def test_different_texts_are_joined_once_each() -> None:
    measures = "{all: \"string_agg(distinct product, '|')\", many: count(distinct product)}"
    assert texts(f"aggregate: {{measures: {measures}}}") == ["all,many", "bond|spot|swap,3"]
    found = texts(f"window: {{partition_by: desk, columns: {measures}}}", "select: [desk, all, many]")
    assert found == [
        "desk,all,many", "rates,bond|swap,2", "rates,bond|swap,2", "fx,spot,1", ",swap,1", "fx,spot,1", "rates,bond|swap,2"
    ]  # fmt: skip


def test_window_columns_see_their_partition() -> None:
    found = texts(
        "window: {partition_by: [desk], order_by: [-amount], columns: {place: row_number(), total: sum(amount),"
        " sofar: running_sum(amount), share: 'round(amount / sum(amount), 2)', before: lag(amount)}}",
        "select: [desk, amount, place, total, sofar, share, before]",
    )
    assert found == [
        "desk,amount,place,total,sofar,share,before",
        "rates,10,1,16.5,10,0.61,",
        "rates,2.50,3,16.5,16.5,0.15,4",
        "fx,,2,3,3,,3",
        ",7,1,7,7,1,",
        "fx,3,1,3,3,1,",
        "rates,4,2,16.5,14,0.24,10",
    ]


def test_top_comes_in_its_own_order_and_breaks_ties_by_row_order() -> None:
    table = "k,v,n\na,1,p\nb,5,q\na,5,r\nb,2,s\na,5,t\n"
    assert texts("top: {n: 3, by: -v}", table=table) == ["k,v,n", "b,5,q", "a,5,r", "a,5,t"]
    assert texts("top: {n: 1, by: -v, per: k}", table=table) == ["k,v,n", "a,5,r", "b,5,q"]


def test_distinct_keeps_the_first() -> None:
    assert texts("distinct: [desk]", "select: [desk, amount]") == ["desk,amount", "rates,10", "fx,", ",7"]
    assert texts("distinct: true", table="a,b\n1,x\n1,y\n1,x\n,x\n,x\n") == ["a,b", "1,x", "1,y", ",x"]


def test_pivot_sorts_columns_by_value_and_leaves_nulls_out() -> None:
    table = "desk,year,v\na,2024,1\nb,2023,2\na,2023,3\na,2024,5\nb,,7\nb,10,1\n"
    assert texts("pivot: {by: desk, column: year, values: sum(v)}", table=table) == [
        "desk,10,2023,2024",
        "a,,3,6",
        "b,1,2,",
    ]
    assert texts(
        "pivot: {by: desk, column: year, values: {n: count(*), t: sum(v)}, columns: [2024, 2022]}",
        table=table,
    ) == [
        "desk,2024_n,2024_t,2022_n,2022_t",
        "a,2,6,0,",
        "b,0,,0,",
    ]


def test_a_pivot_of_nothing_and_one_that_fails() -> None:
    assert texts("pivot: {by: desk, column: x, values: count(*)}", table="desk,x\n") == ["desk"]
    with pytest.raises(FailedRunError, match=r"steps\[0\].pivot.values : division by zero .*product='swap'"):
        run_long(steps("pivot: {by: desk, column: product, values: 1 / (sum(amount) - 7)}"), TRADES)


def test_steps_after_a_pivot_that_only_data_knows() -> None:
    found = texts(
        "pivot: {by: [desk], column: product, values: sum(amount)}",
        "derive: {z: coalesce(swap, 0) + 1}",
        "sort: -z",
        "unpivot: {columns: [swap, bond, z]}",
        "filter: value > 2",
        "pivot: {by: [name], column: desk, values: max(value)}",
    )
    assert found == ["name,fx,rates", "bond,,2.5", "swap,,14", "z,,15"] or found[0] == "name,rates"


def test_unpivot_keeps_nulls_and_row_order() -> None:
    found = texts("unpivot: {columns: [a, b], name: what, value: it}", table="k,a,b\nx,1,2.50\ny,,3\n")
    assert found == ["k,what,it", "x,a,1", "x,b,2.50", "y,a,", "y,b,3"]


def test_append_puts_a_references_rows_behind() -> None:
    more = "desk,amount\nnew,99\nfx,1.50\n"
    found = texts("select: [desk, amount]", "append: {reference: more}", "derive: {x: amount + 1}", more=more)
    assert found[-3:] == ["rates,4,5", "new,99,100", "fx,1.50,2.5"]
    renamed = texts("append: {reference: r, columns: {a: x}}", table="a,b\n1,p\n", r="x,y\n2,q\n")
    assert renamed == ["a,b", "1,p", "2,"]


# order


def test_sort_is_stable_with_nulls_last_both_ways() -> None:
    table = "a,b,n\n2,1,p\n1,1,q\n2,3,r\n1,2,s\n,9,t\n2,,u\n"
    assert texts("sort: -b", "sort: a", "select: [n]", table=table) == ["n", "s", "q", "r", "p", "u", "t"]
    assert texts("sort: [-a]", "select: [n]", table=table) == ["n", "p", "r", "u", "q", "s", "t"]


def test_texts_sort_by_code_point_and_numbers_by_size() -> None:
    assert texts("sort: a", table="a\nb\nB\nä\na\n") == ["a", "B", "a", "b", "ä"]
    assert texts("sort: a", table="a\n10\n9\n1.5\n") == ["a", "1.5", "9", "10"]


def test_a_sort_counts_for_the_steps_behind_it() -> None:
    assert texts("sort: -amount", "limit: 2", "select: [amount]") == ["amount", "10", "7"]
    assert texts("sort: -amount", "distinct: [desk]", "select: [desk, amount]") == [
        "desk,amount",
        "rates,10",
        ",7",
        "fx,3",
    ]
    assert texts("sort: -amount", "aggregate: {measures: {all: 'string_agg(code, ''/'')'}}") == [
        "all",
        "007/009/011/010/008",
    ]
    assert texts("sort: -amount", "derive: {amount: 1}", "select: [code]")[1] == "007"


def test_a_column_may_be_called_like_a_descending_one() -> None:
    assert texts("sort: -a", table="-a,a\n2,1\n1,2\n") == ["-a,a", "1,2", "2,1"]


def test_columns_may_be_words_of_the_compiler() -> None:
    table = "_row,_state,key,cells,i\n3,a,x,1,2\n1,b,y,3,4\n"
    found = texts("sort: _row", "derive: {value: cells + i}", "limit: 9", table=table)
    assert found == ["_row,_state,key,cells,i,value", "1,b,y,3,4,7", "3,a,x,1,2,3"]


# contracts

CONTRACT = """
input:
  schema:
    missingValues: ["", "NA"]
    primaryKey: id
    fields:
      - {name: id, type: string, constraints: {pattern: "T[0-9]+"}}
      - {name: amount, type: decimal, precision: 18, scale: 2, constraints: {minimum: 0}}
      - {name: day, type: date, format: "%d/%m/%Y", severity: warn, constraints: {minimum: "01/01/2024"}}
      - {name: desk, type: string}
    foreignKeys: [{fields: desk, reference: {resource: desks, fields: desk_id}}]
references: {desks: {}}
"""
CONTRACT_INPUT = """
id, amount, day       , desk , x
T1, 1.50  , 01/02/2024, rates, 1
T2, -1    , 01/02/2024, rates, 2
X , abc   , 31/02/2024, zz   , 3
T1, 2     , 01/02/2024, fx   , 4
T3, NA    , 01/02/2023,      , 5
  , 1.234 , 01/02/2024, rates, 6
T4, 100   , 05/02/2024, fx   , 0
"""


def test_a_row_that_breaks_the_contract_is_one_reject_with_every_reason() -> None:
    report = run_long(CONTRACT + steps("derive: {q: 10 / x}"), CONTRACT_INPUT, desks=DESKS)
    assert report.text == ["id,amount,day,desk,x,q", "T1,1.50,2024-02-01,rates,1,10", "T3,,2023-02-01,,5,2"]
    found = {reject.row: dict(zip(reject.rules, reject.columns, strict=True)) for reject in report.rejects}
    assert found == {
        2: {"minimum: 0": "amount"},
        3: {
            "type decimal(18,2)": "amount",
            "type date %d/%m/%Y": "day",
            "pattern: T[0-9]+": "id",
            "foreignKeys: desk -> desks(desk_id)": "desk",
        },
        4: {"primaryKey: id": "id"},
        6: {"type decimal(18,2)": "amount", "required": "id"},
        7: {"10 / x": "q"},
    }
    assert report.warned == {"day minimum: 01/01/2024": 1}
    assert report.types == ["text", "decimal(18,2)", "date", "text", "integer", "number"]


def test_a_unique_key_may_have_several_columns_and_nulls() -> None:
    rules = (
        "input: {schema: {uniqueKeys: [[a, b]], fields: [{name: a, type: integer}, {name: b}]}}\nsteps: []"
    )
    report = run_long(rules, "a,b\n1,x\n01,x\n1,y\n,x\n,x\n")
    assert report.text == ["a,b", "1,x", "1,y", ",x", ",x"]
    assert [(reject.row, reject.rules) for reject in report.rejects] == [(2, ("uniqueKeys: a, b",))]


def test_a_column_of_the_contract_must_be_there() -> None:
    ruleset = long_form(CONTRACT + "steps: []")
    found = problems_of(ruleset, input=["id", "amont", "day", "desk"])
    assert any(
        "column `amount` of the contract is missing in the input; did you mean `amont`?" in one
        for one in found
    )


def test_the_outputs_contract_is_counted() -> None:
    rules = steps("derive: {b: a * 2}") + (
        "\noutput: {schema: {fields: [{name: b, constraints: {maximum: 4, required: true}}, {name: a, type: integer}]}}"
    )
    report = run_long(rules, "a,c\n1,\n2,\n3,\n,x\n")
    assert report.broken_output == {"b maximum: 4": 1, "b required": 1}
    assert len(report.rows) == 4


def test_the_outputs_contract_must_fit_the_columns() -> None:
    rules = steps("derive: {b: length(a)}") + (
        "\noutput: {schema: {fields: [{name: b, type: date}, {name: q, type: string}]}}"
    )
    with pytest.raises(RulesError) as error:
        run_long(rules, "a\n1\n")
    assert [(one.path, one.message) for one in error.value.problems] == [
        ("output.schema.fields[0].type", "column `b` is integer, not date"),
        ("output.schema.fields[1].name", "the report has no column `q`"),
    ]


# problems


def test_every_problem_is_told_once_with_its_place() -> None:
    ruleset = long_form(
        CONTRACT
        + steps(
            "derive: {g: amont * 2, h: day > 5, t: id + 'x'}",
            "select: [desk, nope]",
            "filter: amount > 1",
            "lookup: {reference: desks, match: {desk: desk_idd}, take: {fee: feee}}",
            "aggregate: {by: [deskk], measures: {n: sum(desk)}}",
            "sort: [-zz]",
        )
        + "\noutput: {columns: {a: n, b: d}}\n"
    )
    found = problems_of(ruleset, input=["id", "amount", "day", "desk"], desks=["desk_id", "fee"])
    assert [line.split("  ", 1)[1] for line in found] == [
        "steps[0].derive.g  unknown column `amont`; did you mean `amount`?",
        "steps[0].derive.h  `day > 5` compares a date with a number; write a date as date '2024-01-31'",
        "steps[0].derive.t  `id + 'x'` adds a text; texts are joined by `||`, and number(...) reads a text as a number",
        "steps[1].select[1]  unknown column `nope`",
        "steps[2].filter  unknown column `amount`",
        "steps[3].lookup.match  unknown column `desk_idd` in `desks`; did you mean `desk_id`?",
        "steps[3].lookup.take.fee  unknown column `feee`; did you mean `fee`?",
        "steps[4].aggregate.by[0]  unknown column `deskk`; did you mean `desk`?",
        "steps[4].aggregate.measures.n  `sum`: `number` must be a number, not a text",
        "steps[5].sort[0]  unknown column `zz`",
        "output.columns.b  unknown column `d`",
    ]


def test_nothing_is_said_of_columns_that_are_not_known_yet() -> None:
    lines = (
        "lookup: {reference: r, match: {a: k}}",
        "derive: {x: b + c, y: upper(d)}",
        "aggregate: {by: [e], measures: {n: sum(x)}}",
    )
    plan = dry_plan(steps(*lines))
    assert plan.problems == ()
    assert [step.is_open for step in plan.steps] == [True, True, False]
    found = dry_plan(steps(*lines, "sort: x")).problems
    assert [(one.path, one.message) for one in found] == [("steps[3].sort[0]", "unknown column `x`")]


def test_contracts_alone_give_types() -> None:
    plan = dry_plan(
        CONTRACT
        + steps("derive: {g: amount * 2, n: 'length(id)'}", "aggregate: {by: day, measures: {t: sum(g)}}")
    )
    assert [str(column.type) for column in plan.columns] == ["date", "decimal(38,2)"]
    found = {column.name: str(column.type) for column in plan.steps[0].columns}
    assert (found["amount"], found["n"], found["id"]) == ("decimal(18,2)", "integer", "text")


def test_what_fails_on_every_row_can_be_told_beforehand() -> None:
    plan = dry_plan(
        steps("derive: {a: cast('abc' as integer), b: 1 / (2 - 2), c: case when x > 0 then 1 / 0 end}")
    )
    tried = [duckdb.sql(f"SELECT {condition}").fetchall()[0][0] for condition, _ in plan.constant_checks]
    found = [problem.path for (_, problem), holds in zip(plan.constant_checks, tried, strict=True) if holds]
    assert found == ["steps[0].derive.a", "steps[0].derive.b"]
    assert "fails on every row" in plan.constant_checks[0][1].message


def test_formulas_are_checked_against_headers() -> None:
    from reportgen_dagster.rules.reading.loading import load_ruleset

    ruleset = load_ruleset("- {output: a, formula: fiel + 1}")

    def told(**headers: list[str]) -> list[Problem]:
        return check_report(
            ruleset, {name: shape_of(ruleset, name, header) for name, header in headers.items()}
        )

    (problem,) = told(input=["field", "k"], reference=["k", "v"])
    assert str(problem) == "rules.yaml:1:24  [0].formula  unknown column `fiel`; did you mean `field`?"
    (problem,) = told(input=["fiel"], reference=["Fiel"])
    assert problem.source == "reference"
    assert "`Fiel` and `fiel` differ by case" in problem.message
    assert told(input=["field"]) == []


# plans


def test_until_shows_the_columns_before_a_step() -> None:
    rules = steps("derive: {b: a * 2}", "aggregate: {measures: {t: sum(b)}}") + "\noutput: {columns: [t]}"
    assert run_long(rules, "a\n1\n2\n", until=1).text == ["a,b", "1,2", "2,4"]
    assert run_long(rules, "a\n1\n2\n", until=0).text == ["a", "1", "2"]
    assert run_long(rules, "a\n1\n2\n", until=2).text == ["t", "6"]


def test_a_block_gives_only_what_later_ones_use() -> None:
    report = run_long(
        steps("derive: {x: amount * 2, y: amount * 3}", "aggregate: {by: desk, measures: {t: sum(x)}}"),
        TRADES,
    )
    first, second = report.plan.blocks
    assert '"y"' not in first.sql
    assert "product" not in first.sql
    assert not first.has_state
    assert first.diverts
    assert not second.diverts


def test_a_long_chain_of_steps() -> None:
    chain = [f"derive: {{x: x + {number}}}" for number in range(100)]
    assert run_long(steps(*chain), "x\n1\n").rows == [("4951",)]


def test_the_same_rules_give_the_same_plan() -> None:
    rules = steps("sort: -amount", "aggregate: {by: desk, measures: {t: sum(amount)}}", "distinct: [t]")
    assert run_long(rules, TRADES).plan == run_long(rules, TRADES).plan
