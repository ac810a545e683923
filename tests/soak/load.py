"""Many people at once: `python -m tests.soak.load --clients 50 --seconds 60 [--url URL]`.

Each registers and uploads a small report's files. Then, all at the same time and for so many seconds, they do what people do,
with a pause after each call: have a report made now and then, look how far it is, look through lists, download. With 50
people that keeps two cores busy.

Prints p50 and p95 of each call, and how often each status came. Exits with 1 if one is a 5xx, if a report is lost, if the p95
of the light calls, which only look, is 300 ms or more, or if fsck finds something. Starts a service of its own unless one is
named.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx2

from tests.e2e.client import EXAMPLE, FINAL
from tests.stack import Stack

LIGHT = ("status", "runs", "schedules")
MOST_LIGHT_SECONDS = 0.3
LAST_WAIT_SECONDS = 300
ROUNDS_A_REPORT = 8
RULES = (EXAMPLE / "rules.yaml").read_bytes()
FILES = {name: (EXAMPLE / f"{name}.csv").read_bytes() for name in ("input", "reference")}


class Measurements:
    """What all clients saw."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.lost: list[str] = []

    def note(self, call: str, status: int, seconds: float) -> None:
        """Add one answer; a connection that broke has the status 599."""
        with self._lock:
            self.seconds[call].append(seconds)
            self.statuses[call, status] += 1


class Person:
    """One client in a thread of its own."""

    def __init__(self, url: str, measured: Measurements, pause_seconds: float) -> None:
        self._http = httpx2.Client(base_url=url, timeout=60)
        self._measured = measured
        self._pause_seconds = pause_seconds
        self._accepted: list[str] = []

    def prepare(self) -> None:
        """Register and upload."""
        account = {"email": f"{uuid4().hex}@example.com", "name": "Ann", "password": "pass123"}
        while (
            session := self._call("register", "POST", "/api/auth/register/", json=account)
        ).status_code == 429:
            time.sleep(int(session.headers["Retry-After"]))
        if session.status_code != 201:
            return
        self._http.headers["Authorization"] = f"Bearer {session.json()['access']}"
        self._upload()

    def work(self, until: float) -> None:
        """Do what people do until a moment of the monotonic clock, and then wait for what is still being made."""
        rounds = random.randrange(ROUNDS_A_REPORT)  # noqa: S311 - people are not in step
        while time.monotonic() < until:
            if rounds % ROUNDS_A_REPORT == 0:
                self._generate()
            self._round()
            rounds += 1
        self._settle()
        self._http.close()

    def _upload(self) -> None:
        self._call("upload rules", "POST", "/api/upload-rules/", files={"file": ("rules.yaml", RULES)})
        parts = {name: (f"{name}.csv", body) for name, body in FILES.items()}
        self._call("upload files", "POST", "/api/upload-files/", files=parts)

    def _generate(self) -> None:
        # Rules of its own, so that the report is really made and not taken over from the last one.
        rules = {"rules": ("rules.yaml", RULES + f"\n# {uuid4().hex}\n".encode())}
        made = self._call("generate", "POST", "/api/generate-report/", files=rules)
        self._accepted += [made.json()["task_id"]] if made.status_code == 202 else []

    def _round(self) -> None:
        for _ in range(3):
            for run in self._accepted[-1:]:
                self._call("status", "GET", f"/api/task-status/{run}/")
            self._call("runs", "GET", "/api/v1/runs")
            self._call("schedules", "GET", "/api/v1/schedules")
        for run in self._accepted[-1:]:
            self._call("download", "GET", f"/api/download-report/{run}/")

    def _settle(self) -> None:
        deadline = time.monotonic() + LAST_WAIT_SECONDS
        for run in self._accepted:
            while self._call("status", "GET", f"/api/task-status/{run}/").json().get("status") not in FINAL:
                if time.monotonic() > deadline:
                    self._measured.lost.append(run)
                    break

    def _call(self, name: str, method: str, path: str, **more: object) -> httpx2.Response:
        begin = time.perf_counter()
        try:
            answer = self._http.request(method, path, **more)  # type: ignore[arg-type]
        except httpx2.TransportError:
            answer = httpx2.Response(599, json={})
        self._measured.note(name, answer.status_code, time.perf_counter() - begin)
        time.sleep(self._pause_seconds * random.uniform(0.5, 1.5))  # noqa: S311 - people are not in step
        return answer


@contextmanager
def service(url: str | None) -> Iterator[tuple[str, Callable[[], list[str]]]]:
    """Lend the address of a service, and what tells what is wrong in it; of one of our own where none is named."""
    if url is not None:
        yield url, list
        return
    with tempfile.TemporaryDirectory(prefix="rg-") as home:
        stack = Stack(Path(home), REPORTGEN_REGISTRATIONS_PER_HOUR="100000")
        stack.start()
        try:
            yield stack.url, stack.fsck
        finally:
            stack.stop()


def load(url: str, *, clients: int, seconds: float, pause_seconds: float) -> Measurements:
    """Let so many clients work for so many seconds."""
    measured = Measurements()
    people = [Person(url, measured, pause_seconds) for _ in range(clients)]
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(Person.prepare, people))
        until = time.monotonic() + seconds
        list(pool.map(lambda person: person.work(until), people))
    return measured


def told(measured: Measurements) -> list[str]:
    """Return a line for each call."""
    lines = [f"{'call':<14}{'count':>7}{'p50 ms':>9}{'p95 ms':>9}  statuses"]
    for call, times in measured.seconds.items():
        counts = sorted(
            (status, count) for (name, status), count in measured.statuses.items() if name == call
        )
        shown = ", ".join(f"{status}: {count}" for status, count in counts)
        lines.append(
            f"{call:<14}{len(times):>7}{statistics.median(times) * 1000:>9.0f}{p95(times) * 1000:>9.0f}  {shown}"
        )
    return lines


def p95(times: list[float]) -> float:
    """Return the 95th percentile."""
    return sorted(times)[int(len(times) * 0.95)]


def violations(measured: Measurements) -> list[str]:
    """Return what must not be."""
    broken = [
        f"{call}: {count} times {status}"
        for (call, status), count in measured.statuses.items()
        if status >= 500
    ]
    light = [seconds for call in LIGHT for seconds in measured.seconds[call]]
    slow = (
        [f"p95 of the light calls is {p95(light) * 1000:.0f} ms"]
        if light and p95(light) >= MOST_LIGHT_SECONDS
        else []
    )
    lost = [f"{len(measured.lost)} runs did not end"] if measured.lost else []
    return broken + slow + lost


def main(argv: list[str]) -> int:
    """Measure, print, and return 1 on a violation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds after each call, on average")
    parser.add_argument("--url", help="a service that runs; default: one of its own")
    given = parser.parse_args(argv)
    with service(given.url) as (url, fsck):
        measured = load(url, clients=given.clients, seconds=given.seconds, pause_seconds=given.pause)
        print(*told(measured), sep="\n")
        wrong = violations(measured) + fsck()
    print(*(f"violated: {line}" for line in wrong), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
