"""`reportgen deliveries`: e-mails, webhooks and copies of reports, on the running installation."""

from __future__ import annotations

from typing import Annotated

import typer

from reportgen_dagster.cli.acting import UserOption, acting
from reportgen_dagster.cli.output import JsonOption, print_json
from reportgen_dagster.cli.showing import delivery_lines, delivery_state, moment, say
from reportgen_dagster.errors import BadRequestError

app = typer.Typer()

DeliveryArgument = Annotated[str, typer.Argument(help="The delivery, by its id.", metavar="DELIVERY")]
ReportOption = Annotated[
    str | None, typer.Option("--report", help="Only those of this report.", metavar="REPORT")
]


@app.command("list")
def list_command(
    state: Annotated[
        str | None, typer.Option("--state", help="Only those that are so: pending, delivered or dead.")
    ] = None,
    report: ReportOption = None,
    limit: Annotated[int, typer.Option("--limit", help="At most so many.", min=1, max=500)] = 50,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the deliveries, the latest first, each with what became of it."""
    from reportgen_dagster.services import outbox

    if state not in (None, *outbox.STATES):
        raise typer.BadParameter(f"there are {', '.join(outbox.STATES)}", param_hint="--state")
    with acting(user) as (context, owner_id):
        found = outbox.list_deliveries(context, owner_id, state=state, report=report, limit=limit)
    if as_json:
        print_json({"deliveries": found})
    else:
        say(*delivery_lines(found))


@app.command("show")
def show_command(delivery: DeliveryArgument, user: UserOption = None, as_json: JsonOption = False) -> None:
    """Show a delivery: where it goes, how often it was tried, why it failed and how to mend that."""
    from reportgen_dagster.services import outbox

    with acting(user) as (context, owner_id):
        found = outbox.get_delivery(context, owner_id, delivery)
    if as_json:
        print_json(found)
        return
    lines = [
        f"{found.id}: {delivery_state(found)}",
        f"  {found.channel} to {found.where}, {found.event} of {found.report_name}",
        f"  run: {found.run_id or '-'}",
        f"  written: {moment(found.created_at)}; tries: {found.attempts}",
    ]
    lines += [f"  tried next: {moment(found.next_at)}"] if found.next_at is not None else []
    lines += [f"  {found.error['hint']}"] if found.error and found.error["hint"] else []
    say(*lines)


@app.command("redeliver")
def redeliver_command(
    delivery: Annotated[
        str | None, typer.Argument(help="The delivery, by its id.", metavar="DELIVERY")
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All that are dead.")] = False,
    report: ReportOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a delivery anew, under the same id, whatever became of it; or all that are dead. It is sent within seconds."""
    from reportgen_dagster.services import outbox

    if (delivery is None) != dead or (report is not None and not dead):
        raise BadRequestError("Name a delivery, or give --dead (with --report for those of one report).")
    with acting(user) as (context, owner_id):
        if delivery is None:
            found = outbox.redeliver_dead(context, owner_id, report=report)
        else:
            found = [outbox.redeliver(context, owner_id, delivery)]
    if as_json:
        print_json({"deliveries": found})
    else:
        say(*delivery_lines(found))
