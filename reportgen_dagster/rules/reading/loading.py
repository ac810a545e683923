"""Loads a rules file: every problem of shapes and expressions is found here, each with its place, and hides no other one.

What belongs here: from text to `Ruleset`. What does not: why a shape is wrong (shapes.py), what parts mean together (judging.py),
columns of files and SQL (compiling/).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from reportgen_dagster.errors import Problem, RulesError
from reportgen_dagster.formats import Syntax
from reportgen_dagster.rules.expressions.faults import ExpressionError, Fault, nearest
from reportgen_dagster.rules.expressions.formulas import translate
from reportgen_dagster.rules.expressions.gate import (
    columns_of,
    judge_expression,
    parse_expression,
    refused,
)
from reportgen_dagster.rules.reading.document import MAX_COLUMNS, MAX_STEPS, STEPS, LongForm, ShortForm, Step
from reportgen_dagster.rules.reading.judging import (
    REFERENCE,
    duplicate_names,
    judge_document,
    judge_references,
    judge_step,
)
from reportgen_dagster.rules.reading.mending import UNKNOWN, mended_step, unread_step, without_wrong_parts
from reportgen_dagster.rules.reading.positions import Located, Path, path_text, read_document
from reportgen_dagster.rules.reading.ruleset import Expression, ExpressionContext, Ruleset
from reportgen_dagster.rules.reading.shapes import Wrong, shape_problems
from reportgen_dagster.rules.reading.steps import expression_text, formula_text
from reportgen_dagster.rules.values.layers import Names

MAX_BYTES = 2**20
MAX_PROBLEMS = 1_000
_STEP_KEYS = ("name", "description")
# Where the expressions of a step stand below its kind; what stands there is a text, or texts by name.
_EXPRESSIONS: dict[str, tuple[Path, ExpressionContext]] = {
    "filter": ((), "scalar"),
    "derive": ((), "scalar"),
    "aggregate": (("measures",), "aggregate"),
    "pivot": (("values",), "aggregate"),
    "window": (("columns",), "window"),
}


def load_ruleset(text: str, *, source: str = "rules.yaml", syntax: Syntax = "yaml") -> Ruleset:
    """Read rules that are to be used.

    Args:
        text: The content of the rules file.
        source: Its name, for problems.
        syntax: `json` reads strict JSON only.

    Raises:
        RulesError: With every problem that shapes and expressions have by themselves.
    """
    ruleset = read_ruleset(text, source=source, syntax=syntax)
    if ruleset.problems:
        raise RulesError(problems=ruleset.problems)
    return ruleset


def read_ruleset(text: str, *, source: str = "rules.yaml", syntax: Syntax = "yaml") -> Ruleset:
    """Read rules that are to be judged; what is wrong with them by themselves is in `Ruleset.problems`.

    Args:
        text: The content of the rules file.
        source: Its name, for problems.
        syntax: `json` reads strict JSON only.

    Raises:
        RulesError: If it is no document of rules at all, or has too many problems to go on.
    """
    if len(text) > MAX_BYTES or len(text.encode(errors="replace")) > MAX_BYTES:
        raise RulesError(problems=[Problem("the rules file is larger than 1 MiB", source=source)])
    located = read_document(text, syntax=syntax, source=source)
    loader = _ShortLoader(located, source) if isinstance(located.data, list) else _LongLoader(located, source)
    try:
        ruleset = loader.load()
    except _TooManyError:
        more = f"there are more than {MAX_PROBLEMS:,} problems; the others are told when these are mended"
        raise RulesError(problems=[*_in_order(loader.problems), Problem(more, source=source)]) from None
    if ruleset is None:
        raise RulesError(problems=_in_order(loader.problems))
    return replace(ruleset, problems=tuple(_in_order(loader.problems)), wrong=frozenset(loader.wrong))


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems as they stand in the file, each once."""
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.line or 0, problem.column or 0))


class _TooManyError(Exception):
    """So many problems that looking for more only takes time."""


class _Loader(ABC):
    """Collects the problems of one document."""

    def __init__(self, located: Located, source: str) -> None:
        self.located = located
        self.source = source
        self.problems: list[Problem] = []
        self.wrong: set[Path] = set()

    @abstractmethod
    def load(self) -> Ruleset | None:
        """Return the rules, as far as they can be judged; None if there is nothing to judge."""

    def add(self, path: Path, message: str, *, offset: int = 0, key: bool = False) -> None:
        if len(self.problems) >= MAX_PROBLEMS:
            raise _TooManyError
        place = self.located.keys.get(path) if key else None
        place = place or self.located.place_of(path)
        start = place.text_column
        column = place.column if start is None or key else start + offset
        self.problems.append(Problem(message, path_text(path), place.line, column, self.source))
        self.wrong.add(path)

    def add_all(self, found: Iterable[Wrong]) -> None:
        for wrong in found:
            self.add(wrong.path, wrong.message, key=wrong.key)

    def add_faults(self, path: Path, faults: Iterable[Fault]) -> None:
        for fault in faults:
            self.add(path, fault.message, offset=fault.offset)

    def wrong_shapes(self, error: ValidationError, at: Path = ()) -> list[Path]:
        """Note what is wrong with the shape of what stands at a path; return where."""
        found = [*shape_problems(error, self.located.places, at)]
        self.add_all(found)
        return [wrong.path for wrong in found]


class _ShortLoader(_Loader):
    """Reads the short form and translates it to the long one."""

    def load(self) -> Ruleset | None:
        if not self.located.data:
            self.add((), "there are no rules; a list of {output, formula} is expected")
            return None
        try:
            ShortForm.model_validate(self.located.data)
        except ValidationError as error:
            self.wrong_shapes(error)
        rules = self._readable_rules()
        named = (((index, "output"), output, False) for index, output, _ in rules)
        self.add_all(duplicate_names((name for name in named if name[0] not in self.wrong), "output"))
        found = {
            f"\0{index}" if (index, "output") in self.wrong else output: self._translated(index, formula)
            for index, output, formula in rules
        }
        return self._ruleset(found) if 0 < len(found) <= MAX_COLUMNS else None

    def _readable_rules(self) -> list[tuple[int, str, str]]:
        """Return number, output and formula of each rule whose shape allows it."""
        return [
            (index, str(rule["output"]), str(formula_text(rule["formula"])))
            for index, rule in enumerate(self.located.data)
            if isinstance(rule, dict)
            and all(isinstance(rule.get(key), (str, int, float)) for key in ("output", "formula"))
        ]

    def _translated(self, index: int, formula: str) -> tuple[str, Expression]:
        path: Path = (index, "formula")
        try:
            translation = translate(formula)
            tree = parse_expression(translation.expression)
        except ExpressionError as error:
            self.add_faults(path, error.faults)
            return UNKNOWN, Expression(formula, refused(), "scalar", path, ())
        offsets = translation.columns
        return translation.expression, Expression(formula, tree, "scalar", path, tuple(offsets), offsets)

    def _ruleset(self, found: Mapping[str, tuple[str, Expression]]) -> Ruleset:
        names = Names(name for _, expression in found.values() for name in expression.columns)
        derive: dict[str, str] = {}
        columns: dict[str, str] = {}
        expressions: dict[Path, Expression] = {}
        paths: dict[Path, Path] = {
            ("steps", 0): (), ("steps", 0, "lookup"): (), ("steps", 1): (), ("steps", 1, "derive"): ()
        }  # fmt: skip
        for output, (text, expression) in found.items():
            name = names.new(output)
            derive[name], columns[output] = text, name
            index, _ = expression.path
            expressions["steps", 1, "derive", name] = expression
            paths["steps", 1, "derive", name] = expression.path
            paths["output", "columns", output] = (index, "output")
        document = LongForm.model_validate(
            {
                "version": 1,
                "steps": [
                    {"lookup": {"reference": REFERENCE, "match": "shared", "defaults": "standard"}},
                    {"derive": derive},
                ],
                "output": {"columns": columns},
            }
        )
        return Ruleset("short", document, expressions, self.located, self.source, paths)


class _LongLoader(_Loader):
    """Reads the long form."""

    def __init__(self, located: Located, source: str) -> None:
        super().__init__(located, source)
        self.open_steps: set[int] = set()

    def load(self) -> Ruleset | None:
        data = self.located.data
        if not isinstance(data, dict):
            self.add((), "a list of {output, formula} is expected, or the long form with `version: 1`")
            return None
        parts = self._parts({name: part for name, part in data.items() if name != "steps"})
        steps = self._steps(data.get("steps", []))
        self.add_all(judge_document(parts, self.wrong))
        for index, step in enumerate(steps):
            self.add_all(judge_step(index, step))
        self.add_all(judge_references(parts, dict(enumerate(steps))))
        expressions = self._expressions(data, steps)
        document = parts.model_copy(update={"steps": tuple(steps)})
        return Ruleset(
            "long", document, expressions, self.located, self.source, open_steps=frozenset(self.open_steps)
        )

    def _parts(self, data: Mapping[str, Any]) -> LongForm:
        """Return what is beside the steps, without what is wrong."""
        try:
            return LongForm.model_validate(data)
        except ValidationError as error:
            wrong = self.wrong_shapes(error)
        left = {**without_wrong_parts(data, wrong), "version": 1}
        try:
            return LongForm.model_validate(left)
        except ValidationError:
            return LongForm(version=1)

    # steps

    def _steps(self, listed: Any) -> list[Step]:
        """Return the steps, also those that have no right shape."""
        if not isinstance(listed, list):
            self.add(("steps",), "a list is expected here")
            return [unread_step(None, None)]
        if len(listed) > MAX_STEPS:
            self.add(("steps",), f"there are {len(listed):,} steps, more than {MAX_STEPS}")
        return [self._step(index, data) for index, data in enumerate(listed[:MAX_STEPS])]

    def _step(self, index: int, data: Any) -> Step:
        path: Path = ("steps", index)
        kind = self._kind(path, data)
        if kind is None:
            return unread_step(_meant_kind(data), data)
        try:
            return STEPS[kind].model_validate(data)
        except ValidationError as error:
            wrong = self.wrong_shapes(error, path)
        step, is_open = mended_step(kind, data, [found[len(path) :] for found in wrong])
        if is_open:
            self.open_steps.add(index)
        return step

    def _kind(self, path: Path, data: Any) -> str | None:
        """Return the kind of a step; None after problems."""
        if not isinstance(data, dict):
            self.add(path, f"a step is a mapping with one of {', '.join(STEPS)}")
            return None
        kinds = [key for key in data if key in STEPS]
        if len(kinds) > 1:
            self.add(
                (*path, kinds[1]),
                f"`{kinds[0]}` and `{kinds[1]}` are two steps: each has an entry of its own",
                key=True,
            )
        elif not kinds:
            self._no_kind(path, data)
        return kinds[0] if len(kinds) == 1 else None

    def _no_kind(self, path: Path, data: Mapping[str, Any]) -> None:
        others = [key for key in data if key not in _STEP_KEYS]
        for key in others:
            hint = nearest(key, STEPS) or f"; there are {', '.join(STEPS)}"
            self.add((*path, key), f"unknown step `{key}`{hint}", key=True)
        if not others:
            self.add(path, f"the step has no kind: one of {', '.join(STEPS)}")

    # expressions

    def _expressions(self, data: Mapping[str, Any], steps: Sequence[Step]) -> dict[Path, Expression]:
        """Return every expression; one that does not parse is of any value."""
        given = data.get("parameters")
        parameters = tuple(given) if isinstance(given, dict) else ()
        found = {
            path: Expression(text, refused(), context, path, ())
            for path, text, context in _texts_of(
                [{step.kind: step.model_dump()[step.kind]} for step in steps]
            )
        }
        for path, text, context in _texts_of(data.get("steps")):
            try:
                judged = judge_expression(text, context, parameters)
            except ExpressionError as error:
                self.add_faults(path, error.faults)
                continue
            self.add_faults(path, judged.faults)
            found[path] = Expression(text, judged.tree, context, path, columns_of(judged.tree))
        return found


def _meant_kind(data: Any) -> str | None:
    """Return the kind that a step without one may be meant to have."""
    keys = [key for key in data if key not in _STEP_KEYS] if isinstance(data, dict) else []
    return next(iter(get_close_matches(keys[0], STEPS, n=1)), None) if len(keys) == 1 else None


def _texts_of(steps: Any) -> Iterator[tuple[Path, str, ExpressionContext]]:
    """Return path, text and context of every expression, also in steps whose shape is wrong elsewhere."""
    for index, step in enumerate(steps[:MAX_STEPS] if isinstance(steps, list) else ()):
        for kind, body in step.items() if isinstance(step, dict) else ():
            if kind not in _EXPRESSIONS:
                continue
            below, context = _EXPRESSIONS[kind]
            for part in below:
                body = body.get(part) if isinstance(body, dict) else None
            path: Path = ("steps", index, kind, *below)
            for at, value in _by_name(path, body):
                text = expression_text(value)
                if isinstance(text, str) and text:
                    yield at, text, context


def _by_name(path: Path, body: Any) -> list[tuple[Path, Any]]:
    if isinstance(body, dict):
        return [((*path, name), value) for name, value in body.items()]
    return [(path, body)]


__all__ = ["MAX_BYTES", "Ruleset", "load_ruleset", "read_ruleset"]
