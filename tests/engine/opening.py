"""Opens files as the engine does, without rules, for the tests of reading."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from reportgen_dagster.contracts.models import Dialect
from reportgen_dagster.engine import reading
from reportgen_dagster.engine.limits import Deadline
from reportgen_dagster.engine.rows import rows_of
from reportgen_dagster.engine.text_files import TextFile, open_text


@dataclass(frozen=True)
class Opened:
    """A file that was read: what was found out about it, its rows, and the lines of rows that cannot be read."""

    file: TextFile
    rows: list[tuple[str | None, ...]]
    wrong_lines: list[int]


def described(**dialect: Any) -> Dialect | None:
    return Dialect.model_validate(dialect) if dialect else None


def opened(
    folder: Path,
    data: bytes | str,
    *,
    names: tuple[str, ...] | None = None,
    missing: tuple[str, ...] = (),
    **dialect: Any,
) -> Opened:
    """Read a file with a dialect, and see that the scanner and DuckDB agree."""
    source = folder / "uploaded"
    source.write_bytes(data.encode() if isinstance(data, str) else data)
    work = folder / "work"
    work.mkdir(exist_ok=True)
    deadline = Deadline(60)
    file = open_text(
        source,
        name="input",
        work=work,
        deadline=deadline,
        dialect=described(**dialect),
        names=names,
        missing=missing,
    )
    blocks = list(rows_of(file, deadline))
    with duckdb.connect() as connection:
        reading.create_views(connection, file)
        rows = connection.execute("SELECT * FROM input").fetchall()
    assert len(rows) == sum(int(block.readable.sum()) for block in blocks)
    wrong = [int(line) for block in blocks for line in block.lines[np.flatnonzero(~block.readable)]]
    return Opened(file, rows, wrong)
