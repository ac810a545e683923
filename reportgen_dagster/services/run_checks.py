"""What was checked of a run: the contracts (pandera) of its files and of the report, and that no more was rejected than allowed.

What belongs here: the checks that follow from what a run found out, whether it succeeded or failed, the same for Dagster and for
the API. What does not: judging rows (engine/, contracts/), Dagster's own events (`defs/events.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from reportgen_dagster.catalog.tables import Run
from reportgen_dagster.errors import ContractError, ReportgenError, error_from_json
from reportgen_dagster.identity import slug

CONTRACT_CHECK = "output_contract"
INPUT_CHECK = "input_contract"
REJECTS_CHECK = "no_rejects"
OUTPUT = "output"
_REJECTS = "rejects"  # what problems with the number of rejects name as their place
_TOLD = 3
_LEAST_PERCENT = 0.001  # of what is told as a number
_KEPT = {True: "Every row keeps the contract (pandera).", False: "The rules have no contract for it."}


@dataclass(frozen=True, slots=True)
class RunCheck:
    """Whether a file or the report is as it should be.

    Attributes:
        name: What the check is called in Dagster.
        passed: All is well.
        severity: How bad it is if not: `warn` lets the report be made.
        words: Why, in a sentence.
        failures: Of a contract: what broke it: `column`, `check`, `message`, `count`, `samples` and `severity` each.
        reject_count: Of the rejects: how many rows; None: it is a contract's check.
        samples: Of the rejects: the first few, a mapping of the rejects file's columns each.
        share: Of the rejects: of how many percent of the rows they are, in words.
        limit: Of the rejects: how many the rules allow, in words.
    """

    name: str
    passed: bool
    severity: Literal["error", "warn"]
    words: str
    failures: list[dict[str, Any]] = field(default_factory=list)
    reject_count: int | None = None
    samples: list[dict[str, str]] = field(default_factory=list)
    share: str = ""
    limit: str = ""


def contract_check(file: str) -> str:
    """Return the name of the check that a file of a report keeps its contract; `input` or a reference."""
    return INPUT_CHECK if file == "input" else f"reference_{slug(file)}_contract"


def of_run(run: Run) -> list[RunCheck]:
    """Return the checks of a run, as far as it came; none of one that did not end or was cancelled."""
    if run.state == "succeeded":
        known = {"contracts": {}, "reject_samples": [], **(run.outcome or {})}
        counts = {"input_count": run.input_count, "reject_count": run.reject_count}
        return list(of_outcome({**known, **counts}, run.inputs))
    if run.state == "failed" and run.error is not None:
        error = error_from_json(run.error)
        error.facts = run.outcome or {}
        return list(of_failure(error, run.reject_count or 0))
    return []


def of_outcome(outcome: Mapping[str, Any], files: Iterable[str]) -> Iterator[RunCheck]:
    """Return the checks of a report that was made.

    Args:
        outcome: At least `contracts` (by file, in the shape of a contract report), `input_count`, `reject_count` and
            `reject_samples`; `reject_limit` where the rules name one, which a report that was made keeps.
        files: The files of the report.
    """
    contracts = outcome["contracts"]
    for file in (*sorted(files), OUTPUT):
        yield _contract_check(file, contracts.get(file))
    count = outcome["reject_count"]
    share, limit = _share(count, outcome["input_count"]), outcome.get("reject_limit")
    allowed = "the rules name no limit" if limit is None else f"the rules allow {limit}"
    yield RunCheck(
        REJECTS_CHECK,
        passed=count == 0 or limit is not None,
        severity="warn",
        words=f"{count:,} of {outcome['input_count']:,} rows ({share}) were diverted; {allowed}."
        if count
        else "No row was diverted to the rejects.",
        reject_count=count,
        samples=outcome["reject_samples"],
        share=share,
        limit=_limit(limit),
    )


def of_failure(error: ReportgenError, reject_count: int) -> Iterator[RunCheck]:
    """Return the checks of a run that ended because data were refused, as far as it had judged them; there is no report then.

    Args:
        error: Its facts have the contracts that were judged, and samples of rejects. Else its problems name the files whose
            contract is broken; without a file it is the output's.
        reject_count: How many rejects were kept.
    """
    by_file: dict[str, list[dict[str, Any]]] = {}
    for problem in error.problems if isinstance(error, ContractError) else ():
        if problem.path.startswith(("steps[", "[")):
            continue  # a step that the rules let fail the run: no contract
        failure = {"column": problem.path, "message": problem.message, "severity": "error"}
        file = _REJECTS if problem.path == _REJECTS else problem.source or OUTPUT
        by_file.setdefault(file, []).append(failure)
    too_many = by_file.pop(_REJECTS, None)
    judged: dict[str, Mapping[str, Any]] = error.facts.get("contracts", {})
    told = {file: {"failures": failures} for file, failures in by_file.items()}
    known = {file: result for file, result in judged.items() if result["failures"] or file not in told}
    for file, result in sorted({**told, **known}.items()):
        yield _contract_check(file, result)
    if too_many is not None or reject_count:
        yield RunCheck(
            REJECTS_CHECK,
            passed=False,
            severity="error" if too_many else "warn",
            words=too_many[0]["message"] if too_many else f"{reject_count:,} rows were diverted.",
            reject_count=reject_count,
            samples=error.facts.get("reject_samples", []),
            share=_share(reject_count, error.facts.get("input_count")),
            limit=_limit(error.facts.get("reject_limit")),
        )


def _share(count: int, rows: int | None) -> str:
    """Return how many percent of some rows a count is, in words."""
    if not rows:
        return "unknown" if count else "0%"
    percent = 100 * count / rows
    return "less than 0.001%" if 0 < percent < _LEAST_PERCENT else f"{percent:.3g}%"


def _limit(limit: int | str | None) -> str:
    return "none" if limit is None else str(limit)


def _contract_check(file: str, result: Mapping[str, Any] | None) -> RunCheck:
    """Return whether a file keeps its contract; broken rules of severity `warn` alone make a warning."""
    failures = list(result["failures"]) if result else []
    only_warnings = bool(failures) and all(failure["severity"] == "warn" for failure in failures)
    told = [f"{failure['column']}: {failure['message']}" for failure in failures]
    return RunCheck(
        CONTRACT_CHECK if file == OUTPUT else contract_check(file),
        passed=not failures,
        severity="warn" if only_warnings else "error",
        words="; ".join(told[:_TOLD]) or _KEPT[result is not None],
        failures=failures,
    )
