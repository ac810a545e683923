"""Requests with keys while gateways are killed: `python -m tests.soak.keys [requests] [kills]`.

Clients send a request under a key to either gateway until it is answered, often once more; meanwhile the gateways are killed with
SIGKILL, one after the other, and started anew. A violation is a key that made no run or two, or was answered in two ways.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx2
from sqlalchemy import text

from tests.gateway.conftest import User
from tests.soak.gateways import Installation, installation

CLIENTS = 8
REPEATED_SHARE = 0.5  # of the requests that were answered are sent again
GIVE_UP_SECONDS = 120


class Rig:
    """What was asked, and how it was answered."""

    def __init__(self, found: Installation, user: User, run_id: str) -> None:
        self._urls = [gateway.url for gateway in found.gateways]
        self._path = f"/api/v1/runs/{run_id}/rerun"
        self._client = httpx2.Client(headers=dict(user.http.headers), timeout=30)
        self._chance = random.Random(7)  # noqa: S311 - no secret
        self.answers: dict[str, set[str]] = defaultdict(set)
        self.sent = 0
        self.unanswered = 0

    def ask(self, key: str) -> None:
        """Send a request until it is answered, and perhaps once more."""
        until = time.monotonic() + GIVE_UP_SECONDS
        again = 1 + (self._chance.random() < REPEATED_SHARE)
        while again and time.monotonic() < until:
            self.sent += 1
            try:
                answer = self._client.post(
                    f"{self._chance.choice(self._urls)}{self._path}", headers={"Idempotency-Key": key}
                )
            except httpx2.TransportError:
                self.unanswered += 1
                time.sleep(0.05)
                continue
            if answer.status_code == 202:
                self.answers[key].add(answer.text)
                again -= 1
            else:
                assert answer.status_code in (409, 503), answer.text


def _kill_in_turn(found: Installation, kills: int, through: threading.Event) -> None:
    chance = random.Random(11)  # noqa: S311 - no secret
    for number in range(kills):
        if through.wait(chance.uniform(0.2, 1.5)):
            return
        gateway = found.gateways[number % len(found.gateways)]
        gateway.kill()
        gateway.start()
        print(f"killed {number + 1}", flush=True)


def main(argv: Sequence[str]) -> int:
    """Run the rig and return the exit code."""
    count, kills = (int(argv[0]) if argv else 2_000), (int(argv[1]) if len(argv) > 1 else 20)
    with installation(2) as found:
        user = User(found.gateways[0].url)
        user.upload()
        rig = Rig(found, user, user.generate())
        through = threading.Event()
        killer = threading.Thread(target=_kill_in_turn, args=(found, kills, through))
        killer.start()
        keys = [str(uuid4()) for _ in range(count)]
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(rig.ask, keys))
        through.set()
        killer.join()
        with found.context.catalog.transaction() as session:
            runs = int(session.scalar(text("SELECT count(*) FROM runs")) or 0) - 1
    print(f"{count} keys, {rig.sent} requests, {rig.unanswered} without an answer, {runs} runs")
    problems = [f"{count} keys made {runs} runs"] if runs != count else []
    problems += [f"a key has {len(told)} answers" for told in rig.answers.values() if len(told) != 1]
    problems += [f"{count - len(rig.answers)} keys were never answered"] * (len(rig.answers) != count)
    for problem in problems:
        print(f"VIOLATION: {problem}")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
