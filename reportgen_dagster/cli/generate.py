"""`reportgen generate` and `download`: reports made by the service that one signed in to."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reportgen_dagster.cli.acting import STDIN, OutputOption, write_copy
from reportgen_dagster.cli.asking import ContextOption, asking, byte_progress
from reportgen_dagster.cli.output import (
    DEFAULT_REFERENCE,
    JsonOption,
    OptionalInputOption,
    ParameterOption,
    ReferenceOption,
    given_parameters,
    named_file,
    print_json,
)
from reportgen_dagster.cli.runs import awaited, outcome, raise_if_failed
from reportgen_dagster.cli.showing import say
from reportgen_dagster.cli.upload import OptionalRulesOption
from reportgen_dagster.errors import BadRequestError, MissingInputError, Problem
from reportgen_dagster.formats import FORMATS, format_of

if TYPE_CHECKING:
    from reportgen_client import Client, Run

WaitOption = Annotated[bool, typer.Option("--wait", help="Wait until it ended.")]


def generate_command(
    input_file: OptionalInputOption = None,
    reference: ReferenceOption = None,
    rules: OptionalRulesOption = None,
    parameter: ParameterOption = None,
    format_names: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help=f"What it is made as: {', '.join(FORMATS)}; what the rules or --output say if left out."
            " May be there several times.",
            metavar="FORMAT",
        ),
    ] = None,
    wait: WaitOption = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Wait, and write it there; - for standard output.", metavar="FILE"
        ),
    ] = None,
    context: ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have the service make a report; what is left out is what was uploaded last. It is made whatever is killed meanwhile.

    With --wait or --output the exit code tells how it ended: 0 made, 2 rules wrong or cancelled, 3 the data allows no report,
    1 our fault.
    """
    files = _references(reference or ())
    wanted = _format(output) if output and not format_names else None
    with asking(context) as client:
        with byte_progress("upload", as_json=as_json) as progress:
            run = client.generate(
                input=input_file,
                reference=files.pop(DEFAULT_REFERENCE, None),
                references=files,
                rules=rules,
                parameters=given_parameters(parameter),
                formats=format_names or ([wanted] if wanted else None),
                on_progress=progress,
            )
        if wait or output is not None:
            if not as_json:
                sys.stderr.write(f"run {run.id} is accepted\n")
            awaited(run, as_json=as_json)
            raise_if_failed(run)
        if output is not None:
            _write(run, output, wanted or _among(format_names, output), as_json=as_json)
    _tell(run, output, as_json=as_json)


def download_command(
    output: OutputOption,
    run_id: Annotated[
        str | None,
        typer.Argument(help="The run; the last one if left out.", metavar="RUN", show_default=False),
    ] = None,
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Which of its files; what the name of the output says, else csv, else its first, if left out.",
            metavar="FORMAT",
        ),
    ] = None,
    wait: WaitOption = False,
    context: ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Download the report of a run. A connection that breaks is no matter: the rest is asked for, and the digest is checked."""
    with asking(context) as client:
        run = client.run(run_id) if run_id else _latest(client)
        if wait:
            awaited(run, as_json=as_json)
        if not run.is_final:
            raise BadRequestError(
                f"The report is not ready yet: run {run.id} {outcome(run.facts)}.", hint="Give --wait."
            )
        raise_if_failed(run)
        _write(run, output, format_name or _format(output), as_json=as_json)
    _tell(run, output, as_json=as_json)


def _latest(client: Client) -> Run:
    for run in client.runs(limit=1):
        return run
    raise BadRequestError("There is no run yet.", hint="Have a report made with `reportgen generate`.")


def _write(run: Run, output: Path, format_name: str | None, *, as_json: bool) -> None:
    with byte_progress("download", as_json=as_json) as progress:
        write_copy(run.pieces(format_name, progress), output)


def _tell(run: Run, output: Path | None, *, as_json: bool) -> None:
    if output == STDIN:
        return
    if as_json:
        print_json(run.facts)
    elif output is not None:
        say(f"{output}: {outcome(run.facts)}")
    else:
        say(f"run {run.id} {outcome(run.facts)}" if run.is_final else f"run {run.id} is accepted")


def _format(output: Path) -> str | None:
    """Return the format that the name of a file asks for; None leaves it to the rules and the service."""
    found = format_of(output.name)
    return None if found == "csv" else found


def _among(format_names: Sequence[str] | None, output: Path) -> str | None:
    """Return which of several formats goes into a file: the one that its name asks for, else the first."""
    names = list(format_names or ())
    found = format_of(output.name)
    return found if found in names else names[0] if names else None


def _references(given: Sequence[str]) -> dict[str, Path]:
    """Return the reference files by name; just FILE is `reference`.

    Raises:
        MissingInputError: If a file is not there.
        BadRequestError: If two have the same name.
    """
    files: dict[str, Path] = {}
    for text in given:
        name, file = named_file(text)
        if name in files:
            raise BadRequestError(f"two files are given for the reference `{name}`; name them: NAME=FILE")
        if not Path(file).is_file():
            raise MissingInputError(problems=[Problem(f"there is no file {file}", source=name)])
        files[name] = Path(file)
    return files
