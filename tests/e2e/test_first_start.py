"""What a newcomer sees on the first start of an empty home: the example report, and where things are."""

from __future__ import annotations

import re

import httpx2
import pytest

from tests.e2e.client import EXAMPLE, until
from tests.stack import Stack


@pytest.mark.timeout(240)
def test_the_first_start_makes_the_example_and_a_later_one_does_not(tmp_path_factory) -> None:
    stack = Stack(tmp_path_factory.mktemp("first"), demo=True)
    stack.start()
    try:
        until(
            lambda: "Ctrl-C ends it." in stack.log,
            "it has said all",
            seconds=60,
            state=lambda: stack.log[-500:],
        )
        shown = stack.log
        for line in (EXAMPLE / "expected.csv").read_text().splitlines()[:3]:
            assert line in shown
        assert f"{stack.url}/docs" in shown
        assert stack.dagster_url in shown
        passwords = re.findall(r"has the password (\S+)", shown)
        assert len(passwords) == 1
        account = {"email": re.findall(r"(\S+@\S+) has the password", shown)[0], "password": passwords[0]}
        assert httpx2.post(f"{stack.url}/api/auth/login/", json=account).status_code == 200
        stack.stop()
        stack.start()
        until(lambda: stack.log.count("Ctrl-C ends it.") == 2, "it has said all again", seconds=60)
        assert len(re.findall(r"has the password", stack.log)) == 1
    finally:
        stack.stop()
