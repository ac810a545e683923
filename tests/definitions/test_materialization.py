"""What a report's materialization tells, word by word: figures, query, warnings, where columns come from, sizes and links."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from dagster import AssetMaterialization, DagsterInstance

from reportgen_dagster.defs.keys import CONTRACT_CHECK, INPUT_CHECK, report_key
from reportgen_dagster.services import runs
from tests.definitions.conftest import Ann
from tests.definitions.test_generate_report import _execute as generate
from tests.definitions.test_long_form import _accept, _check

CLEAN = b"desk,amount,note\nd1,5,abc\n"


def materialization(ann: Ann, instance: DagsterInstance) -> AssetMaterialization:
    event = instance.get_latest_materialization_event(report_key(ann.id, "default"))
    return event.asset_materialization


def cells(table: str) -> list[list[str]]:
    """The cells of a Markdown table, without the line below its head."""
    head, _, *rows = (line.strip("|").split("|") for line in table.splitlines())
    return [[cell.strip() for cell in row] for row in (head, *rows)]


def values(metadata: Mapping[str, Any], *names: str) -> list[Any]:
    return [metadata[name].value for name in names]


def test_figures_warnings_and_query_are_those_of_the_run(ann: Ann, instance: DagsterInstance) -> None:
    run_id = _accept(ann)
    assert generate(run_id, instance).success
    told = materialization(ann, instance)
    metadata = told.metadata
    assert values(metadata, "dagster/row_count", "rows in", "rows used", "rows rejected") == [2, 3, 2, 1]
    assert told.tags["dagster/data_version"] == hashlib.sha256(ann.report(run_id).encode()).hexdigest()
    assert told.description == f"Run {run_id}"
    (warning,) = metadata["warnings"].md_str.splitlines()
    assert warning.startswith("- ")
    assert "note" in warning
    first, *query, last = metadata["query"].md_str.splitlines()
    assert (first, last) == ("```sql", "```")
    assert any(line.startswith("SELECT") for line in query)
    (broken,) = (rule for rule in metadata["broken rules"].data if rule["column"] == "amount")
    assert (broken["count"], broken["severity"]) == (1, "error")


def test_each_column_is_told_with_the_columns_that_it_comes_from(ann: Ann, instance: DagsterInstance) -> None:
    run_id = _accept(ann)
    assert generate(run_id, instance).success
    assert cells(materialization(ann, instance).metadata["columns come from"].md_str) == [
        ["column", "comes from"],
        ["desk", f"run-{run_id}-input.desk"],
        ["amount", f"run-{run_id}-input.amount"],
        ["note", f"run-{run_id}-input.note"],
        ["name", f"run-{run_id}-desks.name"],
        ["total", f"run-{run_id}-input.amount"],
        ["day", "no column"],
    ]


def test_every_format_has_its_size(ann: Ann, instance: DagsterInstance) -> None:
    run_id = ann.accept(formats=["xlsx", "csv", "parquet"])
    assert generate(run_id, instance).success
    metadata = materialization(ann, instance).metadata
    sizes = {name: metadata[name].value for name in metadata if name.startswith("size in bytes")}
    files = {
        one: runs.report_file(ann.context, ann.id, run_id, one).size_bytes
        for one in ("xlsx", "csv", "parquet")
    }
    assert sizes == {
        "size in bytes": files["xlsx"],
        "size in bytes csv": files["csv"],
        "size in bytes parquet": files["parquet"],
    }


def test_rejects_are_linked_only_where_there_are_some(ann: Ann, instance: DagsterInstance) -> None:
    with_some = _accept(ann)
    assert generate(with_some, instance).success
    assert materialization(ann, instance).metadata["rejects"].value == f"/api/v1/runs/{with_some}/rejects"
    assert generate(_accept(ann, given=CLEAN), instance).success
    assert "rejects" not in materialization(ann, instance).metadata


def test_a_failed_check_tells_samples_of_what_broke_it(ann: Ann, instance: DagsterInstance) -> None:
    assert generate(_accept(ann), instance).success
    failures = {one["column"]: one for one in _check(instance, ann, INPUT_CHECK).metadata["failures"].data}
    assert failures["amount"]["samples"] == ["'-1'"]
    assert failures["note"]["samples"] == ["'abcdef'"]


def test_a_broken_output_contract_tells_samples_of_what_broke_it(ann: Ann, instance: DagsterInstance) -> None:
    assert not generate(_accept(ann, most=6), instance).success
    (failure,) = _check(instance, ann, CONTRACT_CHECK).metadata["failures"].data
    assert (failure["column"], failure["count"], failure["samples"]) == ("total", 1, ["'7'"])
