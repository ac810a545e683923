"""Cron expressions as Dagster is given them, so that it ticks when `services/cron.py` says, in every time zone.

Dagster has a quick way for what is due each hour, or once a day, a week or a month. It expects that clocks change by one hour in
the night, and that summer time is what is ahead of the zone's own. Elsewhere its times would be wrong (Lord Howe, Morocco,
Ireland), or it would fail to find one while an hour comes twice, and from then on always (Cuba, Lebanon, Egypt).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from reportgen_dagster.identity import utc_now

_HALVES = ("1-6", "7-12")
_HOUR = timedelta(hours=1)
_YEARS_AHEAD = 3
_STEP = timedelta(minutes=15)  # no clock changes between
_EXPECTED = (time(1), time(2), time(3))


def as_dagster_takes(cron: str, timezone: str) -> str | list[str]:
    """Return a valid expression; where Dagster's quick way goes wrong, as two of half a year each, which do not go that way."""
    minute, hour, day, month, weekday = cron.split()
    if month != "*" or _is_as_expected(timezone, utc_now().year):
        return cron
    return [" ".join((minute, hour, day, half, weekday)) for half in _HALVES]


@lru_cache(maxsize=1000)
def _is_as_expected(timezone: str, year: int) -> bool:
    """Tell whether all clock changes from the year before this one on are such as Dagster's quick way expects."""
    zone = ZoneInfo(timezone)
    return all(_is_expected(moment, zone) for moment in _changes(zone, year - 1, year + _YEARS_AHEAD))


def _changes(zone: ZoneInfo, first: int, last: int) -> Iterator[datetime]:
    """Yield when clocks change."""
    moment, end = datetime(first, 1, 1, tzinfo=UTC), datetime(last, 1, 1, tzinfo=UTC)
    while moment < end:
        next_day = moment + timedelta(days=1)
        if _offset(moment, zone) != _offset(next_day, zone):
            steps = (moment + number * _STEP for number in range(1, 97))
            yield next(step for step in steps if _offset(step, zone) != _offset(moment, zone))
        moment = next_day


def _is_expected(moment: datetime, zone: ZoneInfo) -> bool:
    """Tell whether clocks change then by an hour that begins at 01:00, 02:00 or 03:00, and to summer time if they go forward."""
    after = moment.astimezone(zone)
    shift = _offset(moment, zone) - _offset(moment - _STEP, zone)
    if shift == _HOUR:
        return (after - _HOUR).time() in _EXPECTED and after.dst() == _HOUR
    return shift == -_HOUR and after.time() in _EXPECTED


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()
