"""Makes a report from texts, for the tests of the engine."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.outcome import Outcome
from reportgen_dagster.engine.report import make_report
from reportgen_dagster.rules.loading import load_ruleset

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
    files = {}
    for name, content in (("input", data), ("reference", reference)):
        files[name] = folder / f"{name}.uploaded"
        files[name].write_bytes(content.encode() if isinstance(content, str) else content)
    output, rejects, work = folder / "report.csv", folder / "rejects.csv", folder / "work"
    work.mkdir(exist_ok=True)
    try:
        outcome = make_report(
            rules(**formulas), files, output=output, rejects=rejects, work=work, limits=limits
        )
    except Exception:
        assert not output.exists()
        assert not rejects.exists()
        raise
    finally:
        assert list(work.iterdir()) == []
    assert outcome.input_count == outcome.row_count + outcome.reject_count
    assert rejects.exists() == (outcome.reject_count > 0)
    rows = None
    if rejects.exists():
        rows = list(csv.DictReader(io.StringIO(rejects.read_bytes().decode(), newline="")))
        assert len(rows) == outcome.reject_count
        assert outcome.reject_samples == rows[:5]
    return Made(outcome, output.read_bytes().decode(), rows)
