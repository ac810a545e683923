"""What a report says, in which order, and what is told about it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.errors import LimitError
from tests.engine.making import make


def test_rows_keep_the_order_of_the_input_however_large_it_is(tmp_path: Path) -> None:
    count = 1_000_000
    data = "key,number\n" + "".join(f"k{number % 3},{number}\n" for number in range(count))
    made = make(tmp_path, data, number="number", what="label")
    names = ("MISSING_label", "one", "two")
    assert made.report == "number,what\n" + "".join(f"{n},{names[n % 3]}\n" for n in range(count))


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    data = "key,amount\n" + "".join(f"k{n % 3},{n / 7}\n" for n in range(50_000))
    first = make(tmp_path, data, double="amount * 2").report
    assert make(tmp_path, data, double="amount * 2").report == first


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ('"a,b"', '"a,b"'),
        ('"say ""x"""', '"say ""x"""'),
        ("é", "é"),
        (" x ", " x "),
        ("007", "007"),
        ("", ""),
    ],
)
def test_cells_are_quoted_only_where_needed(cell: str, written: str, tmp_path: Path) -> None:
    assert make(tmp_path, f"key,name\nk1,{cell}\n", who="name", k="key").lines[1] == f"{written},k1"


def test_an_empty_cell_alone_in_its_row_does_not_become_a_blank_line(tmp_path: Path) -> None:
    assert make(tmp_path, "key,name\nk1,\nk2,x\n", who="name").report == 'who\n""\nx\n'


def test_names_of_columns_are_quoted_too(tmp_path: Path) -> None:
    made = make(tmp_path, "key,name\nk1,x\n", **{'a,"b': "name", "c": "key"})
    assert made.report == '"a,""b",c\nx,k1\n'


def test_the_outcome_describes_the_report(tmp_path: Path) -> None:
    data = "key,name,amount\nk1,a|b,1\nk1,c,2.5\nk1,d,x\n"
    outcome = make(tmp_path, data, who="name", double="amount * 2", what="label").outcome
    assert (outcome.input_count, outcome.row_count, outcome.reject_count) == (3, 2, 1)
    assert outcome.columns == [
        {"name": "who", "type": "text"},
        {"name": "double", "type": "number"},
        {"name": "what", "type": "text"},
    ]
    assert outcome.sources["double"] == [["input", "amount"]]
    assert outcome.sources["what"] == [["reference", "label"]]
    assert outcome.contracts == {"output": {"passed": True, "failures": []}}
    assert "a\\|b" in outcome.preview
    assert "| 5 " in outcome.preview
    assert outcome.to_json()["sql"] == outcome.sql


def test_progress_goes_up_to_one(tmp_path: Path) -> None:
    from reportgen_dagster.engine.report import make_report
    from tests.engine.making import REFERENCE, rules

    (tmp_path / "i.csv").write_text("key,n\n" + "k1,1\n" * 300_000)
    (tmp_path / "r.csv").write_bytes(REFERENCE)
    seen: list[tuple[float, int]] = []
    make_report(
        rules(n="n"),
        {"input": tmp_path / "i.csv", "reference": tmp_path / "r.csv"},
        outputs={"csv": tmp_path / "o.csv"},
        rejects=tmp_path / "rejects.csv",
        work=tmp_path,
        limits=Limits(),
        progress=lambda fraction, rows: seen.append((fraction, rows)),
    )
    assert seen == sorted(seen)
    assert seen[-1] == (1.0, 300_000)


def test_a_report_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="0 seconds"):
        make(tmp_path, "key,name\nk1,x\n", limits=Limits(seconds=0), who="name")


def test_a_reference_larger_than_the_memory_is_told(tmp_path: Path) -> None:
    reference = "key,label\n" + "".join(f"k{n},{'x' * 100}{n}\n" for n in range(200_000))
    with pytest.raises(LimitError, match="more than its 8MB of memory"):
        make(tmp_path, "key,name\nk1,x\n", reference, limits=Limits(memory="8MB"), what="label")


def test_paths_with_every_kind_of_character_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "a [b]*?'x%20;é"
    folder.mkdir()
    assert make(folder, "key,name\nk1,x\n", who="name").report == "who\nx\n"


def test_nothing_is_printed_when_a_process_ends_after_an_error(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.engine.making import make\n"
        "try: make(Path(sys.argv[1]), 'key,n\\nk1,1\\n', 'key,label\\nk1,a\\nk1,b\\n', n='label')\n"
        "except Exception as error: kept = error; print(type(kept).__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("DuplicateKeyError\n", "")
