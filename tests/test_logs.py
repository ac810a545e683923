"""Log lines are whole lines, say what they are about, and hold no secrets."""

from __future__ import annotations

import json
import logging
import threading
from contextvars import copy_context
from typing import Any

import pytest

from reportgen_dagster import logs

NAME = "of_this_test"  # below none that is configured already
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
log = logging.getLogger(NAME)
log.setLevel(logging.INFO)


def configure(form: str, *secrets: str) -> None:
    logs.configure(form, "info", secrets=secrets, loggers=(NAME,))  # type: ignore[arg-type]


def fail(message: str) -> None:
    raise ValueError(message)


def one_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (line,) = capsys.readouterr().err.splitlines()
    return dict(json.loads(line))


def test_json_lines_have_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json")
    with logs.lines_about(request_id="r1"), logs.lines_about(attempt="d1"):
        logs.note(user_id="u1")
        log.warning("%s of %s", 1, 2)
    line = one_line(capsys)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": NAME,
        "message": "1 of 2",
        "request_id": "r1",
        "attempt": "d1",
        "user_id": "u1",
    }


def test_what_a_thread_of_a_request_finds_out_is_known_to_the_request(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure("json")
    with logs.lines_about(request_id="r1"):
        context = copy_context()
        thread = threading.Thread(target=lambda: context.run(logs.note, user_id="u1"))
        thread.start()
        thread.join()
        log.info("answered")
    assert one_line(capsys)["user_id"] == "u1"
    log.info("later")
    assert "user_id" not in one_line(capsys)


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "message",
    [
        "Authorization: Bearer abc.def-ghi",
        f"token {JWT} expired",
        "refresh rg_rt_abcdefghijkl was used",
        "postgresql://reportgen:hunter22@host/db",
        "signed with whsec_abcdefgh",
        'body {"password": "hunter22"}',
        "the very-own-key of this installation",
    ],
)
def test_secrets_are_blacked_out(form: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure(form, "very-own-key", "short")
    log.error("%s", message)
    try:
        fail(message)
    except ValueError:
        log.exception("it failed")
    told = capsys.readouterr().err
    assert told.count(logs.REDACTED) >= 2
    for secret in ("abc.def", "eyJ", "abcdefgh", "hunter22", "very-own-key"):
        assert secret not in told


def test_short_secrets_and_ordinary_words_stay(capsys: pytest.CaptureFixture[str]) -> None:
    configure("text", "a", "")
    log.info("a refresh token was used twice; session 0a1b ended")
    assert "a refresh token was used twice; session 0a1b ended" in capsys.readouterr().err


def test_nothing_can_look_like_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    configure("text")
    forged = "x\r\n2026-01-01T00:00:00Z INFO forged [-] y\x1b[31m\u2028z"
    with logs.lines_about(request_id=forged):
        log.info("%s", forged)
        try:
            fail(forged)
        except ValueError:
            log.exception("it failed")
    lines = capsys.readouterr().err.split("\n")
    began = [line for line in lines if not line.startswith("    ")]
    assert len(began) == 3, "two lines and what follows the last line's end"
    assert not any("\x1b" in line or "\r" in line or "\u2028" in line for line in lines)


def test_json_lines_are_single_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json")
    try:
        fail("a\nb")
    except ValueError:
        log.exception("c\nd")
    line = one_line(capsys)
    assert line["message"] == "c\nd"
    assert line["exception"].endswith("ValueError: a\nb")


def test_the_least_level_of_our_lines_is_that_of_the_setting(capsys: pytest.CaptureFixture[str]) -> None:
    ours = logging.getLogger("reportgen_dagster.of_this_test")
    logs.configure("text", "warning")
    ours.info("unheard")
    ours.warning("heard")
    logs.configure("text", "info")
    ours.info("heard again")
    told = capsys.readouterr().err
    assert [line.split("] ")[1] for line in told.splitlines()] == ["heard", "heard again"]
