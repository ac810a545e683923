"""`reportgen schedules --server`: the schedules of the account that one signed in with, on its service.

What does not belong here: the same commands on the installation of this machine (`schedules.py`).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from reportgen_dagster.cli.asking import asking
from reportgen_dagster.cli.output import print_json
from reportgen_dagster.cli.runs import outcome
from reportgen_dagster.cli.showing import local_moment, say, table
from reportgen_dagster.errors import NotFoundError

if TYPE_CHECKING:
    from reportgen_client import Client


def list_schedules(context: str | None, report: str | None, *, as_json: bool) -> None:
    """List the schedules, each with its next and its last run."""
    with asking(context) as client:
        found = [one for one in client.schedules() if report in (None, one["report_name"])]
    if as_json:
        print_json({"schedules": found})
        return
    rows = [(_name(one), one["words"], one["timezone"], _next_run(one), _last_run(one)) for one in found]
    head = ("SCHEDULE", "WHEN", "TIME ZONE", "NEXT RUN", "LAST RUN")
    say(*(table(head, rows) if rows else ["There is no schedule yet."]))


def show_schedule(context: str | None, schedule: str, *, as_json: bool) -> None:
    """Show a schedule in words, with its last and its next run."""
    with asking(context) as client:
        found = _found(client, schedule)
    if as_json:
        print_json(found)
        return
    say(
        f"{_name(found)}: {found['words']}, {found['timezone']} ({found['cron']})",
        f"  missed times: {found['missed']}; unchanged data: {found['unchanged']}; id: {found['id']}",
        f"  last run: {_last_run(found)}",
        f"  next run: {_next_run(found)}",
    )


def pause_schedule(context: str | None, schedule: str, *, as_json: bool) -> None:
    """Let a schedule skip its times until it is resumed."""
    with asking(context) as client:
        _tell(client.pause_schedule(_found(client, schedule)["id"]), "paused", as_json=as_json)


def resume_schedule(context: str | None, schedule: str, *, as_json: bool) -> None:
    """Let a paused schedule run again."""
    with asking(context) as client:
        found = client.resume_schedule(_found(client, schedule)["id"])
    words = "still does not run: its report is paused" if found["paused"] else "runs again"
    _tell(found, words, as_json=as_json)


def delete_schedule(context: str | None, schedule: str, *, as_json: bool) -> None:
    """Delete a schedule. Its runs and their files stay."""
    with asking(context) as client:
        client.delete_schedule(_found(client, schedule)["id"])
    if as_json:
        print_json({"deleted": schedule})
    else:
        say(f"{schedule}: deleted")


def _found(client: Client, schedule: str) -> dict[str, Any]:
    """Return the schedule of an id, or of REPORT/NAME.

    Raises:
        NotFoundError: If there is none.
    """
    for one in client.schedules():
        if schedule in (one["id"], _name(one)):
            return one
    raise NotFoundError(f"There is no schedule {schedule}.")


def _tell(schedule: dict[str, Any], words: str, *, as_json: bool) -> None:
    if as_json:
        print_json(schedule)
    else:
        say(f"{_name(schedule)}: {words}")


def _name(schedule: dict[str, Any]) -> str:
    return f"{schedule['report_name']}/{schedule['name']}"


def _next_run(schedule: dict[str, Any]) -> str:
    if schedule["next_run"] is None:
        return "paused"
    return local_moment(
        datetime.fromisoformat(schedule["next_run"]).astimezone(ZoneInfo(schedule["timezone"]))
    )


def _last_run(schedule: dict[str, Any]) -> str:
    return outcome(schedule["last_run"]) if schedule["last_run"] else "-"
