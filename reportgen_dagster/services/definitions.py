"""Use case: what Dagster's definitions are built from: every named report, dataset and ruleset, as plain data.

They are dealt out to shards, each a code location of Dagster (`Settings.shards`). What belongs here: reading them, noticing that
they changed since a location was loaded, and when it may be loaded again. What does not: Dagster (`defs/`), who asks it to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Row

from reportgen_dagster.catalog import definitions as catalog
from reportgen_dagster.formats import Syntax
from reportgen_dagster.identity import locations
from reportgen_dagster.services.context import Context

RELOAD_LOCK = 7_301_003  # key of the advisory lock that the one reloading gateway holds
LEAST_PAUSE_SECONDS = 5.0  # between two reloads of a location, however often definitions change


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
        delivers: It is delivered somewhere.
        ruleset_name: Its ruleset.
        ruleset_version: The number of the version that its next run takes.
        is_pinned: It stays with that version, also when there is a later one.
        ruleset_digest: SHA-256 of the rules; changes when they do.
        rules_text: The rules.
        syntax: `yaml` or `json`.
        summary: What people are told of the rules (rules_facts.py); None where they were put before there were summaries.
        datasets: For each file that the rules name, the dataset behind it.
        parameters: What its runs are given.
        formats: What its runs make; None: what the rules say.
        schedules: When it runs.
    """

    id: str
    owner_id: str
    owner_email: str
    name: str
    paused: bool
    on_new_data: bool
    fresh_within_seconds: int | None
    delivers: bool
    ruleset_name: str
    ruleset_version: int
    is_pinned: bool
    ruleset_digest: str
    rules_text: str
    syntax: Syntax
    summary: dict[str, str] | None
    datasets: dict[str, str]
    parameters: dict[str, Any]
    formats: list[str] | None
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
    syntax: Syntax
    summary: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class Everything:
    """All that the definitions of a code location are built from."""

    reports: tuple[ReportDefinition, ...] = ()
    datasets: tuple[DatasetDefinition, ...] = ()
    rulesets: tuple[RulesetDefinition, ...] = ()
    fingerprint: str = ""


def everything(context: Context, shard: int = 0, shards: int = 1) -> Everything:
    """Return all that the definitions of a shard are built from, each kind in a fixed order."""
    with context.catalog.reading() as session:
        # First of all: what changes between these queries is then noticed later, never overlooked.
        fingerprint = catalog.fingerprints(session, shards)[shard]
        return Everything(
            tuple(_report(row) for row in catalog.reports(session, shard, shards)),
            tuple(DatasetDefinition(**row._mapping) for row in catalog.datasets(session, shard, shards)),
            tuple(RulesetDefinition(**row._mapping) for row in catalog.rulesets(session, shard, shards)),
            fingerprint,
        )


def some_reports(
    context: Context, owner_ids: set[str], is_wanted: Callable[[str, str], bool]
) -> tuple[ReportDefinition, ...]:
    """Return the reports of some owners that are wanted, judged by owner and name, of whichever shard."""
    with context.catalog.reading() as session:
        names = catalog.names_of_reports(session, owner_ids)
        ids = [id_ for id_, owner_id, name in names if is_wanted(owner_id, name)]
        return tuple(_report(row) for row in catalog.reports_by_id(session, ids))


def datasets_of(context: Context, owner_ids: set[str]) -> tuple[DatasetDefinition, ...]:
    """Return the named datasets of some owners, of whichever shard."""
    with context.catalog.reading() as session:
        return tuple(DatasetDefinition(**row._mapping) for row in catalog.datasets_of(session, owner_ids))


def _report(row: Row[Any]) -> ReportDefinition:
    values = dict(row._mapping)
    values["schedules"] = tuple(ScheduleDefinition(**schedule) for schedule in values["schedules"])
    values["datasets"] = dict(sorted(values["datasets"].items()))
    return ReportDefinition(**values)


# what the code locations loaded


def note_loaded(context: Context, location: str, fingerprint: str) -> None:
    """Write which fingerprint a Dagster code location built its definitions from."""
    with context.catalog.transaction() as session:
        catalog.note_loaded(session, location, fingerprint)


def changed_locations(context: Context) -> list[str]:
    """Return the code locations whose definitions are not those of the catalog, or could not be loaded the last time."""
    shards = context.settings.shards
    with context.catalog.reading() as session:
        wanted = catalog.fingerprints(session, shards)
        known = {name: catalog.loaded(session, name) for name in locations(shards)}
    return [
        name
        for fingerprint, (name, found) in zip(wanted, known.items(), strict=True)
        if found is None or found.fingerprint != fingerprint or found.problem is not None
    ]


def wanted_fingerprint(context: Context, location: str) -> str:
    """Return the digest over what a location's definitions would be built from now."""
    shards = context.settings.shards
    with context.catalog.reading() as session:
        return catalog.fingerprints(session, shards)[locations(shards).index(location)]


def is_at_odds(context: Context, location: str, wanted_before: str) -> bool:
    """Tell whether a location just loaded something else than the catalog held before and after: not the same part of it."""
    wanted = wanted_fingerprint(context, location)
    with context.catalog.reading() as session:
        found = catalog.loaded(session, location)
    return wanted == wanted_before and (found is None or found.fingerprint != wanted)


def is_resting(context: Context, location: str) -> bool:
    """Tell whether a location was reloaded a moment ago: it then rests as long as that took, at least 5 s."""
    with context.catalog.reading() as session:
        return catalog.is_resting(session, location, LEAST_PAUSE_SECONDS)


@contextmanager
def reload_lock(context: Context) -> Iterator[bool]:
    """Let one process reload at a time, of all gateways; tells whether it is this one.

    Raises:
        UnavailableError: If the database is away.
    """
    with context.catalog.exclusive(RELOAD_LOCK) as is_ours:
        yield is_ours


def note_reloaded(context: Context, location: str, seconds: float, problem: str | None) -> bool:
    """Write how a reload of a code location ended.

    Args:
        context: The installation.
        location: The code location.
        seconds: How long it took.
        problem: Why it failed, in words; None: it did not.

    Returns:
        Whether it failed in another way than the last time.
    """
    with context.catalog.transaction() as session:
        found = catalog.loaded(session, location)
        is_new = problem is not None and (found is None or found.problem != problem)
        catalog.note_reloaded(session, location, seconds, problem)
        return is_new


def load_problems(context: Context) -> dict[str, str]:
    """Return the code locations that could not load their definitions the last time, each with why."""
    with context.catalog.reading() as session:
        known = [catalog.loaded(session, name) for name in locations(context.settings.shards)]
        return {found.location: found.problem for found in known if found is not None and found.problem}
