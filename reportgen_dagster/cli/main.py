"""The `reportgen` command: its subcommands, and how an error is shown.

A subcommand, or a group of them, lives in a module of its own and imports what is heavy inside its function. No work
is done here.
"""

from __future__ import annotations

import gc
import io
import json
import os
import select
import sys

import typer
from pydantic import ValidationError

from reportgen_dagster.cli.audit import audit_command
from reportgen_dagster.cli.backup import backup_command, restore_command
from reportgen_dagster.cli.check import check_command
from reportgen_dagster.cli.doctor import doctor_command
from reportgen_dagster.cli.explain import explain_command
from reportgen_dagster.cli.fsck import fsck_command
from reportgen_dagster.cli.functions import functions_command
from reportgen_dagster.cli.generate import download_command, generate_command
from reportgen_dagster.cli.infer import infer_command
from reportgen_dagster.cli.lazy_groups import lazy_group
from reportgen_dagster.cli.login import login_command, logout_command
from reportgen_dagster.cli.preview import preview_command
from reportgen_dagster.cli.run import run_command
from reportgen_dagster.cli.up import up_command
from reportgen_dagster.cli.upload import upload_command
from reportgen_dagster.errors import BadRequestError, Problem, ReportgenError, ServiceError

# Modules make many objects that stay. Looking for garbage among them every 700 objects, as Python does by itself, takes a
# tenth of the time of a small report.
_OBJECTS_BETWEEN_COLLECTIONS = 100_000

app = typer.Typer(
    name="reportgen",
    help="Readable, checked rules turn CSV files into reports.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("up")(up_command)
app.command("run")(run_command)
app.command("check")(check_command)
app.command("explain")(explain_command)
app.command("preview")(preview_command)
app.command("infer")(infer_command)
app.command("functions")(functions_command)
app.command("fsck")(fsck_command)
app.command("audit")(audit_command)
app.command("doctor")(doctor_command)
app.command("backup")(backup_command)
app.command("restore")(restore_command)
app.add_typer(lazy_group("datasets", "Named datasets: files with versions."))
app.add_typer(lazy_group("rulesets", "Named rules with versions."))
app.add_typer(lazy_group("reports", "Named reports: rules over datasets, and their runs."))
app.add_typer(lazy_group("schedules", "When reports run by themselves."))
app.add_typer(
    lazy_group("deliveries", "E-mails, webhooks and copies of reports: what is on its way, and what is dead.")
)
app.add_typer(lazy_group("secrets", "Who may sign webhooks with which secret."))
app.command("login")(login_command)
app.command("logout")(logout_command)
app.command("upload")(upload_command)
app.command("generate")(generate_command)
app.command("download")(download_command)
app.add_typer(lazy_group("runs", "Runs on the service that you signed in to."))
app.add_typer(lazy_group("storage", "Where the files of an installation are kept."))
app.add_typer(lazy_group("users", "Who uses an installation: roles, shares in the queue, keeping out."))
app.add_typer(lazy_group("keys", "The keys that tokens are signed with."))


def main() -> None:
    """Run the command that the arguments name, and exit with its code.

    Errors are shown as lines, or as JSON on standard error when `--json` was given; never as a stack trace, except under
    `python -X dev`.
    """
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    _write_any_text()
    output = _output()
    try:
        app()
    except SystemExit as stop:
        _leave(stop, output)
    except ReportgenError as error:
        _exit_with(error)
    except ValidationError as error:
        _exit_with(_settings_error(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        hint = "`python -X dev -m reportgen_dagster.cli.main ...` shows where it happened."
        _exit_with(ServiceError(f"{type(error).__name__}: {error}", hint=hint))


def _output() -> int | None:
    """Return a descriptor of the output that stays what it is; None if nothing or no file is written to."""
    try:
        return os.dup(sys.stdout.fileno()) if sys.stdout else None
    except io.UnsupportedOperation:
        return None


def _leave(stop: SystemExit, output: int | None) -> None:
    """Exit; that a reader of the output had enough, as `head -1`, is no failure and is not told.

    Args:
        stop: With which code. Whoever wrote last may have made a failure of it.
        output: A descriptor of the output as it was at the start; None if there is none.
    """
    if output is None:
        raise stop
    code = 0 if isinstance(stop.__context__, BrokenPipeError) and _is_left(output) else stop.code
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # else Python tells of it when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _is_left(output: int) -> bool:
    """Tell whether nobody reads what is written any more."""
    poll = select.poll()
    poll.register(output, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _write_any_text() -> None:
    """Let no character end a command: files and pipes get UTF-8, terminals of other encodings get escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            encoding = None if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


def _exit_with(error: ReportgenError) -> None:
    if "--json" in sys.argv:
        sys.stderr.write(json.dumps(error.to_json(), ensure_ascii=False) + "\n")
    else:
        sys.stderr.write("\n".join(_lines(error)) + "\n")
    sys.exit(error.exit_code)


def _lines(error: ReportgenError) -> list[str]:
    """Return an error for a person: title, what happened, every problem, the cure."""
    detail = [] if error.detail == error.title or error.problems else [f"  {error.detail}"]
    problems = [f"  {problem}" for problem in error.problems]
    hint = [error.case_hint] if error.case_hint else []
    return [f"Error: {error.title}", *detail, *problems, *hint]


def _settings_error(error: ValidationError) -> ReportgenError:
    """Return what is wrong with the environment's settings, or our own fault if it is something else."""
    if error.title != "Settings":
        return ServiceError(f"{error.title}: {error.error_count()} values are not valid")
    problems = [
        Problem(wrong["msg"], path=f"REPORTGEN_{str(wrong['loc'][0]).upper()}")
        for wrong in error.errors(include_input=False)
    ]
    return BadRequestError(problems=problems, hint="docs/settings.md lists every setting.")


if __name__ == "__main__":
    main()
