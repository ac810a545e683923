"""What a published run tells Dagster: materializations of report, datasets and ruleset, and the report's checks.

The same events come from the run's own op, from Materialize, and from the sensor that makes up for a killed one. Everything
is taken from the catalog, so all three tell the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
    contract_check,
    dataset_key,
    report_key,
    ruleset_key,
)
from reportgen_dagster.errors import ContractError, ReportgenError
from reportgen_dagster.services import attempts
from reportgen_dagster.services.attempts import Reportable
from reportgen_dagster.services.context import Context

DATA_VERSION_TAG = "dagster/data_version"
OUTPUT = "output"
REJECTS = "rejects"  # what problems with the number of rejects name as their place
_TOLD = 3
_KEPT = {True: "Every row keeps the contract (pandera).", False: "The rules have no contract for it."}

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
                "read as": MetadataValue.md(_listed(published.outcome["decisions"].get(name, ()))),
                "sha256": file.digest,
            },
            tags={DATA_VERSION_TAG: file.digest},
        )


def _listed(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences) or "as it is"


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
        "rows used": outcome["used_count"],
        "rows rejected": outcome["reject_count"],
        "broken rules": MetadataValue.json(outcome["rules"]),
        "warnings": MetadataValue.md(_listed(outcome["warnings"])),
        "parameters": MetadataValue.json(published.parameters),
        "run date": published.run_date.isoformat(),
        "query": MetadataValue.md(f"```sql\n{outcome['sql']}\n```"),
        "download": f"/api/download-report/{published.run_id}/",
        "rejects": f"/api/v1/runs/{published.run_id}/rejects",
    }


def report_checks(published: Reportable) -> Iterator[AssetCheckEvaluation]:
    """Return the evaluations of the contracts (pandera) of the input, each reference and the output, and of the rejects."""
    key = report_key(published.owner_id, published.report_name)
    return contract_and_reject_checks(key, published.outcome, published.files)


def contract_and_reject_checks(
    key: AssetKey, outcome: Mapping[str, Any], files: Iterable[str]
) -> Iterator[AssetCheckEvaluation]:
    """Return a report's checks from what is known of a run, whether it succeeded or failed.

    Args:
        key: The report.
        outcome: At least `contracts` (by file, in the shape of a contract report), `reject_count` and `reject_samples`.
        files: The files of the report.
    """
    contracts = outcome["contracts"]
    for file in (*sorted(files), OUTPUT):
        yield _contract_check(key, file, contracts.get(file))
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


def _contract_check(key: AssetKey, file: str, result: Mapping[str, Any] | None) -> AssetCheckEvaluation:
    """Return whether a file keeps its contract; broken rules of severity `warn` alone make a warning."""
    failures = list(result["failures"]) if result else []
    only_warnings = bool(failures) and all(failure["severity"] == "warn" for failure in failures)
    told = [f"{failure['column']}: {failure['message']}" for failure in failures]
    return AssetCheckEvaluation(
        asset_key=key,
        check_name=CONTRACT_CHECK if file == OUTPUT else contract_check(file),
        passed=not failures,
        severity=AssetCheckSeverity.WARN if only_warnings else AssetCheckSeverity.ERROR,
        description="; ".join(told[:_TOLD]) or _KEPT[result is not None],
        metadata={"failures": MetadataValue.json(failures)},
    )


def broken_contracts(
    owner_id: str, report_name: str, error: ReportgenError, reject_count: int
) -> Iterator[AssetCheckEvaluation]:
    """Return the checks of a run that ended because data were refused, as far as it had judged them; there is no report then.

    Args:
        owner_id: Whose report.
        report_name: Which report.
        error: Its facts have the contracts that were judged, and samples of rejects. Else its problems name the files whose
            contract is broken; without a file it is the output's.
        reject_count: How many rejects were kept.
    """
    key = report_key(owner_id, report_name)
    by_file: dict[str, list[dict[str, Any]]] = {}
    for problem in error.problems if isinstance(error, ContractError) else ():
        if problem.path.startswith(("steps[", "[")):
            continue  # a step that the rules let fail the run: no contract
        failure = {"column": problem.path, "message": problem.message, "severity": "error"}
        by_file.setdefault(REJECTS if problem.path == REJECTS else problem.source or OUTPUT, []).append(
            failure
        )
    too_many = by_file.pop(REJECTS, None)
    judged: dict[str, Mapping[str, Any]] = error.facts.get("contracts", {})
    told = {file: {"failures": failures} for file, failures in by_file.items()}
    known = {file: result for file, result in judged.items() if result["failures"] or file not in told}
    for file, result in sorted({**told, **known}.items()):
        yield _contract_check(key, file, result)
    if too_many is not None or reject_count:
        words = too_many[0]["message"] if too_many else f"{reject_count:,} rows were diverted."
        yield AssetCheckEvaluation(
            asset_key=key,
            check_name=REJECTS_CHECK,
            passed=False,
            severity=AssetCheckSeverity.ERROR if too_many else AssetCheckSeverity.WARN,
            description=words,
            metadata={
                "rows rejected": reject_count,
                "samples": MetadataValue.json(error.facts.get("reject_samples", [])),
            },
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
