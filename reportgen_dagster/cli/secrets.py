"""`reportgen secrets`: which user may sign webhooks with which secret of the installation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from reportgen_dagster.cli.output import JsonOption, print_json
from reportgen_dagster.cli.showing import say, table

if TYPE_CHECKING:
    from reportgen_dagster.services.context import Context

app = typer.Typer()

NameArgument = Annotated[str, typer.Argument(help="The secret, by its name.", metavar="NAME")]
EmailArgument = Annotated[str, typer.Argument(help="The user.", metavar="EMAIL")]


@app.command("grant")
def grant_command(name: NameArgument, email: EmailArgument, as_json: JsonOption = False) -> None:
    """Let a user sign webhooks with a secret, in reports that he puts over the API."""
    from reportgen_dagster.services import grants

    with _opened() as context:
        granted = grants.grant(context, name, email)
    if as_json:
        print_json(granted)
    else:
        say(f"{granted.email} may sign with {granted.name}")


@app.command("revoke")
def revoke_command(name: NameArgument, email: EmailArgument, as_json: JsonOption = False) -> None:
    """Take a grant back. Reports that are there go on to be signed; `reports show` tells where they go."""
    from reportgen_dagster.services import grants

    with _opened() as context:
        revoked = grants.revoke(context, name, email)
    if as_json:
        print_json(revoked)
    else:
        say(f"{revoked.email} may not sign with {revoked.name} any more")


@app.command("list")
def list_command(as_json: JsonOption = False) -> None:
    """List who may sign with what. Values are not shown; they are where the operator keeps them."""
    from reportgen_dagster.services import grants

    with _opened() as context:
        found = grants.list_grants(context)
    if as_json:
        print_json({"grants": found})
        return
    rows = [(one.name, one.email) for one in found]
    say(*(table(("SECRET", "USER"), rows) if rows else ["Nobody may sign with a secret yet."]))


@contextmanager
def _opened() -> Iterator[Context]:
    """Open the installation that REPORTGEN_DATABASE_URL names, else that of the running `reportgen up`."""
    from reportgen_dagster.services.context import Context
    from reportgen_dagster.settings import Settings
    from reportgen_dagster.supervisor.home import running_settings

    context = Context.open(running_settings(Settings()))
    try:
        yield context
    finally:
        context.close()
