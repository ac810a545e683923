"""The shape of rules files: what may be written, what it becomes, and the JSON Schema of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reportgen_dagster.rules.reading.document import (
    STEPS,
    LimitStep,
    Lookup,
    LookupStep,
    Rejects,
    SelectStep,
    as_mapping,
    rules_schema,
)
from reportgen_dagster.rules.reading.loading import load_ruleset

EVERY_STEP = """\
version: 1
title: Every step
parameters:
  day: {type: date, default: 2024-01-31, description: the day}
  tag: {type: string}
references:
  desks:
steps:
  - {name: names, description: of desks, lookup: {reference: desks, match: [desk], take: {label: name}, missing: reject}}
  - join: {reference: rates, match: {ccy: code}, how: left}
  - filter: true
  - derive: {a: 0.50, flag: true, b: "'x'"}
  - select: {first: a, second: b, 2024: c}
  - select: [first, 2024]
  - rename: {first: "1"}
  - drop: 007
  - aggregate: {by: desk, measures: {n: count(*)}}
  - window: {partition_by: [desk], order_by: -n, columns: {place: row_number()}}
  - top: {n: 3, by: [-n], per: desk}
  - distinct: true
  - distinct: [desk]
  - pivot: {by: desk, column: month, values: sum(n), columns: [1, 02, true]}
  - pivot: {column: month, values: {low: min(n), high: max(n)}}
  - unpivot: {columns: [a, b]}
  - append: {reference: more, columns: {a: b}}
  - sort: [-n, desk]
  - limit: 10
output:
  columns: [desk, n]
rejects: {policy: fail}
"""


def test_every_step_is_read_and_comes_out_as_it_is_written() -> None:
    ruleset = load_ruleset(EVERY_STEP)
    assert {step.kind for step in ruleset.document.steps} == set(STEPS)
    assert ruleset.reference_names == ("desks", "rates", "more")
    written = ruleset.document.as_written()
    assert list(written) == ["version", "title", "parameters", "references", "steps", "output", "rejects"]
    assert written["parameters"] == {
        "day": {"type": "date", "default": "2024-01-31", "description": "the day"},
        "tag": {"type": "text"},
    }
    assert written["references"] == {"desks": {}}
    assert written["steps"][0] == {
        "name": "names",
        "description": "of desks",
        "lookup": {"reference": "desks", "match": ["desk"], "take": {"label": "name"}, "missing": "reject"},
    }
    assert written["steps"][1:] == [
        {"join": {"reference": "rates", "match": {"ccy": "code"}, "how": "left"}},
        {"filter": "true"},
        {"derive": {"a": "0.50", "flag": "true", "b": "'x'"}},
        {"select": {"first": "a", "second": "b", "2024": "c"}},
        {"select": ["first", "2024"]},
        {"rename": {"first": "1"}},
        {"drop": ["007"]},
        {"aggregate": {"by": ["desk"], "measures": {"n": "count(*)"}}},
        {"window": {"partition_by": ["desk"], "order_by": ["-n"], "columns": {"place": "row_number()"}}},
        {"top": {"n": 3, "by": ["-n"], "per": ["desk"]}},
        {"distinct": True},
        {"distinct": ["desk"]},
        {"pivot": {"by": ["desk"], "column": "month", "values": "sum(n)", "columns": ["1", "02", "true"]}},
        {"pivot": {"column": "month", "values": {"low": "min(n)", "high": "max(n)"}}},
        {"unpivot": {"columns": ["a", "b"]}},
        {"append": {"reference": "more", "columns": {"a": "b"}}},
        {"sort": ["-n", "desk"]},
        {"limit": 10},
    ]
    assert load_ruleset(ruleset.to_yaml()).document == ruleset.document


def test_only_a_version_is_needed() -> None:
    document = load_ruleset("version: 1").document
    assert document.as_written() == {"version": 1}
    assert document.steps == ()
    assert document.output is None
    assert document.rejects.policy == "divert"


@pytest.mark.parametrize("written", ["0", "0.50", "true", "null", "x", "'0'"])
def test_a_default_keeps_what_it_is(written: str) -> None:
    text = f"version: 1\nsteps:\n  - lookup: {{reference: r, match: [k], defaults: {{a: {written}}}}}\n"
    document = load_ruleset(text).document
    (step,) = document.steps
    lookup = getattr(step, step.kind)
    assert isinstance(lookup, Lookup)
    assert isinstance(lookup.defaults, dict)
    expected = {"0": 0, "0.50": 0.5, "true": True, "null": None, "x": "x", "'0'": "0"}[written]
    assert lookup.defaults["a"] == expected
    assert type(lookup.defaults["a"]) is type(expected)
    assert load_ruleset(load_ruleset(text).to_yaml()).document == document


@pytest.mark.parametrize(
    ("written", "rows", "allowed"),
    [({}, 100, None), ({"max": 5}, 100, 5), ({"max": "1%"}, 250, 2.5), ({"max": 0}, 9, 0), ({"policy": "fail"}, 9, 0)],
)  # fmt: skip
def test_how_many_rejects_are_allowed(written: dict[str, object], rows: int, allowed: float | None) -> None:
    assert Rejects.model_validate(written).allowed(rows) == allowed


def test_lists_and_mappings_of_columns_are_the_same() -> None:
    (listed, mapped) = load_ruleset(
        "version: 1\nsteps:\n  - select: [a, b]\n  - select: {x: a}\n"
    ).document.steps
    assert isinstance(listed, SelectStep)
    assert isinstance(mapped, SelectStep)
    assert as_mapping(listed.select) == {"a": "a", "b": "b"}
    assert as_mapping(mapped.select) == {"x": "a"}


def test_documents_do_not_change() -> None:
    (step,) = load_ruleset("version: 1\nsteps:\n  - limit: 1\n").document.steps
    assert isinstance(step, LimitStep)
    with pytest.raises(ValueError, match="frozen"):
        step.limit = 2  # type: ignore[misc] - that is what is tried


def test_the_schema_knows_both_forms_and_describes_every_key() -> None:
    schema = rules_schema()
    assert schema["$schema"].startswith("https://json-schema.org/")
    text = json.dumps(schema)
    assert all(f'"{word}"' in text for word in ("formula", *STEPS, "primaryKey", "delimiter", "parameters"))
    bare = [
        f"{name}.{key}"
        for name, part in schema["$defs"].items()
        for key, value in part.get("properties", {}).items()
        if "description" not in value and "$ref" not in value
    ]
    assert bare == []


def test_the_schema_in_the_repository_is_the_one_of_the_models() -> None:
    path = Path(__file__).parents[2] / "rules" / "schema.json"
    assert json.loads(path.read_text()) == rules_schema()


def yaml_blocks() -> list[str]:
    page = Path(__file__).parents[2] / "docs" / "rules" / "language.md"
    return [block.partition("```")[0] for block in page.read_text().split("```yaml\n")[1:]]


@pytest.mark.parametrize("block", yaml_blocks())
def test_every_example_of_the_reference_page_is_valid(block: str) -> None:
    is_whole = block.startswith(("version:", "- {output"))
    steps = "".join(f"  {line}\n" for line in block.splitlines())
    assert load_ruleset(block if is_whole else f"version: 1\nsteps:\n{steps}").expressions is not None


def test_every_step_has_an_example_on_the_reference_page() -> None:
    examples = "\n".join(yaml_blocks())
    assert [kind for kind in STEPS if f"- {kind}: " not in examples] == []


@pytest.mark.parametrize(
    ("written", "match"), [("k", ("k",)), ("2024", ("2024",)), ("[k, m]", ("k", "m")), ("shared", "shared")]
)
def test_a_lookup_may_match_by_a_single_name(written: str, match: object) -> None:
    defaults = ", defaults: standard" if match == "shared" else ""
    ruleset = load_ruleset(f"version: 1\nsteps:\n  - lookup: {{reference: r, match: {written}{defaults}}}\n")
    step = ruleset.document.steps[0]
    assert isinstance(step, LookupStep)
    assert step.lookup.match == match
