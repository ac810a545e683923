"""`reportgen run`: one report from files on this machine, without the service."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reportgen_dagster.cli.isolation import confined, given_paths
from reportgen_dagster.cli.output import (
    DateOption,
    InputOption,
    JsonOption,
    OptionalRulesArgument,
    ParameterOption,
    ReferenceOption,
    console,
    print_json,
    progress_bar,
    run_date_of,
)
from reportgen_dagster.cli.planning import asked
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.errors import BadRequestError
from reportgen_dagster.formats import FORMATS, Format, file_name, format_of, is_packed_name, known_formats
from reportgen_dagster.sizes import byte_count

if TYPE_CHECKING:
    from reportgen_dagster.engine.confined import Message, Tell
    from reportgen_dagster.engine.outcome import Outcome

DEFAULT_LIMITS = Limits()


def run_command(
    input_file: InputOption,
    rules: OptionalRulesArgument = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            help="Where to write the report; the name's ending tells the format. May be there several times.",
            dir_okay=False,
        ),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            help="Make the report of this manifest of a run again, from files that are the same, instead of RULES; tell whether"
            " it is the same to the byte.",
            exists=True,
            dir_okay=False,
            metavar="FILE",
        ),
    ] = None,
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format",
            help=f"The format, if the name does not tell it: {', '.join(FORMATS)}.",
            metavar="FORMAT",
        ),
    ] = None,
    reference: ReferenceOption = None,
    parameter: ParameterOption = None,
    date: DateOption = None,
    rejects: Annotated[
        Path | None,
        typer.Option("--rejects", help="Where to write the rows that were diverted, if any.", dir_okay=False),
    ] = None,
    memory_limit: Annotated[
        str,
        typer.Option(
            help="Memory for DuckDB's buffers, as 512MB; the process takes about 300 MB more, 500 MB for a PDF."
        ),
    ] = DEFAULT_LIMITS.memory,
    time_limit: Annotated[
        int, typer.Option(help="Seconds that the report may take.", min=1, max=10**6)
    ] = DEFAULT_LIMITS.seconds,
    temp_limit: Annotated[
        str, typer.Option(help="Room on the disk for copies of files and spilled data, as 20GB.")
    ] = DEFAULT_LIMITS.temp,
    as_json: JsonOption = False,
) -> None:
    """Make one report.

    Exits with 0 when it is made, 2 if rules or usage are wrong, 3 if the data allows no report or something differs from the
    manifest, 1 if the fault is ours.
    """
    limits = _judged(Limits(memory=memory_limit, seconds=time_limit, temp=temp_limit))
    outputs = _outputs(output or (), format_name)
    for path, what in (*((path, "report") for path in outputs.values()), (rejects, "rejects")):
        if path is not None and not path.absolute().parent.is_dir():
            raise BadRequestError(f"there is no folder {path.parent} to write the {what} to")
    if manifest is not None:
        if rules is not None or parameter or date is not None:
            raise BadRequestError("a manifest has rules, parameters and date; give only files with it")
        from reportgen_dagster.cli.replaying import replay

        replay(manifest, input_file, reference, outputs, rejects, limits=limits, as_json=as_json)
        return
    if rules is None or not output:
        raise BadRequestError("give RULES and `--output`, or `--manifest`")
    start = time.monotonic()
    from reportgen_dagster.engine.outcome import Outcome
    from reportgen_dagster.engine.report import make_report

    with tempfile.TemporaryDirectory(prefix=".reportgen-", dir=output[0].absolute().parent) as folder:
        work = Path(folder)
        made = {
            name: work / file_name("report", name, packed=is_packed_name(path.name))
            for name, path in outputs.items()
        }
        diverted = work / "rejects.csv"
        is_shown = sys.stderr.isatty() and not as_json

        def make(tell: Tell) -> None:
            found = asked(rules, input_file, reference, parameter, run_date_of(date), is_run=True)
            with found.carried_out():
                outcome = make_report(
                    found.ruleset,
                    found.files,
                    outputs=made,
                    rejects=diverted,
                    work=work,
                    limits=limits,
                    parameters=found.parameters,
                    run_date=found.run_date,
                    progress=_progress(tell) if is_shown else lambda _fraction, _rows: None,
                )
            tell({"outcome": outcome.to_json()})

        try:
            reads = given_paths(rules, input_file, reference)
            with confined(make, limits=limits, reads=reads, work_folder=work) as messages:
                told = _watched(messages, is_shown=is_shown)
        finally:
            _keep(diverted, rejects)  # also of a run that fails: they show why
        outcome = Outcome(**told["outcome"])
        for name, path in outputs.items():
            shutil.move(made[name], path)  # may be another file system
    if as_json:
        print_json({**outcome.to_json(), "seconds": round(time.monotonic() - start, 3)})
    else:
        _print_summary(outcome, output, rejects, time.monotonic() - start)


def _outputs(paths: Sequence[Path], wanted: str | None) -> dict[Format, Path]:
    """Return where to write each format.

    Raises:
        BadRequestError: If a format is unknown or there twice.
    """
    if wanted is not None and len(paths) > 1:
        raise BadRequestError("the names of several outputs tell their formats; `--format` goes with one")
    outputs: dict[Format, Path] = {}
    for path in paths:
        name = _known(wanted) if wanted is not None else format_of(path.name) or "csv"
        if name in outputs:
            raise BadRequestError(f"`{outputs[name]}` and `{path}` are both {name}; name one")
        outputs[name] = path
    return outputs


def _known(wanted: str) -> Format:
    try:
        return known_formats([wanted])[0]
    except ValueError as error:
        raise BadRequestError(str(error)) from None


def _progress(tell: Tell) -> Callable[[float, int], None]:
    return lambda fraction, _rows: tell({"progress": fraction})


def _watched(messages: Iterator[Message], *, is_shown: bool) -> Message:
    """Show progress and return the last message."""
    message: Message = {}
    with progress_bar("report", shown=is_shown) as progress:
        for message in messages:
            if "progress" in message:
                progress(message["progress"])
    return message


def _judged(limits: Limits) -> Limits:
    """Return limits that can be used."""
    for name in ("memory", "temp"):
        try:
            byte_count(getattr(limits, name))
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint=f"--{name}-limit") from None
    return limits


def _keep(diverted: Path, rejects: Path | None) -> None:
    """Put the rejects where they were asked for; a file of an earlier run does not stay there."""
    if rejects is None:
        return
    if diverted.exists():
        shutil.move(diverted, rejects)  # may be another file system
    else:
        rejects.unlink(missing_ok=True)


def _print_summary(outcome: Outcome, output: Sequence[Path], rejects: Path | None, seconds: float) -> None:
    screen = console()
    screen.print(
        f"{', '.join(map(str, output))}: {outcome.row_count:,} rows from {outcome.input_count:,},"
        f" {outcome.reject_count:,} rejected, {seconds:.1f} s",
        markup=False,
    )
    for name, words in outcome.decisions.items():
        for decision in words:
            screen.print(f"  {name}: {decision}", markup=False)
    for warning in outcome.warnings:
        screen.print(f"  warning: {warning}", markup=False)
    if not outcome.reject_count:
        return
    for line in _reject_lines(outcome):
        screen.print(line, markup=False)
    if outcome.reject_count > len(outcome.reject_samples):
        screen.print(f"  and {outcome.reject_count - len(outcome.reject_samples):,} more")
    where = f"all of them: {rejects}" if rejects else "keep them with --rejects FILE"
    screen.print(f"  {where}", markup=False)


def _reject_lines(outcome: Outcome) -> Iterator[str]:
    """Write rejects for a person: a line for each reason of a row."""
    from reportgen_dagster.engine.rejects import REASON_JOINT  # loads numpy

    of_cells = {(rule["column"], rule["rule"]) for rule in outcome.rules if rule["step"] == "input"}
    for sample in outcome.reject_samples:
        told = [sample[name].split(REASON_JOINT) for name in ("_column", "_rule", "_value", "_reason")]
        if len({len(texts) for texts in told}) > 1:  # a text has the joint in itself
            told = [[REASON_JOINT.join(texts)] for texts in told]
        for column, rule, value, reason in zip(*told, strict=True):
            shown = f"'{value}' " if (column, rule) in of_cells else f"{value}: " if value else ""
            line = f"line {sample['_line']}  {column}{'  ' if column else ''}{shown}{reason} ({rule})"
            yield "  " + "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in line)
