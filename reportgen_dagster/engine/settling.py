"""The plan of a report with all of its columns, also those that only rows can tell.

What belongs here: carrying out what pivots ask, for who wants to see the plan. What does not: how (blocks.py).
"""

from __future__ import annotations

from pathlib import Path

from reportgen_dagster.engine import report
from reportgen_dagster.engine.blocks import Blocks
from reportgen_dagster.engine.connection import engine_errors
from reportgen_dagster.engine.ingest import Request, ingest
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.spool import REJECTED_FILE, Spool
from reportgen_dagster.rules.compiling.plan import Plan


def settled_plan(request: Request, *, work: Path, limits: Limits) -> Plan:
    """Return the plan that makes a report, for its files' rows.

    Args:
        request: What the report is made of.
        work: A folder with room for copies and spilled data.
        limits: What may be used.

    Raises:
        ReportgenError: As `report.make_report`.
    """
    given = ingest(request, work=work, limits=limits)
    try:
        plan = report.validate(given)
        with (
            engine_errors(given.limits, given.deadline),
            Spool(given.folder / REJECTED_FILE) as spool,
            Blocks(given, spool, lambda _: given.deadline.check()) as blocks,
        ):
            return blocks.settled(plan.compiled)
    finally:
        given.close()
