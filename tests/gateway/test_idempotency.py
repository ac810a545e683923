"""Requests that come again under the same Idempotency-Key: one thing is made, and everybody gets the answer of the first."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import text

from reportgen_dagster.catalog import idempotency as catalog
from reportgen_dagster.errors import ConflictError, KeyReusedError
from reportgen_dagster.services import idempotency, reaper
from reportgen_dagster.services.idempotency import Once, RepeatedRequest
from tests.gateway.conftest import INPUT, REFERENCE, RULES, Server, User, assert_problem

FILES = {
    "input": ("input.csv", INPUT),
    "reference": ("reference.csv", REFERENCE),
    "rules": ("rules.yaml", RULES),
}
SCHEDULE = {
    "input_file": ("input.csv", INPUT),
    "reference_file": ("reference.csv", REFERENCE),
    "rules_file": ("rules.yaml", RULES),
}


def _generate(user: User, key: str, **more: object) -> httpx2.Response:
    return user.http.post(
        "/api/generate-report/", headers={"Idempotency-Key": key}, **{"files": FILES, **more}
    )


def _runs(user: User) -> list[str]:
    return [run["task_id"] for run in user.http.get("/api/v1/runs").json()["items"]]


def test_a_repetition_gets_the_first_answer_and_makes_nothing(ann: User, finish) -> None:
    key = str(uuid4())
    first = _generate(ann, key)
    assert (first.status_code, first.headers.get("Idempotency-Replayed")) == (202, None)
    finish(first.json()["task_id"], report=b"double\n1\n")
    again = _generate(ann, key)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (202, "true")
    assert again.content == first.content
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert _runs(ann) == [first.json()["task_id"]]


def test_a_repetition_means_the_same_although_other_files_are_the_last_upload_by_now(ann: User) -> None:
    ann.upload()
    key = str(uuid4())
    first = _generate(ann, key, files=None)
    ann.upload(input=b"refkey1,field1\nk1,9\n")
    assert _generate(ann, key, files=None).json() == first.json()


@pytest.mark.parametrize(
    "other",
    [
        {"files": {**FILES, "input": ("input.csv", INPUT + b"k2,3\n")}},
        {"files": {**FILES, "rules": ("rules.yaml", RULES + b"\n")}},
        {"params": {"formats": "csv,json"}},
        {"files": {**FILES, "parameters": (None, b'{"a": 1}')}},
    ],
    ids=["file", "rules", "formats", "parameters"],
)
def test_the_same_key_with_another_request_is_422(ann: User, other: dict[str, object]) -> None:
    key = str(uuid4())
    assert _generate(ann, key).status_code == 202
    assert_problem(_generate(ann, key, **other), 422, "something else", "key of its own")
    assert len(_runs(ann)) == 1


def test_what_failed_may_be_tried_again_with_its_key(ann: User) -> None:
    key = str(uuid4())
    assert_problem(_generate(ann, key, files=None), 400, "input")
    ann.upload()
    assert _generate(ann, key, files=None).status_code == 202


def test_other_users_and_other_calls_have_keys_of_their_own(ann: User, bob: User) -> None:
    key = str(uuid4())
    tasks = {_generate(user, key).json()["task_id"] for user in (ann, bob)}
    headers = {"Idempotency-Key": key}
    scheduled = [
        ann.http.post(
            "/api/trigger-scheduled-report/", files=SCHEDULE, data={"cron": "0 6 * * *"}, headers=headers
        )
        for _ in range(2)
    ]
    assert [answer.status_code for answer in scheduled] == [201, 201]
    assert scheduled[0].content == scheduled[1].content
    assert len({*tasks, scheduled[0].json()["task_id"]}) == 3
    assert len(ann.http.get("/api/v1/schedules").json()["items"]) == 1
    assert len(_runs(ann)) == 2


def test_a_key_that_cannot_be_one_is_400(ann: User) -> None:
    for key in ("", "x" * 256, "k\u00e9y", '"open', '""'):
        answer = _generate(ann, key.encode("latin-1"))  # type: ignore[arg-type]
        assert_problem(answer, 400, "Idempotency-Key", "255")
    assert _generate(ann, 'odd " but printable ' + "x" * 200).status_code == 202


def test_quotation_marks_do_not_belong_to_the_key(ann: User) -> None:
    key = str(uuid4())
    assert _generate(ann, f'"{key}"').json() == _generate(ann, key).json()


def _once(user: User, key: str, digest: str = "d" * 64) -> Once:
    return Once(user.id, "call", key, digest, answer=str)


def test_a_killed_transaction_leaves_neither_the_thing_nor_its_key(server: Server, ann: User) -> None:
    once = _once(ann, "k")

    def die() -> None:
        with server.context.catalog.transaction() as session:
            idempotency.note(session, once, "made")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        die()
    idempotency.refuse_repetition(server.context, once)
    with server.context.catalog.transaction() as session:
        idempotency.note(session, once, "made")
    with pytest.raises(RepeatedRequest) as told:
        idempotency.refuse_repetition(server.context, once)
    assert told.value.answer == "made"


def test_a_run_whose_answer_was_lost_with_its_gateway_is_answered_by_another(
    ann: User, second_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from api_gateway.background import Launcher

    def die(_launcher: Launcher, _run_id: str) -> None:
        raise SystemError  # between the commit and the answer

    key = str(uuid4())
    with monkeypatch.context() as patch:
        patch.setattr(Launcher, "launch_soon", die)
        assert_problem(_generate(ann, key), 500)
    (task,) = _runs(ann)
    headers = {**ann.http.headers, "Idempotency-Key": key}
    again = httpx2.post(f"{second_url}/api/generate-report/", headers=headers, files=FILES, timeout=30)
    assert (again.status_code, again.json()["task_id"]) == (202, task)
    assert again.json()["status"] == "accepted"
    assert _runs(ann) == [task]


@pytest.mark.parametrize(
    ("digest", "error"), [("d" * 64, ConflictError), ("e" * 64, ConflictError)], ids=["same", "other"]
)
def test_while_the_first_is_carried_out_others_are_conflicts(
    server: Server, ann: User, digest: str, error: type[Exception]
) -> None:
    with server.context.catalog.transaction() as session:
        idempotency.note(session, _once(ann, "k"), "first")
        with pytest.raises(error), server.context.catalog.transaction() as other:
            idempotency.note(other, _once(ann, "k", digest), "second")
    after = {"d" * 64: RepeatedRequest, "e" * 64: KeyReusedError}[digest]
    with pytest.raises(after), server.context.catalog.transaction() as other:
        idempotency.note(other, _once(ann, "k", digest), "second")


def test_a_key_is_forgotten_after_a_day(server: Server, ann: User) -> None:
    with server.context.catalog.transaction() as session:
        for key in ("used again", "left"):
            idempotency.note(session, _once(ann, key), "yesterday")
        session.execute(
            text("UPDATE idempotency_keys SET created_at = created_at - :life WHERE owner_id = :id"),
            {"life": catalog.LIFE, "id": ann.id},
        )
    with server.context.catalog.transaction() as session:
        idempotency.note(session, _once(ann, "used again", "e" * 64), "today")
    count = _kept(server, ann)
    assert count() in (1, 2)  # the gateway's own reaper may have swept already
    reaper.reap(server.context)
    assert count() == 1


def _kept(server: Server, user: User) -> Callable[[], int]:
    def count() -> int:
        with server.context.catalog.transaction() as session:
            found = session.scalar(
                text("SELECT count(*) FROM idempotency_keys WHERE owner_id = :id"), {"id": user.id}
            )
            return int(found or 0)

    return count


# POSTs that take no key, and why.
_STATE = "it only sets a state; twice is as once"
_NOTHING = "nothing is made"
_LINK = "a link is kept nowhere, and its text is secret"
WITHOUT_KEY = {
    "/api/auth/login": "there is no caller yet, and its answer is secret",
    "/api/auth/logout": _STATE,
    "/api/auth/refresh": "a refresh token is good for one request anyway",
    "/api/auth/register": "there is no caller yet; a second account of an e-mail is refused",
    "/api/v1/deliveries/{delivery_id}/redeliver": _STATE,
    "/api/v1/me/password": _STATE,
    "/api/v1/me/sessions/revoke-all": _STATE,
    "/api/v1/preview": _NOTHING,
    "/api/v1/preview/sample": _NOTHING,
    "/api/v1/reports/{name}/pause": _STATE,
    "/api/v1/reports/{name}/resume": _STATE,
    "/api/v1/rulesets/check": _NOTHING,
    "/api/v1/rulesets/explain": _NOTHING,
    "/api/v1/runs/{run_id}/cancel": _STATE,
    "/api/v1/runs/{run_id}/links": _LINK,
    "/api/v1/runs/{run_id}/rejects/links": _LINK,
    "/api/v1/schedules/{schedule_id}/pause": _STATE,
    "/api/v1/schedules/{schedule_id}/resume": _STATE,
    "/api/v1/users/{user_id}/revoke": _STATE,
}


def test_every_post_that_makes_something_takes_a_key(anybody: httpx2.Client) -> None:
    posts = {
        path: methods["post"]
        for path, methods in anybody.get("/openapi.json").json()["paths"].items()
        if "post" in methods
    }
    with_key = {
        path
        for path, call in posts.items()
        if "Idempotency-Key" in [one["name"] for one in call.get("parameters", ()) if one["in"] == "header"]
    }
    assert posts.keys() - with_key == WITHOUT_KEY.keys()
    assert "/api/upload-files" in with_key
    for path in with_key:
        assert {"409", "422"} <= set(posts[path]["responses"])


def _made_by(ann: User, call: str, key: str, wish: str) -> httpx2.Response:
    headers = {"Idempotency-Key": key}
    if call == "datasets":
        files = {"file": ("trades.csv", f"key,price\nA,{wish}\n".encode())}
        return ann.http.post("/api/v1/datasets/trades/versions", files=files, headers=headers)
    if call == "rules":
        files = {"file": ("rules.yaml", RULES + f"# {wish}\n".encode())}
        return ann.http.post("/api/upload-rules", files=files, headers=headers)
    if call == "files":
        files = {"input": ("input.csv", f"refkey1,field1\nk1,{wish}\n".encode())}
        return ann.http.post("/api/upload-files", files=files, headers=headers)
    if call == "tokens":
        body = {"name": f"program {wish}", "scopes": ["read"]}
        return ann.http.post("/api/v1/me/tokens", json=body, headers=headers)
    if call == "runs":
        return ann.http.post(
            "/api/v1/reports/daily/runs", json={"run_date": f"2026-01-0{wish}"}, headers=headers
        )
    told = {"Upload-Length": wish, "Upload-Metadata": "dataset dHJhZGVz", "Tus-Resumable": "1.0.0"}
    return ann.http.post("/api/v1/uploads", headers=headers | told)


def _count_of(ann: User, call: str) -> int:
    if call == "uploads":
        return ann.http.get("/api/v1/me/usage").json()["open_uploads"]["used"]
    path = {
        "datasets": "/api/v1/datasets/trades/versions",
        "tokens": "/api/v1/me/tokens",
        "runs": "/api/v1/reports/daily/runs",
    }[call]
    return len(ann.http.get(path).json()["items"])


@pytest.mark.parametrize("call", ["datasets", "tokens", "runs", "uploads"])
def test_every_call_that_makes_something_makes_it_once(ann: User, call: str) -> None:
    if call == "runs":
        for name, rows in (("input", INPUT), ("reference", REFERENCE)):
            ann.http.post(f"/api/v1/datasets/{name}/versions", files={"file": (f"{name}.csv", rows)})
        ann.http.put("/api/v1/rulesets/double", content=RULES, headers={"Content-Type": "application/yaml"})
        inputs = {name: {"dataset": name} for name in ("input", "reference")}
        put = ann.http.put("/api/v1/reports/daily", json={"ruleset": {"name": "double"}, "inputs": inputs})
        assert put.status_code == 201, put.text
    first = _made_by(ann, call, "one", "1")
    assert first.status_code in (201, 202), first.text
    again = _made_by(ann, call, "one", "1")
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (first.status_code, "true")
    for name in ("Location", "Upload-Offset", "Upload-Expires"):
        assert again.headers.get(name) == first.headers.get(name)
    if call == "tokens":
        assert again.json() == first.json() | {"token": None}, "what is secret is kept nowhere"
    else:
        assert again.text == first.text
    assert _count_of(ann, call) == 1
    assert_problem(_made_by(ann, call, "one", "2"), 422)
    assert _count_of(ann, call) == 1


def test_a_repetition_gets_the_status_of_the_first_too(ann: User) -> None:
    assert _made_by(ann, "datasets", "one", "1").status_code == 201
    answers = [_made_by(ann, "datasets", "another", "1") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200], "the bytes are known"
    assert answers[1].headers["Idempotency-Replayed"] == "true"
    assert answers[1].text == answers[0].text


def test_a_repeated_beginning_with_bytes_tells_of_the_beginning(ann: User) -> None:
    headers = {
        "Idempotency-Key": "one",
        "Upload-Length": "9",
        "Upload-Metadata": "dataset dHJhZGVz",
        "Content-Type": "application/offset+octet-stream",
    }
    first, again = (ann.http.post("/api/v1/uploads", headers=headers, content=b"k,v\n") for _ in range(2))
    assert (first.status_code, first.headers["Upload-Offset"]) == (201, "4"), first.text
    assert (again.status_code, again.headers["Upload-Offset"]) == (201, "0"), again.text
    assert again.headers["Location"] == first.headers["Location"]
    upload = ann.http.head(f"/api/v1/uploads/{first.headers['Location'].rsplit('/', 1)[1]}")
    assert upload.headers["Upload-Offset"] == "4"


@pytest.mark.parametrize("call", ["rules", "files"])
def test_a_late_repetition_does_not_become_the_last_upload(ann: User, call: str) -> None:
    first = _made_by(ann, call, "one", "1")
    assert first.status_code == 200, first.text
    later = _made_by(ann, call, "two", "2")
    again = _made_by(ann, call, "one", "1")
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")
    assert again.text == first.text
    assert _made_by(ann, call, "three", "2").json() == later.json(), "the same bytes as the last upload"
    assert_problem(_made_by(ann, call, "one", "3"), 422)
