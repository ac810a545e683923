"""`reportgen reports`: named reports, which rules over which datasets, and their runs, on the running installation."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reportgen_dagster.cli.acting import (
    OutputOption,
    UserOption,
    acting,
    head_of,
    pick_of,
    seconds_of,
    write_copy,
)
from reportgen_dagster.cli.output import (
    DEFAULT_REFERENCE,
    INPUT,
    MAX_RULES_BYTES,
    DateOption,
    JsonOption,
    ParameterOption,
    given_parameters,
    print_json,
)
from reportgen_dagster.cli.showing import (
    destination_lines,
    moment,
    picked,
    report_json,
    run_json,
    run_lines,
    run_outcome,
    say,
    schedule_json,
    schedule_lines,
    table,
)
from reportgen_dagster.errors import BadRequestError, RulesError, error_from_json
from reportgen_dagster.formats import FORMATS
from reportgen_dagster.sizes import span_text

if TYPE_CHECKING:
    from reportgen_dagster.services.context import Context
    from reportgen_dagster.services.reports import Pick, ReportView
    from reportgen_dagster.services.runs import RunView

SHOWN_RUNS = 5
_LOOK_SECONDS = 0.2

app = typer.Typer()

FormatsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        help=f"What its runs make instead of what the rules say: {', '.join(FORMATS)}. May be there several times.",
        metavar="FORMAT",
    ),
]
NameArgument = Annotated[str, typer.Argument(help="The report.", metavar="NAME")]


@app.command("put")
def put_command(
    name: NameArgument,
    ruleset: Annotated[
        str,
        typer.Option(
            "--ruleset", help="The rules: follow a ruleset, or pin a version.", metavar="RULESET[@VERSION]"
        ),
    ],
    input_dataset: Annotated[
        str,
        typer.Option(
            "--input",
            "-i",
            help="The input: follow a dataset, or pin a version.",
            metavar="DATASET[@VERSION]",
        ),
    ],
    reference: Annotated[
        list[str] | None,
        typer.Option(
            "--reference",
            "-r",
            help="A reference of the rules; without NAME `reference`. May be there several times.",
            metavar="NAME=DATASET[@VERSION]",
        ),
    ] = None,
    parameter: ParameterOption = None,
    on_new_data: Annotated[
        bool,
        typer.Option(
            "--on-new-data/--no-on-new-data", help="It runs when a dataset that it follows has a new version."
        ),
    ] = False,
    settle: Annotated[
        str, typer.Option("--settle", help="... and none has come for so long after it, as 10s or 5m.")
    ] = "10s",
    fresh_within: Annotated[
        str | None,
        typer.Option("--fresh-within", help="Dagster shows a report older than that as stale, as 1d."),
    ] = None,
    formats: FormatsOption = None,
    deliveries: Annotated[
        Path | None,
        typer.Option(
            "--deliveries",
            help="Where it is delivered to, as a list in YAML or JSON (docs/delivery.md); - for standard input.",
            metavar="FILE",
        ),
    ] = None,
    keep_days: Annotated[
        int | None,
        typer.Option("--keep-days", help="Files of its runs are kept so long, if that is less than for all."),
    ] = None,
    keep_runs: Annotated[
        int | None,
        typer.Option("--keep-runs", help="... but those of its last so many successes as long as all."),
    ] = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a report, or say anew what it is made of; a paused one goes on. Its schedules stay.

    Rules, columns and parameters are checked together first. What is left out is not kept from before.
    """
    from reportgen_dagster.services import reports
    from reportgen_dagster.services.parameters import plain_parameters

    wish = reports.ReportWish(
        ruleset=pick_of(ruleset),
        inputs=_inputs(input_dataset, reference or ()),
        parameters=plain_parameters(given_parameters(parameter)),
        on_new_data=on_new_data,
        settle_seconds=seconds_of(settle, "--settle"),
        fresh_within_seconds=seconds_of(fresh_within, "--fresh-within") if fresh_within else None,
        formats=formats,
        deliveries=_deliveries(deliveries) if deliveries else (),
        retention_days=keep_days,
        keep_runs=keep_runs,
    )
    with acting(user) as (context, owner_id):
        report = reports.put_report(context, owner_id, name, wish, is_operator=True)
    if as_json:
        print_json(report_json(report))
    else:
        say(*_report_lines(report))


@app.command("list")
def list_command(user: UserOption = None, as_json: JsonOption = False) -> None:
    """List the reports, each with its last run."""
    from reportgen_dagster.services import reports, schedules

    with acting(user) as (context, owner_id):
        found = reports.list_reports(context, owner_id)
        scheduled = Counter(one.report_name for one in schedules.list_schedules(context, owner_id))
    if as_json:
        print_json({"reports": [report_json(one) for one in found]})
        return
    rows = [
        (
            one.name,
            picked(one.ruleset),
            ", ".join(picked(pick) for pick in one.inputs.values()),
            _when(one, scheduled[one.name]),
            run_outcome(one.last_run),
        )
        for one in found
    ]
    head = ("REPORT", "RULESET", "DATASETS", "BY ITSELF", "LAST RUN")
    say(*(table(head, rows) if rows else ["There is no report yet."]))


@app.command("show")
def show_command(name: NameArgument, user: UserOption = None, as_json: JsonOption = False) -> None:
    """Show a report: rules, datasets, schedules in words with their next ten times, and the last runs."""
    from reportgen_dagster.services import report_runs, reports, schedules

    with acting(user) as (context, owner_id):
        report = reports.get_report(context, owner_id, name)
        its_schedules = schedules.list_schedules(context, owner_id, name)
        runs = report_runs.report_runs(context, owner_id, name, limit=SHOWN_RUNS)
    if as_json:
        shown = [schedule_json(one, with_next_runs=True) for one in its_schedules]
        print_json(report_json(report) | {"schedules": shown, "runs": [run_json(run) for run in runs]})
        return
    say(*_report_lines(report), "  schedules:" if its_schedules else "  schedules: none")
    for schedule in its_schedules:
        say(*schedule_lines(schedule, indent="    "))
    say("  runs:", *run_lines(runs, indent="    "))


@app.command("run")
def run_command(
    name: NameArgument,
    date: DateOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it ended.")] = False,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Accept a run of a report, also of a paused one; the service makes it within seconds, whatever is killed.

    With --wait the exit code tells how it ended: 0 made, 2 rules wrong or cancelled, 3 the data allows no report, 1 our fault.
    """
    from reportgen_dagster.services import report_runs

    with acting(user) as (context, owner_id):
        run = report_runs.run_report(context, owner_id, name, run_date=date.date() if date else None)
        if wait:
            if not as_json:
                sys.stderr.write(f"{name}: run {run.id} is accepted\n")
            run = _ended(context, owner_id, run.id)
    if as_json:
        print_json(run_json(run))
    elif not run.error:
        say(f"{name}: run {run.id} {run_outcome(run)}" if wait else f"{name}: run {run.id} is accepted")
    if run.error:
        raise error_from_json(run.error)


@app.command("runs")
def runs_command(
    name: NameArgument,
    limit: Annotated[int, typer.Option("--limit", help="At most so many.", min=1, max=500)] = 20,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the runs of a report with their outcome, the latest first."""
    from reportgen_dagster.services import report_runs

    with acting(user) as (context, owner_id):
        found = report_runs.report_runs(context, owner_id, name, limit=limit)
    if as_json:
        print_json({"runs": [run_json(run) for run in found]})
    else:
        say(*run_lines(found))


@app.command("get")
def get_command(
    name: NameArgument,
    output: OutputOption,
    run: Annotated[
        str | None,
        typer.Option("--run", help="Of which run; the last that made one if left out.", metavar="RUN"),
    ] = None,
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format", help="Which of its files; csv, else its first, if left out.", metavar="FORMAT"
        ),
    ] = None,
    user: UserOption = None,
) -> None:
    """Write the file that a run of a report made."""
    from reportgen_dagster.services import report_runs

    with acting(user) as (context, owner_id):
        write_copy(report_runs.made_file(context, owner_id, name, run, format_name).chunks(), output)


@app.command("pause")
def pause_command(name: NameArgument, user: UserOption = None, as_json: JsonOption = False) -> None:
    """Let a report run neither by its schedules nor on new data until it is resumed."""
    from reportgen_dagster.services import reports

    with acting(user) as (context, owner_id):
        report = reports.pause_report(context, owner_id, name)
    if as_json:
        print_json(report_json(report))
    else:
        say(f"{name}: paused")


@app.command("resume")
def resume_command(name: NameArgument, user: UserOption = None, as_json: JsonOption = False) -> None:
    """Let a paused report run by itself again."""
    from reportgen_dagster.services import reports

    with acting(user) as (context, owner_id):
        report = reports.resume_report(context, owner_id, name)
    if as_json:
        print_json(report_json(report))
    else:
        say(f"{name}: runs again")


@app.command("delete")
def delete_command(name: NameArgument, user: UserOption = None, as_json: JsonOption = False) -> None:
    """Delete a report with its schedules. Its runs and their files stay."""
    from reportgen_dagster.services import reports

    with acting(user) as (context, owner_id):
        reports.delete_report(context, owner_id, name)
    if as_json:
        print_json({"deleted": name})
    else:
        say(f"{name}: deleted")


def _inputs(input_dataset: str, reference: Sequence[str]) -> dict[str, Pick]:
    """Return the dataset of each file of the rules.

    Raises:
        BadRequestError: If two are given for one.
    """
    inputs = {INPUT: pick_of(input_dataset)}
    for text in reference:
        name, separator, dataset = text.partition("=")
        file, picked_text = (name, dataset) if separator else (DEFAULT_REFERENCE, text)
        if file in inputs:
            raise BadRequestError(f"Two datasets are given for {file}; name references, as NAME=DATASET.")
        inputs[file] = pick_of(picked_text)
    return inputs


def _deliveries(file: Path) -> list[Any]:
    """Read a list of destinations.

    Raises:
        BadRequestError: If the file cannot be read, or is no list in YAML or JSON.
    """
    from reportgen_dagster.rules.reading.positions import read_document

    try:
        text = head_of(file, MAX_RULES_BYTES).decode()
        read = read_document(text, syntax="yaml", source=file.name).data
    except UnicodeDecodeError:
        raise BadRequestError(f"{file} is not UTF-8.") from None
    except RulesError as error:
        raise BadRequestError(problems=error.problems) from None
    if not isinstance(read, list):
        raise BadRequestError(f"{file}: a list of destinations is needed.")
    return read


def _ended(context: Context, owner_id: str, run_id: str) -> RunView:
    """Wait until a run ended and return it."""
    from reportgen_dagster.catalog.tables import FINAL_STATES
    from reportgen_dagster.services.runs import find_run

    while True:
        run = find_run(context, owner_id, run_id)
        if run.state in FINAL_STATES:
            return run
        time.sleep(_LOOK_SECONDS)


def _report_lines(report: ReportView) -> list[str]:
    lines = [f"{report.name}{': paused' if report.paused else ''}", f"  ruleset: {picked(report.ruleset)}"]
    lines += [f"  {file}: {picked(pick)}" for file, pick in report.inputs.items()]
    lines += [f"  parameter {name}: {value}" for name, value in report.parameters.items()]
    if report.formats:
        lines.append(f"  makes {', '.join(report.formats)}")
    if report.on_new_data:
        lines.append(f"  runs on new data, once {span_text(report.settle_seconds)} bring no more")
    if report.fresh_within_seconds is not None:
        lines.append(f"  stale after {span_text(report.fresh_within_seconds)}")
    if report.retention_days is not None:
        but = f", those of its last {report.keep_runs} successes longer" if report.keep_runs else ""
        lines.append(f"  keeps files for {report.retention_days} days{but}")
    lines += destination_lines(report.deliveries, indent="  ")
    return [*lines, f"  changed: {moment(report.updated_at)}"]


def _when(report: ReportView, schedules: int) -> str:
    if report.paused:
        return "paused"
    told = [f"{schedules} {'schedule' if schedules == 1 else 'schedules'}"] if schedules else []
    told += ["new data"] if report.on_new_data else []
    return ", ".join(told) or "-"
