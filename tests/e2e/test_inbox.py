"""The inbox of a running service: dropped files become versions without anybody doing anything, whatever is killed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.e2e.client import Client, until
from tests.stack import Stack

TICKS = """
query {
  sensorOrError(sensorSelector: {
    repositoryName: "__repository__", repositoryLocationName: "reports", sensorName: "watch_inbox"
  }) { __typename ... on Sensor { sensorState { status ticks(limit: 30) { status skipReason } } } }
}
"""
VERSIONS = """
SELECT v.digest FROM dataset_versions v JOIN datasets d ON d.id = v.dataset_id JOIN users u ON u.id = d.owner_id
WHERE u.email = %s AND d.name = %s ORDER BY v.number
"""
MANY = 120


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service of its own: it has hundreds of files to look at afterwards, and other tests count processes."""
    service = Stack(tmp_path_factory.mktemp("inbox"))
    service.start()
    yield service
    service.stop()


def _folder(stack, email: str, dataset: str) -> Path:
    folder = stack.home / "inbox" / email / dataset
    folder.mkdir(parents=True)
    return folder


def _digests(stack, email: str, dataset: str) -> list[str]:
    with psycopg.connect(stack.database_url) as connection:
        return [digest for (digest,) in connection.execute(VERSIONS, (email, dataset))]


def test_a_dropped_file_becomes_a_version_and_the_tick_says_so(own_stack: Stack) -> None:
    email = Client(own_stack.url).email
    folder = _folder(own_stack, email, "orders")
    (folder / "orders.csv").write_bytes(b"key,price\nA,1\n")
    (folder / "picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n")

    def sensor() -> dict[str, Any]:
        return own_stack.graphql(TICKS)["sensorOrError"]["sensorState"]

    def told() -> str:
        return " ".join(tick["skipReason"] or "" for tick in sensor()["ticks"])

    until(
        lambda: f"{email}/orders/orders.csv is version 1" in told(), "a tick took it", seconds=90, state=told
    )
    until(lambda: f"{email}/orders/picture.csv was refused" in told(), "a tick refused it", seconds=30)
    assert sensor()["status"] == "RUNNING"
    inbox = own_stack.home / "inbox"
    assert [path.name for path in (inbox / "archive" / email).rglob("*.csv")] == ["orders.csv"]
    (reason,) = (inbox / "refused" / email).rglob("*.reason.txt")
    assert "a PNG image" in reason.read_text()


def test_killing_who_sweeps_loses_nothing_and_repeats_nothing(own_stack: Stack) -> None:
    email = Client(own_stack.url).email
    folder = _folder(own_stack, email, "many")
    contents = [f"key,price\nA,{number}\n".encode() for number in range(MANY)]
    for number, content in enumerate(contents):
        (folder / f"{number}.csv").write_bytes(content)
    archive = own_stack.home / "inbox" / "archive" / email

    def archived() -> int:
        return len(list(archive.rglob("*.csv"))) if archive.exists() else 0

    for share in (1, 40):
        until(lambda share=share: archived() >= share, f"{share} are taken", seconds=90)
        own_stack.kill("code-server")
        own_stack.kill("daemon")
    until(lambda: archived() == MANY, "all are taken", seconds=150, state=archived)
    digests = _digests(own_stack, email, "many")
    assert sorted(digests) == sorted(hashlib.sha256(content).hexdigest() for content in contents)
