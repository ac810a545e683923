"""Scheduled reports as assets, with the datasets and rulesets that they are made of as external assets.

What is named `default` (a user's last uploads) has no definition here, only events: there may be ten thousand users.
"""

from collections.abc import Iterator, Sequence

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    DataVersion,
    Failure,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)
from dagster._core.utils import is_valid_email

from reportgen_dagster.defs import events
from reportgen_dagster.defs.failures import telling_failures
from reportgen_dagster.defs.keys import (
    ARTIFACT_TAG,
    CONTRACT_CHECK,
    REJECTS_CHECK,
    contract_check,
    dataset_key,
    report_key,
    ruleset_key,
)
from reportgen_dagster.defs.service import Service
from reportgen_dagster.services import attempts, generation, schedules
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.schedules import ReportDefinition


def source_specs(reports: Sequence[ReportDefinition]) -> list[AssetSpec]:
    """Return external assets for the datasets and rulesets of these reports, each once."""
    specs: dict[object, AssetSpec] = {}
    for report in reports:
        for name, dataset in report.datasets.items():
            key = dataset_key(report.owner_id, dataset)
            specs[key] = AssetSpec(
                key,
                group_name="datasets",
                kinds={"csv"},
                owners=_owners(report),
                description=f"The file `{name}` of the report {report.report_name}.",
            )
        key = ruleset_key(report.owner_id, report.ruleset_name)
        specs[key] = AssetSpec(
            key,
            group_name="rulesets",
            kinds={report.syntax},
            owners=_owners(report),
            description=f"The rules of the report {report.report_name}.",
            metadata={"rules": _rules(report)},
        )
    return list(specs.values())


def report_assets(reports: Sequence[ReportDefinition]) -> list[AssetsDefinition]:
    """Return one subsettable definition for all reports, so that Materialize works on each; none for none."""
    if not reports:
        return []
    by_key = {report_key(report.owner_id, report.report_name): report for report in reports}

    @multi_asset(
        name="materialize_reports",
        specs=[_report_spec(report) for report in reports],
        check_specs=[spec for report in reports for spec in _check_specs(report)],
        can_subset=True,
        required_resource_keys={"service"},
    )
    def materialize_reports(context: AssetExecutionContext) -> Iterator[MaterializeResult[None]]:
        failures = []
        for key in context.selected_asset_keys:
            try:
                yield from _materialize(context, by_key[key])
            except Failure as failure:
                failures.append(failure)
        if failures:
            raise failures[0]

    return [materialize_reports]


def _report_spec(report: ReportDefinition) -> AssetSpec:
    datasets = [dataset_key(report.owner_id, name) for name in report.datasets.values()]
    return AssetSpec(
        report_key(report.owner_id, report.report_name),
        deps=[*datasets, ruleset_key(report.owner_id, report.ruleset_name)],
        group_name="reports",
        kinds={"csv", "duckdb"},
        owners=_owners(report),
        code_version=report.ruleset_digest[:12],
        description=f"The report {report.report_name} of {report.owner_email}, by cron `{report.cron}`.",
        metadata={
            "rules": _rules(report),
            "cron": report.cron,
            "time zone": report.timezone,
            "parameters": MetadataValue.json(report.parameters),
        },
        skippable=True,
    )


def _check_specs(report: ReportDefinition) -> list[AssetCheckSpec]:
    key = report_key(report.owner_id, report.report_name)
    return [
        *(
            AssetCheckSpec(
                contract_check(name),
                asset=key,
                description=f"The file `{name}` keeps the contract that the rules have for it (pandera).",
            )
            for name in report.datasets
        ),
        AssetCheckSpec(
            CONTRACT_CHECK,
            asset=key,
            description="Names, types and values of the columns are what the rules promise (pandera).",
        ),
        AssetCheckSpec(REJECTS_CHECK, asset=key, description="No row was diverted to the rejects."),
    ]


def _owners(report: ReportDefinition) -> list[str]:
    return [report.owner_email] if is_valid_email(report.owner_email) else []


def _rules(report: ReportDefinition) -> MetadataValue:
    return MetadataValue.md(f"```yaml\n{report.rules_text}\n```")


def _materialize(
    context: AssetExecutionContext, report: ReportDefinition
) -> Iterator[MaterializeResult[None]]:
    """Accept a run for the Materialize button and carry it out in this process."""
    service: Service = context.resources.service
    catalog = service.context
    origin = f"{context.run.run_id}:{report.schedule_id}"
    run_id = schedules.accept_from_dagster(catalog, report.schedule_id, origin)
    claimed = attempts.claim(catalog, run_id, context.run.run_id)
    if claimed is None:
        context.log.info(f"run {run_id} is claimed or finished already; nothing to do")
        return
    work = service.work / report.schedule_id
    work.mkdir()
    with telling_failures(context, catalog, claimed, work):
        ingested = generation.ingest(catalog, claimed, work)
        service.cleanup.callback(ingested.close)
        planned = generation.validate(catalog, ingested)
        published = generation.publish(catalog, generation.transform(catalog, planned, work))
    if published:
        yield _result(context, catalog, run_id)


def _result(context: AssetExecutionContext, catalog: Context, run_id: str) -> MaterializeResult[None]:
    published = attempts.reportable(catalog, run_id)
    for event in events.sources(published, context.instance):
        context.log_event(event)
    materialization = events.report_materialization(published)
    attempts.mark_reported(catalog, run_id)
    return MaterializeResult(
        asset_key=materialization.asset_key,
        metadata=events.report_metadata(published),
        check_results=[
            AssetCheckResult(
                passed=check.passed,
                asset_key=check.asset_key,
                check_name=check.check_name,
                severity=check.severity,
                description=check.description,
                metadata=check.metadata,
            )
            for check in events.report_checks(published)
        ],
        data_version=DataVersion(published.artifact_digest),
        tags={ARTIFACT_TAG: published.artifact_id},
    )
