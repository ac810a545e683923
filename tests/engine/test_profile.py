"""What a profile tells of a file: all its rows, whatever way it is written."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest

from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.profile import (
    EXACT_ROWS,
    REJECTS_FILE,
    SHOWN_CHARACTERS,
    SHOWN_COLUMNS,
    Profile,
    profile_file,
)
from reportgen_dagster.errors import FileRefusedError, LimitError, UnreadableFileError

DATA = (
    "id;code;when;at;ok;price;gap;empty\n"
    "1;007;2024-01-31;2024-01-31 10:00:00;true;1.50;;\n"
    "2;008;2024-02-01;2024-01-31T10:00:00.5;false;20.25;5;\n"
    '9;"00|8";2024-02-01;2024-01-31T10:00:00;false;-3.00;;\n'
)


def profiled(folder: Path, data: bytes, columns: tuple[str, ...] = (), **limits: object) -> Profile:
    file, work = folder / "file", folder / "work"
    file.write_bytes(data)
    work.mkdir(exist_ok=True)
    return profile_file(file, work=work, limits=Limits(**limits), columns=columns)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "encoded",
    [
        DATA.encode(),
        gzip.compress(DATA.encode(), mtime=0),
        DATA.encode("utf-16"),
        DATA.replace("\n", "\r\n").encode(),
    ],
    ids=["plain", "gzip", "utf-16", "crlf"],
)
def test_every_column_has_type_nulls_distinct_least_and_greatest(tmp_path: Path, encoded: bytes) -> None:
    found = profiled(tmp_path, encoded)
    told = {one.name: (one.type, one.nulls, one.distinct, one.least, one.greatest) for one in found.columns}
    assert told == {
        "id": ("integer", 0, 3, "1", "9"),
        "code": ("text", 0, 3, "007", "00|8"),
        "when": ("date", 0, 2, "2024-01-31", "2024-02-01"),
        "at": ("datetime", 0, 3, "2024-01-31 10:00:00", "2024-01-31 10:00:00.5"),
        "ok": ("boolean", 0, 2, "false", "true"),
        "price": ("number", 0, 3, "-3.0", "20.25"),
        "gap": ("integer", 2, 1, "5", "5"),
        "empty": ("null", 3, 0, None, None),
    }
    assert (found.rows, found.unreadable_rows, found.distinct_is_estimated) == (3, 0, False)
    assert any("semicolon" in decision for decision in found.decisions)
    assert found.preview.count("\n") == 1 + 3


def test_rows_that_cannot_be_read_are_counted_apart(tmp_path: Path) -> None:
    found = profiled(tmp_path, b'a,b\n1,2\n3\n"4"x,5\n6,7\n')
    assert (found.rows, found.unreadable_rows) == (2, 2)
    assert [(one.least, one.greatest) for one in found.columns] == [("1", "6"), ("2", "7")]
    assert (tmp_path / "work" / REJECTS_FILE).read_text().splitlines() == [
        "_line,_column,_rule,_value,_reason,_original,a,b",
        "3,,2 cells,1 cells,too few cells,3,3,",
        '4,,quotes around whole cells,,text after a closing quote,"""4""x,5","""4""x",5',
    ]


def test_a_file_of_which_every_row_can_be_read_has_no_rejects(tmp_path: Path) -> None:
    found = profiled(tmp_path, b'a,b\n1,2\n\n"3\n4",5\n')
    assert (found.rows, found.unreadable_rows) == (2, 0)
    assert not (tmp_path / "work" / REJECTS_FILE).exists()


def test_a_file_without_a_header_has_the_columns_that_it_is_known_by(tmp_path: Path) -> None:
    found = profiled(tmp_path, b"1,2\n3,4\n", columns=("a", "b"))
    assert (found.rows, [one.name for one in found.columns]) == (2, ["a", "b"])
    assert profiled(tmp_path, b"a,b\n3,4\n", columns=("a", "b")).rows == 1


def test_of_a_large_file_distinct_values_are_estimated(tmp_path: Path) -> None:
    count = EXACT_ROWS + 1
    found = profiled(tmp_path, ("id,two\n" + "".join(f"{n},{n % 2}\n" for n in range(count))).encode())
    assert (found.rows, found.distinct_is_estimated) == (count, True)
    ids, two = found.columns
    assert (ids.least, ids.greatest, two.distinct) == ("0", str(count - 1), 2)
    assert abs(ids.distinct - count) < 0.2 * count


def test_long_cells_and_many_columns_are_cut_where_they_are_shown(tmp_path: Path) -> None:
    written = io.StringIO()
    csv.writer(written).writerows(
        [[f"c{n}" for n in range(SHOWN_COLUMNS + 9)], ["x" * 9999] * (SHOWN_COLUMNS + 9)]
    )
    found = profiled(tmp_path, written.getvalue().encode())
    assert len(found.columns) == SHOWN_COLUMNS + 9
    assert found.columns[0].greatest == "x" * SHOWN_CHARACTERS
    assert len(found.preview) < 4 * SHOWN_COLUMNS * (SHOWN_CHARACTERS + 3)


def test_a_file_with_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    found = profiled(tmp_path, b"a,b\n")
    assert (found.rows, [one.type for one in found.columns]) == (0, ["null", "null"])


@pytest.mark.parametrize(
    ("data", "error"),
    [(b"", FileRefusedError), (b"a,a\n1,2\n", FileRefusedError), (b'a,b\n1,"2\n', UnreadableFileError)],
)
def test_what_cannot_be_read_is_refused_with_the_reason(
    tmp_path: Path, data: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        profiled(tmp_path, data)


def test_a_profile_takes_no_longer_than_it_may(tmp_path: Path) -> None:
    with pytest.raises(LimitError):
        profiled(tmp_path, b"a,b\n" + b"1,2\n" * 300_000, seconds=0)
