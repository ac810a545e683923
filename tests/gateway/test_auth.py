from __future__ import annotations

import json
from uuid import uuid4

import httpx2
import jwt
import pytest

from reportgen_dagster.services import keys
from tests.gateway.conftest import Server, User, assert_problem


def test_register_answers_with_user_and_tokens(anybody: httpx2.Client) -> None:
    email = f"{uuid4().hex}@Example.com"
    answer = anybody.post("/api/auth/register/", json={"email": email, "name": "Ann", "password": "pass123"})
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == {"user", "access", "refresh"}
    assert body["user"] == {"id": body["user"]["id"], "email": email.lower(), "name": "Ann"}
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("slash", ["", "/"])
def test_login_and_refresh_with_and_without_a_trailing_slash(ann: User, slash: str) -> None:
    login = ann.http.post(f"/api/auth/login{slash}", json={"email": ann.email, "password": "pass123"})
    assert login.status_code == 200
    assert set(login.json()) == {"user", "access", "refresh"}
    refreshed = ann.http.post(f"/api/auth/refresh{slash}", json={"refresh": login.json()["refresh"]})
    assert refreshed.status_code == 200
    assert set(refreshed.json()) == {"access", "refresh"}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_logout_ends_access_and_refresh_at_once(ann: User, method: str) -> None:
    answer = ann.http.request(method, "/api/auth/logout/")
    assert (answer.status_code, list(answer.json())) == (200, ["message"])
    assert_problem(ann.http.get("/api/auth/logout/"), 401)
    assert_problem(ann.http.post("/api/auth/refresh/", json={"refresh": ann.session["refresh"]}), 401)


@pytest.mark.parametrize(
    ("call", "body", "places"),
    [
        ("register", {}, ["email", "name", "password"]),
        ("register", {"email": "x@", "name": "", "password": "p"}, ["email", "name", "password"]),
        ("register", {"email": ["a"], "name": 1, "password": None}, ["email", "name", "password"]),
        ("register", {"email": "a@example.com", "name": "\ud800", "password": "pass123"}, ["name"]),
        ("login", {"email": "a@example.com"}, ["password"]),
        ("refresh", {}, ["refresh"]),
    ],
)
def test_missing_and_invalid_fields_are_all_named(
    anybody: httpx2.Client, call: str, body: dict, places: list[str]
) -> None:
    answer = anybody.post(
        f"/api/auth/{call}/",
        content=json.dumps(body),
        headers={"Content-Type": "application/json"},
    )
    assert [problem["path"] for problem in assert_problem(answer, 400)["errors"]] == places


def test_a_refused_password_is_not_repeated(anybody: httpx2.Client) -> None:
    body = {"email": "a@example.com", "name": "A", "password": ["se-cret"]}
    assert "se-cret" not in anybody.post("/api/auth/register/", json=body).text


def test_a_taken_email_is_400(ann: User) -> None:
    again = {"email": ann.email.upper(), "name": "Ann", "password": "pass123"}
    assert_problem(ann.http.post("/api/auth/register/", json=again), 400, "exists already")


def test_a_wrong_password_is_401_and_tells_how_to_authenticate(ann: User) -> None:
    answer = ann.http.post("/api/auth/login/", json={"email": ann.email, "password": "wrong-one"})
    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"email": NaN', b"\xff\xfe", b"[" * 50_000])
def test_a_body_that_is_no_json_object_is_400(anybody: httpx2.Client, content: bytes) -> None:
    answer = anybody.post("/api/auth/login/", content=content, headers={"Content-Type": "application/json"})
    assert_problem(answer, 400)


def test_another_media_type_is_415(anybody: httpx2.Client) -> None:
    assert_problem(anybody.post("/api/auth/login/", data={"email": "a"}), 415, "application/json")


def test_a_huge_body_is_413(anybody: httpx2.Client) -> None:
    body = {"email": "x" * 100_000, "password": "pass123"}
    assert_problem(anybody.post("/api/auth/login/", json=body), 413)


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer x", "Basic YTpi", "Bearer " + "x" * 6000, "bearer null", "Bearer é"]
)
def test_what_is_no_access_token_is_401(server, header: str) -> None:
    with httpx2.Client(base_url=server.url) as client:
        answer = client.get("/api/v1/runs", headers={"Authorization": header.encode()})
    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_refresh_token_opens_nothing(ann: User) -> None:
    ann.http.headers["Authorization"] = f"Bearer {ann.session['refresh']}"
    assert_problem(ann.http.get("/api/v1/runs"), 401)


def test_an_expired_access_token_is_401(ann: User, server: Server) -> None:
    key = keys.signing_key(server.settings)
    token = ann.session["access"]
    claims = jwt.decode(token, key, algorithms=["HS256"], audience="reportgen-api")
    header = jwt.get_unverified_header(token)
    assert ann.http.get("/api/v1/runs").status_code == 200
    expired = jwt.encode({**claims, "exp": claims["iat"] - 3600}, key, algorithm="HS256", headers=header)
    answer = ann.http.get("/api/v1/runs", headers={"Authorization": f"Bearer {expired}"})
    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
