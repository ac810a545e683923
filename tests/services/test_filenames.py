"""Names of clients' files are fit to be shown, whatever a client wrote."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reportgen_dagster.services.filenames import shown_filename


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("trades.csv", "trades.csv"),
        ("C:\\data\\trades.csv", "trades.csv"),
        ("../../etc/passwd", "passwd"),
        ("cafe\u0301.csv", "caf\u00e9.csv"),
        ("a\u200d\u0301.csv", "\u00e1.csv"),
        ("a\u202efdp\0.csv\r\n", "afdp.csv"),
        (" \u2028 ", "other"),
        ("a/b/..", "other"),
        ("\u00e9" * 300 + ".csv.gz", "\u00e9" * 124 + ".csv.gz"),
        ("x" * 300, "x" * 255),
    ],
)
def test_a_name_is_shown_without_what_harms(name: str, shown: str) -> None:
    assert shown_filename(name, "other") == shown


def test_what_is_taken_instead_is_short_too() -> None:
    assert shown_filename("", "\U0001f600" * 100 + ".csv") == "\U0001f600" * 62 + ".csv"


@given(name=st.text(max_size=400), ending=st.sampled_from(["", ".csv", ".csv.gz"]))
@example(name="a\u200d\u0301", ending=".csv")
@example(name="\U0001d15e" * 100, ending=".csv")
def test_every_name_is_normal_short_and_visible(name: str, ending: str) -> None:
    shown = shown_filename(name + ending, "other.csv")
    assert shown == unicodedata.normalize("NFC", shown) == shown_filename(shown, "other")
    assert 0 < len(shown.encode()) <= 255
    assert not set(shown) & {"/", "\\"}
    assert shown.endswith(ending)
    assert not any(unicodedata.category(letter)[0] == "C" for letter in shown)
