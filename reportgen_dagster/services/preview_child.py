"""The warm process behind previews: `python -m reportgen_dagster.services.preview_child`.

One JSON object a line comes in (rules, files, step, rows, parameters, run_date) and one goes out ({"preview": ...} or
{"error": ...}). Each preview is made in a forked process that reaches its files only. Little memory, disk and time, no secrets;
services/preview.py starts another if need be.
Started by that module only.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import tempfile
from collections.abc import Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import pandas  # noqa: F401 - half a second that the first preview would wait for

from reportgen_dagster.engine.confined import ConfinedProcess, ProcessLostError, Tell
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.preview import preview
from reportgen_dagster.errors import LimitError, ReportgenError, RulesError, ServiceError
from reportgen_dagster.rules.reading.loading import read_ruleset
from reportgen_dagster.services.check_child import READY
from reportgen_dagster.services.parameters import typed_parameters
from reportgen_dagster.services.rules_problems import rules_problems

LIMITS = Limits(memory="256MB", threads=1, seconds=2, temp="64MB")
# Of a larger input only the first lines are looked at, where they can be cut off.
SAMPLE_BYTES = 8 * 1000**2
_log = logging.getLogger(__name__)
_UNCUTTABLE = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xff\xfe", b"\xfe\xff")  # gzip, zstd, UTF-16


def main() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the gateway, which then closes our input
    serve(sys.stdin, sys.stdout)


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer each line of `requests` with one line of JSON."""
    print(READY, file=answers, flush=True)
    for line in requests:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Show the first rows after a step; return {"preview": a `PreviewView`'s members} or {"error": the error's JSON}."""
    try:
        with (
            tempfile.TemporaryDirectory(prefix="reportgen-preview-") as folder,
            _process(request, Path(folder)) as shown,
        ):
            (message,) = shown.messages()
            return message
    except ProcessLostError:
        return {"error": LimitError("The preview needs too much memory.").to_json()}
    except ReportgenError as error:
        return {"error": error.to_json()}
    except (
        Exception
    ):  # the gateway must not wait for an answer that never comes, and the user gets no stack trace
        _log.exception("a preview failed")
        return {"error": ServiceError("The preview failed for a reason that is ours to find.").to_json()}


def _process(request: Mapping[str, Any], folder: Path) -> ConfinedProcess:
    """Fork the process that makes this one preview, and reaches the files of it only."""
    reads = [Path(path) for path in request["files"].values()]
    return ConfinedProcess.forked(
        partial(_show, request, folder), limits=LIMITS, reads=reads, writes=[folder]
    )


def _show(request: Mapping[str, Any], folder: Path, tell: Tell) -> None:
    try:
        tell({"preview": _shown(request, folder)})
    except RecursionError:
        raise MemoryError from None


def _shown(request: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    ruleset = read_ruleset(request["text"], source=request["source"], syntax=request["syntax"])
    if ruleset.problems:
        raise RulesError(problems=rules_problems(ruleset, None))
    files = {name: Path(path) for name, path in request["files"].items()}
    sample = _sample(files["input"], folder) if "input" in files else None
    if sample is not None:
        files["input"] = sample
    shown = preview(
        ruleset,
        files,
        step=request["step"],
        rows=request["rows"],
        work=folder,
        limits=LIMITS,
        parameters=typed_parameters(ruleset, request["parameters"]),
        run_date=date.fromisoformat(request["run_date"]),
        whole=sample is None,
    )
    return {
        "columns": shown.columns,
        "rows": shown.rows,
        "markdown": shown.preview,
        "reject_count": shown.reject_count,
        "sampled": sample is not None,
    }


def _sample(path: Path, folder: Path) -> Path | None:
    """Copy the first whole lines of a large file; None if it is small or cannot be cut."""
    if path.stat().st_size <= SAMPLE_BYTES:
        return None
    with path.open("rb") as file:
        head = file.read(SAMPLE_BYTES)
    end = head.rfind(b"\n") + 1
    if head.startswith(_UNCUTTABLE) or not end:
        return None
    sample = folder / "sample.csv"
    sample.write_bytes(head[:end])
    return sample


if __name__ == "__main__":
    main()
