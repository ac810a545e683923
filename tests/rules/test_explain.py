"""What `explain` shows: long form, graph, columns, queries, lineage; and that the long form means the same."""

from __future__ import annotations

import json

import pytest

from reportgen_dagster.rules.compiling.compile import compile_ruleset
from reportgen_dagster.rules.explain import Explanation, explain
from reportgen_dagster.rules.reading.loading import load_ruleset
from reportgen_dagster.rules.reading.ruleset import Ruleset
from tests.rules.checking import shape_of
from tests.rules.harness import Run, long_form, run, table
from tests.rules.test_golden import TRADE, TRADE_INPUT, TRADE_REFERENCE

RULES = """
version: 1
title: Desk "margin" <1>
input:
  schema:
    fields:
      - {name: desk, type: string}
      - {name: amount, type: decimal, precision: 18, scale: 2}
references:
  desks: {schema: {fields: [{name: desk_id}, {name: fee, type: decimal, precision: 9, scale: 3}]}}
steps:
  - lookup: {reference: desks, match: {desk: desk_id}, take: [fee]}
    name: fees
  - derive: {gross: amount * fee}
  - aggregate: {by: [desk], measures: {total: sum(gross)}}
  - sort: -total
"""
BLOCK_0 = """\
SELECT
  "gross" AS "gross",
  "desk" AS "desk",
  CASE
    WHEN (
      NOT "amount" IS NULL AND "amount_decimal" IS NULL
    )
    THEN CASE WHEN NOT "amount" IS NULL AND "amount_decimal" IS NULL THEN 'c0' END
  END AS "_state"
FROM ("""
BLOCK_1 = """\
SELECT
  "desk" AS "desk",
  "sum" AS "total",
  "_row" AS "_row"
FROM (
  SELECT
    COALESCE(MIN(i."_row"), 0) AS "_row",
    i."desk" AS "desk",
    SUM(i."gross") AS "sum"
  FROM "rows:0" AS i
  GROUP BY
    i."desk"
) AS cells
ORDER BY
  cells."sum" DESC,
  cells."desk" ASC,
  cells."_row" ASC"""


def explained(ruleset: Ruleset) -> Explanation:
    """Explain rules of whose files nothing is known."""
    references = {name: shape_of(ruleset, name, None) for name in ruleset.reference_names}
    plan = compile_ruleset(ruleset, input=shape_of(ruleset, "input", None), references=references)
    return explain(plan, ruleset)


def test_the_graph_shows_files_steps_and_the_report() -> None:
    assert explained(long_form(RULES)).mermaid.splitlines() == [
        "flowchart TD",
        '    input[("input")]',
        '    r0[("desks")]',
        '    s0["0: fees"]',
        "    input --> s0",
        "    r0 --> s0",
        '    s1["1: derive gross"]',
        "    s0 --> s1",
        '    s2["2: aggregate by desk"]',
        "    s1 --> s2",
        '    s3["3: sort -total"]',
        "    s2 --> s3",
        '    report["Desk #quot;margin#quot; #lt;1#gt;"]',
        "    s3 --> report",
    ]


def test_columns_types_and_lineage_come_from_contracts() -> None:
    found = explained(long_form(RULES))
    assert [(step.path, [f"{one.name} {one.type}" for one in step.columns]) for step in found.steps][1:] == [
        ("steps[1]", ["desk text", "amount decimal(18,2)", "fee decimal(9,3)", "gross decimal(27,5)"]),
        ("steps[2]", ["desk text", "total decimal(38,5)"]),
        ("steps[3]", ["desk text", "total decimal(38,5)"]),
    ]
    assert found.lineage == {"desk": ("input.desk",), "total": ("input.amount", "desks.fee")}
    assert found.note == ""


def test_the_queries_are_for_people() -> None:
    (_, first), (title, second) = explained(long_form(RULES)).sql
    assert first.startswith(BLOCK_0)
    assert title == "Query 2, from steps[2]"
    assert second == BLOCK_1


def test_the_text_is_a_rules_file_that_means_the_same() -> None:
    for ruleset in (
        long_form(RULES),
        load_ruleset("- {output: a, formula: 'b + c if b > 0 else max(c, 1)'}"),
    ):
        text = explained(ruleset).to_text()
        again = load_ruleset(text)
        assert again.form == "long"
        assert again.document == ruleset.document
        assert "# The steps as a graph" in text


def test_it_is_data_too() -> None:
    data = json.loads(json.dumps(explained(long_form(RULES)).to_json()))
    assert data["lineage"]["total"] == ["input.amount", "desks.fee"]
    assert data["steps"][0]["label"] == "fees"
    assert data["columns"][1] == {
        "name": "total",
        "type": "decimal(38,5)",
        "sources": [{"file": "input", "column": "amount"}, {"file": "desks", "column": "fee"}],
    }


def test_formulas_are_shown_as_if_their_columns_held_numbers() -> None:
    found = explained(load_ruleset("- {output: a, formula: 'b * 2'}\n- {output: c, formula: d}"))
    assert "as if" in found.note
    assert 'TRY_CAST(i."b" AS DOUBLE)' in found.sql[0][1]
    assert 'i."d" AS "d"' in found.sql[0][1]


def test_the_long_form_of_the_short_form_runs_the_same() -> None:
    short = load_ruleset(
        "\n".join(f"- {{output: {name}, formula: '{formula}'}}" for name, formula in TRADE.items())
    )
    first = run(short, *TRADE_INPUT, reference=TRADE_REFERENCE)
    second = run(load_ruleset(short.to_yaml()), *TRADE_INPUT, reference=TRADE_REFERENCE)
    assert first.plan.text_sql == second.plan.text_sql
    assert first.rows == second.rows


@pytest.mark.parametrize(
    "formula", ["a + b", "a if a > 1 else b", "max(a, b)", "round(a, 1) + 0.5", "a", "a == b", "upper(a)"]
)
def test_every_long_form_that_is_shown_means_the_same(formula: str) -> None:
    short = load_ruleset(f"- output: x\n  formula: {json.dumps(formula)}\n")
    tables = {"input": table("a,b\n2.25,1\n007,8\nx,y\n,z\n"), "reference": table("a,r\nx,1\n")}
    reports = []
    for ruleset in (short, load_ruleset(short.to_yaml())):
        with Run(ruleset, tables) as one:
            report = one.report()
            reports.append((report.rows, [(reject.row, reject.reasons) for reject in report.rejects]))
    assert reports[0] == reports[1]


def test_types_that_only_data_tell_are_told_alike_everywhere() -> None:
    found = explained(
        long_form("""
        version: 1
        steps:
          - derive: {x: a, n: "length(b)"}
        output: {columns: [x, n]}
    """)
    )
    text = found.to_text()
    assert "steps[0] derive: x any, n integer, ..." in text
    assert "x: any <- input.a" in text
    assert text.count("`any`: not known before data") == 2
    assert "not known before data" not in explained(long_form(RULES)).to_text()
