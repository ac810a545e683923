"""`kill -9` of `reportgen up` leaves nothing running; the next start on that home recovers by itself."""

from __future__ import annotations

import pytest

from tests.e2e.client import Client, until
from tests.stack import Stack


@pytest.mark.timeout(600)
def test_the_next_start_finishes_what_was_accepted(tmp_path_factory) -> None:
    stack = Stack(tmp_path_factory.mktemp("up"))
    stack.start()
    try:
        client = Client(stack.url)
        client.upload_example()
        tasks = [client.generate_anew() for _ in range(5)]
        stack.kill_up()
        until(
            lambda: stack.processes() == [], "nothing of it runs any more", seconds=20, state=stack.processes
        )
        stack.start()
        client.http.base_url = stack.url
        client.sign_in_again()
        assert [client.wait(task, seconds=240)["status"] for task in tasks] == ["succeeded"] * 5
        until(lambda: stack.fsck() == [], "catalog, storage and Dagster agree", seconds=60, state=stack.fsck)
    finally:
        stack.stop()
    assert stack.processes() == []
