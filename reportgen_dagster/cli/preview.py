"""`reportgen preview`: the first rows after any step."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reportgen_dagster.cli.isolation import confined, given_paths
from reportgen_dagster.cli.output import (
    DateOption,
    InputOption,
    JsonOption,
    ParameterOption,
    ReferenceOption,
    RulesArgument,
    print_json,
    run_date_of,
)
from reportgen_dagster.cli.planning import asked

if TYPE_CHECKING:
    from reportgen_dagster.engine.confined import Tell


def preview_command(
    rules: RulesArgument,
    input_file: InputOption,
    reference: ReferenceOption = None,
    parameter: ParameterOption = None,
    date: DateOption = None,
    step: Annotated[
        int | None,
        typer.Option("--step", "-s", help="After so many steps; 0: the input as it is read.", min=0),
    ] = None,
    rows: Annotated[int, typer.Option("--rows", help="At most so many rows.", min=1, max=1000)] = 10,
    as_json: JsonOption = False,
) -> None:
    """Show the first rows after a step, as a Markdown table; after the last one if none is named."""
    from reportgen_dagster.engine.limits import Limits
    from reportgen_dagster.engine.preview import preview

    with tempfile.TemporaryDirectory(prefix="reportgen-") as folder:
        work, limits = Path(folder), Limits()

        def show(tell: Tell) -> None:
            found = asked(rules, input_file, reference, parameter, run_date_of(date), is_run=True)
            with found.carried_out():
                made = preview(
                    found.ruleset,
                    found.files,
                    step=step,
                    rows=rows,
                    work=work,
                    limits=limits,
                    parameters=found.parameters,
                    run_date=found.run_date,
                )
            tell(made.to_json())

        reads = given_paths(rules, input_file, reference)
        with confined(show, limits=limits, reads=reads, work_folder=work) as messages:
            (shown,) = messages
    if as_json:
        print_json(shown)
    else:
        sys.stdout.write(f"{shown['preview']}\n")
