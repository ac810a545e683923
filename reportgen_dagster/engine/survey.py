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
from reportgen_dagster.engine.rejects import refuse_unreadable_rows
from reportgen_dagster.engine.rows import MisquotedRowsError, refuse_lost_rows
from reportgen_dagster.engine.text_files import TextFile, mask_misquoted, open_text
from reportgen_dagster.rules.compiling.kinds import ColumnKind, find_kinds
from reportgen_dagster.rules.compiling.plan import INPUT, Asked
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
    described, contract = ruleset.file(name), ruleset.contract(name)
    text = open_text(
        path,
        name=name,
        work=work,
        deadline=deadline,
        dialect=described.dialect if described else None,
        names=tuple(field.name for field in contract.fields) if contract else None,
        missing=contract.missing_values if contract else (),
    )
    try:
        return _surveyed(text, work=work, limits=limits, deadline=deadline)
    except MisquotedRowsError:
        masked = mask_misquoted(text, work=work, deadline=deadline)
        return _surveyed(masked, work=work, limits=limits, deadline=deadline)


def _surveyed(text: TextFile, *, work: Path, limits: Limits, deadline: Deadline) -> Mapping[str, ColumnKind]:
    """Survey the columns of a file of which all rows are there that a run reads: a run refuses any other."""
    with closing(open_connection([text.path], work=work, limits=limits)) as connection:
        reading.create_views(connection, text)
        read_count = reading.row_count(connection, reading.SURVEY)
        if text.name == INPUT:
            refuse_lost_rows(text, read_count, deadline)
        else:
            refuse_unreadable_rows(text, read_count, deadline)
        asked = dict.fromkeys(text.header.columns, _EVERYTHING)
        return find_kinds(reading.first_row(connection), reading.SURVEY, asked)
