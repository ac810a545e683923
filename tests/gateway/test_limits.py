"""Requests that would cost more than they should: many ranges, bodies that claim to be something else, pages that run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import httpx2
import pytest

from tests.gateway.conftest import User, assert_problem

RANGES = "bytes=" + ",".join(f"{start}-" for start in range(100, 2000))[:8186]
LONGEST_SECONDS = 0.05


def _quickest(client: httpx2.Client, path: str) -> tuple[httpx2.Response, float]:
    """An answer, and the least processor time that one of five took, of gateway and client: the machine may be busy."""
    taken = []
    for _ in range(5):
        began = time.process_time()
        answer = client.get(path, headers={"Range": RANGES})
        taken.append(time.process_time() - began)
    return answer, min(taken)


def test_a_report_asked_for_in_two_thousand_parts_is_sent_whole(
    ann: User, finish: Callable[..., None]
) -> None:
    ann.upload()
    task = ann.generate()
    finish(task, report=b"double,name\n" * 10_000)
    assert RANGES.count(",") > 1500
    answer, seconds = _quickest(ann.http, f"/api/download-report/{task}/")
    assert (answer.status_code, len(answer.content)) == (200, 120_000)
    assert seconds < LONGEST_SECONDS


def test_so_is_a_file_of_the_documentation(anybody: httpx2.Client) -> None:
    answer, seconds = _quickest(anybody, "/docs/assets/swagger-ui.css")
    assert answer.status_code == 200
    assert seconds < LONGEST_SECONDS


def test_a_page_is_a_sandboxed_attachment(ann: User, finish: Callable[..., None]) -> None:
    ann.upload()
    task = ann.generate()
    finish(task, html=b"<script>alert(1)</script>")
    answer = ann.http.get(f"/api/download-report/{task}/", params={"format": "html"})
    assert answer.status_code == 200
    assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "media_type", ["multipart/form-data; boundary=b", "text/plain", "application/octet-stream"]
)
@pytest.mark.parametrize("path", ["/api/auth/register", "/api/auth/login", "/api/auth/refresh"])
def test_a_body_is_bounded_whatever_it_claims_to_be(
    anybody: httpx2.Client, path: str, media_type: str
) -> None:
    answer = anybody.post(path, content=b"x" * 200_000, headers={"Content-Type": media_type})
    assert_problem(answer, 413, "65,536")


def test_a_definition_may_have_all_that_its_schema_allows_and_no_more_than_1_mib(ann: User) -> None:
    parameters = {f"parameter_{number}": "x" * 200 for number in range(1000)}
    body = {"ruleset": {"name": "none"}, "inputs": {"input": {"dataset": "none"}}, "parameters": parameters}
    assert_problem(ann.http.put("/api/v1/reports/large", json=body), 404, "ruleset")
    too_large = json.dumps({**body, "parameters": {"text": "x" * 1024**2}})
    json_type = {"Content-Type": "application/json"}
    answer = ann.http.put("/api/v1/reports/large", content=too_large, headers=json_type)
    assert_problem(answer, 413, "1,048,576")


@pytest.mark.parametrize("method", ["OPTIONS", "GET"])
def test_pages_of_other_origins_are_not_let_in(ann: User, method: str) -> None:
    headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
    answer = ann.http.request(method, "/api/v1/runs", headers=headers)
    assert [name for name in answer.headers if name.lower().startswith("access-control-")] == []
