"""The commands that need no service, as a person calls them."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reportgen_dagster.rules.functions import FUNCTIONS

ROOT = Path(__file__).parents[2]
TRADE = ROOT / "rules" / "trade"
FILES = ["--input", TRADE / "input.csv", "--reference", TRADE / "reference.csv"]


def reportgen(*arguments: object, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).parent / "reportgen", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text("- {output: double, formula: amount * 2}\n")
    (tmp_path / "input.csv").write_text("key,amount\nk1,1\nk1,x\nk1\n")
    (tmp_path / "reference.csv").write_text("key,label\nk1,one\n")
    return tmp_path


def run(folder: Path, *more: object, **files: str) -> subprocess.CompletedProcess[str]:
    given = {"input": "input.csv", "reference": "reference.csv", "output": "report.csv", **files}
    options = [part for name, value in given.items() for part in (f"--{name}", value)]
    return reportgen("run", "rules.yaml", *options, *more, folder=folder)


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"rules.yaml", "input.csv", "reference.csv"}


def test_a_run_writes_report_and_rejects_and_sums_up(folder: Path) -> None:
    done = run(folder, "--rejects", "rejects.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "report.csv").read_text() == "double\n2\n"
    assert (folder / "rejects.csv").read_text().count("\n") == 3
    assert "report.csv: 1 rows from 3, 2 rejected" in done.stdout
    assert "  line 3  double  amount='x': text where a number is needed (amount * 2)" in done.stdout
    assert left_in(folder) == {"report.csv", "rejects.csv"}


def test_a_run_writes_several_formats_told_by_their_names(folder: Path) -> None:
    done = run(folder, "--output", "report.xlsx", "--output", "report.jsonl", output="report.csv.gz")
    assert (done.returncode, done.stderr) == (0, "")
    assert "report.csv.gz, report.xlsx, report.jsonl: 1 rows" in done.stdout.replace("\n", " ")
    assert gzip.decompress((folder / "report.csv.gz").read_bytes()) == b"double\n2\n"
    assert (folder / "report.jsonl").read_text() == '{"double":2}\n'
    assert (folder / "report.xlsx").read_bytes().startswith(b"PK")
    assert left_in(folder) == {"report.csv.gz", "report.xlsx", "report.jsonl"}


def test_the_format_may_be_told_where_the_name_does_not(folder: Path) -> None:
    assert run(folder, "--format", "json", output="report.txt").returncode == 0
    assert json.loads((folder / "report.txt").read_text()) == [{"double": 2}]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--format", "docx"], "docx: there is no such format; there are csv, json, ndjson, parquet, xlsx"),
        (["--output", "b.csv"], "are both csv"),
        (["--output", "b.json", "--format", "csv"], "goes with one"),
    ],
)
def test_formats_that_cannot_be_meant_are_refused(folder: Path, more: list[str], words: str) -> None:
    done = run(folder, *more)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.split())
    assert left_in(folder) == set()


def test_rejects_of_an_earlier_run_do_not_stay(folder: Path) -> None:
    (folder / "rejects.csv").write_text("old")
    (folder / "input.csv").write_text("key,amount\nk1,1\n")
    assert run(folder, "--rejects", "rejects.csv").returncode == 0
    assert left_in(folder) == {"report.csv"}


def test_json_is_one_document(folder: Path) -> None:
    done = run(folder, "--json")
    outcome = json.loads(done.stdout)
    assert (outcome["input_count"], outcome["row_count"], outcome["reject_count"]) == (3, 1, 2)
    assert outcome["seconds"] > 0
    assert outcome["contracts"]["output"]["passed"]


def test_a_reference_may_be_named(folder: Path) -> None:
    assert run(folder, reference="reference=reference.csv").returncode == 0
    (folder / "a=b.csv").write_text("key,label\nk1,one\n")
    assert run(folder, reference="a=b.csv").returncode == 0


def test_data_that_allows_no_report_exits_with_3_and_leaves_no_file(folder: Path) -> None:
    (folder / "report.csv").write_text("the report of yesterday")
    (folder / "reference.csv").write_text("key,label\nk1,one\nk1,two\n")
    done = run(folder)
    assert done.returncode == 3
    assert "A lookup key is not unique" in done.stderr
    assert "'k1' (2 times)" in done.stderr
    assert "Traceback" not in done.stderr
    assert (folder / "report.csv").read_text() == "the report of yesterday"
    assert left_in(folder) == {"report.csv"}


def test_an_error_as_json(folder: Path) -> None:
    (folder / "input.csv").write_text('key,amount\nk1,"1\n')
    done = run(folder, "--json")
    error = json.loads(done.stderr)
    assert (done.returncode, error["code"], error["fault"]) == (3, "file-unreadable", "data")
    assert error["problems"][0]["line"] == 2


@pytest.mark.parametrize(
    ("files", "more", "words"),
    [
        ({"input": "nowhere.csv"}, [], ["nowhere.csv"]),
        ({"reference": "nowhere.csv"}, [], ["nowhere.csv"]),
        ({"output": "nowhere/report.csv"}, [], ["nowhere"]),
        ({}, ["--rejects", "nowhere/rejects.csv"], ["nowhere"]),
        ({}, ["--memory-limit", "much"], ["much"]),
        ({}, ["--temp-limit", "much"], ["much"]),
        ({}, ["--time-limit", "0"], ["time-limit"]),
        ({}, ["--date", "31.1.2024"], ["date"]),
        ({}, ["--parameter", "desk"], ["NAME=VALUE"]),
        ({}, ["--parameter", "desk=FX"], ["desk", "no parameters"]),
        ({}, ["--reference", "reference=input.csv"], ["two files"]),
        ({"reference": "other=reference.csv"}, [], ["no reference `other`", "`reference`"]),
        ({}, ["--reference", "nosuch=reference.csv"], ["no reference `nosuch`", "`reference`"]),
        (
            {},
            ["--reference", "referenc=reference.csv"],
            ["no reference `referenc`", "did you mean `reference`?"],
        ),
    ],
)
def test_wrong_usage_exits_with_2(
    folder: Path, files: dict[str, str], more: list[str], words: list[str]
) -> None:
    done = run(folder, *more, **files)
    assert done.returncode == 2
    assert all(word in done.stderr for word in words), done.stderr
    assert left_in(folder) == set()


def test_wrong_rules_exit_with_2_and_every_problem(folder: Path) -> None:
    (folder / "rules.yaml").write_text("- {output: a, formula: amout}\n- {output: b, formula: lable}\n")
    done = run(folder)
    assert done.returncode == 2
    assert "rules.yaml:1:" in done.stderr
    assert "did you mean `amount`?" in done.stderr
    assert "rules.yaml:2:" in done.stderr


def test_memory_beyond_the_limit_is_refused_clearly(folder: Path) -> None:
    rows = "".join(f"k{n},{'x' * 50}{n}\n" for n in range(400_000))
    (folder / "reference.csv").write_text(f"key,label\n{rows}")
    done = run(folder, "--memory-limit", "8MB")
    assert done.returncode == 3
    assert "8MB of memory" in done.stderr


def test_check_finds_every_problem_without_files(folder: Path) -> None:
    (folder / "rules.yaml").write_text("- {output: a, formula: maxx(1)}\n- {output: b, formula: 1 +}\n")
    done = reportgen("check", "rules.yaml", folder=folder)
    assert done.returncode == 2
    assert "rules.yaml:1:" in done.stderr
    assert "did you mean `max`?" in done.stderr
    assert "rules.yaml:2:" in done.stderr


def test_check_with_files_finds_unknown_columns(folder: Path) -> None:
    (folder / "rules.yaml").write_text("- {output: a, formula: amout}\n")
    files = ["--input", "input.csv", "--reference", "reference.csv"]
    assert reportgen("check", "rules.yaml", folder=folder).returncode == 0
    done = reportgen("check", "rules.yaml", *files, "--json", folder=folder)
    assert done.returncode == 2
    assert "amount" in json.loads(done.stderr)["problems"][0]["message"]


def test_check_says_when_all_is_well() -> None:
    assert "no problems in 5 formulas" in reportgen("check", TRADE / "rules.yaml", *FILES).stdout
    told = json.loads(reportgen("check", TRADE / "rules.json", "--json").stdout)
    assert told["problems"] == []


def test_check_loads_nothing_heavy() -> None:
    code = (
        "import sys; from reportgen_dagster.cli.main import app\n"
        f"app(['check', {str(TRADE / 'rules.yaml')!r}], standalone_mode=False)\n"
        "print([name for name in ('duckdb', 'pandas', 'polars', 'pandera', 'pyarrow', 'dagster') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_explain_shows_rules_that_hold_themselves(tmp_path: Path) -> None:
    shown = reportgen("explain", TRADE / "rules.yaml").stdout
    assert "lookup" in shown
    assert "#   SELECT" in shown
    (tmp_path / "long.yaml").write_text(shown)
    again = reportgen("run", tmp_path / "long.yaml", *FILES, "--output", tmp_path / "report.csv")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "report.csv").read_text() == (TRADE / "expected.csv").read_text()


def test_explain_with_files_shows_the_query_for_them() -> None:
    shown = reportgen("explain", TRADE / "rules.yaml", *FILES).stdout
    assert "MISSING_refdata1" in shown
    assert "JOIN" in shown


def test_functions_are_listed_and_explained() -> None:
    listed = reportgen("functions").stdout
    assert all(function.signature in listed for function in FUNCTIONS.values())
    told = reportgen("functions", "round").stdout
    assert "half away from zero" in told
    assert f"{FUNCTIONS['round'].example}  ->  {FUNCTIONS['round'].example_result}" in told
    unknown = reportgen("functions", "rond")
    assert (unknown.returncode, "did you mean `round`?" in unknown.stderr) == (2, True)


@pytest.mark.parametrize("command", ["check", "explain"])
def test_references_are_not_ignored(folder: Path, command: str) -> None:
    files = ["--input", "input.csv", "--reference", "reference.csv"]
    unknown = reportgen(command, "rules.yaml", *files, "--reference", "nosuch=reference.csv", folder=folder)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "no reference `nosuch`; they know `reference`" in unknown.stderr
    alone = reportgen(command, "rules.yaml", "--reference", "reference.csv", folder=folder)
    assert (alone.returncode, alone.stdout) == (2, "")
    assert "--input" in alone.stderr


def test_rules_without_a_lookup_know_no_reference(folder: Path) -> None:
    steps = "steps:\n  - derive: {double: cell_number(amount) * 2}\n"
    (folder / "rules.yaml").write_text(f"version: 1\n{steps}output:\n  columns: {{double: double}}\n")
    assert reportgen("check", "rules.yaml", "--input", "input.csv", folder=folder).returncode == 0
    done = run(folder)
    assert done.returncode == 2
    assert "no reference `reference`; they look nothing up" in done.stderr


def test_rules_that_cannot_be_written_are_told(folder: Path) -> None:
    (folder / "there").mkdir()
    done = reportgen("infer", "input.csv", "--output", "there", folder=folder)
    assert done.returncode == 2
    assert "the rules cannot be written to there" in done.stderr


def test_any_text_reaches_a_pipe_whatever_the_locale(folder: Path) -> None:
    (folder / "input.csv").write_text("a,\u00e9\n1,\u00fc\n", encoding="utf-8")
    command = [Path(sys.executable).parent / "reportgen", "infer", "input.csv"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run(command, capture_output=True, cwd=folder, env=environment, check=True)
    assert "\u00e9" in done.stdout.decode("utf-8")


def test_infer_names_the_file_that_cannot_be_used(folder: Path) -> None:
    (folder / "empty.csv").write_text("")
    done = reportgen("infer", "empty.csv", folder=folder)
    assert (done.returncode, "empty.csv  the file is empty" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    "arguments", [("functions",), ("explain", "rules.yaml"), ("infer", "input.csv"), ("--help",)]
)
def test_a_reader_that_had_enough_is_no_failure(folder: Path, arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [Path(sys.executable).parent / "reportgen", *arguments]
    try:
        done = subprocess.run(
            command, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=folder, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_explain_shows_the_columns_that_a_pivot_makes_of_given_files(folder: Path) -> None:
    (folder / "pivot.yaml").write_text(
        "version: 1\nsteps: [pivot: {by: desk, column: quarter, values: sum(amount)}]\n"
    )
    (folder / "sales.csv").write_text("desk,quarter,amount\nfx,Q2,1\nfx,Q1,2\n")
    before = json.loads(reportgen("explain", "pivot.yaml", "--json", folder=folder).stdout)
    assert list(before["lineage"]) == ["desk", "<values of quarter>"]
    with_file = reportgen("explain", "pivot.yaml", "--input", "sales.csv", "--json", folder=folder)
    after = json.loads(with_file.stdout)
    made_of = ["input.amount", "input.quarter"]
    assert after["lineage"] == {"desk": ["input.desk"], "Q1": made_of, "Q2": made_of}
    assert after["column_families"] == []
