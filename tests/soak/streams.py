"""Hundreds of live streams over two gateways: `python -m tests.soak.streams [streams] [runs]`.

Users watch runs that the services drive from stage to stage; streams are cut at random and go on with Last-Event-ID. A violation
is an event that is missing, comes twice or in another order, and more threads or database connections than a gateway has idle.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import httpx2
import psutil
from sqlalchemy import text

from reportgen_dagster.services import attempts
from reportgen_dagster.services.context import Context
from tests.gateway.conftest import User
from tests.soak.gateways import Installation, installation

STREAMS = 700  # of two gateways, which answer 400 connections each
PER_USER = 50  # streams of one user in one gateway, as api_gateway/following.py has it
STEPS = 12
MAX_CONNECTIONS = 20  # the pool of one gateway
MAX_THREADS = 60
CUT_SHARE = 0.02  # of the events after which a stream is cut


@dataclass
class Watch:
    """One stream, and what it has told."""

    port: int
    token: str
    run_id: str
    chance: random.Random
    ids: list[int] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    cuts: int = 0
    is_over: bool = False

    async def follow(self, written: dict[tuple[str, int], float], opened: asyncio.Semaphore) -> None:
        """Read to the last event, over as many connections as it takes."""
        while not self.is_over:
            async with opened:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                last = self.ids[-1] if self.ids else 0
                writer.write(
                    f"GET /api/v1/runs/{self.run_id}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.token}\r\n"
                    f"Last-Event-ID: {last}\r\n\r\n".encode()
                )
                status = await reader.readline()
            try:
                if b" 200 " in status:
                    await self._read(reader, written, time.monotonic())
                else:
                    await asyncio.sleep(0.5)  # the gateway has not noticed the cut yet
            finally:
                writer.close()

    async def _read(
        self, reader: asyncio.StreamReader, written: dict[tuple[str, int], float], opened_at: float
    ) -> None:
        while line := await reader.readline():
            if line.startswith(b"id: "):
                self.ids.append(int(line[4:]))
                if (at := written.get((self.run_id, self.ids[-1]), 0.0)) > opened_at:
                    self.delays.append(time.monotonic() - at)
                if self.chance.random() < CUT_SHARE and not self.is_over:
                    self.cuts += 1
                    return
            elif line.startswith((b"event: succeeded", b"event: failed")):
                self.is_over = True


def _drive(context: Context, run_id: str, written: dict[tuple[str, int], float]) -> int:
    """Let a run go through its stages, and return the number of its last event."""
    dagster_run_id = str(uuid4())
    attempts.begin(context, dagster_run_id, "soak")
    claim = attempts.claim(context, run_id, dagster_run_id)
    assert claim is not None
    written[run_id, 2] = time.monotonic()
    for step in range(STEPS):
        attempts.enter_stage(context, claim, "transform", step * 8, rows=step)
        written[run_id, 3 + step] = time.monotonic()
        time.sleep(0.2)
    attempts.fail(context, claim, attempts.ConflictError("The rig is through."))
    written[run_id, 3 + STEPS] = time.monotonic()
    return 3 + STEPS


def _connections(context: Context) -> int:
    with context.catalog.transaction() as session:
        counted = text(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'reportgen' AND pid <> pg_backend_pid()"
        )
        return int(session.scalar(counted) or 0)


async def _idle_answers(url: str) -> list[float]:
    """Return the milliseconds of plain calls that read the catalog."""
    took = []
    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        for _ in range(50):
            began = time.monotonic()
            assert (await client.get("/api/v1/runs")).status_code == 401
            took.append((time.monotonic() - began) * 1000)
    return took


async def _watch_all(found: Installation, count: int, runs: int) -> list[str]:
    problems = await _look_at(found)
    users = [User(found.gateways[0].url) for _ in range(max(1, count // (PER_USER * len(found.gateways))))]
    for user in users:
        user.upload()
    owned = [(user, user.generate()) for number in range(runs) for user in [users[number % len(users)]]]
    by_user = {user.email: [run for owner, run in owned if owner is user] for user in users}
    written: dict[tuple[str, int], float] = {}
    watches = []
    for number in range(count):
        gateway = found.gateways[number % len(found.gateways)]
        user = users[number // len(found.gateways) % len(users)]
        run_id = by_user[user.email][number % len(by_user[user.email])]
        watches.append(
            Watch(gateway.port, user.session["access"], run_id, random.Random(number))  # noqa: S311 - no secret
        )
    opened = asyncio.Semaphore(50)
    tasks = [asyncio.create_task(watch.follow(written, opened)) for watch in watches]
    began = time.monotonic()
    while sum(bool(watch.ids) for watch in watches) < count:
        assert time.monotonic() - began < 300, "the streams do not open"
        await asyncio.sleep(0.1)
    print(f"{count} streams of {len(users)} users, open in {time.monotonic() - began:.1f} s")
    await asyncio.sleep(3)
    problems += await _look_at(found)
    lasts = dict(
        zip(
            [run for _, run in owned],
            await asyncio.gather(
                *(asyncio.to_thread(_drive, found.context, run, written) for _, run in owned)
            ),
            strict=True,
        )
    )
    await asyncio.wait_for(asyncio.gather(*tasks), 300)
    delays = sorted(delay for watch in watches for delay in watch.delays)
    cuts = sum(watch.cuts for watch in watches)
    print(f"{sum(len(watch.ids) for watch in watches)} events told, {cuts} cuts")
    print(
        f"after the commit: median {statistics.median(delays):.2f} s, p99 {delays[len(delays) * 99 // 100]:.2f} s"
    )
    wrong = [watch for watch in watches if watch.ids != list(range(1, lasts[watch.run_id] + 1))]
    return problems + [f"{len(wrong)} streams told other events, one {watch.ids}" for watch in wrong[:1]]


async def _look_at(found: Installation) -> list[str]:
    """Measure gateways whose streams are idle, and return what is too much."""
    problems = []
    for gateway in found.gateways:
        assert gateway.process is not None
        process = psutil.Process(gateway.process.pid)
        took = await _idle_answers(gateway.url)
        threads = process.num_threads()
        print(
            f"{gateway.url}: {process.memory_info().rss / 1e6:.0f} MB, {threads} threads,"
            f" other calls median {statistics.median(took):.1f} ms, slowest {max(took):.1f} ms"
        )
        if threads > MAX_THREADS:
            problems.append(f"{threads} threads in a gateway")
    connections = _connections(found.context)
    print(f"{connections} connections to the database")
    if connections > MAX_CONNECTIONS * len(found.gateways):
        problems.append(f"{connections} connections to the database")
    return problems


def main(argv: Sequence[str]) -> int:
    """Run the rig and return the exit code."""
    count, runs = (int(argv[0]) if argv else STREAMS), (int(argv[1]) if len(argv) > 1 else 10)
    with installation(2) as found:
        problems = asyncio.run(_watch_all(found, count, runs))
    for problem in problems:
        print(f"VIOLATION: {problem}")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
