"""Rules files: what is read, what is refused, and where the problem is said to be."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlglot import exp

from reportgen_dagster.errors import RulesError
from reportgen_dagster.rules.expressions.formulas import translate
from reportgen_dagster.rules.expressions.gate import ExpressionError
from reportgen_dagster.rules.reading.document import DeriveStep, LookupStep
from reportgen_dagster.rules.reading.loading import load_ruleset
from reportgen_dagster.rules.reading.ruleset import Ruleset


def problems(text: str, syntax: str = "yaml") -> list[str]:
    with pytest.raises(RulesError) as caught:
        load_ruleset(text, syntax=syntax)
    return [str(problem) for problem in caught.value.problems]


def one(text: str, syntax: str = "yaml") -> str:
    (problem,) = problems(text, syntax)
    return problem


def outputs(ruleset: Ruleset) -> tuple[str, ...]:
    assert ruleset.document.output is not None
    return tuple(ruleset.document.output.columns or ())


def test_yaml_and_json_mean_the_same() -> None:
    document = [{"output": "total", "formula": "price * amount"}, {"output": "NO", "formula": "'on'"}]
    yaml = "- {output: total, formula: price * amount}\n- output: NO\n  formula: \"'on'\"\n"
    loaded = [
        load_ruleset(yaml),
        load_ruleset(json.dumps(document), syntax="json"),
        load_ruleset(json.dumps(document)),
    ]
    assert {ruleset.to_yaml() for ruleset in loaded} == {loaded[0].to_yaml()}
    assert outputs(loaded[0]) == ("total", "NO")
    assert [found.columns for found in loaded[0].expressions.values()] == [("price", "amount"), ()]
    assert loaded[0].reference_names == ("reference",)
    assert loaded[0].form == "short"


def test_json_with_tabs_a_bom_and_windows_line_ends_is_read() -> None:
    text = '\ufeff[\r\n\t{"output":\t"a",\t"formula":\t"b"}\r\n]\r\n'
    assert outputs(load_ruleset(text)) == ("a",)
    assert outputs(load_ruleset("\ufeff- output: a\r\n  formula: b\r\n")) == ("a",)


def test_formulas_over_several_lines_are_read() -> None:
    text = "- output: a\n  formula: >\n    b +\n    c\n- output: d\n  formula: |\n    b\n    + 'x'\n"
    assert [found.columns for found in load_ruleset(text).expressions.values()] == [("b", "c"), ("b",)]


def test_a_number_is_a_formula() -> None:
    ruleset = load_ruleset("- {output: 2024, formula: 5}")
    assert outputs(ruleset) == ("2024",)
    assert [found.text for found in ruleset.expressions.values()] == ["5"]


def test_a_formula_with_commas_needs_no_quotes_inside_braces() -> None:
    ruleset = load_ruleset(
        "- {output: a, formula: field3 * max(field5, refdata4)}\n- {output: b, formula: x}\n"
    )
    assert [found.text for found in ruleset.expressions.values()] == ["field3 * max(field5, refdata4)", "x"]
    assert one("- {output: a, formula: max(b, (uper(c), 2))}").startswith("rules.yaml:1:")
    text = "version: 1\nsteps:\n  - derive: {a: max(b,\n      c), d: if(x > 1, 'y', z), e: 1}\n"
    assert [found.text for found in load_ruleset(text).expressions.values()] == [
        "max(b, c)",
        "if(x > 1, 'y', z)",
        "1",
    ]
    assert "stands in double quotes" in one("- {output: a, formula: left(b, 'x')}")


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
        ('[{"output": "a", "formula": ' + "9" * 5000 + "}]", "64 bits"),
    ],
)
def test_refused_as_json(text: str, words: str) -> None:
    assert words in problems(text, "json")[0]


LARGE = (
    "{version: 1, parameters: {p: {type: decimal, default: N}},"
    " input: {schema: {fields: [{name: a, type: decimal, precision: 38, scale: 0, constraints: {minimum: N}}]}},"
    " steps: [{limit: 3}]}"
)


@pytest.mark.parametrize("number", ["9223372036854775807", "-9223372036854775808", "0", "007"])
def test_whole_numbers_of_64_bits_are_read(number: str) -> None:
    default = load_ruleset(LARGE.replace("N", number)).document.parameters["p"].default
    assert default == int(number)


@pytest.mark.parametrize(
    "number",
    ["9223372036854775808", "-9223372036854775809", "99999999999999999999", "9" * 38, "1" + "0" * 50],
)
def test_longer_whole_numbers_are_refused_alike_in_yaml_and_json(number: str) -> None:
    shown = number if len(number) <= 40 else f"{number[:40]}..."
    words = f"`{shown}` is a whole number of more than 64 bits; in quotes it is taken as it is written"
    as_json = re.sub(r"[a-z]+", r'"\g<0>"', LARGE)
    assert one(LARGE.replace("N", number)) == f"rules.yaml:1:{LARGE.index('N') + 1}  {words}"
    assert one(as_json.replace("N", number), "json") == f"rules.yaml:1:{as_json.index('N') + 1}  {words}"
    quoted = load_ruleset(LARGE.replace("N", f'"{number[:28]}"')).document.parameters["p"].default
    assert quoted == number[:28]


def test_a_file_over_the_bound_and_a_bomb_of_aliases_end_at_once() -> None:
    assert "1 MiB" in one("#" * 2**20 + "x")
    levels = "".join(f"- &l{n} [{', '.join([f'*l{n - 1}'] * 5)}]\n" for n in range(1, 10))
    assert "values" in one("- &l0 [x, x, x, x, x, x, x, x, x]\n" + levels)


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


def test_problems_of_a_translation_are_told_where_the_user_wrote_them() -> None:
    ruleset = load_ruleset("- {output: a, formula: x}\n- {output: Total, formula: x + upper(yy)}\n")
    path = ("steps", 1, "derive", "Total")
    expression = ruleset.expressions[path]
    assert (expression.text, expression.columns) == ("x + upper(yy)", ("x", "yy"))
    column = next(node for node in expression.tree.find_all(exp.Column) if node.name == "yy")
    assert str(ruleset.problem_in(expression, "wrong", column)) == "rules.yaml:2:38  [1].formula  wrong"
    assert str(ruleset.problem(path, "wrong", offset=4)) == "rules.yaml:2:32  [1].formula  wrong"
    assert (
        str(ruleset.problem(("output", "columns", "Total"), "wrong")) == "rules.yaml:2:12  [1].output  wrong"
    )


@pytest.mark.parametrize(
    "formula",
    [
        "a", "a + b", "a + b + 8", "-a ** 2 - b % 3 // c", "a - (b - c) * (a + 1)", "max(a, b) + min(a, 1)",
        "round(a * 1.5, 2)", "'x' if a == 'y' or not (b < 3 and c >= 1) else None", "(a if b is None else c) * 2",
        "1 < a <= 10", "a not in ['x', \"it's\", 7]", "coalesce(a, upper(b), 'none') + 'x'", "'a;b--c/*' + a",
        "1e20 * a + 1e-7", "(a == 1) == (b == 2)", "regex_replace(a, '[^0-9]', '')", "select + order + True_",
    ],
)  # fmt: skip
def test_a_translation_is_a_long_form_that_means_the_same(formula: str) -> None:
    rule = {"output": "out", "formula": formula}
    short = load_ruleset(json.dumps([rule, {"output": "a", "formula": "a + 'x'"}]), syntax="json")
    long = load_ruleset(short.to_yaml())
    assert long.form == "long"
    assert long.document == short.document
    assert long.to_yaml() == short.to_yaml()
    trees = [[(path, found.tree) for path, found in rules.expressions.items()] for rules in (short, long)]
    assert trees[0] == trees[1]


LONG = """\
version: 1
parameters:
  rate: {type: number, default: 0.5}
steps:
  - lookup: {reference: desks, match: {desk: desk_id}, take: [name, fee], defaults: {fee: 0}}
  - derive:
      total: price * amount * :rate
      size: case when total > 1000 then 'large' else 'small' end
  - aggregate: {by: [name], measures: {sum: sum(total)}}
output:
  columns: {Total: sum, Name: name}
"""

LAST = "aggregate: {by: [name], measures: {sum: sum(total)}}"

PAGE = """\
version: 1
title: Desk margin
input:
  dialect: {delimiter: ";", encoding: utf-8, decimalChar: ","}
  schema:
    missingValues: ["", "NA"]
    primaryKey: trade_id
    fields:
      - {name: trade_id, type: string, constraints: {required: true, unique: true, pattern: "T[0-9]+"}}
      - {name: amount,   type: decimal, precision: 18, scale: 4, constraints: {minimum: 0}}
      - {name: traded,   type: date, format: "%d/%m/%Y"}
references:
  desks:
    schema: {primaryKey: desk_id, fields: [{name: desk_id, type: string}, {name: fee, type: decimal}]}
steps:
  - lookup: {reference: desks, match: {desk: desk_id}, take: [desk_name, fee], defaults: {desk_name: unknown, fee: 0}}
  - filter: amount > 0 and desk_name <> 'TEST'
  - derive: {gross: amount * max(fee, 0.5), size: "case when amount > 1000 then 'large' else 'small' end"}
  - aggregate: {by: [desk_name, size], measures: {trades: count(*), total: sum(gross)}}
  - filter: trades > 3
  - sort: [-total, desk_name]
output:
  columns: {Desk: desk_name, Size: size, Trades: trades, Total: total}
  schema: {fields: [{name: Total, constraints: {minimum: 0}}]}
rejects: {policy: divert, max: 1%}
"""


def test_the_long_form_is_read() -> None:
    ruleset = load_ruleset(LONG)
    assert ruleset.form == "long"
    assert outputs(ruleset) == ("Total", "Name")
    assert ruleset.reference_names == ("desks",)
    first, second, _ = ruleset.document.steps
    assert isinstance(first, LookupStep)
    assert isinstance(second, DeriveStep)
    assert first.lookup.keys == {"desk": "desk_id"}
    contexts = {path[1:]: found.context for path, found in ruleset.expressions.items()}
    assert contexts == {
        (1, "derive", "total"): "scalar",
        (1, "derive", "size"): "scalar",
        (2, "aggregate", "measures", "sum"): "aggregate",
    }
    assert ruleset.expressions["steps", 1, "derive", "total"].columns == ("price", "amount")


@pytest.mark.parametrize("text", [LONG, PAGE])
def test_a_long_form_comes_out_as_it_was_written(text: str) -> None:
    ruleset = load_ruleset(text)
    again = load_ruleset(ruleset.to_yaml())
    assert again.document == ruleset.document
    assert again.to_yaml() == ruleset.to_yaml()
    assert list(again.expressions) == list(ruleset.expressions)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("version: 1", "version: 2", "rules.yaml:1:10  version  `1` is expected here"),
        ("version: 1", "title: x", "rules.yaml:1:1  version  `version` is missing"),
        ("version: 1", "version: 1\nsteps_: {}", "rules.yaml:2:1  steps_  unknown key `steps_`; did you mean `steps`?"),
        ("  - derive", "  - derve: x\n  - derive", "rules.yaml:6:5  steps[1].derve  unknown step `derve`; did you mean"),
        ("  - derive", "  - 5\n  - derive", "steps[1]  a step is a mapping with one of lookup, join,"),
        ("  - derive", "  - name: x\n  - derive", "steps[1]  the step has no kind: one of lookup, join,"),
        ("  - derive", "  - {filter: total > 1, sort: total}\n  - derive", "steps[1].sort  `filter` and `sort` are two steps"),
        ("take:", "takes:", "steps[0].lookup.takes  unknown key `takes`; did you mean `take`?"),
        ("{desk: desk_id}", "true", "steps[0].lookup.match  `shared`, a mapping or a list is expected here"),
        ("{desk: desk_id}", "{}", "steps[0].lookup.match  it is empty"),
        ("{desk: desk_id}", "shared", "steps[0].lookup.match  `match: shared` needs `defaults: standard`"),
        ("{fee: 0}", "standard", "`standard` defaults go with `match: shared`"),
        ("{fee: 0}", "{fees: 0}", "steps[0].lookup.defaults.fees  unknown column `fees`; did you mean `fee`?"),
        ("{fee: 0}", "{fee: [0]}", "defaults.fee  `true` or `false`, a whole number, a number or a text is"),
        ("{fee: 0}", "{fee: 0}, missing: drop", "`missing: drop` does not keep"),
        ("{fee: 0}", "{fee: 0}, missing: dropped", "steps[0].lookup.missing  `dropped` is unknown; did you mean `drop`?"),
        ("[name, fee]", "[name, {}]", "steps[0].lookup.take[1]  a text is expected here"),
        ("[name, fee]", "[fee, Fee]", "steps[0].lookup.take[1]  the column `Fee` is there twice (as `fee`;"),
        (":rate\n", ":rte\n", "steps[1].derive.total  unknown parameter `:rte`; did you mean `rate`?"),
        ("default: 0.5", "default: half", "rules.yaml:3:33  parameters.rate.default  'half' is no number, such as 0.5"),
        ("rate:", "the rate:", "parameters.the rate  the name of a parameter is made of letters, digits and `_`"),
        ("type: number", "type: numbr", "parameters.rate.type  `numbr` is unknown; did you mean `number`?"),
        ("by: [name]", "by: [sum]", "steps[2].aggregate.measures.sum  the column `sum` is there twice"),
        (LAST, "aggregate: {}", "steps[2].aggregate  `by` or `measures` is missing"),
        (LAST, "limit: -1", "steps[2].limit  the number must not be less than 0"),
        (LAST, "limit: ten", "steps[2].limit  a whole number is expected here"),
        (LAST, "drop: [a, a]", "steps[2].drop[1]  `a` is there twice"),
        (LAST, "rename: {a: c, b: C}", "steps[2].rename.b  the column `C` is there twice"),
        (LAST, "top: {n: 1.5, by: a}", "steps[2].top.n  a whole number is expected here"),
        (LAST, "distinct: false", "steps[2].distinct  `true` or a list is expected here"),
        (LAST, "join: {reference: x, match: k, how: semi, take: [a]}", "`how: semi` only chooses rows"),
        (LAST, "unpivot: {columns: a, name: value}", "the column `value` is there twice"),
        (LAST, "append: {reference: input}", "`input` is the input, not a reference"),
        ("{Total", "{total: name, Total", "output.columns.Total  the output `Total` is there twice"),
        ("  columns:", "  colums: [a]\n  columns:", "output.colums  unknown key `colums`; did you mean `columns`?"),
        ("output:", "rejects: {max: 101%}\noutput:", "rejects.max  a count such as 100, or a percentage such as 1%, is"),
        ("output:", "rejects: {policy: drop}\noutput:", "rejects.policy  `drop` is unknown; `divert` or `fail` is expected here"),
        ("steps:", "references: {input: {}}\nsteps:", "references.input  `input` is the input, not a reference"),
        ("steps:", "references: {Desk: }\nsteps:", "steps[0].lookup.reference  unknown reference `desks`; did you mean"),
        ("steps:", "references: {desks: , DESKS: }\nsteps:", "references.DESKS  the references `desks` and `DESKS` differ"),
        ("steps:", "input: {dialect: {headerRows: 2}}\nsteps:", "input.dialect.headerRows  `headerRows` is not read: the header"),
        ("steps:", "input: {schema: {field: []}}\nsteps:", "input.schema.field  unknown key `field`; did you mean `fields`?"),
        ("steps:", "input: {schema: {fields: [{name: a, type: decimals}]}}\nsteps:", "ields[0].type  `decimals` is unknown; did"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_long_form_is_told_by_name(old: str, new: str, problem: str) -> None:
    assert old in LONG
    found = problems(LONG.replace(old, new, 1))
    assert any(problem in line for line in found), found


def test_every_problem_of_a_long_form_is_told_at_once_with_its_place() -> None:
    text = """\
version: 1
titel: x
parameters: {rate: {type: integer, default: 0.5}, day: {typ: date}}
input: {schema: {fields: [{name: a, type: strin}]}}
steps:
  - filtr: a > 1
  - filter: a > :rat
  - derive: {b: "a +", c: [1], d: "maxx(a, 1)", D: "1"}
  - aggregate: {by: a, measures: {n: count(*), m: upper(a) + }}
  - sort: []
output: {columns: [a, b, A]}
rejects: {policy: diverts}
"""
    assert problems(text) == [
        "rules.yaml:2:1  titel  unknown key `titel`; did you mean `title`?",
        "rules.yaml:3:45  parameters.rate.default  '0.5' is no whole number of 64 bits, such as 12",
        "rules.yaml:3:56  parameters.day.type  `type` is missing",
        "rules.yaml:3:57  parameters.day.typ  unknown key `typ`; did you mean `type`?",
        "rules.yaml:4:43  input.schema.fields[0].type  `strin` is unknown; did you mean `string`?",
        "rules.yaml:6:5  steps[0].filtr  unknown step `filtr`; did you mean `filter`?",
        "rules.yaml:7:17  steps[1].filter  unknown parameter `:rat`; did you mean `rate`?",
        "rules.yaml:8:20  steps[2].derive.b  this is no expression, near `+`",
        "rules.yaml:8:27  steps[2].derive.c  a text is expected here",
        "rules.yaml:8:36  steps[2].derive.d  unknown function `maxx`; did you mean `max`?",
        "rules.yaml:8:49  steps[2].derive.D  the column `D` is there twice (as `d`; names differ by more than case)",
        "rules.yaml:9:60  steps[3].aggregate.measures.m  this is no expression, near `+`",
        "rules.yaml:10:11  steps[4].sort  it is empty",
        "rules.yaml:11:26  output.columns[2]  the output `A` is there twice (as `a`; names differ by more than case)",
        "rules.yaml:12:19  rejects.policy  `diverts` is unknown; did you mean `divert`?",
    ]


def test_places_in_json_are_told_too() -> None:
    text = '{\n  "version": 1,\n  "steps": [\n    {"filter": "amount > :limit"},\n    {"derive": {"a": "b +"}}\n  ]\n}\n'
    assert problems(text, "json") == [
        "rules.yaml:4:26  steps[0].filter  unknown parameter `:limit`; parameters are described under `parameters:`",
        "rules.yaml:5:25  steps[1].derive.a  this is no expression, near `+`",
    ]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("fields: [{name: a, constraints: {pattern: '('}}]", "input.schema.fields[0].constraints.pattern"),
        ("fields: [{name: a, type: integer, constraints: {minimum: 5, maximum: 1}}]", "input.schema.fields[0].constraints"),
        ("fields: [{name: a}], primaryKey: [b]", "input.schema.primaryKey"),
        ("fields: [{name: a}, {name: a}]", "input.schema.fields[1]"),
        ("fields: [{name: a, type: decimal, precision: 4, scale: 5}]", "input.schema.fields[0]"),
        ("fields: [{name: a, type: date, format: '%Q'}]", "input.schema.fields[0].format"),
        ("fields: [{name: a}], foreignKeys: [{fields: a, reference: {resource: desk, fields: b}}]", "did you mean `desks`?"),
        (
            "fields: [{name: a}], foreignKeys: [{fields: a, reference: {resource: input, fields: b}}]",
            "`input` is the input, not a reference",
        ),
    ],
)  # fmt: skip
def test_a_contract_that_cannot_work_is_refused(schema: str, words: str) -> None:
    found = one(f"version: 1\nreferences: {{desks: }}\ninput: {{schema: {{{schema}}}}}\n")
    assert words in found
    assert found.startswith("rules.yaml:3:")


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("filter: sum(a) > 1", "steps[0].filter"),
        ("derive: {b: row_number()}", "steps[0].derive.b"),
        ("aggregate: {measures: {b: row_number()}}", "steps[0].aggregate.measures.b"),
        ("filter: a in (select 1)", "steps[0].filter"),
        ("filter: read_csv('x') = 1", "unknown function `read_csv`"),
        ("derive: {b: \"cast(a as uuid)\"}", "steps[0].derive.b"),
        ("pivot: {column: a, values: rank()}", "steps[0].pivot.values"),
        ("filter: 'a > 1; drop table x'", "several statements"),
    ],
)  # fmt: skip
def test_what_may_not_stand_in_a_step_is_refused(step: str, words: str) -> None:
    assert words in one(f"version: 1\nsteps:\n  - {step}\n")


def test_bounds_hold() -> None:
    steps = "version: 1\nsteps:\n" + "  - limit: 1\n" * 501
    assert "there are 501 steps, more than 500" in one(steps)
    wide = "version: 1\nsteps:\n  - derive: {" + ", ".join(f"c{n}: 1" for n in range(5001)) + "}\n"
    assert "more than 5,000" in one(wide)
    assert "longer than 10,000 characters" in one(f"version: 1\nsteps:\n  - filter: a > {'1' * 10_000}\n")
    deep = f"version: 1\nsteps:\n  - filter: {'(' * 101}a{')' * 101} > 1\n"
    assert "nested deeper than 100 levels" in one(deep)
    assert load_ruleset("version: 1\nsteps:\n" + "  - limit: 1\n" * 500).document.steps


def test_a_hundred_wrong_rules_are_all_told() -> None:
    lines = [f"  - derive: {{c{n}: unknwn(a) + :p{n}}}" for n in range(100)]
    found = problems("version: 1\nsteps:\n" + "\n".join(lines))
    assert {f"steps[{n}].derive.c{n}" for n in range(100)} == {line.split("  ")[1] for line in found}


def test_a_thousand_problems_are_enough() -> None:
    names = ", ".join(f"n{n}: m{n}" for n in range(4000))
    taken = ", ".join(f"x{n}" for n in range(4000))
    found = problems(
        f"version: 1\nsteps:\n  - lookup: {{reference: r, match: [k], take: [{taken}], defaults: {{{names}}}}}\n"
    )
    assert len(found) == 1_001
    assert "more than 1,000 problems" in found[-1]


def test_the_rules_need_no_engine() -> None:
    code = (
        "import sys, reportgen_dagster.rules.explain, reportgen_dagster.rules.reading.loading;"
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
