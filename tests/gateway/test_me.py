"""The caller's own account: name, password, sessions, API tokens."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from sqlalchemy import text

from tests.gateway.conftest import Server, User, assert_problem

TOKENS = "/api/v1/me/tokens"
SESSIONS = "/api/v1/me/sessions"


def token(user: User, *scopes: str, name: str = "nightly", **more: object) -> str:
    answer = user.http.post(TOKENS, json={"name": name, "scopes": list(scopes), **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def signed_in_again(server: Server, user: User) -> httpx2.Client:
    http = httpx2.Client(base_url=server.url, timeout=30)
    answer = http.post("/api/auth/login", json={"email": user.email, "password": "pass123"})
    http.headers["Authorization"] = f"Bearer {answer.json()['access']}"
    return http


def test_me_is_who_asks_and_what_his_token_may_do(ann: User) -> None:
    me = ann.http.get("/api/v1/me").json()
    assert (me["id"], me["email"], me["name"], me["role"]) == (ann.id, ann.email, "Ann", "user")
    assert me["scopes"] == ["read", "run", "write"]
    assert ann.http.get("/api/v1/me", headers=bearer(token(ann, "read"))).json()["scopes"] == ["read"]


def test_a_name_is_changed(ann: User) -> None:
    assert ann.http.patch("/api/v1/me", json={"name": " Anna "}).json()["name"] == "Anna"
    assert ann.http.get("/api/v1/me").json()["name"] == "Anna"
    assert_problem(ann.http.patch("/api/v1/me", json={"name": " "}), 400, "name")


def test_days_of_a_token_are_a_number(ann: User) -> None:
    for no_number in (True, "5"):
        body = {"name": "nightly", "scopes": ["read"], "days": no_number}
        assert_problem(ann.http.post(TOKENS, json=body), 400, "valid integer")


def test_an_account_changes_only_as_it_was_seen(ann: User) -> None:
    seen = ann.http.get("/api/v1/me").headers["ETag"]
    assert ann.http.get("/api/v1/me", headers={"If-None-Match": seen}).status_code == 304
    changed = ann.http.patch("/api/v1/me", json={"name": "Anna"}, headers={"If-Match": seen})
    assert changed.status_code == 200, changed.text
    assert changed.headers["ETag"] == ann.http.get("/api/v1/me").headers["ETag"] != seen
    late = ann.http.patch("/api/v1/me", json={"name": "Anne"}, headers={"If-Match": seen})
    assert_problem(late, 412)
    assert ann.http.get("/api/v1/me").json()["name"] == "Anna"


def test_tokens_and_sessions_are_listed_page_by_page(server: Server, ann: User, bob: User) -> None:
    for number in range(3):
        token(ann, "read", name=f"program {number}")
        signed_in_again(server, ann)
    for path, count in ((TOKENS, 3), (SESSIONS, 4)):
        whole = ann.http.get(path).json()
        assert (len(whole["items"]), whole["next"]) == (count, None)
        seen, following = [], f"{path}?limit=2"
        while following:
            page = ann.http.get(following).json()
            seen += page["items"]
            following = page["next"]
        assert [one["id"] for one in seen] == [one["id"] for one in whole["items"]]
        assert_problem(ann.http.get(path, params={"cursor": "x"}), 400, "cursor")
    (newest, *_) = ann.http.get(TOKENS).json()["items"]
    assert newest["name"] == "program 2"
    assert ann.http.get(f"{TOKENS}/{newest['id']}").json() == newest
    for who, id_ in ((bob, newest["id"]), (ann, "0" * 32), (ann, "x")):
        assert_problem(who.http.get(f"{TOKENS}/{id_}"), 404)


def test_an_api_token_is_shown_once_and_kept_as_a_digest(ann: User, server: Server) -> None:
    made = ann.http.post(TOKENS, json={"name": "nightly", "scopes": ["write", "read"]}).json()
    assert re.fullmatch(r"rg_pat_[A-Za-z0-9_-]{43}[0-9a-f]{8}", made["token"])
    lifetime = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89) < lifetime <= timedelta(days=90)
    (listed,) = ann.http.get(TOKENS).json()["items"]
    assert listed == {name: value for name, value in made.items() if name != "token"}
    assert (listed["scopes"], listed["last_used_at"]) == (["read", "write"], None)
    with server.context.catalog.transaction() as session:
        kept = session.execute(
            text("SELECT api_tokens::text FROM api_tokens WHERE id = :id"), {"id": made["id"]}
        )
        assert made["token"] not in str(kept.scalar_one())


def test_an_api_token_works_for_its_scopes_until_it_is_deleted(ann: User) -> None:
    headers = bearer(token(ann, "read"))
    assert ann.http.get("/api/v1/runs", headers=headers).status_code == 200
    denied = assert_problem(ann.http.post("/api/generate-report", headers=headers), 403, "run")
    assert denied["code"] == "forbidden"
    (listed,) = ann.http.get(TOKENS).json()["items"]
    assert datetime.now(UTC) - datetime.fromisoformat(listed["last_used_at"]) < timedelta(minutes=1)
    assert ann.http.delete(f"{TOKENS}/{listed['id']}").status_code == 204
    assert_problem(ann.http.get("/api/v1/runs", headers=headers), 401)
    assert_problem(ann.http.delete(f"{TOKENS}/{listed['id']}"), 404)


def test_an_api_token_is_not_taken_where_somebody_must_be_signed_in(ann: User) -> None:
    headers = bearer(token(ann, "read", "run", "write"))
    for call in (("GET", TOKENS), ("GET", SESSIONS), ("POST", "/api/auth/logout"), ("PATCH", "/api/v1/me")):
        assert_problem(ann.http.request(*call, headers=headers, json={"name": "x"}), 403, "signed in")


def test_an_api_token_makes_links_that_end_with_it(ann: User, anybody: httpx2.Client, finish) -> None:
    ann.upload()
    task = ann.generate()
    finish(task, report=b"a\n1\n")
    headers = bearer(token(ann, "read"))
    link = ann.http.post(f"/api/v1/runs/{task}/links", headers=headers).json()["url"]
    assert anybody.get(link).content == b"a\n1\n"
    (listed,) = ann.http.get(TOKENS).json()["items"]
    ann.http.delete(f"{TOKENS}/{listed['id']}")
    assert_problem(anybody.get(link), 404)


@pytest.mark.parametrize(
    ("change", "places"),
    [
        ({"name": " "}, ["name"]),
        ({"name": "a\x00"}, ["name"]),
        ({"scopes": []}, ["scopes"]),
        ({"scopes": ["admin"]}, ["scopes"]),
        ({"scopes": ["everything"]}, ["scopes.0"]),
        ({"days": 366}, ["days"]),
        ({"days": 0}, ["days"]),
    ],
)
def test_an_api_token_that_may_not_be_is_refused(ann: User, change: dict, places: list[str]) -> None:
    answer = ann.http.post(TOKENS, json={"name": "x", "scopes": ["read"], **change})
    assert [problem["path"] for problem in assert_problem(answer, 400)["errors"]] == places


def test_two_api_tokens_of_one_name_are_409(ann: User) -> None:
    token(ann, "read")
    again = ann.http.post(TOKENS, json={"name": "nightly", "scopes": ["read"]})
    assert_problem(again, 409, "nightly")


def test_a_new_password_ends_other_sessions_and_all_api_tokens(ann: User, server: Server) -> None:
    other, program = signed_in_again(server, ann), bearer(token(ann, "read"))
    changed = ann.http.post("/api/v1/me/password", json={"old": "pass123", "new": "pass456"})
    assert changed.status_code == 200
    assert ann.http.get("/api/v1/me").status_code == 200
    assert ann.http.post("/api/auth/refresh/", json={"refresh": ann.session["refresh"]}).status_code == 200
    assert_problem(other.get("/api/v1/me"), 401)
    assert_problem(ann.http.get("/api/v1/me", headers=program), 401)
    for password, status in (("pass123", 401), ("pass456", 200)):
        body = {"email": ann.email, "password": password}
        assert ann.http.post("/api/auth/login", json=body).status_code == status


def test_a_password_is_not_changed_without_the_old_one(ann: User) -> None:
    wrong = {"old": "wrong-one", "new": "pass456"}
    assert_problem(ann.http.post("/api/v1/me/password", json=wrong), 400, "old")
    assert_problem(ann.http.post("/api/v1/me/password", json={"old": "pass123", "new": "x"}), 400, "new")
    for _ in range(5):
        answer = ann.http.post("/api/v1/me/password", json=wrong)
    assert_problem(answer, 429)
    assert int(answer.headers["Retry-After"]) >= 1


def test_sessions_are_listed_and_ended(ann: User, bob: User, server: Server) -> None:
    other = signed_in_again(server, ann)
    listed = ann.http.get(SESSIONS).json()["items"]
    assert [one["is_current"] for one in listed].count(True) == 1
    assert {one["address"] for one in listed} == {"127.0.0.1"}
    (others,) = (one["id"] for one in listed if not one["is_current"])
    assert_problem(bob.http.delete(f"{SESSIONS}/{others}"), 404)
    assert other.get("/api/v1/me").status_code == 200
    assert ann.http.delete(f"{SESSIONS}/{others}").status_code == 204
    assert_problem(other.get("/api/v1/me"), 401)
    assert_problem(ann.http.delete(f"{SESSIONS}/{others}"), 404)
    assert len(ann.http.get(SESSIONS).json()["items"]) == 1


def test_all_sessions_end_at_once_and_programs_go_on(ann: User, server: Server) -> None:
    other, program = signed_in_again(server, ann), bearer(token(ann, "read"))
    assert other.post(f"{SESSIONS}/revoke-all").json() == {"ended": 2}
    assert_problem(ann.http.get("/api/v1/me"), 401)
    assert_problem(other.get("/api/v1/me"), 401)
    assert_problem(ann.http.post("/api/auth/refresh", json={"refresh": ann.session["refresh"]}), 401)
    assert ann.http.get("/api/v1/me", headers=program).status_code == 200
