"""`reportgen run`: one report from files on this machine, without the service."""

from __future__ import annotations

import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reportgen_dagster.cli.output import (
    JsonOption,
    ReferenceOption,
    RulesArgument,
    console,
    print_json,
    read_rules,
    reference_paths,
)
from reportgen_dagster.errors import BadRequestError
from reportgen_dagster.settings import byte_count

if TYPE_CHECKING:
    from reportgen_dagster.engine.outcome import Outcome

# Address space beyond DuckDB's buffers: code, and what thread stacks and allocators reserve without using it (measured: 2 GB are
# too little on two cores, 3 GB enough; Polars starts a thread a core). It stops a runaway, not a report that is merely large.
ADDRESS_SPACE_HEADROOM = 4 * 1000**3 + 250 * 1000**2 * (os.cpu_count() or 1)


def run_command(
    rules: RulesArgument,
    input_file: Annotated[
        Path, typer.Option("--input", "-i", help="The input CSV.", exists=True, dir_okay=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to write the report.", dir_okay=False)
    ],
    reference: ReferenceOption = None,
    rejects: Annotated[
        Path | None,
        typer.Option("--rejects", help="Where to write the rows that were diverted, if any.", dir_okay=False),
    ] = None,
    memory_limit: Annotated[
        str,
        typer.Option(help="Memory for DuckDB's buffers, as 512MB; the process takes 200 MB more at most."),
    ] = "1GB",
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Make one report.

    Exits with 0 when it is made, 2 if rules or usage are wrong, 3 if the data allows no report, 1 if the fault is ours.
    """
    start = time.monotonic()
    _limit_memory(memory_limit)
    ruleset = read_rules(rules)
    files = {"input": input_file, **reference_paths(ruleset, reference)}
    if not output.absolute().parent.is_dir():
        raise BadRequestError(f"there is no folder {output.parent} to write the report to")
    from reportgen_dagster.engine.limits import Limits
    from reportgen_dagster.engine.report import make_report

    with tempfile.TemporaryDirectory(prefix=".reportgen-", dir=output.absolute().parent) as folder:
        work = Path(folder)
        report, diverted = work / "report.csv", work / "rejects.csv"
        with _progress_bar(shown=sys.stderr.isatty() and not as_json) as progress:
            outcome = make_report(
                ruleset,
                files,
                output=report,
                rejects=diverted,
                work=work,
                limits=Limits(memory=memory_limit),
                progress=progress,
            )
        _keep(diverted, rejects)
        report.replace(output)
    if as_json:
        print_json({**outcome.to_json(), "seconds": round(time.monotonic() - start, 3)})
    else:
        _print_summary(outcome, output, rejects, time.monotonic() - start)


def _limit_memory(memory_limit: str) -> None:
    """Bound the address space of this process, below whatever bound it already has."""
    try:
        size = byte_count(memory_limit) + ADDRESS_SPACE_HEADROOM
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--memory-limit") from None
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    bounds = [size, *(bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hard))


def _keep(diverted: Path, rejects: Path | None) -> None:
    """Put the rejects where they were asked for; a file of an earlier run does not stay there."""
    if rejects is None:
        return
    if not rejects.absolute().parent.is_dir():
        raise BadRequestError(f"there is no folder {rejects.parent} to write the rejects to")
    if diverted.exists():
        shutil.move(diverted, rejects)  # may be another file system
    else:
        rejects.unlink(missing_ok=True)


@contextmanager
def _progress_bar(*, shown: bool) -> Iterator[Callable[[float], None]]:
    if not shown:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("report", total=1.0)
        yield lambda fraction: bar.update(task, completed=fraction)


def _print_summary(outcome: Outcome, output: Path, rejects: Path | None, seconds: float) -> None:
    screen = console()
    screen.print(
        f"{output}: {outcome.row_count:,} rows from {outcome.input_count:,}, {outcome.reject_count:,} rejected,"
        f" {seconds:.1f} s",
        markup=False,
    )
    if not outcome.reject_count:
        return
    for sample in outcome.reject_samples:
        what = sample["_rule"] if not sample["_column"] else f"{sample['_column']} = {sample['_rule']}"
        screen.print(f"  line {sample['_line']}: {sample['_reason']} ({what})", markup=False)
    if outcome.reject_count > len(outcome.reject_samples):
        screen.print(f"  and {outcome.reject_count - len(outcome.reject_samples):,} more")
    where = f"all of them: {rejects}" if rejects else "keep them with --rejects FILE"
    screen.print(f"  {where}", markup=False)
