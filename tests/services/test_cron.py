from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile

import pytest
from dagster._utils.schedules import is_valid_cron_string, schedule_execution_time_iterator
from hypothesis import given
from hypothesis import strategies as st

from reportgen_dagster.errors import CronError
from reportgen_dagster.services.cron import check_cron, in_words, next_time, previous_times, times

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
