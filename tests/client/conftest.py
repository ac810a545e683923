"""An account by way of the Python client; the gateway is that of tests/gateway."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from reportgen_client import Client
from tests.gateway.conftest import Server, finish, server

__all__ = ["finish", "server"]

PASSWORD = "pass123"


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
