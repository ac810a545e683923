"""What is broken in the catalog never takes the code location down: it is shown with its error, and the others load."""

from __future__ import annotations

import pytest
from dagster import AssetKey, DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster_graphql.test.utils import execute_dagster_graphql
from sqlalchemy import text

from reportgen_dagster.definitions import build_definitions
from reportgen_dagster.defs.keys import dataset_key, report_key, ruleset_key, schedule_name
from tests.definitions.conftest import Ann

# What no service lets in, put there by hand: a statement for the report of that name.
RUBBISH = {
    "cron": "UPDATE schedules SET cron = '99 * * * x' WHERE report_id = (SELECT id FROM reports WHERE name = :name)",
    "zone": "UPDATE schedules SET timezone = 'Mars/Olympus' WHERE report_id = (SELECT id FROM reports WHERE name = :name)",
    "rules": "UPDATE ruleset_versions SET text = '{{ [', summary = NULL"
    " WHERE ruleset_id = (SELECT ruleset_id FROM reports WHERE id = (SELECT id FROM reports WHERE name = :name))",
    "summary": "UPDATE ruleset_versions SET summary = '[1, 2]'"
    " WHERE ruleset_id = (SELECT ruleset_id FROM reports WHERE id = (SELECT id FROM reports WHERE name = :name))",
    "parameters": "UPDATE reports SET parameters = '\"no mapping\"' WHERE id = (SELECT id FROM reports WHERE name = :name)",
    "dataset": "UPDATE datasets SET expected_cron = 'never', expected_timezone = NULL"
    " WHERE id IN (SELECT dataset_id FROM report_inputs WHERE report_id = (SELECT id FROM reports WHERE name = :name))",
}


@pytest.fixture
def schedules(ann: Ann) -> dict[str, str]:
    """A sound report and one for each kind of rubbish, of an owner without a valid address; the ids of their schedules."""
    views = {name: ann.schedule(name) for name in ("sound", *RUBBISH)}
    with ann.context.catalog.transaction() as session:
        for name, statement in RUBBISH.items():
            session.execute(text(statement), {"name": name})
        session.execute(text("UPDATE users SET email = 'no address'"))
    return {name: view.id for name, view in views.items()}


def test_what_is_sound_loads_and_what_is_broken_tells_why(ann: Ann, schedules: dict[str, str]) -> None:
    definitions = build_definitions(ann.context.settings)
    graph = definitions.resolve_asset_graph()

    def node(name: str):
        return graph.get(report_key(ann.id, name))

    for name in ("sound", "rules", "cron", "zone", "dataset"):
        assert node(name).is_executable, name
        assert node(name).check_keys, name
    assert "Its rules cannot be used" in node("rules").description
    assert "Its rules cannot be used" in graph.get(ruleset_key(ann.id, "rules")).description
    assert "99" in node("cron").description
    assert "Mars/Olympus" in node("zone").description
    assert not node("summary").is_executable
    assert not node("summary").check_keys
    assert "cannot be built" in node("summary").description
    assert "cannot be built" in graph.get(ruleset_key(ann.id, "summary")).description
    assert node("sound").owners == []
    assert graph.has(dataset_key(ann.id, "dataset-input"))
    loaded = {one.name for one in definitions.schedules}
    assert schedule_name(schedules["sound"]) in loaded
    assert {schedule_name(schedules["cron"]), schedule_name(schedules["zone"])} & loaded == set()


LOCATION = """
{ repositoryLocationsOrError: workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError {
    __typename ... on PythonError { message }
    ... on RepositoryLocation { repositories { schedules { name } assetNodes { assetKey { path } description isExecutable } } }
} } } } }
"""


def test_a_real_code_location_loads_all_the_same(
    ann: Ann, schedules: dict[str, str], stored: DagsterInstance
) -> None:
    target = ModuleTarget(
        "reportgen_dagster.definitions", attribute="defs", working_directory=None, location_name="reports"
    )
    with WorkspaceProcessContext(stored, target) as workspace, workspace.create_request_context() as request:
        answer = execute_dagster_graphql(request, LOCATION)
    (entry,) = answer.data["repositoryLocationsOrError"]["locationEntries"]
    location = entry["locationOrLoadError"]
    assert location["__typename"] == "RepositoryLocation", location
    (repository,) = location["repositories"]
    nodes = {AssetKey(node["assetKey"]["path"]): node for node in repository["assetNodes"]}
    assert nodes[report_key(ann.id, "sound")]["isExecutable"]
    assert not nodes[report_key(ann.id, "summary")]["isExecutable"]
    assert "cannot be built" in nodes[report_key(ann.id, "summary")]["description"]
    names = {one["name"] for one in repository["schedules"]}
    assert schedule_name(schedules["sound"]) in names
    assert schedule_name(schedules["cron"]) not in names
