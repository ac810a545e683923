"""Whether two result files hold the same rows, in whatever order and however their numbers are written."""

from __future__ import annotations

from pathlib import Path

import duckdb

_TOLERANCE = 1e-9


def differences(ours: Path, theirs: Path) -> str:
    """Return what differs between two CSV files, or nothing.

    Rows are not sorted, which would take longer than the jobs. Compared are the columns, the number of rows, the texts of each
    column, and each number weighted by a hash of its row's texts, so that a number in the wrong row shows.
    """
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        first, second = (_figures(connection, path) for path in (ours, theirs))
    if first.keys() != second.keys():
        return f"columns {[*first]} and {[*second]}"
    told = [
        f"{name}: {first[name]} and {second[name]}" for name in first if not _same(first[name], second[name])
    ]
    return "; ".join(told)


def _same(ours: float, theirs: float) -> bool:
    return abs(ours - theirs) <= _TOLERANCE * max(abs(ours), abs(theirs))


def _figures(connection: duckdb.DuckDBPyConnection, path: Path) -> dict[str, float]:
    rows = connection.read_csv(str(path), all_varchar=True, header=True, delimiter=",", quotechar='"')
    names = rows.columns
    counts = rows.aggregate(
        ", ".join(f'count(*) FILTER (try_cast("{name}" AS DOUBLE) IS NULL)' for name in names)
    )
    is_text = dict(zip(names, (count > 0 for count in counts.fetchall()[0]), strict=True))
    texts = [f"coalesce(\"{name}\", '')" for name in names if is_text[name]]
    weight = f"(hash(concat_ws(chr(31), {', '.join(texts)})) % 1000 + 1)" if texts else "1"
    sums = [
        f"sum(hash('{name}', \"{name}\") % 1000003)" if is_text[name] else f'sum("{name}"::DOUBLE * {weight})'
        for name in names
    ]
    values = rows.aggregate(", ".join(["count(*)", *sums])).fetchall()[0]
    return dict(zip(["rows", *names], map(float, values), strict=True))
