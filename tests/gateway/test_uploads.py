from __future__ import annotations

import hashlib
import json
import socket
import time

import pytest

from tests.gateway.conftest import INPUT, MAX_UPLOAD_BYTES, REFERENCE, RULES, Server, User, assert_problem

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01"


def _upload_rules(user: User, body: bytes, name: str = "rules.yaml", query: str = ""):
    return user.http.post(f"/api/upload-rules/{query}", files={"file": (name, body)})


def test_files_are_stored_hashed_and_described(ann: User, server: Server) -> None:
    answer = ann.http.post(
        "/api/upload-files/", files={"input": ("in.csv", INPUT), "reference": ("ref.csv", REFERENCE)}
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {"message", "input", "reference"}
    digest = hashlib.sha256(INPUT).hexdigest()
    assert (body["input"]["digest"], body["input"]["size_bytes"]) == (digest, len(INPUT))
    assert body["input"]["columns"] == ["refkey1", "field1"]
    assert server.context.store.path(digest).read_bytes() == INPUT


@pytest.mark.parametrize("name", ["input", "reference"])
def test_either_file_may_be_sent_alone(ann: User, name: str) -> None:
    body = ann.http.post("/api/upload-files", files={name: ("x.csv", INPUT)}).json()
    other = {"input": "reference", "reference": "input"}[name]
    assert body[name]["filename"] == "x.csv"
    assert body[other] is None


def test_rules_are_versioned(ann: User) -> None:
    first = _upload_rules(ann, RULES).json()
    second = _upload_rules(ann, RULES + b"- {output: more, formula: field1}\n").json()
    assert (first["ruleset"], first["version"]) == ("default", 1)
    assert second["version"] == 2


@pytest.mark.parametrize(
    ("name", "query"), [("rules.json", ""), ("rules.txt", "?type=json"), ("rules", "?type=json")]
)
def test_the_syntax_comes_from_the_name_or_the_type(ann: User, name: str, query: str) -> None:
    body = json.dumps([{"output": "a", "formula": "b"}]).encode()
    assert _upload_rules(ann, body, name, query).status_code == 200


@pytest.mark.parametrize(
    ("name", "query", "words"),
    [("rules.txt", "", ["type=json"]), ("r.yaml", "?type=xml", ["type", "json"])],
)
def test_an_unknown_syntax_is_400(ann: User, name: str, query: str, words: list[str]) -> None:
    assert_problem(_upload_rules(ann, RULES, name, query), 400, *words)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"- {output: a, formula: [", "r.yaml"),
        (b"[{", "r.json"),
        (b"", "r.yaml"),
        (b"\x00\x01", "r.yaml"),
        (PNG, "r.json"),
        (b"a: &a [*a, *a]\n", "r.yaml"),
        (b"- !!python/object/apply:os.system [id]\n", "r.yaml"),
        (b"[" * 100_000, "r.json"),
        (b"[" * 100_000, "r.yaml"),
        (b'[{"output": "a", "formula": "' + b"(" * 5000 + b'"}]', "r.json"),
        (b'[{"output": "a", "formula": "' + b"-" * 20000 + b'1"}]', "r.json"),
        (b'[{"formula": "b"}]', "r.json"),
        (b'[{"output": "a", "formula": "open(\'/etc/passwd\')"}]', "r.json"),
        (b'[{"output": "a", "formula": "1; DROP TABLE users"}]', "r.json"),
        (b'[{"output": "a", "formula": "\\ud800"}]', "r.json"),
    ],
)
def test_rules_that_are_none_are_400(ann: User, body: bytes, name: str) -> None:
    assert_problem(_upload_rules(ann, body, name), 400)


def test_every_problem_of_the_rules_is_told_with_its_place(ann: User) -> None:
    rules = b"- {output: a, formula: nosuch(b)}\n- {output: a, formula: c}\n- {output: d, formula: min(}\n"
    errors = assert_problem(_upload_rules(ann, rules), 400)["errors"]
    assert len(errors) >= 3
    assert {error["line"] for error in errors} >= {1, 2, 3}
    assert all(error["source"] == "rules.yaml" for error in errors)


def test_refused_rules_leave_the_last_ones_in_place(ann: User) -> None:
    ann.upload()
    assert_problem(_upload_rules(ann, b"nonsense"), 400)
    assert ann.generate()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", ["empty"]),
        (PNG + b"\0" * 2000, []),
        (b"a,a\n1,2\n", ["a"]),
        (b"a,,b\n1,2,3\n", []),
    ],
    ids=["empty", "png", "twice", "unnamed"],
)
def test_a_file_that_cannot_be_used_is_400_and_not_kept(
    ann: User, server: Server, body: bytes, words: list[str]
) -> None:
    before = server.files()
    answer = ann.http.post("/api/upload-files/", files={"input": ("pic.csv", body)})
    assert_problem(answer, 400, *words)
    assert server.files() == before
    assert_problem(ann.http.post("/api/generate-report/"), 400)


def test_a_good_file_beside_a_bad_one_is_not_accepted(ann: User) -> None:
    ann.upload()
    files = {"input": ("i.csv", b"refkey1,other\nk1,5\n"), "reference": ("r.csv", PNG)}
    assert_problem(ann.http.post("/api/upload-files/", files=files), 400)
    assert ann.generate(), "the last good input is still the last upload"


def test_a_file_over_the_limit_is_413_and_not_kept(ann: User, server: Server) -> None:
    before = server.files()
    body = b"a,b\n" + b"1,2\n" * (MAX_UPLOAD_BYTES // 4)
    assert_problem(ann.http.post("/api/upload-files/", files={"input": ("i.csv", body)}), 413)
    assert server.files() == before
    fits = body[: MAX_UPLOAD_BYTES - MAX_UPLOAD_BYTES % 4]
    assert ann.http.post("/api/upload-files/", files={"input": ("i.csv", fits)}).status_code == 200


def test_a_body_that_tells_its_excess_is_refused_before_it_is_sent(ann: User, server: Server) -> None:
    head = _head(ann, "/api/upload-files/", 10**12, expect=True)
    with _connect(server) as connection:
        connection.sendall(head)
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_chunked_body_without_length_is_taken(ann: User) -> None:
    body = _multipart(("input", "i.csv", INPUT))
    answer = ann.http.post(
        "/api/upload-files/", content=iter([body[:10], body[10:]]), headers={"Content-Type": MULTIPART}
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "name",
    ["../../../../etc/passwd", "C:\\temp\\x.csv", "a\x00b.csv", "x" * 5000 + ".csv", "\u202efdp.csv", ".."],
)
def test_a_files_name_is_only_for_show(ann: User, server: Server, name: str) -> None:
    body = _multipart(("input", name, INPUT))
    answer = ann.http.post("/api/upload-files/", content=body, headers={"Content-Type": MULTIPART})
    assert answer.status_code == 200, answer.text
    shown = answer.json()["input"]["filename"]
    assert not set(shown) & set("/\\\x00\u202e")
    assert 0 < len(shown.encode()) <= 255
    digest = hashlib.sha256(INPUT).hexdigest()
    assert {path.name for path in server.files() if path.read_bytes() == INPUT} == {digest}


BOUNDARY = "a-boundary"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


def _part(name: str, filename: str | None, data: bytes) -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode(errors="surrogateescape") + data + b"\r\n"


def _multipart(*parts: tuple[str, str | None, bytes]) -> bytes:
    return b"".join(_part(*part) for part in parts) + f"--{BOUNDARY}--\r\n".encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no boundary at all",
        _multipart(("input", "i.csv", INPUT))[:-10],
        _part("input", "i.csv", INPUT),
        _multipart(),
        _multipart(("input", "i.csv", INPUT), ("input", "j.csv", INPUT)),
        _multipart(("surprise", "i.csv", INPUT)),
        _multipart(("", "i.csv", INPUT)),
        _multipart(*((f"p{number}", "x.csv", INPUT) for number in range(40))),
        f"--{BOUNDARY}\r\n\r\nno headers\r\n--{BOUNDARY}--\r\n".encode(),
        f"--{BOUNDARY}\r\nX: {'y' * 20_000}\r\n\r\nlong\r\n--{BOUNDARY}--\r\n".encode(),
    ],
    ids=[
        "empty",
        "no boundary",
        "end cut off",
        "no end",
        "no part",
        "a name twice",
        "unknown name",
        "no name",
        "many parts",
        "no headers",
        "long header",
    ],
)
def test_a_malformed_form_is_400_and_leaves_nothing(ann: User, server: Server, body: bytes) -> None:
    before = server.files()
    answer = ann.http.post("/api/upload-files/", content=body, headers={"Content-Type": MULTIPART})
    assert_problem(answer, 400)
    assert server.files() == before


@pytest.mark.parametrize(
    "media_type", ["", "application/json", "text/csv", "application/x-www-form-urlencoded", "multipart/mixed"]
)
@pytest.mark.parametrize(
    "path", ["upload-rules", "upload-files", "generate-report", "trigger-scheduled-report"]
)
def test_a_body_of_another_media_type_is_415(ann: User, path: str, media_type: str) -> None:
    answer = ann.http.post(f"/api/{path}/", content=b"{}", headers={"Content-Type": media_type})
    assert_problem(answer, 415, "multipart/form-data")


@pytest.mark.parametrize("parameter", ["", "; boundary=", "; boundary=" + "x" * 500])
def test_a_form_without_a_usable_boundary_is_400(ann: User, parameter: str) -> None:
    answer = ann.http.post(
        "/api/upload-files/", content=b"{}", headers={"Content-Type": f"multipart/form-data{parameter}"}
    )
    assert_problem(answer, 400)


def test_file_fields_that_a_browser_left_empty_count_as_not_sent(ann: User) -> None:
    body = _multipart(("input", "", b""), ("reference", "r.csv", REFERENCE))
    answer = ann.http.post("/api/upload-files/", content=body, headers={"Content-Type": MULTIPART})
    assert answer.status_code == 200, answer.text
    assert answer.json()["input"] is None


@pytest.mark.parametrize("cut_after", [20, 60, 200, 500_000, 2_000_000])
@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("/api/upload-files/", "input"),
        ("/api/generate-report/", "input"),
        ("/api/upload-rules/", "file"),
        ("/api/trigger-scheduled-report/", "input_file"),
    ],
)
def test_a_body_cut_off_midway_leaves_nothing(
    ann: User, server: Server, path: str, part: str, cut_after: int
) -> None:
    before = server.files()
    body = _multipart((part, "i.csv", b"refkey1,field1\n" + b"k1,1\n" * 500_000))
    with _connect(server) as connection:
        connection.sendall(_head(ann, path, len(body)) + body[:cut_after])
    _until(lambda: server.files() == before)
    assert ann.http.get("/api/v1/runs").json()["items"] == []
    assert_problem(ann.http.post("/api/generate-report/"), 400)


def _connect(server: Server) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def _head(user: User, path: str, length: int, *, expect: bool = False) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: gateway",
        f"Authorization: {user.http.headers['Authorization']}",
        f"Content-Type: {MULTIPART}",
        f"Content-Length: {length}",
        *(["Expect: 100-continue"] if expect else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
