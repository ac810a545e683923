"""`reportgen preview`: the first rows after any step."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from reportgen_dagster.cli.output import (
    DateOption,
    InputOption,
    JsonOption,
    ParameterOption,
    ReferenceOption,
    RulesArgument,
    given_files,
    print_json,
    read_parameters,
    read_rules,
    run_date_of,
)


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
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Show the first rows after a step, as a Markdown table; after the last one if none is named."""
    from reportgen_dagster.engine.limits import Limits
    from reportgen_dagster.engine.preview import preview

    ruleset = read_rules(rules)
    with tempfile.TemporaryDirectory(prefix="reportgen-") as folder:
        shown = preview(
            ruleset,
            given_files(ruleset, input_file, reference),
            step=step,
            rows=rows,
            work=Path(folder),
            limits=Limits(),
            parameters=read_parameters(ruleset, parameter),
            run_date=run_date_of(date),
        )
    if as_json:
        print_json(shown.to_json())
    else:
        sys.stdout.write(f"{shown.preview}\n")
