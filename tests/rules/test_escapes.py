"""No expression reaches a file, a setting or the environment: hundreds written by hand, thousands made at random."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules.hostile import ANSWER_SECONDS, FORMS, SECRET, Range, escapes, judge_many, judged

GENERATED = 3_000
# What may pass reads like an escape and is none: names of columns, literals, functions. None of it holds such a word ...
_HARMFUL_WORDS = (
    "/etc",
    "read_",
    "getenv",
    "select",
    "attach",
    "copy",
    "pragma",
    "install",
    "duckdb_",
    "query",
)
# ... but this: a text in a formula, and the name of a column that no file has elsewhere. It is run like the others.
_ONLY_QUOTED = '"a""; select 1; --"'


def test_there_are_hundreds_of_escapes() -> None:
    assert len(set(escapes())) >= 300


@pytest.mark.parametrize("form", FORMS)
def test_no_escape_gets_out(form: str, tmp_path: Path) -> None:
    place = Range(tmp_path)
    for escape in escapes():
        ruleset, seconds = judged(escape.replace("/etc/passwd", str(place.secret)), form)
        assert seconds < 20 * ANSWER_SECONDS, escape
        if ruleset is None:
            continue
        harmful = any(word in escape.lower() for word in _HARMFUL_WORDS)
        assert escape == _ONLY_QUOTED or not harmful, escape
        told = place.run(ruleset)
        assert SECRET not in told, escape
        assert "root:" not in told, escape


def test_no_random_expression_gets_out_or_breaks_the_engine() -> None:
    passed, slowest, _ = judge_many(GENERATED, seed=7)
    assert passed > 0
    assert slowest < 20 * ANSWER_SECONDS
