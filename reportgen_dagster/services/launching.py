"""Use case: how Dagster is asked for accepted runs, and whose turn it is. Whoever launches, the tags are these.

Runs are served in rounds: a run's turn, given when it was accepted, is the one after its owner's run before it. So a user's
thousandth run is due in the thousandth round, and another user's first in the present one. What is launched again, and when, is
`reaper.py`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from reportgen_dagster.catalog import leases
from reportgen_dagster.catalog import runs as queue
from reportgen_dagster.services.context import Context

RUN_ID_TAG = "reportgen/run_id"
OWNER_TAG = "reportgen/owner"
REPORT_TAG = "reportgen/report"
TRIGGER_TAG = "reportgen/trigger"
RULES_TAG = "reportgen/rules"
PRIORITY_TAG = "dagster/priority"  # Dagster's own: of its queue the highest goes first, of equals the eldest
ROUNDS = 1_000_000_000  # more than there are turns, so that an owner's priority goes before any turn
DECISION_LOCK = 7_301_004  # key of the advisory lock


@dataclass(frozen=True, slots=True)
class Launch:
    """An accepted run as Dagster is asked for it.

    Attributes:
        trigger: What the run was accepted for: `api`, `schedule`, `data` or `dagster`.
        rules: Name and version of its rules, as `margin@3`.
        priority: Which of the waiting runs goes first; higher before lower.
    """

    run_id: str
    owner_id: str
    report_name: str
    trigger: str
    rules: str
    priority: int

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the Dagster run."""
        return {
            RUN_ID_TAG: self.run_id,
            OWNER_TAG: self.owner_id,
            REPORT_TAG: self.report_name,
            TRIGGER_TAG: self.trigger,
            RULES_TAG: self.rules,
            PRIORITY_TAG: str(self.priority),
        }


def launch_of(context: Context, run_id: str) -> Launch | None:
    """Return how Dagster is asked for a run; None if the run is not accepted any more."""
    return next(iter(launches_of(context, [run_id])), None)


def launches_of(context: Context, run_ids: Collection[str]) -> list[Launch]:
    """Return how Dagster is asked for those of the runs that are still accepted, in the order of their turns."""
    with context.catalog.reading() as session:
        return [as_launch(row) for row in queue.to_launch(session, run_ids)]


def as_launch(row: queue.LaunchRow) -> Launch:
    """Return how Dagster is asked for the run of a row."""
    run, priority, ruleset, version = row
    rules = f"{ruleset}@{version}"
    return Launch(run.id, run.owner_id, run.report_name, run.trigger, rules, priority * ROUNDS - run.turn)


@contextmanager
def deciding(context: Context, run_id: str | None, *, goes_last: bool = False) -> Iterator[bool]:
    """Let one process at a time decide whether a run is launched at once or waits; others wait while the block runs.

    Args:
        context: The installation.
        run_id: The run; None if there is no accepted run yet, as for Materialize.
        goes_last: Whether accepted runs go before it, all of them.

    Yields:
        Whether it is its turn: its owner may have one more run working, and a worker is left after the runs that go before it.
    """
    with context.catalog.transaction() as session:
        leases.lock(session, DECISION_LOCK)
        workers = context.settings.workers
        if run_id is None:
            yield not (goes_last and queue.is_any_waiting(session))
        else:
            yield queue.is_due(session, run_id, workers=workers, default=_default(context))


def limits(context: Context) -> dict[str, int]:
    """Return how many runs may work at the same time, of each owner of unfinished runs for whom it is less than all."""
    with context.catalog.reading() as session:
        found = queue.limits(session, _default(context))
    return {owner_id: limit for owner_id, limit in found.items() if limit < context.settings.workers}


def _default(context: Context) -> int:
    return context.settings.runs_per_user or context.settings.workers
