"""Operators sign in to the Dagster UI: who may, what the cookie is good for, and what a proxy is told."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import httpx2
import jwt
import pytest
from sqlalchemy import update

from api_gateway.operators.requests import way_back
from api_gateway.operators.router import COOKIE
from reportgen_dagster.catalog.tables import Session, User
from tests.gateway.conftest import Server, assert_problem
from tests.gateway.conftest import User as Somebody

PAGE = {"Accept": "text/html", "X-Forwarded-Method": "GET"}
UI = "/dagster/assets?view=list"


@pytest.fixture
def set_role(server: Server) -> Callable[[Somebody, str], None]:
    def set_role(user: Somebody, role: str) -> None:
        with server.context.catalog.transaction() as transaction:
            transaction.execute(update(User).where(User.id == user.id).values(role=role))

    return set_role


@pytest.fixture
def admin(ann: Somebody, set_role: Callable[[Somebody, str], None]) -> Somebody:
    set_role(ann, "admin")
    return ann


@pytest.fixture
def browser(server: Server) -> Iterator[httpx2.Client]:
    """Somebody with a browser, who keeps no cookies by himself."""
    with httpx2.Client(base_url=server.url, timeout=30, headers={"Origin": server.url}) as client:
        yield client


def _sign_in(browser: httpx2.Client, user: Somebody, **changed: str) -> httpx2.Response:
    form = {"email": user.email, "password": "pass123", "next": UI, **changed}
    return browser.post("/operators/sign-in", data=form)


def _token(answer: httpx2.Response) -> str:
    assert answer.status_code == 303, answer.text
    found = re.match(rf"{COOKIE}=([^;]+);", answer.headers["Set-Cookie"])
    assert found
    return found[1]


def _check(browser: httpx2.Client, token: str = "", **headers: str) -> httpx2.Response:
    told = {"X-Forwarded-Method": "POST", "X-Forwarded-Uri": UI, **headers}
    if token:
        told["Cookie"] = f"other=1; {COOKIE}={token}"
    return browser.get("/operators/check", headers=httpx2.Headers(told, encoding="utf-8"))


def test_an_admin_gets_a_cookie_for_the_ui_alone_and_goes_on(browser: httpx2.Client, admin: Somebody) -> None:
    answer = _sign_in(browser, admin)
    assert (answer.status_code, answer.headers["Location"]) == (303, UI)
    attributes = {part.strip().lower() for part in answer.headers["Set-Cookie"].split(";")[1:]}
    assert attributes == {"httponly", "secure", "samesite=strict", "path=/dagster", "max-age=43200"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert _check(browser, _token(answer)).status_code == 204


@pytest.mark.parametrize(
    "changed", [{"password": "wrong"}, {"email": "nobody@example.com"}, {"password": ""}]
)
def test_wrong_passwords_are_told_on_the_page(
    browser: httpx2.Client, admin: Somebody, changed: dict[str, str]
) -> None:
    answer = _sign_in(browser, admin, **changed)
    assert answer.status_code == 401
    assert 'role="alert">E-mail or password is wrong.' in answer.text
    assert "Set-Cookie" not in answer.headers
    assert "pass123" not in answer.text


def test_who_is_no_admin_is_told_so_and_keeps_no_session(
    server: Server, browser: httpx2.Client, bob: Somebody
) -> None:
    answer = _sign_in(browser, bob)
    assert answer.status_code == 403
    assert "for admins" in answer.text
    assert "Set-Cookie" not in answer.headers
    with server.context.catalog.transaction() as transaction:
        live = transaction.query(Session).filter_by(user_id=bob.id, revoked_at=None).count()
    assert live == 1, "the one that bob registered with"


def test_the_page_escapes_what_was_typed_and_runs_nothing(browser: httpx2.Client) -> None:
    page = browser.get("/operators/sign-in", params={"next": '/dagster/"><script>'})
    assert page.status_code == 200
    assert "<script" not in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert re.findall(r'(?:src|href)="([^"]+)"', page.text) == ["/operators/style.css", "data:,", "/dagster"]
    style = browser.get("/operators/style.css")
    assert style.headers["Content-Type"].startswith("text/css")
    assert "prefers-color-scheme: dark" in style.text
    labels = re.findall(r'<label for="(\w+)"', page.text)
    assert set(labels) <= set(re.findall(r'<input id="(\w+)"', page.text))
    typed = browser.post("/operators/sign-in", data={"email": '"><b>', "password": "x"})
    assert "<b>" not in typed.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://[::1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/operators/sign-in", "/operators/sign-out"])
def test_forms_of_other_origins_are_refused(
    browser: httpx2.Client, admin: Somebody, path: str, headers: dict[str, str]
) -> None:
    form = {"email": admin.email, "password": "pass123"}
    answer = browser.post(path, data=form, headers=headers)
    assert_problem(answer, 403, "another origin")
    assert "Set-Cookie" not in answer.headers


def test_a_form_of_another_kind_is_refused(browser: httpx2.Client) -> None:
    files = {"email": ("x", b"a" * 1000)}
    assert_problem(browser.post("/operators/sign-in", files=files), 415)
    many = "&".join(f"f{number}=1" for number in range(100))
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert browser.post("/operators/sign-in", content=many, headers=headers).status_code == 401
    assert_problem(browser.post("/operators/sign-in", content="x" * 100_000, headers=headers), 413)


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE", ""])
def test_without_a_cookie_pages_lead_to_the_sign_in_and_all_else_is_401(
    browser: httpx2.Client, method: str
) -> None:
    page = _check(browser, **PAGE)
    assert (page.status_code, page.headers["Location"]) == (
        303,
        "/operators/sign-in?next=/dagster/assets%3Fview%3Dlist",
    )
    assert 'value="/dagster/assets?view=list"' in browser.get(page.headers["Location"]).text
    assert_problem(_check(browser, **{"X-Forwarded-Method": method, "Accept": "application/json"}), 401)


def test_the_cookie_counts_only_in_requests_of_our_own_pages(browser: httpx2.Client, admin: Somebody) -> None:
    token = _token(_sign_in(browser, admin))
    assert_problem(_check(browser, token, Origin="https://elsewhere.example"), 401)
    assert_problem(_check(browser, token, **{"Sec-Fetch-Site": "same-site"}), 401)
    assert _check(browser, token, **{"Sec-Fetch-Site": "same-site"}, **PAGE).status_code == 303
    assert _check(browser, token, **{"Sec-Fetch-Site": "same-origin"}).status_code == 204


def test_it_ends_with_signing_out_which_may_be_repeated(browser: httpx2.Client, admin: Somebody) -> None:
    token = _token(_sign_in(browser, admin))
    cookie = {"Cookie": f"{COOKIE}={token}"}
    assert admin.email in browser.get("/operators/sign-out", headers=cookie).text
    for _ in range(2):
        answer = browser.post("/operators/sign-out", headers=cookie)
        assert answer.headers["Location"].startswith("/operators/sign-in")
        assert re.match(rf'{COOKIE}="";.*Max-Age=0.*Path=/dagster', answer.headers["Set-Cookie"])
    assert_problem(_check(browser, token), 401)
    assert browser.get("/operators/sign-out", headers=cookie).status_code == 303


def test_it_ends_with_the_role_and_with_its_session(
    server: Server, browser: httpx2.Client, admin: Somebody, set_role: Callable[[Somebody, str], None]
) -> None:
    token = _token(_sign_in(browser, admin))
    set_role(admin, "user")
    assert_problem(_check(browser, token), 401)
    set_role(admin, "admin")
    assert _check(browser, token).status_code == 204
    session_id = jwt.decode(token, options={"verify_signature": False})["sid"]
    with server.context.catalog.transaction() as transaction:
        session = transaction.get_one(Session, session_id)
        lasts = session.expires_at - session.created_at
        session.expires_at = session.created_at
    assert 11.9 < lasts.total_seconds() / 3600 <= 12.01
    assert_problem(_check(browser, token), 401)


def test_it_is_no_token_of_the_api_and_the_apis_tokens_do_not_open_the_ui(
    browser: httpx2.Client, admin: Somebody
) -> None:
    token = _token(_sign_in(browser, admin))
    as_cookie = {"Cookie": f"{COOKIE}={token}; access={token}; session={token}"}
    assert_problem(browser.get("/api/v1/runs", headers=as_cookie), 401)
    assert_problem(browser.get("/api/v1/runs", headers={"Authorization": f"Bearer {token}"}), 401)
    assert_problem(browser.post("/api/auth/refresh", json={"refresh": token}), 401)
    for other in (admin.session["access"], admin.session["refresh"], "", "x", "é", "a.b.c", "x" * 5000):
        assert_problem(_check(browser, other), 401)


def test_the_api_never_sets_a_cookie_nor_takes_one(browser: httpx2.Client, ann: Somebody) -> None:
    login = browser.post("/api/auth/login", json={"email": ann.email, "password": "pass123"})
    assert "Set-Cookie" not in login.headers
    cookies = {"Cookie": f"access={login.json()['access']}; Authorization=Bearer {login.json()['access']}"}
    assert_problem(browser.get("/api/v1/runs", headers=cookies), 401)


@pytest.mark.parametrize(
    "told",
    [
        *(
            None,
            "",
            "/",
            "//elsewhere.example",
            "https://elsewhere.example/dagster",
            "/dagsters",
            "/operators/sign-out",
        ),
        *(
            "/dagster//elsewhere.example",
            "/dagster/../api",
            "/dagster/%2e%2e/api",
            "/dagster/./x",
            "/dagster\\x",
        ),
        *(
            "/dagster/\r\nSet-Cookie: a=b",
            "/dagster/é",
            "/dagster/" + "x" * 3000,
            "/dagster/x#y",
            "javascript:alert(1)",
        ),
        *("/dagster@elsewhere.example", "/dagster.elsewhere.example", "\n/dagster"),
    ],
)
def test_the_way_back_leads_nowhere_else(told: str | None) -> None:
    assert way_back(told) == "/dagster"


@pytest.mark.parametrize(
    "told", ["/dagster", "/dagster/", UI, "/dagster/runs/0f?logs=a:b%20c,d&q[]=1", "/dagster?x=1"]
)
def test_the_way_back_leads_into_the_ui(told: str) -> None:
    assert way_back(told) == told
