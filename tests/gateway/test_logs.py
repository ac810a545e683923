"""What the gateway logs names the request and the user, and neither secrets nor people's data."""

from __future__ import annotations

import io
import re

import httpx2
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import exc, text

from reportgen_dagster import tracing
from tests.gateway.conftest import Server, User

CANARY = "canary-0b7e55"


def test_each_request_has_a_line_with_its_id_and_user(ann: User, logged: io.StringIO) -> None:
    ann.http.get("/api/v1/runs", headers={"X-Request-Id": "mine-1"})
    (line,) = [line for line in logged.getvalue().splitlines() if "[mine-1]" in line]
    assert re.search(rf"GET /api/v1/runs 200 [\d.]+ ms user_id={ann.id}$", line)


def test_no_line_has_a_secret_or_data(ann: User, anybody: httpx2.Client, finish, logged: io.StringIO) -> None:
    email = f"{CANARY}@example.com"
    for path, body in (
        ("register", {"email": email, "name": CANARY, "password": CANARY}),
        ("login", {"email": email, "password": f"{CANARY}-wrong"}),
        ("login", {"email": email, "password": CANARY}),
        ("refresh", {"refresh": CANARY}),
    ):
        anybody.post(f"/api/auth/{path}/", json=body)
    anybody.get("/api/v1/runs", headers={"Authorization": f"Bearer {CANARY}"})
    anybody.get(f"/api/v1/downloads/{CANARY}")
    anybody.get("/api/v1/runs", params={"token": CANARY})
    ann.upload(
        input=f"refkey1,field1\n{CANARY},1\n".encode(),
        reference=f"refkey1,refdata1\n{CANARY},{CANARY}\n".encode(),
    )
    finish(ann.generate(), report=f"name\n{CANARY}\n".encode(), rejects=f"_line\n{CANARY}\n".encode())
    ann.http.post(
        "/api/upload-rules/", files={"file": ("rules.yaml", f"- {{formula: {CANARY}(1)}}".encode())}
    )
    told = logged.getvalue()
    assert "POST /api/auth/login 401" in told
    assert CANARY not in told
    assert ann.session["access"] not in told
    assert ann.session["refresh"] not in told


def test_a_request_is_a_span_named_by_its_call(ann: User, logged: io.StringIO) -> None:
    exporter = InMemorySpanExporter()
    tracing.start("test", exporter)
    try:
        ann.http.get(f"/api/task-status/{CANARY}/", headers={"X-Request-Id": "traced-1"})
    finally:
        tracing.stop()
    (span,) = exporter.get_finished_spans()
    assert span.name == "GET /api/task-status/{task_id}"
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == 404
    assert CANARY not in str(span.to_json())
    (line,) = [line for line in logged.getvalue().splitlines() if "[traced-1]" in line]
    assert f"trace_id={span.context.trace_id:032x}" in line


def test_a_failing_statement_does_not_tell_what_it_was_given(server: Server) -> None:
    with (
        pytest.raises(exc.DBAPIError) as failed,
        server.context.catalog.transaction() as session,
    ):
        session.execute(text("SELECT CAST(:given AS integer) FROM nowhere"), {"given": CANARY})
    assert CANARY not in str(failed.value)
