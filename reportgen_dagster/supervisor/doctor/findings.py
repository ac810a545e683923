"""What an examination finds, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["fine", "warning", "problem", "not running"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to say of one thing.

    Attributes:
        check: What was looked at, as `database`.
        verdict: `problem`: reports cannot be made, or people's data is in danger; `warning`: worth a look.
        words: What was found.
        cure: How to mend it; empty if there is nothing to mend.
    """

    check: str
    verdict: Verdict
    words: str
    cure: str = ""


def fine(check: str, words: str) -> Finding:
    """Say that something is as it should be."""
    return Finding(check, "fine", words)


def warning(check: str, words: str, cure: str) -> Finding:
    """Say that something is worth a look."""
    return Finding(check, "warning", words, cure)


def problem(check: str, words: str, cure: str) -> Finding:
    """Say that something is wrong."""
    return Finding(check, "problem", words, cure)


def not_running(check: str) -> Finding:
    """Say that something could not be looked at, as it runs only while `up` does."""
    return Finding(check, "not running", "runs only with the service", "`reportgen up` starts it.")
