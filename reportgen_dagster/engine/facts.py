"""What each file of a report holds, for operators who look at it in Dagster: its rows, its columns and the first rows."""

from __future__ import annotations

from typing import Any

import duckdb
from sqlglot import exp

from reportgen_dagster.engine.outcome import PREVIEW_ROWS, markdown


def file_facts(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    columns: tuple[str, ...],
    *,
    row_count: int | None = None,
) -> dict[str, Any]:
    """Return `rows`, `columns` and a Markdown `preview` of a file that is readable under a name.

    Args:
        connection: Where it is readable.
        relation: The name.
        columns: The file's columns.
        row_count: Its rows, if somebody counted them already.
    """
    # Unquoted, a dot in it would part a schema from a table.
    name = exp.to_identifier(relation, quoted=True).sql("duckdb")
    rows = connection.table(name) if row_count is None else connection.view(name)
    return {
        "rows": rows.count("*").fetchall()[0][0] if row_count is None else row_count,
        "columns": list(columns),
        "preview": markdown(columns, rows.limit(PREVIEW_ROWS).fetchall()),
    }
