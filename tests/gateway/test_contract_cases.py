"""The API answers what its document declares, whatever it is asked."""

from __future__ import annotations

from pathlib import Path

from tests.gateway.conftest import Server, User
from tests.gateway.contract_cases import ask

# The servers behind it are away here, and a session that has ended asks no more.
WITHOUT = "^/readyz$|/logout$"


def test_every_answer_is_declared_and_none_is_a_server_error(
    server: Server, ann: User, tmp_path: Path
) -> None:
    ann.upload()
    ann.generate()
    done = ask(server.url, ann.session["access"], tmp_path, examples=1, seed=1, without=WITHOUT)
    assert done.returncode == 0, done.stdout[-6000:]
