"""Seconds from POST to downloadable for a 10 kB report, warm: `python -m tests.bench.latency [runs]`.

Starts a service of its own on free ports and in a temporary home.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.client import EXAMPLE, Client
from tests.stack import Stack

WARM_UP_RUNS = 5
POLL_SECONDS = 0.01
TARGET_BYTES = 10_000


def ten_kilobytes() -> bytes:
    """Return the example's input with its rows repeated up to 10 kB."""
    header, *rows = (EXAMPLE / "input.csv").read_text().splitlines(keepends=True)
    text = header
    while len(text) < TARGET_BYTES:
        text += rows[text.count("\n") % len(rows)]
    return text.encode()


def seconds_to_downloadable(client: Client) -> float:
    """Accept one run and poll until its report is there."""
    start = time.perf_counter()
    task = client.generate()
    while (answer := client.download(task)).status_code == 202:
        time.sleep(POLL_SECONDS)
    if answer.status_code != 200:
        raise SystemExit(f"the run ended badly: {answer.text}")
    return time.perf_counter() - start


def main(runs: int) -> None:
    """Measure and print p50, p95 and the extremes."""
    with tempfile.TemporaryDirectory() as home:
        stack = Stack(Path(home))
        stack.start()
        try:
            client = Client(stack.url)
            client.upload_example()
            client.http.post("/api/upload-files/", files={"input": ("input.csv", ten_kilobytes())})
            for _ in range(WARM_UP_RUNS):
                seconds_to_downloadable(client)
            times = sorted(seconds_to_downloadable(client) for _ in range(runs))
        finally:
            stack.stop()
    p95 = times[int(len(times) * 0.95)]
    p50 = statistics.median(times)
    print(f"{runs} runs: p50 {p50:.3f} s, p95 {p95:.3f} s, min {times[0]:.3f} s, max {times[-1]:.3f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
