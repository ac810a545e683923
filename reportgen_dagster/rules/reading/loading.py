"""Loads a rules file: problems that need no file are found here, all that a step or part has at once, each with its place.

What belongs here: from text to `Ruleset`. What does not: why a shape is wrong (shapes.py), what parts mean together (judging.py),
columns of files and SQL (compiling/).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from reportgen_dagster.errors import Problem, RulesError
from reportgen_dagster.rules.expressions.faults import ExpressionError, Fault, nearest
from reportgen_dagster.rules.expressions.formulas import translate
from reportgen_dagster.rules.expressions.gate import columns_of, parse_expression
from reportgen_dagster.rules.reading.document import MAX_STEPS, STEPS, LongForm, ShortForm, Step
from reportgen_dagster.rules.reading.judging import (
    REFERENCE,
    duplicate_names,
    judge_document,
    judge_references,
    judge_step,
)
from reportgen_dagster.rules.reading.positions import Located, Path, path_text, read_document
from reportgen_dagster.rules.reading.ruleset import Expression, ExpressionContext, Ruleset
from reportgen_dagster.rules.reading.shapes import Wrong, shape_problems
from reportgen_dagster.rules.reading.steps import expression_text, formula_text
from reportgen_dagster.rules.values.layers import Names

MAX_BYTES = 2**20
MAX_PROBLEMS = 1_000
_Model = TypeVar("_Model", bound=BaseModel)
_STEP_KEYS = ("name", "description")
# Where the expressions of a step stand below its kind; what stands there is a text, or texts by name.
_EXPRESSIONS: dict[str, tuple[Path, ExpressionContext]] = {
    "filter": ((), "scalar"),
    "derive": ((), "scalar"),
    "aggregate": (("measures",), "aggregate"),
    "pivot": (("values",), "aggregate"),
    "window": (("columns",), "window"),
}


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
    loader = _ShortLoader(located, source) if isinstance(located.data, list) else _LongLoader(located, source)
    try:
        ruleset = loader.load()
    except _TooManyError:
        more = f"there are more than {MAX_PROBLEMS:,} problems; the others are told when these are mended"
        raise RulesError(problems=[*_in_order(loader.problems), Problem(more, source=source)]) from None
    if loader.problems or ruleset is None:
        raise RulesError(problems=_in_order(loader.problems))
    return ruleset


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

    @abstractmethod
    def load(self) -> Ruleset | None:
        """Return the rules; None after problems."""

    def add(self, path: Path, message: str, *, offset: int = 0, key: bool = False) -> None:
        if len(self.problems) >= MAX_PROBLEMS:
            raise _TooManyError
        place = self.located.keys.get(path) if key else None
        place = place or self.located.place_of(path)
        start = place.text_column
        column = place.column if start is None or key else start + offset
        self.problems.append(Problem(message, path_text(path), place.line, column, self.source))

    def add_all(self, found: Iterable[Wrong]) -> None:
        for wrong in found:
            self.add(wrong.path, wrong.message, key=wrong.key)

    def add_faults(self, path: Path, faults: Iterable[Fault]) -> None:
        for fault in faults:
            self.add(path, fault.message, offset=fault.offset)

    def model(self, model: type[_Model], data: Any, at: Path = ()) -> _Model | None:
        """Validate the shape of what stands at a path; None after problems."""
        try:
            return model.model_validate(data)
        except ValidationError as error:
            self.add_all(shape_problems(error, self.located.places, at))
            return None


class _ShortLoader(_Loader):
    """Reads the short form and translates it to the long one."""

    def load(self) -> Ruleset | None:
        if not self.located.data:
            self.add((), "there are no rules; a list of {output, formula} is expected")
            return None
        document = self.model(ShortForm, self.located.data)
        rules = self._readable_rules()
        self.add_all(
            duplicate_names((((index, "output"), output, False) for index, output, _ in rules), "output")
        )
        found = [self._translated(index, formula) for index, _, formula in rules]
        if document is None or self.problems:
            return None
        return self._ruleset(
            {
                output: expression
                for (_, output, _), expression in zip(rules, found, strict=True)
                if expression is not None
            }
        )

    def _readable_rules(self) -> list[tuple[int, str, str]]:
        """Return number, output and formula of each rule whose shape allows it."""
        return [
            (index, str(rule["output"]), str(formula_text(rule["formula"])))
            for index, rule in enumerate(self.located.data)
            if isinstance(rule, dict)
            and all(isinstance(rule.get(key), (str, int, float)) for key in ("output", "formula"))
        ]

    def _translated(self, index: int, formula: str) -> tuple[str, Expression] | None:
        path: Path = (index, "formula")
        try:
            translation = translate(formula)
            tree = parse_expression(translation.expression)
        except ExpressionError as error:
            self.add_faults(path, error.faults)
            return None
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
    """Reads the long form; whatever part is wrong, the others are judged all the same."""

    def load(self) -> Ruleset | None:
        data = self.located.data
        if not isinstance(data, dict):
            self.add((), "a list of {output, formula} is expected, or the long form with `version: 1`")
            return None
        parts = self._parts({name: part for name, part in data.items() if name != "steps"})
        steps = self._steps(data.get("steps", []))
        self.add_all(judge_document(parts))
        for index, step in steps.items():
            self.add_all(judge_step(index, step))
        self.add_all(judge_references(parts, steps))
        expressions = self._expressions(data)
        if self.problems:
            return None
        document = parts.model_copy(update={"steps": tuple(steps.values())})
        return Ruleset("long", document, expressions, self.located, self.source)

    def _parts(self, data: Mapping[str, Any]) -> LongForm:
        """Return what is beside the steps, without what is wrong."""
        try:
            return LongForm.model_validate(data)
        except ValidationError as error:
            self.add_all(shape_problems(error, self.located.places))
            wrong = [found["loc"] for found in error.errors(include_url=False)]
        return LongForm.model_validate({"version": 1, **_without(data, wrong)})

    # steps

    def _steps(self, listed: Any) -> dict[int, Step]:
        """Return the steps that have a right shape, by number."""
        if not isinstance(listed, list):
            self.add(("steps",), "a list is expected here")
            return {}
        if len(listed) > MAX_STEPS:
            self.add(("steps",), f"there are {len(listed):,} steps, more than {MAX_STEPS}")
        found = {}
        for index, data in enumerate(listed[:MAX_STEPS]):
            kind = self._kind(("steps", index), data)
            step = self.model(STEPS[kind], data, ("steps", index)) if kind else None
            if step is not None:
                found[index] = step
        return found

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

    def _expressions(self, data: Mapping[str, Any]) -> dict[Path, Expression]:
        given = data.get("parameters")
        parameters = tuple(given) if isinstance(given, dict) else ()
        found = {}
        for path, text, context in _texts_of(data.get("steps")):
            try:
                tree = parse_expression(text, context=context, parameters=parameters)
            except ExpressionError as error:
                self.add_faults(path, error.faults)
                continue
            found[path] = Expression(text, tree, context, path, columns_of(tree))
        return found


def _without(data: Mapping[str, Any], wrong: Iterable[Path]) -> dict[str, Any]:
    """Return a document without its parts at these paths: of parameters and references single ones, else all under a key."""
    left = {name: dict(part) if isinstance(part, dict) else part for name, part in data.items()}
    for path in wrong:
        if (
            len(path) > 1
            and path[0] in ("parameters", "references")
            and isinstance(left.get(str(path[0])), dict)
        ):
            left[str(path[0])].pop(path[1], None)
        else:
            left.pop(str(path[0]), None)
    return left


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


__all__ = ["MAX_BYTES", "Ruleset", "load_ruleset"]
