"""Judges whether rules fit the headers of files, before any row is read.

What belongs here: problems that need column names. What does not: problems that need none (loading.py) or rows (engine).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from reportgen_dagster.errors import Problem
from reportgen_dagster.rules.expressions import nearest
from reportgen_dagster.rules.loading import Ruleset


def check_columns(
    ruleset: Ruleset, *, input_columns: Sequence[str], reference_columns: Mapping[str, Sequence[str]]
) -> list[Problem]:
    """Return every problem that the rules have with these headers.

    Args:
        ruleset: The rules.
        input_columns: The input's columns.
        reference_columns: The columns of each reference; one that is not known yet is left out, and nothing is said of them.
    """
    problems = [
        problem
        for name in ruleset.reference_names
        if name in reference_columns
        for problem in _key_problems(name, input_columns, reference_columns[name])
    ]
    if all(name in reference_columns for name in ruleset.reference_names):
        known = dict.fromkeys(input_columns)
        for name in ruleset.reference_names:
            known |= dict.fromkeys(reference_columns[name])
        problems += _unknown_columns(ruleset, tuple(known))
    return problems


def _key_problems(
    name: str, input_columns: Sequence[str], reference_columns: Sequence[str]
) -> Iterator[Problem]:
    if set(input_columns) & set(reference_columns):
        return
    folded = {column.lower(): column for column in input_columns}
    close = [column for column in reference_columns if column.lower() in folded]
    hint = f"; `{close[0]}` and `{folded[close[0].lower()]}` differ by case" if close else ""
    yield Problem(
        f"no column is in both the input and the {name}, so there is no key to look rows up by{hint}",
        source=name,
    )


def _unknown_columns(ruleset: Ruleset, known: Sequence[str]) -> Iterator[Problem]:
    derived: set[str] = set()
    for derivation in ruleset.derivations:
        for name, place in derivation.problems_at.items():
            if name not in known and name not in derived:
                yield replace(place, message=f"unknown column `{name}`{nearest(name, known)}")
        if ruleset.form == "long":
            derived.add(derivation.name)
    for name, place in ruleset.copied_at.items():
        if name not in known:
            yield replace(place, message=f"unknown column `{name}`{nearest(name, (*known, *derived))}")
