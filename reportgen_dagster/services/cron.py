"""Cron expressions and time zones: whether they are valid, in words, and when they fire next. No schedules here.

Five fields with numbers, names and `* , - /`. When both day fields say something, either matches.
"""

from __future__ import annotations

import difflib
import re
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from itertools import takewhile

from cron_descriptor import ExpressionDescriptor, Options
from cronsim import CronSim, CronSimError

from reportgen_dagster.errors import CronError, Problem

MAX_LENGTH = 200
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_NIGHT = range(1, 4)  # the hours in which Dagster expects clocks to change
_HOUR = timedelta(hours=1)
_LONGEST_SHIFT = timedelta(hours=3)  # more than any clock goes back
_ITEM = re.compile(r"(?P<base>\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\w+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five fields: its name, its bounds, names for its values beginning at `low`, how many days it has."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    days: int = 0

    def value(self, word: str) -> int:
        """Return a number or name as a number.

        Raises:
            ValueError: With words, if it is neither or out of bounds.
        """
        if word.lower() in self.names:
            return self.names.index(word.lower()) + self.low
        if not word.isdigit():
            known = f" or a name from {self.names[0]} to {self.names[-1]}" if self.names else ""
            raise ValueError(f"{word} is not a number{known}")
        if len(word) > 2 or not self.low <= int(word) <= self.high:
            raise ValueError(f"{word} is not between {self.low} and {self.high}")
        return int(word)

    def item(self, item: str) -> set[int]:
        """Return the values of one item of a list.

        Raises:
            ValueError: With words, if it is not valid.
        """
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(
                f"{item or 'an empty item'} cannot be read; allowed are numbers, names and * , - /"
            )
        first, last = self._bounds(match)
        if match["step"] is None:
            return set(range(first, last + 1))
        return set(range(first, last + 1, self._step(match, item)))

    def _bounds(self, match: re.Match[str]) -> tuple[int, int]:
        if match["base"] == "*":
            return self.low, self.high
        first = self.value(match["first"])
        if match["last"] is None:
            return first, first
        last = self.value(match["last"])
        if last == first:  # Dagster takes it for every value
            raise ValueError(f"the range {match['base']} is one value; write {match['first']}")
        if last < first:
            raise ValueError(f"the range {match['base']} ends before it begins")
        return first, last

    def _step(self, match: re.Match[str], item: str) -> int:
        if match["base"] != "*" and match["last"] is None:
            raise ValueError(f"in {item} the step needs a * or a range before it")
        step = match["step"]
        if not step.isdigit() or len(step) > 2 or not 1 <= int(step) <= self.high:
            raise ValueError(f"the step {step} is not between 1 and {self.high}")
        return int(step)

    def values(self, text: str) -> set[int]:
        """Return every value that a field's text matches.

        Raises:
            ValueError: With words, if it is not valid.
        """
        items = text.split(",")
        if len(items) > 1 and "*" in items:
            raise ValueError("a * in a list makes the rest of the list pointless")
        found = set().union(*(self.item(item) for item in items))
        if self.days and text != "*" and len({value % self.days for value in found}) == self.days:
            # Two day fields match together or alone, depending on whether one is `*`: no guessing here.
            raise ValueError(f"{text} is every day; write *")
        return found


MINUTE = _Field("minute", 0, 59)
HOUR = _Field("hour", 0, 23)
DAY = _Field("day of month", 1, 31, days=31)
MONTH = _Field("month", 1, 12, MONTHS)
WEEKDAY = _Field("day of week", 0, 7, DAYS, days=7)
FIELDS = (MINUTE, HOUR, DAY, MONTH, WEEKDAY)


def check_cron(cron: str, timezone: str) -> None:
    """Check a cron expression and the time zone that it is meant in.

    Raises:
        CronError: Naming every field that is wrong and why, or the time zone.
    """
    values = _values(_fields(cron))
    _check_fires(values, _fields(cron))
    check_timezone(timezone)


def check_timezone(timezone: str) -> None:
    """Check that a time zone is known.

    Raises:
        CronError: With the nearest known name.
    """
    known = _timezones()
    if timezone not in known:
        near = difflib.get_close_matches(timezone[:100], known, n=1)
        hint = f"Did you mean {near[0]}?" if near else "Use a name such as UTC or Europe/Berlin."
        raise CronError(f"timezone: {timezone[:100]} is not a known time zone", hint=hint)


@cache
def _timezones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def next_time(cron: str, timezone: str, after: datetime) -> datetime | None:
    """Return when a valid expression fires next after a time, in UTC; None if never."""
    return next(times(cron, timezone, after), None)


def times(cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """Yield when a valid expression fires after a time, in UTC.

    What fires every hour goes by real time. Anything else goes by the clock, as in Dagster: a time that is skipped when clocks go
    forward fires right after the gap if it is from 01:00 to 03:59, else as much later as they go forward; one that comes twice
    when they go back fires the second time, and two that become one fire once.
    """
    last = after.astimezone(UTC)
    for moment in _times(cron, zoneinfo.ZoneInfo(timezone), last, reverse=False):
        if moment > last:
            yield moment
            last = moment


def previous_times(cron: str, timezone: str, before: datetime) -> Iterator[datetime]:
    """Yield when a valid expression fired before a time, in UTC, the latest first."""
    last = before.astimezone(UTC)
    for moment in _times(cron, zoneinfo.ZoneInfo(timezone), last, reverse=True):
        if moment < last:
            yield moment
            last = moment


def meant(cron: str, timezone: str, tick: datetime) -> datetime:
    """Return which time of a valid expression a tick is, in UTC: its own, or the nearest one if it is none of them.

    Only where clocks change a tick can be none of them: what clocks show then can be read in more than one way.
    """
    zone, moment = zoneinfo.ZoneInfo(timezone), tick.astimezone(UTC)
    first, last = moment - _LONGEST_SHIFT, moment + _LONGEST_SHIFT
    if first.astimezone(zone).utcoffset() == last.astimezone(zone).utcoffset():
        return moment
    near = takewhile(lambda one: one <= last, times(cron, timezone, first))
    return min(near, key=lambda one: abs(one - moment), default=moment)


def _times(cron: str, zone: zoneinfo.ZoneInfo, start: datetime, *, reverse: bool) -> Iterator[datetime]:
    """Yield times in UTC; the first ones may be on the other side of the start, where clocks show the same times twice."""
    # CronSim wants both day fields to match where one begins with `*`, as */2 does.
    plain = _with_days_listed(cron)
    try:
        if len(HOUR.values(plain.split()[1])) == 24:
            minute, _, *days = plain.split()
            for moment in CronSim(" ".join((minute, "*", *days)), start.astimezone(zone), reverse=reverse):
                yield moment.astimezone(UTC)
        else:
            begin = start + _LONGEST_SHIFT if reverse else start - _LONGEST_SHIFT
            for wall in CronSim(plain, begin.astimezone(zone).replace(tzinfo=None), reverse=reverse):
                yield _shown(wall, zone)
    except CronSimError:
        return


def _shown(wall: datetime, zone: zoneinfo.ZoneInfo) -> datetime:
    """Return when clocks show a time, in UTC: the second time if they do so twice, what Dagster makes of it if they never do."""
    local = wall.replace(tzinfo=zone, fold=1)
    moment = local.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == wall:
        return moment
    skipped = local.replace(fold=0)
    if (
        wall.hour in _NIGHT
    ):  # the gap is taken to begin with the hour, and to be as long as summer time is ahead
        ahead = (skipped + _HOUR).dst() or timedelta()
        skipped = skipped.replace(minute=0) + ahead
    return skipped.astimezone(UTC)


@lru_cache(maxsize=10_000)  # a millisecond each, and many reports share theirs
def in_words(cron: str) -> str:
    """Tell a valid expression in plain English, as `At 06:00, Monday through Friday`."""
    options = Options()
    options.use_24hour_time_format = True
    # Days such as */2 begin anew each month or week, so "every 2 days" would not be true: they are listed.
    return str(ExpressionDescriptor(_with_days_listed(cron, containing="/"), options).get_description())


def _with_days_listed(cron: str, *, containing: str = "") -> str:
    """Write day fields with a certain character as lists."""
    fields = cron.split()
    for position in (2, 4):
        if fields[position] != "*" and containing in fields[position]:
            fields[position] = ",".join(map(str, sorted(FIELDS[position].values(fields[position]))))
    return " ".join(fields)


def _fields(cron: str) -> list[str]:
    """Split an expression into its five fields.

    Raises:
        CronError: If there are not five.
    """
    fields = cron.split()
    if cron.strip().startswith("@"):
        meant = SHORTHANDS.get(cron.strip().lower())
        hint = f"Write {meant} instead." if meant else "Write five fields, for example 0 6 * * 1-5."
        raise CronError("Names such as @daily are not allowed.", hint=hint)
    if len(cron) > MAX_LENGTH:
        raise CronError(f"A cron expression has at most {MAX_LENGTH} characters, not {len(cron)}.")
    if len(fields) != len(FIELDS):
        names = ", ".join(field.name for field in FIELDS)
        raise CronError(f"A cron expression has five fields ({names}), not {len(fields)}.")
    return fields


def _values(fields: list[str]) -> list[set[int]]:
    """Return what each field matches.

    Raises:
        CronError: Naming every field that is wrong and why.
    """
    values, problems = [], []
    for field, text in zip(FIELDS, fields, strict=True):
        try:
            values.append(field.values(text))
        except ValueError as error:
            problems.append(Problem(str(error), path=field.name))
    if problems:
        detail = "; ".join(f"{problem.path}: {problem.message}" for problem in problems)
        raise CronError(detail, problems=problems)
    return values


def _check_fires(values: list[set[int]], fields: list[str]) -> None:
    """Refuse days that no month has, even beside a day of the week: Dagster does not take such an expression.

    Raises:
        CronError: If the day of month never comes.
    """
    days, months = values[2], values[3]
    if min(days) <= max(LONGEST_MONTHS[month - 1] for month in months):
        return
    message = f"{fields[2]} never comes in month {fields[3]}, so this cannot be meant"
    raise CronError(f"{DAY.name}: {message}", problems=[Problem(message, path=DAY.name)])
