"""Texts are read as typed values strictly: what is taken, what is refused, and that nothing fails or is guessed."""

from __future__ import annotations

import datetime
import itertools
import re
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlglot import exp

from reportgen_dagster.contracts.contract import ContractField, contract_of
from reportgen_dagster.contracts.models import Dialect, Schema


def field(dialect: dict[str, Any] | None = None, **facts: Any) -> ContractField:
    schema = Schema.model_validate({"fields": [{"name": "x", **facts}]})
    return contract_of(schema, Dialect.model_validate(dialect or {})).fields[0]


def read(field: ContractField, *texts: str | None, zone: str = "UTC") -> list[Any]:
    """Return each text's value; the name of the rule where it is broken."""
    cast = field.cast(exp.column("x", quoted=True))
    connection = duckdb.connect()
    connection.execute(f"SET TimeZone = '{zone}'")
    connection.execute("CREATE TABLE given (place INTEGER, x VARCHAR)")
    connection.execute(
        "INSERT INTO given SELECT unnest(?), unnest(?)", [list(range(len(texts))), list(texts)]
    )
    query = exp.select(cast.value, cast.broken).from_("given").order_by("place")
    rows = connection.execute(query.sql("duckdb")).fetchall()
    connection.close()
    return [cast.rule if broken else value for value, broken in rows]


LENIENT = [
    "1.6", ".5", "1e2", "0x1F", "1_000", " 2 ", "2 ", " 2", "\t2", "2\n", "nan", "inf", "-Infinity", "+-5", "0b1",
]  # fmt: skip


def test_an_integer_takes_digits_with_a_sign_and_nothing_else() -> None:
    assert read(field(type="integer"), "0", "-0", "+7", "007", "-12", "9223372036854775807", None) == [
        0, 0, 7, 7, -12, 2**63 - 1, None,
    ]  # fmt: skip
    refused = [*LENIENT, "9223372036854775808", "", "1,000", "٣", "1-", "--1", "1\x00"]
    assert read(field(type="integer"), *refused) == ["type integer"] * len(refused)


def test_a_number_takes_decimals_and_exponents_and_is_always_finite() -> None:
    taken = ["1.6", ".5", "5.", "1e2", "-1.5E-3", "+2", "007", "1e-999"]
    assert read(field(type="number"), *taken) == [1.6, 0.5, 5.0, 100.0, -0.0015, 2.0, 7.0, 0.0]
    refused = [text for text in LENIENT if text not in ("1.6", ".5", "1e2")]
    refused += ["1e999", "NaN", "INF", "-INF", "1,5", "1.5.5", ".", "e5", "", "1d"]
    assert read(field(type="number"), *refused) == ["type number"] * len(refused)


def test_a_decimal_is_exact_or_refused() -> None:
    money = field(type="decimal", precision=6, scale=2)
    assert read(money, "1.5", "1.500", "+1", "-0.05", ".5", "5.", "9999.99", "007", "1.0000000000") == [
        Decimal(text) for text in ("1.50", "1.50", "1", "-0.05", "0.50", "5", "9999.99", "7", "1.00")
    ]
    refused = [
        "1.505",
        "10000",
        "1e2",
        "1_000",
        " 1",
        "1 ",
        "nan",
        "1,5",
        ".",
        "",
        "0x1F",
        "1.5.5",
        "12,5O",
        ".005",
    ]
    assert read(money, *refused) == ["type decimal(6,2)"] * len(refused)
    assert read(field(type="decimal", precision=3), ".0", "1.0", ".5") == [0, 1, "type decimal(3,0)"]
    assert read(field(type="decimal"), "12345678901234567890123456789.123456789") == [
        Decimal("12345678901234567890123456789.123456789")
    ]


def test_marks_of_numbers_come_from_the_field_and_else_from_the_dialect() -> None:
    swiss = {"decimalChar": ",", "groupChar": "'"}
    assert read(field(swiss, type="decimal", scale=2), "1'234,50", "12,5", "1234,5", "1'23,0", "1.5", "1''234") == [
        Decimal("1234.50"), Decimal("12.50"), Decimal("1234.50"), *["type decimal(38,2), decimal mark ',', group mark '''"] * 3,
    ]  # fmt: skip
    assert read(field(swiss, type="number", decimalChar="."), "1'234.5", "1,5")[0] == 1234.5
    assert read(field(type="integer", groupChar=","), "1,234,567", "12", "1,23", ",123", "1,234.0")[:2] == [
        1234567,
        12,
    ]
    assert read(field({"decimalChar": ","}, type="integer"), "12", "1,5")[0] == 12


def test_what_stands_around_a_number_is_left_out_only_where_nothing_is_read_wrong() -> None:
    price = field(type="number", bareNumber=False)
    assert read(price, "$95", "95%", "CHF 1.5", "-3 EUR", "Fr. 5", "$-2", "7") == [95, 95, 1.5, -3, 5, -2, 7]
    refused = ["(5)", "5-", "Fr.5", "€.5", "5 or 6", "none", "-$5", "$ "]
    assert read(price, *refused) == ["type number"] * len(refused)


def test_booleans_are_the_words_of_the_field() -> None:
    assert read(field(type="boolean"), "true", "True", "TRUE", "1", "false", "0") == [
        *[True] * 4,
        False,
        False,
    ]
    assert read(field(type="boolean"), "t", "yes", "Y", "tRUE", "") == ["type boolean"] * 5
    words = field(type="boolean", trueValues=["ja"], falseValues=["nein"])
    assert read(words, "ja", "nein", "true") == [True, False, "type boolean ja or nein"]


def test_a_date_without_a_format_is_iso() -> None:
    assert read(field(type="date"), "2024-02-29", "0001-01-01", "9999-12-31") == [
        datetime.date(2024, 2, 29), datetime.date(1, 1, 1), datetime.date(9999, 12, 31),
    ]  # fmt: skip
    refused = [
        "2024/01/02", "epoch", "infinity", "-infinity", "2024-1-31", "2024-01-1", " 2024-01-31", "2024-01-31 ", "2024-01-1 ",
        "2023-02-29", "2024-01-31T00:00:00Z", "10000-01-01", "0000-01-01", "0044-03-15 (BC)", "20240131", "31.02.2024", "",
    ]  # fmt: skip
    assert read(field(type="date"), *refused) == ["type date"] * len(refused)


def test_a_date_with_a_format_is_read_by_it_alone() -> None:
    european = field(type="date", format="%d/%m/%Y")
    assert read(european, "31/01/2024", "1/2/2024") == [datetime.date(2024, 1, 31), datetime.date(2024, 2, 1)]
    refused = [
        "31/02/2024",
        "01/31/2024",
        " 1/2/2024",
        "1/2/2024 ",
        "1/2/24",
        "2024-01-31",
        "1/ 2/2024",
        "1/2/0000",
    ]
    assert read(european, *refused) == ["type date %d/%m/%Y"] * len(refused)
    assert read(field(type="date", format="%Y%m%d"), "20240131", "2024131") == [
        datetime.date(2024, 1, 31), "type date %Y%m%d",
    ]  # fmt: skip
    assert read(field(type="date", format="%d %b %y"), "5 Mar 24", "05 mar 69", "5 March 24") == [
        datetime.date(2024, 3, 5), datetime.date(1969, 3, 5), "type date %d %b %y",
    ]  # fmt: skip
    assert read(field(type="date", format="%B %d, %Y"), "March 5, 2024", "Mar 5, 2024")[0] == datetime.date(
        2024, 3, 5
    )


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_datetime_with_a_zone_counts_in_utc_and_one_without_as_it_stands(zone: str) -> None:
    texts = [
        "2024-01-31T10:00:00",
        "2024-01-31 10:00:00.25",
        "2024-01-31T10:00:00Z",
        "2024-01-31T10:00:00+02:00",
    ]
    assert read(field(type="datetime"), *texts, zone=zone) == [
        datetime.datetime(2024, 1, 31, 10), datetime.datetime(2024, 1, 31, 10, 0, 0, 250_000),
        datetime.datetime(2024, 1, 31, 10), datetime.datetime(2024, 1, 31, 8),
    ]  # fmt: skip
    refused = [
        "2024-01-31", "2024-01-31T10:00", "2024-01-31T24:00:00", "2024-01-31T23:59:60", "2024-01-31T10:00:00.1234567",
        "2024-01-31T10:00:00 Europe/Zurich", "2024-01-31T10:00:00+25:00", "2023-02-29T10:00:00", "epoch", "infinity",
    ]  # fmt: skip
    assert read(field(type="datetime"), *refused, zone=zone) == ["type datetime"] * len(refused)
    zoned = field(type="datetime", format="%d.%m.%Y %H:%M %z")
    assert read(zoned, "31.01.2024 10:00 +0200", zone=zone) == [datetime.datetime(2024, 1, 31, 8)]
    noon = field(type="datetime", format="%Y-%m-%d %I:%M %p")
    assert read(noon, "2024-01-31 1:05 pm", zone=zone) == [datetime.datetime(2024, 1, 31, 13, 5)]


def test_a_time_of_day() -> None:
    assert read(field(type="time"), "10:00:00", "23:59:59.5") == [
        datetime.time(10), datetime.time(23, 59, 59, 500_000),
    ]  # fmt: skip
    refused = ["10:00", "24:00:00", "1:2:3", "10:00:60", "10:00:00+02", "10:00:00.1234567"]
    assert read(field(type="time"), *refused) == ["type time"] * len(refused)
    assert (
        read(field(type="time", format="%H:%M"), "9:30", "09:30", "24:00")[:2] == [datetime.time(9, 30)] * 2
    )


def test_a_text_is_never_refused() -> None:
    assert read(field(), "00123", " x ", "") == ["00123", " x ", ""]


NUMBERS = st.text(alphabet="0123456789+-._ eExXnaif\t,'", max_size=9)
_INTEGER = re.compile(r"[+-]?[0-9]+\Z")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\Z")


@settings(max_examples=40, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=40))
@example(["1e9", "-.5e+1", "+.e1", "1e", "0x1", "nan"])
def test_numbers_are_what_the_standard_says(texts: list[str]) -> None:
    integers = read(field(type="integer"), *texts)
    numbers = read(field(type="number"), *texts)
    decimals = read(field(type="decimal", precision=9, scale=2), *texts)
    for text, integer, number, decimal in zip(texts, integers, numbers, decimals, strict=True):
        assert (integer == int(text)) if _INTEGER.match(text) else integer == "type integer"
        is_number = _NUMBER.match(text) and abs(float(text)) != float("inf")
        assert (number == float(text)) if is_number else number == "type number"
        plain = _NUMBER.match(text) and "e" not in text.lower()
        fits = plain and abs(Decimal(text)) < 10**7 and round(Decimal(text), 2) == Decimal(text)
        assert (decimal == Decimal(text)) if fits else decimal == "type decimal(9,2)"


DATES = st.text(alphabet="0123456789-/ T:", max_size=11) | st.from_regex(
    r"[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]", fullmatch=True
)


@settings(max_examples=40, deadline=None)
@given(st.lists(DATES, min_size=1, max_size=40))
def test_dates_are_what_python_reads(texts: list[str]) -> None:
    for text, value in zip(texts, read(field(type="date"), *texts), strict=True):
        try:
            if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
                raise ValueError  # noqa: TRY301 - the same for both reasons
            expected: Any = datetime.date.fromisoformat(text)
        except ValueError:
            expected = "type date"
        assert value == expected


@pytest.mark.parametrize("layout", ["%d/%m/%Y", "%Y%m%d", "%d %b %Y", "%B %d, %Y", "%m-%d-%y", "%d.%m.%Y"])
def test_what_a_format_writes_is_read_back(layout: str) -> None:
    days = [datetime.date(2000, 1, 1) + datetime.timedelta(days=97 * step) for step in range(60)]
    assert read(field(type="date", format=layout), *(day.strftime(layout) for day in days)) == days


@pytest.mark.parametrize(
    "layout", ["%Y-%m-%dT%H:%M:%S", "%d/%m/%Y %I:%M:%S %p", "%Y%m%d%H%M%S%f", "%H:%M %d.%m.%y"]
)
def test_what_a_format_of_moments_writes_is_read_back(layout: str) -> None:
    for day, hour in itertools.product((1, 31), (0, 1, 11, 12, 13, 23)):
        moment = datetime.datetime(2024, 3, day, hour, 7, 0 if "%S" not in layout else 9)
        assert read(field(type="datetime", format=layout), moment.strftime(layout)) == [moment]
