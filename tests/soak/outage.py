"""Dagster is away while runs are accepted; all of them are made afterwards, each once.

`python -m tests.soak.outage [runs] [seconds]`: starts the whole service, kills Dagster's webserver, daemon and code server,
keeps them dead for so many seconds, accepts so many runs meanwhile through the API, lets Dagster come back, waits for all runs.
Prints what it measured and exits with 1 if something was lost, doubled, late or wrong.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import text

from reportgen_dagster.catalog.session import short_lived_engine
from tests.e2e.client import Client
from tests.stack import Stack

DAGSTER = ("webserver", "daemon", "code-server")
RUNS, SECONDS = 100, 60
BACK_SECONDS = 60  # all runs are to be over so long after Dagster's return, and what they take
SECONDS_A_RUN = 3.0  # on two cores that do something else, too
LONGEST_ACCEPT_SECONDS = 5.0
KILL_PAUSE_SECONDS = 0.2


def main(argv: list[str]) -> int:
    """Run the rig and return the exit code."""
    runs = int(argv[0]) if argv else RUNS
    seconds = float(argv[1]) if len(argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory(prefix="rg-soak-") as folder:
        home = Path(folder) / "home"
        home.mkdir(mode=0o700)
        stack = Stack(home)
        try:
            stack.start()
            wrong = list(_scene(stack, runs, seconds))
        finally:
            stack.destroy()
    for told in wrong:
        print("WRONG", told)
    return 1 if wrong else 0


def _scene(stack: Stack, runs: int, seconds: float) -> Iterator[str]:
    client = Client(stack.url)
    client.upload_example()
    began = time.monotonic()
    with _dagster_away(stack):
        tasks, took = _accept(client, runs)
        if client.http.get("/readyz").status_code != 503:
            yield "/readyz does not say that Dagster is away"
        time.sleep(max(0.0, seconds - (time.monotonic() - began)))
        early = [task for task in tasks if client.status(task)["status"] != "accepted"]
    print(
        f"accepted {len(tasks)} runs while Dagster was away: longest {max(took):.2f} s, all {sum(took):.1f} s"
    )
    if early:
        yield f"{len(early)} runs were not waiting when Dagster came back"
    if max(took) > LONGEST_ACCEPT_SECONDS:
        yield f"accepting a run took {max(took):.1f} s"
    back = time.monotonic()
    states = _wait(client, tasks)
    print(f"{dict(states)} {time.monotonic() - back:.0f} s after Dagster came back")
    if states != Counter(succeeded=runs):
        yield f"not all runs succeeded: {dict(states)}"
    yield from _doubles(stack, tasks)
    time.sleep(5)  # what the last attempts still tell Dagster
    yield from stack.fsck()


@contextmanager
def _dagster_away(stack: Stack) -> Iterator[None]:
    """Keep Dagster's processes dead while the block runs: `up` starts them again, and they are killed again."""
    is_over = threading.Event()

    def kill() -> None:
        while not is_over.is_set():
            for name in DAGSTER:
                with suppress(AssertionError):  # it is not there at this moment
                    stack.kill(name)
            is_over.wait(KILL_PAUSE_SECONDS)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        is_over.set()
        killer.join()


def _accept(client: Client, runs: int) -> tuple[list[str], list[float]]:
    tasks, took = [], []
    for _ in range(runs):
        began = time.monotonic()
        tasks.append(client.generate_anew())
        took.append(time.monotonic() - began)
    return tasks, took


def _wait(client: Client, tasks: list[str]) -> Counter[str]:
    deadline = time.monotonic() + BACK_SECONDS + SECONDS_A_RUN * len(tasks)
    states: Counter[str] = Counter()
    for task in tasks:  # one after the other, so that asking takes nothing from what is asked for
        while (state := client.status(task)["status"]) in ("accepted", "running"):
            if time.monotonic() > deadline:
                break
            time.sleep(1)
        states[state] += 1
    return states


def _doubles(stack: Stack, tasks: list[str]) -> Iterator[str]:
    """Tell of runs that Dagster did not make exactly once."""
    with short_lived_engine(stack.database_url).connect() as catalog:
        lost = catalog.scalar(text("SELECT coalesce(sum(lost_attempts), 0) FROM runs"))
    with short_lived_engine(
        stack.database_url.replace("/reportgen?", "/reportgen_dagster?")
    ).connect() as dagster:
        made = dict(
            dagster.execute(
                text(
                    "SELECT t.value, count(*) FROM run_tags t JOIN runs r ON r.run_id = t.run_id"
                    " WHERE t.key = 'reportgen/run_id' AND r.status = 'SUCCESS' GROUP BY t.value"
                )
            ).all()
        )
    print(f"times that Dagster made a run: {dict(Counter(made.values()))}; attempts that were lost: {lost}")
    yield from (f"Dagster made run {task} {made.get(task, 0)} times" for task in tasks if made.get(task) != 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
