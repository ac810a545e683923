"""Asks a running service thousands of things that its OpenAPI document allows or does not: `python -m tests.soak.contract 10000`.

Each answer must be one that the document declares, and none a server error. An account with datasets, rulesets, reports and runs
asks by an API token, so that nothing ends its session. What API tokens cannot do, an admin asks who is signed in: a case of his
for every ten.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psycopg

from tests.e2e.client import Client
from tests.gateway.contract_cases import ENDING, ask
from tests.stack import Stack

CASES = 10_000
CASES_FOR_ONE_OF_ADMINS = 10
EXAMPLES = 20
SCOPES = ["read", "run", "write"]
# Calls that take no API token or need the scope `admin`.
OF_ADMINS = "^/api/v1/(me|users|audit)|^/metrics"
WITHOUT = f"{ENDING}|/revoke$"  # he finds out his own id, and would end his own sessions


@dataclass(frozen=True)
class Pass:
    """Who asks what.

    Attributes:
        name: What he is called in what is printed.
        token: Returns a good token of his; one for each seed, since access tokens run out.
        only: A pattern of the paths that he asks.
        without: A pattern of those of them that he does not.
    """

    name: str
    token: Callable[[], str]
    only: str
    without: str


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
    administering = _made_admin(stack)
    program = Pass("a program", lambda: token, only=".", without="/logout$")
    admin = Pass("an admin", lambda: _signed_in(administering), only=OF_ADMINS, without=WITHOUT)
    for one, cases in ((program, wanted), (admin, wanted // CASES_FOR_ONE_OF_ADMINS)):
        if not _ask_as(one, stack, folder, cases):
            return 1
    problems = stack.fsck()
    print("fsck:", problems or "nothing wrong")
    return int(bool(problems))


def _made_admin(stack: Stack) -> Client:
    client = Client(stack.url)
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute("UPDATE users SET role = 'admin' WHERE email = %s", (client.email,))
    return client


def _signed_in(client: Client) -> str:
    client.sign_in_again()
    return str(client.http.headers["Authorization"]).removeprefix("Bearer ")


def _ask_as(asking: Pass, stack: Stack, folder: Path, wanted: int) -> bool:
    made, seed = 0, 0
    while made < wanted:
        seed += 1
        token = asking.token()
        done = ask(
            *(stack.url, token, folder),
            examples=EXAMPLES,
            seed=seed,
            without=asking.without,
            only=asking.only,
        )
        counted = re.search(r"([\d,]+) generated", done.told)
        if not done.is_good or counted is None:
            print(done.told)
            return False
        if not _is_taken(stack, token):
            print(f"{asking.name}: a case ended what he asks by, so that the rest was asked by nobody")
            return False
        made += int(counted[1].replace(",", ""))
        shown = f"{made:,} cases, {done.share(range(200, 400)):.0%} of the last taken"
        print(f"{asking.name}, seed {seed}: {shown}, all answers declared, none a server error", flush=True)
    return True


def _is_taken(stack: Stack, token: str) -> bool:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.get(f"{stack.url}/api/v1/me", headers=headers, timeout=30).status_code == 200


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
