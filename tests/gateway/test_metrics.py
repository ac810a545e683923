"""What Prometheus is told is what happened, and only admins are told."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from api_gateway.metrics.described import METRICS
from tests.gateway.conftest import Server, User, assert_problem, claim_run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def admin(server: Server, ann: User) -> User:
    with server.context.catalog.transaction() as session:
        session.execute(text("UPDATE users SET role = 'admin' WHERE id = :id"), {"id": ann.id})
    return ann


def told(admin: User) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = admin.http.get("/metrics")
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def more(
    before: dict[tuple[str, frozenset[tuple[str, str]]], float],
    after: dict[tuple[str, frozenset[tuple[str, str]]], float],
    name: str,
    **labels: str,
) -> float:
    key = (name, frozenset(labels.items()))
    return after.get(key, 0.0) - before.get(key, 0.0)


def test_metrics_are_for_admins(anybody: httpx2.Client, bob: User) -> None:
    assert_problem(anybody.get("/metrics"), 401)
    assert_problem(bob.http.get("/metrics"), 403, "admin")


def test_requests_are_counted_by_call_not_by_path(admin: User) -> None:
    before = told(admin)
    for _ in range(2):
        admin.http.get(f"/api/task-status/{uuid4().hex}/")
    admin.http.get("/no/such/call")
    after = told(admin)
    route = "/api/task-status/{task_id}"
    requests = "reportgen_gateway_requests_total"
    assert more(before, after, requests, route=route, method="GET", status="404") == 2
    assert more(before, after, requests, route="", method="GET", status="404") == 1
    assert more(before, after, "reportgen_gateway_request_seconds_count", route=route, method="GET") == 2
    assert not any("no/such" in str(key) for key in after)


def test_uploads_and_refused_sign_ins_are_counted(admin: User, anybody: httpx2.Client) -> None:
    before = told(admin)
    admin.upload()
    admin.http.post("/api/upload-files/", files={"input": ("x.csv", b"\0\1\2")})
    anybody.post("/api/auth/login/", json={"email": admin.email, "password": "wrong-one"})
    after = told(admin)
    assert more(before, after, "reportgen_gateway_uploads_total", outcome="stored") == 2
    assert more(before, after, "reportgen_gateway_uploads_total", outcome="refused") == 1
    assert more(before, after, "reportgen_gateway_upload_bytes_total") > 50
    assert more(before, after, "reportgen_gateway_sign_ins_refused_total", status="401") == 1


def test_runs_are_those_of_the_catalog(server: Server, admin: User, finish) -> None:
    admin.upload()
    before = told(admin)
    waiting, running, done = (admin.generate() for _ in range(3))
    claim_run(server.context, running)
    finish(done, report=b"a\n1\n2\n", rejects=b"r\n1\n")
    after = told(admin)
    for state in ("accepted", "running"):
        assert more(before, after, "reportgen_runs", state=state) == 1
    assert more(before, after, "reportgen_runs_last_hour", state="succeeded") == 1
    assert more(before, after, "reportgen_report_rows_last_hour") == 2
    assert more(before, after, "reportgen_rejected_rows_last_hour") == 1
    assert after["reportgen_leases", frozenset({("life", "live")})] >= 2, (
        "those of other tests may end meanwhile"
    )
    assert after["reportgen_queue_oldest_seconds", frozenset()] > 0
    slots = {use: after["reportgen_worker_slots", frozenset({("use", use)})] for use in ("used", "free")}
    assert slots["used"] >= 1
    assert after["reportgen_gateway_database_connections", frozenset({("use", "most")})] == 20
    assert waiting


def test_what_is_told_is_what_is_described(admin: User) -> None:
    admin.upload()
    answer = admin.http.get("/metrics")
    names = set(re.findall(r"^# TYPE (reportgen_\S+) ", answer.text, re.MULTILINE))
    created = {f"{metric.name.removesuffix('_total')}_created" for metric in METRICS}
    assert names - created == {metric.name for metric in METRICS}
    assert answer.headers["Content-Type"].startswith("text/plain")
    openmetrics = admin.http.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert openmetrics.text.endswith("# EOF\n")


def test_the_examples_of_alerts_name_metrics_that_there_are() -> None:
    guide = (ROOT / "docs" / "operating.md").read_text()
    used = set(re.findall(r"\breportgen_[a-z_]+", "\n".join(re.findall(r"expr: (.*)", guide))))
    assert used
    assert used <= {name for metric in METRICS for name in (metric.name, f"{metric.name}_bucket")}
