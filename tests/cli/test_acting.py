"""Names with versions and spans of time, as the command line reads them."""

from __future__ import annotations

import pytest

from reportgen_dagster.cli.acting import pick_of
from reportgen_dagster.services.reports import Pick
from reportgen_dagster.sizes import second_count, span_text


@pytest.mark.parametrize(
    ("text", "pick"),
    [
        ("trades", Pick("trades")),
        ("trades@3", Pick("trades", 3)),
        ("trades@latest", Pick("trades")),
        ("a@b", Pick("a@b")),
        ("a@2@latest", Pick("a@2")),
        ("a@2@5", Pick("a@2", 5)),
        ("@3", Pick("@3")),
        ("trades@", Pick("trades@")),
    ],
)
def test_a_name_may_have_a_version(text: str, pick: Pick) -> None:
    assert pick_of(text) == pick


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), (" 2 h ", 7200), ("1d", 86_400), ("0s", 0)]
)
def test_spans_are_read(text: str, seconds: int) -> None:
    assert second_count(text) == seconds
    assert second_count(span_text(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "1.5h", "-1s", "1w", "2h30m", "9999999999s"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a span of time"):
        second_count(text)


@pytest.mark.parametrize(("seconds", "text"), [(86_400, "1d"), (7200, "2h"), (5400, "90m"), (61, "61s")])
def test_spans_are_shown_without_fractions(seconds: int, text: str) -> None:
    assert span_text(seconds) == text
