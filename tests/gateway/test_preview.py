"""Previews over HTTP: the first rows after any step, of samples that nothing keeps, and of datasets."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import httpx2
import pytest

from api_gateway.multipart import MAX_SAMPLE_BYTES
from api_gateway.preview import router
from reportgen_dagster.services.preview import MAX_AT_ONCE, MAX_OF_ONE
from reportgen_dagster.storage import disk
from tests.gateway.conftest import INPUT, REFERENCE, RULES, Server, User, assert_problem

LONG_FORM = b"""
version: 1
parameters:
  least: {type: integer, default: 0}
steps:
  - filter: field1 > :least
  - derive: {double: field1 * 2}
  - select: [double]
"""


def sample(user: User, rules: bytes = RULES, files: dict | None = None, **fields: str) -> httpx2.Response:
    parts = {"rules": ("r.yaml", rules), "input": ("i.csv", INPUT), "reference": ("ref.csv", REFERENCE)}
    sent = parts if files is None else files
    return user.http.post("/api/v1/preview/sample", files=sent, data=fields)


def add(user: User, name: str, content: bytes) -> None:
    assert user.http.post(f"/api/v1/datasets/{name}/versions", files={"file": content}).status_code == 201


def test_a_sample_is_shown_and_not_kept(ann: User, server: Server) -> None:
    before = server.files()
    answer = sample(ann)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [column["name"] for column in body["columns"]] == ["double", "name"]
    assert body["rows"] == [["2", "one"], ["4", "two"]]
    assert "| double" in body["markdown"]
    assert (body["reject_count"], body["sampled"]) == (0, False)
    assert server.files() == before
    assert ann.http.get("/api/v1/datasets").json()["items"] == []
    assert_problem(ann.http.post("/api/generate-report/"), 400)


def test_each_step_is_shown(ann: User) -> None:
    files = {"rules": ("r.yaml", LONG_FORM), "input": ("i.csv", INPUT)}
    whole = sample(ann, files=files, parameters='{"least": 1}').json()
    assert (whole["columns"], whole["rows"]) == ([{"name": "double", "type": "integer"}], [["4"]])
    read = sample(ann, files=files, step="0", rows="1").json()
    assert read["rows"] == [["k1", "1"]]
    assert sample(ann, files=files, step="1", parameters='{"least": 1}').json()["rows"] == [["k2", "2"]]


def test_what_is_wrong_with_a_sample_is_told(ann: User) -> None:
    both = {"rules": ("r.yaml", RULES), "input": ("i.csv", INPUT)}
    assert_problem(sample(ann, files=both), 400, "reference")
    assert_problem(sample(ann, files={"input": ("i.csv", INPUT)}), 400, "rules")
    assert_problem(sample(ann, files={"rules": ("r.yaml", RULES)}), 400, "input")
    assert_problem(sample(ann, rules=b"- {output: a, formula: f(}\n"), 400, "r.yaml")
    assert_problem(sample(ann, rules=b"- {output: a, formula: nothing}\n"), 400, "nothing")
    for fields, word in (
        ({"rows": "0"}, "rows"),
        ({"rows": "many"}, "rows"),
        ({"step": "-1"}, "step"),
        ({"step": "9"}, "no step 9"),
        ({"run_date": "soon"}, "run_date"),
        ({"parameters": "{}}"}, "parameters"),
        ({"parameters": '{"x": 1}'}, "x"),
    ):
        assert_problem(sample(ann, **fields), 400, word)
    large = {"rules": ("r.yaml", RULES), "input": ("i.csv", b"a\n" * (MAX_SAMPLE_BYTES // 2 + 1))}
    assert_problem(sample(ann, files=large), 413, "beginning")
    assert_problem(ann.http.post("/api/v1/preview/sample", json={}), 415)


def test_datasets_are_shown_by_their_names(ann: User, bob: User) -> None:
    add(ann, "trades", INPUT)
    add(ann, "trades", INPUT + b"k1,7\n")
    add(ann, "desks", REFERENCE)
    yaml = {"Content-Type": "application/yaml"}
    ann.http.put("/api/v1/rulesets/margin", content=RULES, headers=yaml)
    ask = {
        "ruleset": {"name": "margin"},
        "inputs": {"input": {"dataset": "trades"}, "reference": {"dataset": "desks"}},
    }
    assert ann.http.post("/api/v1/preview", json=ask).json()["rows"][-1] == ["14", "one"]
    pinned = ask | {"inputs": ask["inputs"] | {"input": {"dataset": "trades", "version": 1}}, "rows": 5}
    assert ann.http.post("/api/v1/preview", json=pinned).json()["rows"] == [["2", "one"], ["4", "two"]]
    padding = "#" * 500_000  # a text of rules may be larger than other bodies
    own = {"rules": {"text": LONG_FORM.decode() + padding}, "inputs": {"input": {"dataset": "trades"}}}
    assert ann.http.post("/api/v1/preview", json=own | {"parameters": {"least": 2}}).json()["rows"] == [
        ["14"]
    ]
    for wrong, status, word in (
        (ask | {"ruleset": {"name": "none"}}, 404, "none"),
        (ask | {"inputs": {"input": {"dataset": "none"}}}, 404, "none"),
        (ask | {"rules": {"text": "x"}}, 400, "either"),
        ({"inputs": {}}, 400, "either"),
        (ask | {"steps": 1}, 400, "steps"),
        (own | {"rules": {"text": "#" * 1_100_000}}, 413, "1,048,576"),
    ):
        assert_problem(ann.http.post("/api/v1/preview", json=wrong), status, word)
    assert_problem(bob.http.post("/api/v1/preview", json=ask), 404)
    assert_problem(bob.http.post("/api/v1/preview", json=own), 404)


def test_only_the_beginning_of_a_large_input_is_looked_at(ann: User) -> None:
    rows = b"".join(b"k%d,%d\n" % (number, number) for number in range(1, 900_000))
    files = {"rules": ("r.yaml", LONG_FORM), "input": ("i.csv", b"refkey1,field1\n" + rows)}
    body = sample(ann, files=files, rows="2").json()
    assert (body["sampled"], body["rows"]) == (True, [["2"], ["4"]])


SAMPLE = "/api/v1/preview/sample"
MULTIPART = {"Content-Type": "multipart/form-data; boundary=-"}
OPENED = b'---\r\nContent-Disposition: form-data; name="input"; filename="i.csv"\r\n\r\n'
CLOSED = b"\r\n-----\r\n"


def meanwhile(user: User, do: Callable[[], None]) -> httpx2.Response:
    """Send a sample without rules, and do something while the gateway reads it: it has more than any buffer takes."""

    def body() -> Iterator[bytes]:
        yield OPENED
        for _ in range(15):
            yield b"a\n" * 500_000
        do()
        yield CLOSED

    return user.http.post(SAMPLE, content=body(), headers=MULTIPART)


def test_samples_lie_in_the_storage_while_they_come(ann: User, server: Server) -> None:
    before = server.files()
    seen = []
    assert_problem(meanwhile(ann, lambda: seen.extend(server.files() - before)), 400, "rules")
    assert [path.name for path in seen] == ["input"]
    assert server.files() == before


def test_so_many_previews_are_made_at_once_and_of_one_user(ann: User, bob: User, server: Server) -> None:
    third, answers = User(server.url), []

    def send(users: list[User]) -> None:
        if len(users) == MAX_AT_ONCE - MAX_OF_ONE:
            answers.append(sample(ann))
        if users:
            assert_problem(meanwhile(users[0], lambda: send(users[1:])), 400, "rules")
        else:
            answers.append(sample(third))

    send([ann] * MAX_OF_ONE + [bob] * (MAX_AT_ONCE - MAX_OF_ONE))
    assert len(answers) == 2
    for answer in answers:
        assert_problem(answer, 429, "previews")
        assert answer.headers["Retry-After"]
    assert sample(ann).status_code == sample(third).status_code == 200


def test_a_sample_that_comes_too_slowly_is_408(
    ann: User, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = server.files()
    monkeypatch.setattr(router, "SAMPLE_SECONDS", 0.2)
    lines = [
        f"POST {SAMPLE} HTTP/1.1",
        "Host: gateway",
        f"Authorization: {ann.http.headers['Authorization']}",
        f"Content-Type: {MULTIPART['Content-Type']}",
        "Content-Length: 1000",
    ]
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + OPENED)
        assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")
    assert server.files() == before
    assert sample(ann).status_code == 200


def test_samples_leave_room_on_the_disk_for_reports(
    ann: User, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk that is nearly full: what is kept free is made larger than what is free."""
    before = server.files()
    monkeypatch.setattr(disk, "RESERVED_SHARE", 1)
    monkeypatch.setattr(disk, "MOST_RESERVED_BYTES", 10**18)
    assert_problem(sample(ann), 507, "kept for running reports")
    assert server.files() == before
