from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo, available_timezones

import pytest
from dagster._utils.schedules import is_valid_cron_string, schedule_execution_time_iterator
from hypothesis import given, settings
from hypothesis import strategies as st

from reportgen_dagster.defs.crons import as_dagster_takes
from reportgen_dagster.errors import CronError
from reportgen_dagster.services.cron import check_cron, in_words, meant, next_time, previous_times, times

VALID = [
    "* * * * *",
    "*/15 6-18 * * 1-5",
    "0 6 * * mon-fri",
    "0 6 * jan,JUL *",
    "5,10,20-30/5 0 1 */3 *",
    "0 0 29 2 *",
    "0 0 13 * fri",
    "0 0 */2 * 1",
    "0 0 1 * */3",
    "0 0 * * 7",
    "0 0 * * 5-7",
    "0  0\t1 1 *",
    "05 06 1 1 0",
]


@pytest.mark.parametrize("cron", VALID)
def test_valid_expressions_are_taken(cron: str) -> None:
    check_cron(cron, "UTC")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("cron", VALID)
def test_next_times_are_those_at_which_dagster_ticks(cron: str, zone: str) -> None:
    assert is_valid_cron_string(" ".join(cron.split()))
    start = datetime(2027, 3, 1, 12, 0, 30, tzinfo=UTC)
    ticks = schedule_execution_time_iterator(start.timestamp(), " ".join(cron.split()), zone)
    expected = [tick.astimezone(UTC) for tick in islice(ticks, 12)]
    told: list[datetime] = []
    while len(told) < 12:
        moment = next_time(cron, zone, told[-1] if told else start)
        assert moment is not None
        told.append(moment)
    assert told == expected


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "America/St_Johns", "UTC"])
@pytest.mark.parametrize(
    "start", ["2026-10-24 00:00", "2026-10-31 00:00", "2027-03-13 00:00", "2027-03-27 00:00"]
)
@pytest.mark.parametrize(
    "cron",
    [
        "0 0 * * *",
        "30 1 * * *",
        "0 2 * * *",
        "30 2 * * *",
        "* 2 * * *",
        "15,45 2 * * sun",
        "30 2 28 mar,oct *",
        "0 3 * * *",
        "0 */2 * * *",
        "15 1-4 * * *",
        "*/20 1,2,3 * * *",
        "*/20 * * * *",
        "30 */1 * * *",
        "0 0-23 * * *",
    ],
)
def test_where_clocks_change_times_are_those_at_which_dagster_ticks(cron: str, start: str, zone: str) -> None:
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    end = begin + timedelta(days=2)
    ticks = schedule_execution_time_iterator(begin.timestamp() + 1, cron, zone)
    expected = list(takewhile(lambda moment: moment < end, (tick.astimezone(UTC) for tick in ticks)))
    assert list(takewhile(lambda moment: moment < end, times(cron, zone, begin))) == expected
    assert all(next_time(cron, zone, earlier) == later for earlier, later in pairwise(expected))
    backwards = takewhile(lambda moment: moment > begin, previous_times(cron, zone, end))
    assert list(backwards) == expected[::-1]


HOUR = timedelta(hours=1)
WHERE_CLOCKS_CHANGE = [
    "0 * * * *",
    "*/20 * * * *",
    "30 * * * 1-5",
    "0 0 * * *",
    "30 0 * * *",
    "30 1 * * *",
    "0 2 * * *",
    "15 2 * * *",
    "50 2 * * *",
    "45 3 * * *",
    "30 23 * * *",
    "*/20 0-3 * * *",
    "0,30 0,23 * * *",
    "0 */2 * * *",
    "30 0 * * 0",
    "0 0 * * 5,6",
    "30 0 1 * *",
    "15 2 28 * *",
    "30 0 1 3,9 *",
    "30 0 1 * 0",
]


@cache
def clock_changes() -> list[tuple[str, datetime]]:
    """Every change of the clocks of the coming years in a zone, one zone of those that do the same."""
    found: dict[tuple[tuple[datetime, datetime], ...], str] = {}
    for name in sorted(available_timezones()):
        changes = tuple(changes_of(name))
        if changes:
            found.setdefault(changes, name)
    return [(name, moment) for changes, name in found.items() for moment, _ in changes]


def changes_of(name: str) -> Iterator[tuple[datetime, datetime]]:
    """When clocks of a zone change in the years 2027 to 2029, and what they show then."""
    zone, moment = ZoneInfo(name), datetime(2027, 1, 1, tzinfo=UTC)
    while moment.year < 2030:
        day, moment = moment, moment + 24 * HOUR
        if day.astimezone(zone).utcoffset() != moment.astimezone(zone).utcoffset():
            hours = [day + number * HOUR for number in range(25)]
            shown = [hour.astimezone(zone) for hour in hours]
            place = next(n for n in range(1, 25) if shown[n].utcoffset() != shown[0].utcoffset())
            yield hours[place], shown[place].replace(tzinfo=None)


def dagster_times(cron: str, zone: str, after: datetime) -> Iterator[datetime]:
    ticks = schedule_execution_time_iterator(after.timestamp() + 1, as_dagster_takes(cron, zone), zone)
    return (tick.astimezone(UTC) for tick in ticks)


def up_to(end: datetime, moments: Iterator[datetime]) -> list[datetime]:
    return list(takewhile(lambda moment: moment < end, moments))


def test_dagster_ticks_at_the_next_times_around_the_clock_changes_of_every_zone() -> None:
    changes = [(name, moment) for name, moment in clock_changes() if moment.year == 2027]
    assert len(changes) > 30
    for place, (zone, moment) in enumerate(changes):
        begin, end = moment - 8 * HOUR, moment + 8 * HOUR
        for cron in WHERE_CLOCKS_CHANGE[place % 4 :: 4]:
            assert up_to(end, times(cron, zone, begin)) == up_to(end, dagster_times(cron, zone, begin))


@settings(max_examples=200)
@given(st.data(), st.sampled_from(WHERE_CLOCKS_CHANGE), st.integers(-300, 300))
def test_wherever_dagster_begins_it_ticks_at_the_next_time(
    data: st.DataObject, cron: str, minutes: int
) -> None:
    by_an_hour = [change for change in clock_changes() if change[0] not in BY_TWO_HOURS]
    zone, moment = data.draw(st.sampled_from(by_an_hour))
    after = moment + timedelta(minutes=minutes, seconds=5)
    assert next_time(cron, zone, after) == next(dagster_times(cron, zone, after))
    following = list(islice(times(cron, zone, after), 3))
    before = list(islice(previous_times(cron, zone, following[-1] + timedelta(seconds=1)), 3))
    assert before == following[::-1]


BY_TWO_HOURS = {"Antarctica/Troll"}  # Dagster that begins within them leaves out times


@pytest.mark.parametrize(
    ("zone", "day", "cron", "expected"),
    [
        ("Africa/Cairo", "2027-04-29", "30 0 * * *", "2027-04-29 22:30"),
        ("America/Santiago", "2027-09-05", "30 0 * * *", "2027-09-05 04:30"),
        ("America/Havana", "2027-03-14", "30 0 * * *", "2027-03-14 05:30"),
        ("America/Havana", "2027-11-07", "0 0 * * *", "2027-11-07 05:00"),
        ("Asia/Beirut", "2027-10-30", "30 23 * * *", "2027-10-30 21:30"),
        ("Europe/Dublin", "2027-03-28", "30 1 * * *", "2027-03-28 01:00"),
        ("Antarctica/Troll", "2027-03-28", "15 2 * * *", "2027-03-28 02:00"),
        ("Australia/Lord_Howe", "2027-10-03", "15 2 * * *", "2027-10-02 15:30"),
        ("Australia/Lord_Howe", "2027-06-01", "0 * * * *", "2027-05-31 14:30"),
    ],
)
def test_times_that_clocks_do_not_show_once(zone: str, day: str, cron: str, expected: str) -> None:
    begin = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)) - timedelta(minutes=90)
    moment = datetime.fromisoformat(expected).replace(tzinfo=UTC)
    assert moment in list(islice(times(cron, zone, begin), 3))
    assert moment in list(islice(dagster_times(cron, zone, begin), 3))


def test_a_tick_is_the_nearest_time_only_where_clocks_change() -> None:
    said = datetime(2027, 3, 14, 5, 30, tzinfo=UTC)
    for minutes in (-30, 0, 30):
        assert meant("30 0 * * *", "America/Havana", said + timedelta(minutes=minutes)) == said
    another_day = said + timedelta(days=7, minutes=30)
    assert meant("30 0 * * *", "America/Havana", another_day) == another_day
    elsewhere = said + timedelta(minutes=30)
    assert meant("30 12 * * *", "America/Havana", elsewhere) == elsewhere


@pytest.mark.parametrize(
    ("cron", "reason"),
    [
        ("61 * * * *", "minute: 61 is not between 0 and 59"),
        ("* 24 * * *", "hour: 24 is not between 0 and 23"),
        ("* * 0 * *", "day of month: 0 is not between 1 and 31"),
        ("* * * 13 *", "month: 13 is not between 1 and 12"),
        ("* * * * 8", "day of week: 8 is not between 0 and 7"),
        ("* * * * fry", "day of week: fry is not a number or a name from sun to sat"),
        ("mon * * * *", "minute: mon is not a number"),
        ("5-1 * * * *", "minute: the range 5-1 ends before it begins"),
        ("* * * * fri-5", "day of week: the range fri-5 is one value; write fri"),
        ("* * * * sun-sat", "day of week: sun-sat is every day; write *"),
        ("* * */1 * mon", "day of month: */1 is every day; write *"),
        ("*/0 * * * *", "minute: the step 0 is not between 1 and 59"),
        ("5/10 * * * *", "minute: in 5/10 the step needs a * or a range"),
        ("1,,2 * * * *", "minute: an empty item cannot be read"),
        ("-1 * * * *", "minute: -1 cannot be read"),
        ("* * L * *", "day of month: L is not a number"),
        ("* * * * 1#2", "day of week: 1#2 cannot be read"),
        ("*,5 * * * *", "minute: a * in a list"),
        ("٣ * * * *", "minute: ٣ cannot be read"),
        ("* * *", "five fields"),
        ("0 * * * * *", "five fields"),
        ("", "five fields"),
        ("@daily", "@daily"),
        ("0 0 31 2 *", "day of month: 31 never comes in month 2"),
        ("0 0 31 2 1", "day of month: 31 never comes in month 2"),
        ("0 0 31 apr,jun *", "day of month: 31 never comes in month apr,jun"),
        (" ".join(["0,1,2,3,4,5,6,7,8,9" * 30, *"****"]), "at most 200 characters"),
    ],
)
def test_a_refusal_names_the_field_and_why(cron: str, reason: str) -> None:
    with pytest.raises(CronError) as caught:
        check_cron(cron, "UTC")
    assert reason in caught.value.detail


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(CronError) as caught:
        check_cron("60 25 * * *", "UTC")
    assert [problem.path for problem in caught.value.problems] == ["minute", "hour"]


def test_a_shorthand_is_refused_with_what_to_write() -> None:
    with pytest.raises(CronError) as caught:
        check_cron("@daily", "UTC")
    assert "0 0 * * *" in caught.value.case_hint


@pytest.mark.parametrize("zone", ["Mars/Base", "", "../../etc/passwd", "Europe", "UTC\0"])
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(CronError, match="time zone"):
        check_cron("* * * * *", zone)


def test_a_mistyped_time_zone_is_refused_with_the_nearest() -> None:
    with pytest.raises(CronError) as caught:
        check_cron("* * * * *", "Europe/Berln")
    assert "Europe/Berlin" in caught.value.case_hint


@given(st.text(max_size=40) | st.text("0123456789*,-/ amonfri@", max_size=40))
def test_any_text_is_taken_and_fires_or_is_refused(cron: str) -> None:
    try:
        check_cron(cron, "UTC")
    except CronError:
        return
    moment = next_time(cron, "UTC", datetime(2026, 1, 1, tzinfo=UTC))
    assert moment is not None
    assert moment - datetime(2026, 1, 1, tzinfo=UTC) < timedelta(days=366 * 8)


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("* * * * *", "Every minute"),
        ("0 6 * * 1-5", "At 06:00, Monday through Friday"),
        ("0 6 * * mon-fri", "At 06:00, Monday through Friday"),
        ("30 2 1 */3 *", "At 02:30, on day 1 of the month, every 3 months"),
        ("0 6 1 * 1", "At 06:00, on day 1 of the month, or on Monday"),
        ("0 6 1-10/3 * *", "At 06:00, on day 1, 4, 7, and 10 of the month"),
        ("0 6 * * */2", "At 06:00, only on Sunday, Tuesday, Thursday, and Saturday"),
        ("0 6 * * 7", "At 06:00, only on Sunday"),
    ],
)
def test_expressions_in_words(cron: str, words: str) -> None:
    assert in_words(cron) == words
