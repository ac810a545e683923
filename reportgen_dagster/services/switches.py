"""Use case: schedules switched on and off by operators in Dagster, kept in step with what their owners say."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reportgen_dagster.catalog import schedules as calendar
from reportgen_dagster.identity import location_name
from reportgen_dagster.services.context import Context


def contradicted(context: Context) -> list[tuple[str, str]]:
    """Return schedules that owners paused or resumed after operators had switched them in Dagster by hand.

    A switch that was not taken over yet is not among them: it is the latest word.

    Returns:
        Code location and id of each.
    """
    with context.catalog.reading() as session:
        found = calendar.contradicted(session, context.settings.shards)
    return [(location_name(shard), schedule_id) for schedule_id, shard in found.items()]


def forget(context: Context, schedule_id: str) -> None:
    """Write that Dagster shows a schedule as its definition says, as if nobody had switched it by hand."""
    with context.catalog.transaction() as session:
        calendar.forget_status(session, schedule_id)


def take_over(context: Context, look: Callable[[], Mapping[tuple[str, str], str]]) -> list[str]:
    """Pause and resume schedules as operators switched them in Dagster since the last look.

    Args:
        context: The installation.
        look: Returns `RUNNING` or `STOPPED` where somebody set it by hand, by code location and schedule. Locations that
            schedules were in before the number of shards changed do not count.

    Returns:
        What was done, a sentence for each schedule.
    """
    with context.catalog.reading() as session:
        known = calendar.statuses(session, context.settings.shards)
    seen = look()
    told = []
    with context.catalog.transaction() as session:
        for schedule_id, (shard, before) in known.items():
            status = seen.get((location_name(shard), schedule_id))
            if status == before or not calendar.note_status(session, schedule_id, before, status):
                continue
            if status is not None:
                calendar.set_paused(session, schedule_id, paused=status == "STOPPED")
                told.append(
                    f"An operator switched the schedule {schedule_id} {'off' if status == 'STOPPED' else 'on'}."
                )
    return told
