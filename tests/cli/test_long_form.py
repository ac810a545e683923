"""The long form from the command line: parameters, dates, several references, types, previews, first rules for a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_commands import reportgen

RULES = """
version: 1
title: Desk margin
parameters:
  since: {type: date}
  factor: {type: integer, default: 2}
input:
  schema: {fields: [{name: day, type: date}, {name: amount, type: integer}]}
steps:
  - lookup: {reference: desks, match: {desk: id}, take: [name]}
  - lookup: {reference: rates, match: {currency: code}, take: [rate]}
  - filter: day >= :since
  - derive: {total: amount * :factor, made: today()}
output: {columns: [name, rate, total, made]}
"""
FILES = [
    "--input", "input.csv", "--reference", "desks=desks.csv", "--reference", "rates=rates.csv",
]  # fmt: skip
SINCE = ["--parameter", "since=2024-01-01"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "input.csv").write_text(
        "day,desk,currency,amount\n2023-12-31,d1,EUR,1\n2024-01-31,d1,EUR,10\n2024-02-01,d2,USD,x\n"
    )
    (tmp_path / "desks.csv").write_text("id,name\nd1,FX\nd2,rates\n")
    (tmp_path / "rates.csv").write_text("code,rate\nEUR,1.10\nUSD,1.00\n")
    return tmp_path


def test_a_run_takes_parameters_a_date_and_several_references(folder: Path) -> None:
    more = ["--parameter", "factor=3", "--date", "2024-02-29", "--output", "report.csv"]
    done = reportgen("run", "rules.yaml", *FILES, *SINCE, *more, "--rejects", "rejects.csv", folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "report.csv").read_text() == "name,rate,total,made\nFX,1.10,30,2024-02-29\n"
    assert "report.csv: 1 rows from 3, 1 rejected" in done.stdout
    assert (folder / "rejects.csv").read_text().count("\n") == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], ["since", "no default"]),
        (["--parameter", "since=today"], ["parameters.since", "2024-01-31"]),
        ([*SINCE, *SINCE], ["given twice"]),
        ([*SINCE, "--parameter", "facter=1"], ["did you mean `factor`"]),
    ],
)
def test_wrong_parameters_exit_with_2(folder: Path, given: list[str], words: list[str]) -> None:
    done = reportgen("run", "rules.yaml", *FILES, *given, "--output", "report.csv", folder=folder)
    assert done.returncode == 2
    assert all(word in done.stderr for word in words), done.stderr


def test_a_run_that_fails_keeps_its_rejects(folder: Path) -> None:
    (folder / "rules.yaml").write_text(RULES + "rejects: {policy: fail}\n")
    more = ["--output", "report.csv", "--rejects", "rejects.csv"]
    done = reportgen("run", "rules.yaml", *FILES, *SINCE, *more, folder=folder)
    assert done.returncode == 3
    assert "policy: fail" in done.stderr
    assert not (folder / "report.csv").exists()
    assert (folder / "rejects.csv").read_text().count("\n") == 2


def test_check_tells_columns_and_types_after_each_step(folder: Path) -> None:
    done = reportgen("check", "rules.yaml", *FILES, "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {column["name"]: column["type"] for column in told["columns"]} == {
        "name": "text",
        "rate": "text",
        "total": "integer",
        "made": "date",
    }
    done = reportgen("run", "rules.yaml", *FILES, *SINCE, "--output", "report.csv", "--json", folder=folder)
    assert json.loads(done.stdout)["columns"] == [
        {"name": column["name"], "type": column["type"]} for column in told["columns"]
    ]
    assert [step["kind"] for step in told["steps"]][:4] == ["lookup", "lookup", "filter", "derive"]
    after_lookup = [column["name"] for column in told["steps"][0]["columns"]]
    assert after_lookup == ["day", "desk", "currency", "amount", "name"]
    plain = reportgen("check", "rules.yaml", *FILES, folder=folder).stdout
    assert "no problems in 4 steps" in plain
    assert "total: integer" in plain


def test_check_compares_types_of_what_the_files_hold(folder: Path) -> None:
    (folder / "rules.yaml").write_text(
        "version: 1\nsteps:\n  - filter: day > 5\n  - derive: {total: amuont + 1}\n"
    )
    done = reportgen("check", "rules.yaml", "--input", "input.csv", folder=folder)
    assert done.returncode == 2
    assert "rules.yaml:3:" in done.stderr
    assert "a date with a number" in done.stderr
    assert "did you mean `amount`?" in done.stderr


def test_check_finds_values_that_cannot_work_without_files(folder: Path) -> None:
    (folder / "rules.yaml").write_text("version: 1\nsteps:\n  - derive: {a: \"cast('x' as integer)\"}\n")
    done = reportgen("check", "rules.yaml", folder=folder)
    assert done.returncode == 2
    assert "rules.yaml:3:" in done.stderr


def test_explain_shows_graph_columns_sql_and_lineage(folder: Path) -> None:
    shown = reportgen("explain", "rules.yaml", *FILES, folder=folder)
    assert shown.returncode == 0, shown.stderr
    assert "flowchart" in shown.stdout
    assert "SELECT" in shown.stdout
    told = json.loads(reportgen("explain", "rules.yaml", *FILES, "--json", folder=folder).stdout)
    assert {"rules", "graph", "steps", "columns", "sql", "lineage"} <= set(told)


def test_preview_shows_the_first_rows_after_a_step(folder: Path) -> None:
    shown = reportgen("preview", "rules.yaml", *FILES, *SINCE, "--step", "1", "--json", folder=folder)
    assert shown.returncode == 0, shown.stderr
    told = json.loads(shown.stdout)
    assert [column["name"] for column in told["columns"]] == ["day", "desk", "currency", "amount", "name"]
    assert told["rows"] == [["2023-12-31", "d1", "EUR", "1", "FX"], ["2024-01-31", "d1", "EUR", "10", "FX"]]
    table = reportgen("preview", "rules.yaml", *FILES, *SINCE, "--rows", "1", folder=folder).stdout
    assert table.splitlines()[0].split() == ["|", "name", "|", "rate", "|", "total", "|", "made", "|"]
    assert "| FX" in table


def test_inferred_rules_load_and_run(folder: Path) -> None:
    rules = reportgen("infer", "rates.csv", folder=folder)
    assert rules.returncode == 0, rules.stderr
    assert reportgen("infer", "rates.csv", "--output", "own.yaml", folder=folder).stdout == ""
    assert (folder / "own.yaml").read_text() == rules.stdout
    done = reportgen("run", "own.yaml", "--input", "rates.csv", "--output", "same.csv", folder=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "same.csv").read_text() == (folder / "rates.csv").read_text()


def test_a_summary_tells_decisions_warnings_and_each_reason(folder: Path) -> None:
    (folder / "rules.yaml").write_text(
        """
version: 1
input:
  schema:
    fields:
      - {name: id, type: string, constraints: {maxLength: 2}}
      - {name: amount, type: decimal, precision: 18, scale: 2, decimalChar: ",", constraints: {minimum: 0}}
      - {name: part, type: integer, severity: warn, constraints: {maximum: 3}}
"""
    )
    (folder / "input.csv").write_text("id;amount;part\na;1,5;9\nabc;-5,00;1\nb;-1,00;8\nc;1\n")
    done = reportgen("run", "rules.yaml", "--input", "input.csv", "--output", "report.csv", folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:] == [
        "  input: cells are separated by semicolon, as the header shows",
        "  warning: input: part: maximum: 3 fails on 2 of 4 rows, e.g. '9', '8'",
        "  line 3  id  'abc' has more than 2 characters (maxLength: 2)",
        "  line 3  amount  '-5,00' is less than 0 (minimum: 0)",
        "  line 4  amount  '-1,00' is less than 0 (minimum: 0)",
        "  line 5  2 cells: too few cells (3 cells)",
        "  keep them with --rejects FILE",
    ]


def test_a_step_that_there_is_not_is_refused(folder: Path) -> None:
    shown = reportgen("preview", "rules.yaml", *FILES, *SINCE, "--step", "9", folder=folder)
    assert shown.returncode == 2
    assert "the rules have 4" in shown.stderr


def test_columns_named_like_emoji_are_shown_as_they_are(folder: Path) -> None:
    (folder / "rules.yaml").write_text('version: 1\nsteps:\n  - derive: {":b:": "1"}\n')
    assert ":b:: integer" in reportgen("check", "rules.yaml", "--input", "input.csv", folder=folder).stdout


def test_case_of_headers_does_not_count_if_rules_say_so(folder: Path) -> None:
    any_case = "dialect: {caseSensitiveHeader: false}"
    (folder / "rules.yaml").write_text(
        f"""
version: 1
input: {{{any_case}, schema: {{fields: [{{name: Amount, type: integer}}]}}}}
references:
  desks: {{{any_case}, schema: {{fields: [{{name: Id, type: string}}, {{name: Name, type: string}}]}}}}
steps:
  - lookup: {{reference: desks, match: {{desk: Id}}, take: [Name]}}
  - derive: {{double: Amount * 2}}
output: {{columns: [Amount, Name, double]}}
"""
    )
    (folder / "input.csv").write_text("AMOUNT,desk\n1,d1\nx,d1\n")
    files = ["--input", "input.csv", "--reference", "desks=desks.csv"]
    assert reportgen("check", "rules.yaml", *files, folder=folder).returncode == 0
    done = reportgen("run", "rules.yaml", *files, "--output", "report.csv", folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "report.csv").read_text() == "Amount,Name,double\n1,FX,2\n"
    assert "line 3  Amount  'x'" in done.stdout
