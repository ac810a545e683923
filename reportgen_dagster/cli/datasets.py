"""`reportgen datasets`: named datasets and their versions, on the running installation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from reportgen_dagster.cli.acting import (
    STDIN,
    GivenFile,
    OutputOption,
    UserOption,
    acting,
    chunks_of,
    seconds_of,
    write_copy,
)
from reportgen_dagster.cli.output import JsonOption, print_json
from reportgen_dagster.cli.showing import moment, say, size, table
from reportgen_dagster.errors import BadRequestError
from reportgen_dagster.sizes import span_text

if TYPE_CHECKING:
    from reportgen_dagster.services.datasets import DatasetView, VersionView

app = typer.Typer()

NameArgument = Annotated[str, typer.Argument(help="The dataset.", metavar="NAME")]
VersionOption = Annotated[
    int | None, typer.Option("--version", help="Which version; the latest if left out.", min=1)
]


@app.command("add")
def add_command(
    name: NameArgument, file: GivenFile, user: UserOption = None, as_json: JsonOption = False
) -> None:
    """Make a file the latest version of a dataset, which is made if there is none.

    The same bytes again are no new version.
    """
    from reportgen_dagster.services import datasets
    from reportgen_dagster.services.fitting import judge_for_any_rules
    from reportgen_dagster.services.names import checked_name
    from reportgen_dagster.services.uploads import Receiver

    checked_name(name, "dataset")
    notes: list[str] = []
    judge = judge_for_any_rules(notes)
    with acting(user) as (context, owner_id):
        with Receiver(context, "" if file == STDIN else file.name, name, judge) as receiver:
            for chunk in chunks_of(file):
                receiver.write(chunk)
            upload = receiver.finish()
        version = datasets.add_version(context, owner_id, name, upload)
    if as_json:
        print_json(version)
        return
    say(f"{name}: {_version_words(version)}")
    if notes:
        say(f"  note: {notes[0]}")


@app.command("list")
def list_command(user: UserOption = None, as_json: JsonOption = False) -> None:
    """List the datasets, each with its latest version."""
    from reportgen_dagster.services import datasets

    with acting(user) as (context, owner_id):
        found = datasets.list_datasets(context, owner_id)
    if as_json:
        print_json({"datasets": found})
        return
    head = ("DATASET", "VERSION", "CAME", "SIZE", "COLUMNS", "EXPECTED")
    rows = [
        (
            dataset.name,
            str(dataset.latest.number),
            moment(dataset.latest.created_at),
            size(dataset.latest.size_bytes),
            str(len(dataset.latest.columns)),
            _expected(dataset),
        )
        for dataset in found
    ]
    say(*(table(head, rows) if rows else ["There is no dataset yet."]))


@app.command("show")
def show_command(name: NameArgument, user: UserOption = None, as_json: JsonOption = False) -> None:
    """Show a dataset: its latest version, what that holds, when new ones are expected, and the reports made of it."""
    from reportgen_dagster.services import datasets

    with acting(user) as (context, owner_id):
        dataset = datasets.get_dataset(context, owner_id, name)
        reports = datasets.reports_of(context, owner_id, name)
    if as_json:
        latest, expected = dataset.latest, dataset.expected
        print_json({"name": dataset.name, "latest": latest, "expected": expected, "reports": reports})
        return
    say(f"{dataset.name}: {_version_words(dataset.latest)}")
    say(f"  columns: {', '.join(dataset.latest.columns)}")
    say(f"  expected: {_expected(dataset)}")
    say(f"  reports: {', '.join(reports) or 'none'}")
    if dataset.latest.profile:
        say(*_profile_lines(dataset.latest.profile))


@app.command("versions")
def versions_command(name: NameArgument, user: UserOption = None, as_json: JsonOption = False) -> None:
    """List the versions of a dataset, the latest first."""
    from reportgen_dagster.services import datasets

    with acting(user) as (context, owner_id):
        found = datasets.list_versions(context, owner_id, name)
    if as_json:
        print_json({"versions": found})
        return
    rows = [
        (str(one.number), moment(one.created_at), size(one.size_bytes), one.filename, one.digest)
        for one in found
    ]
    say(*table(("VERSION", "CAME", "SIZE", "FILE", "SHA-256"), rows))


@app.command("get")
def get_command(
    name: NameArgument, output: OutputOption, version: VersionOption = None, user: UserOption = None
) -> None:
    """Write a version of a dataset to a file, byte for byte as it came."""
    from reportgen_dagster.services import datasets

    with acting(user) as (context, owner_id):
        write_copy(datasets.version_file(context, owner_id, name, version).chunks(), output)


@app.command("expect")
def expect_command(
    name: NameArgument,
    cron: Annotated[
        str | None, typer.Option("--cron", help="When new versions are due: five fields, as '0 6 * * 1-5'.")
    ] = None,
    timezone: Annotated[
        str, typer.Option("--timezone", help="The time zone of the cron expression.")
    ] = "UTC",
    within: Annotated[str, typer.Option("--within", help="How late one may come, as 30m or 2h.")] = "1h",
    never: Annotated[bool, typer.Option("--never", help="They are not expected any more.")] = False,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say when new versions of a dataset are expected; Dagster shows late ones by the dataset's check `on_time`."""
    if (cron is None) is not never:
        raise BadRequestError("Give either --cron or --never.")
    from reportgen_dagster.services import datasets

    seconds = seconds_of(within, "--within")
    with acting(user) as (context, owner_id):
        dataset = datasets.expect_dataset(
            context, owner_id, name, cron=cron, timezone=timezone, within_seconds=seconds
        )
    if as_json:
        print_json(dataset)
    else:
        say(dataset.name, f"  expected: {_expected(dataset)}")


@app.command("delete")
def delete_command(name: NameArgument, user: UserOption = None, as_json: JsonOption = False) -> None:
    """Delete a dataset that no report is made of. Runs keep the versions that they were made of."""
    from reportgen_dagster.services import datasets

    with acting(user) as (context, owner_id):
        datasets.delete_dataset(context, owner_id, name)
    if as_json:
        print_json({"deleted": name})
    else:
        say(f"{name}: deleted")


def _version_words(version: VersionView) -> str:
    return (
        f"version {version.number} of {moment(version.created_at)}, {size(version.size_bytes)},"
        f" {len(version.columns)} {'column' if len(version.columns) == 1 else 'columns'}, from {version.filename}"
    )


def _expected(dataset: DatasetView) -> str:
    if dataset.expected is None:
        return "never"
    from reportgen_dagster.services.cron import in_words

    expected = dataset.expected
    words = f"{in_words(expected.cron)}, {expected.timezone}"
    return f"{words}, within {span_text(expected.within_seconds)}"


def _profile_lines(profile: dict[str, Any]) -> list[str]:
    if "error" in profile:
        return [f"  this version cannot be read as it is: {profile['error']['detail']}"]
    head = ("COLUMN", "TYPE", "EMPTY", "DISTINCT", "FROM", "TO")
    rows = [
        (
            column["name"],
            column["type"],
            f"{column['nulls']:,}",
            f"{column['distinct']:,}",
            str(column["least"] or ""),
            str(column["greatest"] or ""),
        )
        for column in profile["columns"]
    ]
    unreadable = f", {profile['unreadable_rows']:,} unreadable" if profile["unreadable_rows"] else ""
    return [f"  rows: {profile['rows']:,}{unreadable}", *table(head, rows, indent="  ")]
