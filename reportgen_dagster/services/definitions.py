"""Use case: what Dagster's definitions are built from: every named report, dataset and ruleset, as plain data.

What belongs here: reading it, and noticing that it changed since a code location was loaded. What does not: Dagster (`defs/`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from reportgen_dagster.catalog import definitions as catalog
from reportgen_dagster.services.context import Context


@dataclass(frozen=True, slots=True)
class ScheduleDefinition:
    """When a report runs. A paused one does not."""

    id: str
    name: str
    cron: str
    timezone: str
    missed: Literal["skip", "last", "all"]
    unchanged: Literal["run", "skip"]
    paused: bool


@dataclass(frozen=True, slots=True)
class ReportDefinition:
    """A report.

    Attributes:
        id: Its id in the catalog.
        owner_id: Whose it is.
        owner_email: The owner's address.
        name: What its owner calls it.
        paused: It does not run by itself.
        on_new_data: It runs when a dataset has a new version.
        fresh_within_seconds: A report older than that is stale.
        ruleset_name: Its ruleset.
        ruleset_version: The number of the version that its next run takes.
        is_pinned: It stays with that version, also when there is a later one.
        ruleset_digest: SHA-256 of the rules; changes when they do.
        rules_text: The rules.
        syntax: `yaml` or `json`.
        summary: `title`, `description` and `graph` of the rules; None where they were put before there were summaries.
        datasets: For each file that the rules name, the dataset behind it.
        parameters: What its runs are given.
        schedules: When it runs.
    """

    id: str
    owner_id: str
    owner_email: str
    name: str
    paused: bool
    on_new_data: bool
    fresh_within_seconds: int | None
    ruleset_name: str
    ruleset_version: int
    is_pinned: bool
    ruleset_digest: str
    rules_text: str
    syntax: Literal["yaml", "json"]
    summary: dict[str, str] | None
    datasets: dict[str, str]
    parameters: dict[str, Any]
    schedules: tuple[ScheduleDefinition, ...]


@dataclass(frozen=True, slots=True)
class DatasetDefinition:
    """A named dataset, and when new versions of it are expected."""

    id: str
    owner_id: str
    owner_email: str
    name: str
    expected_cron: str | None
    expected_timezone: str | None
    expected_within_seconds: int | None


@dataclass(frozen=True, slots=True)
class RulesetDefinition:
    """A named ruleset at its latest version."""

    id: str
    owner_id: str
    owner_email: str
    name: str
    version: int
    rules_text: str
    syntax: Literal["yaml", "json"]
    summary: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class Everything:
    """All that definitions are built from, at one moment."""

    reports: tuple[ReportDefinition, ...] = ()
    datasets: tuple[DatasetDefinition, ...] = ()
    rulesets: tuple[RulesetDefinition, ...] = ()
    fingerprint: str = ""


def everything(context: Context) -> Everything:
    """Return all that definitions are built from, each kind in a fixed order."""
    with context.catalog.transaction() as session:
        return Everything(
            tuple(_report(dict(row._mapping)) for row in catalog.reports(session)),
            tuple(DatasetDefinition(**row._mapping) for row in catalog.datasets(session)),
            tuple(RulesetDefinition(**row._mapping) for row in catalog.rulesets(session)),
            catalog.fingerprint(session),
        )


def _report(row: dict[str, Any]) -> ReportDefinition:
    row["schedules"] = tuple(ScheduleDefinition(**schedule) for schedule in row["schedules"])
    row["datasets"] = dict(sorted(row["datasets"].items()))
    return ReportDefinition(**row)


def fingerprint(context: Context) -> str:
    """Return a digest over everything that definitions are built from; it changes when they would."""
    with context.catalog.transaction() as session:
        return catalog.fingerprint(session)


def note_loaded(context: Context, location: str, fingerprint: str) -> None:
    """Write which fingerprint a Dagster code location built its definitions from."""
    with context.catalog.transaction() as session:
        catalog.note_loaded(session, location, fingerprint)


def note_problem(context: Context, location: str, problem: str) -> None:
    """Write why a Dagster code location could not load its definitions."""
    with context.catalog.transaction() as session:
        catalog.note_problem(session, location, problem)


def loaded_fingerprint(context: Context, location: str) -> str | None:
    """Return which fingerprint a Dagster code location last built its definitions from; None: never."""
    with context.catalog.transaction() as session:
        found = catalog.loaded(session, location)
    return found.fingerprint or None if found is not None else None


def load_problem(context: Context, location: str) -> str | None:
    """Return why a code location could not load its definitions the last time; None: it could."""
    with context.catalog.transaction() as session:
        found = catalog.loaded(session, location)
    return found.problem if found is not None else None
