"""Use case: which reports are stale, and which datasets are late. Told by the checks `fresh` and `on_time`.

What belongs here: deciding it for a given time. What does not: telling Dagster (`defs/clocks.py`), cron expressions (cron.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row

from reportgen_dagster.catalog import freshness as clocks
from reportgen_dagster.errors import CronError
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.cron import check_cron, next_time, previous_times

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a report is fresh, or a dataset on time.

    Attributes:
        id: The report's or dataset's id.
        owner_id: Whose it is.
        name: What its owner calls it.
        passed: All is well.
        words: Why, in a sentence.
        facts: The times behind it, by name.
        since: Of a report: when its present age began, with its last success; while nobody makes it that stays the same.
    """

    id: str
    owner_id: str
    name: str
    passed: bool
    words: str
    facts: dict[str, str] = field(default_factory=dict)
    since: datetime | None = None


def reports(context: Context, *, now: datetime | None = None) -> list[Verdict]:
    """Judge each report that is to be fresh.

    Args:
        context: The installation.
        now: The time to judge for; None: the database's.
    """
    with context.catalog.reading() as session:
        moment = now or clocks.now(session)
        rows = clocks.reports(session)
    return [_report(row, moment) for row in rows]


def datasets(context: Context, *, now: datetime | None = None) -> list[Verdict]:
    """Judge each dataset that is expected at times.

    Args:
        context: The installation.
        now: The time to judge for; None: the database's.
    """
    with context.catalog.reading() as session:
        moment = now or clocks.now(session)
        rows = clocks.datasets(session)
    return [_dataset(row, moment) for row in rows]


def fresh_words(made_at: datetime, within_seconds: int) -> str:
    """Return what is told of a report that was just made."""
    within = timedelta(seconds=within_seconds)
    return f"Made at {_utc(made_at)}; fresh until {_utc(made_at + within)}."


def _report(row: Row[Any], now: datetime) -> Verdict:
    within = timedelta(seconds=row.fresh_within_seconds)
    since = row.succeeded_at or row.created_at
    passed = now - since <= within
    if row.succeeded_at is None:
        words = f"It has not been made yet; it is there since {_utc(row.created_at)}."
        words += "" if passed else f" That is longer ago than {duration(within)}."
    elif passed:
        words = fresh_words(row.succeeded_at, row.fresh_within_seconds)
    else:
        stale = since + within
        words = (
            f"Stale since {_utc(stale)}: last made at {_utc(since)}, {duration(now - since)} ago;"
            f" it may be {duration(within)} old."
        )
    facts = {"fresh within": duration(within)}
    if row.succeeded_at is not None:
        facts["last made"] = row.succeeded_at.astimezone(UTC).isoformat()
    return Verdict(row.id, row.owner_id, row.name, passed, words, facts, since)


def _dataset(row: Row[Any], now: datetime) -> Verdict:
    """Judge by the last due time whose allowance is over: something must have come that was not for the time before."""
    timezone = row.expected_timezone or "UTC"
    try:
        check_cron(row.expected_cron, timezone)
    except CronError as error:
        words = f"When it is expected cannot be understood: {error.detail}"
        return Verdict(row.id, row.owner_id, row.name, passed=False, words=words)
    within = timedelta(seconds=row.expected_within_seconds or 0)
    zone = ZoneInfo(timezone)
    facts = {"expected": f"{row.expected_cron} ({timezone}), within {duration(within)}"}
    if row.received_at is not None:
        facts["last came"] = row.received_at.astimezone(UTC).isoformat()
    # One second later, as only times before are given.
    judged_until = now - within + timedelta(seconds=1)
    times = list(islice(previous_times(row.expected_cron, timezone, judged_until), 2))
    if not times or times[0] <= row.expected_since:
        following = next_time(row.expected_cron, timezone, row.expected_since)
        words = f"First due at {_local(following, zone)}." if following else "It is never due."
        return Verdict(row.id, row.owner_id, row.name, passed=True, words=words, facts=facts)
    due, begins = times[0], _begin(times, within)
    facts["due"] = due.isoformat()
    came = row.received_at
    passed = came is not None and came > begins
    if came is not None and passed:
        late = came - due
        told = f", {duration(late)} after that" if late > within else ""
        words = f"What was due at {_local(due, zone)} came at {_local(came, zone)}{told}."
    else:
        last = f"the last one came at {_local(came, zone)}" if came is not None else "none ever came"
        words = (
            f"What was due at {_local(due, zone)} is not there: {duration(now - due)} late"
            f" (allowed: {duration(within)}); {last}."
        )
    return Verdict(row.id, row.owner_id, row.name, passed, words, facts)


def _begin(times: Sequence[datetime], within: timedelta) -> datetime:
    """Return since when a version is for the first of these due times: nearer to it than to the one before, and late for that."""
    if len(times) < 2:
        return datetime.min.replace(tzinfo=UTC)
    due, before = times
    return max(before + within, before + (due - before) / 2)


def duration(length: timedelta) -> str:
    """Tell a duration by its two largest units: `1 day 2 hours`."""
    rest, parts = int(length.total_seconds()), []
    for unit, seconds in _UNITS:
        count, rest = divmod(rest, seconds)
        if count:
            parts.append(f"{count} {unit}{'s' if count > 1 else ''}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 seconds"


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _local(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M} {zone.key}"
