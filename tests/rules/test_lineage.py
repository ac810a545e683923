"""Each column of a report back to the columns of files that it is made of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from reportgen_dagster.rules.compiling.compile import compile_ruleset
from reportgen_dagster.rules.compiling.plan import OutputColumn, Plan, TableShape
from reportgen_dagster.rules.explain import explain
from reportgen_dagster.rules.reading.loading import load_ruleset
from tests.engine.making import make_long
from tests.rules.harness import Run, long_form, table

TRADES = "desk,product,amount\nrates,swap,10\nfx,spot,2\n"
DESKS = "desk_id,fee,head\nrates,0.5,Ann\n"


def lineage(steps: str, **references: str) -> dict[str, list[str]]:
    """Return the sources of each column as `file.column`."""
    tables = {name: table(text) for name, text in {"input": TRADES, **references}.items()}
    with Run(long_form(steps), tables) as run:
        plan = run.report().plan
    return {column.name: [f"{file}.{name}" for file, name in column.sources] for column in plan.columns}


def test_through_lookups_and_expressions() -> None:
    found = lineage(
        """
        steps:
          - lookup: {reference: desks, match: {desk: desk_id}, take: {charge: fee}}
          - derive: {gross: amount * charge, twice: gross + amount, one: "1"}
          - rename: {twice: double}
        output: {columns: {Total: double, One: one, Desk: desk, Charge: charge}}
        """,
        desks=DESKS,
    )
    assert found == {
        "Total": ["input.amount", "desks.fee"],
        "One": [],
        "Desk": ["input.desk"],
        "Charge": ["desks.fee"],
    }


def test_through_aggregates_and_windows() -> None:
    found = lineage(
        """
        steps:
          - aggregate: {by: desk, measures: {total: sum(amount), n: count(*), kinds: count(distinct product)}}
          - window: {order_by: total, columns: {share: total / sum(total), place: row_number()}}
        """
    )
    assert found == {
        "desk": ["input.desk"],
        "total": ["input.amount"],
        "n": [],
        "kinds": ["input.product"],
        "share": ["input.amount"],
        "place": [],
    }


def test_through_pivots_and_unpivots() -> None:
    found = lineage(
        """
        steps:
          - pivot: {by: desk, column: product, values: sum(amount)}
          - unpivot: {columns: [spot, swap]}
        """
    )
    assert found == {
        "desk": ["input.desk"],
        "name": [],
        "value": ["input.amount", "input.product"],
    }


PIVOT = "pivot: {by: desk, column: product, values: %s}"


def _planned(steps: str, output: str = "") -> Plan:
    """Return the plan of steps for files of which only the input's columns are known."""
    rules = long_form(f"steps: [{steps}]\n{output}")
    return compile_ruleset(
        rules, input=TableShape("input", ("desk", "product", "amount")), references={}, with_queries=False
    )


def _sources(columns: Iterable[OutputColumn]) -> dict[str, list[str]]:
    return {column.name: [f"{file}.{name}" for file, name in column.sources] for column in columns}


@pytest.mark.parametrize(
    ("steps", "families"),
    [
        (PIVOT % "sum(amount)", {"<values of product>": ["input.amount", "input.product"]}),
        (PIVOT % "count(*)", {"<values of product>": ["input.product"]}),
        (
            PIVOT % "{n: count(*), total: sum(amount)}",
            {
                "<values of product>_n": ["input.product"],
                "<values of product>_total": ["input.amount", "input.product"],
            },
        ),
        (
            "rename: {product: kind}}, {" + PIVOT.replace("product", "kind") % "max(amount)",
            {"<values of kind>": ["input.amount", "input.product"]},
        ),
        (
            PIVOT % "sum(amount)" + "}, {drop: [desk]}, {derive: {one: spot}}, {sort: one",
            {"<values of product>": ["input.amount", "input.product"]},
        ),
    ],
)
def test_what_a_pivot_will_make_is_told_before_data(steps: str, families: dict[str, list[str]]) -> None:
    plan = _planned(f"{{{steps}}}")
    assert not plan.problems
    assert _sources(plan.families) == families
    assert _sources(plan.steps[-1].families) == families


def test_columns_that_are_chosen_of_a_pivot_come_from_what_it_reads() -> None:
    plan = _planned(
        "{" + PIVOT % "sum(amount)" + "}, {derive: {double: 2 * spot}}",
        "output: {columns: [desk, swap, double]}",
    )
    assert plan.families == ()
    assert _sources(plan.columns) == {
        "desk": ["input.desk"],
        "swap": ["input.amount", "input.product"],
        "double": ["input.amount", "input.product"],
    }


def test_explain_shows_what_a_pivot_will_make() -> None:
    rules = long_form("steps: [{" + PIVOT % "sum(amount)" + "}]")
    explanation = explain(_planned("{" + PIVOT % "sum(amount)" + "}"), rules)
    assert explanation.lineage["<values of product>"] == ("input.amount", "input.product")
    assert "<- input.amount, input.product" in explanation.to_text()
    assert [family["name"] for family in explanation.to_json()["column_families"]] == ["<values of product>"]


def test_data_tell_the_columns_of_a_pivot(tmp_path: Path) -> None:
    text = "steps: [{" + PIVOT % "sum(amount)" + "}]"
    made = make_long(tmp_path, text, TRADES)
    assert made.outcome.sources == {
        "desk": [["input", "desk"]],
        "spot": [["input", "amount"], ["input", "product"]],
        "swap": [["input", "amount"], ["input", "product"]],
    }


def test_what_expressions_name_is_a_source_and_what_chooses_rows_is_none() -> None:
    found = lineage(
        """
        steps:
          - lookup: {reference: desks, match: {desk: desk_id}, take: [fee]}
          - window: {partition_by: desk, order_by: product, columns: {before: lag(amount), part: fee / sum(fee)}}
          - top: {n: 5, by: -amount, per: desk}
          - aggregate:
              by: product
              measures: {large: "sum(case when fee > 1 then amount end)", last: last(before), p: max(part)}
        """,
        desks=DESKS,
    )
    assert found == {
        "product": ["input.product"],
        "large": ["desks.fee", "input.amount"],
        "last": ["input.amount"],
        "p": ["desks.fee"],
    }


def test_through_joins_and_appended_rows() -> None:
    found = lineage(
        """
        steps:
          - select: [desk, amount]
          - join: {reference: desks, match: {desk: desk_id}, how: full}
          - append: {reference: more, columns: {desk: name, amount: value}}
        """,
        desks=DESKS,
        more="name,value\nx,1\n",
    )
    assert found == {
        "desk": ["input.desk", "desks.desk_id", "more.name"],
        "amount": ["input.amount", "more.value"],
        "fee": ["desks.fee"],
        "head": ["desks.head"],
    }


def test_of_the_short_form() -> None:
    rules = load_ruleset("- {output: out, formula: 'amount * max(fee, 1)'}\n- {output: head, formula: head}")
    tables = {"input": table(TRADES), "reference": table(DESKS.replace("desk_id", "desk"))}
    with Run(rules, tables) as run:
        plan = run.report().plan
    assert [column.sources for column in plan.columns] == [
        (("input", "amount"), ("reference", "fee")),
        (("reference", "head"),),
    ]
