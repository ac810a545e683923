"""What a query promises is what it gives: the report's columns, in order, of their types.

What belongs here: comparing. What does not: contracts of users (`contracts/`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import duckdb

from reportgen_dagster.contracts.types import TypeName
from reportgen_dagster.errors import ServiceError
from reportgen_dagster.rules.compiling.plan import OutputColumn

_TYPES: dict[TypeName, str] = {
    "text": "varchar",
    "integer": "bigint",
    "number": "double",
    "decimal": "decimal",
    "boolean": "boolean",
    "date": "date",
    "time": "time",
    "datetime": "timestamp",
}
_log = logging.getLogger(__name__)


def refuse_other_columns(
    connection: duckdb.DuckDBPyConnection, sql: str, columns: Sequence[OutputColumn]
) -> None:
    """Compare a query, which is bound and not run, with the columns that were told to users.

    Raises:
        ServiceError: If they differ; the log says how.
    """
    relation = connection.sql(sql)
    given = list(zip(relation.columns, relation.types, strict=True))[: len(columns)]
    wrong = [
        f"{column.name} {column.type} is {name} {type_}"
        for column, (name, type_) in zip(columns, given, strict=False)
        if name != column.name or str(type_.id) != _TYPES.get(column.type.name, str(type_.id))
    ]
    if wrong or len(given) < len(columns):
        _log.error("The query gives other columns than promised: %s", "; ".join(wrong) or given)
        raise ServiceError("the query of this report does not give the columns that were promised")
