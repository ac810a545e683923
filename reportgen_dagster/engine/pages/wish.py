"""What pages are made of beside the rows: the report's columns, how it is to look, and what is known of the run.

What belongs here: data. What does not: what is done with it (content.py).
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
class RunFacts:
    """What is known of the run.

    Attributes:
        report: The report's name.
        run_id: The run's id.
        made_at: When the report is as of, with a zone; the same moment gives the same bytes.
        rules: Which rules, with their version, in words.
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
