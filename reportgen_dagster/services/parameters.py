"""Values of the rules' parameters, as a run, a schedule or the command line gives them.

What belongs here: reading them as plain data that the catalog can keep, and whose fault a wrong one is. What does not: their
types (`rules/parameters.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reportgen_dagster.errors import BadRequestError, Problem, RulesError
from reportgen_dagster.rules.reading.parameters import parameter_values
from reportgen_dagster.rules.reading.ruleset import Ruleset
from reportgen_dagster.services.strict_json import read_json

MAX_PARAMETERS = 1_000


def read_parameters(text: str) -> dict[str, Any]:
    """Read the JSON object that the API takes.

    Raises:
        BadRequestError: If it is no object of texts, numbers of 64 bits, true or false, or has a name twice.
    """
    try:
        data = read_json(text)
    except ValueError as error:
        raise _refused("parameters", f"this is not a JSON object: {error}") from None
    if not isinstance(data, dict) or len(data) > MAX_PARAMETERS:
        message = f'an object of at most {MAX_PARAMETERS:,} names and values is needed, as {{"desk": "FX"}}'
        raise _refused("parameters", message)
    return plain_parameters(data)


def plain_parameters(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters that the catalog can keep.

    Raises:
        BadRequestError: With every value that is no text, number, true or false, or cannot be stored.
    """
    problems = [
        Problem(message, path=f"parameters.{name}")
        for name, value in data.items()
        if (message := _not_plain(name, value))
    ]
    if problems:
        raise BadRequestError(problems=problems)
    return dict(data)


def typed_parameters(ruleset: Ruleset, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of each parameter of the rules in its type.

    Args:
        ruleset: The rules; what is not given has the default that they say.
        given: Values as JSON has them, or as texts. A date is a text in ISO form.

    Raises:
        BadRequestError: With every parameter that is unknown, missing or not of its type.
    """
    try:
        return dict(parameter_values(ruleset.document.parameters, given))
    except RulesError as error:
        problems = [replace(problem, path=f"parameters.{problem.path}") for problem in error.problems]
        raise BadRequestError(problems=problems) from None


def parameter_problems(ruleset: Ruleset, given: Mapping[str, Any]) -> list[Problem]:
    """Return everything that is wrong with given parameters."""
    try:
        typed_parameters(ruleset, given)
    except BadRequestError as error:
        return list(error.problems)
    return []


def _not_plain(name: str, value: Any) -> str:
    """Return what is wrong with a value as plain data; empty if nothing is."""
    if not isinstance(value, str | int | float):  # true and false are integers to Python
        return "a text, a number, true or false is needed"
    if not all(_storable(text) for text in (name, value) if isinstance(text, str)):
        return "it has a character that is no text"
    return "" if not isinstance(value, float) or math.isfinite(value) else "the number is too large"


def _storable(text: str) -> bool:
    """PostgreSQL keeps neither NUL nor half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _refused(path: str, message: str) -> BadRequestError:
    return BadRequestError(problems=[Problem(message, path=path)])
