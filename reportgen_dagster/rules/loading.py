"""Loads a rules file: every problem that needs no file is found here, all at once, each with its place.

What belongs here: from text to `Ruleset`. What does not: columns of files (checks.py), SQL (compile.py).
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from sqlglot.expressions import Expr

from reportgen_dagster.errors import Problem, RulesError
from reportgen_dagster.rules.document import (
    LATER_KEYS,
    LATER_STEPS,
    DeriveStep,
    LongForm,
    LookupStep,
    ShortForm,
)
from reportgen_dagster.rules.expressions import (
    ExpressionError,
    Fault,
    Use,
    nearest,
    parse_expression,
    untyped_columns,
    uses_of,
)
from reportgen_dagster.rules.formulas import translate
from reportgen_dagster.rules.layers import Names
from reportgen_dagster.rules.positions import Located, Path, Place, path_text, read_document

MAX_BYTES = 2**20
REFERENCE = "reference"
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula as its user wrote it.

    Attributes:
        output: The column that it makes.
        text: The formula.
        columns: The columns that it uses, in order.
    """

    output: str
    text: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Derivation:
    """A computed column: its name among the steps, its expression, and where each column stands in the rules file."""

    name: str
    expression: Expr
    problems_at: Mapping[str, Problem]


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Rules that hold by themselves; whether they fit files is for checks.py.

    Attributes:
        form: Which form the user wrote.
        long: The rules in the long form.
        formulas: One for each computed column, in order.
        output_columns: The report's columns, in order.
        reference_names: The references that are looked up.
        derivations: The same as `formulas`, parsed.
        outputs: The report's columns, and the computed or file's column that each is.
        uses: Columns that anything uses, and what for.
    """

    form: Literal["short", "long"]
    long: LongForm
    formulas: tuple[Formula, ...]
    output_columns: tuple[str, ...]
    reference_names: tuple[str, ...]
    derivations: tuple[Derivation, ...]
    outputs: tuple[tuple[str, str], ...]
    uses: tuple[Use, ...]
    copied_at: Mapping[str, Problem]

    def to_yaml(self) -> str:
        """Return the rules as a long-form YAML file."""
        writer = YAML(typ="rt", pure=True)
        writer.width = 4096
        writer.indent(mapping=2, sequence=4, offset=2)
        text = io.StringIO()
        writer.dump(self.long.model_dump(), text)
        return text.getvalue()


def load_ruleset(
    text: str, *, source: str = "rules.yaml", syntax: Literal["yaml", "json"] = "yaml"
) -> Ruleset:
    """Read and judge rules.

    Args:
        text: The content of the rules file.
        source: Its name, for problems.
        syntax: `json` reads strict JSON only.

    Raises:
        RulesError: With every problem that needs no files.
    """
    if len(text) > MAX_BYTES or len(text.encode(errors="replace")) > MAX_BYTES:
        raise RulesError(problems=[Problem("the rules file is larger than 1 MiB", source=source)])
    located = read_document(text, syntax=syntax, source=source)
    loader = _Loader(located, source)
    ruleset = loader.short() if isinstance(located.data, list) else loader.long()
    if loader.problems or ruleset is None:
        raise RulesError(
            problems=sorted(loader.problems, key=lambda found: (found.line or 0, found.column or 0))
        )
    return ruleset


class _Loader:
    """Collects the problems of one document."""

    def __init__(self, located: Located, source: str) -> None:
        self.located = located
        self.source = source
        self.problems: list[Problem] = []

    # problems

    def problem_at(self, path: Path, message: str, *, offset: int = 0, key: bool = False) -> Problem:
        place = self.located.keys.get(path) if key else None
        place = place or self.located.place_of(path)
        text_column = place.text_column
        column = place.column if text_column is None or key else text_column + offset
        return Problem(message, path_text(path), place.line, column, self.source)

    def add(self, path: Path, message: str, *, offset: int = 0, key: bool = False) -> None:
        self.problems.append(self.problem_at(path, message, offset=offset, key=key))

    # shapes

    def model(self, model: type[_Model], data: Any) -> _Model | None:
        """Validate the shape; None after problems."""
        try:
            return model.model_validate(data)
        except ValidationError as error:
            for found in error.errors(include_url=False, include_context=False):
                path = self._real_path(found["loc"])
                message, key = _shape_message(found["type"], found["msg"], path, model)
                self.add(path, message, key=key)
            return None

    def _real_path(self, loc: tuple[str | int, ...]) -> Path:
        """Drop what pydantic adds to a path: names of union members, `[key]`."""
        path: Path = ()
        for part in loc:
            known = (*path, part) in self.located.places
            if known or part not in ("LookupStep", "DeriveStep", "[key]"):
                path = (*path, part)
        return path

    # the short form

    def short(self) -> Ruleset | None:
        if not self.located.data:
            self.add((), "there are no rules; a list of {output, formula} is expected")
            return None
        document = self.model(ShortForm, self.located.data)
        rules = self._readable_rules()
        self._judge_names((((index, "output"), output) for index, output, _ in rules))
        translations = [
            (index, output, formula, self._translated(index, formula)) for index, output, formula in rules
        ]
        if document is None or self.problems:
            return None
        used = {name for _, _, _, found in translations if found for name in found[0]}
        names = Names()
        names.taken = {name.lower() for name in used}
        derive: dict[str, str] = {}
        columns: dict[str, str] = {}
        formulas, derivations = [], []
        for index, output, formula, found in translations:
            if found is None:
                continue
            offsets, expression, tree = found
            name = names.new(output)
            derive[name], columns[output] = expression, name
            places = self._places((index, "formula"), offsets)
            formulas.append(Formula(output, formula, tuple(offsets)))
            derivations.append(Derivation(name, tree, places))
        long = LongForm.model_validate(
            {
                "version": 1,
                "steps": [
                    {"lookup": {"reference": REFERENCE, "match": "shared", "defaults": "standard"}},
                    {"derive": derive},
                ],
                "output": {"columns": columns},
            }
        )
        return _ruleset("short", long, formulas, derivations, {})

    def _readable_rules(self) -> list[tuple[int, str, str]]:
        """Return number, output and formula of each rule whose shape allows it."""
        return [
            (index, str(rule["output"]), str(rule["formula"]))
            for index, rule in enumerate(self.located.data)
            if isinstance(rule, dict)
            and all(isinstance(rule.get(key), (str, int, float)) for key in ("output", "formula"))
        ]

    def _translated(self, index: int, formula: str) -> tuple[dict[str, int], str, Expr] | None:
        try:
            translation = translate(formula)
            return translation.columns, translation.expression, parse_expression(translation.expression)
        except ExpressionError as error:
            self._add_faults((index, "formula"), error.faults)
            return None

    def _add_faults(self, path: Path, faults: tuple[Fault, ...]) -> None:
        for fault in faults:
            self.add(path, fault.message, offset=fault.offset)

    def _places(self, path: Path, offsets: Mapping[str, int]) -> dict[str, Problem]:
        return {name: self.problem_at(path, "", offset=offset) for name, offset in offsets.items()}

    def _judge_names(self, outputs: Iterator[tuple[Path, str]], *, key: bool = False) -> None:
        """Refuse outputs that are blank, hold control characters, or are there twice; case does not make a difference."""
        seen: dict[str, str] = {}
        for path, name in outputs:
            if not name.strip():
                self.add(path, "the output has no name", key=key)
            elif _CONTROL.search(name):
                self.add(path, "the name of an output holds a control character", key=key)
            elif name.lower() in seen:
                before = seen[name.lower()]
                differs = "" if before == name else f" (as `{before}`; names differ by more than case)"
                self.add(path, f"the output `{name}` is there twice{differs}", key=key)
            seen.setdefault(name.lower(), name)

    # the long form

    def long(self) -> Ruleset | None:
        if not isinstance(self.located.data, dict):
            self.add((), "a list of {output, formula} is expected, or the long form with `version: 1`")
            return None
        self._judge_steps()
        if self.problems:
            return None
        document = self.model(LongForm, self.located.data)
        if document is None:
            return None
        self._judge_names(((("output", "columns", name), name) for name in document.output.columns), key=True)
        formulas, derivations = self._derived(document)
        copied = {
            name: self.problem_at(("output", "columns", output), "")
            for output, name in document.output.columns.items()
        }
        return _ruleset("long", document, formulas, derivations, copied)

    def _judge_steps(self) -> None:
        """Refuse keys and steps by name, those of a later version as such."""
        for name in self.located.data:
            if name in LATER_KEYS:
                self.add((name,), f"`{name}` is not available yet", key=True)
        output = self.located.data.get("output")
        if isinstance(output, dict) and "schema" in output:
            self.add(("output", "schema"), "`schema` is not available yet", key=True)
        steps = self.located.data.get("steps")
        lookups = 0
        for index, step in enumerate(steps if isinstance(steps, list) else []):
            if not isinstance(step, dict) or len(step) != 1:
                self._judge_step_keys(index, step)
                continue
            (name,) = step
            lookups += name == "lookup"
            if name in LATER_STEPS:
                self.add(("steps", index, name), f"the step `{name}` is not available yet", key=True)
            elif name not in ("lookup", "derive"):
                hint = nearest(name, ("lookup", "derive", *LATER_STEPS))
                self.add(("steps", index, name), f"unknown step `{name}`{hint}", key=True)
            elif name == "lookup" and (lookups > 1 or index > 0):
                self.add(
                    ("steps", index, name),
                    "a lookup that is not the one first step is not available yet",
                    key=True,
                )

    def _judge_step_keys(self, index: int, step: object) -> None:
        later = [key for key in step if key in LATER_KEYS] if isinstance(step, dict) else []
        for key in later:
            self.add(("steps", index, key), f"`{key}` of a step is not available yet", key=True)
        if not later:
            self.add(("steps", index), "a step is one of lookup and derive, each in an entry of its own")

    def _derived(self, document: LongForm) -> tuple[list[Formula], list[Derivation]]:
        formulas: list[Formula] = []
        derivations: list[Derivation] = []
        seen: dict[str, str] = {}
        for index, step in enumerate(document.steps):
            for name, text in step.derive.items() if isinstance(step, DeriveStep) else ():
                path: Path = ("steps", index, "derive", name)
                if name.lower() in seen:
                    self.add(path, f"`{name}` is derived twice", key=True)
                seen[name.lower()] = name
                try:
                    tree = parse_expression(text)
                except ExpressionError as error:
                    self._add_faults(path, error.faults)
                    continue
                self._add_faults(path, tuple(untyped_columns(tree, [found.name for found in derivations])))
                columns = tuple(dict.fromkeys(use.column for use in uses_of(tree)))
                formulas.append(Formula(name, text, columns))
                derivations.append(Derivation(name, tree, self._places(path, dict.fromkeys(columns, 0))))
        return formulas, derivations


def _ruleset(
    form: Literal["short", "long"],
    long: LongForm,
    formulas: list[Formula],
    derivations: list[Derivation],
    copied: Mapping[str, Problem],
) -> Ruleset:
    uses: dict[Use, None] = {}
    derived: set[str] = set()
    for derivation in derivations:
        uses.update((use, None) for use in uses_of(derivation.expression) if use.column not in derived)
        if form == "long":
            derived.add(derivation.name)
    names = {derivation.name for derivation in derivations}
    uses.update((Use(name, "text"), None) for name in long.output.columns.values() if name not in names)
    return Ruleset(
        form=form,
        long=long,
        formulas=tuple(formulas),
        output_columns=tuple(long.output.columns),
        reference_names=tuple(step.lookup.reference for step in long.steps if isinstance(step, LookupStep)),
        derivations=tuple(derivations),
        outputs=tuple(long.output.columns.items()),
        uses=tuple(uses),
        copied_at={name: problem for name, problem in copied.items() if name not in names},
    )


def _shape_message(kind: str, message: str, path: Path, model: type[BaseModel]) -> tuple[str, bool]:
    """Return what is wrong with a shape in the language's own words, and whether the key is what is wrong."""
    last = str(path[-1]) if path else ""
    if kind == "missing":
        return f"`{last}` is missing", False
    if kind == "extra_forbidden":
        known = ("output", "formula") if model is ShortForm else ("version", "steps", "output", "columns")
        hint = nearest(last, known) or f"; there are {', '.join(known)}"
        return f"unknown key `{last}`{hint}", True
    return _PLAIN_MESSAGES.get(kind, lambda: message)(), False


_PLAIN_MESSAGES: dict[str, Callable[[], str]] = {
    "string_type": lambda: "a text is expected here",
    "string_too_short": lambda: "it is empty",
    "too_short": lambda: "it is empty",
    "list_type": lambda: "a list is expected here",
    "dict_type": lambda: "a mapping is expected here",
    "model_type": lambda: "a mapping is expected here",
    "model_attributes_type": lambda: "a mapping is expected here",
}


__all__ = ["Derivation", "Formula", "Place", "Ruleset", "load_ruleset"]
