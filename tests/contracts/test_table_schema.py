"""One schema validates DuckDB relations and pandas frames, and says the same of both."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import duckdb
import pandas as pd
import pandera.pandas as pa
import pytest
from pandera.config import ValidationDepth, config_context
from pandera.errors import SchemaDefinitionError, SchemaError, SchemaErrors

from reportgen_dagster.contracts.output import check_output, output_schema
from reportgen_dagster.contracts.table_schema import TableSchema
from reportgen_dagster.contracts.types import BOOLEAN, INTEGER, NUMBER, TEXT, Type


@dataclass(frozen=True)
class Column:
    name: str
    type: Type


REPORT = (Column("t", TEXT), Column("i", INTEGER), Column("n", NUMBER), Column("b", BOOLEAN))
GOOD = "SELECT 'x' AS t, 1::BIGINT AS i, 1.5::DOUBLE AS n, true AS b UNION ALL SELECT NULL, NULL, NULL, NULL"


def failures(schema: TableSchema, table: object) -> dict[tuple[str | None, str], SchemaError]:
    with pytest.raises(SchemaErrors) as caught:
        schema.validate(table, lazy=True)
    return {(error.column_name, error.reason_code.name): error for error in caught.value.schema_errors}


def test_a_relation_and_a_frame_that_keep_the_contract_of_a_report() -> None:
    relation = duckdb.sql(GOOD)
    assert output_schema(REPORT).validate(relation) is relation
    frame = pd.DataFrame({"t": ["x", None], "i": [1, None], "n": [1.5, None], "b": [True, None]}).astype(
        {"t": "string", "i": "Int64", "n": "Float64", "b": "boolean"}
    )
    assert output_schema(REPORT).validate(frame) is not None
    assert check_output(relation, REPORT).to_json() == {"passed": True, "failures": []}


@pytest.mark.parametrize(
    ("query", "column", "reason"),
    [
        ("SELECT t, i, n FROM good", "b", "COLUMN_NOT_IN_DATAFRAME"),
        ("SELECT *, 1 AS more FROM good", "more", "COLUMN_NOT_IN_SCHEMA"),
        ("SELECT i, t, n, b FROM good", None, "COLUMN_NOT_ORDERED"),
        ("SELECT t, t AS i, n, b FROM good", "i", "WRONG_DATATYPE"),
        ("SELECT t, i, i AS n, b FROM good", "n", "WRONG_DATATYPE"),
    ],
)
def test_names_order_and_types_are_checked_without_running_anything(
    query: str, column: str | None, reason: str
) -> None:
    connection = duckdb.connect()
    connection.execute(
        "CREATE VIEW good AS SELECT error('it was run')::VARCHAR AS t, 1::BIGINT AS i, 1.5::DOUBLE AS n, true AS b"
    )
    assert (column, reason) in failures(output_schema(REPORT), connection.sql(query))
    told = check_output(connection.sql(query), REPORT)
    assert not told.passed
    assert told.failures[0].column == (column or "")
    connection.close()


CHECKED = TableSchema(
    {
        "t": pa.Column(
            str,
            [
                pa.Check.str_matches("[a-z]+"),
                pa.Check.isin(["a", "b", "ab"]),
                pa.Check.str_length(1, 2),
                pa.Check.str_startswith("a"),
                pa.Check.notin(["z"]),
            ],
        ),
        "i": pa.Column("Int64", [pa.Check.in_range(0, 10, include_max=False), pa.Check.ne(5)], unique=True),
        "n": pa.Column("Float64", [pa.Check.gt(0), pa.Check.le(2.5)], nullable=True),
    },
    name="checked",
)


def test_a_table_that_keeps_all_checks() -> None:
    relation = duckdb.sql("SELECT 'a' AS t, 1::BIGINT AS i, NULL::DOUBLE AS n UNION ALL SELECT 'ab', 9, 2.5")
    assert CHECKED.validate(relation) is relation
    CHECKED.validate(relation.df().astype({"t": "string", "i": "Int64", "n": "Float64"}))
    CHECKED.validate(relation.limit(0))


def test_failures_have_exact_counts_and_a_few_samples() -> None:
    relation = duckdb.sql(
        "SELECT CASE WHEN range % 2 = 0 THEN 'a' ELSE 'Z' || range END AS t, range // 2 AS i,"
        " CASE WHEN range < 7 THEN -1.0::DOUBLE END AS n FROM range(1000)"
    )
    with pytest.raises(SchemaErrors) as caught:
        CHECKED.validate(relation, lazy=True)
    told = {
        (error.column_name, str(error.check).partition("(")[0]): error for error in caught.value.schema_errors
    }
    assert "fails on 500 of" in str(told["t", "str_matches"])
    assert "fails on 500 of" in str(told["i", "field_uniqueness"])
    assert "fails on 7 of" in str(told["n", "greater_than"])
    assert "fails on 980 of" in str(told["i", "in_range"])
    assert all(1 <= len(error.failure_cases) <= 5 for error in told.values())
    assert {"column", "check", "failure_case", "message"} == set(caught.value.failure_cases.columns)
    assert not any(
        isinstance(error.data, duckdb.DuckDBPyRelation) for error in [*told.values(), caught.value]
    )


def test_nulls_fail_where_they_are_not_allowed_and_break_no_check() -> None:
    relation = duckdb.sql("SELECT NULL::VARCHAR AS t, 1::BIGINT AS i, 1.0::DOUBLE AS n")
    assert set(failures(CHECKED, relation)) == {("t", "SERIES_CONTAINS_NULLS")}


def test_both_kinds_of_table_fail_alike() -> None:
    relation = duckdb.sql("SELECT 'zz' AS t, 5::BIGINT AS i, 3.0::DOUBLE AS n UNION ALL SELECT 'a', 12, 1.0")
    frame = relation.df().astype({"t": "string", "i": "Int64", "n": "Float64"})
    assert {column for column, _ in failures(CHECKED, relation)} == {
        column for column, _ in failures(CHECKED, frame)
    }


def test_the_first_failure_is_raised_unless_all_are_asked_for() -> None:
    with pytest.raises(SchemaError, match="'t': the column is missing"):
        CHECKED.validate(duckdb.sql("SELECT 1::BIGINT AS i, 1.0::DOUBLE AS n"))


def test_cells_are_left_alone_where_only_the_schema_is_asked_for() -> None:
    relation = duckdb.sql("SELECT 'zz' AS t, 5::BIGINT AS i, 3.0::DOUBLE AS n")
    with config_context(validation_depth=ValidationDepth.SCHEMA_ONLY):
        assert CHECKED.validate(relation) is relation


def test_a_check_that_no_relation_can_be_checked_with_is_refused() -> None:
    schema = TableSchema({"t": pa.Column(str, pa.Check(lambda value: value == "a"))})
    with pytest.raises(SchemaDefinitionError):
        schema.validate(duckdb.sql("SELECT 'a' AS t"))


def test_an_error_that_is_kept_prints_nothing_when_the_process_ends() -> None:
    code = (
        "import duckdb; from reportgen_dagster.contracts.output import output_schema\n"
        "try: output_schema([]).validate(duckdb.sql('SELECT 1 AS a'), lazy=True)\n"
        "except Exception as error: kept = error.with_traceback(None); print(type(kept).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("SchemaErrors\n", "")
