"""Answers about rulesets."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from reportgen_dagster.errors import Problem
from reportgen_dagster.formats import Syntax
from reportgen_dagster.services.rulesets import RulesetHead


class RulesetItem(BaseModel):
    """A version of a ruleset. It never changes; the text is at `/text`."""

    name: str = Field(examples=["margin"])
    version: int = Field(description="1, 2, 3 ... within the ruleset.", examples=[3])
    digest: str = Field(
        description="SHA-256 of the text.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
    syntax: Syntax = Field(description="What it was put in.")
    title: str = Field(
        description="What the rules call themselves; empty if they do not.", examples=["Margin by desk"]
    )
    description: str = Field(
        description="What they say of themselves; empty if they do not.", examples=["Trades with their desk."]
    )
    created_at: datetime = Field(examples=["2026-11-29T06:00:00Z"])


class ProblemItem(BaseModel):
    """One thing that is wrong, at its place."""

    message: str = Field(
        description="What is wrong and how to mend it.", examples=["the column `prize` is not known"]
    )
    path: str = Field(description="Where in the rules.", examples=["steps[2].derive.gross"])
    line: int | None = Field(examples=[14])
    column: int | None = Field(examples=[17])
    source: str = Field(description="Which file the line is in.", examples=["rules.yaml"])


class RulesChecked(BaseModel):
    """What a check of rules found."""

    valid: bool
    problems: list[ProblemItem] = Field(description="Every one, in the order of their places.")
    files: list[str] = Field(
        description="What a report by them is made of: `input`, and the references that they name. Empty if they are not valid.",
        examples=[["input", "desks"]],
    )
    formats: list[str] = Field(
        description="What their runs make, unless a report says otherwise.", examples=[["csv", "xlsx"]]
    )


class SourceItem(BaseModel):
    """A column of a file."""

    file: str = Field(examples=["input"])
    column: str = Field(examples=["price"])


class ColumnItem(BaseModel):
    """A column after a step, or of the report."""

    name: str = Field(examples=["gross"])
    type: str = Field(description="`any`: only data can tell.", examples=["decimal(38, 2)"])
    sources: list[SourceItem] = Field(description="The columns of files that it is made of.")


class StepItem(BaseModel):
    """What there is after a step."""

    path: str = Field(description="Where the step stands.", examples=["steps[2]"])
    kind: str = Field(examples=["derive"])
    label: str = Field(examples=["derive gross"])
    columns: list[ColumnItem]
    column_families: list[ColumnItem] = Field(description="Columns that only data can tell, as one each.")
    more_columns: bool = Field(description="There may be others.")


class QueryItem(BaseModel):
    """A query that runs."""

    name: str = Field(description="What it is for.", examples=["The query of the rows"])
    sql: str = Field(examples=["SELECT ..."])


class RulesExplained(BaseModel):
    """What rules mean."""

    rules: str = Field(description="The rules in the long form, as YAML.")
    graph: str = Field(
        description="Files, steps and report as a Mermaid flowchart.", examples=["flowchart TD ..."]
    )
    steps: list[StepItem]
    columns: list[ColumnItem] = Field(description="Those of the report.")
    column_families: list[ColumnItem]
    lineage: dict[str, list[str]] = Field(
        description="Each column of the report with the columns of files that it is made of.",
        examples=[{"gross": ["input.price", "input.quantity"]}],
    )
    sql: list[QueryItem] = Field(description="The queries in the order in which they run.")
    note: str = Field(description="What the queries take for granted; empty if they are what runs.")


def ruleset_item(head: RulesetHead) -> RulesetItem:
    """Show a version of a ruleset to its owner."""
    return RulesetItem(
        name=head.name,
        version=head.number,
        digest=head.digest,
        syntax=head.syntax,
        title=head.title,
        description=head.description,
        created_at=head.created_at,
    )


def problem_item(problem: Problem) -> ProblemItem:
    """Show what is wrong with rules."""
    return ProblemItem(**problem.to_json())
