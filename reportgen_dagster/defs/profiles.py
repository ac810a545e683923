"""What Dagster shows of a look at a file: its profile as metadata, or why it cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dagster import MetadataValue, TableColumn, TableSchema

SHOWN_COLUMNS = 200  # of a file or report in a table for people


def profile_metadata(found: dict[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """Return the metadata of a dataset's version that somebody looked at.

    Args:
        found: A `Profile`'s members, or `error` if the file cannot be read.
        columns: The names in its header, as read when it came.
    """
    told = _unread(found["error"]) if "error" in found else _read(found)
    return {**told, "dagster/column_schema": _schema(found, columns)}


def _unread(error: dict[str, Any]) -> dict[str, Any]:
    return {
        "problem": f"{error['title']}: {error['detail']}",
        "how to mend it": error["hint"] or "see the problem",
    }


def _read(found: dict[str, Any]) -> dict[str, Any]:
    from reportgen_dagster.engine.outcome import markdown  # only a run needs it, not who loads definitions

    about = "about how many values" if found["distinct_is_estimated"] else "how many values"
    heads = ("column", "type", "nulls", about, "least", "greatest")
    names = ("name", "type", "nulls", "distinct", "least", "greatest")
    shown = found["columns"][:SHOWN_COLUMNS]
    cells = [[None if column[name] is None else str(column[name]) for name in names] for column in shown]
    return {
        "dagster/row_count": found["rows"],
        "rows that cannot be read": found["unreadable_rows"],
        "profile": MetadataValue.md(markdown(heads, cells)),
        "preview": MetadataValue.md(found["preview"]),
        "read as": MetadataValue.md(listed(found["decisions"])),
    }


def _schema(found: dict[str, Any], columns: Sequence[str]) -> TableSchema:
    if "error" in found:
        return TableSchema([TableColumn(name, "text") for name in columns])
    about = "about " if found["distinct_is_estimated"] else ""
    return TableSchema(
        [
            TableColumn(column["name"], column["type"], description=_column_words(column, about))
            for column in found["columns"]
        ]
    )


def _column_words(column: dict[str, Any], about: str) -> str:
    if column["least"] is None:
        return "no values"
    nulls = f"{column['nulls']:,} nulls" if column["nulls"] else "no nulls"
    return f"{column['least']} to {column['greatest']}; {about}{column['distinct']:,} different, {nulls}"


def listed(sentences: Iterable[str]) -> str:
    """Show sentences as a list in Markdown."""
    return "\n".join(f"- {sentence}" for sentence in sentences) or "as it is"
