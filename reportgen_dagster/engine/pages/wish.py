"""What pages are made of beside the rows: the report's columns, how it is to look, and what is known of the run.

What belongs here: data. What does not: what is done with it (content.py).
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reportgen_dagster.engine.ingest import OUTPUT, Request
from reportgen_dagster.engine.outcome import Outcome
from reportgen_dagster.formats import Format
from reportgen_dagster.rules.reading.document import LongForm
from reportgen_dagster.rules.reading.presentation import Presentation


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file that the report was made from.

    Attributes:
        role: `input`, or the reference's name.
        name: What its owner knows it by, perhaps with a version.
        row_count: Its rows, the header not counted.
    """

    role: str
    name: str
    row_count: int


@dataclass(frozen=True, slots=True)
class Occasion:
    """What whoever has a report made knows of it and the engine does not.

    Attributes:
        report: The report's name.
        run_id: The run's id; may be empty.
        made_at: When the report is as of, with a zone.
        rules: Which rules, with their version, in words; may be empty.
        file_names: What the owner knows each file by.
    """

    report: str
    run_id: str
    made_at: datetime.datetime
    rules: str
    file_names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of the run.

    Attributes:
        report: The report's name.
        run_id: The run's id; may be empty.
        made_at: When the report is as of, with a zone; the same moment gives the same bytes.
        rules: Which rules, with their version, in words; may be empty.
        files: What it was made from.
        input_count: Rows of the input.
        used_count: Those that were used.
        reject_count: Those that were rejected.
        contracts: As in `Outcome`: for each file with a contract, and for the `output`, `passed` and `failures`.
        broken: `Outcome.rules`: what was broken on how many rows.
        warnings: `Outcome.warnings`.
        reject_samples: `Outcome.reject_samples`.
    """

    report: str
    run_id: str
    made_at: datetime.datetime
    rules: str
    files: Sequence[FileFacts]
    input_count: int
    used_count: int
    reject_count: int
    contracts: Mapping[str, Mapping[str, Any]]
    broken: Sequence[Mapping[str, Any]] = ()
    warnings: Sequence[str] = ()
    reject_samples: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True, slots=True)
class PagesWish:
    """What the pages are to show.

    Attributes:
        title: The title of the rules; `presentation.title` goes before it.
        description: What the report is for.
        presentation: What the rules say of pages.
        facts: What is known of the run.
        whole_table: Where all rows are, in words that go on behind "it is", as `in the CSV and Excel files of this run`.
    """

    title: str
    description: str
    presentation: Presentation
    facts: RunFacts
    whole_table: str


_NAMES = {"csv": "CSV", "json": "JSON", "ndjson": "NDJSON", "parquet": "Parquet", "xlsx": "Excel"}


def unknown_occasion(request: Request) -> Occasion:
    """Return what can be told of a report that somebody has made without a service."""
    return Occasion(
        report=request.ruleset.document.title or request.ruleset.source,
        run_id="",
        made_at=datetime.datetime.combine(request.run_date, datetime.time(), tzinfo=datetime.UTC),
        rules=request.ruleset.source,
        file_names={name: path.name for name, path in request.files.items()},
    )


def pages_wish(
    document: LongForm, outcome: Outcome, occasion: Occasion, formats: Sequence[Format]
) -> PagesWish:
    """Return what the pages of a report are to show.

    Args:
        document: The rules.
        outcome: What came out.
        occasion: What whoever had it made knows.
        formats: All files of the run.
    """
    facts = RunFacts(
        report=occasion.report,
        run_id=occasion.run_id,
        made_at=occasion.made_at,
        rules=occasion.rules,
        files=[
            FileFacts(name, occasion.file_names.get(name, name), facts["rows"])
            for name, facts in outcome.files.items()
        ],
        input_count=outcome.input_count,
        used_count=outcome.used_count,
        reject_count=outcome.reject_count,
        contracts={
            name: kept
            for name, kept in outcome.contracts.items()
            if name != OUTPUT or _has_contract(document)
        },
        broken=outcome.rules,
        warnings=outcome.warnings,
        reject_samples=outcome.reject_samples,
    )
    description = document.description or ""
    return PagesWish(
        document.title or occasion.report, description, document.presentation, facts, _whole_table(formats)
    )


def _has_contract(document: LongForm) -> bool:
    return document.output is not None and document.output.schema_ is not None


def _whole_table(formats: Sequence[Format]) -> str:
    names = [_NAMES[name] for name in formats if name in _NAMES]
    if not names:
        return "in no file of this run, whose formats are those of pages alone"
    listed = " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]
    return f"in the {listed} {'files' if len(names) > 1 else 'file'} of this run"
