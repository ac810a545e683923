"""What broken rules mean for a run: contracts' results, and whether the run fails although rows could be diverted.

What belongs here: thresholds, the policy on rejects, the words. What does not: counting (sieve.py), the rejects file
(rejects.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reportgen_dagster.contracts.conditions import RuleCount, exceeds
from reportgen_dagster.contracts.contract import Contract
from reportgen_dagster.engine.rejects import judged_cell
from reportgen_dagster.engine.sieve import Finding, Findings
from reportgen_dagster.errors import BadDataError, Problem
from reportgen_dagster.rules.compiling.plan import BROKEN, ERROR, FATAL, INPUT, OUTPUT, WARNED, Rule
from reportgen_dagster.rules.reading.document import Rejects


def refuse_failures(findings: Findings, rules: Sequence[Rule]) -> None:
    """Fail on errors on rows that stand for no row of the input.

    Raises:
        BadDataError: Names step, values and how many rows there are.
    """
    problems = [_problem(finding, rules) for finding in findings.of(ERROR + FATAL)]
    if problems:
        raise BadDataError(problems=problems)


def refusals(
    findings: Findings,
    rules: Sequence[Rule],
    rejects: Rejects,
    *,
    input_count: int,
    reject_count: int,
    lines: Mapping[int, int],
) -> list[Problem]:
    """Return why rejects fail a run whose rows were all judged; nothing if they do not.

    Args:
        findings: What was broken.
        rules: The plan's.
        rejects: What the rules say of rejects.
        input_count: Rows of the input.
        reject_count: Those that were diverted.
        lines: The lines of the findings' first rows, by row.
    """
    allowed = rejects.allowed(input_count)
    are_too_many = allowed is not None and reject_count > allowed
    problems = [_problem(finding, rules, lines=lines) for finding in findings.of(ERROR * are_too_many)]
    for finding in findings.of(BROKEN):
        threshold = rules[finding.rule].threshold
        breaks = threshold is not None and exceeds(finding.count, threshold, input_count)
        if breaks or are_too_many:
            behind = _limit_text(threshold, input_count) if breaks else ""
            problems.append(_problem(finding, rules, behind, lines=lines))
    if are_too_many:
        told = f"{reject_count:,} of {input_count:,} rows are rejects"
        limit = "none (policy: fail)" if rejects.policy == "fail" else str(rejects.max)
        problems.insert(0, Problem(f"{told}; the rules allow {limit}", path="rejects", source=INPUT))
    return problems


def fatal(findings: Findings, rules: Sequence[Rule], lines: Mapping[int, int]) -> list[Problem]:
    """Return why steps fail a run on rows that they were told not to divert (`missing: fail`); the arguments are `refusals`'."""
    return [_problem(finding, rules, lines=lines) for finding in findings.of(FATAL)]


def add_cells(
    findings: Findings, rules: Sequence[Rule], columns: Sequence[str], rows: Mapping[int, Sequence[str]]
) -> None:
    """Add samples of what stands in the file to the findings of the input's contract.

    Args:
        findings: What was broken.
        rules: The plan's.
        columns: The file's columns.
        rows: The cells of the findings' first rows, by row.
    """
    for finding in findings.of(BROKEN + WARNED):
        rule = rules[finding.rule]
        finding.cells += [judged_cell(rule, columns, rows[row]) for row in finding.rows if row in rows]


def broken(findings: Findings, rules: Sequence[Rule], file: str) -> list[RuleCount]:
    """Return what broke a contract that is judged row by row.

    Args:
        findings: What was broken.
        rules: The plan's.
        file: `input` or `output`.
    """
    found = []
    for finding in findings.of(BROKEN + WARNED + OUTPUT):
        rule = rules[finding.rule]
        if rule.step == file:
            samples = tuple(finding.cells)
            places = tuple(f"row {row:,}" for row in finding.rows) if finding.letter == OUTPUT else ()
            found.append(
                RuleCount(
                    rule.column, rule.text, finding.count, samples, rule.severity, rule.threshold, places
                )
            )
    return found


def contract_facts(
    contract: Contract, counted: Sequence[RuleCount], file: str, row_count: int
) -> dict[str, Any]:
    """Tell whether a contract was kept, and what broke it, in pandera's terms.

    Args:
        contract: The contract.
        counted: What broke it.
        file: What is called so in messages.
        row_count: Rows of the file, for thresholds.
    """
    from reportgen_dagster.contracts.rendering import table_schema  # pandera takes a second to load
    from reportgen_dagster.contracts.validation import report_from_counts

    return report_from_counts(table_schema(contract, name=file), counted, row_count).to_json()


def failed(facts: Mapping[str, Any], file: str) -> list[Problem]:
    """Return why a contract was not kept, if it was not."""
    return [
        Problem(one["message"], path=one["column"], source=file)
        for one in facts["failures"]
        if one["severity"] == "error"
    ]


def warnings(contracts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say what broke a contract without failing the run, for operators."""
    return [
        ": ".join(part for part in (file, one["column"], one["message"]) if part)
        for file, facts in contracts.items()
        for one in facts["failures"]
        if one["severity"] == "warn"
    ]


def rule_counts(findings: Findings, rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """Tell on how many rows which rule was broken."""
    return [
        {
            "step": rules[finding.rule].step,
            "column": rules[finding.rule].column,
            "rule": rules[finding.rule].text,
            "severity": rules[finding.rule].severity,
            "count": finding.count,
        }
        for finding in findings
    ]


def _limit_text(threshold: float | None, row_count: int) -> str:
    if threshold is None:
        return ""
    allowed = f"{threshold:,.0f}" if threshold >= 1 or not threshold else f"{threshold * 100:g}%"
    return f"; of {row_count:,} rows {allowed} may break it"


def _problem(
    finding: Finding, rules: Sequence[Rule], behind: str = "", *, lines: Mapping[int, int] | None = None
) -> Problem:
    rule = rules[finding.rule]
    is_contract = finding.letter in BROKEN + OUTPUT
    path, source = (rule.column, rule.step) if is_contract else (rule.step, "")
    line = lines.get(finding.rows[0]) if lines and finding.rows else None
    message = _message(finding, rule) + behind
    if line is not None:
        told = f"; {_told(rule.place)}" if rule.place else ""
        return Problem(message + told, path=path, line=line, source=INPUT)
    if rule.place is not None:
        source, at, column = rule.place
        return Problem(message, path=path, line=at, column=column, source=source)
    return Problem(message, path=path, source=source)


def _told(place: tuple[str, int | None, int | None]) -> str:
    """Write a place in the rules as `rules.yaml:14:17`."""
    return ":".join(str(part) for part in place if part)


def _message(finding: Finding, rule: Rule) -> str:
    """Say what is wrong with one row, and how many more there are like it."""
    like_it = f"; {finding.count:,} rows like it" if finding.count > 1 else ""
    if finding.letter in ERROR + FATAL:
        first = finding.parts[0]
        values = f" ({first.values})" if first.values else ""
        return f"{first.reason} in `{rule.text}`{values}{like_it}"
    cell = f"{finding.cells[0]!r} " if finding.cells else ""
    return f"{cell}{rule.reason} (constraint: {rule.text.removeprefix('type ')}){like_it}"
