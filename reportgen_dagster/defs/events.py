"""What a published run tells Dagster: materializations of report, datasets and ruleset, and the report's checks.

The same events come from the run's own op, from Materialize, and from the sensor that makes up for a killed one. Everything
is taken from the catalog, so all three tell the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    AssetKey,
    AssetMaterialization,
    DagsterInstance,
    MetadataValue,
    TableColumn,
    TableColumnDep,
    TableColumnLineage,
    TableSchema,
)

from reportgen_dagster.defs.keys import (
    ARTIFACT_TAG,
    CONTRACT_CHECK,
    REJECTS_CHECK,
    dataset_key,
    report_key,
    ruleset_key,
)
from reportgen_dagster.errors import ReportgenError
from reportgen_dagster.services import attempts
from reportgen_dagster.services.attempts import Reportable
from reportgen_dagster.services.context import Context

DATA_VERSION_TAG = "dagster/data_version"

Event = AssetMaterialization | AssetCheckEvaluation


def of_run(context: Context, run_id: str, instance: DagsterInstance) -> Iterator[Event]:
    """Return every event of a succeeded run; versions that Dagster knows already are left out."""
    published = attempts.reportable(context, run_id)
    yield from sources(published, instance)
    yield report_materialization(published)
    yield from report_checks(published)


def sources(published: Reportable, instance: DagsterInstance) -> Iterator[AssetMaterialization]:
    """Return the materializations of datasets and ruleset whose version Dagster does not show yet."""
    events = [*_dataset_materializations(published), _ruleset_materialization(published)]
    for event in events:
        if event.tags and _latest_version(instance, event.asset_key) != event.tags[DATA_VERSION_TAG]:
            yield event


def _latest_version(instance: DagsterInstance, key: AssetKey) -> str | None:
    latest = instance.get_latest_materialization_event(key)
    materialization = latest.asset_materialization if latest else None
    return (materialization.tags or {}).get(DATA_VERSION_TAG) if materialization else None


def _dataset_materializations(published: Reportable) -> Iterator[AssetMaterialization]:
    for name, file in published.files.items():
        facts = published.outcome["files"][name]
        columns = [{"name": column, "type": "text"} for column in facts["columns"]]
        yield AssetMaterialization(
            dataset_key(published.owner_id, file.dataset_name),
            description=f"Version {file.version} of {file.dataset_name} ({file.filename})",
            metadata={
                "dagster/row_count": facts["rows"],
                "dagster/column_schema": _schema(columns),
                "preview": MetadataValue.md(facts["preview"]),
                "sha256": file.digest,
            },
            tags={DATA_VERSION_TAG: file.digest},
        )


def _ruleset_materialization(published: Reportable) -> AssetMaterialization:
    return AssetMaterialization(
        ruleset_key(published.owner_id, published.ruleset_name),
        description=f"Version {published.ruleset_version} of {published.ruleset_name}",
        metadata={"rules": MetadataValue.md(f"```yaml\n{published.rules_text}\n```")},
        tags={DATA_VERSION_TAG: published.ruleset_digest},
    )


def report_materialization(published: Reportable) -> AssetMaterialization:
    """Return the report's materialization: counts, columns, where each comes from, and the first rows."""
    return AssetMaterialization(
        report_key(published.owner_id, published.report_name),
        description=f"Run {published.run_id}",
        metadata=report_metadata(published),
        tags={DATA_VERSION_TAG: published.artifact_digest, ARTIFACT_TAG: published.artifact_id},
    )


def report_metadata(published: Reportable) -> dict[str, Any]:
    """Return the metadata of a report's materialization."""
    outcome = published.outcome
    return {
        "dagster/row_count": outcome["row_count"],
        "dagster/column_schema": _schema(outcome["columns"]),
        "dagster/column_lineage": _lineage(published),
        "preview": MetadataValue.md(outcome["preview"]),
        "rows in": outcome["input_count"],
        "rows rejected": outcome["reject_count"],
        "query": MetadataValue.md(f"```sql\n{outcome['sql']}\n```"),
        "download": f"/api/download-report/{published.run_id}/",
        "rejects": f"/api/v1/runs/{published.run_id}/rejects",
    }


def report_checks(published: Reportable) -> Iterator[AssetCheckEvaluation]:
    """Return the evaluations of the output contract (pandera) and of the rejects."""
    outcome = published.outcome
    key = report_key(published.owner_id, published.report_name)
    yield AssetCheckEvaluation(
        asset_key=key,
        check_name=CONTRACT_CHECK,
        passed=outcome["contract"]["passed"],
        description="Names, order and types of the columns are what the rules promise (pandera).",
        metadata={"failures": MetadataValue.json(outcome["contract"]["failures"])},
    )
    yield AssetCheckEvaluation(
        asset_key=key,
        check_name=REJECTS_CHECK,
        passed=outcome["reject_count"] == 0,
        severity=AssetCheckSeverity.WARN,
        description="No row was diverted to the rejects.",
        metadata={
            "rows rejected": outcome["reject_count"],
            "samples": MetadataValue.json(outcome["reject_samples"]),
        },
    )


def broken_contract(owner_id: str, report_name: str, error: ReportgenError) -> AssetCheckEvaluation:
    """Return the failed evaluation of an output contract; there is no report then."""
    return AssetCheckEvaluation(
        asset_key=report_key(owner_id, report_name),
        check_name=CONTRACT_CHECK,
        passed=False,
        description=error.detail,
        metadata={"failures": MetadataValue.json([problem.to_json() for problem in error.problems])},
    )


def _schema(columns: list[dict[str, str]]) -> TableSchema:
    return TableSchema([TableColumn(column["name"], column["type"]) for column in columns])


def _lineage(published: Reportable) -> TableColumnLineage:
    keys = {
        name: dataset_key(published.owner_id, file.dataset_name) for name, file in published.files.items()
    }
    return TableColumnLineage(
        {
            column: [TableColumnDep(keys[file], source) for file, source in origins]
            for column, origins in published.outcome["sources"].items()
        }
    )
