"""`reportgen backup` and `reportgen restore`: all that an installation keeps, as a folder or one file, and back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from reportgen_dagster.cli.output import JsonOption, print_json, progress_bar
from reportgen_dagster.cli.showing import say, size


def backup_command(
    target: Annotated[
        Path,
        typer.Argument(
            help="A folder, which the next backup adds to, or a new file that ends in .tar.", metavar="TARGET"
        ),
    ],
    dagster: Annotated[
        bool, typer.Option("--dagster", help="Dagster's database too: its runs, ticks and assets.")
    ] = False,
    key: Annotated[
        bool,
        typer.Option("--key", help="The keys of the home too; who has the backup can then sign tokens."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Back up the catalog and all files that it names, while the service works or not; exit with 1 if a file is lacking.

    A folder has each file once, however many backups were made into it; only the last backup counts. Whatever ends this
    in its middle leaves the backup of before. Not in it: the inbox, secrets of deliveries, settings.
    """
    from reportgen_dagster.services.backups import back_up
    from reportgen_dagster.services.context import Context
    from reportgen_dagster.settings import Settings
    from reportgen_dagster.supervisor.at_rest import reached

    with reached(Settings()) as settings:
        context = Context.open(settings)
        try:
            with progress_bar("backup", shown=sys.stderr.isatty() and not as_json) as progress:
                made = back_up(
                    context, target.absolute(), with_dagster=dagster, with_key=key, progress=progress
                )
        finally:
            context.close()
    if as_json:
        print_json(made)
    else:
        say(
            f"Backed up into {target}: {made.copied:,} files copied ({size(made.size_bytes)}), {made.there:,} there already."
        )
        say("  with Dagster's history" if made.has_dagster else "  without Dagster's history (--dagster)")
        say(
            "  with the home's keys: keep it where nobody else can read it"
            if made.has_key
            else "  without the home's keys (--key)"
        )
        say(*(f"  lacking: {one}" for one in made.lacking))
    raise typer.Exit(code=1 if made.lacking else 0)


def restore_command(
    source: Annotated[
        Path, typer.Argument(help="The backup's folder or .tar file.", exists=True, metavar="SOURCE")
    ],
    as_json: JsonOption = False,
) -> None:
    """Restore a backup into an empty home, or the database that REPORTGEN_DATABASE_URL names; exit with 1 if fsck complains.

    Nothing of the service may run. All files are checked by their digests. People sign in anew afterwards; runs that were
    accepted or running are made once the service starts.
    """
    from reportgen_dagster.services.backups import restore
    from reportgen_dagster.services.context import Context
    from reportgen_dagster.settings import Settings
    from reportgen_dagster.supervisor.at_rest import at_rest
    from reportgen_dagster.supervisor.prepare import make_database

    with at_rest(Settings()) as settings:
        make_database(settings.catalog_url)
        make_database(settings.dagster_database_url)
        context = Context.open(settings)
        try:
            with progress_bar("restore", shown=sys.stderr.isatty() and not as_json) as progress:
                done = restore(context, source.absolute(), progress=progress)
        finally:
            context.close()
    if as_json:
        print_json(done)
    else:
        say(f"Restored the backup of {done.made_at} (release {done.release}): {done.files:,} files.")
        say(f"  {done.runs:,} runs are made once the service starts")
        say("  with Dagster's history" if done.has_dagster else "  without Dagster's history")
        say(*(f"  {problem}" for problem in done.problems or ["fsck: catalog and storage agree"]))
    raise typer.Exit(code=1 if done.problems else 0)
