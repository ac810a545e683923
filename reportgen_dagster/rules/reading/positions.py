"""Reads YAML 1.2 and JSON into plain data, with line and column of every node.

What belongs here: syntax, bounds against hostile documents, places. What does not: what a rules file may say (document.py).

YAML is composed from parser events, so that no tag constructs anything; aliases, depth and duplicate keys are judged on the
way.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, Self

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError, YAMLStreamError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from reportgen_dagster.errors import Problem, RulesError
from reportgen_dagster.formats import Syntax
from reportgen_dagster.rules.reading.yaml_words import yaml_reason

MAX_ALIASES = 50
MAX_DEPTH = 50
MAX_NODES = 100_000

Path = tuple[str | int, ...]
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOLEAN = re.compile(r"true|True|TRUE|false|False|FALSE")
_LONGEST_INTEGER = len(str(-(2**63)))
_SHOWN_DIGITS = 40
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_JSON_SPACE = re.compile(r"[ \t\r\n]*")


class WrittenInteger(int):
    """A whole number that is told as it was written, such as `007`."""

    _written: str

    def __new__(cls, text: str) -> Self:
        """Read it."""
        number = super().__new__(cls, text)
        number._written = text
        return number

    def __str__(self) -> str:
        """Return it as it was written."""
        return self._written


class WrittenNumber(float):
    """A number that is told as it was written, such as `0.50`."""

    _written: str

    def __new__(cls, text: str) -> Self:
        """Read it."""
        number = super().__new__(cls, text)
        number._written = text
        return number

    def __str__(self) -> str:
        """Return it as it was written."""
        return self._written


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node is, 1-based.

    Attributes:
        line: Line of its first character.
        column: Column of its first character.
        text_column: Column of the first character of a text that stands in the file as it is, else None.
    """

    line: int
    column: int
    text_column: int | None = None


@dataclass(slots=True)
class Node:
    """A value with its place; lists hold nodes, mappings hold (place of the key, node)."""

    value: Any
    place: Place


@dataclass(frozen=True, slots=True)
class Located:
    """A document as plain data, and where each of its nodes and keys is."""

    data: Any
    places: dict[Path, Place]
    keys: dict[Path, Place]

    def place_of(self, path: Path) -> Place:
        """Return the place of a path, or of the nearest thing around it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(1, 1))


def path_text(path: Path) -> str:
    """Write a path as `steps[2].derive.gross`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def read_document(text: str, *, syntax: Syntax, source: str) -> Located:
    """Read one document.

    Args:
        text: The content of the file.
        syntax: `json` is strict; `yaml` also reads JSON with tabs.
        source: The file's name, for problems.

    Raises:
        RulesError: If the text is neither JSON nor YAML, or breaks a bound.
    """
    text = text.removeprefix("\ufeff")
    if syntax == "json":
        root = _Json(text, source).document()
    else:
        try:
            root = _Yaml(source).document(text)
        except RulesError as error:
            root = _as_json(text, source, error)
    places: dict[Path, Place] = {}
    keys: dict[Path, Place] = {}
    data = _plain(root, (), places, keys, source)
    return Located(data, places, keys)


def _as_json(text: str, source: str, error: RulesError) -> Node:
    """Read as JSON what YAML refused, such as tabs between values; if that fails too, the first error stands."""
    if text.lstrip().startswith(("[", "{")):
        with contextlib.suppress(RulesError):
            return _Json(text, source).document()
    raise error


def _refuse(message: str, source: str, line: int | None = None, column: int | None = None) -> NoReturn:
    raise RulesError(problems=[Problem(message, line=line, column=column, source=source)])


def _plain(node: Node, path: Path, places: dict[Path, Place], keys: dict[Path, Place], source: str) -> Any:
    if len(places) >= MAX_NODES:
        _refuse(f"the file has more than {MAX_NODES:,} values", source)
    places[path] = node.place
    if isinstance(node.value, list):
        return [_plain(child, (*path, index), places, keys, source) for index, child in enumerate(node.value)]
    if isinstance(node.value, dict):
        found = {}
        for key, (place, child) in node.value.items():
            keys[(*path, key)] = place
            found[key] = _plain(child, (*path, key), places, keys, source)
        return found
    return node.value


class _Yaml:
    """Composes nodes from the events of ruamel.yaml's parser."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.anchors: dict[str, Node] = {}
        self.aliases = 0
        self.depth = 0
        self.lines: list[str] = []

    def document(self, text: str) -> Node:
        self.lines = text.split("\n")
        root: Node | None = None
        try:
            events: Iterator[Event] = YAML(typ="safe", pure=True).parse(text)
            documents = 0
            for event in events:
                if isinstance(event, DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self.refuse("one document is expected, here begins another", event)
                    root = self.node(next(events), events)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = (mark.line + 1, mark.column + 1) if mark else (None, None)
            reason = str(error.problem or error.context)
            _refuse(f"this is neither JSON nor YAML: {yaml_reason(reason)}", self.source, *place)
        except (YAMLError, YAMLStreamError, ValueError) as error:
            reason = str(error).split("\n")[0]
            _refuse(f"this is neither JSON nor YAML: {yaml_reason(reason)}", self.source)
        if root is None:
            _refuse("the file is empty; a list of {output, formula} is expected", self.source)
        return root

    def refuse(self, message: str, event: Event) -> NoReturn:
        _refuse(message, self.source, event.start_mark.line + 1, event.start_mark.column + 1)

    def node(self, event: Event, events: Iterator[Event]) -> Node:
        if isinstance(event, AliasEvent):
            return self.alias(event)
        if not isinstance(event, (ScalarEvent, SequenceStartEvent, MappingStartEvent)):
            self.refuse("a value is expected here", event)
        if event.tag is not None:
            self.refuse(
                "tags (`!`) are not allowed; a text that begins with `!` stands in double quotes", event
            )
        place = Place(event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, ScalarEvent):
            if not event.style and _INTEGER.fullmatch(event.value) and _is_too_long(event.value):
                self.refuse(_too_long(event.value), event)
            node = Node(_scalar(event), self.scalar_place(event, place))
        else:
            node = Node(None, place)
            self.depth += 1
            if self.depth > MAX_DEPTH:
                self.refuse(f"nested deeper than {MAX_DEPTH} levels", event)
            node.value = (
                self.sequence(events)
                if isinstance(event, SequenceStartEvent)
                else self.mapping(event, events)
            )
            self.depth -= 1
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def alias(self, event: AliasEvent) -> Node:
        self.aliases += 1
        if self.aliases > MAX_ALIASES:
            self.refuse(f"more than {MAX_ALIASES} aliases", event)
        if event.anchor not in self.anchors:
            self.refuse(f"the alias `{event.anchor}` has no anchor before it", event)
        return self.anchors[event.anchor]

    def sequence(self, events: Iterator[Event]) -> list[Node]:
        found = []
        for event in events:
            if isinstance(event, SequenceEndEvent):
                break
            found.append(self.node(event, events))
        return found

    def mapping(self, start: MappingStartEvent, events: Iterator[Event]) -> dict[str, tuple[Place, Node]]:
        found: dict[str, tuple[Place, Node]] = {}
        open_call: tuple[str, ScalarEvent] | None = None
        for event in events:
            if isinstance(event, MappingEndEvent):
                break
            if isinstance(event, (MappingStartEvent, SequenceStartEvent)):
                self.refuse("a key must be a text", event)
            value = next(events)
            if open_call and isinstance(event, ScalarEvent) and _is_nothing(value):
                name, begun = open_call
                self.lengthen(found[name][1], begun, event)
                open_call = open_call if _is_open(found[name][1].value) else None
                continue
            key = self.node(event, events)
            name = event.value if isinstance(event, ScalarEvent) else str(key.value)
            if name in found:
                self.refuse(f"the key `{name}` is there twice", event)
            place = Place(event.start_mark.line + 1, event.start_mark.column + 1)
            found[name] = (place, self.node(value, events))
            begins = start.flow_style and _is_bare(value) and _is_open(found[name][1].value)
            open_call = (name, value) if begins and isinstance(value, ScalarEvent) else None
        return found

    def lengthen(self, node: Node, begun: ScalarEvent, event: ScalarEvent) -> None:
        """Put a call together that a comma cut in two: `{a: max(b, c)}` holds `max(b, c)`.

        YAML ends a value inside braces at a comma and takes what follows for a key without a value. No expression has an open
        parenthesis at its end, so nothing else can be meant.
        """
        first, last = begun.start_mark, event.end_mark
        if first.line == last.line:
            node.value = self.lines[first.line][first.column : last.column]
        else:
            node.value = f"{node.value}, {event.value}"
            node.place = Place(node.place.line, node.place.column)

    def scalar_place(self, event: ScalarEvent, place: Place) -> Place:
        """Add where the text begins, when it stands in the file exactly as it is read."""
        if event.start_mark.line != event.end_mark.line or event.style in ("|", ">"):
            return place
        start = event.start_mark.column + (1 if event.style in ("'", '"') else 0)
        if self.lines[event.start_mark.line][start : start + len(event.value)] != event.value:
            return place
        return Place(place.line, place.column, start + 1)


def _is_bare(event: Event) -> bool:
    return isinstance(event, ScalarEvent) and not (event.style or event.anchor or event.tag)


def _is_nothing(event: Event) -> bool:
    return _is_bare(event) and event.start_mark.index == event.end_mark.index


def _is_open(value: object) -> bool:
    return isinstance(value, str) and value.count("(") > value.count(")")


def _scalar(event: ScalarEvent) -> Any:
    """Resolve a scalar by the core schema of YAML 1.2."""
    text: str = event.value
    if event.style or _NULL.fullmatch(text):
        return text if event.style else None
    if _BOOLEAN.fullmatch(text):
        return text.lower() == "true"
    if _INTEGER.fullmatch(text):
        return WrittenInteger(text)
    if _FLOAT.fullmatch(text) and len(text) < 40 and math.isfinite(float(text)):
        return WrittenNumber(text)
    return text


def _is_too_long(integer: str) -> bool:
    """Tell whether a whole number has more than 64 bits; of more digits than that can have Python reads none."""
    return len(integer) > _LONGEST_INTEGER or not -(2**63) <= int(integer) < 2**63


def _too_long(integer: str) -> str:
    shown = integer if len(integer) <= _SHOWN_DIGITS else f"{integer[:_SHOWN_DIGITS]}..."
    return f"`{shown}` is a whole number of more than 64 bits; in quotes it is taken as it is written"


class _Json:
    """Reads strict JSON with places: no duplicate keys, no NaN, no depth without end."""

    def __init__(self, text: str, source: str) -> None:
        self.text = text
        self.source = source
        self.at = 0
        self.depth = 0
        self.decoder = json.JSONDecoder(
            parse_constant=self.constant, parse_int=self.integer, parse_float=self.number
        )

    def document(self) -> Node:
        self.space()
        if self.at == len(self.text):
            self.refuse("the file is empty; a list of {output, formula} is expected")
        node = self.node()
        self.space()
        if self.at < len(self.text):
            self.refuse("nothing may follow the document")
        return node

    def constant(self, name: str) -> NoReturn:
        self.refuse(f"`{name}` is not JSON")

    def integer(self, text: str) -> WrittenInteger:
        return self.refuse(_too_long(text)) if _is_too_long(text) else WrittenInteger(text)

    def number(self, text: str) -> WrittenNumber:
        number = WrittenNumber(text)
        return number if math.isfinite(number) else self.refuse("a number has too many digits")

    def place(self) -> Place:
        before = self.text[: self.at]
        return Place(before.count("\n") + 1, self.at - (before.rfind("\n") + 1) + 1)

    def refuse(self, message: str) -> NoReturn:
        place = self.place()
        _refuse(message, self.source, place.line, place.column)

    def space(self) -> None:
        match = _JSON_SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def take(self, character: str) -> bool:
        self.space()
        if self.text.startswith(character, self.at):
            self.at += 1
            return True
        return False

    def expect(self, character: str) -> None:
        if not self.take(character):
            self.refuse(f"this is neither JSON nor YAML: `{character}` is expected here")

    def node(self) -> Node:
        self.space()
        place = self.place()
        if self.text.startswith(("[", "{"), self.at):
            self.depth += 1
            if self.depth > MAX_DEPTH:
                self.refuse(f"nested deeper than {MAX_DEPTH} levels")
            node = Node(self.array() if self.take("[") else self.members(), place)
            self.depth -= 1
            return node
        return Node(*self.scalar(place))

    def scalar(self, place: Place) -> tuple[Any, Place]:
        start = self.at
        try:
            value, self.at = self.decoder.raw_decode(self.text, start)
        except json.JSONDecodeError as error:
            self.at = min(error.pos, len(self.text))
            self.refuse(f"this is neither JSON nor YAML: {error.msg}")
        except ValueError:
            self.refuse("a number has too many digits")
        as_it_is = isinstance(value, str) and self.text.startswith(value, start + 1)
        return value, Place(place.line, place.column, place.column + 1 if as_it_is else None)

    def array(self) -> list[Node]:
        found: list[Node] = []
        if self.take("]"):
            return found
        while True:
            found.append(self.node())
            if not self.take(","):
                self.expect("]")
                return found

    def members(self) -> dict[str, tuple[Place, Node]]:
        self.expect("{")
        found: dict[str, tuple[Place, Node]] = {}
        if self.take("}"):
            return found
        while True:
            self.space()
            place = self.place()
            if not self.text.startswith('"', self.at):
                self.refuse("this is neither JSON nor YAML: a key in double quotes is expected here")
            key, _ = self.scalar(place)
            if key in found:
                self.at = self.text.rfind('"', 0, self.at)
                self.refuse(f"the key `{key}` is there twice")
            self.expect(":")
            found[key] = (place, self.node())
            if not self.take(","):
                self.expect("}")
                return found
