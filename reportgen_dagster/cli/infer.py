"""`reportgen infer`: first rules for a CSV file: a contract of what every row of it holds, and its columns as they are."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reportgen_dagster.cli.isolation import confined
from reportgen_dagster.errors import BadRequestError, ReportgenError

if TYPE_CHECKING:
    from reportgen_dagster.engine.confined import Tell


def infer_command(
    file: Annotated[Path, typer.Argument(help="The CSV file.", exists=True, dir_okay=False, metavar="FILE")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to write the rules; standard output if left out."),
    ] = None,
) -> None:
    """Write first rules for a CSV file: its dialect, and a contract that every row of it keeps."""
    from reportgen_dagster.engine.inference import infer_rules
    from reportgen_dagster.engine.limits import Limits

    if output is not None and not output.absolute().parent.is_dir():
        raise BadRequestError(f"there is no folder {output.parent} to write the rules to")
    with tempfile.TemporaryDirectory(prefix="reportgen-") as folder:
        work, limits = Path(folder), Limits()

        def infer(tell: Tell) -> None:
            tell({"rules": infer_rules(file, work=work, limits=limits)})

        try:
            with confined(infer, limits=limits, reads=[file], work_folder=work) as messages:
                (message,) = messages
        except ReportgenError as error:
            error.name_sources({"input": file.name})
            raise
    if output is None:
        sys.stdout.write(message["rules"])
    else:
        try:
            output.write_text(message["rules"], encoding="utf-8")
        except OSError as error:
            raise BadRequestError(f"the rules cannot be written to {output}: {error.strerror}") from None
