"""Contracts in a run: which rows they divert, which runs they fail, what is told of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandera.pandas as pa
import pytest

from reportgen_dagster.contracts.contract import Contract, contract_from_pandera
from reportgen_dagster.errors import BadDataError, ContractError, DuplicateKeyError, RulesError
from tests.engine.making import make, make_long, rejects_in

TRADES = "id,desk,amount,day\nT1,a,10,2024-01-31\nT2,b,x,2024-02-01\n3,a,-5,31.1.\nT1,a,y,2024-03-01\nT5,,2,2024-03-02\n"
CONTRACT = """
input:
  schema:
    primaryKey: id
    fields:
      - {name: id, type: string, constraints: {pattern: "T[0-9]+"}}
      - {name: amount, type: decimal, precision: 10, scale: 2, constraints: {minimum: 0}}
      - {name: day, type: date}
"""
DOUBLED = "steps:\n  - derive: {twice: amount * 2}\n"


def told(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("_line", "_column", "_rule", "_value", "_reason"))


def test_a_row_that_breaks_several_rules_is_one_reject_with_all_its_reasons(tmp_path: Path) -> None:
    made = make_long(tmp_path, CONTRACT + DOUBLED, TRADES)
    assert made.lines[1:] == ["T1,a,10.00,2024-01-31,20.00", "T5,,2.00,2024-03-02,4.00"]
    assert made.rejects is not None
    assert [told(row)[0] for row in made.rejects] == ["3", "4", "5"]
    reasons = [
        dict(zip(*(row[name].split("; ") for name in ("_rule", "_value")), strict=True))
        for row in made.rejects
    ]
    assert reasons == [
        {"type decimal(10,2)": "x"},
        {"pattern: T[0-9]+": "3", "type date": "31.1.", "minimum: 0": "-5"},
        {"type decimal(10,2)": "y", "primaryKey: id": "T1"},
    ]


def test_what_breaks_the_contract_is_counted_with_samples(tmp_path: Path) -> None:
    outcome = make_long(tmp_path, CONTRACT + DOUBLED, TRADES).outcome
    facts = outcome.contracts["input"]
    assert not facts["passed"]
    counts = {one["check"]: (one["count"], one["samples"]) for one in facts["failures"]}
    assert counts["type decimal(10,2)"] == (2, ["'x'", "'y'"])
    assert counts["primaryKey: id"] == (1, ["'T1'"])
    assert outcome.contracts["output"] == {"passed": True, "failures": []}
    assert {(one["rule"], one["count"]) for one in outcome.rules} >= {("minimum: 0", 1), ("type date", 1)}


def test_of_a_key_the_first_row_stays_in_a_file_of_any_size(tmp_path: Path) -> None:
    data = "key,n\n" + "".join(f"k{n % 70_000},{n}\n" for n in range(150_000))
    text = "input: {schema: {fields: [{name: key, constraints: {unique: true}}]}}\nsteps: []\n"
    made = make_long(tmp_path, text, data)
    assert made.report == "key,n\n" + "".join(f"k{n},{n}\n" for n in range(70_000))
    assert made.rejects is not None
    assert [row["n"] for row in made.rejects] == [str(n) for n in range(70_000, 150_000)]


def test_a_row_that_repeats_a_key_reaches_no_step(tmp_path: Path) -> None:
    text = "input: {schema: {primaryKey: id, fields: [{name: id}]}}\nsteps:\n  - derive: {x: 1 / n}\n  - filter: n > 0\n"
    made = make_long(tmp_path, text, "id,n\na,1\na,0\na,2\nb,0\nb,5\n")
    assert made.lines == ["id,n,x", "a,1,1"]
    assert made.rejects is not None
    assert [told(row)[2:] for row in made.rejects] == [
        ("primaryKey: id", "a", "is there more than once"),
        ("primaryKey: id", "a", "is there more than once"),
        ("1 / n", "n='0'", "division by zero"),
        ("primaryKey: id", "b", "is there more than once"),
    ]


def test_rows_with_an_unknown_foreign_key_are_rejects(tmp_path: Path) -> None:
    text = """
input:
  schema:
    fields: [{name: desk}]
    foreignKeys: [{fields: desk, reference: {resource: desks, fields: id}}]
references: {desks: }
steps: []
"""
    made = make_long(tmp_path, text, "desk,n\na,1\nb,2\n,3\n", desks="id\na\n")
    assert made.lines == ["desk,n", "a,1", ",3"]
    assert made.rejects is not None
    assert (made.rejects[0]["_column"], made.rejects[0]["_value"]) == ("desk", "b")


@pytest.mark.parametrize("rejects", ["{policy: fail}", "{max: 2}", "{max: 50%}"])
def test_too_many_rejects_fail_the_run_and_stay(rejects: str, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="3 of 5 rows are rejects; the rules allow"):
        make_long(tmp_path, f"{CONTRACT}{DOUBLED}rejects: {rejects}\n", TRADES)
    kept = rejects_in(tmp_path)
    assert kept is not None
    assert [row["_line"] for row in kept] == ["3", "4", "5"]


@pytest.mark.parametrize("rejects", ["{policy: divert}", "{max: 3}", "{max: 60%}"])
def test_rejects_within_bounds_are_diverted(rejects: str, tmp_path: Path) -> None:
    made = make_long(tmp_path, f"{CONTRACT}{DOUBLED}rejects: {rejects}\n", TRADES)
    assert (made.outcome.used_count, made.outcome.reject_count) == (2, 3)


def test_lines_that_cannot_be_read_count_against_the_bound_too(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="2 of 3 rows"):
        make_long(tmp_path, "steps: []\nrejects: {max: 1}\n", "a,b\n1,2\n3\n4\n")
    assert len(rejects_in(tmp_path) or ()) == 2


def test_a_rule_that_only_warns_keeps_its_rows(tmp_path: Path) -> None:
    field = "{name: n, type: integer, severity: warn, constraints: {minimum: 2}}"
    made = make_long(tmp_path, f"input: {{schema: {{fields: [{field}]}}}}\nsteps: []\n", "n\n1\n2\n0\n")
    assert made.lines == ["n", "1", "2", "0"]
    facts = made.outcome.contracts["input"]
    assert facts["passed"]
    assert [(one["severity"], one["count"], one["samples"]) for one in facts["failures"]] == [
        ("warn", 2, ["'1'", "'0'"])
    ]
    assert len(made.outcome.warnings) == 1


@pytest.mark.parametrize(
    ("threshold", "fails"), [("1", True), ("2", False), ("'40%'", True), ("'50%'", False)]
)
def test_a_threshold_says_how_many_rows_may_break_a_rule(threshold: str, fails: bool, tmp_path: Path) -> None:  # noqa: FBT001
    field = f"{{name: n, type: integer, threshold: {threshold}, constraints: {{minimum: 2}}}}"
    text = f"input: {{schema: {{fields: [{field}]}}}}\nsteps: []\n"
    data = "n\n1\n2\n0\n3\n"
    if fails:
        with pytest.raises(ContractError, match="minimum: 2"):
            make_long(tmp_path, text, data)
        assert len(rejects_in(tmp_path) or ()) == 2
    else:
        assert make_long(tmp_path, text, data).lines == ["n", "2", "3"]


def test_a_broken_contract_of_the_report_fails_the_run(tmp_path: Path) -> None:
    text = """
steps:
  - aggregate: {by: desk, measures: {total: sum(n), one: "1"}}
output:
  schema: {primaryKey: one, fields: [{name: one}, {name: total, constraints: {minimum: 4}}]}
"""
    with pytest.raises(ContractError) as caught:
        make_long(tmp_path, text, "desk,n\na,1\na,2\nb,3\nc,q\n".replace("q", "4"))
    assert {(one.source, one.path) for one in caught.value.problems} == {
        ("output", "total"),
        ("output", "one"),
    }


def test_a_contract_of_the_report_that_only_warns_is_told(tmp_path: Path) -> None:
    field = "{name: n, severity: warn, constraints: {minimum: 2}}"
    made = make_long(tmp_path, f"steps: []\noutput: {{schema: {{fields: [{field}]}}}}\n", "n\n1\n2\n")
    facts = made.outcome.contracts["output"]
    assert (facts["passed"], [one["count"] for one in facts["failures"]]) == (True, [1])


def test_keys_of_the_report_with_missing_values_are_no_duplicates(tmp_path: Path) -> None:
    text = "steps: []\noutput: {schema: {uniqueKeys: [[a, b]], fields: [{name: a}, {name: b}]}}\n"
    made = make_long(tmp_path, text, "a,b\n1,\n1,\n1,2\n")
    assert made.outcome.contracts["output"]["passed"]


REFERENCE = """
references:
  desks: {schema: {primaryKey: id, fields: [{name: id}, {name: fee, type: decimal, scale: 2, precision: 9}]}}
steps:
  - lookup: {reference: desks, match: {desk: id}}
"""


def test_a_reference_that_keeps_its_contract_is_told(tmp_path: Path) -> None:
    made = make_long(tmp_path, REFERENCE, "desk\na\nb\n", desks="id,fee\na,1.5\nb,2\n")
    assert made.lines == ["desk,fee", "a,1.50", "b,2.00"]
    assert made.outcome.contracts["desks"]["passed"]


def test_a_reference_that_breaks_its_contract_fails_the_run(tmp_path: Path) -> None:
    with pytest.raises(ContractError) as caught:
        make_long(tmp_path, REFERENCE, "desk\na\n", desks="id,fee\na,1.5\na,2\n,z\n")
    assert {(one.source, one.path) for one in caught.value.problems} == {("desks", "id"), ("desks", "fee")}
    messages = [one.message for one in caught.value.problems]
    assert "primaryKey: id fails on 1 of 3 rows, e.g. 'a' (line 3)" in messages
    assert not any("column" in message for message in messages)


RATES = """
references:
  fx:
    schema:
      {keys}
      fields: [{{name: code}}, {{name: rate, type: integer, constraints: {{minimum: 0}}}}, {{name: note}}]
  codes: {{schema: {{fields: [{{name: id}}]}}}}
steps:
  - lookup: {{reference: fx, match: {{code: code}}, duplicates: first}}
"""


def broken_rates(tmp_path: Path, fx: str | bytes, keys: str = "missingValues: ['']") -> list[str]:
    with pytest.raises(ContractError) as caught:
        make_long(tmp_path, RATES.format(keys=keys), "code\na\n", fx=fx, codes="id\na\nb\n")
    return [str(one) for one in caught.value.problems]


def test_a_reference_that_breaks_its_contract_names_the_physical_lines(tmp_path: Path) -> None:
    text = "code,rate,note\na,1,\n\nb,-3,\nc,x,\nd,-4,\n"
    assert broken_rates(tmp_path, text) == [
        "fx  rate  type integer fails on 1 of 4 rows, e.g. 'x' (line 5)",
        "fx  rate  minimum: 0 fails on 2 of 4 rows, e.g. -3 (line 4), -4 (line 6)",
    ]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_lines_of_a_reference_are_physical_behind_quoted_line_breaks(tmp_path: Path, line_end: str) -> None:
    text = 'code,rate,note\na,1,"two\nlines"\nb,-3,"and\n\nmore"\nc,-4,\n'.replace("\n", line_end)
    (problem,) = broken_rates(tmp_path, text.encode())
    assert problem.endswith("fails on 2 of 3 rows, e.g. -3 (line 4), -4 (line 7)")


def test_lines_of_a_large_reference_are_those_of_the_file(tmp_path: Path) -> None:
    bad = {150_001, 299_999, 300_000}
    rows = (f"c{row},{-row if row in bad else row},{'n' * 20}" for row in range(300_001))
    (problem,) = broken_rates(tmp_path, "\n".join(("code,rate,note", *rows)))
    shown = ", ".join(f"{-row} (line {row + 2})" for row in sorted(bad))
    assert problem.endswith(f"fails on 3 of 300,001 rows, e.g. {shown}")


def test_keys_of_a_reference_name_the_line_that_has_them_again(tmp_path: Path) -> None:
    text = "code,rate,note\nz,1,\nb,1,\nz,2,\na,1,\nb,2,\nz,3,\n"
    keys = (
        "uniqueKeys: [[code]]\n      foreignKeys: [{fields: code, reference: {resource: codes, fields: id}}]"
    )
    assert broken_rates(tmp_path, text, keys) == [
        "fx  code  uniqueKeys: code fails on 3 of 6 rows, e.g. 'b' (line 6), 'z' (line 4)",
        "fx  code  foreignKeys: code -> codes(id) fails on 3 of 6 rows, e.g. 'z' (line 2), 'z' (line 4), 'z' (line 7)",
    ]


def test_a_column_that_hides_positions_costs_the_lines_only(tmp_path: Path) -> None:
    (problem,) = broken_rates(tmp_path, "code,rate,RowId,note\na,-1,9,\n")
    assert problem.endswith("fails on 1 of 1 row, e.g. -1")


def test_a_report_that_breaks_its_contract_names_the_rows_of_the_report(tmp_path: Path) -> None:
    rules = """
steps:
  - filter: n <> 2
  - sort: -n
output: {schema: {fields: [{name: n, type: integer, constraints: {minimum: 4}}]}}
"""
    with pytest.raises(ContractError) as caught:
        make_long(tmp_path, rules, "n\n1\n2\n5\n3\n9\n")
    assert [str(one) for one in caught.value.problems] == [
        "output  n  minimum: 4 fails on 2 of 4 rows, e.g. '3' (row 3), '1' (row 4)"
    ]
    rules = rules.replace("  - sort: -n\n", "")
    with pytest.raises(ContractError, match=r"e\.g\. '1' \(row 1\), '3' \(row 3\)"):
        make_long(tmp_path, rules, "n\n1\n2\n5\n3\n9\n")


def test_composite_keys_of_a_lookup_are_unique_together(tmp_path: Path) -> None:
    text = "steps:\n  - lookup: {reference: r, match: {a: x, b: y}, take: [z]}\n"
    made = make_long(tmp_path, text, "a,b\n1,1\n1,2\n", r="x,y,z\n1,1,p\n1,2,q\n")
    assert made.lines == ["a,b,z", "1,1,p", "1,2,q"]
    with pytest.raises(DuplicateKeyError, match=r"\('1', '2'\) \(2 times\)"):
        make_long(tmp_path, text, "a,b\n1,1\n", r="x,y,z\n1,1,p\n1,2,q\n1,2,r\n1,,s\n1,,t\n")


def test_missing_fail_ends_the_run_and_names_the_rows(tmp_path: Path) -> None:
    text = "steps:\n  - lookup: {reference: r, match: {a: x}, missing: fail}\n"
    with pytest.raises(BadDataError, match=r"a='3'.*2 rows like it") as caught:
        make_long(tmp_path, text, "a\n1\n3\n4\n", r="x,y\n1,p\n")
    assert caught.value.code == "data-refused"
    assert "rules.yaml:3:" in str(caught.value.problems[0])
    facts = caught.value.facts
    assert (facts["input_count"], facts["used_count"], facts["reject_count"]) == (3, 1, 2)
    assert [row["a"] for row in facts["reject_samples"]] == ["3", "4"]
    assert [row["a"] for row in rejects_in(tmp_path) or ()] == ["3", "4"]


def test_an_error_behind_the_rows_of_the_input_names_the_place_in_the_rules(tmp_path: Path) -> None:
    text = (
        CONTRACT
        + "steps:\n  - aggregate: {by: [desk], measures: {n: count(*)}}\n  - derive:\n      bad: 1 / (n - 1)\n"
    )
    with pytest.raises(BadDataError, match="division by zero in `1 / ") as caught:
        make_long(tmp_path, text, TRADES)
    (problem,) = caught.value.problems
    assert (problem.source, problem.line, problem.column) == ("rules.yaml", 13, 12)
    assert caught.value.facts["contracts"]["input"]["passed"] is False
    assert caught.value.facts["reject_count"] == 3


def test_a_pandera_schema_from_python_is_a_contract(tmp_path: Path) -> None:
    schema = pa.DataFrameSchema({"n": pa.Column(int, pa.Check.ge(2))})
    options = {"contracts": {"input": contract_from_pandera(schema)}}
    made = make_long(tmp_path, "steps:\n  - derive: {m: n * 2}\n", "n\n1\n2\nx\n", options=options)
    assert made.lines == ["n,m", "2,4"]
    assert made.outcome.reject_count == 2


def pandera_contract(**columns: tuple[Any, ...]) -> Contract:
    schema = pa.DataFrameSchema({name: pa.Column(*arguments) for name, arguments in columns.items()})
    return contract_from_pandera(schema)


def test_a_pandera_column_without_a_type_is_judged_by_the_type_of_the_file(tmp_path: Path) -> None:
    options = {
        "contracts": {name: pandera_contract(n=(None, pa.Check.ge(2)), k=()) for name in ("input", "r")}
    }
    text = "steps: [{lookup: {reference: r, match: {n: n}, take: {found: k}}}]"
    made = make_long(tmp_path, text, "n,k\n1,a\n10,007\n", options=options, r="n,k\n2,x\n10,y\n")
    assert made.lines == ["n,k,found", "10,007,y"]
    assert made.outcome.columns[0] == {"name": "n", "type": "integer"}
    with pytest.raises(RulesError, match="`n` is text, which `greater_than_or_equal_to"):
        make_long(tmp_path, text, "n,k\n1,a\nx,b\n", options=options, r="n,k\n2,x\n")
    with pytest.raises(ContractError, match="`n` is text, which `greater_than_or_equal_to"):
        make_long(tmp_path, text, "n,k\n2,a\n", options=options, r="n,k\nx,x\n")


def test_a_strict_contract_of_a_reference_from_python_counts_the_columns_of_its_file(tmp_path: Path) -> None:
    schema = pa.DataFrameSchema({"n": pa.Column(int, pa.Check.ge(2)), "k": pa.Column(str)}, strict=True)
    options = {"contracts": {"r": contract_from_pandera(schema)}}
    text = "steps: [{lookup: {reference: r, match: {n: k}, take: {found: n}}}]"
    assert make_long(tmp_path, text, "n\nx\n", options=options, r="n,k\n2,x\n").lines == ["n,found", "x,2"]
    with pytest.raises(ContractError) as caught:
        make_long(tmp_path, text, "n\nx\n", options=options, r="n,k,z\n1,x,\n")
    assert [str(one) for one in caught.value.problems] == [
        "r  z  the column is not in the schema",
        "r  n  greater_than_or_equal_to(2) fails on 1 of 1 row, e.g. 1 (line 2)",
    ]


def test_a_contract_of_the_report_from_python_is_kept(tmp_path: Path) -> None:
    text, data = "steps: [{derive: {m: n + 1}}]", "n,k\n1,a\n2,b\n"

    def options(**columns: tuple[Any, ...]) -> dict[str, Any]:
        return {"contracts": {"output": pandera_contract(**columns)}}

    kept = make_long(tmp_path, text, data, options=options(m=(int, pa.Check.ge(2)), k=()))
    assert kept.outcome.contracts["output"] == {"passed": True, "failures": []}
    with pytest.raises(ContractError, match="greater_than_or_equal_to"):
        make_long(tmp_path, text, data, options=options(m=(None, pa.Check.ge(3))))
    with pytest.raises(RulesError, match="`m` is integer, not text"):
        make_long(tmp_path, text, data, options=options(m=(str,)))
    with pytest.raises(RulesError, match="`zz` of the contract is missing"):
        make_long(tmp_path, text, data, options=options(zz=()))
    unique = {
        "contracts": {"output": contract_from_pandera(pa.DataFrameSchema({"k": pa.Column(unique=True)}))}
    }
    with pytest.raises(ContractError, match="unique"):
        make_long(tmp_path, text, "n,k\n1,a\n2,a\n", options=unique)


def test_without_contracts_pandera_is_not_loaded(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys; from pathlib import Path; from tests.engine.making import make\n"
    code += "make(Path(sys.argv[1]), 'key,n\\nk1,1\\n', n='n'); print('pandera' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_the_short_form_has_no_contract_of_the_input(tmp_path: Path) -> None:
    assert set(make(tmp_path, "key,n\nk1,1\n", n="n").outcome.contracts) == {"output"}
