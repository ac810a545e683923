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
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from reportgen_dagster.defs.descriptions import listing
from reportgen_dagster.defs.keys import (
    ARTIFACT_TAG,
    FRESH_CHECK,
    dataset_key,
    report_key,
    ruleset_key,
)
from reportgen_dagster.defs.profiles import SHOWN_COLUMNS, listed, profile_metadata
from reportgen_dagster.defs.provenance import made_of
from reportgen_dagster.errors import ReportgenError
from reportgen_dagster.services import publications, run_checks
from reportgen_dagster.services.attempts import ClaimedFile
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.freshness import fresh_words
from reportgen_dagster.services.names import is_named
from reportgen_dagster.services.publications import Reportable, RulesVersion
from reportgen_dagster.services.run_checks import RunCheck

VERSION_TAG = "reportgen/version"  # the number of a dataset's or ruleset's version
_RECENT = 50  # materializations of an asset among which a version is looked for

Event = AssetMaterialization | AssetCheckEvaluation


def of_run(context: Context, run_id: str, instance: DagsterInstance) -> Iterator[Event]:
    """Return every event of a succeeded run; versions that Dagster knows already are left out.

    The materialization comes last: whoever finds it may take all of them for told.
    """
    published = publications.reportable(context, run_id)
    yield from sources(published, instance)
    yield from report_checks(published)
    yield from fresh_checks(published)
    yield report_materialization(published, instance)


def sources(published: Reportable, instance: DagsterInstance) -> Iterator[AssetMaterialization]:
    """Return the materializations of datasets and ruleset whose version Dagster was not told of yet.

    What is named is told of once a version, by the run that reads it or by `report_new_versions`. Last uploads and files of
    single calls are told of by runs only, whenever Dagster shows another version as the latest.
    """
    for name, file in published.files.items():
        key = dataset_key(published.owner_id, file.dataset_name)
        if not _is_known(
            instance,
            key,
            file.dataset_name,
            number=file.version,
            digest=file.digest,
            is_reported=file.is_reported,
        ):
            yield _dataset_materialization(published, name, key)
    key, rules = ruleset_key(published.owner_id, published.ruleset_name), published.rules
    if not _is_known(
        instance,
        key,
        published.ruleset_name,
        number=rules.number,
        digest=rules.digest,
        is_reported=rules.is_reported,
    ):
        yield ruleset_materialization(key, published.ruleset_name, rules)


def _is_known(
    instance: DagsterInstance, key: AssetKey, name: str, *, number: int, digest: str, is_reported: bool
) -> bool:
    if is_named(name):
        return is_reported or is_told(instance, key, number)
    return _latest_version(instance, key) == digest


def is_told(instance: DagsterInstance, key: AssetKey, number: int) -> bool:
    """Tell whether one of an asset's latest materializations is a version's."""
    records = instance.fetch_materializations(key, limit=_RECENT).records
    tags = [record.asset_materialization.tags or {} for record in records if record.asset_materialization]
    return any(tag.get(VERSION_TAG) == str(number) for tag in tags)


def _latest_version(instance: DagsterInstance, key: AssetKey) -> str | None:
    latest = instance.get_latest_materialization_event(key)
    materialization = latest.asset_materialization if latest else None
    return (materialization.tags or {}).get(DATA_VERSION_TAG) if materialization else None


def _dataset_materialization(published: Reportable, name: str, key: AssetKey) -> AssetMaterialization:
    file = published.files[name]
    return AssetMaterialization(
        key,
        description=f"Version {file.version} of {file.dataset_name} ({file.filename})",
        metadata={
            **_read(published, name),
            **_profile(file),
            "version": file.version,
            "file name": file.filename,
            "size in bytes": file.size_bytes,
            "sha256": file.digest,
        },
        tags={DATA_VERSION_TAG: file.digest, VERSION_TAG: str(file.version)},
    )


def _profile(file: ClaimedFile) -> dict[str, Any]:
    """Return what a look at a file found; nothing where it failed, for the run could read it, by its rules."""
    if file.profile is None or "error" in file.profile:
        return {}
    return profile_metadata(file.profile, file.columns)


def _read(published: Reportable, name: str) -> dict[str, Any]:
    """Return what the run itself saw of a file; to it all cells are texts."""
    facts = published.outcome["files"][name]
    return {
        "dagster/row_count": facts["rows"],
        "dagster/column_schema": _schema([{"name": column, "type": "text"} for column in facts["columns"]]),
        "preview": MetadataValue.md(facts["preview"]),
        "read as": MetadataValue.md(listed(published.outcome["decisions"].get(name, ()))),
    }


def ruleset_materialization(key: AssetKey, name: str, rules: RulesVersion) -> AssetMaterialization:
    """Return the materialization of a ruleset's version: its text."""
    return AssetMaterialization(
        key,
        description=f"Version {rules.number} of {name}",
        metadata={
            "rules": MetadataValue.md(listing(rules.text, rules.syntax)),
            "title": rules.title or name,
            "version": rules.number,
            "sha256": rules.digest,
        },
        tags={DATA_VERSION_TAG: rules.digest, VERSION_TAG: str(rules.number)},
    )


def report_materialization(published: Reportable, instance: DagsterInstance) -> AssetMaterialization:
    """Return the report's materialization: counts, columns, where each comes from, and the first rows."""
    return AssetMaterialization(
        report_key(published.owner_id, published.report_name),
        description=f"Run {published.run_id}",
        metadata=report_metadata(published),
        tags={DATA_VERSION_TAG: published.artifact_digest, **report_tags(published, instance)},
    )


def report_tags(published: Reportable, instance: DagsterInstance) -> dict[str, str]:
    """Return the tags of a report's materialization beside its data version."""
    return {ARTIFACT_TAG: published.artifact_id, **made_of(published, instance)}


def report_metadata(published: Reportable) -> dict[str, Any]:
    """Return the metadata of a report's materialization."""
    outcome = published.outcome
    same_as = {"files of run": outcome["same_as"]} if "same_as" in outcome else {}
    return {
        **same_as,
        "dagster/row_count": outcome["row_count"],
        "dagster/column_schema": _schema(outcome["columns"]),
        "dagster/column_lineage": _lineage(published),
        "columns come from": MetadataValue.md(_origins(published)),
        "preview": MetadataValue.md(outcome["preview"]),
        **_sizes(published),
        "rows in": outcome["input_count"],
        "rows used": outcome["used_count"],
        "rows rejected": outcome["reject_count"],
        "broken rules": MetadataValue.json(outcome["rules"]),
        "warnings": MetadataValue.md(listed(outcome["warnings"])),
        "parameters": MetadataValue.json(published.parameters),
        "run date": published.run_date.isoformat(),
        "query": MetadataValue.md(listing(outcome["sql"], "sql")),
        **_downloads(published),
        **_rejects(published),
    }


def _sizes(published: Reportable) -> dict[str, int]:
    """Return the bytes of all files; those of the main one are called `size in bytes`."""
    first, *others = published.sizes
    sizes = {"size in bytes": published.sizes[first]}
    return sizes | {f"size in bytes {name}": published.sizes[name] for name in others}


def _rejects(published: Reportable) -> dict[str, MetadataValue]:
    if not published.outcome["reject_count"]:
        return {}
    return {"rejects": _link(published, f"/api/v1/runs/{published.run_id}/rejects")}


def _downloads(published: Reportable) -> dict[str, MetadataValue]:
    """Return the links to all files; the main one is called `download`."""
    path = f"/api/download-report/{published.run_id}/"
    first, *others = published.sizes
    links = {"download": _link(published, f"{path}?format={first}")}
    return links | {f"download {name}": _link(published, f"{path}?format={name}") for name in others}


def _link(published: Reportable, path: str) -> MetadataValue:
    """Return a link that a browser follows, or only the path where nobody said how users reach the API."""
    if published.public_url:
        return MetadataValue.url(f"{published.public_url}{path}")
    return MetadataValue.text(path)


def fresh_checks(published: Reportable) -> Iterator[AssetCheckEvaluation]:
    """Return that a report is fresh that was just made; nothing if nobody minds. Later `watch_clocks` tells more."""
    if published.fresh_within_seconds is not None:
        yield AssetCheckEvaluation(
            asset_key=report_key(published.owner_id, published.report_name),
            check_name=FRESH_CHECK,
            passed=True,
            severity=AssetCheckSeverity.WARN,
            description=fresh_words(published.finished_at, published.fresh_within_seconds),
            metadata={"last made": published.finished_at.isoformat()},
        )


def report_checks(published: Reportable) -> Iterator[AssetCheckEvaluation]:
    """Return the evaluations of the contracts (pandera) of the input, each reference and the output, and of the rejects."""
    key = report_key(published.owner_id, published.report_name)
    for check in run_checks.of_outcome(published.outcome, published.files):
        yield _evaluation(key, check)


def broken_contracts(
    owner_id: str, report_name: str, error: ReportgenError, reject_count: int
) -> Iterator[AssetCheckEvaluation]:
    """Return the checks of a run that ended because data were refused, as far as it had judged them; there is no report then.

    Args:
        owner_id: Whose report.
        report_name: Which report.
        error: Why it ended, with the facts that it had found out before.
        reject_count: How many rejects were kept.
    """
    for check in run_checks.of_failure(error, reject_count):
        yield _evaluation(report_key(owner_id, report_name), check)


def _evaluation(key: AssetKey, check: RunCheck) -> AssetCheckEvaluation:
    metadata: dict[str, Any] = {"failures": MetadataValue.json(check.failures)}
    if check.reject_count is not None:
        metadata = {
            "rows rejected": check.reject_count,
            "share of rows": check.share,
            "limit": check.limit,
            "samples": MetadataValue.json(check.samples),
        }
    return AssetCheckEvaluation(
        asset_key=key,
        check_name=check.name,
        passed=check.passed,
        severity=AssetCheckSeverity[check.severity.upper()],
        description=check.words,
        metadata=metadata,
    )


def _schema(columns: list[dict[str, str]]) -> TableSchema:
    return TableSchema(
        [
            TableColumn(column["name"], column["type"], description=column.get("description"))
            for column in columns
        ]
    )


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


def _origins(published: Reportable) -> str:
    """Return the lineage of the columns as a table for people: Dagster's UI shows its own kind of it nowhere."""
    from reportgen_dagster.engine.outcome import markdown  # only a run needs it, not who loads definitions

    outcome, files = published.outcome, published.files
    rows = []
    for name in [column["name"] for column in outcome["columns"]][:SHOWN_COLUMNS]:
        origins = [f"{files[file].dataset_name}.{source}" for file, source in outcome["sources"][name]]
        rows.append((name, ", ".join(origins) or "no column"))
    return markdown(("column", "comes from"), rows)
