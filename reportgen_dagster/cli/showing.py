"""How the commands on named datasets, rulesets, reports and so on show things: tables, times, runs, and the same as JSON.

What does not belong here: what is shown, which each command chooses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from reportgen_dagster.cli.output import console

if TYPE_CHECKING:
    from reportgen_dagster.services.outbox import DeliveryView
    from reportgen_dagster.services.reports import Pick, ReportView
    from reportgen_dagster.services.runs import RunView
    from reportgen_dagster.services.schedules import ScheduleView

_UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def say(*lines: str) -> None:
    """Print lines as they are, without what would steer a terminal."""
    screen = console()
    for line in lines:
        screen.print(printable(line), markup=False)


def printable(text: str) -> str:
    """Return a text in which characters that cannot be seen are escaped."""
    return "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, indent: str = "") -> list[str]:
    """Return lines whose cells stand below each other."""
    from rich.cells import cell_len

    lines = [head, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    return [
        indent
        + "  ".join(
            cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    ]


def moment(at: datetime) -> str:
    """Tell a time in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def local_moment(at: datetime) -> str:
    """Tell a time in the zone that it has, with its difference from UTC, as `Sat 2026-11-28 06:00 +01:00 CET`."""
    zone = at.tzname() or ""
    return f"{at:%a %Y-%m-%d %H:%M} {at.isoformat()[-6:]}{f' {zone}' if zone.isalpha() else ''}"


def size(count: int) -> str:
    """Tell a number of bytes, as `1.2 MB`."""
    for least, unit in _UNITS:
        if count >= least:
            return f"{count / least:.1f} {unit}"
    return f"{count} B"


def picked(pick: Pick) -> str:
    """Tell a dataset or ruleset with its version, as it is given to `reports put`."""
    return f"{pick.name}@{pick.version}" if pick.version is not None else pick.name


def report_json(report: ReportView) -> dict[str, Any]:
    """Return a report as JSON data."""
    return asdict(report) | {"last_run": run_json(report.last_run)}


def run_json(run: RunView | None) -> dict[str, Any] | None:
    """Return a run as JSON data."""
    return {name: value for name, value in asdict(run).items() if name != "owner_id"} if run else None


def run_outcome(run: RunView | None) -> str:
    """Tell how a run ended or how far it is; a dash for none."""
    if run is None:
        return "-"
    if run.state == "succeeded":
        rejected = f", {run.reject_count:,} rejected" if run.reject_count else ""
        return f"succeeded: {run.row_count or 0:,} rows{rejected}"
    if run.state == "running":
        return f"running: {run.stage}, {run.progress} %"
    return f"{run.state}: {run.error['detail']}" if run.error else run.state


def run_lines(runs: Iterable[RunView], *, indent: str = "") -> list[str]:
    """Return a line for each run."""
    rows = [(run.id, moment(run.accepted_at), run.trigger, run_outcome(run)) for run in runs]
    return table(("RUN", "ACCEPTED", "BY", "OUTCOME"), rows, indent=indent) if rows else [f"{indent}none"]


def destination_lines(deliveries: Iterable[Mapping[str, Any]], *, indent: str = "") -> list[str]:
    """Return a line for each place that a report is delivered to; secrets are there by their names only."""
    lines = []
    for one in deliveries:
        events = f" on {', '.join(one['on'])}" if "on" in one else ""
        for channel in one.keys() - {"on"}:
            part = one[channel]
            formats = f" ({', '.join(part['formats'])})" if "formats" in part else ""
            secret = f", signed with `{part['secret']}`" if "secret" in part else ""
            where = ", ".join(part["to"]) if "to" in part else part["url"]
            lines.append(f"{indent}{channel} to {where}{formats}{secret}{events}")
    return lines


def delivery_state(delivery: DeliveryView) -> str:
    """Tell whether a delivery arrived, and when or why not."""
    if delivery.delivered_at is not None and delivery.state == "delivered":
        return f"delivered: {moment(delivery.delivered_at)}"
    why = f": {delivery.error['detail']}" if delivery.error else ""
    return f"{delivery.state}{why}"


def delivery_lines(deliveries: Iterable[DeliveryView], *, indent: str = "") -> list[str]:
    """Return a line for each delivery."""
    rows = [
        (
            one.id,
            moment(one.created_at),
            f"{one.report_name}: {one.event}",
            f"{one.channel} to {one.where}",
            delivery_state(one),
        )
        for one in deliveries
    ]
    head = ("DELIVERY", "WRITTEN", "WHAT", "WHERE", "STATE")
    return table(head, rows, indent=indent) if rows else [f"{indent}There is no such delivery."]


def schedule_json(schedule: ScheduleView, *, with_next_runs: bool = False) -> dict[str, Any]:
    """Return a schedule as JSON data, if wanted with its next ten times in its zone."""
    data = asdict(schedule) | {"words": schedule.words, "next_run": schedule.next_run}
    data |= {"last_run": run_json(schedule.last_run)}
    return data | ({"next_runs": schedule.next_runs()} if with_next_runs else {})


def schedule_lines(schedule: ScheduleView, *, indent: str = "") -> list[str]:
    """Return what a schedule does in words, and its next ten times in its zone."""
    return [
        f"{indent}{schedule.report_name}/{schedule.name}: {schedule.words}, {schedule.timezone} ({schedule.cron})"
        f"{', paused' if schedule.paused else ''}",
        f"{indent}  missed times: {schedule.missed}; unchanged data: {schedule.unchanged}; id: {schedule.id}",
        f"{indent}  last run: {run_outcome(schedule.last_run)}",
        f"{indent}  {'would run next' if schedule.paused else 'runs next'}:",
        *(f"{indent}    {local_moment(at)}" for at in schedule.next_runs()),
    ]
