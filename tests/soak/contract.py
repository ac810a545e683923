"""Asks a running service thousands of things that its OpenAPI document allows or does not: `python -m tests.soak.contract 10000`.

Each answer must be one that the document declares, and none a server error. An account with datasets, rulesets, reports and runs
asks by an API token, so that nothing ends its session.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.client import Client
from tests.gateway.contract_cases import ask
from tests.stack import Stack

CASES = 10_000
EXAMPLES = 20
WITHOUT = "/logout$"
SCOPES = ["read", "run", "write"]


def main(arguments: Sequence[str]) -> int:
    """Ask until so many cases were made; return 1 if an answer was not declared."""
    wanted = int(arguments[0]) if arguments else CASES
    with tempfile.TemporaryDirectory(prefix="rg-") as folder:
        stack = Stack(Path(folder))
        stack.start()
        try:
            return _ask(stack, Path(folder), wanted)
        finally:
            stack.stop()


def _ask(stack: Stack, folder: Path, wanted: int) -> int:
    client = Client(stack.url)
    client.upload_example()
    client.wait(client.generate())
    asked = {"name": "soak", "scopes": SCOPES}
    token = client.http.post("/api/v1/me/tokens", json=asked).json()["token"]
    made, seed = 0, 0
    while made < wanted:
        seed += 1
        done = ask(stack.url, token, folder, examples=EXAMPLES, seed=seed, without=WITHOUT, workers=2)
        counted = re.search(r"([\d,]+) generated", done.stdout)
        if done.returncode != 0 or counted is None:
            print(done.stdout, done.stderr)
            return 1
        made += int(counted[1].replace(",", ""))
        print(f"seed {seed}: {made:,} cases, all answers declared, none a server error", flush=True)
    problems = stack.fsck()
    print("fsck:", problems or "nothing wrong")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
