"""What of the catalog has a name that its owner chose: Dagster shows it. Last uploads and the files of single calls have none.

What belongs here: telling them apart in SQL. What does not: which names may be chosen (`services/names.py`).
"""

from __future__ import annotations

from sqlalchemy import ColumnElement
from sqlalchemy.orm import InstrumentedAttribute

# Last uploads (`default`, `default-input`), the files of single calls (`run-<id>-input`), and what was deleted.
_OTHERS = "^(default|(run|deleted)-[0-9a-f]{32})(-|$)"
NAMED = f"name !~ '{_OTHERS}'"


def is_named(name: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """Return the condition that a name was chosen."""
    return ~name.regexp_match(_OTHERS)
