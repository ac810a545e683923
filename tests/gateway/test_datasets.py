"""Datasets as a resource: versions of files, what they hold, when new ones are expected."""

from __future__ import annotations

from pathlib import Path

import httpx2

from reportgen_dagster.catalog.tables import DatasetVersion
from reportgen_dagster.services import retention, versions
from tests.gateway.conftest import INPUT, MAX_UPLOAD_BYTES, Server, User, assert_problem

MORE = INPUT + b"k3,\n"


def add(user: User, name: str = "trades", content: bytes = INPUT, filename: str = "t.csv") -> httpx2.Response:
    return user.http.post(f"/api/v1/datasets/{name}/versions", files={"file": (filename, content)})


def look_at(server: Server, digest: str, work: Path) -> None:
    """Let the newest version with these bytes be profiled, as Dagster's job does it."""
    with server.context.catalog.transaction() as session:
        found = session.query(DatasetVersion).filter_by(digest=digest).order_by(DatasetVersion.created_at)
        ids = [version.id for version in found][-1:]
    (version,) = versions.files(server.context, ids)
    versions.profiled(server.context, version, work, seconds=60)


def test_the_same_bytes_twice_are_one_version(ann: User) -> None:
    first = add(ann)
    assert (first.status_code, first.json()["version"]) == (201, 1)
    assert first.headers["Location"] == "/api/v1/datasets/trades/versions/1"
    assert first.json()["columns"] == ["refkey1", "field1"]
    assert first.json()["note"] is None
    again = add(ann)
    assert (again.status_code, again.json()["version"]) == (200, 1)
    assert again.json()["received_at"] > first.json()["received_at"]
    second = add(ann, content=MORE)
    assert (second.status_code, second.json()["version"]) == (201, 2)
    assert add(ann).json()["version"] == 3, "what was sent last is the latest, also if it was there before"
    listed = ann.http.get("/api/v1/datasets/trades/versions?limit=2").json()
    rest = ann.http.get(listed["next"]).json()
    assert [one["version"] for one in listed["items"] + rest["items"]] == [3, 2, 1]
    dataset = ann.http.get("/api/v1/datasets/trades").json()
    assert (dataset["name"], dataset["latest"]["version"], dataset["expectation"]) == ("trades", 3, None)


def test_a_name_may_be_any_text_and_comes_back(ann: User) -> None:
    made = add(ann, "Desk%20trades%20%E2%82%AC")
    assert (made.status_code, made.json()["dataset"]) == (201, "Desk trades €")
    assert ann.http.get(made.headers["Location"]).json()["version"] == 1
    for name in ("default-input", "a%00b", "x" * 101):
        assert_problem(add(ann, name), 400, "dataset")


def test_what_cannot_be_used_is_refused_and_leaves_nothing(ann: User, server: Server) -> None:
    before = server.files()
    assert_problem(add(ann, content=b""), 400, "empty")
    assert_problem(add(ann, content=b"\x89PNG\r\n\x1a\n" + b"\0" * 100), 400, "png")
    assert_problem(add(ann, content=b"a\n" + b"1\n" * MAX_UPLOAD_BYTES), 413)
    assert_problem(ann.http.post("/api/v1/datasets/trades/versions", files={"other": b"a"}), 400, "other")
    assert_problem(ann.http.post("/api/v1/datasets/trades/versions", content=b"a,b\n"), 415)
    assert_problem(ann.http.get("/api/v1/datasets/trades"), 404)
    assert server.files() == before


def test_a_file_that_only_some_rules_can_read_is_taken_with_a_note(ann: User) -> None:
    added = add(ann, content=b"a,a\n1,2\n")
    assert added.status_code == 201
    assert "only rules that say how" in added.json()["note"]


def test_the_bytes_come_back_whole_and_in_parts(ann: User) -> None:
    digest = add(ann).json()["digest"]
    path = "/api/v1/datasets/trades/versions/1/content"
    whole = ann.http.get(path)
    assert (whole.content, whole.headers["ETag"]) == (INPUT, f'"{digest}"')
    assert 'filename="t.csv"' in whole.headers["Content-Disposition"]
    assert ann.http.get(path, headers={"If-None-Match": f'"{digest}"'}).status_code == 304
    part = ann.http.get(path, headers={"Range": "bytes=3-8"})
    assert (part.status_code, part.content) == (206, INPUT[3:9])
    assert_problem(ann.http.get(path, headers={"Range": "bytes=999-"}), 416)
    assert ann.http.head(path).headers["Content-Length"] == str(len(INPUT))


def test_a_profile_is_told_once_it_is_there(ann: User, server: Server, tmp_path: Path) -> None:
    content = b"desk,price\nFX,1.5\nFX,\nRates,2\n"
    digest = add(ann, content=content).json()["digest"]
    for part in ("profile", "rows"):
        assert_problem(ann.http.get(f"/api/v1/datasets/trades/versions/1/{part}"), 409, "few seconds")
    look_at(server, digest, tmp_path)
    profile = ann.http.get("/api/v1/datasets/trades/versions/1/profile").json()
    assert (profile["rows"], profile["unreadable_rows"]) == (3, 0)
    assert profile["columns"] == [
        {"name": "desk", "type": "text", "nulls": 0, "distinct": 2, "least": "FX", "greatest": "Rates"},
        {"name": "price", "type": "number", "nulls": 1, "distinct": 2, "least": "1.5", "greatest": "2.0"},
    ]
    rows = ann.http.get("/api/v1/datasets/trades/versions/1/rows").json()
    assert rows["columns"] == ["desk", "price"]
    assert rows["rows"] == [["FX", "1.5"], ["FX", None], ["Rates", "2"]]
    assert "| FX" in rows["markdown"]


def test_rows_that_cannot_be_read_are_there_with_line_and_reason(
    ann: User, bob: User, server: Server, tmp_path: Path
) -> None:
    content = b"desk,price\nFX,1.5\nFX\nRates,2,3\n"
    digest = add(ann, content=content).json()["digest"]
    path = "/api/v1/datasets/trades/versions/1/rejects"
    assert_problem(ann.http.get(path), 409, "few seconds")
    look_at(server, digest, tmp_path)
    assert ann.http.get(path.replace("rejects", "profile")).json()["unreadable_rows"] == 2
    answer = ann.http.get(path)
    assert answer.text.splitlines() == [
        "_line,_column,_rule,_value,_reason,_original,desk,price",
        "3,,2 cells,1 cells,too few cells,FX,FX,",
        '4,,2 cells,3 cells,too many cells,"Rates,2,3",Rates,2',
    ]
    assert 'filename="trades_1_rejects.csv"' in answer.headers["Content-Disposition"]
    assert_problem(bob.http.get(path), 404)
    retention.remove_old(server.context, unknown_seconds=0)
    assert ann.http.get(path).content == answer.content, "the file belongs to the version"
    usage = ann.http.get("/api/v1/me/usage").json()
    assert usage["stored_bytes"]["used"] == len(content) + len(answer.content)


def test_a_version_without_such_rows_has_no_rejects(ann: User, server: Server, tmp_path: Path) -> None:
    look_at(server, add(ann, content=MORE).json()["digest"], tmp_path)
    assert_problem(ann.http.get("/api/v1/datasets/trades/versions/1/rejects"), 404, "every row")


def test_of_a_file_that_cannot_be_read_the_reason_is_told(ann: User, server: Server, tmp_path: Path) -> None:
    content = b"a,a\n1,2\n"
    digest = add(ann, content=content).json()["digest"]
    look_at(server, digest, tmp_path)
    for part in ("profile", "rows"):
        answer = ann.http.get(f"/api/v1/datasets/trades/versions/1/{part}")
        assert_problem(answer, 409, "cannot be read as it is", "both called `a`")


def test_new_versions_are_expected_until_nobody_minds(ann: User) -> None:
    path = "/api/v1/datasets/trades/expectation"
    wish = {"cron": "0  6 * * 1-5", "timezone": "Europe/Berlin", "within_seconds": 600}
    assert_problem(ann.http.put(path, json=wish), 404, "trades")
    add(ann)
    assert_problem(ann.http.get(path), 404, "not expected")
    assert_problem(ann.http.put(path, json=wish, headers={"If-Match": "*"}), 412)
    put = ann.http.put(path, json=wish, headers={"If-None-Match": "*"})
    assert put.json() == wish | {"cron": "0 6 * * 1-5"}
    got = ann.http.get(path)
    assert (got.json(), got.headers["ETag"]) == (put.json(), put.headers["ETag"])
    assert ann.http.get("/api/v1/datasets/trades").json()["expectation"] == put.json()
    assert ann.http.get(path, headers={"If-None-Match": put.headers["ETag"]}).status_code == 304
    other = ann.http.put(path, json={"cron": "0 7 * * *"}, headers={"If-Match": put.headers["ETag"]})
    assert other.json() == {"cron": "0 7 * * *", "timezone": "UTC", "within_seconds": 3600}
    assert_problem(ann.http.put(path, json=wish, headers={"If-Match": put.headers["ETag"]}), 412)
    assert_problem(ann.http.delete(path, headers={"If-Match": put.headers["ETag"]}), 412)
    assert ann.http.delete(path, headers={"If-Match": other.headers["ETag"]}).status_code == 204
    assert ann.http.delete(path).status_code == 204
    assert_problem(ann.http.get(path), 404)


def test_an_expectation_that_cannot_be_meant_is_400(ann: User) -> None:
    add(ann)
    for wish, word in (
        ({"cron": "61 * * * *"}, "minute"),
        ({"cron": "* * * * *", "timezone": "Mars/Olympus"}, "mars"),
        ({"cron": "* * * * *", "within_seconds": 0}, "within_seconds"),
        ({"cron": "* * * * *", "withinn": 1}, "withinn"),
        ({}, "cron"),
    ):
        assert_problem(ann.http.put("/api/v1/datasets/trades/expectation", json=wish), 400, word)


def test_the_list_goes_on_by_name_and_shows_no_unnamed_files(ann: User) -> None:
    ann.upload()
    for name in ("b", "a", "c"):
        add(ann, name)
    first = ann.http.get("/api/v1/datasets?limit=2")
    body = first.json()
    assert [one["name"] for one in body["items"]] == ["a", "b"]
    assert first.headers["Link"] == f'<{body["next"]}>; rel="next"'
    rest = ann.http.get(body["next"])
    assert [one["name"] for one in rest.json()["items"]] == ["c"]
    assert (rest.json()["next"], "Link" in rest.headers) == (None, False)


def test_a_deleted_one_is_gone(ann: User) -> None:
    add(ann)
    assert ann.http.delete("/api/v1/datasets/trades").status_code == 204
    assert_problem(ann.http.delete("/api/v1/datasets/trades"), 404)
    assert add(ann).json()["version"] == 1


def test_what_is_no_version_is_400(ann: User) -> None:
    add(ann)
    for version in ("0", "-1", "x", "9" * 20):
        assert_problem(ann.http.get(f"/api/v1/datasets/trades/versions/{version}"), 400, "version")


def test_what_is_somebody_elses_does_not_exist(ann: User, bob: User) -> None:
    add(ann)
    ann.http.put("/api/v1/datasets/trades/expectation", json={"cron": "0 6 * * *"})
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/versions"),
        ("GET", "/versions/1"),
        ("GET", "/versions/1/profile"),
        ("GET", "/versions/1/rows"),
        ("GET", "/versions/1/content"),
        ("GET", "/expectation"),
        ("DELETE", "/expectation"),
    ):
        assert_problem(bob.http.request(method, f"/api/v1/datasets/trades{path}"), 404)
    assert bob.http.get("/api/v1/datasets").json()["items"] == []
    assert add(bob, content=MORE).json()["version"] == 1
    assert ann.http.get("/api/v1/datasets/trades/versions/1/content").content == INPUT
    assert ann.http.get("/api/v1/datasets/trades/expectation").status_code == 200


def test_a_dataset_is_deleted_only_as_it_was_seen(ann: User) -> None:
    path = "/api/v1/datasets/trades"
    for rows in (b"k,v\nA,1\n", b"k,v\nA,2\n"):
        seen = ann.http.get(path).headers.get("ETag")
        added = ann.http.post(f"{path}/versions", files={"file": ("trades.csv", rows)})
        assert added.status_code == 201, added.text
    assert_problem(ann.http.delete(path, headers={"If-Match": str(seen)}), 412)
    now = ann.http.get(path).headers["ETag"]
    assert ann.http.get(path, headers={"If-None-Match": now}).status_code == 304
    assert ann.http.delete(path, headers={"If-Match": now}).status_code == 204
