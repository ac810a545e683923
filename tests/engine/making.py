"""Makes reports from texts, for the tests of the engine."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.outcome import Outcome
from reportgen_dagster.engine.report import make_report
from reportgen_dagster.rules.reading.loading import load_ruleset
from reportgen_dagster.rules.reading.ruleset import Ruleset

REJECTS = "rejects.csv"
REFERENCE = b"key,label\nk1,one\nk2,two\n"


@dataclass(frozen=True)
class Made:
    """A report that was made: what came out, the report's text and the rows of the rejects file."""

    outcome: Outcome
    report: str
    rejects: list[dict[str, str]] | None

    @property
    def lines(self) -> list[str]:
        return self.report.splitlines()


def rules(**formulas: str):
    """Return a ruleset with these formulas."""
    text = json.dumps([{"output": output, "formula": formula} for output, formula in formulas.items()])
    return load_ruleset(text, syntax="json")


def make(
    folder: Path,
    data: bytes | str,
    reference: bytes | str = REFERENCE,
    *,
    limits: Limits = Limits(memory="200MB"),  # noqa: B008 - frozen
    **formulas: str,
) -> Made:
    """Make a report of an input and a reference with these formulas, and see that the work folder is left empty."""
    return carry_out(folder, rules(**formulas), data, {"reference": reference}, limits=limits)


def make_long(
    folder: Path,
    text: str,
    data: bytes | str,
    limits: Limits = Limits(memory="200MB"),  # noqa: B008 - frozen
    options: Mapping[str, Any] | None = None,
    **references: bytes | str,
) -> Made:
    """Make a report by rules in the long form, whose first line `version: 1` is added."""
    ruleset = load_ruleset(f"version: 1\n{text}")
    return carry_out(folder, ruleset, data, references, limits=limits, **(options or {}))


def carry_out(
    folder: Path,
    ruleset: Ruleset,
    data: bytes | str,
    references: Mapping[str, bytes | str],
    *,
    limits: Limits,
    **options: Any,
) -> Made:
    """Make a report and see that all rows are accounted for and nothing is left in the work folder."""
    files = {}
    for name, content in {"input": data, **references}.items():
        files[name] = folder / f"{name}.uploaded"
        files[name].write_bytes(content.encode() if isinstance(content, str) else content)
    output, work = folder / "report.csv", folder / "work"
    work.mkdir(exist_ok=True)
    for old in (output, folder / REJECTS):
        if not old.is_symlink():
            old.unlink(missing_ok=True)
    try:
        outcome = make_report(
            ruleset,
            files,
            outputs={"csv": output},
            rejects=folder / REJECTS,
            work=work,
            limits=limits,
            **options,
        )
    except BaseException:
        assert not output.exists()
        raise
    finally:
        assert list(work.iterdir()) == []
    assert outcome.input_count == outcome.used_count + outcome.reject_count
    rows = rejects_in(folder)
    assert (rows is not None) == (outcome.reject_count > 0)
    assert len(rows or ()) == outcome.reject_count
    assert outcome.reject_samples == (rows or [])[:5]
    return Made(outcome, output.read_bytes().decode(), rows)


def rejects_in(folder: Path) -> list[dict[str, str]] | None:
    """Return the rows of the rejects file, if there is one."""
    path = folder / REJECTS
    if not path.exists():
        return None
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))
