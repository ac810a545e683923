"""What every column of a report's files holds, for who wants to see types without making the report.

What belongs here: opening the files for nothing but that. What does not: how a column is surveyed (`rules/kinds.py`), what a run
opens (ingest.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from reportgen_dagster.engine import reading
from reportgen_dagster.engine.connection import engine_errors, open_connection
from reportgen_dagster.engine.limits import Deadline, Limits
from reportgen_dagster.engine.text_files import open_text
from reportgen_dagster.rules.compiling.kinds import ColumnKind, find_kinds
from reportgen_dagster.rules.compiling.plan import Asked
from reportgen_dagster.rules.reading.ruleset import Ruleset

_EVERYTHING: frozenset[Asked] = frozenset(("type", "cell"))


def survey(
    ruleset: Ruleset, files: Mapping[str, Path], *, work: Path, limits: Limits
) -> dict[str, Mapping[str, ColumnKind]]:
    """Find what every column of each file holds.

    Args:
        ruleset: The rules, which may say how the files are written.
        files: `input` and references, with where the file is.
        work: A folder with room for copies.
        limits: What may be used.

    Raises:
        FileRefusedError: If a header cannot be used.
        UnreadableFileError: If a file cannot be read as a whole.
        LimitError: If memory, time or room on the disk runs out.
    """
    deadline = Deadline(limits.seconds)
    with engine_errors(limits, deadline):
        return {
            name: _kinds(ruleset, name, path, work=work, limits=limits, deadline=deadline)
            for name, path in files.items()
        }


def _kinds(
    ruleset: Ruleset, name: str, path: Path, *, work: Path, limits: Limits, deadline: Deadline
) -> Mapping[str, ColumnKind]:
    described = ruleset.file(name)
    schema = described.schema_ if described else None
    text = open_text(
        path,
        name=name,
        work=work,
        deadline=deadline,
        dialect=described.dialect if described else None,
        names=tuple(field.name for field in schema.fields) if schema else None,
    )
    with closing(open_connection([text.path], work=work, limits=limits)) as connection:
        reading.create_views(connection, text)
        asked = dict.fromkeys(text.header.columns, _EVERYTHING)
        return find_kinds(reading.first_row(connection), reading.SURVEY, asked)
