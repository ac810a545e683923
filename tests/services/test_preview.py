from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import psutil
import pytest

from reportgen_dagster.errors import BadRequestError, FileRefusedError, LimitError, RulesError
from reportgen_dagster.services.preview import CHILD_MODULE, Previewer
from reportgen_dagster.services.uploads import RulesText

RULES = """
version: 1
parameters: {factor: {type: integer, default: 2}}
steps:
  - filter: amount > 1
  - derive: {total: amount * :factor, day: today()}
  - aggregate: {by: desk, measures: {sum: sum(total)}}
"""


@pytest.fixture(scope="module")
def previewer() -> Iterator[Previewer]:
    made = Previewer()
    made.warm()
    yield made
    made.close()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "input.csv").write_text("desk,amount\nFX,1\nFX,2\nrates,3\nFX,4\n")
    return {"input": tmp_path / "input.csv"}


def _rules(text: str = RULES) -> RulesText:
    return RulesText("rules.yaml", text, "yaml")


def test_the_first_rows_after_any_step(previewer: Previewer, files: dict[str, Path]) -> None:
    read = previewer.preview(_rules(), files, step=0)
    assert read.rows == [["FX", "1"], ["FX", "2"], ["rates", "3"], ["FX", "4"]]
    filtered = previewer.preview(_rules(), files, step=1, rows=2)
    assert filtered.rows == [["FX", "2"], ["rates", "3"]]
    derived = previewer.preview(
        _rules(), files, step=2, rows=1, parameters={"factor": 5}, run_date=date(2024, 2, 29)
    )
    assert derived.rows == [["FX", "2", "10", "2024-02-29"]]
    assert [column["type"] for column in derived.columns] == ["text", "integer", "integer", "date"]
    report = previewer.preview(_rules(), files)
    assert report.rows == [["FX", "12"], ["rates", "6"]]
    assert "| rates" in report.markdown
    assert not report.sampled


def test_of_a_large_input_only_the_first_lines_count(previewer: Previewer, files: dict[str, Path]) -> None:
    with files["input"].open("a") as file:
        file.write("FX,5\n" * 3_000_000)
    shown = previewer.preview(_rules(), files, step=1, rows=1)
    assert (shown.sampled, shown.rows) == (True, [["FX", "2"]])


def test_what_is_wrong_is_told_as_everywhere(previewer: Previewer, files: dict[str, Path]) -> None:
    with pytest.raises(RulesError, match="did you mean `amount`"):
        previewer.preview(_rules(RULES.replace("amount > 1", "amuont > 1")), files)
    with pytest.raises(BadRequestError, match="facter"):
        previewer.preview(_rules(), files, parameters={"facter": 1})
    with pytest.raises(BadRequestError, match="rows"):
        previewer.preview(_rules(), files, rows=0)
    files["input"].write_text("")
    with pytest.raises(FileRefusedError, match="empty"):
        previewer.preview(_rules(), files)


def test_all_that_is_wrong_with_rules_is_told_at_once(previewer: Previewer, files: dict[str, Path]) -> None:
    steps = "  - derve: {x: a}\n  - derive: {y: '1 +'}\n  - select: [y]\n  - drop: z\n"
    with pytest.raises(RulesError) as raised:
        previewer.preview(_rules(f"version: 1\nsteps:\n{steps}"), files)
    assert [problem.line for problem in raised.value.problems] == [3, 4, 6]


def test_what_takes_too_long_ends_and_the_next_one_works(files: dict[str, Path]) -> None:
    others = _children()
    impatient = Previewer(seconds=0.1)
    impatient.warm()
    try:
        (child,) = _children() - others
        child.suspend()
        with pytest.raises(LimitError, match=r"0.1 seconds"):
            impatient.preview(_rules(), files)
        assert not child.is_running()
        impatient.warm()
        assert _children() - others
    finally:
        impatient.close()


def _children() -> set[psutil.Process]:
    return {child for child in psutil.Process().children() if CHILD_MODULE in child.cmdline()}


def test_the_child_has_bounds_and_no_secrets(previewer: Previewer, files: dict[str, Path]) -> None:
    previewer.preview(_rules(), files, step=0)
    (child,) = _children()
    assert child.environ() == {"MALLOC_ARENA_MAX": "1"}
    assert child.rlimit(psutil.RLIMIT_FSIZE)[1] <= 64 * 1000**2
    assert child.rlimit(psutil.RLIMIT_AS)[1] < 8 * 1000**3
