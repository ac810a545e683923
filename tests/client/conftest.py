"""An account by way of the Python client; the gateway is that of tests/gateway."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from sqlalchemy import select

from reportgen_client import Client
from reportgen_dagster.catalog.tables import Run
from reportgen_dagster.identity import utc_now
from tests.gateway.conftest import Server, finish, server

__all__ = ["finish", "server"]

PASSWORD = "pass123"
REPORT = b"double,name\n2,one\n4,two\n"
_LOOK_SECONDS = 0.02


@pytest.fixture
def email() -> str:
    """An address that nobody has yet."""
    return f"{uuid4().hex}@example.com"


@pytest.fixture
def client(server: Server, email: str) -> Iterator[Client]:
    """Ann, signed in."""
    with Client(server.url, patience=10) as opened:
        opened.register(email, "Ann", PASSWORD)
        yield opened


@pytest.fixture
def worker(server: Server, finish: Callable[..., None]) -> Iterator[None]:
    """Makes the same report of every run that is accepted from now on, as Dagster's worker makes the right one."""
    begin = utc_now()
    over = threading.Event()

    def work() -> None:
        while not over.wait(_LOOK_SECONDS):
            with server.context.catalog.transaction() as session:
                waiting = select(Run.id).where(Run.state == "accepted", Run.accepted_at >= begin)
                accepted = list(session.scalars(waiting))
            for run_id in accepted:
                finish(run_id, report=REPORT)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join()
