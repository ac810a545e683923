"""Use case: schedules switched on and off by operators in Dagster, kept in step with what their owners say."""

from __future__ import annotations

from collections.abc import Mapping

from reportgen_dagster.catalog import schedules as calendar
from reportgen_dagster.identity import location_name
from reportgen_dagster.services.context import Context


def contradicted(context: Context) -> list[tuple[str, str]]:
    """Return schedules that owners paused or resumed after operators had switched them in Dagster by hand.

    A switch that was not taken over yet is not among them: it is the latest word.

    Returns:
        Code location and id of each.
    """
    with context.catalog.transaction() as session:
        found = calendar.contradicted(session, context.settings.shards)
    return [(location_name(shard), schedule_id) for schedule_id, shard in found.items()]


def forget(context: Context, schedule_id: str) -> None:
    """Write that Dagster shows a schedule as its definition says, as if nobody had switched it by hand."""
    with context.catalog.transaction() as session:
        calendar.note_statuses(session, {schedule_id: None})


def take_over(context: Context, seen: Mapping[tuple[str, str], str]) -> list[str]:
    """Pause and resume schedules as operators switched them in Dagster since the last look.

    Args:
        context: The installation.
        seen: `RUNNING` or `STOPPED` where somebody set it by hand, by code location and schedule. Locations that schedules
            were in before the number of shards changed do not count.

    Returns:
        What was done, a sentence for each schedule.
    """
    told = []
    with context.catalog.transaction() as session:
        known = calendar.statuses(session, context.settings.shards)
        present = {key: seen.get((location_name(shard), key)) for key, (shard, _) in known.items()}
        changed = {key: status for key, status in present.items() if status != known[key][1]}
        for schedule_id, status in changed.items():
            if status is not None:
                calendar.set_paused(session, schedule_id, paused=status == "STOPPED")
                told.append(
                    f"An operator switched the schedule {schedule_id} {'off' if status == 'STOPPED' else 'on'}."
                )
        calendar.note_statuses(session, changed)
    return told
