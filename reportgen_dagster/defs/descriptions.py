"""What people read about a report or a ruleset in the Dagster UI, as Markdown.

What belongs here: words and layout. What does not: metadata of runs (events.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from reportgen_dagster.defs.keys import schedule_name
from reportgen_dagster.errors import CronError, ReportgenError, RulesError
from reportgen_dagster.formats import Syntax
from reportgen_dagster.services.cron import check_cron, in_words
from reportgen_dagster.services.definitions import ReportDefinition, RulesetDefinition, ScheduleDefinition

_FENCES = re.compile("`+")


def report_description(report: ReportDefinition, location_page: str) -> str:
    """Return what a report is, of what it is made, when it runs, its rules and their steps as a graph.

    Args:
        report: The report.
        location_page: The path of the UI's pages on its code location.
    """
    follows = "stays with it" if report.is_pinned else "follows the latest"
    files = [f"- `{file}`: the dataset {dataset}" for file, dataset in report.datasets.items()]
    parts = [
        *_told(report.summary, report.name),
        "" if report.summary else _rules_problem(report.rules_text, report.syntax),
        f"A report of {report.owner_email}, by version {report.ruleset_version} of the ruleset"
        f" {report.ruleset_name} ({follows}).",
        "\n".join(files),
        _times(report, location_page),
        listing(report.rules_text, report.syntax),
        *_graph(report.summary),
    ]
    return "\n\n".join(part for part in parts if part)


def rules_description(ruleset: RulesetDefinition) -> str:
    """Return what rules say they are, and their steps as a graph."""
    parts = [
        *_told(ruleset.summary, ruleset.name),
        "" if ruleset.summary else _rules_problem(ruleset.rules_text, ruleset.syntax),
        f"A ruleset of {ruleset.owner_email}, version {ruleset.version}.",
        *_graph(ruleset.summary),
    ]
    return "\n\n".join(part for part in parts if part)


def listing(text: str, syntax: str) -> str:
    """Return rules, SQL or a graph as a block of Markdown, whatever is in them."""
    fence = "`" * max(3, 1 + max(map(len, _FENCES.findall(text)), default=0))
    return f"{fence}{syntax}\n{text}\n{fence}"


def _rules_problem(text: str, syntax: Syntax) -> str:
    """Return what is wrong with rules by themselves, as Markdown; empty if nothing is."""
    from reportgen_dagster.rules.reading.loading import (
        read_ruleset,
    )  # a second; only for rules without a summary

    try:
        problems = read_ruleset(text, syntax=syntax).problems
    except RulesError as error:
        problems = error.problems
    lines = "\n".join(f"- {problem}" for problem in problems)
    return f"**Its rules cannot be used:**\n\n{lines}" if problems else ""


def _told(summary: Mapping[str, str] | None, name: str) -> list[str]:
    known = summary or {}
    return [known.get("title") or name, *filter(None, [known.get("description")])]


def _times(report: ReportDefinition, location_page: str) -> str:
    lines = [_time(schedule, location_page) for schedule in report.schedules]
    lines += ["- when a dataset has a new version"] if report.on_new_data else []
    return "\n".join(["It runs:", "", *lines]) if lines else "It runs when somebody asks for it."


def _time(schedule: ScheduleDefinition, location_page: str) -> str:
    try:
        check_cron(schedule.cron, schedule.timezone)
    except CronError as error:
        return f"- **not** by the schedule {schedule.name}, which cannot be understood: {error.detail}"
    paused = " (paused)" if schedule.paused else ""
    name = schedule_name(schedule.id)
    page = f"{location_page}/schedules/{name}"  # the job's, as every schedule's: the UI does not list it under the asset
    return f"- {in_words(schedule.cron)} ({schedule.timezone}): [{name}]({page}){paused}"


def problem_words(error: Exception) -> str:
    """Return why something cannot be shown, in a line."""
    if isinstance(error, ReportgenError):
        return f"{error.title}: {error.detail}"
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _graph(summary: Mapping[str, str] | None) -> list[str]:
    graph = (summary or {}).get("graph")
    return ["Its steps, for what draws Mermaid:", listing(graph, "mermaid")] if graph else []
