"""The file of rules itself, and the files that it names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from reportgen_dagster.errors import MissingInputError
from reportgen_dagster.rules.reading.document import rules_schema
from reportgen_dagster.rules.reading.loading import load_ruleset
from tests.language.asking import Asking, refused

SHORT = [{"output": "a", "formula": "x + 1"}]
LONG = {"version": 1, "steps": [{"derive": {"a": "x + 1"}}]}


@pytest.mark.parametrize(("rules", "form"), [(SHORT, "short"), (LONG, "long")])
def test_rules_are_yaml_or_json_in_one_of_two_forms(rules: Any, form: str) -> None:
    # A rules file is YAML or JSON, one document, in one of two forms.
    assert load_ruleset(json.dumps(rules), syntax="json").form == form
    assert load_ruleset(yaml.safe_dump(rules)).form == form


@pytest.mark.parametrize("text", ["just words", "5", "", "{a: 1}"])
def test_there_is_no_third_form(text: str) -> None:
    # A rules file is YAML or JSON, one document, in one of two forms.
    assert refused(text, version=False)


def test_a_file_holds_one_document() -> None:
    # A rules file is YAML or JSON, one document, in one of two forms.
    short = json.dumps(SHORT)
    assert refused(f"{short}\n---\n{short}\n", version=False)
    assert refused(f"{short}\n{short}\n", version=False, syntax="json")


def test_yaml_is_read_by_the_core_schema_of_1_2(ask: Asking) -> None:
    # YAML is read by the 1.2 core schema (`NO`, `on` and `yes` are texts, `012` is not octal)
    made = ask.long(
        "title: on\nsteps: [{select: [NO, on, yes, off]}, {limit: 012}]", "off,yes,on,NO\n" + "1,2,3,4\n" * 20
    )
    assert made.lines == ["NO,on,yes,off"] + ["4,3,2,1"] * 12


def test_a_key_may_be_a_word_that_yaml_1_1_takes_for_a_boolean(ask: Asking) -> None:
    # YAML is read by the 1.2 core schema (`NO`, `on` and `yes` are texts)
    assert ask.steps("derive: {NO: x, on: x, yes: x}", "x\n1\n")[0] == "x,NO,on,yes"


@pytest.mark.parametrize(
    "tagged", ["!!str 5", "!!python/object/apply:os.system ['true']", "!own x", "!!binary eA=="]
)
def test_tags_are_refused(tagged: str) -> None:
    # without tags
    assert "tag" in refused(f"steps:\n  - derive:\n      a: {tagged}\n")


def test_a_few_aliases_are_followed_and_many_are_refused(ask: Asking) -> None:
    # with few aliases
    assert ask.steps("derive: {a: &x x + 1, b: *x}", "x\n1\n") == ["x,a,b", "1,2,2"]
    many = ", ".join("*n" for _ in range(1000))
    assert "alias" in refused(f"title: &n t\nsteps: [{{drop: [{many}]}}]\n")


@pytest.mark.parametrize("syntax", ["yaml", "json"])
def test_duplicate_keys_are_refused(syntax: str) -> None:
    # duplicate keys refused
    text = '{"version": 1, "steps": [{"derive": {"a": "1", "a": "2"}}]}'
    assert "`a`" in refused(text, version=False, syntax=syntax)


def test_no_key_of_the_language_is_a_boolean_to_other_readers() -> None:
    # the language itself has no key that YAML 1.1 readers turn into a boolean.
    keys = set(_keys(rules_schema()))
    assert {"steps", "lookup", "formula", "decimalChar"} <= keys
    assert [key for key in sorted(keys) if not isinstance(yaml.safe_load(key), str)] == []


def _keys(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {}) if isinstance(schema.get("properties"), dict) else ()
        for value in schema.values():
            yield from _keys(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _keys(value)


def test_the_input_is_called_input(ask: Asking) -> None:
    # The input is `input`.
    assert ask.long("input: {schema: {fields: [{name: x, type: integer}]}}", "x\n1\ny\n").lines == ["x", "1"]
    assert ask.long("", "x\n1\n").outcome.sources == {"x": [["input", "x"]]}


def test_references_without_a_contract_need_not_be_listed(ask: Asking) -> None:
    # `references:` may be left out where there is no contract
    lookup = "lookup: {reference: desks, match: {desk: id}}"
    assert ask.steps(lookup, "desk\nd1\n", desks="id,name\nd1,FX\n") == ["desk,name", "d1,FX"]


def test_the_file_of_the_original_api_is_the_reference_called_reference(ask: Asking) -> None:
    # the file of the original API is the reference `reference`
    short = load_ruleset(json.dumps([{"output": "a", "formula": "label"}]), syntax="json")
    assert short.reference_names == ("reference",)
    lookup = "lookup: {reference: reference, match: [key]}"
    assert ask.steps(lookup, "key\nk1\n", reference="key,label\nk1,one\n") == ["key,label", "k1,one"]


def test_further_references_are_given_by_their_names(ask: Asking) -> None:
    # further ones are given by their names.
    steps = """
    lookup: {reference: desks, match: {desk: id}}
    lookup: {reference: rates, match: {currency: code}}
    """
    files = {"desks": "id,name\nd1,FX\n", "rates": "code,rate\nEUR,1.1\n"}
    assert ask.steps(steps, "desk,currency\nd1,EUR\n", **files) == [
        "desk,currency,name,rate",
        "d1,EUR,FX,1.1",
    ]
    with pytest.raises(MissingInputError, match="rates"):
        ask.steps(steps, "desk,currency\nd1,EUR\n", desks="id,name\nd1,FX\n")
