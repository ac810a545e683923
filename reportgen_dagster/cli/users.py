"""`reportgen users`: who uses the service, who is an admin, who is kept out, whose runs go first, how long files are kept."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from reportgen_dagster.cli.acting import installation
from reportgen_dagster.cli.output import JsonOption, print_json
from reportgen_dagster.cli.showing import say
from reportgen_dagster.errors import BadRequestError

if TYPE_CHECKING:
    from reportgen_dagster.services.users import UserChange, UserView

app = typer.Typer()

EmailArgument = Annotated[str, typer.Argument(help="The user, by his e-mail.", metavar="EMAIL")]


@app.command("list")
def list_command(as_json: JsonOption = False) -> None:
    """List the users with their roles and their share in the queue."""
    from reportgen_dagster.services import users

    with installation() as context:
        found = users.list_users(context)
    _show(found, as_json=as_json)


@app.command("set")
def set_command(
    email: EmailArgument,
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
            help="For how many days his files are kept, more or less than others'; 0: as REPORTGEN_RETENTION_DAYS says.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Change a user's share in the queue and in the storage. A priority counts from his next run on, a number of runs at once."""
    from reportgen_dagster.services.users import UserChange

    change = UserChange(priority=priority, max_runs=runs, retention_days=keep_days)
    if change == UserChange():
        raise BadRequestError("Say what is to change: --priority, --runs or --keep-days.")
    _change(email, change, as_json=as_json)


@app.command("promote")
def promote_command(email: EmailArgument, as_json: JsonOption = False) -> None:
    """Make a user an admin, who administers the installation over the API. So the first one is made."""
    from reportgen_dagster.services.users import UserChange

    _change(email, UserChange(role="admin"), as_json=as_json)


@app.command("demote")
def demote_command(email: EmailArgument, as_json: JsonOption = False) -> None:
    """Make an admin a user again. The last one stays."""
    from reportgen_dagster.services.users import UserChange

    _change(email, UserChange(role="user"), as_json=as_json)


@app.command("disable")
def disable_command(email: EmailArgument, as_json: JsonOption = False) -> None:
    """Keep a user out: his sessions and API tokens end at once, and he cannot sign in. What he made stays."""
    from reportgen_dagster.services.users import UserChange

    _change(email, UserChange(disabled=True), as_json=as_json)


@app.command("enable")
def enable_command(email: EmailArgument, as_json: JsonOption = False) -> None:
    """Let a user who was kept out sign in again."""
    from reportgen_dagster.services.users import UserChange

    _change(email, UserChange(disabled=False), as_json=as_json)


@app.command("revoke")
def revoke_command(email: EmailArgument) -> None:
    """End all sessions and API tokens of a user, as when a machine of his is lost. He may sign in again."""
    from reportgen_dagster.services import users

    with installation() as context:
        users.revoke_user(context, users.id_of(context, email))
    say(f"{email}: all sessions and API tokens have ended")


@app.command("set-password")
def set_password_command(email: EmailArgument) -> None:
    """Give a user a new password, as when he forgot his: asked for, or a line of standard input where nobody can be asked.

    All his sessions and API tokens end.
    """
    from reportgen_dagster.services import users

    with installation() as context:
        user_id = users.id_of(context, email)
        users.set_password(context, user_id, _password())
    say(f"{email}: has a new password; all sessions and API tokens have ended")


def _password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("New password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def _change(email: str, change: UserChange, *, as_json: bool) -> None:
    from reportgen_dagster.services import users

    with installation() as context:
        changed = users.change_user(context, users.id_of(context, email), change)
    _show([changed], as_json=as_json)


def _show(found: list[UserView], *, as_json: bool) -> None:
    if as_json:
        print_json({"users": found})
        return
    for user in found:
        at_once = "as set for all" if user.max_runs is None else str(user.max_runs)
        role = "disabled" if user.disabled else user.role
        days = "" if user.retention_days is None else f", files kept for {user.retention_days} days"
        say(f"{user.email}: {role}, priority {user.priority}, runs at the same time: {at_once}{days}")
