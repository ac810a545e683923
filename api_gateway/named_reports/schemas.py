"""What a report is to be, and answers about reports."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from api_gateway.reports.schemas import RunItem, run_item
from reportgen_dagster.services.parameters import MAX_PARAMETERS, plain_parameters
from reportgen_dagster.services.reports import (
    MAX_KEPT_RUNS,
    MAX_SECONDS,
    SETTLE_SECONDS,
    Pick,
    ReportView,
    ReportWish,
)
from reportgen_dagster.services.retention import MAX_DAYS
from reportgen_dagster.services.schedule_wishes import MAIN, MAX_SCHEDULES, ScheduleWish
from reportgen_dagster.settings import Settings

MAX_INPUTS = 100

Name = Annotated[str, Field(min_length=1, max_length=100)]
Version = Annotated[
    int | None,
    Field(ge=1, le=2**31 - 1, description="Stay with this version; null: follow the latest.", examples=[3]),
]
Parameter = StrictBool | StrictInt | StrictFloat | StrictStr
_DELIVERIES = [
    {"email": {"to": ["ann@example.com"], "formats": ["csv"]}, "on": ["success", "failure"]},
    {"webhook": {"url": "https://example.com/hook", "secret": "partner"}},
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RulesetPick(_Body):
    """The rules of a report."""

    name: Name = Field(description="The ruleset.", examples=["margin"])
    version: Version = None


class DatasetPick(_Body):
    """What the rules see under the name of a file."""

    dataset: Name = Field(description="The dataset.", examples=["trades"])
    version: Version = None


class ScheduleBody(_Body):
    """When a report runs by a cron expression."""

    name: Name = Field(MAIN, description="What it is called among the report's schedules.", examples=["main"])
    cron: str = Field(max_length=200, description="Five fields.", examples=["0 6 * * 1-5"])
    timezone: str = Field("UTC", max_length=100, description="An IANA name.", examples=["Europe/Berlin"])
    missed: Literal["skip", "last", "all"] = Field(
        "last",
        description="What becomes of times while Dagster was away: none of them runs, the last one, or all.",
    )
    unchanged: Literal["run", "skip"] = Field(
        "run", description="Whether it runs where rules and data are those of the last report."
    )
    paused: bool = Field(default=False, description="It does not run until it is resumed.")


class ReportDefinition(_Body):
    """What a report is made of, when by itself, and where it goes. What is left out is not kept from before."""

    ruleset: RulesetPick
    inputs: dict[str, DatasetPick] = Field(
        description="The dataset of each file that the rules name: `input`, and each reference.",
        max_length=MAX_INPUTS,
        examples=[{"input": {"dataset": "trades"}, "desks": {"dataset": "desks", "version": 2}}],
    )
    parameters: dict[str, Parameter] = Field(
        default_factory=dict,
        max_length=MAX_PARAMETERS,
        description="Values of the rules' parameters.",
        examples=[{"desk": "FX"}],
    )
    formats: list[str] | None = Field(
        None,
        description="What its runs make; null: what the rules say, else csv.",
        max_length=20,
        examples=[["csv", "xlsx"]],
    )
    on_new_data: bool = Field(
        default=False, description="It runs when a dataset that it follows has a new version."
    )
    settle_seconds: int = Field(
        SETTLE_SECONDS,
        ge=1,
        le=MAX_SECONDS,
        description="... and none has come for so long after it.",
        examples=[10],
    )
    fresh_within_seconds: int | None = Field(
        None,
        ge=1,
        le=MAX_SECONDS,
        description="A report older than that is stale; null: nobody minds.",
        examples=[86400],
    )
    retention_days: int | None = Field(
        None,
        ge=1,
        le=MAX_DAYS,
        description="For how many days files of its runs are kept, no longer than all of yours; null: as long as those.",
        examples=[30],
    )
    keep_runs: int | None = Field(
        None,
        ge=1,
        le=MAX_KEPT_RUNS,
        description="Of its last so many successes they are kept as long as all of yours all the same.",
        examples=[3],
    )
    deliveries: list[dict[str, Any]] = Field(
        default_factory=list,
        description="Where its runs are told and its files go (docs/delivery.md). A webhook is signed with a secret that"
        " whoever runs the service granted to you.",
        examples=[_DELIVERIES],
    )
    schedules: list[ScheduleBody] = Field(
        default_factory=list,
        max_length=MAX_SCHEDULES,
        description="When it runs by a cron expression: these schedules and no others.",
    )
    paused: bool = Field(
        default=False, description="It runs neither by its schedules nor on new data until it is resumed."
    )

    def wish(self) -> ReportWish:
        """Return what the report is to be.

        Raises:
            BadRequestError: With every parameter that cannot be kept.
        """
        return ReportWish(
            ruleset=Pick(self.ruleset.name, self.ruleset.version),
            inputs={file: Pick(pick.dataset, pick.version) for file, pick in self.inputs.items()},
            parameters=plain_parameters(self.parameters),
            on_new_data=self.on_new_data,
            settle_seconds=self.settle_seconds,
            fresh_within_seconds=self.fresh_within_seconds,
            retention_days=self.retention_days,
            keep_runs=self.keep_runs,
            formats=self.formats,
            deliveries=self.deliveries,
            schedules=[ScheduleWish(**schedule.model_dump()) for schedule in self.schedules],
            paused=self.paused,
        )


class ReportItem(ReportDefinition):
    """A report as it was put."""

    name: str = Field(examples=["daily"])
    created_at: datetime = Field(examples=["2026-11-29T06:00:00Z"])
    updated_at: datetime = Field(examples=["2026-11-29T06:00:00Z"])

    model_config = ConfigDict(extra="ignore")


class ReportListItem(ReportItem):
    """A report in a list."""

    last_run: RunItem | None = Field(description="Its last run and how that ended.")


class RunWish(_Body):
    """How a run of a report differs from others."""

    run_date: date | None = Field(
        None, description="What `today()` is; default: the present date in UTC.", examples=["2026-11-28"]
    )


def report_item(report: ReportView) -> ReportItem:
    """Show a report to its owner."""
    return ReportItem(**_members(report))


def report_list_item(report: ReportView, settings: Settings) -> ReportListItem:
    """Show a report in a list, with what became of its last run."""
    last_run = run_item(report.last_run, settings) if report.last_run else None
    return ReportListItem(**_members(report), last_run=last_run)


def _members(report: ReportView) -> dict[str, Any]:
    return {
        "name": report.name,
        "ruleset": RulesetPick(name=report.ruleset.name, version=report.ruleset.version),
        "inputs": {
            file: DatasetPick(dataset=pick.name, version=pick.version) for file, pick in report.inputs.items()
        },
        "parameters": report.parameters,
        "formats": report.formats,
        "on_new_data": report.on_new_data,
        "settle_seconds": report.settle_seconds,
        "fresh_within_seconds": report.fresh_within_seconds,
        "retention_days": report.retention_days,
        "keep_runs": report.keep_runs,
        "deliveries": report.deliveries,
        "schedules": [ScheduleBody(**schedule_members(schedule)) for schedule in report.schedules],
        "paused": report.paused,
        "created_at": report.created_at,
        "updated_at": report.updated_at,
    }


def schedule_members(schedule: ScheduleWish) -> dict[str, Any]:
    """Return a schedule as it could be put."""
    return {
        "name": schedule.name,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "missed": schedule.missed,
        "unchanged": schedule.unchanged,
        "paused": schedule.paused,
    }
