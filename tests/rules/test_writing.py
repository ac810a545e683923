"""Rules in the other syntax mean the same, down to how numbers are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reportgen_dagster.rules.reading.positions import read_document
from reportgen_dagster.rules.reading.writing import in_syntax

FILES = sorted((Path(__file__).parents[2] / "rules").rglob("*.yaml"))
AWKWARD = r"""[
  {"yes": "no", "~": "null", "007": "1e3", "a: b": "c # d", "<<": "=", "-": "", "!x": "*y", "&z": "'"},
  {"text": "l1\nl2", "blank": " x ", "control": "\u0001\u2028", "tab": "a\tb", "other": "é漢"},
  {"half": 0.50, "large": 1E+5, "whole": 10, "minus": -3, "true": true, "null": null, "list": [], "object": {}},
  ["2024-01-31", ".5", "1_000", "0x1f", "true", "[a]", "{b}", "\"c\"", "\\d"]
]"""


def read(text: str, syntax: str) -> Any:
    return _told(read_document(text, syntax="json" if syntax == "json" else "yaml", source="rules").data)


def _told(value: Any) -> Any:
    """Return data in which numbers are what they are written as."""
    if isinstance(value, dict):
        return [(key, _told(child)) for key, child in value.items()]
    if isinstance(value, list):
        return list(map(_told, value))
    return value if isinstance(value, bool | str) or value is None else (type(value).__name__, str(value))


def other(text: str, syntax: str, wanted: str) -> str:
    sides = ("json" if one == "json" else "yaml" for one in (syntax, wanted))
    return in_syntax(text, source="rules", syntax=next(sides), wanted=next(sides))


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.parent.name)
def test_rules_come_back_as_they_were(file: Path) -> None:
    text = file.read_text()
    as_json = other(text, "yaml", "json")
    assert read(as_json, "json") == read(text, "yaml")
    assert read(other(as_json, "json", "yaml"), "yaml") == read(text, "yaml")
    assert other(text, "yaml", "yaml") == text


def test_awkward_texts_and_numbers_come_back_as_they_were() -> None:
    as_yaml = other(AWKWARD, "json", "yaml")
    assert read(as_yaml, "yaml") == read(AWKWARD, "json")
    assert read(other(as_yaml, "yaml", "json"), "json") == read(AWKWARD, "json")


def test_numbers_that_json_has_not_are_written_as_it_has_them() -> None:
    assert other("[007, +5, .5, 1.]", "yaml", "json") == "[\n  7,\n  5,\n  0.5,\n  1.0\n]\n"
