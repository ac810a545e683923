"""pandera on a pandas frame, our backend on a relation and the conditions on rows say the same of the same table."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandera.errors import SchemaErrors
from sqlglot import exp

from reportgen_dagster.contracts.contract import Contract, contract_of
from reportgen_dagster.contracts.models import Schema
from reportgen_dagster.contracts.predicates import literal
from reportgen_dagster.contracts.problems import schema_problems
from reportgen_dagster.contracts.rendering import table_schema
from reportgen_dagster.contracts.validation import validate_relation

DAY = datetime.date(2024, 1, 31)
VALUES: dict[str, list[Any]] = {
    "string": [
        "",
        "a",
        "ab",
        "abc",
        "T1",
        "T12",
        "t1",
        "T1\n",
        "é",
        "T٣",
        "\U0001d4b3y",
        "x@y.ch",
        "'",
        "a b",
    ],
    "integer": [-3, -1, 0, 1, 2, 3, 10, 2**63 - 1],
    "number": [-1.5, 0.0, 0.1, 0.3, 1.0, 1.5, 1e300],
    "decimal": [Decimal(text) for text in ("-0.01", "0.00", "0.10", "0.30", "1.00", "99999.99")],
    "boolean": [True, False],
    "date": [DAY, DAY + datetime.timedelta(1), datetime.date(1, 1, 1), datetime.date(9999, 12, 31)],
    "time": [datetime.time(0), datetime.time(12, 30), datetime.time(23, 59, 59, 999_999)],
    "datetime": [datetime.datetime(2024, 1, 31, hour) for hour in (0, 12, 23)],
}
DTYPES = {
    "string": "str",
    "integer": "Int64",
    "number": "Float64",
    "boolean": "boolean",
    "datetime": "datetime64[us]",
}
SQL = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "decimal": "DECIMAL(7, 2)",
    "datetime": "TIMESTAMP",
}
PATTERNS = ["T[0-9]+", r"T\d", r"\w+", "a|b", "a.", "[^a]*", r".*\s.*", "a$", "^a"]


def written(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return value if isinstance(value, bool | int | float) else str(value)


@st.composite
def columns(draw: st.DrawFn) -> tuple[dict[str, Any], list[Any]]:
    """Draw a field with random constraints and a few values of its type."""
    type_ = draw(st.sampled_from(list(VALUES)))
    one = st.sampled_from(VALUES[type_])
    found: dict[str, Any] = {}
    if type_ not in ("string", "boolean"):
        keys = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]
        found = {
            key: written(draw(one)) for key in draw(st.lists(st.sampled_from(keys), max_size=2, unique=True))
        }
    if type_ == "string" and draw(st.booleans()):
        found["pattern"] = draw(st.sampled_from(PATTERNS))
    if type_ == "string" and draw(st.booleans()):
        found["minLength"] = draw(st.integers(0, 2))
        found["maxLength"] = found["minLength"] + draw(st.integers(0, 2))
    if draw(st.booleans()):
        found["enum"] = [written(value) for value in draw(st.lists(one, min_size=1, max_size=3))]
    found["required"] = draw(st.booleans())
    found["unique"] = draw(st.booleans())
    facts: dict[str, Any] = {"type": type_, "constraints": found}
    if type_ == "decimal":
        facts |= {"precision": 7, "scale": 2}
    if type_ == "string" and draw(st.integers(0, 3)) == 0:
        facts["format"] = draw(st.sampled_from(["email", "uri", "uuid", "binary"]))
    return facts, draw(st.lists(one | st.none(), min_size=4, max_size=4))


def relation_of(
    connection: duckdb.DuckDBPyConnection, drawn: list[tuple[dict[str, Any], list[Any]]]
) -> duckdb.DuckDBPyRelation:
    """Return the rows as a relation."""
    rows = zip(*(values for _, values in drawn), strict=True)
    types = [SQL.get(facts["type"], facts["type"]) for facts, _ in drawn]
    connection.execute(
        f"CREATE TABLE given ({', '.join(f'c{place} {type_}' for place, type_ in enumerate(types))})"
    )
    cells = [tuple(exp.Null() if value is None else literal(value) for value in row) for row in rows]
    connection.execute(exp.insert(exp.values(cells), "given").sql("duckdb"))
    return connection.table("given")


def frame_of(drawn: list[tuple[dict[str, Any], list[Any]]]) -> pd.DataFrame:
    """Return the rows as a frame."""
    series = {
        f"c{place}": pd.Series(values, dtype=DTYPES.get(facts["type"], "object"))
        for place, (facts, values) in enumerate(drawn)
    }
    return pd.DataFrame(series)


def told_by_pandas(contract: Contract, frame: pd.DataFrame) -> set[str]:
    try:
        table_schema(contract).validate(frame, lazy=True)
    except SchemaErrors as error:
        return {named(one.column_name, getattr(one.check, "error", one.check)) for one in error.schema_errors}
    return set()


def named(column: str | None, check: object) -> str:
    """Name a failure alike; pandera knows no column for checks of the whole table."""
    rule = {"not_nullable": "required"}.get(str(check), str(check))
    return rule if rule.startswith("unique") else f"{column}: {rule}"


@settings(max_examples=60, deadline=None)
@given(drawn=st.lists(columns(), min_size=1, max_size=3), together=st.booleans())
def test_the_same_failures_by_pandas_by_the_backend_and_row_by_row(
    *, drawn: list[tuple[dict[str, Any], list[Any]]], together: bool
) -> None:
    fields = [{"name": f"c{place}", **facts} for place, (facts, _) in enumerate(drawn)]
    keys = (
        {"uniqueKeys": [[f"c{place}" for place in range(len(fields))]]}
        if together and len(fields) > 1
        else {}
    )
    schema = Schema.model_validate({"fields": fields, **keys})
    if schema_problems(schema):
        return
    contract = contract_of(schema)
    connection = duckdb.connect()
    try:
        relation = relation_of(connection, drawn)
        report = validate_relation(relation, table_schema(contract))
        counted = {named(one.column, one.check): one.count for one in report.failures}
        assert set(counted) == told_by_pandas(contract, frame_of(drawn))
        checks = contract.row_checks({field.name: exp.column(field.name) for field in contract.fields})
        conditions = [exp.CountIf(this=check.broken) for check in checks]
        by_row = (
            relation.aggregate(", ".join(one.sql("duckdb") for one in conditions)).fetchall()[0]
            if checks
            else ()
        )
        for check, count in zip(checks, by_row, strict=True):
            assert counted.get(f"{check.column}: {check.rule}", 0) == (count or 0)
    finally:
        connection.close()


@pytest.mark.parametrize("value", [value for values in VALUES.values() for value in values])
def test_a_value_written_as_sql_is_the_same_value(value: Any) -> None:
    assert duckdb.sql(exp.select(literal(value)).sql("duckdb")).fetchall() == [(value,)]
