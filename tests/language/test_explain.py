"""`reportgen explain`: what rules mean, shown."""

from __future__ import annotations

import json

from reportgen_dagster.rules.reading.loading import load_ruleset
from tests.language.asking import Asking, Command

RULES = """version: 1
input:
  schema: {fields: [{name: amount, type: decimal, precision: 9, scale: 2}, {name: desk}]}
steps:
  - lookup: {reference: desks, match: {desk: id}, take: {unit: name}}
  - derive: {double: amount * 2}
    name: twice as much
  - aggregate: {by: [unit], measures: {total: sum(double), rows: count(*)}}
output:
  columns: {Unit: unit, Total: total, Rows: rows}
"""


def test_explain_shows_the_steps_as_a_graph(reportgen: Command) -> None:
    # `reportgen explain RULES` shows what the rules mean: the steps as a graph (Mermaid)
    told = json.loads(reportgen("explain", "rules.yaml", "--json", rules=RULES).out)
    graph = told["graph"]
    assert graph.startswith("flowchart")
    for words in ("input", "desks", "twice as much", "aggregate"):
        assert words in graph
    assert graph.count("-->") >= 4


def test_explain_shows_the_columns_after_each_step(reportgen: Command) -> None:
    # the columns after each step
    told = json.loads(reportgen("explain", "rules.yaml", "--json", rules=RULES).out)
    names = [[column["name"] for column in step["columns"]] for step in told["steps"]]
    assert names == [
        ["amount", "desk", "unit"],
        ["amount", "desk", "unit", "double"],
        ["unit", "total", "rows"],
    ]


def test_explain_shows_the_sql_that_will_run(ask: Asking, reportgen: Command) -> None:
    # the SQL that will run for the chosen engine
    files = ["-i", "input.csv", "-r", "desks=desks.csv"]
    data, desks = "amount,desk\n1.00,d1\n", "id,name\nd1,FX\n"
    told = json.loads(
        reportgen("explain", "rules.yaml", *files, "--json", rules=RULES, input=data, desks=desks).out
    )
    ran = ask.long(RULES.removeprefix("version: 1\n"), data, desks=desks).outcome.sql
    for query in told["sql"]:
        if query["name"].startswith(("The query", "Query")):
            assert query["sql"] in ran


def test_explain_shows_the_lineage_of_each_output_column(reportgen: Command) -> None:
    # the lineage of each output column back to input and reference columns.
    told = json.loads(reportgen("explain", "rules.yaml", "--json", rules=RULES).out)
    assert set(told["lineage"]) == {"Unit", "Total", "Rows"}
    assert "desks.name" in told["lineage"]["Unit"]
    assert told["lineage"]["Total"] == ["input.amount"]


def test_explain_shows_all_of_it_as_a_file_of_rules(reportgen: Command) -> None:
    # `reportgen explain RULES` shows what the rules mean
    shown = reportgen("explain", "rules.yaml", rules=RULES)
    assert shown.code == 0
    for words in ("flowchart", "SELECT", "Total: decimal", "<- input.amount"):
        assert words in shown.out
    assert load_ruleset(shown.out).document == load_ruleset(RULES).document


def test_what_explain_shows_loads_whatever_characters_names_and_texts_have(reportgen: Command) -> None:
    # itself a valid long-form file.
    text = 'version: 1\nsteps:\n  - derive: {"a\\u2028b": "\'\\u0085\\x1f# \\r x\' || \\"n\\""}\n'
    shown = reportgen("explain", "rules.yaml", "-i", "input.csv", rules=text, input="n\nx\n")
    assert load_ruleset(shown.out).document == load_ruleset(text).document
