"""`reportgen infer`: first rules for a CSV file: a contract of what every row of it holds, and its columns as they are."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from reportgen_dagster.errors import BadRequestError


def infer_command(
    file: Annotated[Path, typer.Argument(help="The CSV file.", exists=True, dir_okay=False, metavar="FILE")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to write the rules; standard output if left out."),
    ] = None,
) -> None:
    """Write first rules for a CSV file: its dialect, and a contract that every row of it keeps."""
    from reportgen_dagster.engine.inference import infer_rules

    if output is not None and not output.absolute().parent.is_dir():
        raise BadRequestError(f"there is no folder {output.parent} to write the rules to")
    with tempfile.TemporaryDirectory(prefix="reportgen-") as folder:
        rules = infer_rules(file, work=Path(folder))
    if output is None:
        sys.stdout.write(rules)
    else:
        output.write_text(rules, encoding="utf-8")
