"""`reportgen runs`: the runs of the account that one signed in with, on its service."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from reportgen_dagster.cli.acting import OutputOption, write_copy
from reportgen_dagster.cli.asking import (
    ContextOption,
    ListOutputOption,
    asking,
    is_watched,
)
from reportgen_dagster.cli.output import JsonOption, print_json, progress_bar
from reportgen_dagster.cli.showing import moment, say, table
from reportgen_dagster.errors import CancelledError, error_from_json

if TYPE_CHECKING:
    from reportgen_client import Run

app = typer.Typer()

RunArgument = Annotated[str, typer.Argument(help="The run's id.", metavar="RUN")]
State = Literal["accepted", "running", "succeeded", "failed", "cancelled"]


@app.command("list")
def list_command(
    limit: Annotated[int, typer.Option("--limit", help="At most so many.", min=1)] = 20,
    report: Annotated[
        str | None, typer.Option("--report", help="Only those of this report.", metavar="REPORT")
    ] = None,
    state: Annotated[State | None, typer.Option("--state", help="Only those in this state.")] = None,
    output: ListOutputOption = "table",
    context: ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the runs, the last accepted first, whatever started them."""
    with asking(context) as client:
        found = list(islice(client.runs(report=report, state=state, limit=min(limit, 200)), limit))
    if as_json or output == "json":
        print_json({"runs": [run.facts for run in found]})
        return
    rows = [
        (run.id, _accepted(run), str(run.facts["report_name"]), str(run.facts["trigger"]), outcome(run.facts))
        for run in found
    ]
    head = ("RUN", "ACCEPTED", "REPORT", "BY", "OUTCOME")
    say(*(table(head, rows) if rows else ["There is no such run."]))


@app.command("show")
def show_command(run_id: RunArgument, context: ContextOption = None, as_json: JsonOption = False) -> None:
    """Show a run: how far it is, how it ended, and why."""
    with asking(context) as client:
        run = client.run(run_id)
    if as_json:
        print_json(run.facts)
        return
    say(
        f"{run.id}: {outcome(run.facts)}",
        f"  report: {run.facts['report_name']}",
        f"  accepted: {_accepted(run)}",
    )
    say(*(f"  parameter {name}: {value}" for name, value in run.facts["parameters"].items()))
    if run.facts["links"]["downloads"]:
        say(f"  files: {', '.join(run.facts['links']['downloads'])}")
    if run.problem:
        say(*(f"  {problem}" for problem in error_from_json(run.problem).problems))


@app.command("cancel")
def cancel_command(run_id: RunArgument, context: ContextOption = None, as_json: JsonOption = False) -> None:
    """Cancel a run, whether it waits or works. Nothing of it is published from then on."""
    with asking(context) as client:
        run = client.run(run_id).cancel()
    if as_json:
        print_json(run.facts)
    else:
        say(f"run {run.id} is cancelled")


@app.command("rerun")
def rerun_command(
    run_id: RunArgument,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it ended.")] = False,
    context: ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the same report anew: of the same files, rules and parameters.

    With --wait the exit code tells how it ended: 0 made, 2 rules wrong or cancelled, 3 the data allows no report, 1 our fault.
    """
    with asking(context) as client:
        run = client.run(run_id).rerun()
        if wait:
            awaited(run, as_json=as_json)
    if as_json:
        print_json(run.facts)
    else:
        say(f"run {run.id} {outcome(run.facts)}" if wait else f"run {run.id} is accepted")
    if wait:
        raise_if_failed(run)


@app.command("rejects")
def rejects_command(run_id: RunArgument, output: OutputOption, context: ContextOption = None) -> None:
    """Download the rows that a run rejected, each with its line and the reason, as CSV."""
    with asking(context) as client:
        write_copy(client.run(run_id).reject_pieces(), output)


def awaited(run: Run, *, as_json: bool) -> None:
    """Wait until a run ended; on a terminal a bar shows how far it is."""
    with progress_bar("report", shown=is_watched(as_json=as_json)) as progress:
        run.wait(on_progress=lambda seen: progress(seen.progress / 100))


def raise_if_failed(run: Run) -> None:
    """Raise what a run failed with.

    Raises:
        ReportgenError: The error that the run has, so that the exit code tells whose fault it is.
    """
    if run.problem:
        raise error_from_json(run.problem)
    if run.status == "cancelled":
        raise CancelledError(f"Run {run.id} was cancelled.")


def outcome(facts: Mapping[str, Any]) -> str:
    """Tell how a run ended or how far it is, by what the service told of it."""
    if facts["status"] == "succeeded":
        rejected = f", {facts['rejected']:,} rejected" if facts["rejected"] else ""
        return f"succeeded: {facts['rows'] or 0:,} rows{rejected}"
    if facts["status"] == "running":
        return f"running: {facts['stage']}, {facts['progress']} %"
    return f"{facts['status']}: {facts['error']}" if facts.get("error") else str(facts["status"])


def _accepted(run: Run) -> str:
    return moment(datetime.fromisoformat(run.facts["accepted_at"]))
