"""Every problem in the file is reported, not only the first: whatever is wrong hides nothing else, and nothing is made up."""

from __future__ import annotations

import ast
import json
import random
import re
from itertools import chain
from pathlib import Path

import pytest
from sqlglot import exp

from reportgen_dagster.errors import RulesError
from reportgen_dagster.rules.functions import FUNCTIONS
from reportgen_dagster.rules.reading.loading import read_ruleset
from reportgen_dagster.services.check_child import answer
from reportgen_dagster.services.rules_problems import rules_problems
from tests.language.asking import Asking, Command
from tests.rules.hostile import FORMS, escapes, generated, rules_of

WRONG = """version: 1
titel: x
parameters: {rate: {type: integer, default: 0.5}}
input:
  schema:
    primaryKey: idd
    fields:
      - {name: a, type: strin}
      - {name: n, type: integer, constraints: {minimum: 5, maximum: 1}}
      - {name: s}
references: {r: {description: rows}}
steps:
  - filter: a > 1 and n > :rate and zz > 1
    nam: foo
  - lookup: {reference: rr, match: {nokey: kk}, take: {w: w}}
  - derive: {b: "a +", c: [1], d: "maxx(a, 1) + nocol", e: s + 1, f: b + c + d + w}
  - lookup: {reference: r, match: {s: kk}, mising: drop, take: [v]}
  - aggregate: {by: [a, nocol2], measures: {m: sum(s), k: sum(f)}}
  - sort: []
  - sort: nocol3
output: {columns: [m, k, nocol4], schema: {fields: [{name: m, type: inteer}, {name: k, type: date}, {name: nope}]}}
rejects: {policy: diverts}
"""
PLACES = [
    "titel",
    "parameters.rate.default",
    "input.schema.primaryKey",
    "input.schema.fields[0].type",
    "input.schema.fields[1].constraints.minimum",
    "steps[0].filter",
    "steps[0].nam",
    "steps[1].lookup.reference",
    "steps[1].lookup.match",
    "steps[2].derive.b",
    "steps[2].derive.c",
    "steps[2].derive.d",
    "steps[2].derive.d",
    "steps[2].derive.e",
    "steps[3].lookup.match",
    "steps[3].lookup.mising",
    "steps[4].aggregate.by[1]",
    "steps[4].aggregate.measures.m",
    "steps[5].sort",
    "steps[6].sort[0]",
    "output.columns[2]",
    "output.schema.fields[0].type",
    "output.schema.fields[1].type",
    "output.schema.fields[2].name",
    "rejects.policy",
]
HEADERS = {"input": ["a", "n", "s"], "r": ["k2", "v"]}


def told(steps: str, headers: dict[str, list[str]] | None = None, *, version: bool = True) -> list[str]:
    """Return the problems of rules as `path  message`."""
    text = f"version: 1\nsteps:\n{steps}" if version else steps
    try:
        problems = rules_problems(read_ruleset(text), headers)
    except RulesError as error:
        problems = list(error.problems)
    return [f"{problem.path}  {problem.message}" for problem in problems]


def test_shapes_expressions_columns_types_and_contracts_are_told_in_one_go() -> None:
    # Every problem in the file is reported, not only the first
    problems = rules_problems(read_ruleset(WRONG), {"input": HEADERS["input"], "r": ["kk2", "v"]})
    assert [problem.path for problem in problems] == PLACES
    assert len({(problem.path, problem.message) for problem in problems}) == len(problems)


def test_check_run_and_the_api_tell_the_same(reportgen: Command) -> None:
    # `reportgen check` and the API do the same check
    data = {"input": "a,n,s\nx,1,y\n", "r": "k2,v\n1,2\n"}
    request = {
        "text": WRONG,
        "source": "rules.yaml",
        "syntax": "yaml",
        "columns": HEADERS,
        "parameters": None,
    }
    files = ("--input", "input.csv", "--reference", "r=r.csv", "--json")
    problems = answer(request)["error"]["problems"]
    for command in (("check",), ("explain",), ("preview",), ("run", "--output", "out.csv")):
        heard = reportgen(command[0], "rules.yaml", *command[1:], *files, rules=WRONG, **data)
        assert (heard.code, json.loads(heard.err)["problems"]) == (2, problems), command


def test_a_run_tells_columns_and_types_together(reportgen: Command) -> None:
    rules = (
        "version: 1\nsteps:\n  - derive: {a: t - 1}\n  - sort: nosuch\n  - derive: {b: cast('x' as date)}\n"
    )
    data = "t\nx\n"
    checked = reportgen("check", "rules.yaml", "-i", "input.csv", rules=rules, input=data)
    run = reportgen("run", "rules.yaml", "-i", "input.csv", "-o", "out.csv")
    assert [line in checked.err for line in ("rules.yaml:3:", "rules.yaml:4:", "rules.yaml:5:")] == [True] * 3
    assert (run.code, run.err) == (checked.code, checked.err)
    constant = "version: 1\nsteps:\n  - derive: {b: cast('x' as date)}\n"
    assert reportgen("run", "rules.yaml", "-i", "input.csv", "-o", "out.csv", rules=constant).code == 2


def test_a_large_file_is_not_read_to_tell_what_its_header_tells(
    reportgen: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reportgen_dagster.cli.planning.SOON_SURVEYED_BYTES", 3)
    rules = "version: 1\nsteps:\n  - sort: nosuch\n"
    unclosed = 'k\n"a\n'  # which a look at the rows would tell
    heard = reportgen("check", "rules.yaml", "-i", "input.csv", rules=rules, input=unclosed)
    assert "unknown column `nosuch`" in heard.err
    assert "quote" not in heard.err
    sound = rules.replace("nosuch", "k")
    assert "quote" in reportgen("check", "rules.yaml", "-i", "input.csv", rules=sound).err


def test_what_is_given_beside_the_rules_hides_nothing_of_them(reportgen: Command) -> None:
    rules = "version: 1\nsteps:\n  - lookup: {reference: r, match: [k]}\n  - sort: nosuch\n  - limit: 1\n    nam: x\n"
    data = "k\nx\n"
    heard = reportgen(
        "run", "rules.yaml", "-i", "input.csv", "-p", "x=1", "-o", "o.csv", rules=rules, input=data
    )
    assert "unknown key `nam`" in heard.err
    assert "parameter `x`" in heard.err
    sound = rules.replace("    nam: x\n", "").replace("- lookup", "- derive: {a: nosuch2}\n  - lookup")
    heard = reportgen("run", "rules.yaml", "-i", "input.csv", "-o", "o.csv", rules=sound)
    assert "unknown column `nosuch2`" in heard.err
    assert "the file is missing" in heard.err


@pytest.mark.parametrize(
    "steps",
    [
        '  - derive: {b: "a +"}\n  - filter: b > 1 and b = 2 and b\n  - derive: {c: b || 1, d: b + 1}\n',
        "  - derive: {b: [1]}\n  - filter: b > 1\n",
        "  - aggregate: {by: a, measures: {m: maxx(n)}}\n  - filter: m > date '2024-01-01'\n",
        "  - window: {columns: {m: lagg(n)}}\n  - derive: {c: m / 2}\n",
        "  - lookup: {refrence: r, match: [k2]}\n  - select: [a, whatever]\n",
        "  - lookup: {reference: r, match: {a: k2}, taek: {w: v}}\n  - select: [a, w]\n",
        "  - pivot: [1]\n  - select: [swap, bond]\n",
        "  - nosuchstep: 1\n  - select: whatever\n",
        "  - 5\n  - select: whatever\n",
        "  - derive: {b: nosuch + 1}\n  - derive: {c: b + 1}\n  - sort: c\n",
        "  - derive: {b: regex_matches(a, foo('x'))}\n",
        "  - derive: {b: a like [1]}\n",
    ],
)
def test_one_mistake_is_one_problem(steps: str) -> None:
    found = told(steps, HEADERS)
    assert len({line.split("  ")[0].split(".")[0] for line in found}) == 1, found
    assert len(found) <= 2, found  # an unknown key and the missing one that it may be


def test_a_field_with_a_mistake_is_of_any_type() -> None:
    text = (
        "version: 1\ninput: {{schema: {{fields: [{{name: a, type: {0}}}, {{name: n, type: integer}}], primaryKey: [a, n]}}}}\n"
        "steps: [{{derive: {{b: a + 1, c: a || 'x', d: 'a > 5 and a'}}}}, {{filter: n}}]\n"
    )
    paths = [
        problem.path for problem in rules_problems(read_ruleset(text.format("intger")), {"input": ["a", "n"]})
    ]
    assert paths == ["input.schema.fields[0].type", "steps[1].filter"]


def test_a_broken_dialect_says_nothing_of_columns(reportgen: Command) -> None:
    rules = "version: 1\ninput: {dialect: {delimiter: ab}}\nsteps:\n  - sort: b\n  - limit: x\n"
    heard = reportgen("check", "rules.yaml", "-i", "input.csv", rules=rules, input="aabb\n1ab2\n")
    assert [line.split()[1] for line in heard.err.splitlines() if "rules.yaml:" in line] == [
        "input.dialect.delimiter",
        "steps[1].limit",
    ]


def test_short_rules_hide_nothing_either() -> None:
    rules = "- {output: a, formula: 'b +'}\n- {output: c, formla: d}\n- {output: e, formula: nosuch}\n- {output: e, formula: k}\n"
    found = told(rules, {"input": ["k", "b"], "reference": ["k", "v"]}, version=False)
    assert [line.split("  ")[0] for line in found] == [
        "[0].formula", "[1].formula", "[1].formla", "[2].formula", "[3].output",
    ]  # fmt: skip


# words


JARGON = re.compile(
    r"sqlglot|ruamel|pydantic|pandera|ast\.|token|<[a-z]+ |re\.error|__|Traceback|0x[0-9a-f]{6}"
)


def test_no_message_names_a_class_or_a_library() -> None:
    # A message is one a person can act on without the manual
    classes = {
        name for of in (exp, ast) for name in vars(of) if re.fullmatch(r"[A-Z][a-z]+([A-Z][A-Za-z]*)?", name)
    }
    wrong = chain(escapes(), generated(2_500, 11, Path("/nowhere/secret.csv")))
    forms = random.Random(3)  # noqa: S311 - repeatable on purpose
    for expression in wrong:
        quoted = [f"`{name}`" for name in classes if name not in expression and name.lower() not in FUNCTIONS]
        for line in told(rules_of(expression, forms.choice(FORMS)), version=False):
            assert not JARGON.search(line.replace(expression, "")) or JARGON.search(expression), line
            assert not any(name in line for name in quoted), line


@pytest.mark.parametrize(
    "text",
    [
        "filter: 'a' = b", "filter: a: b", "filter: %x", "filter: `x`", "filter: @x", 'filter: "x', "derive: {a: [b}",
        "derive: {a: b", " filter: a\n - b", "derive: {a: 'b' c}", 'filter: "\\q"', "filter: |9x", "\tfilter: a", "filter: !x y",
        "filter: *x", "&a *b", "filter: >\n\t x", "? a : b : c", "{a: b}}", "- - - : - ]",
    ],
)  # fmt: skip
def test_yaml_is_told_in_plain_words(text: str) -> None:
    for line in told(f"  - {text}\n"):
        assert not re.search(r"block end|<|token|scalar|flow|node|mapping values|stream|tag:yaml", line), line


def test_a_parameter_in_braces_is_to_be_quoted() -> None:
    (line,) = told("  - derive: {p: :nope}\n")
    assert "one that begins with `:`, stands in double quotes" in line
    assert told('  - derive: {p: ":nope"}\n') == [
        "steps[0].derive.p  unknown parameter `:nope`; parameters are described under `parameters:`"
    ]


@pytest.mark.parametrize(
    ("expression", "hint"),
    [
        ("unit price", 'stands in double quotes: "unit price"'),
        ("unit price * 2", 'stands in double quotes: "unit price"'),
        ("2 * unit price", 'stands in double quotes: "unit price"'),
        ("now()", "`today()`"),
        ("NOW()", "`today()`"),
        ("current_date", "`today()`"),
        ("n as x", "`as` is not needed"),
        ("a[1]", "`[ ]` is not allowed"),
        ("repeat(a, 100001)", "longer than 100000 characters"),
        ("rpad(a, 100001, ' ')", "longer than 100000 characters"),
        ("lpad(a, 10000000)", "longer than 100000 characters"),
    ],
)
def test_hints(expression: str, hint: str) -> None:
    (line,) = told(f"  - derive: {{x: {json.dumps(expression)}}}\n", HEADERS)
    assert hint in line


@pytest.mark.parametrize(
    ("formula", "hint"),
    [("now()", "`today()`"), ("current_date", "`today()`"), ("k ^ 2", "`^` is not allowed")],
)
def test_hints_of_formulas(formula: str, hint: str) -> None:
    (line,) = told(
        f"- {{output: x, formula: '{formula}'}}", {"input": ["k"], "reference": ["k", "v"]}, version=False
    )
    assert hint in line


def test_an_unknown_lookup_key_is_told_once() -> None:
    assert told("  - lookup: {reference: r, match: [nokey]}\n", HEADERS) == [
        "steps[0].lookup.match  unknown column `nokey` here, nor in `r`"
    ]
    assert told("  - lookup: {reference: r, match: [a]}\n", HEADERS) == [
        "steps[0].lookup.match  unknown column `a` in `r`"
    ]


def test_problems_of_data_name_the_file_as_its_user_does(reportgen: Command) -> None:
    rules = "version: 1\ninput: {schema: {fields: [{name: a, type: integer}]}}\nrejects: {policy: fail}\n"
    heard = reportgen("run", "rules.yaml", "-i", "trades.csv", "-o", "out.csv", rules=rules, trades="a\nx\n")
    assert heard.code == 3
    assert "trades.csv" in heard.err
    heard = reportgen("check", "rules.yaml", "-i", "trades.csv", trades="a,a\n1,2\n")
    assert "trades.csv" in heard.err


# pivots


def test_pivoted_columns_differ_by_more_than_case(ask: Asking) -> None:
    steps = "  - pivot: {by: k, column: p, values: sum(n), columns: [swap, Swap]}\n"
    assert told(steps) == ["steps[0].pivot  the columns `swap` and `Swap` differ only by case"]
    failed = ask.failing_steps("pivot: {by: k, column: p, values: sum(n)}", "k,p,n\n1,swap,2\n1,Swap,3\n")
    assert "`Swap` and `swap` differ only by case; lower(p)" in failed
