"""Section `Checked before any data moves`: what is checked, and when."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reportgen_dagster.errors import RulesError
from reportgen_dagster.rules.reading.document import rules_schema
from reportgen_dagster.services.check_child import answer
from tests.language.asking import Asking, Command, Told

ROOT = Path(__file__).parents[2]
WRONG = """version: 1
steps:
  - derive: {a: maxx(1), b: "1 +"}
  - filtre: a > 1
  - lookup: {reference: r, match: [k], missing: never}
output: {colums: [a]}
"""


def test_what_needs_no_files_is_checked_always(reportgen: Command) -> None:
    # what needs no files is checked always / Every problem in the file is reported, not only the first
    told = reportgen("check", "rules.yaml", rules=WRONG)
    assert told.code == 2
    places = [line.split()[:2] for line in told.err.splitlines() if "rules.yaml:" in line]
    assert [place[0].split(":")[1] for place in places] == ["3", "3", "4", "5", "6"]
    assert [place[1] for place in places][:2] == ["steps[0].derive.a", "steps[0].derive.b"]
    for words in ("did you mean `max`?", "`filter`", "default, reject", "`columns`"):
        assert words in told.err


def test_check_takes_an_input_and_references(reportgen: Command) -> None:
    # `reportgen check RULES [--input F] [--reference NAME=F]`
    rules = "version: 1\nsteps:\n  - lookup: {reference: r, match: {k: idd}}\n  - derive: {a: amuont + 1}\n"
    assert reportgen("check", "rules.yaml", rules=rules, input="k,amount\na,1\n", r="id,v\na,1\n").code == 0
    told = reportgen("check", "rules.yaml", "--input", "input.csv", "--reference", "r=r.csv")
    assert told.code == 2
    assert "did you mean `id`?" in told.err
    assert "did you mean `amount`?" in told.err


def test_columns_and_keys_are_checked_as_soon_as_headers_are_known(ask: Asking) -> None:
    # columns and keys as soon as headers are known (at the latest when a run or schedule is accepted: refused then with every
    # problem)
    steps = "filter: xx > 1\nlookup: {reference: r, match: {k: nokey}}\nsort: zz\nselect: [k, ww]"
    told = ask.refused_steps(steps, "k,x\na,1\n", r="id,v\na,1\n").splitlines()
    assert len(told) == 4
    assert [name in line for name, line in zip(("`xx`", "`nokey`", "`zz`", "`ww`"), told, strict=True)] == [
        True
    ] * 4


def test_what_only_rows_can_show_ends_the_run(ask: Asking) -> None:
    # what only rows can show ends the run as failed.
    ask.failing("steps: [{aggregate: {measures: {a: 1 / sum(x)}}}]", "x\n0\n")
    ask.failing("steps: [{lookup: {reference: r, match: [k]}}]", "k\na\n", r="k,v\na,1\na,2\n")


def test_a_wrong_dialect_or_contract_is_told_before_any_file(reportgen: Command) -> None:
    # what needs no files is checked always
    rules = """version: 1
input:
  dialect: {delimiter: ab}
  schema: {primaryKey: nosuch, fields: [{name: a, type: decmal}, {name: b, constraints: {pattern: "("}}]}
"""
    told = reportgen("check", "rules.yaml", rules=rules)
    assert told.code == 2
    assert "`decimal`" in told.err
    assert "input.dialect.delimiter" in told.err


def test_what_is_written_is_checked_always(reportgen: Command) -> None:
    rules = """version: 1
output:
  formats: [csv, xls, csv]
  dialect: {delimiter: ",", decimalChar: ",", encoding: klingon, quoting: some}
  guard: excel
"""
    told = reportgen("check", "rules.yaml", rules=rules)
    assert told.code == 2
    for words in (
        "rules.yaml:3:18  output.formats[1]  `xls` is unknown; did you mean `xlsx`?",
        "output.dialect.encoding  no encoding is called 'klingon'",
        "output.dialect.quoting  `some` is unknown",
        "output.guard  `excel` is unknown",
    ):
        assert words in told.err, (words, told.err)


def test_the_api_does_the_same_check(reportgen: Command) -> None:
    # and the API do the same check when rules are uploaded and when a report is defined
    rules = (
        "version: 1\nsteps:\n  - derive: {a: amuont + 1, b: 1 / 0}\n  - filter: day > 5\n  - select: nosuch\n"
    )
    columns = {"input": ["amount", "day"]}
    request = {
        "text": rules,
        "source": "rules.yaml",
        "syntax": "yaml",
        "columns": columns,
        "parameters": None,
    }
    problems = answer(request)["error"]["problems"]
    told = reportgen("check", "rules.yaml", "-i", "input.csv", "--json", rules=rules, input="amount,day\n")
    assert json.loads(told.err)["problems"] == problems
    assert len(problems) == 3


def test_rules_know_nothing_of_earlier_uploads() -> None:
    # Rules are never refused because of earlier uploads.
    rules = (
        "version: 1\nsteps:\n  - lookup: {reference: whatever, match: [any]}\n  - derive: {a: column + 1}\n"
    )
    request = {"text": rules, "source": "rules.yaml", "syntax": "yaml", "columns": None, "parameters": None}
    assert answer(request)["facts"]["references"] == ("whatever",)


def test_each_problem_has_line_column_path_reason_and_the_nearest_name(ask: Asking) -> None:
    # each with line and column in the rules file, the path (`steps[3].derive.gross`), what is wrong, and the nearest name
    # where a name is unknown.
    with pytest.raises(RulesError) as caught:
        ask.steps("filter: x > 0\nselect: [x]\nlimit: 5\nderive: {gross: 1 + amout}", "x,amount\n1,2\n")
    (problem,) = caught.value.problems
    assert (problem.line, problem.column, problem.path) == (6, 25, "steps[3].derive.gross")
    assert "unknown column `amout`" in problem.message
    with pytest.raises(RulesError) as caught:
        ask.steps("derive:  {gross: 1 + amout}", "x,amount\n1,2\n")
    assert str(caught.value.problems[0]).endswith("unknown column `amout`; did you mean `amount`?")


TYPED = """version: 1
input:
  schema:
    fields: [{name: day, type: date}, {name: amount, type: decimal, precision: 9, scale: 2}, {name: n, type: integer}]
steps:
  - derive: {a: amount * n, b: "n / 2", c: day + 1, d: "n > 1"}
  - aggregate: {by: [day], measures: {s: sum(amount), k: count(*), f: first(b)}}
"""


def test_with_contracts_every_steps_columns_and_types_are_known_without_files(reportgen: Command) -> None:
    # With sample files or contracts, types flow through the steps and every step's output columns and types are known
    told = json.loads(reportgen("check", "rules.yaml", "--json", rules=TYPED).out)
    derived, aggregated = [
        {column["name"]: column["type"] for column in step["columns"]} for step in told["steps"]
    ]
    assert derived["a"].startswith("decimal(")
    assert [derived[name] for name in ("day", "amount", "n", "b", "c", "d")] == [
        "date", "decimal(9,2)", "integer", "number", "date", "boolean",
    ]  # fmt: skip
    assert aggregated["s"].startswith("decimal(")
    assert aggregated["s"].endswith(",2)")
    assert (aggregated["day"], aggregated["k"], aggregated["f"]) == ("date", "integer", "number")


def test_with_sample_files_types_flow_too(reportgen: Command) -> None:
    # With sample files or contracts, types flow through the steps
    rules = "version: 1\nsteps:\n  - derive: {a: n + 1, b: n / 2, c: day + 1}\n  - drop: n\n"
    told = reportgen(
        "check", "rules.yaml", "-i", "input.csv", "--json", rules=rules, input="n,day,t\n1,2024-01-31,x\n"
    )
    types = {column["name"]: column["type"] for column in json.loads(told.out)["columns"]}
    assert types == {"day": "date", "t": "text", "a": "integer", "b": "number", "c": "date"}
    wrong = "version: 1\nsteps:\n  - derive: {a: t - 1}\n  - filter: day > 5\n  - derive: {b: n and true}\n"
    told = reportgen("check", "rules.yaml", "-i", "input.csv", rules=wrong)
    assert [f"rules.yaml:{line}:" in told.err for line in (3, 4, 5)] == [True, True, True]


def test_the_schema_of_the_output_is_validated_by_pandera_before_a_run(
    reportgen: Command,
) -> None:
    # (and validated, schema only, by pandera) before a run starts.
    rules = (
        TYPED
        + "output: {schema: {fields: [{name: s, type: decimal}, {name: k, type: date}, {name: nosuch}]}}\n"
    )
    told = reportgen("check", "rules.yaml", rules=rules)
    assert told.code == 2
    assert "date" in told.err
    assert "nosuch" in told.err
    good = TYPED + "output: {schema: {fields: [{name: s, type: decimal}, {name: k, type: integer}]}}\n"
    assert reportgen("check", "rules.yaml", rules=good).code == 0


def test_the_json_schema_is_generated_from_the_models() -> None:
    # The JSON Schema of the rules file is generated from the same models, kept at `rules/schema.json`
    assert json.loads((ROOT / "rules" / "schema.json").read_text()) == rules_schema()


def test_the_json_schema_is_served_by_the_api() -> None:
    # served by the API
    from api_gateway.main import create_app

    assert any("schema/rules.json" in str(path) for path in create_app().openapi()["paths"])


def test_the_examples_name_the_schema_in_their_first_line() -> None:
    # and named in the examples' first line so that editors complete and check them.
    examples = sorted((ROOT / "rules").rglob("*.yaml"))
    assert examples
    for path in examples:
        first = path.read_text().splitlines()[0]
        assert first.startswith("# yaml-language-server: $schema="), path
        named = first.partition("$schema=")[2].strip()
        assert (
            named.startswith("http") or (path.parent / named).resolve() == ROOT / "rules" / "schema.json"
        ), path


UNTERMINATED = 'k,amount\na,1\nb,"2\nc,3\n'
SWALLOWED = 'k,amount\na,"1\n' + "b,2\n" * 30 + 'c,3"\n'
HIDDEN = 'k,amount\na,1\nb,"2"x\nc,three\n'


@pytest.mark.parametrize("data", [UNTERMINATED, SWALLOWED, "k,amount\na," + "1" * 20_000_001 + "\n"])
def test_files_whose_rows_cannot_be_told_apart_are_refused_as_by_a_run(data: str, reportgen: Command) -> None:
    rules = "version: 1\nsteps:\n  - derive: {a: k}\n"
    told = reportgen("run", "rules.yaml", "--input", "input.csv", "--output", "o", rules=rules, input=data)
    assert told.code == 3
    assert "input.csv" in told.err
    for command in ("check", "explain"):
        assert reportgen(command, "rules.yaml", "--input", "input.csv") == Told(3, "", told.err)


def test_a_reference_with_a_row_that_cannot_be_read_is_refused_as_by_a_run(reportgen: Command) -> None:
    rules = "version: 1\nsteps:\n  - lookup: {reference: r, match: [k]}\n"
    files = ("rules.yaml", "--input", "input.csv", "--reference", "r=r.csv")
    told = reportgen("run", *files, "--output", "o", rules=rules, input="k,a\na,1\n", r="k,v\na,1\nb\n")
    assert told.code == 3
    assert "too few cells" in told.err
    assert reportgen("check", *files) == Told(3, "", told.err)


def test_types_are_those_of_the_rows_behind_a_misquoted_one_as_well(reportgen: Command) -> None:
    rules = "version: 1\nsteps:\n  - derive: {a: amount}\n"
    told = reportgen("check", "rules.yaml", "--input", "input.csv", rules=rules, input=HIDDEN)
    assert (told.code, "amount: text" in told.out) == (0, True)
