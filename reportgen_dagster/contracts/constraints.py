"""The constraints of a field as pandera's checks: which check, with what, and how it is told to people.

What belongs here: reading `constraints` and the format of strings. What does not: making pandera's objects (rendering.py) or
SQL (predicates.py).
"""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reportgen_dagster.contracts.casts import Notation
from reportgen_dagster.contracts.constants import Constant, constant, written_text
from reportgen_dagster.contracts.models import SchemaField, Severity
from reportgen_dagster.contracts.patterns import STRING_FORMATS, pattern_problem, whole
from reportgen_dagster.contracts.types import Type

Path = tuple[str | int, ...]
ORDERED = ("integer", "number", "decimal", "date", "time", "datetime")
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Constraint:
    """Something that every present value of a column keeps.

    Attributes:
        rule: How its user wrote it, as `minimum: 0`; no two of a column are alike.
        reason: What is wrong with a value that breaks it, as `is less than 0`.
        check: The name of pandera's check.
        statistics: Its arguments.
        severity: `warn` only counts.
        threshold: How many rows may break it: a count from 1 or a share below 1.
    """

    rule: str
    reason: str
    check: str
    statistics: Mapping[str, Any]
    severity: Severity = "error"
    threshold: float | None = None

    def fits(self, type_: Type) -> bool:
        """Tell whether it can judge values of a type."""
        if self.check.startswith("str_"):
            return type_.name in ("text", "cell")
        return all(type_.name in _comparable(value) for value in _values(self.statistics))


def _values(statistics: Mapping[str, Any]) -> Iterator[Any]:
    """Yield what values are compared with."""
    for name, value in statistics.items():
        if name in ("allowed_values", "forbidden_values"):
            yield from value
        elif name in ("value", "min_value", "max_value"):
            yield value


def _comparable(value: Any) -> tuple[str, ...]:
    """Return the types whose values can be compared with a value of Python."""
    if isinstance(value, bool):
        return ("boolean",)
    if isinstance(value, int | float | decimal.Decimal):
        return ("integer", "number", "decimal")
    if isinstance(value, datetime.date):
        return ("date", "datetime")
    return ("time",) if isinstance(value, datetime.time) else ("text", "cell")


@dataclass(frozen=True, slots=True)
class _Bound:
    key: str
    check: str
    statistic: str
    reason: str


_BOUNDS = (
    _Bound("minimum", "greater_than_or_equal_to", "min_value", "is less than {}"),
    _Bound("maximum", "less_than_or_equal_to", "max_value", "is more than {}"),
    _Bound("exclusiveMinimum", "greater_than", "min_value", "is not more than {}"),
    _Bound("exclusiveMaximum", "less_than", "max_value", "is not less than {}"),
)
_LENGTHS = (
    _Bound("minLength", "str_length", "min_value", "has fewer than {} characters"),
    _Bound("maxLength", "str_length", "max_value", "has more than {} characters"),
)


def shortened(text: str) -> str:
    """Cut a text that is told in a message."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


class ConstraintReader:
    """Reads the constraints of one field, and collects what cannot be."""

    def __init__(self, field: SchemaField, type_: Type, notation: Notation, threshold: float | None) -> None:
        """Read for a field of this type, whose values are written like this."""
        self.problems: list[tuple[Path, str]] = []
        self._field = field
        self._type = type_
        self._notation = notation
        self._threshold = threshold
        self._written: dict[str, Any] = field.constraints.model_dump(by_alias=True, exclude_none=True)

    def read(self) -> tuple[Constraint, ...]:
        """Return the constraints on values, in a fixed order; `required` and `unique` are none."""
        found = [*self._bounds(), *self._lengths(), *self._patterns(), *self._listed()]
        self._judge_bounds(found)
        return tuple(found)

    def _made(self, rule: str, reason: str, check: str, statistics: Mapping[str, Any]) -> Constraint:
        return Constraint(rule, reason, check, statistics, self._field.severity, self._threshold)

    def _problem(self, key: str, message: str) -> None:
        self.problems.append((("constraints", key), message))

    def _given(self, key: str, types: tuple[str, ...], what: str) -> bool:
        if key not in self._written:
            return False
        if self._type.name not in types:
            self._problem(key, f"`{key}` is for {what}, and `{self._field.name}` is {self._type}")
            return False
        return True

    def _bounds(self) -> Iterator[Constraint]:
        for bound in _BOUNDS:
            if not self._given(bound.key, ORDERED, "numbers, dates and times"):
                continue
            value = self._constant(bound.key, self._written[bound.key])
            if value is not None:
                told = written_text(self._written[bound.key])
                statistics = {bound.statistic: value}
                yield self._made(f"{bound.key}: {told}", bound.reason.format(told), bound.check, statistics)

    def _constant(self, key: str, written: bool | float | str) -> Constant | None:  # noqa: FBT001 - a value
        try:
            return constant(written, self._type, self._notation)
        except ValueError as error:
            self._problem(key, str(error))
            return None

    def _lengths(self) -> Iterator[Constraint]:
        for bound in _LENGTHS:
            if self._given(bound.key, ("text",), "texts"):
                number = self._written[bound.key]
                statistics = {bound.statistic: number}
                yield self._made(
                    f"{bound.key}: {number}", bound.reason.format(number), bound.check, statistics
                )

    def _patterns(self) -> Iterator[Constraint]:
        layout = self._field.format
        if self._type.name == "text" and layout in STRING_FORMATS:
            pattern = whole(STRING_FORMATS[layout])
            yield self._made(
                f"format: {layout}", f"is not of the format {layout}", "str_matches", {"pattern": pattern}
            )
        if not self._given("pattern", ("text",), "texts"):
            return
        written = self._written["pattern"]
        problem = pattern_problem(written)
        if problem:
            self._problem("pattern", problem)
            return
        told = shortened(written)
        yield self._made(
            f"pattern: {told}", f"does not match {told}", "str_matches", {"pattern": whole(written)}
        )

    def _listed(self) -> Iterator[Constraint]:
        if "enum" not in self._written:
            return
        values = [self._constant("enum", written) for written in self._written["enum"]]
        told = shortened(", ".join(written_text(written) for written in self._written["enum"]))
        if None not in values:
            yield self._made(f"enum: {told}", f"is none of {told}", "isin", {"allowed_values": values})

    def _judge_bounds(self, found: list[Constraint]) -> None:
        """Refuse bounds that no value keeps."""
        least = [one for one in found if one.check in ("greater_than", "greater_than_or_equal_to")]
        most = [one for one in found if one.check in ("less_than", "less_than_or_equal_to")]
        for low in least:
            for high in most:
                lower, upper = low.statistics["min_value"], high.statistics["max_value"]
                strict = low.check == "greater_than" or high.check == "less_than"
                if lower > upper or (strict and lower == upper):
                    key = low.rule.partition(":")[0]
                    self._problem(key, f"no value keeps both `{low.rule}` and `{high.rule}`")
        if self._written.get("minLength", 0) > self._written.get("maxLength", math.inf):
            self._problem("minLength", "`minLength` is more than `maxLength`")
