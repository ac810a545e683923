"""`reportgen storage`: moving the files of an installation from one storage to another."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from reportgen_dagster.cli.output import JsonOption, print_json, progress_bar
from reportgen_dagster.cli.showing import say, size
from reportgen_dagster.errors import BadRequestError

if TYPE_CHECKING:
    from reportgen_dagster.storage.store import ObjectStore

app = typer.Typer()


@app.callback()
def storage() -> None:
    """Where the files of an installation are kept."""


@app.command("migrate")
def migrate_command(
    to: Annotated[
        str,
        typer.Option(
            "--to", help="To where: file:///path, s3://bucket/prefix or gs://bucket/prefix.", metavar="URL"
        ),
    ],
    from_: Annotated[
        str | None,
        typer.Option("--from", help="From where; REPORTGEN_STORAGE_URL if left out.", metavar="URL"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Copy every file that the catalog knows to another storage; exit with 1 if one could not be.

    Safe while the service runs, and may be stopped and called again: each file is checked by its digest, and what is there
    and whole is skipped. Nothing is removed. To move: run it, start the service with REPORTGEN_STORAGE_URL set to the new
    storage, and run it once more with --from set to the old one, for what came in between.
    """
    from reportgen_dagster.services.context import Context
    from reportgen_dagster.services.moving import copy_files
    from reportgen_dagster.settings import Settings
    from reportgen_dagster.supervisor.home import running_settings

    settings = running_settings(Settings())
    target = _opened(to, "--to")
    context = Context.open(settings)
    try:
        source = context.store if from_ is None else _opened(from_, "--from")
        with progress_bar("storage", shown=sys.stderr.isatty() and not as_json) as progress:
            done = copy_files(context, source, target, progress)
    finally:
        context.close()
    if as_json:
        print_json(done)
    else:
        say(f"Copied {done.copied:,} files ({size(done.size_bytes)}); {done.there:,} were there already.")
        say(*(f"  could not be copied: {problem}" for problem in done.problems))
    raise typer.Exit(code=1 if done.problems else 0)


def _opened(url: str, option: str) -> ObjectStore:
    from reportgen_dagster.settings import Settings
    from reportgen_dagster.storage.opening import open_store

    try:
        return open_store(url, Settings(storage_url=url).storage_path)
    except ValidationError as error:
        raise BadRequestError(f"{option}: {error.errors()[0]['msg']}.") from None
