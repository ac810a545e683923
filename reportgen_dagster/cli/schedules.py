"""`reportgen schedules`: when reports run by a cron expression, on the running installation.

With --server the same is asked of the service that one signed in to (`service_schedules.py`).
"""

from __future__ import annotations

from typing import Annotated

import typer

from reportgen_dagster.cli import service_schedules
from reportgen_dagster.cli.acting import UserOption, acting
from reportgen_dagster.cli.asking import ContextOption, ListOutputOption
from reportgen_dagster.cli.output import JsonOption, print_json
from reportgen_dagster.cli.showing import (
    local_moment,
    run_outcome,
    say,
    schedule_json,
    schedule_lines,
    table,
)
from reportgen_dagster.errors import BadRequestError

app = typer.Typer()

ScheduleArgument = Annotated[
    str, typer.Argument(help="The schedule, as REPORT/NAME or by its id.", metavar="SCHEDULE")
]
ServerOption = Annotated[
    bool,
    typer.Option(
        "--server", help="On the service that you signed in to, not on this machine; --context says which."
    ),
]


@app.command("add")
def add_command(
    report: Annotated[str, typer.Argument(help="The report.", metavar="REPORT")],
    cron: Annotated[str, typer.Option("--cron", help="Five fields, as '0 6 * * 1-5'.")],
    name: Annotated[
        str, typer.Option("--name", help="What it is called among the report's schedules.")
    ] = "main",
    timezone: Annotated[
        str, typer.Option("--timezone", help="The time zone of the cron expression, as Europe/Berlin.")
    ] = "UTC",
    missed: Annotated[
        str, typer.Option("--missed", help="Times while Dagster was away: skip, last or all.")
    ] = "last",
    unchanged: Annotated[
        str, typer.Option("--unchanged", help="Where rules and data are those of the last run: run or skip.")
    ] = "run",
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a report run by a cron expression, or change its schedule of that name; a paused one goes on."""
    from reportgen_dagster.services import schedules

    with acting(user) as (here, owner_id):
        schedule = schedules.add_schedule(
            here,
            owner_id,
            report,
            name=name,
            cron=cron,
            timezone=timezone,
            missed=missed,
            unchanged=unchanged,
        )
    if as_json:
        print_json(schedule_json(schedule, with_next_runs=True))
    else:
        say(*schedule_lines(schedule))


@app.command("list")
def list_command(
    report: Annotated[
        str | None, typer.Option("--report", help="Only those of this report.", metavar="REPORT")
    ] = None,
    output: ListOutputOption = "table",
    server: ServerOption = False,
    context: ContextOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the schedules, each with its next and its last run."""
    as_json = as_json or output == "json"
    if _is_remote(context, user, server=server):
        service_schedules.list_schedules(context, report, as_json=as_json)
        return
    from reportgen_dagster.services import schedules

    with acting(user) as (here, owner_id):
        found = schedules.list_schedules(here, owner_id, report)
    if as_json:
        print_json({"schedules": [schedule_json(one) for one in found]})
        return
    rows = [
        (
            f"{one.report_name}/{one.name}",
            one.words,
            one.timezone,
            local_moment(one.next_runs(1)[0]) if not one.paused else "paused",
            run_outcome(one.last_run),
        )
        for one in found
    ]
    head = ("SCHEDULE", "WHEN", "TIME ZONE", "NEXT RUN", "LAST RUN")
    say(*(table(head, rows) if rows else ["There is no schedule yet."]))


@app.command("show")
def show_command(
    schedule: ScheduleArgument,
    server: ServerOption = False,
    context: ContextOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a schedule in words, with its last run and its next ten times in its time zone."""
    if _is_remote(context, user, server=server):
        service_schedules.show_schedule(context, schedule, as_json=as_json)
        return
    from reportgen_dagster.services import schedules

    with acting(user) as (here, owner_id):
        found = schedules.get_schedule(here, owner_id, schedule)
    if as_json:
        print_json(schedule_json(found, with_next_runs=True))
    else:
        say(*schedule_lines(found))


@app.command("pause")
def pause_command(
    schedule: ScheduleArgument,
    server: ServerOption = False,
    context: ContextOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a schedule skip its times until it is resumed."""
    if _is_remote(context, user, server=server):
        service_schedules.pause_schedule(context, schedule, as_json=as_json)
        return
    from reportgen_dagster.services import schedules

    with acting(user) as (here, owner_id):
        found = schedules.pause(here, owner_id, schedule)
    if as_json:
        print_json(schedule_json(found))
    else:
        say(f"{found.report_name}/{found.name}: paused")


@app.command("resume")
def resume_command(
    schedule: ScheduleArgument,
    server: ServerOption = False,
    context: ContextOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a paused schedule run again; times of the pause are not made up for."""
    if _is_remote(context, user, server=server):
        service_schedules.resume_schedule(context, schedule, as_json=as_json)
        return
    from reportgen_dagster.services import schedules

    with acting(user) as (here, owner_id):
        found = schedules.resume(here, owner_id, schedule)
    if as_json:
        print_json(schedule_json(found))
    else:
        paused = "still does not run: its report is paused" if found.paused else "runs again"
        say(f"{found.report_name}/{found.name}: {paused}")


@app.command("delete")
def delete_command(
    schedule: ScheduleArgument,
    server: ServerOption = False,
    context: ContextOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete a schedule. Its report, its runs and their files stay."""
    if _is_remote(context, user, server=server):
        service_schedules.delete_schedule(context, schedule, as_json=as_json)
        return
    from reportgen_dagster.services import schedules

    with acting(user) as (here, owner_id):
        schedules.delete_schedule(here, owner_id, schedule)
    if as_json:
        print_json({"deleted": schedule})
    else:
        say(f"{schedule}: deleted")


def _is_remote(context: str | None, user: str | None, *, server: bool) -> bool:
    """Tell whether the service is meant that somebody signed in to.

    Raises:
        BadRequestError: If an account of this machine is named beside it.
    """
    is_remote = server or context is not None
    if is_remote and user is not None:
        raise BadRequestError("--user is for this machine; on a service you are who you signed in as")
    return is_remote
