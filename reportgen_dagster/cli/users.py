"""`reportgen users`: who uses the service, whose runs go first, how many at the same time, and for how long files are kept."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer


def users_command(
    email: Annotated[str, typer.Argument(help="Only this user; needed to change something.")] = "",
    priority: Annotated[
        int | None,
        typer.Option(help="Whose runs go first: those with a higher priority, always. Everybody has 0."),
    ] = None,
    runs: Annotated[
        int | None,
        typer.Option(help="How many of his runs work at the same time; 0: as REPORTGEN_RUNS_PER_USER says."),
    ] = None,
    keep_days: Annotated[
        int | None,
        typer.Option(
            "--keep-days",
            help="For how many days his files are kept, more or less than others'; 0: as REPORTGEN_RETENTION_DAYS says.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the users as JSON.")] = False,
) -> None:
    """List the users with their share in the queue, or change a user's.

    A priority counts from his next run on, a number of runs at once. Works on the server that REPORTGEN_DATABASE_URL names,
    else on that of the running `reportgen up`.
    """
    from reportgen_dagster.errors import BadRequestError
    from reportgen_dagster.services import users
    from reportgen_dagster.services.context import Context
    from reportgen_dagster.settings import Settings
    from reportgen_dagster.supervisor.home import running_settings

    if not email and (priority, runs, keep_days) != (None, None, None):
        raise BadRequestError("Name the user whose share is to change.")
    context = Context.open(running_settings(Settings()))
    try:
        if email:
            found = [
                users.change_user(context, email, priority=priority, max_runs=runs, retention_days=keep_days)
            ]
        else:
            found = users.list_users(context)
    finally:
        context.close()
    if as_json:
        typer.echo(json.dumps({"users": [asdict(user) for user in found]}, ensure_ascii=False))
        return
    for user in found:
        at_once = "as set for all" if user.max_runs is None else str(user.max_runs)
        days = "" if user.retention_days is None else f", files kept for {user.retention_days} days"
        typer.echo(f"{user.email}: priority {user.priority}, runs at the same time: {at_once}{days}")
