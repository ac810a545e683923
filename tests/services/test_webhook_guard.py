"""What webhooks never reach, however it is written, looked up or redirected to; and what keeps a receiver from holding us up."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from reportgen_dagster.errors import DeliveryError
from reportgen_dagster.services import webhooks
from reportgen_dagster.services.addresses import may_reach, url_problem
from reportgen_dagster.settings import Settings
from tests.services.delivering import SECRET, Receiver, certificate, receiving

HIDDEN = [
    *("127.0.0.1", "127.8.9.10", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"),  # noqa: S104
    *("169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.2.1", "198.18.0.1", "224.0.0.1"),
    *("240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1"),
    *("fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
    *("2002:7f00:1::1", "2001:0:7f00:1::1", "2001:db8::1", "100::1"),
]
WRITTEN_OTHERWISE = [
    *("2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "017700000001", "127.0.0.1.", "0"),
    *("localhost", "LOCALHOST", "localhost.localdomain", "ip6-localhost"),
]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("REPORTGEN_SECRET_PARTNER", SECRET)
    return Settings(home=tmp_path)


@pytest.fixture
def canary() -> Iterator[Receiver]:
    """A server on every loopback address, which nothing may connect to."""
    with receiving("0.0.0.0") as running:  # noqa: S104
        yield running


def send(settings: Settings, url: str) -> None:
    webhooks.send(settings, {"url": url, "secret": "partner"}, "d" * 32, '{"type": "report.succeeded"}')


@pytest.mark.parametrize("address", HIDDEN)
def test_addresses_that_are_not_public_are_barred(address: str, settings: Settings) -> None:
    assert not may_reach("host.example", ip_address(address), settings)
    literal = f"[{address}]" if ":" in address else address
    assert url_problem(f"https://{literal}/", settings)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_not(address: str, settings: Settings) -> None:
    assert may_reach("host.example", ip_address(address), settings)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://example.com/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "//example.com",
            "example.com",
            "",
        ),
        *(
            "https://",
            "https:///x",
            "https://example.com:0/",
            "https://example.com:99999/",
            "https://a b.com/",
        ),
        *(
            "https://ann:secret@example.com/",
            "https://example.com/#x",
            "https://exa\nmple.com/",
            "https://ex_.com:x",
        ),
        *(
            "https://example.com\\@127.0.0.1/",
            "https://[::1",
            "https://é.example/",
            "https://example.com/" + "x" * 2000,
        ),
        *(f"https://{host}/" for host in WRITTEN_OTHERWISE[:7]),
    ],
)
def test_urls_that_cannot_be_meant_are_refused_when_they_are_put(url: str, settings: Settings) -> None:
    assert url_problem(url, settings)


@pytest.mark.parametrize(
    "url", ["https://example.com", "https://hooks.example.com:8443/a/b?c=d", "https://8.8.8.8/"]
)
def test_usual_urls_are_taken(url: str, settings: Settings) -> None:
    assert url_problem(url, settings) == ""


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nothing_connects_to_loopback_however_it_is_written(
    settings: Settings, canary: Receiver, scheme: str
) -> None:
    hosts = [
        *WRITTEN_OTHERWISE,
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::]",
        "0.0.0.0",  # noqa: S104
        "169.254.169.254",
    ]
    for host in hosts:
        with pytest.raises(DeliveryError):
            send(settings, f"{scheme}://{host}:{canary.port}/")
    assert canary.connections == 0


def test_a_name_with_one_barred_address_is_barred(
    settings: Settings, canary: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(monkeypatch, [["8.8.8.8", "127.0.0.1"]])
    with pytest.raises(DeliveryError, match=r"127\.0\.0\.1, which is not public"):
        send(settings, f"https://hooks.example.com:{canary.port}/")
    assert canary.connections == 0


def resolve(monkeypatch: pytest.MonkeyPatch, answers: list[list[str]]) -> list[str]:
    """Let names be found at these addresses, at the first look-up and so on; return the names that were looked up."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_a_resolver_that_flips_is_asked_once(
    settings: Settings, canary: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving("127.0.0.2") as allowed:
        may = settings.model_copy(update={"webhook_hosts": "127.0.0.2"})
        # The name itself is not allowed, so it needs TLS, which this receiver does not speak: it is reached all the same.
        asked = resolve(monkeypatch, [["127.0.0.2"], ["127.0.0.1"]])
        with pytest.raises(DeliveryError):
            send(may, f"https://hooks.example.com:{allowed.port}/")
        assert (asked, allowed.connections) == (["hooks.example.com"], 1)
    assert canary.connections == 0


def test_the_certificate_is_judged_by_the_name_and_the_address_is_the_one_that_was_looked_up(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, trusted = certificate(tmp_path, "hooks.example.com")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    may = settings.model_copy(update={"webhook_hosts": "127.0.0.0/8"})
    resolve(monkeypatch, [["127.0.0.1"]])
    with receiving(tls=tls) as receiver:
        send(may, f"https://hooks.example.com:{receiver.port}/hook")
        assert receiver.received[0].headers["Host"] == f"hooks.example.com:{receiver.port}"
        receiver.received[0].verified()
        with pytest.raises(DeliveryError, match="CERTIFICATE_VERIFY_FAILED"):
            send(may, f"https://other.example.com:{receiver.port}/hook")
        assert len(receiver.received) == 1


def test_no_redirect_is_followed_and_no_proxy_asked(
    settings: Settings, canary: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
    may = settings.model_copy(update={"webhook_hosts": "127.0.0.2"})
    with receiving("127.0.0.2") as receiver:
        url = f"http://127.0.0.2:{receiver.port}/"
        for status in (301, 302, 303, 307, 308):
            receiver.answers.append((status, {"Location": f"http://127.0.0.1:{canary.port}/"}, b""))
            with pytest.raises(DeliveryError, match=f"answered {status}"):
                send(may, url)
        assert len(receiver.received) == 5
    assert canary.connections == 0


def test_a_receiver_that_takes_its_time_or_talks_for_ever_is_left(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "TOTAL_SECONDS", 1)
    may = settings.model_copy(update={"webhook_hosts": "127.0.0.1"})

    def drip(handler: Any) -> None:
        for letter in "HTTP/1.1 200 OK\r\n" + "X" * 1000:
            handler.wfile.write(letter.encode())
            time.sleep(0.05)

    def talk(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(10_000):
            handler.wfile.write(b"x" * 65536)

    with receiving() as receiver:
        receiver.answers += [drip, talk]
        began = time.monotonic()
        with pytest.raises(DeliveryError, match="took more than 1 s"):
            send(may, receiver.url)
        assert time.monotonic() - began < 5
        send(may, receiver.url)
