"""What a schedule of a report is to be: reading and checking it. Keeping schedules is `schedules.py`'s and `reports.py`'s."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from reportgen_dagster.catalog.tables import Schedule
from reportgen_dagster.errors import BadRequestError, Problem
from reportgen_dagster.services.cron import check_cron
from reportgen_dagster.services.names import checked_name

MAIN = "main"  # what the one schedule is called that `trigger-scheduled-report` makes
MAX_SCHEDULES = 20  # of a report

Missed = Literal["skip", "last", "all"]
Unchanged = Literal["run", "skip"]


@dataclass(frozen=True, slots=True)
class ScheduleWish:
    """When a report is to run by itself.

    Attributes:
        name: What the schedule is called among the report's.
        cron: Five fields.
        timezone: An IANA name.
        missed: What becomes of times while Dagster was away: `skip`, the `last` of them, or `all`.
        unchanged: Whether it runs where rules and data are those of the last report: `run` or `skip`.
        paused: It does not run until it is resumed.
    """

    cron: str
    name: str = MAIN
    timezone: str = "UTC"
    missed: str = "last"
    unchanged: str = "run"
    paused: bool = False

    @classmethod
    def of(cls, schedule: Schedule) -> ScheduleWish:
        """Return what a schedule is, as it could be wished for."""
        return cls(
            cron=schedule.cron,
            name=schedule.name,
            timezone=schedule.timezone,
            missed=schedule.missed,
            unchanged=schedule.unchanged,
            paused=schedule.paused_at is not None,
        )

    def checked(self) -> ScheduleWish:
        """Return it as it is kept.

        Raises:
            CronError: If cron or time zone are not valid.
            BadRequestError: If the name or a policy cannot be used.
        """
        check_cron(self.cron, self.timezone)
        for told, given, known in (
            ("missed", self.missed, get_args(Missed)),
            ("unchanged", self.unchanged, get_args(Unchanged)),
        ):
            if given not in known:
                raise BadRequestError(f"{told}: there are {', '.join(known)}, not {given[:40]}.")
        return replace(self, name=checked_name(self.name, "schedule"), cron=" ".join(self.cron.split()))

    def columns(self) -> dict[str, Any]:
        """Return what the catalog keeps beside the name and whether it is paused."""
        return {
            "cron": self.cron,
            "timezone": self.timezone,
            "missed": self.missed,
            "unchanged": self.unchanged,
        }


def checked_schedules(wishes: Sequence[ScheduleWish]) -> list[ScheduleWish]:
    """Return the schedules of a report as they are kept.

    Raises:
        BadRequestError: Naming everything that is wrong with them.
    """
    checked: list[ScheduleWish] = []
    problems = list(_wrong(wishes, checked))
    if problems:
        raise BadRequestError(problems=problems)
    return checked


def _wrong(wishes: Sequence[ScheduleWish], checked: list[ScheduleWish]) -> Iterator[Problem]:
    if len(wishes) > MAX_SCHEDULES:
        yield Problem(f"at most {MAX_SCHEDULES} are possible", path="schedules")
        return
    for index, wish in enumerate(wishes):
        try:
            sound = wish.checked()
        except BadRequestError as error:
            yield Problem(error.detail, path=f"schedules[{index}]")
            continue
        if any(sound.name == other.name for other in checked):
            yield Problem(f"there are two called {sound.name}", path=f"schedules[{index}].name")
        checked.append(sound)
