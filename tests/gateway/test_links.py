"""Links that download a file without a token: what they open, for whom and for how long."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import jwt
import pytest
from sqlalchemy import text

from reportgen_dagster.services import links
from reportgen_dagster.services.accounts import Caller
from reportgen_dagster.services.keys import signing_key
from reportgen_dagster.services.tokens import key_id
from tests.gateway.conftest import Server, User, assert_problem

REPORT = b"double,name\n2,one\n4,two\n"
REJECTS = b"_line,_reason\n7,bad\n"
PATH = "/api/v1/downloads/"


@pytest.fixture
def task(ann: User, finish: Callable[..., None]) -> str:
    """A finished run of Ann's, with rejects."""
    ann.upload()
    made = ann.generate()
    finish(made, report=REPORT, rejects=REJECTS)
    return made


def link(user: User, task: str, what: str = "links") -> str:
    answer = user.http.post(f"/api/v1/runs/{task}/{what}")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["url"])


def claims_of(url: str) -> dict[str, Any]:
    return jwt.decode(url.removeprefix(PATH), options={"verify_signature": False})


def signed(claims: dict[str, Any], key: bytes, **header: str) -> str:
    return jwt.encode(claims, key, algorithm="HS256", headers={"typ": "dl+jwt", "kid": key_id(key), **header})


def test_a_link_downloads_a_report_without_a_token(ann: User, task: str, anybody: httpx2.Client) -> None:
    answer = ann.http.post(f"/api/v1/runs/{task}/links?format=csv")
    expires_at = datetime.fromisoformat(answer.json()["expires_at"])
    assert timedelta(minutes=4) < expires_at - datetime.now(UTC) <= timedelta(minutes=5)
    got = anybody.get(answer.json()["url"])
    assert (got.status_code, got.content) == (200, REPORT)
    assert got.headers["Content-Disposition"] == 'attachment; filename="default.csv"'
    assert got.headers["Content-Type"].startswith("text/csv")
    assert got.headers["Referrer-Policy"] == "no-referrer"
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["ETag"] == ann.http.get(f"/api/download-report/{task}/").headers["ETag"]


def test_a_link_resumes_tells_and_spares(ann: User, task: str, anybody: httpx2.Client) -> None:
    url = link(ann, task)
    part = anybody.get(url, headers={"Range": "bytes=7-"})
    assert (part.status_code, part.content) == (206, REPORT[7:])
    head = anybody.head(url)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(REPORT)))
    assert anybody.get(url, headers={"If-None-Match": head.headers["ETag"]}).status_code == 304
    assert anybody.post(url).status_code == 405


def test_a_link_to_the_rejects(ann: User, task: str, anybody: httpx2.Client) -> None:
    assert anybody.get(link(ann, task, "rejects/links")).content == REJECTS


def test_a_link_is_had_only_by_the_owner_and_of_what_there_is(ann: User, bob: User, task: str) -> None:
    for what in ("links", "rejects/links"):
        assert_problem(bob.http.post(f"/api/v1/runs/{task}/{what}"), 404)
    assert_problem(ann.http.post(f"/api/v1/runs/{task}/links?format=docx"), 400, "csv")
    waiting = ann.generate()
    assert_problem(ann.http.post(f"/api/v1/runs/{waiting}/links"), 409, "accepted")
    assert_problem(ann.http.post(f"/api/v1/runs/{waiting}/rejects/links"), 404)


def test_a_link_ends_with_its_session(ann: User, task: str, anybody: httpx2.Client) -> None:
    url = link(ann, task)
    assert anybody.get(url).status_code == 200
    ann.http.post("/api/auth/logout/")
    assert_problem(anybody.get(url), 404, "opens nothing")


@pytest.mark.parametrize("what", ["links", "rejects/links"])
def test_a_link_ends_with_its_file(
    server: Server, ann: User, task: str, anybody: httpx2.Client, what: str
) -> None:
    url = link(ann, task, what)
    _change(server, "UPDATE runs SET expired_at = now() WHERE id = :id", task)
    assert_problem(anybody.get(url), 404, "opens nothing")


@pytest.mark.parametrize("what", ["artifacts", "rejects"])
def test_a_link_is_for_certain_bytes(
    server: Server, ann: User, task: str, anybody: httpx2.Client, what: str
) -> None:
    url = link(ann, task, "links" if what == "artifacts" else "rejects/links")
    other = claims_of(link(ann, task, "rejects/links" if what == "artifacts" else "links"))["digest"]
    _change(server, f"UPDATE {what} SET digest = '{other}' WHERE run_id = :id", task)  # noqa: S608 - ours
    assert_problem(anybody.get(url), 404, "opens nothing")


def test_without_a_format_the_link_is_to_what_a_download_gives(
    ann: User, finish: Callable[..., None], anybody: httpx2.Client
) -> None:
    ann.upload()
    task = ann.generate()
    finish(task, xlsx=b"PK")
    url = link(ann, task)
    assert claims_of(url)["file"] == "xlsx"
    assert anybody.get(url).content == b"PK"


def test_a_link_runs_out(server: Server, ann: User, task: str, anybody: httpx2.Client) -> None:
    claims, key = claims_of(link(ann, task)), signing_key(server.settings, "download link")
    late = claims | {"exp": int(datetime.now(UTC).timestamp()) - 11, "iat": claims["iat"] - 600}
    assert anybody.get(PATH + signed(claims, key)).status_code == 200
    assert_problem(anybody.get(PATH + signed(late, key)), 404, "opens nothing")


def test_no_other_token_is_a_link(server: Server, ann: User, bob: User, task: str, anybody) -> None:
    token = link(ann, task).removeprefix(PATH)
    claims, key = claims_of(token), signing_key(server.settings, "download link")
    head, body, signature = token.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"dl+jwt"}').decode().rstrip("=")
    bob_id = bob.session["user"]["id"]
    forged = [
        ann.session["access"],
        ann.session["refresh"],
        f"{none}.{body}.",
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{_encoded(claims | {'file': 'rejects'})}.{signature}",
        signed(claims, signing_key(server.settings)),
        signed(claims, key, typ="at+jwt"),
        signed(claims, key, kid="other"),
        signed(claims | {"aud": "reportgen-api"}, key),
        signed(claims | {"iss": "other"}, key),
        signed(claims | {"sub": bob_id}, key),
        signed(claims | {"file": "rejects"}, key),
        signed(claims | {"file": "../x"}, key),
        signed(claims | {"run": "0" * 32}, key),
        signed(claims | {"sid": "0" * 32}, key),
        signed(claims | {"digest": 7}, key),
        signed(claims | {"exp": str(claims["exp"])}, key),
        *(signed({name: claims[name] for name in claims if name != left}, key) for left in claims),
        "a" * 5000,
        "x",
    ]
    told = {anybody.get(PATH + token).json()["detail"] for token in forged}
    assert told == {"This link opens nothing, or not any more."}


def test_a_link_is_no_token(ann: User, task: str, anybody: httpx2.Client) -> None:
    token = link(ann, task).removeprefix(PATH)
    answer = anybody.get("/api/v1/runs", headers={"Authorization": f"Bearer {token}"})
    assert_problem(answer, 401)
    assert_problem(anybody.post("/api/auth/refresh/", json={"refresh": token}), 401)


def test_a_link_is_not_in_the_log(ann: User, task: str, anybody: httpx2.Client, logged: io.StringIO) -> None:
    url = link(ann, task)
    logged.truncate(0)
    anybody.get(url)
    anybody.get(f"{url}%0Ax/")
    written = logged.getvalue()
    assert f"GET {PATH}... 200" in written
    token = url.removeprefix(PATH)
    assert not [part for part in token.split(".") if part in written]


def test_with_a_public_url_a_link_is_a_whole_address(server: Server, ann: User, task: str) -> None:
    caller = Caller(ann.id, claims_of(link(ann, task))["sid"], ann.email, "Ann")
    settings = server.settings.model_copy(update={"public_url": "https://reports.example.com/"})
    made = links.link_to_report(replace(server.context, settings=settings), caller, task)
    assert made.url.startswith(f"https://reports.example.com{PATH}ey")


def _encoded(claims: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def _change(server: Server, statement: str, task: str) -> None:
    with server.context.catalog.transaction() as session:
        session.execute(text(statement), {"id": task})
