"""`reportgen fsck`: whether catalog, storage and Dagster agree."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def fsck_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print the problems as JSON.")] = False,
) -> None:
    """Check that catalog, storage and Dagster agree; exit with 1 if they do not.

    Reads only. Works on the servers that REPORTGEN_DATABASE_URL names, else on those of the running `reportgen up`.
    """
    from reportgen_dagster.services.context import Context
    from reportgen_dagster.services.fsck import fsck
    from reportgen_dagster.settings import Settings
    from reportgen_dagster.supervisor.home import running_settings

    context = Context.open(running_settings(Settings()))
    try:
        problems = fsck(context)
    finally:
        context.close()
    if as_json:
        typer.echo(json.dumps({"problems": problems}, ensure_ascii=False))
    else:
        for problem in problems or ["Catalog, storage and Dagster agree."]:
            typer.echo(problem)
    raise typer.Exit(code=1 if problems else 0)
