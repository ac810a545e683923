"""The process that reads users' rules for the gateway: `python -m reportgen_dagster.services.check_child`.

One JSON object a line comes in (text, source, syntax, columns) and one goes out ({} or {"error": ...}). The process has
little memory, no files to write and no secrets; whatever a hostile text does to it, services/check.py starts another.
Started by that module only.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from reportgen_dagster.errors import Problem, ReportgenError, RulesError
from reportgen_dagster.rules.checks import check_columns
from reportgen_dagster.rules.loading import Ruleset, load_ruleset

MEMORY_BYTES = 1024**3
CPU_SECONDS = 10
READY = "ready"


def main() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the gateway, which then closes our input
    confine()
    serve(sys.stdin, sys.stdout)


def confine() -> None:
    """Take away memory, the writing of files and core dumps."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer each line of `requests` with one line of JSON."""
    print(READY, file=answers, flush=True)
    for line in requests:
        _limit_cpu_time()
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Check one text of rules, with columns also against the files; return {} or {"error": the error's JSON}."""
    try:
        ruleset = load_ruleset(request["text"], source=request["source"], syntax=request["syntax"])
        if request["columns"] is not None:
            _check_files(ruleset, request["columns"])
    except ReportgenError as error:
        return {"error": error.to_json()}
    except (RecursionError, MemoryError):
        return {
            "error": RulesError("The rules are nested too deeply or are too large to be checked.").to_json()
        }
    return {}


def _check_files(ruleset: Ruleset, columns: Mapping[str, Sequence[str]]) -> None:
    references = {name: names for name, names in columns.items() if name != "input"}
    known = ", ".join(("input", *ruleset.reference_names))
    problems = [
        Problem(f"the rules name no file {name!r}; they name {known}", path=name)
        for name in references
        if name not in ruleset.reference_names
    ] or check_columns(ruleset, input_columns=columns["input"], reference_columns=references)
    if problems:
        raise RulesError(problems=problems)


def _limit_cpu_time() -> None:
    """Allow CPU_SECONDS more than what was used up to now."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(usage.ru_utime + usage.ru_stime) + CPU_SECONDS + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
