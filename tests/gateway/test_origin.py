"""Whose address a request has, with and without proxies of ours before us."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from api_gateway.origin import client_address

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


def scope(peer: str | None, *forwarded: str) -> dict[str, Any]:
    return {
        "type": "http",
        "client": (peer, 4711) if peer else None,
        "headers": [(b"x-forwarded-for", line.encode()) for line in forwarded],
    }


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.1", (), "203.0.113.1"),
        ("203.0.113.1", ("198.51.100.1",), "203.0.113.1"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("198.51.100.1, 203.0.113.1",), "203.0.113.1"),
        ("10.0.0.1", ("198.51.100.1, 203.0.113.1, 10.0.0.2",), "203.0.113.1"),
        ("10.0.0.1", ("198.51.100.1", "203.0.113.1"), "203.0.113.1"),
        ("10.0.0.1", ("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        ("10.0.0.1", ("198.51.100.1, nonsense",), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.1, 203.0.113.1:80",), "10.0.0.1"),
        ("10.0.0.1", ("",), "10.0.0.1"),
        ("fd00::1", ("2001:db8::1",), "2001:db8::1"),
        ("::ffff:10.0.0.1", ("::ffff:198.51.100.1",), "198.51.100.1"),
        (None, ("198.51.100.1",), "unknown"),
        ("a socket", (), "unknown"),
    ],
)
def test_the_last_address_that_is_not_ours_counts(
    peer: str | None, forwarded: tuple[str, ...], address: str
) -> None:
    assert client_address(scope(peer, *forwarded), PROXIES) == address


def test_without_proxies_nobody_is_believed() -> None:
    assert client_address(scope("10.0.0.1", "198.51.100.1"), []) == "10.0.0.1"
