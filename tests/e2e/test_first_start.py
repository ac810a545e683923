"""What a newcomer sees on the first start of an empty home, and what the next start finds after `kill -9` of everything."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx2
import pytest

from tests.e2e.client import EXAMPLE, Client, until
from tests.stack import Stack

LAST_LINE = "Ctrl-C ends it."


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("first"), demo=True)
    stack.start()
    yield stack
    stack.stop()
    assert stack.processes() == []


@pytest.mark.timeout(240)
def test_the_first_start_makes_the_example(first: Stack) -> None:
    until(lambda: LAST_LINE in first.log, "it has said all", seconds=60, state=lambda: first.log[-500:])
    shown = first.log
    for line in (EXAMPLE / "expected.csv").read_text().splitlines()[:3]:
        assert line in shown
    assert f"{first.url}/docs" in shown
    assert first.dagster_url in shown
    passwords = re.findall(r"has the password (\S+)", shown)
    assert len(passwords) == 1
    account = {"email": re.findall(r"(\S+@\S+) has the password", shown)[0], "password": passwords[0]}
    assert httpx2.post(f"{first.url}/api/auth/login/", json=account).status_code == 200


@pytest.mark.timeout(600)
def test_after_kill_9_nothing_runs_and_the_next_start_finishes_what_was_accepted(first: Stack) -> None:
    client = Client(first.url)
    client.upload_example()
    tasks = [client.generate_anew() for _ in range(5)]
    first.kill_up()
    until(lambda: first.processes() == [], "nothing of it runs any more", seconds=20, state=first.processes)
    first.start()
    client.http.base_url = first.url
    client.sign_in_again()
    assert [client.wait(task, seconds=240)["status"] for task in tasks] == ["succeeded"] * 5
    until(lambda: first.fsck() == [], "catalog, storage and Dagster agree", seconds=60, state=first.fsck)
    until(lambda: first.log.count(LAST_LINE) == 2, "it has said all again", seconds=60)
    assert len(re.findall(r"has the password", first.log)) == 1, "a later start makes no example"
