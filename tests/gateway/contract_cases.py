"""Asks the API all that its OpenAPI document allows, and much that it does not; shared by a test and `tests/soak/contract.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"
HOOKS = Path(__file__).with_name("contract_hooks.py")
# A valid document of rules, a cursor or a cron expression is more than a schema can say; and a ruleset may be called `check`, so
# more can be done with that path than the document says of it.
NOT_ASKED = "positive_data_acceptance,allow_header_conformance"


def ask(
    url: str,
    token: str,
    folder: Path,
    *,
    examples: int,
    seed: int,
    without: str = "^$",
    workers: int = 1,
) -> subprocess.CompletedProcess[str]:
    """Run the cases; the exit code is 0 if each answer was one that the document declares, and none a server error.

    Args:
        url: Address of the gateway.
        token: Who asks.
        folder: Where reports may be written.
        examples: How many cases for each call beside those of its bounds.
        seed: Makes them the same again.
        without: A pattern of the paths that are left out.
        workers: How many ask at a time.
    """
    return subprocess.run(
        [
            *(SCHEMATHESIS, "run", f"{url}/openapi.json", "--header", f"Authorization: Bearer {token}"),
            *("--max-examples", str(examples), "--seed", str(seed), "--workers", str(workers)),
            *("--exclude-checks", NOT_ASKED, "--continue-on-failure", "--no-shrink", "--warnings", "off"),
            *("--suppress-health-check", "all", "--request-timeout", "60", "--exclude-path-regex", without),
        ],
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS)},
        capture_output=True,
        text=True,
        check=False,
    )
