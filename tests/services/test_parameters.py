from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest

from reportgen_dagster.errors import BadRequestError
from reportgen_dagster.rules.reading.loading import load_ruleset
from reportgen_dagster.services.parameters import read_parameters, typed_parameters

RULES = """
version: 1
parameters:
  desk: {type: text}
  since: {type: date, default: 2024-01-31}
  until: {type: datetime, default: "2024-12-31T23:59:59"}
  fee: {type: decimal, default: "0.10"}
  limit: {type: integer, default: 10}
  share: {type: number, default: 0.5}
  all: {type: boolean, default: false}
steps:
  - filter: desk = :desk
"""


def test_what_is_not_given_has_its_default() -> None:
    assert typed_parameters(load_ruleset(RULES), {"desk": "FX"}) == {
        "desk": "FX",
        "since": date(2024, 1, 31),
        "until": datetime(2024, 12, 31, 23, 59, 59),
        "fee": Decimal("0.10"),
        "limit": 10,
        "share": 0.5,
        "all": False,
    }


def test_texts_and_json_values_mean_the_same() -> None:
    ruleset = load_ruleset(RULES)
    texts = {"desk": "FX", "limit": "7", "share": "0.25", "all": "true", "fee": "1.50", "since": "2020-02-29"}
    values = {"desk": "FX", "limit": 7, "share": 0.25, "all": True, "fee": "1.50", "since": "2020-02-29"}
    assert typed_parameters(ruleset, texts) == typed_parameters(ruleset, values)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    given = {"desc": "FX", "limit": "many", "since": "31.1.2024", "all": 1, "share": "nan", "fee": "1,5"}
    with pytest.raises(BadRequestError) as caught:
        typed_parameters(load_ruleset(RULES), given)
    told = {problem.path: problem.message for problem in caught.value.problems}
    assert set(told) == {
        f"parameters.{name}" for name in ("desc", "desk", "limit", "since", "all", "share", "fee")
    }
    assert "did you mean `desk`?" in told["parameters.desc"]
    assert "no default" in told["parameters.desk"]
    assert "2024-01-31" in told["parameters.since"]


def test_a_json_object_of_plain_values_is_read() -> None:
    assert read_parameters('{"desk": "Z\\u00fcrich", "limit": 3, "share": 0.1, "all": true}') == {
        "desk": "Zürich",
        "limit": 3,
        "share": 0.1,
        "all": True,
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "desk=FX",
        "[]",
        "null",
        '{"a": null}',
        '{"a": [1]}',
        '{"a": {}}',
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": 1, "a": 2}',
        '{"a": "\\u0000"}',
        '{"a": "\\ud800"}',
        '{"\\u0000": 1}',
        '{"a": ' + "9" * 5000 + "}",
        "[" * 60_000,
        '{"a":' * 10_000,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        read_parameters(text)
    assert caught.value.problems[0].path.startswith("parameters")
