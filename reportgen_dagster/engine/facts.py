"""What each file of a report holds, for operators who look at it in Dagster: its rows, its columns and the first rows.

For the report's own columns also what the rules say of them in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
from sqlglot import exp

from reportgen_dagster.contracts.models import SchemaField
from reportgen_dagster.engine.outcome import PREVIEW_ROWS, markdown
from reportgen_dagster.rules.compiling.plan import INPUT, OutputColumn
from reportgen_dagster.rules.reading.document import LongForm


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


def described_columns(document: LongForm, columns: Sequence[OutputColumn]) -> list[dict[str, str]]:
    """Return `name` and `type` of each column of the report, and a `description` where the rules have one.

    It is the title and description of the field in the report's contract, else of the only column that it is made of.
    """
    files = {INPUT: document.input, **(document.references or {})}
    given = {
        (name, field.name): _words(field)
        for name, file in files.items()
        if file is not None and file.schema_ is not None
        for field in file.schema_.fields
    }
    promised = document.output.schema_ if document.output is not None else None
    told = {field.name: _words(field) for field in promised.fields} if promised is not None else {}
    described = []
    for column in columns:
        only = column.sources[0] if len(column.sources) == 1 else None
        words = told.get(column.name) or (given.get(only, "") if only is not None else "")
        kind = {"name": column.name, "type": str(column.type)}
        described.append(kind | {"description": words} if words else kind)
    return described


def _words(field: SchemaField) -> str:
    return ": ".join(part for part in (field.title, field.description) if part)
