"""Each example makes the report that stands beside it, through the command line, and an oracle in pandas agrees."""

from __future__ import annotations

import importlib.resources
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.oracles import EXAMPLES, ROOT, report

RULES = sorted((ROOT / "rules").glob("*/rules.*"))


@pytest.mark.parametrize("rules", RULES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_example_makes_its_report(rules: Path, tmp_path: Path) -> None:
    folder = rules.parent
    output = tmp_path / "report.csv"
    command = [Path(sys.executable).parent / "reportgen", "run", rules, "--input", folder / "input.csv"]
    command += ["--reference", folder / "reference.csv", "--output", output]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert output.read_text() == (folder / "expected.csv").read_text()
    assert "0 rejected" in done.stdout


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_oracle_in_pandas_agrees_with_the_expected_report(name: str) -> None:
    assert report(name) == (ROOT / "rules" / name / "expected.csv").read_text()


def test_every_example_is_here_in_full() -> None:
    assert {path.parent.name for path in RULES} == set(EXAMPLES)
    assert {path.name for path in RULES if path.parent.name == "trade"} == {"rules.yaml", "rules.json"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_editors_find_the_schema(name: str) -> None:
    first = (ROOT / "rules" / name / "rules.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../schema.json"


def test_the_weather_data_is_the_package_s_own() -> None:
    shipped = importlib.resources.files("vega_datasets").joinpath("_data/seattle-weather.csv").read_bytes()
    assert (ROOT / "rules" / "seattle_weather" / "input.csv").read_bytes() == shipped
