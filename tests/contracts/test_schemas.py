"""What may stand under `dialect` and `schema`, and that everything wrong with a schema is told at once, each with its path."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from reportgen_dagster.contracts.contract import contract_of, output_contract
from reportgen_dagster.contracts.models import LEFT_OUT, Dialect, Schema, threshold_of
from reportgen_dagster.contracts.problems import schema_problems
from reportgen_dagster.contracts.types import Type


def schema(*fields: dict[str, Any], **more: Any) -> Schema:
    return Schema.model_validate(
        {"fields": [{"name": f"c{place}", **facts} for place, facts in enumerate(fields)], **more}
    )


def told(given: Schema, **options: Any) -> list[tuple[str, str]]:
    return [(".".join(map(str, path)), message) for path, message in schema_problems(given, **options)]


def test_the_schema_of_the_reference_page_has_no_problems() -> None:
    given = Schema.model_validate(
        {
            "missingValues": ["", "NA"],
            "primaryKey": "trade_id",
            "fields": [
                {
                    "name": "trade_id",
                    "type": "string",
                    "constraints": {"required": True, "unique": True, "pattern": "T[0-9]+"},
                },
                {
                    "name": "amount",
                    "type": "decimal",
                    "precision": 18,
                    "scale": 4,
                    "constraints": {"minimum": 0},
                },
                {"name": "traded", "type": "date", "format": "%d/%m/%Y"},
            ],
        }
    )
    assert told(given) == []
    contract = contract_of(
        given, Dialect.model_validate({"delimiter": ";", "encoding": "utf-8", "decimalChar": ","})
    )
    assert [str(field.type) for field in contract.fields] == ["text", "decimal(18,4)", "date"]
    assert contract.fields[0].required
    assert [rule.rule for rule in contract.unique] == ["primaryKey: trade_id"]
    assert contract.missing_values == ("", "NA")


@pytest.mark.parametrize(
    ("facts", "path", "message"),
    [
        ({"constraints": {"minimum": 1}}, "constraints.minimum", "is for numbers, dates and times, and `c0` is text"),
        ({"type": "integer", "constraints": {"pattern": "a"}}, "constraints.pattern", "is for texts, and `c0` is integer"),
        ({"type": "integer", "constraints": {"minimum": "x"}}, "constraints.minimum", "'x' is no integer"),
        ({"type": "integer", "constraints": {"maximum": 1.5}}, "constraints.maximum", "no integer of 64 bits"),
        ({"type": "integer", "constraints": {"enum": [1, 2**63]}}, "constraints.enum", "no integer of 64 bits"),
        ({"type": "date", "constraints": {"minimum": "31/01/2024"}}, "constraints.minimum", "'31/01/2024' is no date"),
        ({"type": "date", "constraints": {"enum": ["2024-02-30"]}}, "constraints.enum", "day is out of range"),
        ({"type": "boolean", "constraints": {"enum": ["yes"]}}, "constraints.enum", "'yes' is no boolean"),
        ({"type": "decimal", "precision": 4, "scale": 2, "constraints": {"minimum": 100}}, "constraints.minimum", "decimal(4,2)"),
        ({"type": "decimal", "scale": 2, "constraints": {"minimum": 0.001}}, "constraints.minimum", "does not fit"),
        ({"type": "integer", "constraints": {"minimum": 2, "maximum": 1}}, "constraints.minimum", "no value keeps both"),
        (
            {"type": "number", "constraints": {"exclusiveMinimum": 1, "maximum": 1}},
            "constraints.exclusiveMinimum",
            "no value keeps both `exclusiveMinimum: 1` and `maximum: 1`",
        ),
        ({"constraints": {"minLength": 3, "maxLength": 2}}, "constraints.minLength", "more than `maxLength`"),
        ({"constraints": {"pattern": "(a"}}, "constraints.pattern", "this is no pattern"),
        ({"constraints": {"pattern": "a(?=b)"}}, "constraints.pattern", "groups `(...)` and `(?:...)` only"),
        ({"constraints": {"pattern": r"(a)\1"}}, "constraints.pattern", r"`\1` is not available"),
        ({"constraints": {"pattern": "(a{100}){100}"}}, "constraints.pattern", "repeats at most"),
        ({"type": "decimal", "precision": 3, "scale": 4}, "scale", "`scale` 4 is more than `precision` 3"),
        ({"type": "number", "scale": 4}, "scale", "is for decimals"),
        ({"decimalChar": ","}, "decimalChar", "is for numbers and decimals, and `c0` is string"),
        ({"type": "number", "decimalChar": ",", "groupChar": ","}, "groupChar", "is the decimal mark as well"),
        ({"type": "number", "groupChar": "-"}, "groupChar", "stands for something else"),
        ({"type": "boolean", "trueValues": ["x"], "falseValues": ["x"]}, "falseValues", "both true and false"),
        ({"type": "string", "trueValues": ["x"]}, "trueValues", "is for booleans"),
        ({"type": "date", "format": "%d/%m"}, "format", "names the year not at all"),
        ({"type": "date", "format": "%d/%m/%Y %H"}, "format", "`%H` is not available in the format of a date"),
        ({"type": "date", "format": "%Q"}, "format", "`%Q` is not available"),
        ({"type": "date", "format": "%Y-%m-%d %"}, "format", "`%` is not available"),
        ({"type": "date", "format": "%Y %y %m %d"}, "format", "names the year twice"),
        ({"type": "date", "format": "any"}, "format", "would guess"),
        ({"type": "time", "format": "%I:%M"}, "format", "`%I` together with `%p`"),
        ({"type": "string", "format": "phone"}, "format", "a string has no format `phone`"),
        ({"type": "integer", "format": "x"}, "format", "`format` is for dates, times and strings"),
        ({"severity": "warn", "threshold": 3}, "threshold", "`warn` never fails a run"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_field(facts: dict[str, Any], path: str, message: str) -> None:
    problems = told(schema(facts))
    assert [found for found, _ in problems] == [f"fields.0.{path}"]
    assert message in problems[0][1]


def test_every_problem_is_told_with_its_path() -> None:
    given = schema(
        {"name": "a"}, {"name": "A"}, {"name": "a"}, {"type": "integer", "constraints": {"minimum": "x", "maxLength": 3}},
        primaryKey=["a", "nowhere", "a"],
        uniqueKeys=[["c3", "b"]],
        foreignKeys=[{"fields": "z", "reference": {"resource": "desks", "fields": ["k", "l"]}}],
    )  # fmt: skip
    assert [path for path, _ in told(given, references=["desk"])] == [
        "fields.1.name", "fields.2.name", "fields.3.constraints.minimum", "fields.3.constraints.maxLength",
        "primaryKey", "primaryKey", "uniqueKeys.0", "foreignKeys.0.fields", "foreignKeys.0.reference.fields",
        "foreignKeys.0.reference.resource",
    ]  # fmt: skip
    assert (
        told(schema({}, foreignKeys=[{"fields": "c0", "reference": {"resource": "any", "fields": "k"}}]))
        == []
    )


def test_constants_are_written_in_iso_or_in_the_fields_own_format() -> None:
    given = schema(
        {
            "type": "date",
            "format": "%d/%m/%Y",
            "constraints": {"minimum": "31/01/2024", "maximum": "2024-12-31"},
        }
    )
    assert told(given) == []
    assert [one.rule for one in contract_of(given).fields[0].constraints] == [
        "minimum: 31/01/2024",
        "maximum: 2024-12-31",
    ]


@pytest.mark.parametrize(
    ("dialect", "message"),
    [
        ({"delimiter": ";;"}, "one ASCII character"),
        ({"delimiter": "\n"}, "one ASCII character"),
        ({"quoteChar": "«"}, "one ASCII character"),
        ({"encoding": "latin-99"}, "no encoding is called 'latin-99'"),
        ({"encoding": "rot13"}, "no encoding of text"),
        ({"header": "yes"}, "boolean"),
        ({"headerRows": [2]}, "Extra inputs"),
    ],
)
def test_a_dialect_that_cannot_be(dialect: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Dialect.model_validate(dialect)


def test_thresholds_are_counts_and_percentages() -> None:
    assert [threshold_of(written) for written in (0, 1, 250, "1%", "0.5 %", "99.9%")] == [
        0,
        1,
        250,
        0.01,
        0.005,
        0.999,
    ]
    for wrong in ("100%", "x", "-1%", True, -1, "1"):
        with pytest.raises(ValueError, match="count"):
            threshold_of(wrong)
    with pytest.raises(ValidationError):
        schema({"threshold": 0.5})


def test_keys_of_the_standards_that_are_left_out_are_refused_and_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "rules" / "contracts.md").read_text()
    for key, instead in LEFT_OUT.items():
        assert f"| `{key}` | {instead} |" in page
        for model in (Dialect, Schema):
            with pytest.raises(ValidationError):
                model.model_validate({"fields": [{"name": "a"}], key: []})


def test_a_decimal_has_38_digits_9_behind_the_point_unless_it_is_told() -> None:
    fields = contract_of(
        schema({"type": "decimal"}, {"type": "decimal", "scale": 2}, {"type": "decimal", "precision": 5})
    ).fields
    assert [str(field.type) for field in fields] == ["decimal(38,9)", "decimal(38,2)", "decimal(5,0)"]


COLUMNS = {
    "total": Type("decimal", 20, 4),
    "day": Type("date"),
    "code": Type("integer"),
    "n": Type("integer"),
}


def test_the_contract_of_a_report_is_judged_by_the_columns_that_there_are() -> None:
    given = Schema.model_validate(
        {
            "fields": [
                {"name": "total", "constraints": {"minimum": 0}},
                {"name": "day", "constraints": {"minimum": 5}},
                {"name": "code", "type": "string", "constraints": {"pattern": "[0-9]+"}},
                {"name": "n", "type": "number", "constraints": {"maximum": 10}},
                {"name": "gone"},
            ]
        }
    )
    assert told(given, is_output=True) == []
    contract, problems = output_contract(given, COLUMNS, read=["code"])
    assert problems == [
        (("fields", 1, "constraints", "minimum"), "'5' is no date"),
        (("fields", 4, "name"), "the report has no column `gone`"),
    ]
    assert [(field.name, str(field.type)) for field in contract.fields] == [
        ("total", "decimal(20,4)"), ("code", "text"), ("n", "integer"),
    ]  # fmt: skip
    _, problems = output_contract(given, COLUMNS)
    assert (("fields", 2, "type"), "column `code` is integer, not text") in problems


def test_what_only_says_how_values_are_read_is_refused_in_a_report() -> None:
    given = schema(
        {"type": "date", "format": "%d/%m/%Y"}, {"type": "number", "decimalChar": ","},
        missingValues=["NA"],
        foreignKeys=[{"fields": "c0", "reference": {"resource": "r", "fields": "k"}}],
    )  # fmt: skip
    assert [path for path, _ in told(given, is_output=True)] == [
        "fields.0.format", "fields.1.decimalChar", "foreignKeys.0", "missingValues",
    ]  # fmt: skip


def test_the_models_and_the_contract_import_nothing_heavy() -> None:
    code = (
        "import sys, reportgen_dagster.contracts.problems, reportgen_dagster.contracts.contract\n"
        "print(sorted({'pandera', 'pandas', 'duckdb', 'polars', 'pyarrow', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
