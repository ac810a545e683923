"""Says in the language's own words why plain data does not have the shape of a rules file.

What belongs here: from pydantic's errors to messages with paths. What does not: the shapes (document.py, steps.py), what several
keys mean together (judging.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import ValidationError

from reportgen_dagster.contracts.models import LEFT_OUT
from reportgen_dagster.rules.expressions.faults import nearest
from reportgen_dagster.rules.reading.document import rules_schema
from reportgen_dagster.rules.reading.positions import Path

_QUOTED = re.compile(r"'([^']*)'")
_EXPECTED = {
    "string_type": "a text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "`true` or `false`",
    "bool_parsing": "`true` or `false`",
    "none_required": "nothing",
    "literal_error": "",
}


@dataclass(frozen=True, slots=True)
class Wrong:
    """Something wrong at a path of the document.

    Attributes:
        path: Where.
        message: What, and how to mend it.
        key: The key is what is wrong, not what stands under it.
    """

    path: Path
    message: str
    key: bool = False


@dataclass(frozen=True, slots=True)
class _Error:
    kind: str
    message: str
    context: Mapping[str, Any]
    given: object


def shape_problems(error: ValidationError, known: Container[Path], at: Path = ()) -> Iterator[Wrong]:
    """Return what is wrong, each place once.

    Args:
        error: What pydantic says.
        known: The paths that the document has.
        at: The path of what was validated.
    """
    groups: dict[Path, list[_Error]] = {}
    for found in error.errors(include_url=False):
        path = _real_path((*at, *found["loc"]), known, found["type"])
        groups.setdefault(path, []).append(
            _Error(found["type"], found["msg"], found.get("ctx", {}), found["input"])
        )
    around = {path[:length] for path in groups for length in range(len(path))}
    for path, errors in groups.items():
        if not (path in around and all(found.kind in (*_EXPECTED, "too_short") for found in errors)):
            yield _wrong(path, errors)


def _real_path(loc: Sequence[str | int], known: Container[Path], kind: str) -> Path:
    """Drop what pydantic adds to a path: alternatives of a union, tags of steps, `[key]`."""
    path: Path = ()
    for number, part in enumerate(loc):
        is_missing_key = kind == "missing" and number == len(loc) - 1
        if (*path, part) in known or is_missing_key:
            path = (*path, part)
    return path


def _wrong(path: Path, errors: Sequence[_Error]) -> Wrong:
    first = next((found for found in errors if found.kind not in _EXPECTED), errors[0])
    if first.kind == "missing":
        return Wrong(path, f"`{path[-1]}` is missing")
    if first.kind == "extra_forbidden":
        return Wrong(path, unknown_key(path), key=True)
    if first.kind in _EXPECTED:
        return Wrong(path, _not_expected(errors))
    message = _MESSAGES.get(first.kind)
    return Wrong(path, message(first) if message else first.message)


def _not_expected(errors: Sequence[_Error]) -> str:
    expected: dict[str, None] = {}
    for found in errors:
        if found.kind == "literal_error":
            words = _QUOTED.findall(str(found.context["expected"])) or [str(found.context["expected"])]
            if isinstance(found.given, str) and len(errors) == 1:
                return _no_such_word(found.given, words)
            expected |= dict.fromkeys(f"`{word.lower() if word == 'True' else word}`" for word in words)
        else:
            expected[_EXPECTED[found.kind]] = None
    *others, last = expected
    return f"{', '.join(others)}{' or ' if others else ''}{last} is expected here"


def _no_such_word(given: str, words: Sequence[str]) -> str:
    listed = " or ".join(f"`{word}`" for word in words) if len(words) < 3 else "one of " + ", ".join(words)
    hint = nearest(given, words) or f"; {listed} is expected here"
    return f"`{given[:60]}` is unknown{hint}"


def unknown_key(path: Path) -> str:
    """Say that there is no such key, with the nearest one or all that there are."""
    last = str(path[-1])
    if last in LEFT_OUT and ("schema" in path or "dialect" in path):
        return f"`{last}` is not read: {LEFT_OUT[last]}"
    keys = known_keys(path[:-1])
    hint = nearest(last, keys) or (f"; there are {', '.join(keys)}" if keys else "")
    return f"unknown key `{last}`{hint}"


def known_keys(path: Path) -> tuple[str, ...]:
    """Return the keys that a mapping at a path may have."""
    nodes = _alternatives(_schema_of_all())
    for part in path:
        nodes = [found for node in nodes for found in _below(node, part)]
    return tuple(dict.fromkeys(key for node in nodes for key in node.get("properties", ())))


@cache
def _schema_of_all() -> Mapping[str, Any]:
    return rules_schema()


def _alternatives(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a node of the schema, with references followed and unions taken apart."""
    if "$ref" in node:
        return _alternatives(_schema_of_all()["$defs"][str(node["$ref"]).rpartition("/")[2]])
    unions = [*node.get("anyOf", ()), *node.get("oneOf", ())]
    return [found for part in unions for found in _alternatives(part)] or [node]


def _below(node: Mapping[str, Any], part: str | int) -> list[Mapping[str, Any]]:
    under = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)
    if under is None and isinstance(part, str):
        under = node.get("additionalProperties")
    return _alternatives(under) if isinstance(under, dict) else []


def _too_many(found: _Error) -> str:
    return f"there are more than {found.context['max_length']:,} of these"


_MESSAGES: dict[str, Callable[[_Error], str]] = {
    "string_too_short": lambda _: "it is empty",
    "too_short": lambda _: "it is empty",
    "string_too_long": lambda found: f"it is longer than {found.context['max_length']:,} characters",
    "too_long": _too_many,
    "greater_than_equal": lambda found: f"the number must not be less than {found.context['ge']}",
    "less_than_equal": lambda found: f"the number must not be more than {found.context['le']}",
    "less_than": lambda _: "the number is too large",
    "value_error": lambda found: str(found.context["error"]),
}
