"""Each column of a report back to the columns of files that it is made of."""

from __future__ import annotations

from reportgen_dagster.rules.reading.loading import load_ruleset
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
