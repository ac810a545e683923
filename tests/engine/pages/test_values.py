"""Numbers, dates and times are written as their format and their readers' country have it."""

from __future__ import annotations

import datetime
import random
import re
from decimal import ROUND_HALF_UP, Context, Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from babel.numbers import format_decimal

from reportgen_dagster.engine.pages.values import Values
from reportgen_dagster.rules.reading.cell_formats import cell_format

MOMENT = datetime.datetime(2026, 3, 7, 9, 5, 4)
DECIMAL = pa.decimal128(38, 9)


def _written(value: Any, code: str, locale: str = "en", type_: pa.DataType = DECIMAL) -> str:
    return (
        Values(locale).writer(type_, cell_format(code))(value).replace("\u00a0", " ").replace("\u202f", " ")
    )


@pytest.mark.parametrize(
    ("code", "value", "locale", "text"),
    [
        ("0", "1234.5", "en", "1235"),
        ("0", "-0.4", "en", "0"),
        ("000", "7", "en", "007"),
        ("0.00", "-0.005", "en", "-0.01"),
        ("0.00", "2.675", "en", "2.68"),
        ("0.0##", "1.5", "en", "1.5"),
        ("0.0##", "1.23456", "en", "1.235"),
        ("0.##", "3", "en", "3"),
        ("#,##0", "999", "en", "999"),
        ("#,##0", "1234567", "en", "1,234,567"),
        ("#,##0.00", "1234567.891", "de", "1.234.567,89"),
        ("#,##0.00", "1234567.891", "fr", "1 234 567,89"),
        ("#,##0.00", "1234567.891", "da", "1.234.567,89"),
        ("#,##0", "123456789", "en_IN", "12,34,56,789"),
        ("0%", "0.125", "en", "13%"),
        ("0.0%", "-0.125", "de", "-12,5%"),
        ("0.0 %", "0.125", "de", "12,5 %"),
        ("#,##0.00 €", "-1234.5", "de", "-1.234,50 €"),
        ("$#,##0", "-1234.5", "en", "-$1,235"),
        ('"about "0" pieces"', "3", "en", "about 3 pieces"),
        ("#,##0", "12345678901234567890123456789.999999999", "en", "12,345,678,901,234,567,890,123,456,790"),
    ],
)
def test_numbers(code: str, value: str, locale: str, text: str) -> None:
    assert _written(Decimal(value), code, locale) == text


def test_doubles_are_rounded_as_they_are_written() -> None:
    assert _written(2.675, "0.00", type_=pa.float64()) == "2.68"
    assert _written(1e300, "0.0", type_=pa.float64()) == f"1{'0' * 300}.0"


@pytest.mark.parametrize("locale", ["en", "de", "fr", "hi", "es", "sv", "ar", "ja", "pl", "pt_BR"])
def test_babel_agrees_on_marks_and_groups(locale: str) -> None:
    chosen = random.Random(locale)  # noqa: S311 - test data
    context = Context(prec=60, rounding=ROUND_HALF_UP)
    pattern = "#,##,##0.00" if locale == "hi" else "#,##0.00"
    for _ in range(50):
        value = Decimal(chosen.randrange(10**12)).scaleb(-3)
        told = format_decimal(value.quantize(Decimal("0.01"), context=context), format=pattern, locale=locale)
        assert _written(value, "#,##0.00", locale) == told.replace("\u00a0", " ").replace("\u202f", " ")


@pytest.mark.parametrize(
    ("code", "locale", "text"),
    [
        ("dd.mm.yyyy", "de", "07.03.2026"),
        ("d/m/yy", "en", "7/3/26"),
        ("d. mmmm yyyy", "de", "7. März 2026"),
        ("d mmm yyyy", "en", "7 Mar 2026"),
        ("yyyy-mm-dd hh:mm:ss", "en", "2026-03-07 09:05:04"),
        ("h:mm", "en", "9:05"),
        ("mm:ss", "en", "05:04"),
        ('"week of "d"/"m', "en", "week of 7/3"),
        ('YYYY"m%d\'"', "en", "2026m%d'"),
    ],
)
def test_dates_and_times(code: str, locale: str, text: str) -> None:
    assert _written(MOMENT, code, locale, pa.timestamp("us")) == text


def test_at_writes_a_value_as_the_csv_file_has_it() -> None:
    assert _written(Decimal("1234.50"), "@", "de") == "1234.50"
    assert _written(MOMENT.date(), "@", "de", pa.date32()) == "2026-03-07"
    assert _written(MOMENT, "@", "de", pa.timestamp("us")) == "2026-03-07T09:05:04"
    assert _written(15.0, "@", "de", pa.float64()) == "15"
    assert _written("text", "@", "de", pa.string()) == "text"


PAGE = (Path(__file__).parents[3] / "docs" / "rules" / "presentation.md").read_text()
EXAMPLES = re.findall(r"^\| `(.+?)` \| `(.+?)` \| `(.+?)` \| `(.+?)` \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("code", "value", "english", "german"), EXAMPLES)
def test_the_page_of_the_documentation_tells_the_truth(
    code: str, value: str, english: str, german: str
) -> None:
    told: Any = Decimal(value) if re.fullmatch(r"[-0-9.]+", value) and value.count("-") < 2 else None
    type_ = DECIMAL
    if told is None:
        kinds = {"T": (datetime.datetime, pa.timestamp("us")), "-": (datetime.date, pa.date32())}
        kind, type_ = next((kinds[mark] for mark in "T-" if mark in value), (datetime.time, pa.time64("us")))
        told = kind.fromisoformat(value)
    assert [_written(told, code, locale, type_) for locale in ("en", "de")] == [english, german]


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == 15
