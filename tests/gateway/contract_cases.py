"""Asks the API all that its OpenAPI document allows, and much that it does not; shared by a test and `tests/soak/contract.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"
HOOKS = Path(__file__).with_name("contract_hooks.py")
# A valid document of rules, a cursor or a cron expression is more than a schema can say; and a ruleset may be called `check`, so
# more can be done with that path than the document says of it.
NOT_ASKED = "positive_data_acceptance,allow_header_conformance"
# One worker: Python 3.11 before 3.11.9 cannot compile in two deep threads at once, which Hypothesis does.
WORKERS = "1"
# What ends the session that asks: everything after it would be 401.
ENDING = "/logout$|/revoke-all$|/me/password$|/me/sessions/[^/]+$"


@dataclass(frozen=True)
class Asked:
    """What came of the cases.

    Attributes:
        is_good: Each answer was one that the document declares, and none a server error.
        told: What Schemathesis says.
        statuses: Those of all answers.
    """

    is_good: bool
    told: str
    statuses: list[int]

    def share(self, statuses: Container[int]) -> float:
        """Return the share of the answers that have one of these statuses."""
        return sum(status in statuses for status in self.statuses) / len(self.statuses)


def ask(
    url: str,
    token: str,
    folder: Path,
    *,
    examples: int,
    seed: int,
    without: str = "^$",
    only: str = ".",
) -> Asked:
    """Run the cases.

    Args:
        url: Address of the gateway.
        token: Who asks.
        folder: Where reports may be written.
        examples: How many cases for each call beside those of its bounds.
        seed: Makes them the same again.
        without: A pattern of the paths that are left out.
        only: A pattern of the paths that are asked.
    """
    exchanges = folder / "exchanges.har"
    done = subprocess.run(
        [
            *(SCHEMATHESIS, "run", f"{url}/openapi.json", "--header", f"Authorization: Bearer {token}"),
            *("--max-examples", str(examples), "--seed", str(seed), "--workers", WORKERS),
            *("--exclude-checks", NOT_ASKED, "--continue-on-failure", "--no-shrink", "--warnings", "off"),
            *("--suppress-health-check", "all", "--request-timeout", "60", "--exclude-path-regex", without),
            *("--include-path-regex", only, "--report", "har", "--report-har-path", exchanges),
        ],
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS)},
        capture_output=True,
        text=True,
        check=False,
    )
    entries = json.loads(exchanges.read_bytes())["log"]["entries"]
    statuses = [entry["response"]["status"] for entry in entries]
    return Asked(done.returncode == 0, done.stdout + done.stderr, statuses)
