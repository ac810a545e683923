"""`reportgen doctor`: what is wrong with an installation, and how to mend it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from reportgen_dagster.supervisor.doctor.findings import Finding

_SIGNS = {"fine": "ok", "warning": "look", "problem": "BAD", "not running": "-"}


def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Look at the machine, the servers and the settings, and say what is wrong and how to mend it; exit with 1 if something is.

    Works whether the service runs or not, changes nothing, and stores and removes one small file.
    """
    from reportgen_dagster.settings import Settings
    from reportgen_dagster.supervisor.doctor.examination import examine

    findings = examine(Settings())
    is_healthy = not any(one.verdict == "problem" for one in findings)
    if as_json:
        told = {"healthy": is_healthy, "findings": [asdict(one) for one in findings]}
        typer.echo(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        for one in findings:
            typer.echo(_line(one))
    raise typer.Exit(code=0 if is_healthy else 1)


def _line(one: Finding) -> str:
    cure = f"\n{'':17}-> {one.cure}" if one.cure else ""
    return f"{_SIGNS[one.verdict]:<5}{one.check:<12}{one.words}{cure}"
