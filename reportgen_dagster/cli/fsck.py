"""`reportgen fsck`: whether catalog, storage and Dagster agree, or a backup is whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def fsck_command(
    backup: Annotated[
        Path | None,
        typer.Option("--backup", help="Check this backup instead: a folder or .tar file.", metavar="SOURCE"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the problems as JSON.")] = False,
) -> None:
    """Check that catalog, storage and Dagster agree, or that a backup is whole; exit with 1 if not.

    Reads only. Works on the servers that REPORTGEN_DATABASE_URL names, else on those of the running `reportgen up`.
    """
    problems = _installation() if backup is None else _backup(backup)
    if as_json:
        typer.echo(json.dumps({"problems": problems}, ensure_ascii=False))
    else:
        well = "Catalog, storage and Dagster agree." if backup is None else "The backup is whole."
        for problem in problems or [well]:
            typer.echo(problem)
    raise typer.Exit(code=1 if problems else 0)


def _installation() -> list[str]:
    from reportgen_dagster.services.context import Context
    from reportgen_dagster.services.fsck import fsck
    from reportgen_dagster.settings import Settings
    from reportgen_dagster.supervisor.home import running_settings

    context = Context.open(running_settings(Settings()))
    try:
        return fsck(context)
    finally:
        context.close()


def _backup(path: Path) -> list[str]:
    from reportgen_dagster.services.backups import check

    return check(path.absolute())
