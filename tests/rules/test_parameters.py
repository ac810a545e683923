"""Parameters: what a run may be given and what it becomes."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from reportgen_dagster.errors import RulesError
from reportgen_dagster.rules.reading.document import ParameterType
from reportgen_dagster.rules.reading.loading import load_ruleset
from reportgen_dagster.rules.reading.parameters import ParameterValue, parameter_value, parameter_values


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("text", "a", "a"), ("text", 5, "5"), ("text", "", ""), ("text", None, None),
        ("integer", "-12", -12), ("integer", 12, 12), ("integer", 2**63 - 1, 2**63 - 1),
        ("number", "0.5", 0.5), ("number", 3, 3.0), ("number", "1e3", 1000.0),
        ("decimal", "12.50", Decimal("12.50")), ("decimal", 7, Decimal(7)), ("decimal", 0.1, Decimal("0.1")),
        ("boolean", "true", True), ("boolean", False, False),
        ("date", "2024-02-29", dt.date(2024, 2, 29)),
        ("datetime", "2024-01-31T10:00:00", dt.datetime(2024, 1, 31, 10)),
        ("datetime", "2024-01-31 10:00", dt.datetime(2024, 1, 31, 10)),
        ("datetime", "2024-01-31", dt.datetime(2024, 1, 31)),
    ],
)  # fmt: skip
def test_read(kind: ParameterType, given: object, value: ParameterValue) -> None:
    found = parameter_value(kind, given)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("text", True), ("text", "a\0"), ("text", "x" * 10_001), ("text", ["a"]),
        ("integer", "1.5"), ("integer", 1.5), ("integer", "1_000"), ("integer", 2**63), ("integer", ""), ("integer", True),
        ("number", "nan"), ("number", "1e999"), ("number", "0x1F"), ("number", " 1"), ("number", float("inf")),
        ("decimal", "1e5"), ("decimal", "1" * 39), ("decimal", "NaN"), ("decimal", "0." + "1" * 39),
        ("boolean", "yes"), ("boolean", 1), ("boolean", "True"),
        ("date", "2023-02-29"), ("date", "31/01/2024"), ("date", "20240131"), ("date", "2024-01-31T10:00:00"), ("date", 20240131),
        ("datetime", "2024-01-31T25:00"), ("datetime", "2024-01-31T10:00:00+02:00"), ("datetime", "now"),
    ],
)  # fmt: skip
def test_refused(kind: ParameterType, given: object) -> None:
    with pytest.raises(ValueError, match=r"is no |is neither"):
        parameter_value(kind, given)


RULES = """\
version: 1
parameters:
  rate: {type: number, default: 0.5}
  day: {type: date}
  tag: {type: text, default: null}
steps:
  - filter: amount * :rate > 1 and traded > :day or tag = :tag
"""


def test_a_run_is_given_what_has_no_default() -> None:
    parameters = load_ruleset(RULES).document.parameters
    assert parameter_values(parameters, {"day": "2024-01-31"}) == {
        "rate": 0.5,
        "day": dt.date(2024, 1, 31),
        "tag": None,
    }
    with pytest.raises(RulesError) as caught:
        parameter_values(parameters, {"rat": 1, "rate": "x"})
    assert [str(problem) for problem in caught.value.problems] == [
        "rat  unknown parameter `rat`; did you mean `rate`?",
        "rate  'x' is no number, such as 0.5",
        "day  the parameter `day` (date) has no default and no value is given",
    ]
    with pytest.raises(RulesError, match="these rules have no parameters"):
        parameter_values({}, {"x": 1})
