"""Named reports as assets, with the datasets and rulesets that they are made of as external assets.

What is named `default` (a user's last uploads) has no definition here, only events: there may be ten thousand users.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dagster import (
    AssetCheckKey,
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
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
from reportgen_dagster.defs.descriptions import (
    listing,
    problem_words,
    report_description,
    rules_description,
)
from reportgen_dagster.defs.failures import (
    ReportCancelledError,
    end_if_cancelled,
    failure,
    telling_failures,
)
from reportgen_dagster.defs.keys import (
    CONTRACT_CHECK,
    OWNER_TAG,
    PROBLEM_TAG,
    REJECTS_CHECK,
    code_version,
    contract_check,
    dataset_key,
    report_key,
    ruleset_key,
)
from reportgen_dagster.defs.service import Service
from reportgen_dagster.errors import ReportgenError
from reportgen_dagster.formats import DEFAULT_FORMATS
from reportgen_dagster.identity import slug
from reportgen_dagster.services import attempts, generation, publications, report_runs
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.definitions import DatasetDefinition, ReportDefinition, RulesetDefinition
from reportgen_dagster.services.launching import REPORT_TAG, RULES_TAG, TRIGGER_TAG
from reportgen_dagster.services.publications import Reportable

Event = MaterializeResult[None] | AssetCheckResult
Thing = TypeVar("Thing")
MOST_TAG = 63  # letters of a tag's value, says Dagster
_SHOWN_FORMATS = 2  # an asset has three kinds at most, and one is the engine
_log = logging.getLogger(__name__)


def dataset_specs(datasets: Sequence[DatasetDefinition]) -> list[AssetSpec]:
    """Return an external asset for each dataset; each version of it is a materialization."""
    return [
        _spec_or_problem(_dataset_spec, dataset, dataset_key(dataset.owner_id, dataset.name), "datasets")
        for dataset in datasets
    ]


def _dataset_spec(dataset: DatasetDefinition) -> AssetSpec:
    expected = f"{dataset.expected_cron} {dataset.expected_timezone}"
    return AssetSpec(
        dataset_key(dataset.owner_id, dataset.name),
        group_name="datasets",
        kinds={"csv"},
        owners=_owners(dataset.owner_email),
        description=f"The dataset {dataset.name} of {dataset.owner_email}. Each version is a materialization.",
        metadata={"expected": expected} if dataset.expected_cron else {},
    )


def ruleset_specs(rulesets: Sequence[RulesetDefinition]) -> list[AssetSpec]:
    """Return an external asset for each ruleset; each version of it is a materialization."""
    return [
        _spec_or_problem(_ruleset_spec, ruleset, ruleset_key(ruleset.owner_id, ruleset.name), "rulesets")
        for ruleset in rulesets
    ]


def _ruleset_spec(ruleset: RulesetDefinition) -> AssetSpec:
    return AssetSpec(
        ruleset_key(ruleset.owner_id, ruleset.name),
        group_name="rulesets",
        kinds={ruleset.syntax},
        owners=_owners(ruleset.owner_email),
        description=rules_description(ruleset),
        metadata={
            "rules": MetadataValue.md(listing(ruleset.rules_text, ruleset.syntax)),
            "version": ruleset.version,
        },
    )


@dataclass(frozen=True, slots=True)
class SoundReport:
    """A report whose definition could be built.

    Attributes:
        report: The report.
        spec: Its asset.
        checks: The asset's checks that a run of it evaluates.
    """

    report: ReportDefinition
    spec: AssetSpec
    checks: list[AssetCheckSpec]


def part_reports(
    reports: Sequence[ReportDefinition], location_page: str = ""
) -> tuple[list[SoundReport], list[AssetSpec]]:
    """Build the definition of each report; where that fails, an asset without checks that tells why. The others load.

    Args:
        reports: The reports.
        location_page: The path of the UI's pages on this code location.
    """
    sound, broken = [], []
    for report in reports:
        try:
            sound.append(SoundReport(report, _report_spec(report, location_page), _check_specs(report)))
        except Exception as error:
            broken.append(_problem_spec(report_key(report.owner_id, report.name), "reports", error))
    return sound, broken


def report_assets(reports: Sequence[SoundReport]) -> list[AssetsDefinition]:
    """Return a few subsettable definitions that cover all reports, so that Materialize works on any of them.

    Dagster compares each input of a definition with each of its checks, so one for all would take a minute for 3,000 reports.
    A report is in that of the first digit of its id, whichever others there are: also in a process that makes one run.
    """
    by_digit: dict[str, list[SoundReport]] = {}
    for one in reports:
        by_digit.setdefault(one.report.id[0], []).append(one)
    return [_report_assets(f"materialize_reports_{digit}", some) for digit, some in sorted(by_digit.items())]


def _report_assets(name: str, reports: Sequence[SoundReport]) -> AssetsDefinition:
    by_key = {one.spec.key: one.report for one in reports}

    @multi_asset(
        name=name,
        specs=[one.spec for one in reports],
        check_specs=[check for one in reports for check in one.checks],
        can_subset=True,
        required_resource_keys={"service"},
    )
    def materialize_reports(context: AssetExecutionContext) -> Iterator[Event]:
        chosen = context.selected_asset_keys
        checked = {check.asset_key for check in context.selected_asset_check_keys}
        _tag(context, [by_key[key] for key in chosen | checked])
        failures = []
        for key in chosen | checked:
            tell = _materialize if key in chosen else _checks_again
            try:
                yield from tell(context, by_key[key])
            except Failure as failed:
                failures.append(failed)
            except ReportCancelledError:
                context.log.info(f"{by_key[key].name} was cancelled by its owner; the others go on")
        if failures:
            raise failures[0]

    return materialize_reports


def _report_spec(report: ReportDefinition, location_page: str) -> AssetSpec:
    datasets = [dataset_key(report.owner_id, name) for name in dict.fromkeys(report.datasets.values())]
    return AssetSpec(
        report_key(report.owner_id, report.name),
        deps=[*datasets, ruleset_key(report.owner_id, report.ruleset_name)],
        group_name="reports",
        kinds={"duckdb", *_formats(report)[:_SHOWN_FORMATS]},
        owners=_owners(report.owner_email),
        code_version=code_version(report.ruleset_digest),
        description=report_description(report, location_page),
        tags=_report_tags(report),
        metadata={
            "ruleset version": report.ruleset_version,
            "schedules": [f"{schedule.cron} {schedule.timezone}" for schedule in report.schedules],
            "parameters": MetadataValue.json(report.parameters),
            "formats": ", ".join(_formats(report)),
        },
        skippable=True,
    )


def _report_tags(report: ReportDefinition) -> dict[str, str]:
    """Return what reports are looked up by in the UI."""
    said = {
        "reportgen/scheduled": bool(report.schedules),
        "reportgen/on_new_data": report.on_new_data,
        "reportgen/paused": report.paused,
    }
    return {"reportgen/ruleset": slug(report.ruleset_name)[:MOST_TAG]} | {
        tag: "true" for tag, holds in said.items() if holds
    }


def _formats(report: ReportDefinition) -> list[str]:
    """Return what the report's runs make."""
    of_rules = (report.summary or {}).get("formats")
    return report.formats or (of_rules.split(",") if of_rules else list(DEFAULT_FORMATS))


def _check_specs(report: ReportDefinition) -> list[AssetCheckSpec]:
    key = report_key(report.owner_id, report.name)
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
        AssetCheckSpec(
            REJECTS_CHECK,
            asset=key,
            description="No row was diverted to the rejects, or no more than the rules allow (`rejects.max`).",
        ),
    ]


def _spec_or_problem(
    build: Callable[[Thing], AssetSpec], thing: Thing, key: AssetKey, group: str
) -> AssetSpec:
    try:
        return build(thing)
    except Exception as error:
        return _problem_spec(key, group, error)


def _problem_spec(key: AssetKey, group: str, error: Exception) -> AssetSpec:
    """Return an asset that tells why it cannot be shown as it is."""
    _log.warning("the definition of %s cannot be built", key.to_user_string(), exc_info=error)
    return AssetSpec(
        key,
        group_name=group,
        description=f"**Its definition cannot be built:** {problem_words(error)}",
        tags={PROBLEM_TAG: "definition"},
    )


def _owners(email: str) -> list[str]:
    return [email] if is_valid_email(email) else []


def _tag(context: AssetExecutionContext, chosen: Sequence[ReportDefinition]) -> None:
    """Give a run of the Materialize button the tags that other runs have, as far as they are those of all its reports."""
    of_each = [
        {
            OWNER_TAG: report.owner_id,
            REPORT_TAG: report.name,
            RULES_TAG: f"{report.ruleset_name}@{report.ruleset_version}",
            TRIGGER_TAG: "dagster",
        }.items()
        for report in chosen
    ]
    context.instance.add_run_tags(context.run.run_id, dict(set.intersection(*map(set, of_each))))


def _materialize(context: AssetExecutionContext, report: ReportDefinition) -> Iterator[Event]:
    """Accept a run for the Materialize button and carry it out in this process."""
    service: Service = context.resources.service
    catalog = service.context
    origin = f"{context.run.run_id}:{report.id}"
    try:
        run_id = report_runs.accept_from_dagster(catalog, report.id, origin)
        claimed = attempts.claim(catalog, run_id, context.run.run_id)
    except ReportgenError as error:
        raise failure(error) from error
    if claimed is None:
        end_if_cancelled(context, catalog, run_id)
        context.log.info(f"run {run_id} is claimed or finished already; nothing to do")
        return
    work = service.work / report.id
    work.mkdir()
    note = context.log.info
    with telling_failures(context, catalog, claimed, work):
        published = generation.publish_again(catalog, claimed, note) or _generated(
            service, claimed, work, note
        )
    if published:
        yield _result(context, catalog, run_id)
        publications.mark_reported(catalog, run_id)
    else:
        end_if_cancelled(context, catalog, run_id)


def _generated(service: Service, claimed: attempts.Claim, work: Path, note: generation.Note) -> bool:
    """Make the report of a claimed run, and tell whether it is published."""
    with closing(generation.ingest(service.context, claimed, work, note)) as ingested:
        planned = generation.validate(service.context, ingested, note)
        produced = generation.transform(service.context, planned, work, note)
        return generation.publish(service.context, produced, note)


def _result(context: AssetExecutionContext, catalog: Context, run_id: str) -> MaterializeResult[None]:
    published = publications.reportable(catalog, run_id)
    for event in (*events.sources(published, context.instance), *events.fresh_checks(published)):
        context.log_event(event)
    return MaterializeResult(
        asset_key=report_key(published.owner_id, published.report_name),
        metadata=events.report_metadata(published),
        check_results=_chosen_checks(context, published),
        data_version=DataVersion(published.artifact_digest),
        tags=events.report_tags(published, context.instance),
    )


def _checks_again(context: AssetExecutionContext, report: ReportDefinition) -> Iterator[Event]:
    """Tell the checks of the report that there is: they are judged in the pass that makes it."""
    service: Service = context.resources.service
    try:
        published = publications.latest(service.context, report.id)
    except ReportgenError as error:
        raise failure(error) from error
    yield from _chosen_checks(context, published)


def _chosen_checks(context: AssetExecutionContext, published: Reportable) -> list[AssetCheckResult]:
    return [
        AssetCheckResult(
            passed=check.passed,
            asset_key=check.asset_key,
            check_name=check.check_name,
            severity=check.severity,
            description=check.description,
            metadata=check.metadata,
        )
        for check in events.report_checks(published)
        if AssetCheckKey(check.asset_key, check.check_name) in context.selected_asset_check_keys
    ]
