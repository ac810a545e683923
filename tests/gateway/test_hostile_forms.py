"""Forms as nobody's client makes them: too much around the parts, too many, names that mean to lead elsewhere."""

from __future__ import annotations

import hashlib
import time

import httpx2
import pytest

from tests.gateway.conftest import INPUT, Server, User, assert_problem

BOUNDARY = "a-boundary"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
MEGABYTE = b"x" * 1_000_000
END = f"--{BOUNDARY}--\r\n".encode()


def _part(disposition: str, data: bytes = INPUT) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    return head.encode() + data + b"\r\n"


FILE = _part('name="input"; filename="i.csv"')


def _send(user: User, content, path: str = "/api/upload-files/") -> httpx2.Response:
    return user.http.post(path, content=content, headers={"Content-Type": MULTIPART})


def _endless(first: bytes, piece: bytes):
    """A body in chunks that is much longer than what may be read of it."""
    yield first
    for _ in range(50):
        yield piece


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (b"", MEGABYTE),
        (b"", b"\r\n" * 500_000),
        (FILE + END, MEGABYTE),
        (FILE + END, b"\r\n" * 500_000),
        (_part('name="cron"', b"")[:-2], MEGABYTE),
        (_part('name="rules_file"; filename="r.yaml"', b"")[:-2], MEGABYTE),
        (f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=".encode(), MEGABYTE),
        (f"--{BOUNDARY}\r\n".encode(), b"A: b\r\n" * 100_000),
        (f"--{BOUNDARY}".encode(), b" " * 1_000_000),
        (b"", FILE.replace(b'"input"', b'"other"') * 10_000),
    ],
    ids=[
        "preamble", "empty lines before", "epilogue", "empty lines behind", "field", "rules", "long header", "many headers",
        "padding", "10,000 parts",
    ],
)  # fmt: skip
def test_what_goes_on_for_ever_ends_at_once(server: Server, ann: User, first: bytes, piece: bytes) -> None:
    before = server.files()
    began = time.monotonic()
    try:
        answer = _send(ann, _endless(first, piece), "/api/trigger-scheduled-report/")
        assert answer.status_code in (400, 413), answer.text
    except httpx2.NetworkError:
        pass  # the gateway answered and hung up while we were still sending
    assert time.monotonic() - began < 5
    assert server.files() == before
    assert ann.http.get("/healthz").status_code == 200


@pytest.mark.parametrize("content", [b" " * 5_000_000, FILE + END + b"x" * 3_000_000])
def test_too_much_around_the_parts_is_told(ann: User, content: bytes) -> None:
    assert_problem(_send(ann, content), 400)


@pytest.mark.parametrize(
    "disposition",
    [
        "name=\"input\"; filename*=utf-8''..%2f..%2fetc%2fpasswd",
        'name="input"; filename="i.csv"; filename*=utf-8\'\'other.csv',
        'name="input"; filename="i.csv"; filename*0="o"; filename*1="ther.csv"',
        'name="input"; name*=utf-8\'\'reference; filename="i.csv"',
        'name="input"; filename="..\\..\\i.csv"',
        'name="input"; filename="/etc/../i.csv"',
        'name="input"; filename="..%2f..%2fi.csv"',
        'name="input"; filename="CON"',
        'name="input"; filename=".htaccess"',
    ],
)
def test_a_name_leads_nowhere_and_means_nothing_else(server: Server, ann: User, disposition: str) -> None:
    answer = _send(ann, _part(disposition) + END)
    assert answer.status_code == 200, answer.text
    kept = answer.json()["input"]
    assert kept["dataset"] == "default-input"
    assert "/" not in kept["filename"]
    assert "other" not in kept["filename"]
    assert answer.json()["reference"] is None
    assert server.context.store.verify(hashlib.sha256(INPUT).hexdigest())


def test_a_large_body_for_a_call_that_takes_none_is_refused(anybody: httpx2.Client) -> None:
    """Whatever it says it is: only a call that reads piece by piece takes more than a little."""
    for media_type in (MULTIPART, "application/offset+octet-stream", "application/json"):
        answer = anybody.post(
            "/api/auth/login/", content=b" " * 200_000, headers={"Content-Type": media_type}
        )
        assert_problem(answer, 413)
