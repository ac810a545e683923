"""The three messages of the page, and that a message needs no manual."""

from __future__ import annotations

import pytest

from reportgen_dagster.errors import RulesError
from tests.language.asking import Asking, Command

FOURTEENTH = """version: 1
title: t
input:
  schema:
    fields:
      - {name: trade_id, type: string}
      - {name: amount, type: decimal, precision: 18, scale: 4}
      - {name: traded, type: date, format: "%d/%m/%Y"}
steps:
  - filter: amount > 0
  - rename: {fee: charge}
  - derive:
      net: amount - charge
      gross:    amout * charge
  - sort: net
  - filter:
      net > 1



"""
MESSAGE = "rules.yaml:14:17  steps[2].derive.gross  unknown column `amout`; did you mean `amount`?"


def test_an_unknown_column(reportgen: Command) -> None:
    # rules.yaml:14:17  steps[2].derive.gross  unknown column `amout`; did you mean `amount`?
    told = reportgen(
        "check",
        "rules.yaml",
        "-i",
        "input.csv",
        rules=FOURTEENTH,
        input="trade_id,amount,traded,fee\nT1,1,31/01/2024,1\n",
    )
    assert told.code == 2
    assert MESSAGE in told.err


TWENTY_FIRST = """version: 1
input:
  schema:
    fields:
      - {name: amount, type: decimal}
      - {name: traded, type: date}
steps:
  - filter: amount > 0
  - sort: amount
  - derive:
      a: amount
      b: amount
      c: amount
      d: amount
      e: amount
      f: amount
  - drop:
      - a
      - b
  - filter:
        traded > 5
"""


def test_a_comparison_of_a_date_with_a_number(reportgen: Command) -> None:
    # rules.yaml:21:9   steps[4].filter        `traded > 5` compares a date with a number; write a date as date '2024-01-31'
    told = reportgen("check", "rules.yaml", rules=TWENTY_FIRST)
    (line,) = [line for line in told.err.splitlines() if "rules.yaml:" in line]
    words = " ".join(line.split())
    assert words == (
        "rules.yaml:21:9 steps[4].filter `traded > 5` compares a date with a number; write a date as date '2024-01-31'"
    )


NOT_DECIMAL = """input:
  dialect: {delimiter: ";", decimalChar: ","}
  schema: {fields: [{name: amount, type: decimal}]}
"""


@pytest.mark.parametrize("fails", ["rejects: {policy: fail}", "rejects: {max: 2}"])
def test_a_cell_that_is_no_decimal(ask: Asking, fails: str) -> None:
    # input.csv:5012    amount                 '12,5O' is not a decimal (constraint: decimal, decimal mark ','); 3 rows like it
    rows = ["1,5"] * 5010 + ["12,5O", "x", "1.5"]
    error = ask.failing(NOT_DECIMAL + fails, "amount\n" + "\n".join(rows) + "\n")
    told = str(error.problems[1])
    assert told == (
        "input:5012  amount  '12,5O' is not a decimal (constraint: decimal, decimal mark ','); 3 rows like it"
    )


def test_so_is_one_past_its_threshold(ask: Asking) -> None:
    # input.csv:5012    amount                 '12,5O' is not a decimal (constraint: decimal, decimal mark ','); 3 rows like it
    text = NOT_DECIMAL.replace("type: decimal}", "type: decimal, threshold: 1}")
    error = ask.failing(text, "amount\n1,5\n12,5O\nx\n1.5\n")
    assert str(error.problems[0]).startswith(
        "input:3  amount  '12,5O' is not a decimal (constraint: decimal, decimal mark ','); 3 rows like it"
    )


def test_an_expression_that_fails_the_run_names_its_line(ask: Asking) -> None:
    # input.csv:5012    amount
    error = ask.failing("steps: [{derive: {i: 1 / n}}]\nrejects: {policy: fail}", "n\n1\n0\n")
    assert str(error.problems[1]).startswith("input:3  ")
    assert "division by zero in `1 / n` (n='0')" in str(error.problems[1])


def test_a_reject_tells_the_same_of_its_row(ask: Asking) -> None:
    # input.csv:5012    amount                 '12,5O' is not a decimal
    (row,) = ask.long(NOT_DECIMAL, "amount\n1,5\n12,5O\n").rejects or [{}]
    told = [row[name] for name in ("_line", "_column", "_value", "_reason")]
    assert told == ["3", "amount", "12,5O", "is not a decimal"]


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ("derive: {a: t + 'x'}", ["||"]), ("derive: {a: uper(t)}", ["`upper`"]), ("filter: t", ["condition"]),
        ("filter: n", ["condition"]), ("derive: {a: n > 'x'}", ["number", "text"]), ("select: [tt]", ["`t`"]),
        ("sort: [-nn]", ["`n`"]), ("aggregate: {by: [x], measures: {a: sum(n)}}", ["`x`"]),
        ("aggregate: {measures: {a: n}}", ["`n`", "max(n)"]), ("derive: {a: left(t)}", ["left(text, count)"]),
        ("derive: {a: cast(n as intger)}", ["integer"]),
        ("filter: n > :limit", ["limit", "parameters"]), ("rename: {n: t}", ["`t`"]),
    ],
)  # fmt: skip
def test_a_message_can_be_acted_on_without_the_manual(ask: Asking, steps: str, words: list[str]) -> None:
    # A message is one a person can act on without the manual
    with pytest.raises(RulesError) as caught:
        ask.steps(steps, "t,n\nx,1\n")
    told = "\n".join(map(str, caught.value.problems))
    assert all(word in told for word in words), told
    assert all(problem.line == 3 and problem.column and problem.path for problem in caught.value.problems)


def test_a_value_that_never_works_is_told_before_any_row(reportgen: Command) -> None:
    # A message is one a person can act on without the manual
    told = reportgen("check", "rules.yaml", rules="version: 1\nsteps:\n  - derive: {a: 5 / 0}\n")
    assert told.code == 2
    assert "rules.yaml:3:" in told.err
    assert "division by zero" in told.err
