from __future__ import annotations

import pytest

from reportgen_dagster.services.passwords import (
    MAXIMUM_BYTES,
    hash_password,
    password_problems,
    verify_password,
)

OWN = ("ann.smith.of.somewhere@example.com", "Ann Smithson-Longname")


@pytest.mark.parametrize("password", ["pass123", "123456", "x" * MAXIMUM_BYTES])
def test_compat_takes_what_the_replaced_service_took(password: str) -> None:
    assert password_problems(password, "compat", own=OWN) == []


@pytest.mark.parametrize(
    "password", ["a long sentence of mine", "gf8-Qk2_xx91Lm0", "überraschend viel Kaffee", "h" * 20 + "jkl9"]
)
def test_strict_takes_what_is_long_and_nobody_thinks_of(password: str) -> None:
    assert password_problems(password, "strict", own=OWN) == []


@pytest.mark.parametrize(
    "password",
    [
        *("pass123", "14 characters!", "x" * 1025),
        *("passwordpassword", "PasswordPassword", "correcthorsebatterystaple", "123456789012345"),
        *("qwertyuiopasdfghjkl", "supersecretpassword2026", "thisismypassword!!", "monkeymonkeymonkey"),
        *("aaaaaaaaaaaaaaaaaaaa", "abababababababab", "maytheforcebewithyou99"),
        *(
            "ann.smith.of.somewhere@example.com",
            "ann.smith.of.somewhere",
            "Ann Smithson-Longname",
            "annsmithson-longname1",
        ),
    ],
)
def test_strict_refuses_what_is_short_or_easily_thought_of(password: str) -> None:
    (problem,) = password_problems(password, "strict", own=OWN, path="new")
    assert problem.path == "new"


def test_no_password_fits_an_account_that_is_not_there() -> None:
    known = hash_password("pass123")
    assert verify_password("pass123", known) == (True, None)
    assert verify_password("pass124", known)[0] is False
    assert verify_password("pass123", None)[0] is False
    assert verify_password("x" * 5000, known)[0] is False
