"""How things of the catalog are called in Dagster: asset keys, schedule names, tags, versions of rules."""

from __future__ import annotations

from dagster import AssetKey

from reportgen_dagster.identity import slug
from reportgen_dagster.services import launching, run_checks

JOB_NAME = "generate_report"
PROFILE_JOB_NAME = "profile_datasets"
RUN_ID_TAG = launching.RUN_ID_TAG
OWNER_TAG = launching.OWNER_TAG
ARTIFACT_TAG = "reportgen/artifact"
PROBLEM_TAG = "reportgen/problem"
CONTRACT_CHECK = run_checks.CONTRACT_CHECK
INPUT_CHECK = run_checks.INPUT_CHECK
REJECTS_CHECK = run_checks.REJECTS_CHECK
FRESH_CHECK = "fresh"
ON_TIME_CHECK = "on_time"
DELIVERED_CHECK = "delivered"
SCHEDULE_PREFIX = "s_"
contract_check = run_checks.contract_check


def report_key(owner_id: str, report_name: str) -> AssetKey:
    """Return the asset key of a report."""
    return AssetKey([owner_id, "reports", slug(report_name)])


def dataset_key(owner_id: str, name: str) -> AssetKey:
    """Return the asset key of a dataset."""
    return AssetKey([owner_id, "datasets", slug(name)])


def ruleset_key(owner_id: str, name: str) -> AssetKey:
    """Return the asset key of a ruleset."""
    return AssetKey([owner_id, "rulesets", slug(name)])


def schedule_name(schedule_id: str) -> str:
    """Return the name of a schedule; Dagster allows letters, digits and `_` only."""
    return f"{SCHEDULE_PREFIX}{schedule_id}"


def code_version(ruleset_digest: str) -> str:
    """Return what Dagster takes for the version of the code that makes a report: the beginning of its rules' digest."""
    return ruleset_digest[:12]
