"""Each recipe of the cookbook makes the report and the rejects that stand beside it."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from reportgen_dagster.contracts.models import Constraints, Schema
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.report import make_report
from reportgen_dagster.rules.reading.loading import load_ruleset
from reportgen_dagster.rules.reading.parameters import parameter_values
from reportgen_dagster.rules.reading.ruleset import Ruleset
from reportgen_dagster.rules.reading.steps import STEPS
from tests.rules.checking import check_report

COOKBOOK = Path(__file__).parents[2] / "rules" / "cookbook"
FOLDERS = sorted(path.parent for path in COOKBOOK.glob("*/rules.yaml"))
EXPECTED_REJECTS = "expected_rejects.csv"
each_recipe = pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)


def rules_of(folder: Path) -> Ruleset:
    return load_ruleset((folder / "rules.yaml").read_text())


def options_of(folder: Path, ruleset: Ruleset) -> dict[str, Any]:
    """Return what a run of the recipe is given beside its files."""
    path = folder / "run.json"
    run = json.loads(path.read_text()) if path.exists() else {}
    date = datetime.date.fromisoformat(run["date"]) if "date" in run else None
    return {
        "parameters": parameter_values(ruleset.document.parameters, run.get("parameters", {})),
        "run_date": date,
    }


def schemas_of(ruleset: Ruleset) -> list[Schema]:
    document = ruleset.document
    files = [document.input, *document.references.values(), document.output]
    return [file.schema_ for file in files if file is not None and file.schema_ is not None]


@each_recipe
def test_a_recipe_makes_its_report_and_its_rejects(folder: Path, tmp_path: Path) -> None:
    ruleset = rules_of(folder)
    files = {name: folder / f"{name}.csv" for name in ("input", *ruleset.document.reference_names)}
    output, rejects = tmp_path / "report.csv", tmp_path / "rejects.csv"
    outcome = make_report(
        ruleset,
        files,
        outputs={"csv": output},
        rejects=rejects,
        work=tmp_path,
        limits=Limits(memory="200MB"),
        **options_of(folder, ruleset),
    )
    assert output.read_bytes().decode() == (folder / "expected.csv").read_bytes().decode()
    assert rejects.exists() == (folder / EXPECTED_REJECTS).exists()
    if rejects.exists():
        assert rejects.read_bytes().decode() == (folder / EXPECTED_REJECTS).read_bytes().decode()
    assert outcome.input_count == outcome.used_count + outcome.reject_count


@each_recipe
def test_a_recipe_has_no_problems_before_its_files_are_known(folder: Path) -> None:
    assert check_report(rules_of(folder), {}) == []


@each_recipe
def test_a_recipe_says_what_it_is_for_and_where_its_schema_is(folder: Path) -> None:
    document = rules_of(folder).document
    assert document.title
    assert document.description
    first = (folder / "rules.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../../schema.json"
    assert (folder / first.partition("=")[2]).resolve() == COOKBOOK.parent / "schema.json"


@each_recipe
def test_an_editor_s_yaml_reads_a_recipe_as_the_service_does(folder: Path) -> None:
    read = json.dumps(yaml.safe_load((folder / "rules.yaml").read_text()))
    assert load_ruleset(read, syntax="json").document == rules_of(folder).document


@each_recipe
def test_a_recipe_needs_every_file_of_its_folder(folder: Path) -> None:
    references = {f"{name}.csv" for name in rules_of(folder).document.reference_names}
    known = {"rules.yaml", "run.json", "input.csv", "expected.csv", EXPECTED_REJECTS}
    assert {path.name for path in folder.iterdir()} - known == references


def test_the_cookbook_shows_every_kind_of_step() -> None:
    shown = {step.kind for folder in FOLDERS for step in rules_of(folder).document.steps}
    assert shown == set(STEPS)


def test_the_cookbook_shows_every_constraint() -> None:
    schemas = [schema for folder in FOLDERS for schema in schemas_of(rules_of(folder))]
    shown = {
        constraint
        for schema in schemas
        for field in schema.fields
        for constraint in field.constraints.model_fields_set
    }
    assert shown == set(Constraints.model_fields)
    for key in ("primary_key", "unique_keys", "foreign_keys"):
        assert any(getattr(schema, key) for schema in schemas), key
    assert {field.severity for schema in schemas for field in schema.fields} == {"error", "warn"}


def test_the_cookbook_gives_parameters_and_dates() -> None:
    given = [options_of(folder, rules_of(folder)) for folder in FOLDERS]
    assert any(options["parameters"] for options in given)
    assert any(options["run_date"] for options in given)
