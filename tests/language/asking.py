"""Asks the language what it does, through its public face: rules as texts, files as texts, reports and problems back.

What belongs here: ways to ask. What does not: what the answer has to be.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from reportgen_dagster.cli.main import main
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.errors import BadDataError, Problem, RulesError
from reportgen_dagster.rules.reading.loading import load_ruleset
from tests.engine.making import REFERENCE, Made, carry_out, make, rejects_in

LIMITS = Limits(memory="300MB")
FORKING = ("run", "preview", "infer")
ROOT = Path(__file__).parents[2]


class Asking:
    """Makes reports, each in a folder of its own."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._numbers = count(1)
        self.folder = home

    def new_folder(self) -> Path:
        self.folder = self._home / str(next(self._numbers))
        self.folder.mkdir()
        return self.folder

    def short(self, data: bytes | str, reference: bytes | str = REFERENCE, **formulas: str) -> Made:
        """Make a report by formulas."""
        return make(self.new_folder(), data, reference, limits=LIMITS, **formulas)

    def long(
        self,
        text: str,
        data: bytes | str,
        *,
        limits: Limits = LIMITS,
        options: Mapping[str, Any] | None = None,
        **references: bytes | str,
    ) -> Made:
        """Make a report by rules in the long form, whose first line is added."""
        return self._made(text, data, references, limits=limits, options=options)

    def _made(
        self,
        text: str,
        data: bytes | str,
        references: Mapping[str, bytes | str],
        *,
        limits: Limits = LIMITS,
        options: Mapping[str, Any] | None = None,
    ) -> Made:
        ruleset = load_ruleset(f"version: 1\n{text}")
        return carry_out(self.new_folder(), ruleset, data, references, limits=limits, **(options or {}))

    def steps(self, steps: str, data: bytes | str, **references: bytes | str) -> list[str]:
        """Return the lines of the report that some steps make, one step a line."""
        return self._made(f"steps:\n{_listed(steps)}", data, references).lines

    def rejected(self, steps: str, data: bytes | str, **references: bytes | str) -> list[dict[str, str]]:
        """Return the rejects that some steps make."""
        return self._made(f"steps:\n{_listed(steps)}", data, references).rejects or []

    def failing(self, text: str, data: bytes | str, **references: bytes | str) -> BadDataError:
        """Return why a run fails."""
        with pytest.raises(BadDataError) as caught:
            self._made(text, data, references)
        return caught.value

    def failing_steps(self, steps: str, data: bytes | str, **references: bytes | str) -> str:
        """Return why a run by these steps fails, in words."""
        return _words(self.failing(f"steps:\n{_listed(steps)}", data, **references).problems)

    def refused_steps(self, steps: str, data: bytes | str, **references: bytes | str) -> str:
        """Return why steps are refused once the files are known."""
        with pytest.raises(RulesError) as caught:
            self.steps(steps, data, **references)
        return _words(caught.value.problems)

    def rejects_left(self) -> list[dict[str, str]]:
        """Return the rejects of the last run, also if it failed."""
        return rejects_in(self.folder) or []

    def values(
        self, expressions: Sequence[str], data: str = "x\n1\n", contract: str = ""
    ) -> list[str | None]:
        """Return what expressions are on a file of one row: as they are written; None where they are an error on it."""
        rows = self.rows(expressions, data, contract)
        assert len(rows) == 1
        return rows[0]

    def rows(self, expressions: Sequence[str], data: str, contract: str = "") -> list[list[str | None]]:
        """Return what expressions are on each row of a file.

        An error on a row is None; it is asked for by `if_error`, whose own test is that of the rejects.
        """
        derived = {
            f"v{number}": f"if_error(text({text}), '<error>')" for number, text in enumerate(expressions)
        }
        steps = json.dumps([{"derive": derived}, {"select": [*derived]}])
        made = self.long(f"{contract}\nsteps: {steps}", data)
        assert made.rejects is None, made.rejects
        rows = [*csv.reader(made.report.splitlines())][1:]
        return [[None if cell == "<error>" else cell for cell in row] for row in rows]


def _listed(steps: str) -> str:
    return "\n".join(f"  - {line.strip()}" for line in steps.strip().splitlines())


def _words(problems: Sequence[Problem]) -> str:
    return "\n".join(map(str, problems))


def refused(text: str, *, syntax: Any = "yaml", version: bool = True) -> str:
    """Return every problem that rules have by themselves, one a line."""
    with pytest.raises(RulesError) as caught:
        load_ruleset(f"version: 1\n{text}" if version else text, syntax=syntax)
    return _words(caught.value.problems)


def refused_expression(expression: str, step: str = "derive") -> str:
    """Return why an expression is refused."""
    under = {"aggregate": "measures", "window": "columns"}.get(step)
    body: Any = {"new": expression}
    return refused(f"steps: {json.dumps([{step: {under: body} if under else body}])}")


@dataclass(frozen=True)
class Told:
    """What a command said."""

    code: int
    out: str
    err: str


class Command:
    """Calls `reportgen` in a folder of its own: in this process, or as a program where it forks one that computes.

    Polars may have computed in this process, and what is forked then would wait for threads that are gone.
    """

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.chdir(folder)
        monkeypatch.setenv("COLUMNS", "300")

    def __call__(self, *arguments: str, **files: str) -> Told:
        """Write files, `rules` as rules.yaml and others as CSV, and call a command."""
        for name, text in files.items():
            (self.folder / ("rules.yaml" if name == "rules" else f"{name}.csv")).write_text(text)
        if arguments[0] in FORKING:
            return self._program(arguments)
        self._monkeypatch.setattr(sys, "argv", ["reportgen", *arguments])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = self._capsys.readouterr()
        return Told(int(caught.value.code or 0), out, err)

    def _program(self, arguments: Sequence[str]) -> Told:
        command = [sys.executable, "-m", "reportgen_dagster.cli.main", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120
        )
        return Told(done.returncode, done.stdout, done.stderr)
