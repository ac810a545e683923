"""Rules files: what is read, what is refused, and where the problem is said to be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from reportgen_dagster.errors import RulesError
from reportgen_dagster.rules.checks import check_columns
from reportgen_dagster.rules.compile import TableShape, compile_ruleset
from reportgen_dagster.rules.document import rules_schema
from reportgen_dagster.rules.explain import explain, explain_sql
from reportgen_dagster.rules.expressions import ExpressionError
from reportgen_dagster.rules.formulas import translate
from reportgen_dagster.rules.kinds import ColumnKind, columns_needing_kinds
from reportgen_dagster.rules.loading import load_ruleset
from tests.rules.harness import rules


def problems(text: str, syntax: str = "yaml") -> list[str]:
    with pytest.raises(RulesError) as caught:
        load_ruleset(text, syntax=syntax)
    return [str(problem) for problem in caught.value.problems]


def one(text: str, syntax: str = "yaml") -> str:
    (problem,) = problems(text, syntax)
    return problem


def test_yaml_and_json_mean_the_same() -> None:
    document = [{"output": "total", "formula": "price * amount"}, {"output": "NO", "formula": "'on'"}]
    yaml = "- {output: total, formula: price * amount}\n- output: NO\n  formula: \"'on'\"\n"
    loaded = [
        load_ruleset(yaml),
        load_ruleset(json.dumps(document), syntax="json"),
        load_ruleset(json.dumps(document)),
    ]
    assert {ruleset.to_yaml() for ruleset in loaded} == {loaded[0].to_yaml()}
    assert loaded[0].output_columns == ("total", "NO")
    assert loaded[0].formulas[0].columns == ("price", "amount")
    assert loaded[0].reference_names == ("reference",)
    assert loaded[0].form == "short"


def test_json_with_tabs_a_bom_and_windows_line_ends_is_read() -> None:
    text = '\ufeff[\r\n\t{"output":\t"a",\t"formula":\t"b"}\r\n]\r\n'
    assert load_ruleset(text).output_columns == ("a",)
    assert load_ruleset("\ufeff- output: a\r\n  formula: b\r\n").output_columns == ("a",)


def test_formulas_over_several_lines_are_read() -> None:
    text = "- output: a\n  formula: >\n    b +\n    c\n- output: d\n  formula: |\n    b\n    + 'x'\n"
    assert [formula.columns for formula in load_ruleset(text).formulas] == [("b", "c"), ("b",)]


def test_a_number_is_a_formula() -> None:
    assert load_ruleset("- {output: 2024, formula: 5}").output_columns == ("2024",)


def test_every_problem_is_told_with_its_place() -> None:
    text = (
        "- {output: a, formula: x +}\n"
        '- output: b\n  formula: "maxx(x, 1) + uper(y)"\n'
        "- {output: B, formula: x}\n"
        "- {outputs: c, formula: x.y}\n"
    )
    assert problems(text) == [
        "rules.yaml:1:26  [0].formula  this is no formula: invalid syntax",
        "rules.yaml:3:13  [1].formula  unknown function `maxx`; did you mean `max`?",
        "rules.yaml:3:26  [1].formula  unknown function `uper`; did you mean `upper`?",
        "rules.yaml:4:12  [2].output  the output `B` is there twice (as `b`; names differ by more than case)",
        "rules.yaml:5:3  [3].output  `output` is missing",
        "rules.yaml:5:4  [3].outputs  unknown key `outputs`; did you mean `output`?",
    ]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", "rules.yaml", "empty"),
        ("# only a comment\n", "rules.yaml", "empty"),
        ("[]", "rules.yaml:1:1", "no rules"),
        ("just text", "rules.yaml:1:1", "a list of {output, formula} is expected"),
        ("\x89PNG\r\n\x1a\n\x00\x00", "rules.yaml", "neither JSON nor YAML"),
        ("- {output: a, formula: b", "rules.yaml:1:25", "neither JSON nor YAML"),
        ("- output: a\n formula: b", "rules.yaml:2:2", "neither JSON nor YAML"),
        ("- {output: a, formula: !!str b}", "rules.yaml:1:24", "tags"),
        ("- !!python/object:os.system {output: a, formula: b}", "rules.yaml:1:3", "tags"),
        ("- {output: a, output: b, formula: c}", "rules.yaml:1:15", "the key `output` is there twice"),
        ("- {output: a, formula: b}\n---\n- {output: a, formula: b}", "rules.yaml:2:1", "one document"),
        ("- *nothing", "rules.yaml:1:3", "alias"),
        ("[" * 51 + "]" * 51, "rules.yaml:1:51", "deeper than 50"),
        ("- &a {output: a, formula: b}\n" + "- *a\n" * 51, "rules.yaml:52:3", "aliases"),
        ("- {output: a}", "rules.yaml:1:3", "`formula` is missing"),
        ("- {formula: a}", "rules.yaml:1:3", "`output` is missing"),
        ("- {output: '', formula: a}", "rules.yaml:1:13", "empty"),
        ("- {output: ' ', formula: a}", "rules.yaml:1:13", "no name"),
        ("- {output: a, formula: ''}", "rules.yaml:1:25", "empty"),
        ("- {output: a, formula: [b]}", "rules.yaml:1:24", "a text is expected"),
        ("- {output: a, formula: true}", "rules.yaml:1:24", "a text is expected"),
        ("- text", "rules.yaml:1:3", "a mapping is expected"),
        ("- {output: a, formula: b}\n- {output: a, formula: c}", "rules.yaml:2:12", "`a` is there twice"),
        ('- {output: "a\\nb", formula: c}', "rules.yaml:1:12", "control character"),
        ("- {output: a, formula: b, when: c}", "rules.yaml:1:27", "unknown key `when`"),
        ("- {output: a, formula: 'b; c'}", "rules.yaml:1:26", "several statements"),
        ("- {output: a, formula: \"read_csv('x')\"}", "rules.yaml:1:25", "unknown function `read_csv`"),
        ("- {output: a, formula: 'abs(b, c)'}", "rules.yaml:1:25", "takes 1 argument, not 2: abs(number)"),
    ],
)  # fmt: skip
def test_refused(text: str, place: str, words: str) -> None:
    problem = problems(text)[0]
    assert problem.startswith(place + "  "), problem
    assert words in problem


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ('[{"output": "a", "output": "b"}]', "there twice"),
        ('[{"output": NaN}]', "NaN"),
        ('[{"output": "a"},]', "neither JSON nor YAML"),
        ('[{"output": "a"}] x', "nothing may follow"),
        ("- {output: a, formula: b}", "neither JSON nor YAML"),
        ("[" * 60, "deeper than 50"),
        ('[{"output": "\\ud800", "formula": "b"}]', "control character"),
        ('[{"output": "a", "formula": ' + "9" * 5000 + "}]", "digits"),
    ],
)
def test_refused_as_json(text: str, words: str) -> None:
    assert words in problems(text, "json")[0]


def test_a_file_over_the_bound_and_a_bomb_of_aliases_end_at_once() -> None:
    assert "1 MiB" in one("#" * 2**20 + "x")
    levels = "".join(f"- &l{n} [{', '.join([f'*l{n - 1}'] * 5)}]\n" for n in range(1, 10))
    assert "values" in one("- &l0 [x, x, x, x, x, x, x, x, x]\n" + levels)


LONG = """\
version: 1
steps:
  - lookup: {reference: reference, match: shared, defaults: standard}
  - derive:
      total: cell_number(price) * cell_number(amount)
      size: case when total > 1000 then 'large' else 'small' end
output:
  columns: {Total: total, Size: size, Name: name}
"""


@pytest.mark.parametrize(
    ("formula", "offset"),
    [
        ("'a' * 3", 0), ("'5' + 3", 0), ("3 + '5'", 4), ("-'a'", 1), ("abs('x')", 4), ("max('a', 1)", 4), ("'a' < 1", 0),
        ("1 >= 'a'", 5), ("b - (c + 'x')", 5), ("upper(x) * 2", 0), ("2 ** lower(x)", 5), ("a // 'x'", 5),
        ("max('a', x) * 2", 0), ("('a' if x == 1 else 'b') * 2", 1), ("coalesce(None, 'a') - 1", 0), ("left(x, 'y')", 8),
        ("'a' + (x * 2)", 0), ("x if x == 1 else 'a' * 3", 17), ("(x + 'a') % 2", 1), ("sqrt(x + 'a' + y)", 5),
        ("max('a', 1) * 2", 4), ("-('5' + 3)", 2), ("round(trim(x), 1)", 6),
    ],
)  # fmt: skip
def test_a_text_where_a_number_is_needed_is_refused(formula: str, offset: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        translate(formula)
    assert [(fault.message.partition(";")[0], fault.offset) for fault in caught.value.faults] == [
        ("a text stands where a number is needed", offset)
    ]


@pytest.mark.parametrize("zero", ["0", "0.0", "-0", "(0)", "+0"])
@pytest.mark.parametrize("operator", ["/", "//", "%"])
def test_division_by_a_written_zero_is_refused(operator: str, zero: str) -> None:
    assert one(f'- output: a\n  formula: "b {operator} {zero} + c"\n').endswith(
        "[0].formula  division by zero"
    )


@pytest.mark.parametrize(
    "formula",
    [
        "(x if y == 1 else 'none') * 2", "coalesce(x, 'none') * 2", "'a' == 1", "'a' in [1, x]", "max('a', x)", "x + 'a'",
        "'a' < x", "number('5') + 3", "length('a') + 3", "upper(1)", "0 / x", "x / y", "x ** 0", "x * 0", "x / (1 - 1)",
        "(1 if x == 1 else y + 'a') * 2", "1 < x < y < 'a'", "x / 0.5", "text(3) + 'a'",
    ],
)  # fmt: skip
def test_what_works_on_some_rows_is_read(formula: str) -> None:
    assert translate(formula).expression


def test_the_long_form_is_read() -> None:
    ruleset = load_ruleset(LONG)
    assert ruleset.form == "long"
    assert ruleset.output_columns == ("Total", "Size", "Name")
    assert columns_needing_kinds(ruleset, ["price", "name", "x", "amount"]) == ("price", "name", "amount")
    assert columns_needing_kinds(ruleset, ["price", "name"], defaults=False) == ("price",)
    messages = check_columns(
        ruleset, input_columns=["price", "k", "nam"], reference_columns={"reference": ["k"]}
    )
    assert [str(message) for message in messages] == [
        "rules.yaml:5:14  steps[1].derive.total  unknown column `amount`",
        "rules.yaml:8:45  output.columns.Name  unknown column `name`; did you mean `nam`?",
    ]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("version: 1", "version: 2", "rules.yaml:1:10  version  "),
        ("version: 1", "version: 1\ntitle: x", "rules.yaml:2:1  title  `title` is not available yet"),
        ("version: 1", "version: 1\ninput: {}", "rules.yaml:2:1  input  `input` is not available yet"),
        ("version: 1", "version: 1\nsteps_: {}", "rules.yaml:2:1  steps_  unknown key `steps_`; did you mean `steps`?"),
        ("  - derive", "  - filter: x\n  - derive", "rules.yaml:4:5  steps[1].filter  the step `filter` is not available yet"),
        ("  - derive", "  - derve: x\n  - derive", "steps[1].derve  unknown step `derve`; did you mean `derive`?"),
        ("match: shared", "match: {a: b}", "rules.yaml:3:43  steps[0].lookup.match  "),
        ("shared,", "shared, take: [a],", "unknown key `take`"),
        ("price)", "price", "rules.yaml:5:52  steps[1].derive.total  this is no expression"),
        ("cell_number(price)", "price", "rules.yaml:5:14  steps[1].derive.total  columns have no types here yet"),
        ("{Total", "{total: size, Total", "the output `Total` is there twice"),
        ("  columns:", "  schema: {}\n  columns:", "output.schema  `schema` is not available yet"),
    ],
)  # fmt: skip
def test_what_the_long_form_does_not_have_is_refused_by_name(old: str, new: str, problem: str) -> None:
    found = problems(LONG.replace(old, new, 1))
    assert any(problem in line for line in found), found


def test_columns_and_keys_are_checked_against_headers() -> None:
    ruleset = rules("amout * fee", "Key + fee")
    found = check_columns(
        ruleset, input_columns=["key", "amount"], reference_columns={"reference": ["Key2", "fee"]}
    )
    assert [str(problem) for problem in found] == [
        "reference  no column is in both the input and the reference, so there is no key to look rows up by",
        "rules.yaml:2:13  [0].formula  unknown column `amout`; did you mean `amount`?",
        "rules.yaml:4:13  [1].formula  unknown column `Key`; did you mean `Key2`?",
    ]
    known = {"reference": ["key", "fee", "Key"]}
    assert (
        check_columns(rules("amount + fee"), input_columns=["key", "amount"], reference_columns=known) == []
    )
    assert check_columns(rules("amount + fee"), input_columns=["amount"], reference_columns={}) == []


TRANSLATED = [
    "a",
    "a + b",
    "a + b + 8",
    "-a ** 2 - b % 3 // c",
    "a - (b - c) * (a + 1)",
    "max(a, b) + min(a, 1)",
    "round(a * 1.5, 2)",
    "'x' if a == 'y' or not (b < 3 and c >= 1) else None",
    "(a if b is None else c) * 2",
    "1 < a <= 10",
    "a not in ['x', \"it's\", 7]",
    "coalesce(a, upper(b), 'none') + 'x'",
    "'a;b--c/*' + a",
    "1e20 * a + 1e-7",
    "(a == 1) == (b == 2)",
    "regex_replace(a, '[^0-9]', '')",
    "select + order + True_",
]


@pytest.mark.parametrize("formula", TRANSLATED)
def test_a_translation_is_a_long_form_that_means_the_same(formula: str) -> None:
    short = rules(formula, "a * 2", a="a + 'x'")
    long = load_ruleset(short.to_yaml())
    assert long.form == "long"
    assert long.to_yaml() == short.to_yaml()
    names = (*dict.fromkeys(name for found in short.formulas for name in found.columns), "k")
    kinds = {"a": ColumnKind("mixed", 1e3), "b": ColumnKind("number", 1e3)}
    shapes = {"reference": TableShape("reference", ("k", "d"), {})}
    queries = [
        compile_ruleset(ruleset, input=TableShape("input", names, kinds), references=shapes)
        for ruleset in (short, long)
    ]
    assert queries[0].text_sql == queries[1].text_sql
    assert queries[0].columns == queries[1].columns


def test_explain_shows_the_long_form_and_the_query() -> None:
    ruleset = rules("price * amount", "name")
    text = explain(ruleset)
    assert "cell_number(price) * cell_number(amount)" in text
    assert "SELECT" in text
    assert load_ruleset(text).to_yaml() == ruleset.to_yaml()
    sql = explain_sql(ruleset, ["k", "price", "amount"], {"reference": ["k", "name"]})
    assert "LEFT JOIN" in sql
    assert "MISSING_name" in sql


def test_the_schema_knows_both_forms() -> None:
    text = json.dumps(rules_schema())
    assert all(word in text for word in ("formula", "derive", "lookup", "$schema"))


def test_the_rules_need_no_engine() -> None:
    code = (
        "import sys, reportgen_dagster.rules.explain, reportgen_dagster.rules.checks;"
        "print([m for m in ('duckdb', 'pandas', 'polars', 'pyarrow', 'pandera', 'dagster') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == "[]"
