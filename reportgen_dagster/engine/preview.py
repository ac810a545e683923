"""The first rows after any step.

What belongs here: making them without a report. What does not: how queries are carried out (blocks.py).
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reportgen_dagster.contracts.contract import Contract
from reportgen_dagster.engine import ingest, report
from reportgen_dagster.engine.blocks import Blocks
from reportgen_dagster.engine.connection import engine_errors
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.outcome import PREVIEW_ROWS, Preview
from reportgen_dagster.engine.rows import MisquotedRowsError, refuse_lost_rows
from reportgen_dagster.engine.spool import REJECTED_FILE, Spool
from reportgen_dagster.engine.verdict import refuse_failures
from reportgen_dagster.errors import BadRequestError
from reportgen_dagster.rules.reading.ruleset import Ruleset


@dataclass(frozen=True, slots=True)
class StepPreview:
    """The first rows after a step.

    Attributes:
        columns: Name and type of each column.
        rows: The rows' cells as they would be written; null is none.
        preview: The same as a Markdown table.
        reject_count: Rows met on the way that are rejects; lines that cannot be read are not among them.
    """

    columns: list[dict[str, str]]
    rows: list[list[str | None]]
    preview: str
    reject_count: int

    def to_json(self) -> dict[str, Any]:
        """Return all of it as data for JSON."""
        return asdict(self)


def preview(
    ruleset: Ruleset,
    files: Mapping[str, Path],
    *,
    step: int | None,
    work: Path,
    limits: Limits,
    rows: int = PREVIEW_ROWS,
    parameters: Mapping[str, object] | None = None,
    run_date: datetime.date | None = None,
    contracts: Mapping[str, Contract] | None = None,
    whole: bool = True,
) -> StepPreview:
    """Show the first rows after a step.

    As far as one row stands for one of the input, the input is read only until there are enough.

    Args:
        ruleset: The rules.
        files: `input` and the name of each reference, with where the file is.
        step: After so many steps; 0: the input as it is read; None: the report.
        work: A folder with room for copies and spilled data.
        limits: What the preview may use.
        rows: At most so many.
        parameters: Values of the rules' parameters, of their types.
        run_date: What `today()` is.
        contracts: Contracts that come from Python instead of the rules.
        whole: The input is all of its file; otherwise a quote may be open at its end.

    Raises:
        BadRequestError: If the rules have fewer steps.
        ReportgenError: As `report.make_report`.
    """
    count = len(ruleset.document.steps)
    if step is not None and step > count:
        raise BadRequestError(f"there is no step {step}; the rules have {count}")
    request = ingest.Request(
        ruleset,
        files,
        parameters=parameters or {},
        run_date=run_date or datetime.datetime.now(datetime.UTC).date(),
        contracts=contracts or {},
        until=step,
    )
    given = ingest.ingest(request, work=work, limits=Limits(limits.memory, 1, limits.seconds, limits.temp))
    try:
        try:
            return _shown(report.validate(given), rows, whole=whole)
        except MisquotedRowsError:
            again = given.masked()
        with again.opened:
            return _shown(report.validate(again), rows, whole=whole)
    finally:
        given.close()


def _shown(plan: report.Plan, count: int, *, whole: bool) -> StepPreview:
    given, first = plan.ingested, Preview(count)
    with (
        engine_errors(given.limits, given.deadline),
        Spool(given.folder / REJECTED_FILE) as spool,
        Blocks(given, spool, lambda _: given.deadline.check()) as blocks,
    ):
        compiled = blocks.settled(plan.compiled)
        with blocks.rows(compiled) as batches:
            for batch in batches:
                first.add(batch)
                if first.is_full:
                    break
        refuse_failures(blocks.failures, compiled.rules)
        if whole and not (first.is_full and len(compiled.blocks) == 1):
            refuse_lost_rows(given.input, blocks.read_count, given.deadline)
        names = [column.name for column in compiled.columns]
        return StepPreview(
            columns=[{"name": column.name, "type": str(column.type)} for column in compiled.columns],
            rows=first.rows(),
            preview=first.markdown(names),
            reject_count=spool.count,
        )
