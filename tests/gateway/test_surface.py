"""What holds for every call: tokens, the one shape of errors, ids, headers, documentation."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from typing import Any

import httpx2
import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from api_gateway.main import create_app
from tests.gateway.conftest import Server, User, assert_problem

OPEN = {
    ("POST", "/api/auth/register"),
    ("POST", "/api/auth/login"),
    ("POST", "/api/auth/refresh"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/docs"),
    ("GET", "/docs/start.js"),
    ("GET", "/openapi.json"),
    ("GET", "/api/v1/functions"),
    ("GET", "/api/v1/schema/rules.json"),
    ("GET", "/api/v1/downloads/{token}"),
    ("HEAD", "/api/v1/downloads/{token}"),
    ("OPTIONS", "/api/v1/uploads"),
    ("GET", "/operators/sign-in"),
    ("POST", "/operators/sign-in"),
    ("GET", "/operators/sign-out"),
    ("POST", "/operators/sign-out"),
    ("GET", "/operators/style.css"),
    ("GET", "/operators/check"),
}
PAGES = ("/docs", "/openapi", "/operators")  # open calls that are none of the API
# Headers without which a call says first that they are missing.
NEEDED = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
CALLS = sorted(
    (method, route.path)
    for route in iter_route_contexts(create_app().routes)
    if isinstance(route.original_route, APIRoute)
    for method in route.methods
)
# They make what is not there, or need a body first.
MAKING = {
    ("POST", "/api/v1/datasets/{name}/versions"),
    ("PUT", "/api/v1/datasets/{name}/expectation"),
    ("PUT", "/api/v1/rulesets/{name}"),
    ("PUT", "/api/v1/reports/{name}"),
}
GUARDED = [call for call in CALLS if call not in OPEN]
OF_ADMINS = {"/api/v1/users/{user_id}", "/api/v1/users/{user_id}/revoke"}  # test_role_matrix.py


def _filled(path: str) -> str:
    return re.sub(r"\{\w+\}", "0" * 32, path)


def test_the_calls_of_the_contract_exist() -> None:
    assert set(CALLS) >= OPEN | {
        ("GET", "/api/auth/logout"),
        ("POST", "/api/auth/logout"),
        ("POST", "/api/upload-rules"),
        ("POST", "/api/upload-files"),
        ("POST", "/api/generate-report"),
        ("GET", "/api/download-report-view"),
        ("GET", "/api/download-report/{task_id}"),
        ("GET", "/api/task-status/{task_id}"),
        ("POST", "/api/trigger-scheduled-report"),
        ("GET", "/api/v1/runs"),
        ("GET", "/api/v1/runs/{run_id}"),
        ("GET", "/api/v1/runs/{run_id}/artifacts"),
        ("GET", "/api/v1/runs/{run_id}/checks"),
        ("GET", "/api/v1/runs/{run_id}/events"),
        ("GET", "/api/v1/runs/{run_id}/manifest"),
        ("POST", "/api/v1/runs/{run_id}/rerun"),
        ("GET", "/api/v1/runs/{run_id}/rejects"),
        ("POST", "/api/v1/runs/{run_id}/links"),
        ("POST", "/api/v1/runs/{run_id}/rejects/links"),
        ("GET", "/api/v1/schedules"),
        ("POST", "/api/v1/schedules/{schedule_id}/pause"),
        ("POST", "/api/v1/schedules/{schedule_id}/resume"),
        ("DELETE", "/api/v1/schedules/{schedule_id}"),
        ("POST", "/api/v1/datasets/{name}/versions"),
        ("PUT", "/api/v1/rulesets/{name}"),
        ("PUT", "/api/v1/reports/{name}"),
        ("POST", "/api/v1/reports/{name}/runs"),
        ("POST", "/api/v1/preview"),
    }


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_without_a_token_every_other_call_is_401(
    anybody: httpx2.Client, method: str, path: str, slash: str
) -> None:
    answer = anybody.request(method, _filled(path) + slash)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    if method == "HEAD":
        assert answer.status_code == 401
    else:
        assert_problem(answer, 401)


@pytest.mark.parametrize("path", sorted({path for _, path in CALLS}))
def test_another_method_is_405_with_the_allowed_ones(ann: User, path: str) -> None:
    answer = ann.http.request("TRACE", _filled(path))
    assert_problem(answer, 405)
    assert answer.headers["Allow"]


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/nothing/", "/api/v1/runs/x/y/z", "/%00", "/docs/assets/../../x"]
)
def test_an_unknown_path_is_404(ann: User, path: str) -> None:
    assert_problem(ann.http.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        call
        for call in GUARDED
        if "{" in call[1] and call[0] != "HEAD" and call[1] not in OF_ADMINS and call not in MAKING
    ],
)
def test_an_unknown_id_is_404(ann: User, method: str, path: str) -> None:
    for name in ("0" * 32, "x", "%00", "..%2f..", "é"):
        named = re.sub(r"\{\w+\}", name, path.replace("{version}", "1"))
        assert_problem(ann.http.request(method, named, headers=NEEDED if "upload" in path else {}), 404)


def test_a_clients_request_id_is_kept_and_a_bad_one_replaced(anybody: httpx2.Client) -> None:
    kept = anybody.get("/healthz", headers={"X-Request-Id": "my.id-1_2"})
    assert kept.headers["X-Request-Id"] == "my.id-1_2"
    replaced = anybody.get("/healthz", headers={"X-Request-Id": "a b\t" + "x" * 100})
    assert re.fullmatch(r"[0-9a-f]{32}", replaced.headers["X-Request-Id"])


@pytest.mark.parametrize(
    "path", ["/healthz", "/nothing", "/docs", "/openapi.json", "/docs/assets/swagger-ui.css"]
)
def test_every_answer_has_safe_headers(anybody: httpx2.Client, path: str) -> None:
    headers = anybody.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "Content-Security-Policy" in headers
    assert "X-Request-Id" in headers


def test_log_lines_carry_the_request_id_and_no_line_breaks(
    anybody: httpx2.Client, logged: io.StringIO
) -> None:
    anybody.get("/no%0Asuch", headers={"X-Request-Id": "findme-1"})
    (line,) = [line for line in logged.getvalue().splitlines() if "findme-1" in line]
    assert "404" in line
    assert "\\x0a" in line


def test_not_ready_names_each_server_that_is_away(anybody: httpx2.Client) -> None:
    answer = anybody.get("/readyz")
    body = assert_problem(answer, 503)
    assert {problem["path"] for problem in body["errors"]} == {"broker", "dagster", "worker"}
    assert answer.headers["Retry-After"]
    assert "127.0.0.1" not in answer.text


def test_alive(anybody: httpx2.Client) -> None:
    assert anybody.get("/healthz/").json() == {"status": "ok"}


def test_the_document_shows_problems_and_422_for_keys_alone(anybody: httpx2.Client) -> None:
    document = anybody.get("/openapi.json").json()
    assert document == json.loads(json.dumps(create_app().openapi()))
    operations = {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    with_key = {
        name
        for name, operation in operations.items()
        if "Idempotency-Key" in [parameter["name"] for parameter in operation.get("parameters", ())]
    }
    assert {name for name, operation in operations.items() if "422" in operation["responses"]} == with_key
    assert "HTTPValidationError" not in document["components"]["schemas"]
    problems = {
        media
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if int(status) >= 400 and status != "409"
        for media in answer["content"]
    }
    assert problems == {"application/problem+json"}
    ids = [operation["operationId"] for operation in operations.values()]
    assert len(ids) == len(set(ids))


def test_the_document_says_which_calls_need_a_token(anybody: httpx2.Client) -> None:
    paths = anybody.get("/openapi.json").json()["paths"]
    open_calls = {
        (method.upper(), path)
        for path, methods in paths.items()
        for method, operation in methods.items()
        if not operation.get("security")
    }
    shown = {call for call in OPEN if call[0] != "HEAD" and not call[1].startswith(PAGES)}
    assert open_calls == shown


FORMS = [
    pytest.param(path, body["content"]["multipart/form-data"], id=path)
    for path, methods in create_app().openapi()["paths"].items()
    for operation in methods.values()
    if "multipart/form-data" in (body := operation.get("requestBody", {"content": {}}))["content"]
]


@pytest.mark.parametrize(("path", "form"), FORMS)
def test_what_the_document_shows_of_a_form_is_taken(ann: User, path: str, form: dict[str, Any]) -> None:
    parts = {
        name: (f"{name}.yaml" if "version: 1" in shown else f"{name}.csv", shown.encode())
        if form["schema"]["properties"][name].get("format") == "binary"
        else (None, shown.encode())
        for name, shown in form["example"].items()
    }
    answer = ann.http.post(path.replace("{name}", "trades"), files=parts)
    assert answer.is_success, answer.text


def test_the_documentation_page_asks_no_other_host(anybody: httpx2.Client) -> None:
    page = anybody.get("/docs/")
    assert page.status_code == 200
    wanted = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(wanted) == 4
    assert all(re.match(r"/[^/]", path) for path in wanted)
    for path in wanted:
        answer = anybody.get(path)
        assert answer.status_code == 200, path
        assert len(answer.content) > 50
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert "//" not in anybody.get("/docs/start.js").text
    assert "url(http" not in anybody.get("/docs/assets/swagger-ui.css").text


def test_the_gateway_loads_no_engine_and_no_dagster(server: Server) -> None:
    script = """
import sys
from starlette.testclient import TestClient
from api_gateway.main import create_app
with TestClient(create_app()) as client:
    body = {"email": "modules@example.com", "name": "M", "password": "pass123"}
    access = client.post("/api/auth/register/", json=body).json()["access"]
    client.headers["Authorization"] = f"Bearer {access}"
    rules = {"file": ("r.json", b'[{"output": "a", "formula": "b"}]')}
    assert client.post("/api/upload-rules/", files=rules).status_code == 200
    files = {"input": ("i.csv", b"k,b\\n1,2\\n"), "reference": ("r.csv", b"k,c\\n1,2\\n")}
    assert client.post("/api/upload-files/", files=files).status_code == 200
    assert client.post("/api/generate-report/").status_code == 202
    for name in ("input", "reference"):
        assert client.post(f"/api/v1/datasets/{name}/versions", files={"file": files[name]}).status_code == 201
    text = {"Content-Type": "application/json"}
    rules = b'[{"output": "a", "formula": "b"}]'
    assert client.put("/api/v1/rulesets/r", content=rules, headers=text).status_code == 201
    assert client.get("/api/v1/rulesets/r/explain").status_code == 200
    report = {"ruleset": {"name": "r"}, "inputs": {name: {"dataset": name} for name in files}}
    assert client.put("/api/v1/reports/p", json=report).status_code == 201
    assert client.post("/api/v1/preview", json=report).status_code == 200
    client.get("/readyz")
heavy = {"duckdb", "pandas", "polars", "pandera", "pyarrow", "dagster", "dagster_celery", "numpy"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=server.settings.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "[]", done.stderr
