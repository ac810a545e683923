"""Writes a rules file in the other syntax: JSON from YAML and YAML from JSON, which mean the same.

What belongs here: syntax. What does not: the short form in words of the long one (`Ruleset.to_yaml`). Comments are lost, anchors
and aliases are written out.
"""

from __future__ import annotations

import io
import json
import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter

from reportgen_dagster.formats import Syntax
from reportgen_dagster.rules.reading.positions import WrittenInteger, WrittenNumber, read_document

_INDENT = 2
_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")


def in_syntax(text: str, *, source: str, syntax: Syntax, wanted: Syntax) -> str:
    """Return a rules file in a syntax; as it is if it has that one already.

    Args:
        text: The content of the file.
        source: Its name, for problems.
        syntax: What it is written in.
        wanted: What it is to be written in.

    Raises:
        RulesError: If the text cannot be read.
    """
    if syntax == wanted:
        return text
    data = read_document(text, syntax=syntax, source=source).data
    return f"{_json(data, '')}\n" if wanted == "json" else _yaml(data)


def _json(value: Any, indent: str) -> str:
    """Write JSON; numbers stay as they are written, as far as JSON has them so."""
    inner = f"{indent}{' ' * _INDENT}"
    if isinstance(value, dict) and value:
        members = (f"{inner}{_text(key)}: {_json(child, inner)}" for key, child in value.items())
        return "{\n" + ",\n".join(members) + f"\n{indent}}}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"{inner}{_json(child, inner)}" for child in value) + f"\n{indent}]"
    if isinstance(value, WrittenInteger | WrittenNumber) and _JSON_NUMBER.fullmatch(str(value)):
        return str(value)
    return _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


class _Representer(RoundTripRepresenter):
    """Writes numbers as they were written."""

    def represent_written_integer(self, data: WrittenInteger) -> ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:int", str(data))

    def represent_written_number(self, data: WrittenNumber) -> ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:float", str(data))


_Representer.add_representer(WrittenInteger, _Representer.represent_written_integer)
_Representer.add_representer(WrittenNumber, _Representer.represent_written_number)


def _yaml(data: Any) -> str:
    writer = YAML(typ="rt", pure=True)
    writer.Representer = _Representer
    writer.width = 4096
    writer.allow_unicode = True
    writer.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    writer.dump(data, text)
    return text.getvalue()
