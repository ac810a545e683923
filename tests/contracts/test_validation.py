"""Whole tables against contracts: exact counts, samples, severities, thresholds, keys; from rules and from pandera schemas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pandas as pd
import pandera.pandas as pa
import pytest
from pandera.errors import SchemaDefinitionError, SchemaError, SchemaWarning
from sqlglot import exp

from reportgen_dagster.contracts import Contract, contract_from_pandera
from reportgen_dagster.contracts.conditions import RuleCount
from reportgen_dagster.contracts.contract import contract_of
from reportgen_dagster.contracts.models import Schema
from reportgen_dagster.contracts.rendering import table_schema
from reportgen_dagster.contracts.validation import (
    errors_from_counts,
    report_from_counts,
    typed_relation,
    validate_file,
    validate_relation,
)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a database of its own."""
    opened = duckdb.connect()
    yield opened
    opened.close()


def contract(*fields: dict[str, Any], **more: Any) -> Contract:
    return contract_of(Schema.model_validate({"fields": list(fields), **more}))


DESKS = contract(
    {"name": "desk", "constraints": {"pattern": "[A-Z]+"}},
    {
        "name": "fee",
        "type": "decimal",
        "precision": 5,
        "scale": 2,
        "constraints": {"required": True, "minimum": 0},
    },
    {"name": "opened", "type": "date"},
    primaryKey="desk",
    uniqueKeys=[["fee", "opened"]],
    foreignKeys=[{"fields": "opened", "reference": {"resource": "days", "fields": "day"}}],
)


def desks(connection: duckdb.DuckDBPyConnection, *rows: tuple[str | None, ...]) -> duckdb.DuckDBPyRelation:
    connection.execute("CREATE TABLE desks (desk VARCHAR, fee VARCHAR, opened VARCHAR, note VARCHAR)")
    connection.executemany("INSERT INTO desks VALUES (?, ?, ?, 'x')", list(rows))
    return connection.table("desks")


def test_a_file_that_keeps_its_contract(connection: duckdb.DuckDBPyConnection) -> None:
    given = desks(connection, ("A", "1.5", "2024-01-01"), ("B", "1.5", None), ("C", "1.5", None))
    assert validate_file(given, DESKS, name="desks").to_json() == {"passed": True, "failures": []}
    empty = given.limit(0)
    assert validate_file(empty, DESKS, name="desks").passed


def test_everything_that_a_file_breaks_with_counts_and_samples(connection: duckdb.DuckDBPyConnection) -> None:
    given = desks(
        connection,
        ("A", "1.5", "2024-01-01"),
        ("A", "1.50", "2024-01-01"),
        (None, "-2", "2024-02-30"),
        ("b", "1.505", "2024-01-02"),
        ("C", None, None),
        *((f"D{number}", "-1", None) for number in range(10)),
    )
    days = connection.sql("SELECT DATE '2024-01-01' AS day")
    report = validate_file(given, DESKS, name="desks", references={"days": days})
    assert not report.passed
    assert {
        (one.column, one.check): (one.count, one.samples) for one in report.failures if one.count < 10
    } == {
        ("fee", "type decimal(5,2)"): (1, ("'1.505'",)),
        ("opened", "type date"): (1, ("'2024-02-30'",)),
        ("desk", "required"): (1, ("null",)),
        ("fee", "required"): (1, ("null",)),
        ("desk", "primaryKey: desk"): (1, ("'A'",)),
        ("", "uniqueKeys: fee, opened"): (1, ("(1.50, 2024-01-01)",)),
        ("opened", "foreignKeys: opened -> days(day)"): (1, ("2024-01-02",)),
    }
    many = {(one.column, one.check): one for one in report.failures if one.count >= 10}
    assert many["desk", "pattern: [A-Z]+"].count == 11
    assert many["fee", "minimum: 0"].count == 11
    assert len(many["fee", "minimum: 0"].samples) == 5
    assert str(many["fee", "minimum: 0"].message).startswith("minimum: 0 fails on 11 of 15 rows, e.g. -2.00")
    assert report.to_json()["failures"][0]["samples"] == ["'1.505'"]


def test_a_text_that_is_not_of_the_type_is_an_error_also_where_constraints_only_warn(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    given = contract({"name": "n", "type": "integer", "severity": "warn", "constraints": {"minimum": 5}})
    report = validate_file(connection.sql("SELECT unnest(['1', 'x', '7']) AS n"), given, name="numbers")
    assert [(one.check, one.count, one.severity) for one in report.failures] == [
        ("type integer", 1, "error"), ("minimum: 5", 1, "warn"),
    ]  # fmt: skip


def test_columns_that_are_missing_are_told(connection: duckdb.DuckDBPyConnection) -> None:
    report = validate_file(connection.sql("SELECT 'A' AS desk"), DESKS, name="desks")
    assert [(one.column, one.check) for one in report.failures] == [
        ("fee", "column_in_dataframe"), ("opened", "column_in_dataframe"),
    ]  # fmt: skip
    assert DESKS.column_problems(["desk", "opened", "more"]) == ["column `fee` of the contract is missing"]


def test_odd_names_of_columns_do_no_harm(connection: duckdb.DuckDBPyConnection) -> None:
    name = 'a "b"; -- é'
    given = connection.sql(
        f"SELECT 'x' AS {exp.to_identifier(name, quoted=True).sql('duckdb')}, '1' AS \"raw_x\""
    )
    odd = contract(
        {"name": name, "type": "integer"}, {"name": "raw_x", "type": "integer"}, primaryKey=[name, "raw_x"]
    )
    assert [(one.column, one.check, one.count) for one in validate_file(given, odd, name="odd").failures] == [
        (name, "type integer", 1)
    ]


def test_typed_columns_of_a_file(connection: duckdb.DuckDBPyConnection) -> None:
    given = typed_relation(desks(connection, ("A", "1.5", "nonsense")), DESKS)
    assert [str(type_) for type_ in given.types] == ["VARCHAR", "DECIMAL(5,2)", "DATE", "VARCHAR"]
    assert validate_relation(given, table_schema(DESKS), cells=False).passed
    untyped = connection.sql("SELECT 'A' AS desk, 1.5::DOUBLE AS fee, DATE '2024-01-01' AS opened")
    report = validate_relation(untyped, table_schema(DESKS), cells=False)
    assert [(one.column, one.message) for one in report.failures] == [
        ("fee", "the column has type DOUBLE, expected decimal(5,2)")
    ]


NUMBERS = "SELECT range AS n FROM range(100)"


@pytest.mark.parametrize(
    ("facts", "passed", "severity"),
    [
        ({}, False, "error"),
        ({"severity": "warn"}, True, "warn"),
        ({"threshold": 10}, True, "warn"),
        ({"threshold": 9}, False, "error"),
        ({"threshold": "10%"}, True, "warn"),
        ({"threshold": "9%"}, False, "error"),
    ],
)
def test_severity_and_threshold(
    connection: duckdb.DuckDBPyConnection,
    facts: dict[str, Any],
    passed: bool,  # noqa: FBT001 - a parameter of the test
    severity: str,
) -> None:
    schema = table_schema(contract({"name": "n", "type": "integer", "constraints": {"minimum": 10}, **facts}))
    report = validate_relation(connection.sql(NUMBERS), schema)
    assert (report.passed, report.failures[0].count, report.failures[0].severity) == (passed, 10, severity)
    if passed:
        with pytest.warns(SchemaWarning, match="fails on 10 of 100 rows"):
            schema.validate(connection.sql(NUMBERS))
    else:
        with pytest.raises(SchemaError, match="fails on 10 of 100 rows"):
            schema.validate(connection.sql(NUMBERS))


def test_what_only_warns_does_so_in_pandas_too() -> None:
    field = {"name": "n", "type": "integer", "constraints": {"minimum": 10}, "severity": "warn"}
    with pytest.warns(SchemaWarning):
        table_schema(contract(field)).validate(pd.DataFrame({"n": pd.Series([1], dtype="Int64")}))


def test_a_missing_value_is_judged_on_the_text_so_that_a_row_has_no_reason_twice() -> None:
    given = contract(
        {"name": "n", "type": "integer", "constraints": {"required": True, "minimum": 3, "enum": [1, 5]}}
    )
    checks = given.row_checks({"n": exp.column("value")}, {"n": exp.column("raw")})
    assert [(one.rule, one.reason, one.broken.sql("duckdb")) for one in checks] == [
        ("required", "is missing", "raw IS NULL"),
        ("minimum: 3", "is less than 3", "NOT (value >= 3)"),
        ("enum: 1, 5", "is none of 1, 5", "NOT (value IN (1, 5))"),
    ]


def test_failures_that_the_pass_counted_are_panderas_errors() -> None:
    schema = table_schema(DESKS, name="desks")
    counts = [
        RuleCount("fee", "minimum: 0", 3, ("-1",)),
        RuleCount("desk", "pattern: [A-Z]+", 2, severity="warn"),
        RuleCount("opened", "type date", 5, threshold=0.05),
        RuleCount("opened", "required", 0),
    ]
    error = errors_from_counts(schema, counts, row_count=100)
    assert error is not None
    assert [(one.column_name, one.check, one.finding.count) for one in error.schema_errors] == [
        ("fee", "minimum: 0", 3)
    ]
    assert "minimum: 0 fails on 3 of 100 rows, e.g. '-1'" in str(error.failure_cases["message"][0])
    report = report_from_counts(schema, counts, row_count=100)
    assert [one.severity for one in report.failures] == ["error", "warn", "warn"]
    assert errors_from_counts(schema, counts[1:], row_count=100) is None


def test_a_pandera_schema_is_a_contract() -> None:
    schema = pa.DataFrameSchema(
        {
            "desk": pa.Column(
                str, [pa.Check.str_startswith("D"), pa.Check.str_matches("D[0-9]")], unique=True
            ),
            "fee": pa.Column(
                float, pa.Check.in_range(0, 10, include_max=False), nullable=True, required=False
            ),
            "day": pa.Column(pa.Date, pa.Check.gt(pd.Timestamp("2024-01-01").date(), raise_warning=True)),
            "free": pa.Column(nullable=True),
        },
        unique=["desk", "day"],
        strict=True,
    )
    given = contract_from_pandera(schema)
    assert [(field.name, str(field.type), field.required, field.optional) for field in given.fields] == [
        ("desk", "text", True, False), ("fee", "number", False, True), ("day", "date", True, False),
        ("free", "any", False, False),
    ]  # fmt: skip
    assert [(rule.columns, rule.rule) for rule in given.unique] == [
        (("desk",), "unique"), (("desk", "day"), "uniqueKeys: desk, day"),
    ]  # fmt: skip
    assert given.column_problems(["desk", "day", "free", "more"]) == ["column `more` is not in the contract"]
    checks = given.row_checks({field.name: exp.column(field.name) for field in given.fields})
    assert [(one.column, one.rule, one.severity) for one in checks if one.rule != "required"] == [
        ("desk", "str_startswith('D')", "error"),
        ("desk", "str_matches('D[0-9]')", "error"),
        ("fee", "in_range(0, 10)", "error"),
        ("day", "greater_than(2024-01-01)", "warn"),
    ]
    assert contract_from_pandera(table_schema(given)) == given


def test_what_no_contract_has_is_refused_by_name() -> None:
    schema = pa.DataFrameSchema(
        {
            "a": pa.Column(str, pa.Check(lambda value: value == "x", name="mine")),
            "b.*": pa.Column(int, regex=True),
            "c": pa.Column(int, default=3, coerce=True),
            "d": pa.Column("category"),
        },
        checks=[pa.Check(lambda frame: frame["a"] > frame["c"], name="wide")],
        strict="filter",
    )
    with pytest.raises(SchemaDefinitionError) as caught:
        contract_from_pandera(schema)
    for told in (
        "'mine'",
        "'b.*': a contract has no pattern",
        "'c': a contract has no default",
        "'d'",
        "'wide'",
        "filter",
    ):
        assert told in str(caught.value)
