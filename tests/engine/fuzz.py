"""Mutated CSV files on which the scanner and DuckDB must agree: `python -m tests.engine.fuzz 20000 [first seed]`.

A file is judged well if the rows that DuckDB reads are just those that the scanner says it reads, with the same cells,
or if it is refused with a reason. CI runs a few hundred (`test_fuzz.py`).
"""

from __future__ import annotations

import gzip
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from backports import zstd

from reportgen_dagster.contracts.models import Dialect
from reportgen_dagster.engine import reading
from reportgen_dagster.engine.limits import Deadline
from reportgen_dagster.engine.rows import Rows, rows_of
from reportgen_dagster.engine.text_files import TextFile, mask_misquoted, open_text
from reportgen_dagster.errors import FileRefusedError, UnreadableFileError

CELLS = (
    "", "a", "1", "-2.5", "é", "日本", "x y", " lead", "trail ", '"q"', '"d""d"', '"two\nlines"', '"two\r\nlines"', '""',
    '5" pipe', "#5", '"com,ma"', '"semi;colon"', "a|b", "back\\slash", '"es\\"caped"', "'s'", "NA", "\u2028", "0" * 50,
)  # fmt: skip
DIALECTS: tuple[dict[str, Any], ...] = (
    {}, {}, {}, {"delimiter": ";"}, {"delimiter": "\t"}, {"delimiter": "|", "quoteChar": "'"}, {"escapeChar": "\\"},
    {"doubleQuote": False}, {"quoteChar": ""}, {"commentChar": "#"}, {"skipInitialSpace": True}, {"header": False},
    {"delimiter": ";", "commentChar": "#", "skipInitialSpace": True, "header": False}, {"delimiter": " "},
)  # fmt: skip
ENCODINGS = ("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "cp932", "gb18030")


@dataclass(frozen=True)
class Case:
    """A file to read.

    Attributes:
        data: Its bytes.
        dialect: What the rules say of it.
    """

    data: bytes
    dialect: Dialect


def cases(count: int, seed: int = 0) -> Iterator[tuple[int, Case]]:
    """Yield so many files, each with the seed that makes it again."""
    for number in range(seed, seed + count):
        yield number, case_of(number)


def case_of(seed: int) -> Case:
    """Make the file of a seed."""
    chance = random.Random(seed)  # noqa: S311 - the same files each time
    described = chance.choice(DIALECTS)
    text = _text(chance, described)
    encoding = chance.choice(ENCODINGS)
    data = text.encode(encoding, "replace")
    for _ in range(chance.choice((0, 1, 1, 2, 5))):
        data = chance.choice(MUTATIONS)(data, chance)
    data = chance.choice((bytes, bytes, bytes, bytes, gzip.compress, zstd.compress))(data)
    if chance.random() < 0.03:
        data = data[: chance.randrange(len(data) + 1)]
    return Case(data, Dialect.model_validate(described))


def _text(chance: random.Random, described: dict[str, Any]) -> str:
    delimiter = described.get("delimiter", ",")
    width = chance.choice((1, 2, 2, 3, 5))
    line_ends = chance.choice((("\n",), ("\r\n",), ("\r",), ("\n", "\r\n"), ("\n", "\r\n", "\r")))
    lines = [delimiter.join(f"c{number}" for number in range(width))]
    for _ in range(chance.choice((0, 1, 3, 8, 40))):
        cells = [chance.choice(CELLS) for _ in range(width)]
        if chance.random() < 0.1:
            cells = cells[: chance.randrange(width + 1)] + ["more"] * chance.randrange(3)
        lines.append(delimiter.join(cells))
    text = "".join(line + chance.choice(line_ends) for line in lines)
    return text if chance.random() < 0.7 else text.rstrip("\r\n")


def _flip(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]


def _insert(piece: bytes) -> Callable[[bytes, random.Random], bytes]:
    def insert(data: bytes, chance: random.Random) -> bytes:
        at = chance.randrange(len(data) + 1)
        return data[:at] + piece + data[at:]

    return insert


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _repeat(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[at : at + chance.randrange(200)] * 2 + data[at:]


def _without(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[at + chance.randrange(1, 20) :]


PIECES = (b'"', b'"', b'""', b"\r", b"\n", b"\r\n", b",", b"\\", b"'", b" ", b"#", b"\xff")
MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip,
    _cut,
    _repeat,
    _without,
    *map(_insert, PIECES),
)


def verdict(case: Case, work: Path) -> str:
    """Read a file both ways.

    Returns:
        `read` or why it was refused, in short.

    Raises:
        AssertionError: If DuckDB and the scanner do not agree.
    """
    source = work / "uploaded"
    source.write_bytes(case.data)
    deadline = Deadline(60)
    try:
        file = open_text(source, name="input", work=work, deadline=deadline, dialect=case.dialect)
        return _compared(file, work, deadline)
    except (FileRefusedError, UnreadableFileError) as error:
        return f"refused: {type(error).__name__}" if error.problems else "refused without a reason"
    finally:
        for path in work.iterdir():
            path.unlink()


def _compared(file: TextFile, work: Path, deadline: Deadline) -> str:
    rows = list(rows_of(file, deadline))
    misquoted = sum(int(block.misquoted.sum()) for block in rows)
    if misquoted:
        file = mask_misquoted(file, work=work, deadline=deadline)
    expected = sum(int(block.readable.sum()) for block in rows)
    total = sum(len(block.starts) for block in rows)
    lines = np.concatenate([block.lines for block in rows]) if rows else np.empty(0)
    assert total <= file.most_rows
    assert (np.diff(lines) > 0).all()
    with duckdb.connect(config={"threads": 2}) as connection:
        reading.create_views(connection, file)
        found = connection.execute("SELECT * FROM input").fetchall()
        surveyed = connection.execute(f'SELECT count(*) FROM "{reading.SURVEY}"').fetchall()[0][0]  # noqa: S608 - a fixed name
    assert len(found) == surveyed == expected, (len(found), surveyed, expected, total)
    cells = [row for block in rows for row in _cells(file, block)]
    assert cells == [tuple(cell or "" for cell in row) for row in found]
    return "read with rejects" if expected < total else "read"


def _cells(file: TextFile, rows: Rows) -> Iterator[tuple[str, ...]]:
    """Take the readable rows apart in Python."""
    width = len(file.header.columns)
    for place in np.flatnonzero(rows.readable).tolist():
        text = rows.text(place)
        record = next(file.header.dialect.records(text), None)
        yield record.cells[:width] if record else ("",)


def main() -> None:
    """Run so many files, and tell of those on which the two do not agree."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    told: Counter[str] = Counter()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, case in cases(count, seed):
            try:
                found = verdict(case, Path(folder))
                told[found] += 1
                wrong += found == "refused without a reason"
            except Exception as error:
                wrong += 1
                print(
                    f"seed {number}: {type(error).__name__}: {str(error)[:200]}\n  {case.data[:300]!r}\n  {case.dialect!r}",
                    flush=True,
                )
    print(dict(told), f"{wrong} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
