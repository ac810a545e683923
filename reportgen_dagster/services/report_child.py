"""The work of a run's confined process: making one report. Also a program, for processes that cannot fork.

A request is plain data: text, source and syntax of the rules, files, parameters, run_date, work, output, rejects, limits. What
belongs here: reading it and telling of stages, progress and outcome. What does not: the catalog, which this process cannot reach.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Mapping
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

from reportgen_dagster.engine import confined, report
from reportgen_dagster.engine.confined import ConfinedProcess, Tell
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.pages.wish import Occasion
from reportgen_dagster.formats import Format, file_name, known_formats
from reportgen_dagster.rules.reading.loading import load_ruleset
from reportgen_dagster.rules.reading.output import Output
from reportgen_dagster.rules.reading.ruleset import Ruleset
from reportgen_dagster.services.parameters import typed_parameters

PROGRESS_INTERVAL_SECONDS = 1.0


def start(request: Mapping[str, Any]) -> ConfinedProcess:
    """Start the process that makes the report of a request."""
    if confined.can_fork():
        return ConfinedProcess.forked(partial(make, request), **_bounds(request))
    return ConfinedProcess.spawned(__name__, request, limits=Limits(**request["limits"]))


def make(request: Mapping[str, Any], tell: Tell) -> None:
    """Make the report, and tell of it.

    That is {"done": stage}, {"progress": fraction, "rows": read so far} and at the end {"outcome": an `Outcome`'s members,
    "files": the name of each format's file}.
    """
    ruleset = load_ruleset(request["text"], source=request["source"], syntax=request["syntax"])
    outputs = _outputs(ruleset, request)
    ingested = report.ingest(
        ruleset,
        {name: Path(path) for name, path in request["files"].items()},
        work=Path(request["work"]),
        limits=Limits(**request["limits"]),
        parameters=typed_parameters(ruleset, request["parameters"]),
        run_date=date.fromisoformat(request["run_date"]),
        formats=tuple(outputs),
    )
    try:
        tell({"done": "ingest"})
        plan = report.validate(ingested)
        tell({"done": "validate"})
        outcome = report.transform(
            plan,
            outputs=outputs,
            occasion=_occasion(request["occasion"]),
            rejects=Path(request["rejects"]),
            progress=_now_and_then(tell),
        )
    finally:
        ingested.close()
    tell({"outcome": outcome.to_json(), "files": {name: path.name for name, path in outputs.items()}})


def _occasion(told: Mapping[str, Any]) -> Occasion:
    return Occasion(**{**told, "made_at": datetime.fromisoformat(told["made_at"])})


def _outputs(ruleset: Ruleset, request: Mapping[str, Any]) -> dict[Format, Path]:
    """Return where each format is written: those that the run names, else those of the rules."""
    output = ruleset.document.output or Output()
    is_packed = output.dialect.compression == "gzip"
    work = Path(request["work"])
    return {
        name: work / file_name("report", name, packed=is_packed and name == "csv")
        for name in known_formats(request["formats"] or output.formats)
    }


def _now_and_then(tell: Tell) -> report.Progress:
    last = time.monotonic()

    def tell_progress(fraction: float, rows: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_INTERVAL_SECONDS:
            last = now
            tell({"progress": fraction, "rows": rows})

    return tell_progress


def _bounds(request: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "limits": Limits(**request["limits"]),
        "reads": [Path(path) for path in request["files"].values()],
        "writes": [Path(request["work"])],
    }


def main() -> None:
    """Make the report of the request that comes in, for the process whose id is the argument."""
    confined.die_with(int(sys.argv[1]))
    request = json.loads(sys.stdin.readline())
    channel = socket.socket(fileno=sys.stdout.fileno())
    confined.carry_out(partial(make, request), channel, **_bounds(request))


if __name__ == "__main__":
    main()
