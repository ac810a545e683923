"""The process that reads users' rules for the gateway: `python -m reportgen_dagster.services.check_child`.

One JSON object a line comes in and one goes out. What is asked is a check (text, source, syntax, columns, parameters;
{"facts": ..., "error": ...}), with `explain` also what the rules mean ({"explanation": ...}), or with `wanted` the text in
another syntax ({"text": ...}).
The process has little memory, no files to write and no secrets; whatever a hostile text does to it, services/check.py starts
another. Started by that module only.
"""

from __future__ import annotations

import gc
import json
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TextIO

from reportgen_dagster.engine import sandbox
from reportgen_dagster.errors import BadRequestError, Problem, ReportgenError, RulesError
from reportgen_dagster.formats import Syntax
from reportgen_dagster.rules.explain import explain
from reportgen_dagster.rules.reading.loading import read_ruleset
from reportgen_dagster.rules.reading.ruleset import Ruleset
from reportgen_dagster.rules.reading.writing import in_syntax
from reportgen_dagster.services.parameters import parameter_problems
from reportgen_dagster.services.rules_facts import INPUT, RulesFacts
from reportgen_dagster.services.rules_problems import dry_plan, plan_problems, rules_problems

MEMORY_BYTES = 1024**3
CPU_SECONDS = 10
READY = "ready"
_OBJECTS_BETWEEN_COLLECTIONS = (
    100_000  # a plan stays whole until it is judged: looking for garbage finds none
)


def main() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the gateway, which then closes our input
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    confine()
    serve(sys.stdin, sys.stdout)


def confine() -> None:
    """Take away memory, files, the network, other processes and core dumps."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sandbox.confine(reads=(), writes=())


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer each line of `requests` with one line of JSON."""
    print(READY, file=answers, flush=True)
    for line in requests:
        limit_cpu_time()
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)
        gc.collect()  # a plan is full of cycles; the next one needs its room


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Check one text of rules, with columns also against the files and with parameters also those; or explain or rewrite it.

    Returns:
        {"facts": what the rules say of files}, {"error": the error's JSON}, or both if the rules can be read and are wrong.
    """
    known: dict[str, Any] = {}
    try:
        if request.get("wanted"):
            return {"text": _rewritten(request)}
        ruleset = _loaded(request["text"], request["source"], request["syntax"])
        facts = RulesFacts.of(ruleset)
        known = {"facts": facts.to_json()}
        if request.get("explain"):
            return {"explanation": _explained(ruleset)}
        _judge(ruleset, facts, request["columns"], request["parameters"])
    except ReportgenError as error:
        return {"error": error.to_json(), **known}
    except (RecursionError, MemoryError):
        return {
            "error": RulesError("The rules are nested too deeply or are too large to be checked.").to_json()
        }
    return known


@lru_cache(maxsize=1)
def _loaded(text: str, source: str, syntax: Syntax) -> Ruleset:
    """Read rules; the same text is mostly asked of twice, without and with the files' columns."""
    return read_ruleset(text, source=source, syntax=syntax)


def _rewritten(request: Mapping[str, Any]) -> str:
    return in_syntax(
        request["text"], source=request["source"], syntax=request["syntax"], wanted=request["wanted"]
    )


def _explained(ruleset: Ruleset) -> dict[str, Any]:
    """Explain rules as far as they tell by themselves.

    Raises:
        RulesError: With every problem of the rules.
    """
    plan = dry_plan(ruleset, None)
    if problems := plan_problems(plan):
        raise RulesError(problems=problems)
    return explain(plan, ruleset).to_json()


def _judge(
    ruleset: Ruleset,
    facts: RulesFacts,
    columns: Mapping[str, Sequence[str]] | None,
    parameters: Mapping[str, Any] | None,
) -> None:
    """Refuse rules that cannot work, and parameters that are not what they want.

    Raises:
        RulesError: With every problem of the rules, those of the parameters behind them.
        BadRequestError: If only the parameters are wrong.
    """
    is_told = parameters is not None and not ruleset.is_wrong("parameters")
    mistaken = parameter_problems(ruleset, parameters or {}) if is_told else []
    known = (INPUT, *facts.references)
    strangers = [
        Problem(f"the rules name no file {name!r}; they name {', '.join(known)}", path=name)
        for name in columns or ()
        if name not in known
    ]
    problems = [*rules_problems(ruleset, columns), *strangers]
    if problems:
        raise RulesError(problems=[*problems, *mistaken])
    if mistaken:
        raise BadRequestError(problems=mistaken)


def limit_cpu_time() -> None:
    """Allow CPU_SECONDS more than what was used up to now."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(usage.ru_utime + usage.ru_stime) + CPU_SECONDS + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
