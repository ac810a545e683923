"""The door of a production installation: Caddy as deployed, the real gateway and Dagster's real webserver behind it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx2
import psutil
import psycopg
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from api_gateway.operators.router import COOKIE
from tests.e2e.browsing import shows
from tests.edge import Edge, caddy
from tests.stack import Stack

PASSWORD = "pass123"
PAGE = {"Accept": "text/html"}
QUERY = {"query": "{ version }"}
MUTATION = {
    "query": 'mutation { logTelemetry(action: "a", clientTime: "1", clientId: "c", metadata: "{}") { __typename } }'
}
SUBSCRIPTION = 'subscription { pipelineRunLogs(runId: "none") { __typename } }'


@pytest.fixture(scope="module")
def edge(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    folder = tmp_path_factory.mktemp("caddy")
    with caddy(folder, gateway=stack.url, webserver=stack.dagster_url) as running:
        yield running


@pytest.fixture
def anybody(edge: Edge) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=edge.url, verify=edge.trust, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def make_account(stack: Stack, edge: Edge) -> Callable[[str], str]:
    def make_account(role: str) -> str:
        email = f"{uuid4().hex}@example.com"
        account = {"email": email, "name": "Olga", "password": PASSWORD}
        # Whoever forges where he comes from is seen where he is.
        forged = {
            "X-Forwarded-For": "203.0.113.9",
            "X-Real-IP": "203.0.113.9",
            "Forwarded": "for=203.0.113.9",
        }
        made = httpx2.post(f"{edge.url}/api/auth/register", json=account, headers=forged, verify=edge.trust)
        assert made.status_code == 201, made.text
        with psycopg.connect(stack.database_url, autocommit=True) as connection:
            connection.execute("UPDATE users SET role = %s WHERE email = %s", (role, email))
            (address,) = connection.execute(
                "SELECT address FROM sessions WHERE user_id = %s", (made.json()["user"]["id"],)
            ).fetchone() or ("",)
        assert address in ("127.0.0.1", "::1")
        return email

    return make_account


@pytest.fixture(scope="module")
def admin(make_account: Callable[[str], str]) -> str:
    return make_account("admin")


@pytest.fixture
def operator(anybody: httpx2.Client, admin: str) -> httpx2.Client:
    """Somebody with a browser who has signed in."""
    answer = _sign_in(anybody, admin)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/dagster")
    return anybody


def _sign_in(client: httpx2.Client, email: str) -> httpx2.Response:
    return client.post("/operators/sign-in", data={"email": email, "password": PASSWORD, "next": "/dagster"})


def _token(client: httpx2.Client) -> str:
    token = client.cookies.get(COOKIE)
    assert token
    return token


@pytest.mark.parametrize("path", ["/dagster", "/dagster/", "/dagster/runs?view=a", "/dagster/graphql"])
def test_without_signing_in_a_page_leads_to_the_sign_in(anybody: httpx2.Client, path: str) -> None:
    forged = {"X-Forwarded-Uri": "https://elsewhere.example/", "X-Forwarded-Host": "elsewhere.example"}
    answer = anybody.get(path, headers=PAGE | forged)
    assert answer.status_code == 303
    page = anybody.get(answer.headers["Location"])
    assert f'name="next" value="{path}"' in page.text
    assert "elsewhere" not in page.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/dagster/graphql"),
        ("GET", "/dagster/server_info"),
        ("GET", "/x/../dagster/graphql?query={version}"),
        ("GET", "//dagster//graphql?query={version}"),
        ("GET", "/%64agster/graphql?query={version}"),
        ("POST", "/dagster/report_asset_materialization/x"),
        ("PUT", "/DAGSTER/graphql"),
    ],
)
def test_without_signing_in_nothing_of_dagster_answers(edge: Edge, method: str, path: str) -> None:
    forged = "X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /\r\nX-Forwarded-User: admin"
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{forged}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    status, body = _raw(edge, head.encode())
    assert status in (401, 404)
    assert b'"data"' not in body
    assert b"dagster_version" not in body


def _raw(edge: Edge, request: bytes) -> tuple[int, bytes]:
    """Send bytes as they are, for clients put paths in order."""
    with (
        socket.create_connection(("127.0.0.1", edge.port), 10) as opened,
        edge.trust.wrap_socket(opened, server_hostname="localhost") as sealed,
    ):
        sealed.sendall(request)
        received = b""
        while piece := sealed.recv(65536):
            received += piece
    return int(received.split(b" ", 2)[1]), received


def test_without_signing_in_no_websocket_opens(edge: Edge) -> None:
    address = f"wss://localhost:{edge.port}/dagster/graphql"
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(address, ssl=edge.trust, subprotocols=["graphql-ws"]),
    ):
        pass
    assert refused.value.response.status_code == 401


def test_who_is_no_admin_is_told_so(anybody: httpx2.Client, make_account: Callable[[str], str]) -> None:
    answer = _sign_in(anybody, make_account("user"))
    assert answer.status_code == 403
    assert "for admins" in answer.text
    assert anybody.post("/dagster/graphql", json=QUERY).status_code == 401


def test_an_operator_has_the_ui_its_questions_and_its_changes(operator: httpx2.Client) -> None:
    page = operator.get("/dagster/runs", headers=PAGE)
    assert page.status_code == 200
    assert "/dagster" in page.text
    assert page.headers["X-Frame-Options"] == "DENY"
    assert operator.post("/dagster/graphql", json=QUERY).json()["data"]["version"]
    changed = operator.post("/dagster/graphql", json=MUTATION).json()
    assert changed["data"]["logTelemetry"]["__typename"] == "LogTelemetrySuccess"
    for foreign in ({"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "same-site"}):
        assert operator.post("/dagster/graphql", json=MUTATION, headers=foreign).status_code == 401


def test_an_operators_websocket_carries_subscriptions(operator: httpx2.Client, edge: Edge) -> None:
    cookie = {"Cookie": f"{COOKIE}={_token(operator)}"}
    address = f"wss://localhost:{edge.port}/dagster/graphql"
    with connect(
        address, ssl=edge.trust, subprotocols=["graphql-ws"], additional_headers=cookie, origin=edge.url
    ) as opened:
        opened.send(json.dumps({"type": "connection_init", "payload": {}}))
        assert json.loads(opened.recv(10))["type"] == "connection_ack"
        opened.send(json.dumps({"id": "1", "type": "start", "payload": {"query": SUBSCRIPTION}}))
        message = json.loads(opened.recv(10))
        while message["type"] == "ka":
            message = json.loads(opened.recv(10))
        kind = message["payload"]["data"]["pipelineRunLogs"]["__typename"]
        assert kind == "PipelineRunLogsSubscriptionFailure"
    # The connection that asked the gateway is still good for others.
    assert operator.post("/dagster/graphql", json=QUERY).status_code == 200


def test_signing_out_ends_it(operator: httpx2.Client) -> None:
    cookie = {"Cookie": f"{COOKIE}={_token(operator)}"}
    assert "You are signed in as" in operator.get("/dagster/sign-out").text
    answer = operator.post("/dagster/sign-out")
    assert answer.headers["Location"].startswith("/operators/sign-in")
    assert operator.cookies.get(COOKIE) is None
    assert operator.post("/dagster/graphql", json=QUERY, headers=cookie).status_code == 401


def test_the_cookie_is_good_for_nothing_else(operator: httpx2.Client, stack: Stack) -> None:
    token = _token(operator)
    for url in ("", stack.url):
        answer = operator.get(f"{url}/api/v1/runs", headers={"Cookie": f"{COOKIE}={token}"})
        assert answer.status_code == 401
        answer = operator.get(f"{url}/api/v1/runs", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/operators/check", "/operators/check/", "/metrics", "/readyz/", "/ReadyZ"])
def test_what_only_neighbours_may_ask_is_not_there(operator: httpx2.Client, path: str) -> None:
    headers = {"Cookie": f"{COOKIE}={_token(operator)}", "X-Forwarded-Uri": "/dagster"}
    answer = operator.get(path, headers=headers)
    assert (answer.status_code, answer.content) == (404, b"")


def test_all_else_is_the_gateways(anybody: httpx2.Client, admin: str, edge: Edge) -> None:
    login = anybody.post("/api/auth/login/", json={"email": admin, "password": PASSWORD})
    anybody.headers["Authorization"] = f"Bearer {login.json()['access']}"
    rows = b"refkey1,field1\n" + b"".join(b"k%d,%d\n" % (number, number) for number in range(300_000))
    sent = anybody.post("/api/upload-files/", files={"input": ("input.csv", rows)})
    assert sent.status_code == 200, sent.text
    assert anybody.get("/healthz").json() == {"status": "ok"}
    assert anybody.get("/docs").status_code == 200
    assert "Server" not in sent.headers
    assert anybody.get("/healthz", headers={"X": "a" * 30_000}).status_code == 431
    assert login.json()["access"] not in edge.log.read_text()


def test_a_person_signs_in_sees_dagster_and_signs_out(edge: Edge, admin: str, browser: WebDriver) -> None:
    browser.get(f"{edge.url}/dagster/overview/activity")
    assert shows(browser, "Sign in to the Dagster UI")
    browser.find_element(By.NAME, "email").send_keys(admin)
    browser.find_element(By.NAME, "password").send_keys("wrong")
    browser.find_element(By.TAG_NAME, "button").click()
    assert shows(browser, "E-mail or password is wrong.")
    browser.find_element(By.NAME, "password").send_keys(PASSWORD)
    browser.find_element(By.TAG_NAME, "button").click()
    assert shows(browser, "Runs", "Catalog")
    assert browser.current_url.startswith(f"{edge.url}/dagster/")
    assert browser.execute_script("return document.cookie") == ""
    browser.get(f"{edge.url}/dagster/sign-out")
    browser.find_element(By.TAG_NAME, "button").click()
    assert shows(browser, "Sign in to the Dagster UI")
    browser.get(f"{edge.url}/dagster/runs")
    assert shows(browser, "Sign in to the Dagster UI")
    refused = [entry["message"] for entry in browser.get_log("browser") if entry["source"] == "security"]
    assert refused == []


def test_no_server_of_the_service_listens_beyond_this_machine(stack: Stack) -> None:
    ids = [int(told.split()[0]) for told in stack.processes()]
    listening = {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in ids
        for connection in _connections(process)
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def _connections(process: int) -> list[Any]:
    try:
        return psutil.Process(process).net_connections("inet")
    except psutil.NoSuchProcess:  # of those that make reports some come and go
        return []
