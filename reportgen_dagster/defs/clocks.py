"""The checks that time decides: `fresh` and `delivered` of reports, `on_time` of datasets, and the sensor that watches them.

What belongs here: telling Dagster of verdicts, and owners of reports that are late. What does not: the verdicts
(`services/freshness.py`, `services/outbox.py`). A check is told when it turns; by hand it can be executed at any time. A success
also tells that its report is fresh (events.py).
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta

from dagster import (
    AssetCheckEvaluation,
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    DefaultSensorStatus,
    SensorEvaluationContext,
    SkipReason,
    multi_asset_check,
    sensor,
)

from reportgen_dagster.defs.keys import (
    DELIVERED_CHECK,
    FRESH_CHECK,
    ON_TIME_CHECK,
    dataset_key,
    report_key,
)
from reportgen_dagster.defs.process import context_of_process
from reportgen_dagster.defs.service import Service
from reportgen_dagster.errors import CronError
from reportgen_dagster.services import freshness, outbox
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.cron import check_cron, in_words
from reportgen_dagster.services.definitions import DatasetDefinition, ReportDefinition
from reportgen_dagster.services.freshness import Verdict, duration

INTERVAL_SECONDS = 30
MOST_AT_ONCE = 100  # each is a transaction of Dagster's; what is left waits for the next tick


def clock_checks(
    reports: Sequence[ReportDefinition], datasets: Sequence[DatasetDefinition]
) -> list[AssetChecksDefinition]:
    """Return a few subsettable definitions of these reports' and datasets' checks; none where nobody minds the clock.

    They are dealt by the first digit of an id, as the assets of reports are.
    """
    by_digit: dict[str, list[AssetCheckSpec]] = {}
    for report in reports:
        if report.fresh_within_seconds is not None:
            by_digit.setdefault(report.id[0], []).append(_fresh_spec(report))
        if report.delivers:
            by_digit.setdefault(report.id[0], []).append(_delivered_spec(report))
    for dataset in datasets:
        if dataset.expected_cron is not None:
            by_digit.setdefault(dataset.id[0], []).append(_on_time_spec(dataset))
    return [_clock_checks(f"check_clocks_{digit}", specs) for digit, specs in sorted(by_digit.items())]


def _fresh_spec(report: ReportDefinition) -> AssetCheckSpec:
    return AssetCheckSpec(
        FRESH_CHECK,
        asset=report_key(report.owner_id, report.name),
        description=f"The last success is at most {duration(timedelta(seconds=report.fresh_within_seconds or 0))} old.",
    )


def _delivered_spec(report: ReportDefinition) -> AssetCheckSpec:
    return AssetCheckSpec(
        DELIVERED_CHECK,
        asset=report_key(report.owner_id, report.name),
        description="Every e-mail, webhook and copy arrived, or may still arrive.",
    )


def _on_time_spec(dataset: DatasetDefinition) -> AssetCheckSpec:
    late = duration(timedelta(seconds=dataset.expected_within_seconds or 0))
    return AssetCheckSpec(
        ON_TIME_CHECK,
        asset=dataset_key(dataset.owner_id, dataset.name),
        description=f"A version comes: {_times(dataset)}, at most {late} late.",
    )


def _times(dataset: DatasetDefinition) -> str:
    cron, timezone = dataset.expected_cron or "", dataset.expected_timezone or "UTC"
    with suppress(CronError):  # what cannot be understood is told by the check itself
        check_cron(cron, timezone)
        return f"{in_words(cron)} ({timezone})"
    return f"{cron} ({timezone})"


def _clock_checks(name: str, specs: Sequence[AssetCheckSpec]) -> AssetChecksDefinition:
    @multi_asset_check(name=name, specs=specs, can_subset=True, required_resource_keys={"service"})
    def check_clocks(context: AssetCheckExecutionContext) -> Iterator[AssetCheckResult]:
        opened: Service = context.resources.service
        wanted = context.selected_asset_check_keys
        for evaluation, _ in _evaluations(opened.context):
            if evaluation.asset_check_key in wanted:
                yield AssetCheckResult(
                    passed=evaluation.passed,
                    asset_key=evaluation.asset_key,
                    check_name=evaluation.check_name,
                    severity=evaluation.severity,
                    description=evaluation.description,
                    metadata=evaluation.metadata,
                )

    return check_clocks


@sensor(
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Tells when a report turns stale, a dataset is late or a delivery is dead, and when that is over.",
)
def watch_clocks(context: SensorEvaluationContext) -> SkipReason:
    """Write an evaluation for each check that turned since the last tick; the cursor remembers how each was told."""
    before: dict[str, bool] = json.loads(context.cursor) if context.cursor else {}
    late = outbox.note_late(context_of_process())
    judged = list(_evaluations(context_of_process()))
    turned = [(evaluation, id_) for evaluation, id_ in judged if before.get(id_) != evaluation.passed]
    for evaluation, _ in turned[:MOST_AT_ONCE]:
        context.instance.report_runless_asset_event(evaluation)
    waiting = {id_ for _, id_ in turned[MOST_AT_ONCE:]}
    told = {id_: evaluation.passed for evaluation, id_ in judged if id_ not in waiting}
    kept = {id_: passed for id_, passed in before.items() if id_ in waiting}
    context.update_cursor(json.dumps(told | kept))
    words = "; ".join(
        f"{evaluation.check_name} {'passes' if evaluation.passed else 'fails'}: {evaluation.description}"
        for evaluation, _ in turned[:3]
    )
    notices = f" Notices of late reports: {late:,}." if late else ""
    return SkipReason(
        f"Turned: {len(turned):,}. {words}{notices}"
        if turned
        else f"No report turned stale, no dataset is late, no delivery is dead.{notices}"
    )


def _evaluations(context: Context) -> Iterator[tuple[AssetCheckEvaluation, str]]:
    """Yield the evaluation of each check as it is now, with an id: what turns has had another result under it, or none."""
    for verdict in freshness.reports(context):
        key = report_key(verdict.owner_id, verdict.name)
        yield _evaluation(verdict, key, FRESH_CHECK, AssetCheckSeverity.WARN), verdict.id
    for verdict in freshness.datasets(context):
        key = dataset_key(verdict.owner_id, verdict.name)
        yield _evaluation(verdict, key, ON_TIME_CHECK, AssetCheckSeverity.ERROR), verdict.id
    for verdict in outbox.verdicts(context):
        key = report_key(verdict.owner_id, verdict.name)
        evaluation = _evaluation(verdict, key, DELIVERED_CHECK, AssetCheckSeverity.WARN)
        # Each dead delivery is told, not only the first one.
        yield evaluation, f"{verdict.id}/{verdict.facts.get('delivery', '')}"


def _evaluation(
    verdict: Verdict, key: AssetKey, check: str, severity: AssetCheckSeverity
) -> AssetCheckEvaluation:
    return AssetCheckEvaluation(
        asset_key=key,
        check_name=check,
        passed=verdict.passed,
        severity=severity,
        description=verdict.words,
        metadata=verdict.facts,
    )
