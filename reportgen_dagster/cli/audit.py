"""`reportgen audit`: who did what, when and from where."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from reportgen_dagster.cli.output import JsonOption, print_json

DATES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]
DATE = "DATE"


def audit_command(
    user: Annotated[
        str | None, typer.Option("--user", help="Only what this user did.", metavar="EMAIL")
    ] = None,
    action: Annotated[
        str | None, typer.Option("--action", help="Only this action, as sign-in or download.")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option("--since", help="From then on, in UTC.", formats=DATES, metavar=DATE)
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--until", help="Before that, in UTC.", formats=DATES, metavar=DATE)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="At most so many.", min=1, max=500)] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show who did what, the last first. Nothing of it can be changed; REPORTGEN_AUDIT_RETENTION_DAYS says how long it stays.

    Works on the server that REPORTGEN_DATABASE_URL names, else on that of the running `reportgen up`.
    """
    from reportgen_dagster.cli.acting import installation
    from reportgen_dagster.cli.showing import moment, say, table
    from reportgen_dagster.services import audit, users

    with installation() as context:
        found, _ = audit.list_events(
            context,
            user_id=users.id_of(context, user) if user is not None else None,
            action=action,
            since=_aware(since),
            until=_aware(until),
            limit=limit,
        )
        emails = {one.id: one.email for one in users.list_users(context)}
    if as_json:
        print_json({"events": found})
        return
    rows = [
        (
            moment(one.at),
            emails.get(one.user_id or "", one.user_id or "-"),
            one.action,
            one.thing,
            one.address or "-",
        )
        for one in found
    ]
    head = ("WHEN", "WHO", "WHAT", "OF", "FROM")
    say(*(table(head, rows) if rows else ["There is no such event."]))


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=moment.tzinfo or UTC) if moment is not None else None
