"""Reads the values of parameters: the defaults in rules, and what a run is given.

What belongs here: from what was written to a typed value. What does not: what a parameter means in an expression (evaluation.py).
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal

from reportgen_dagster.errors import Problem, RulesError
from reportgen_dagster.rules.expressions.faults import nearest
from reportgen_dagster.rules.reading.document import Parameter, ParameterType

ParameterValue = str | int | float | Decimal | bool | dt.date | dt.datetime | None
MAX_TEXT = 10_000
_PLAIN_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?")
_DECIMAL = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATETIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?")


def parameter_value(kind: ParameterType, given: object) -> ParameterValue:
    """Return a value as its parameter's type.

    Args:
        kind: The parameter's type.
        given: A text as from a command line, or a value as from JSON or YAML; None is null.

    Raises:
        ValueError: If it is none of that type; the message tells how to write one.
    """
    if given is None:
        return None
    is_scalar = isinstance(given, (str, bool, int, float, Decimal))
    text = str(given).lower() if isinstance(given, bool) else str(given)
    fits = is_scalar and len(text) <= MAX_TEXT and (kind == "boolean" or not isinstance(given, bool))
    value = _READERS[kind](text) if fits else None
    if value is None:
        raise ValueError(f"{_shown(text)} is {_EXPECTED[kind]}")
    return value


def parameter_values(
    parameters: Mapping[str, Parameter], given: Mapping[str, object]
) -> dict[str, ParameterValue]:
    """Return the value of every parameter for a run.

    Args:
        parameters: The parameters of the rules.
        given: What the run is given: texts or values of JSON.

    Raises:
        RulesError: With every parameter that is unknown, missing, or not of its type.
    """
    problems = [
        Problem(f"unknown parameter `{name}`{nearest(name, parameters) or _listed(parameters)}", path=name)
        for name in given
        if name not in parameters
    ]
    values: dict[str, ParameterValue] = {}
    for name, parameter in parameters.items():
        if name not in given and "default" not in parameter.model_fields_set:
            problems.append(
                Problem(
                    f"the parameter `{name}` ({parameter.type}) has no default and no value is given",
                    path=name,
                )
            )
            continue
        try:
            values[name] = parameter_value(parameter.type, given.get(name, parameter.default))
        except ValueError as error:
            problems.append(Problem(str(error), path=name))
    if problems:
        raise RulesError(problems=problems)
    return values


def _listed(parameters: Mapping[str, Parameter]) -> str:
    return f"; there are {', '.join(parameters)}" if parameters else "; these rules have no parameters"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "...")


def _text(text: str) -> str | None:
    bad = "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text)
    return None if bad else text


def _integer(text: str) -> int | None:
    found = int(text) if re.fullmatch(r"[-+]?[0-9]{1,19}", text) else None
    return found if found is not None and -(2**63) <= found < 2**63 else None


def _number(text: str) -> float | None:
    found = float(text) if _PLAIN_NUMBER.fullmatch(text) else math.inf
    return found if math.isfinite(found) else None


def _decimal(text: str) -> Decimal | None:
    found = Decimal(text) if _DECIMAL.fullmatch(text) and len(text) < 60 else None
    if found is None:
        return None
    _, digits, exponent = found.as_tuple()
    return found if max(len(digits), -int(exponent)) <= 38 else None


def _boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text)


def _date(text: str) -> dt.date | None:
    return dt.date.fromisoformat(text) if _DATE.fullmatch(text) and _is_time(text) else None


def _datetime(text: str) -> dt.datetime | None:
    whole = _DATE.fullmatch(text) or _DATETIME.fullmatch(text)
    return dt.datetime.fromisoformat(text) if whole and _is_time(text) else None


def _is_time(text: str) -> bool:
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


_READERS: dict[ParameterType, Callable[[str], ParameterValue]] = {
    "text": _text,
    "integer": _integer,
    "number": _number,
    "decimal": _decimal,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
}
_EXPECTED: dict[ParameterType, str] = {
    "text": f"no text of at most {MAX_TEXT:,} characters",
    "integer": "no whole number of 64 bits, such as 12",
    "number": "no number, such as 0.5",
    "decimal": "no decimal of at most 38 digits, such as 12.50",
    "boolean": "neither true nor false",
    "date": "no date, such as 2024-01-31",
    "datetime": "no date and time, such as 2024-01-31T10:00:00",
}
