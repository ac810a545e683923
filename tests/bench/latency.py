"""How fast small reports are: `python -m tests.bench.latency [runs]`.

Seconds from start to ready, seconds from POST to downloadable for a 10 kB report, warm, and reports a second with many clients at
once. Starts a service of its own on free ports and in a temporary home.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.client import EXAMPLE, Client
from tests.stack import Stack

WARM_UP_RUNS = 5
CLIENTS = 20
POLL_SECONDS = 0.01
POLL_SECONDS_OF_MANY = 0.5  # 20 clients that ask a hundred times a second would only measure the gateway
TARGET_BYTES = 10_000


def ten_kilobytes() -> bytes:
    """Return the example's input with its rows repeated up to 10 kB."""
    header, *rows = (EXAMPLE / "input.csv").read_text().splitlines(keepends=True)
    text = header
    while len(text) < TARGET_BYTES:
        text += rows[text.count("\n") % len(rows)]
    return text.encode()


def seconds_to_downloadable(client: Client, poll_seconds: float = POLL_SECONDS) -> float:
    """Accept one run and poll until its report is there."""
    start = time.perf_counter()
    task = client.generate_anew()
    while (answer := client.download(task)).status_code == 202:
        time.sleep(poll_seconds)
    if answer.status_code != 200:
        raise SystemExit(f"the run ended badly: {answer.text}")
    return time.perf_counter() - start


def prepared(url: str) -> Client:
    """Return a new account whose last uploads are a small report's."""
    client = Client(url)
    client.upload_example()
    client.http.post("/api/upload-files/", files={"input": ("input.csv", ten_kilobytes())})
    return client


def reports_a_second(url: str, runs: int) -> float:
    """Let many clients ask for report after report, each as soon as its last one is there."""
    clients = [prepared(url) for _ in range(CLIENTS)]

    def make_all(client: Client) -> None:
        for _ in range(runs // CLIENTS):
            seconds_to_downloadable(client, POLL_SECONDS_OF_MANY)

    start = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(make_all, clients))
    return runs // CLIENTS * CLIENTS / (time.perf_counter() - start)


def main(runs: int) -> None:
    """Measure and print p50, p95 and the extremes."""
    with tempfile.TemporaryDirectory() as home:
        stack = Stack(Path(home))
        start = time.perf_counter()
        stack.start()
        print(f"ready after {time.perf_counter() - start:.1f} s", flush=True)
        try:
            client = prepared(stack.url)
            for _ in range(WARM_UP_RUNS):
                seconds_to_downloadable(client)
            times = sorted(seconds_to_downloadable(client) for _ in range(runs))
            print(told(times), flush=True)
            rate = reports_a_second(stack.url, runs)
            print(f"{CLIENTS} clients: {rate:.2f} reports a second")
        finally:
            stack.stop()


def told(times: list[float]) -> str:
    """Return median, p95 and extremes of ordered seconds, in words."""
    p95 = times[int(len(times) * 0.95)]
    p50 = statistics.median(times)
    return f"{len(times)} runs: p50 {p50:.3f} s, p95 {p95:.3f} s, min {times[0]:.3f} s, max {times[-1]:.3f} s"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
