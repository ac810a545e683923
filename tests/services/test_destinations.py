"""What is said of the destinations of a report when it is put: everything that is wrong, at once."""

from __future__ import annotations

from typing import Any

import pytest

from reportgen_dagster.errors import BadRequestError
from reportgen_dagster.services import reports
from reportgen_dagster.services.destinations import MAX_DESTINATIONS
from tests.services.conftest import World
from tests.services.delivering import SECRET, deliver
from tests.services.named import make_parts, put_report

EMAIL = {"email": {"to": ["ann@example.com"]}}
HOOK = {"webhook": {"url": "https://example.com/hook", "secret": "partner"}}
COPY = {"copy": {"url": "s3://bucket/prefix"}}


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPORTGEN_SECRET_PARTNER", SECRET)
    monkeypatch.setenv("REPORTGEN_SECRET_WEAK", "whsec_short")
    monkeypatch.setenv("REPORTGEN_SECRET_KEY", SECRET)
    monkeypatch.setenv("REPORTGEN_SECRET_SMTP_PASSWORD", SECRET)


def wrong(world: World, *given: Any, **wishes: Any) -> dict[str, str]:
    """Return what is wrong with destinations, by its place."""
    with pytest.raises(BadRequestError) as caught:
        put_report(world, "daily", deliveries=given, **wishes)
    return {problem.path.removeprefix("deliveries"): problem.message for problem in caught.value.problems}


def test_sound_destinations_are_kept_as_they_are_and_replaced_as_a_whole(world: World) -> None:
    given = [
        {**EMAIL, "on": ["success", "late"]},
        HOOK,
        {"copy": {"url": "s3://bucket/prefix", "formats": ["csv"]}},
    ]
    deliver(world, *given, fresh_within_seconds=3600)
    assert reports.get_report(world.context, world.ann, "daily").deliveries == given
    deliver(world, EMAIL)
    assert reports.get_report(world.context, world.ann, "daily").deliveries == [EMAIL]
    deliver(world)
    assert reports.get_report(world.context, world.ann, "daily").deliveries == []


def test_everything_that_is_wrong_is_told_at_once_with_its_place(world: World) -> None:
    make_parts(world)
    found = wrong(
        world,
        {"email": {"to": ["ann@example.com", "no address", "a@example.com\nBcc: eve@example.com"]}},
        {"webhook": {"url": "http://example.com", "secret": "nobody"}},
        {"copy": {"url": "ftp://x", "formats": ["csv", "papyrus"]}},
        {},
        {**EMAIL, **COPY},
        {**HOOK, "on": ["late"]},
        settle_seconds=0,
    )
    assert {place: words.split(".")[0].split(":")[0] for place, words in found.items()} == {
        "settle_seconds": "1 to 31,622,400 are possible",
        "[0].email.to[1]": "An email address must have an @-sign",
        "[0].email.to[2]": "The part after the @-sign contains invalid characters",
        "[1].webhook.url": "must begin with https",
        "[1].webhook.secret": "There is no secret `nobody`",
        "[2].copy.url": "must be as s3",
        "[2].copy.formats[1]": "there is no format papyrus; there is csv, json, ndjson, parquet, xlsx, html, pdf",
        "[3]": "one of email, webhook, copy is needed, and only one",
        "[4]": "one of email, webhook, copy is needed, and only one",
        "[5].on": "late",
    }


def test_what_has_another_shape_is_told_with_its_place(world: World) -> None:
    make_parts(world)
    for given, place in (
        ("text", "[0]"),
        ({"fax": {}}, "[0].fax"),
        ({"email": {"to": []}}, "[0].email.to"),
        ({"email": {"to": "ann@example.com"}}, "[0].email.to"),
        ({"email": {"to": [7]}}, "[0].email.to[0]"),
        ({"email": {"to": ["ann@example.com"], "cc": []}}, "[0].email.cc"),
        ({"webhook": {"url": "https://example.com"}}, "[0].webhook.secret"),
        ({**HOOK, "on": ["sometimes"]}, "[0].on[0]"),
        ({**HOOK, "on": []}, "[0].on"),
        ({"email": {"to": ["ann@example.com"] * 51}}, "[0].email.to"),
    ):
        assert list(wrong(world, given)) == [place]
    assert list(wrong(world, *[HOOK] * (MAX_DESTINATIONS + 1))) == [""]


def test_secrets_that_are_not_for_signing_are_refused_and_not_shown(world: World) -> None:
    make_parts(world)
    for name in ("key", "smtp_password", "KEY", "../../secret_key", "weak", "a b", "x" * 65):
        found = wrong(world, {"webhook": {"url": "https://example.com", "secret": name}})
        assert list(found) == ["[0].webhook.secret"]
        assert "short" not in str(found)
        assert SECRET.removeprefix("whsec_") not in str(found)


def test_files_that_no_run_makes_are_not_delivered(world: World) -> None:
    make_parts(world)
    excel = {"email": {"to": ["ann@example.com"], "formats": ["csv", "xlsx"]}}
    words = "its runs make csv, not xlsx; name it among the report's formats"
    assert wrong(world, EMAIL, excel) == {"[1].email.formats[1]": words}
    deliver(world, excel, formats=["xlsx", "csv"])
    assert reports.get_report(world.context, world.ann, "daily").deliveries == [excel]
